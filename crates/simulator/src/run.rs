//! One replication, from its beginning to its end.

use std::time::Duration;

use crate::engine::Engine;
use crate::outcome::Outcome;
use crate::system::System;

/// How one replication is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// The seed all its random streams come from.
    pub seed: u64,
    /// Which replication: others with the same seed are independent of it.
    pub replication: u32,
    /// Users send so many times as much as the scenario says.
    pub load: f64,
    /// Time at the beginning that is not counted; what the scenario says if absent, and nothing if that does not say.
    pub warm_up: Option<Duration>,
    /// Requests to keep with all they led to, spread over the run, at most.
    pub traces: usize,
}

/// Plays one replication. `tell` is told from time to time how far it is, from 0 to 1; when it says stop, so it does, and
/// there is no outcome.
pub fn run(system: &System, run: &Run, tell: &mut dyn FnMut(f64) -> Go) -> Option<Outcome> {
    Engine::new(system, run).run(run, tell)
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// It does.
    On,
    /// It does not.
    Stop,
}
