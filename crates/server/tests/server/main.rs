//! The HTTP faces on real sockets, with a platform that only pretends.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]

mod client;
mod native;
mod pretended;
mod stream;
mod telemetry;
mod traffic;
