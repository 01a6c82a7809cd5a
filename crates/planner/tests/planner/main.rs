//! The planner against scripts with the answers written down, and against a simulated fleet.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]
#![expect(clippy::panic, reason = "helpers of a test may stop it")]

mod commands;
mod definition;
mod fleet;
mod golden;
mod golden_changes;
mod golden_takeover;
mod rules;
mod script;
mod simulated;
