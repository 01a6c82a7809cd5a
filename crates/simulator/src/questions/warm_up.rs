//! How much of the beginning is not counted: what the scenario says, else what a pilot tells.
//!
//! The pilot has the scenario's users as they are at the beginning, without what goes wrong: faults are what a run is about, not
//! a transient to be left out. Both latency and the number present are looked at, since either may settle later.

use std::time::Duration;

use model::scenario::{Load, LoadPart, Scenario, When};

use super::QuestionError;
use super::experiment::{Experiment, Job, PILOT, Stage};
use super::figures::count;
use super::sojourn::milliseconds;
use crate::outcome::{Bucket, Outcome};
use crate::run::Run;
use crate::statistics::{mser5, number};
use crate::system::System;

/// Replications of the pilot: their mean is smooth enough, and more would cost as much as the question.
const REPLICATIONS: u32 = 3;
/// Share of a run that is left out where the pilot does not settle.
const UNSETTLED: u32 = 2;

/// Share of a question's work that the pilot is, if there is one: three replications beside ten, about.
const WORK: f64 = 0.2;

/// The share of the work that is over when the warm-up of a system is known.
pub(super) fn share(system: &System) -> f64 {
    if system.scenario().warm_up.is_some() { 0.0 } else { WORK }
}

/// Time that is not counted, and how it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WarmUp {
    pub(super) time: Duration,
    /// `given`, or `mser-5`.
    pub(super) by: &'static str,
    /// What should be known of it.
    pub(super) note: Option<String>,
}

/// The warm-up of a system.
pub(super) fn find(
    experiment: &Experiment<'_>,
    system: &System,
    stage: Stage<'_>,
) -> Result<WarmUp, QuestionError> {
    let scenario = system.scenario();
    if let Some(time) = scenario.warm_up {
        return Ok(WarmUp { time, by: "given", note: None });
    }
    let quiet = System::new(system.application(), &quiet(scenario))?;
    let job = |replication| Job {
        system: &quiet,
        run: Run {
            seed: experiment.options.seed,
            replication: PILOT + replication,
            load: 1.0,
            warm_up: Some(Duration::ZERO),
            traces: 0,
        },
    };
    let jobs: Vec<Job<'_>> = (0..experiment.replications().min(REPLICATIONS)).map(job).collect();
    let pilot = experiment.play_all(&jobs, stage, |_, it| Course::of(&it))?;
    let bucket = pilot.first().map(|it| it.bucket).unwrap_or_default();
    let mean = Course::mean(&pilot);
    if let Some((latency, present)) = mser5(&mean.latency).zip(mser5(&mean.present)) {
        let buckets = u32::try_from(latency.max(present)).unwrap_or(u32::MAX);
        return Ok(before_faults(bucket.saturating_mul(buckets), scenario));
    }
    let half = before_faults(scenario.duration / UNSETTLED, scenario);
    let note = "the pilot did not settle within half of the run: what is counted may not be steady; make the run longer, or give a \
                warm-up";
    Ok(WarmUp { note: Some(half.note.unwrap_or_else(|| note.to_owned())), ..half })
}

/// The warm-up, cut off where the first fault begins: all of that is to be seen.
fn before_faults(time: Duration, scenario: &Scenario) -> WarmUp {
    let at = scenario.faults.iter().filter_map(|it| match it.when {
        When::At(at) => Some(at),
        When::Every(_) => None,
    });
    match at.min() {
        Some(first) if first < time => {
            let note = "the first fault begins before the run has settled; let it begin later, or give a warm-up";
            WarmUp { time: first, by: "mser-5", note: Some(note.to_owned()) }
        }
        _ => WarmUp { time, by: "mser-5", note: None },
    }
}

/// The scenario without what goes wrong, and with the load it has at the beginning.
fn quiet(scenario: &Scenario) -> Scenario {
    let mut quiet = scenario.clone();
    quiet.faults.clear();
    for users in &mut quiet.users {
        if let Load::Open(parts) = &mut users.load {
            let rate = parts.first().map_or(0.0, |it| if 0.0 < it.from { it.from } else { it.to });
            *parts = [LoadPart { from: rate, to: rate, lasts: scenario.duration }].into();
        }
    }
    quiet
}

/// How latency and the number present went, bucket by bucket.
#[derive(Clone, Debug, Default)]
struct Course {
    bucket: Duration,
    latency: Vec<f64>,
    present: Vec<f64>,
}

impl Course {
    fn of(outcome: &Outcome) -> Self {
        let mut last = 0.0;
        let mut latency = |it: &Bucket| {
            // Where nothing was answered, the last answers are all that is known.
            if it.succeeded != 0 {
                last = milliseconds(it.latency_sum) / count(it.succeeded);
            }
            last
        };
        Self {
            bucket: outcome.bucket,
            latency: outcome.timeline.iter().map(&mut latency).collect(),
            present: outcome.timeline.iter().map(|it| count(it.present)).collect(),
        }
    }

    fn mean(courses: &[Self]) -> Self {
        let of = |series: fn(&Self) -> &Vec<f64>| {
            let length = courses.iter().map(|it| series(it).len()).min().unwrap_or(0);
            let at = |place: usize| {
                let sum: f64 = courses.iter().filter_map(|it| series(it).get(place)).sum();
                sum / number(courses.len())
            };
            (0..length).map(at).collect()
        };
        Self {
            bucket: Duration::ZERO,
            latency: of(|it| &it.latency),
            present: of(|it| &it.present),
        }
    }
}
