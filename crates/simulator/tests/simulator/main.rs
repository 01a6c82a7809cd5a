//! The simulator against what theory and published experiments say.
//!
//! Every expectation is a number from a formula or a paper. What is simulated is random, so that it is compared within five
//! standard errors of several independent replications: one test in two million fails by chance, and with fixed
//! seeds none does so again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and times of tests are small"
)]

mod fleet;
mod given;
mod networks;
mod queues;
mod resilience;
