//! What the crate writes, as others read it.
#![expect(
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of a test may stop it"
)]

mod export;
mod page;
mod sample;
mod simulated;
mod well_formed;
