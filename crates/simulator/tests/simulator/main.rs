//! The simulator against what theory and published experiments say.
//!
//! Every expectation is a number from a formula or a paper. What is simulated is random, so that it is compared within five
//! standard errors of several independent replications: one test in two million fails by chance, and with fixed
//! seeds none does so again.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod given;
mod queues;
