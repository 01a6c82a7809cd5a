//! The planner against scripts with the answers written down, and against a simulated fleet.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]
#![expect(clippy::panic, reason = "helpers of a test may stop it")]
#![expect(clippy::indexing_slicing, reason = "helpers of a test may stop it")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
#![expect(clippy::cast_possible_truncation, reason = "counts far below 2^31")]
#![expect(clippy::cast_sign_loss, reason = "what is not negative")]

mod commands;
mod definition;
mod fleet;
mod golden;
mod golden_changes;
mod golden_releases;
mod golden_rollouts;
mod golden_strategies;
mod golden_takeover;
#[path = "../../benches/judge/judges.rs"]
#[expect(dead_code, reason = "only the benchmark looks at other judges")]
mod judges;
mod judging;
mod judging_figures;
mod reached;
#[path = "../../benches/judge/requests.rs"]
mod requests;
mod rollouts;
mod rules;
mod script;
mod simulated;
