//! An engine that reckons instead of playing: one queue whose answer is known, with a little noise. For tests of the questions.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts of a pretended run are small"
)]

use std::time::Duration;

use model::scenario::{Entry, FaultKind, Load, LoadPart, Scenario, Users, When};
use model::{Application, Rng};

use crate::histogram::Histogram;
use crate::outcome::{Bucket, Outcome, ServiceOutcome, UsersOutcome};
use crate::questions::figures::Figures;
use crate::run::{Go, Run};
use crate::system::System;

/// Parts of the timeline.
pub(super) const BUCKETS: usize = 200;
/// Requests per second at the scenario's load.
pub(super) const LOAD: f64 = 50.0;
/// Requests per second that one replica serves.
const RATE: f64 = 100.0;
const DURATION: Duration = Duration::from_secs(100);
/// Goodput of a queue that has collapsed, as a share of what is offered.
const COLLAPSED: f64 = 0.1;

/// One service of one replica, half busy.
pub(super) fn system() -> System {
    with_replicas(1)
}

/// One service that is so many times as quick as one replica.
pub(super) fn with_replicas(replicas: u32) -> System {
    of(&application(replicas), Some(Duration::ZERO))
}

/// One that settles with a time constant of so many runs, if nothing was said of a warm-up.
pub(super) fn settling(share: f64) -> System {
    let mut application = application(1);
    let service = application.services.values_mut().next().unwrap();
    service.stop_grace_period = DURATION.mul_f64(share);
    of(&application, None)
}

fn application(replicas: u32) -> Application {
    let restart = r#"{"policy": "always", "backoff": "1s", "max_backoff": "1s", "crash_loop": 5}"#;
    let text = format!(
        r#"{{"name": "pretended", "services": {{"web": {{
            "source": {{"behaviour": {{"work": {{"distribution": "exponential", "mean": "10ms"}},
                        "response": "0B", "concurrency": 1}}}},
            "replicas": {replicas}, "depends_on": {{}}, "stop_grace_period": "0s",
            "restart": {restart}}}}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn of(application: &Application, warm_up: Option<Duration>) -> System {
    let entry = Entry {
        service: "web".parse().unwrap(),
        weight: 1,
        request: model::units::Bytes(0),
        priority: model::route::Priority::default(),
        resilience: Box::default(),
    };
    let load = LoadPart { from: LOAD, to: LOAD, lasts: DURATION };
    let users = Users {
        name: "people".to_owned(),
        load: Load::Open(vec![load]),
        requests: vec![entry],
        door: model::scenario::Door::Gateway,
        again: None,
    };
    let scenario =
        Scenario { duration: DURATION, warm_up, users: vec![users], ..Scenario::default() };
    System::new(application, &scenario).unwrap()
}

/// How a replication is usually run.
pub(super) fn run(replication: u32) -> Run {
    Run { seed: 1, replication, load: 1.0, warm_up: None, traces: 0 }
}

/// The figures of some replications in which the service is so busy.
pub(super) fn figures(busy: f64, replications: u32) -> (System, Vec<Figures>) {
    let system = system();
    let of = |it| {
        let run = Run { load: busy * RATE / LOAD, ..run(it) };
        Figures::of(&system, play(&system, &run, &mut |_| Go::On).unwrap())
    };
    let figures = (0..replications).map(of).collect();
    (system, figures)
}

