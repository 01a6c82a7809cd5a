//! What was run, so that it can be run again.

use api::simulation::Origin;
use model::Application;
use model::scenario::Scenario;
use serde::Serialize;

use super::experiment::Experiment;
use super::figures::Figures;
use super::warm_up::WarmUp;
use crate::system::System;

/// Digits of a hash that are shown: enough that two models of one machine never share them.
const DIGITS: usize = 16;

/// What happened in the replications of a question, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Ran {
    hasher: blake3::Hasher,
    events: u64,
}

impl Ran {
    /// And these.
    pub(super) fn add(&mut self, replications: &[Figures]) {
        for it in replications {
            self.hasher.update(&it.digest.to_le_bytes());
            self.events += it.events;
        }
    }
}

/// What was run. `systems` are all that were, in order.
pub(super) fn origin(
    experiment: &Experiment<'_>,
    systems: &[&System],
    warm_up: &WarmUp,
    ran: &Ran,
) -> Origin {
    let first = systems.first();
    let scenario = first.map(|it| it.scenario());
    Origin {
        application: first.map(|it| it.application().name.to_string()).unwrap_or_default(),
        version: experiment.options.version.clone(),
        seed: experiment.options.seed,
        replications: experiment.replications(),
        duration_s: scenario.map(|it| it.duration.as_secs_f64()).unwrap_or_default(),
        warm_up_s: warm_up.time.as_secs_f64(),
        warm_up_by: warm_up.by.to_owned(),
        model: model(systems),
        digest: digits(&ran.hasher),
        events: ran.events,
        command: experiment.options.command.clone(),
    }
}

fn model(systems: &[&System]) -> String {
    #[derive(Serialize)]
    struct Model<'a> {
        application: &'a Application,
        scenario: &'a Scenario,
    }
    let mut hasher = blake3::Hasher::new();
    for system in systems {
        let model = Model { application: system.application(), scenario: system.scenario() };
        // Everything in a model can be written as JSON: it came from text, and has no keys but names.
        hasher.update(&serde_json::to_vec(&model).unwrap_or_default());
    }
    digits(&hasher)
}

fn digits(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex().chars().take(DIGITS).collect()
}
