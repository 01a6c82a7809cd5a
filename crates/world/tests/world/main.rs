//! What each event does to the world, and what folding never does.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]

mod clock;
mod dependencies;
mod events;
mod histories;
mod rollouts;
mod routing;
mod words;