/// What an M/M/1 does, about.
pub(super) fn play(system: &System, run: &Run, tell: &mut dyn FnMut(f64) -> Go) -> Option<Outcome> {
    if tell(0.5) == Go::Stop {
        return None;
    }
    let service = system.application().services.values().next().unwrap();
    let scenario = system.scenario();
    let rng = Rng::new(run.seed).child(&run.replication.to_string());
    let offered = LOAD * run.load * (1.0 + 0.002 * rng.child("arrivals").normal());
    let rate = RATE * f64::from(service.replicas);
    let served = offered.min(rate);
    let counted = scenario.duration.saturating_sub(run.warm_up.unwrap_or_default());
    // Of more than can be served, what is served has waited long.
    let spread = 1.0 + 0.01 * rng.child("work").normal();
    let mean = if offered < rate * 0.998 { spread / (rate - offered) } else { 10.0 };
    let count = |per_second: f64| (per_second * counted.as_secs_f64()).round() as u64;
    let latency = exponential(mean, count(served));
    let users = UsersOutcome {
        offered: count(offered),
        succeeded: count(served),
        failed: count(offered) - count(served),
        latency: latency.clone(),
        ..UsersOutcome::default()
    };
    let service_outcome = ServiceOutcome {
        arrived: count(offered),
        answered: count(served),
        rejected: count(offered) - count(served),
        sojourn: latency,
        present_mean: served * mean,
        busy_mean: served / rate,
        workers_mean: Some(1.0),
        instances_mean: 1.0,
        ..ServiceOutcome::default()
    };
    Some(Outcome {
        replication: run.replication,
        counted,
        events: 10,
        users: vec![users],
        services: vec![service_outcome],
        timeline: timeline(
            (system, run.replication),
            (offered, rate, mean),
            &mut rng.child("timeline"),
        ),
        bucket: scenario.duration / u32::try_from(BUCKETS).unwrap(),
        digest: rng.child("digest").next_u64(),
        ..Outcome::default()
    })
}

/// Exactly exponential times, as many as there should be, or enough.
fn exponential(mean: f64, count: u64) -> Histogram {
    let mut histogram = Histogram::default();
    for number in 0..count {
        let share = (number as f64 + 0.5) / count as f64;
        histogram.record(Duration::from_secs_f64(-mean * (1.0 - share).ln()));
    }
    histogram
}

fn timeline(
    (system, replication): (&System, u32),
    (offered, rate, mean): (f64, f64, f64),
    rng: &mut Rng,
) -> Vec<Bucket> {
    let scenario = system.scenario();
    let bucket = scenario.duration.as_secs_f64() / BUCKETS as f64;
    let settles = system.application().services.values().next().unwrap().stop_grace_period;
    let of = |number: usize| {
        let at = (number as f64 + 0.5) * bucket;
        let transient = 5.0 * (-at / settles.as_secs_f64().max(1e-9)).exp();
        let noise = 1.0 + 0.1 * rng.normal();
        let (more, share) = fault(scenario, offered / rate, at, replication);
        let poisson = |mean: f64, rng: &mut Rng| (mean + mean.sqrt() * rng.normal()).max(0.0);
        let offered = poisson(offered * more * bucket, rng).round() as u64;
        let succeeded = (offered as f64 * share.min(rate * bucket / offered.max(1) as f64)) as u64;
        let latency = mean * (1.0 + transient) * noise;
        Bucket {
            offered,
            succeeded,
            failed: offered - succeeded,
            latency_sum: Duration::from_secs_f64((latency * succeeded as f64).max(0.0)),
            present: (1e6 * latency).max(0.0) as u64,
            ..Bucket::default()
        }
    };
    (0..BUCKETS).map(of).collect()
}

/// How many times as much is offered at a time, and which share of it succeeds: a fluid's retry storm. A trigger leaves a
/// backlog of its length. What is more than two thirds busy collapses if the trigger lasted for more than fifteen
/// seconds, and every other replication already at eight.
fn fault(scenario: &Scenario, busy: f64, at: f64, replication: u32) -> (f64, f64) {
    let Some(fault) = scenario.faults.first() else { return (1.0, 1.0) };
    let (When::At(from), Some(lasts)) = (fault.when, fault.lasts) else { return (1.0, 1.0) };
    let FaultKind::Load(factor) = fault.what else { return (1.0, 1.0) };
    let (from, lasts) = (from.as_secs_f64(), lasts.as_secs_f64());
    let collapses = 15.0 < lasts || (8.0 < lasts && replication % 2 == 1);
    match at - from {
        it if it < 0.0 => (1.0, 1.0),
        it if it < lasts => (factor, 1.0),
        _ if 0.66 < busy && collapses => (1.0, COLLAPSED),
        it if it < 2.0 * lasts => (1.0, COLLAPSED),
        _ => (1.0, 1.0),
    }
}
