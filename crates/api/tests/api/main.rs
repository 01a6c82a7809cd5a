//! What people and programs are shown, for each situation.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]
#![expect(clippy::panic, reason = "helpers of a test may stop it")]

mod change;
mod events;
mod graph;
mod stage;
mod status;
mod traffic;
