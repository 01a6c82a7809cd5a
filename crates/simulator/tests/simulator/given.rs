//! What tests are given: one service and its users, and replications with their intervals.

use std::time::Duration;

use model::Application;
use model::edge::Resilience;
use model::scenario::{Again, Door, Entry, Load, LoadPart, Scenario, Users};
use model::workload::WorkTime;
use simulator::{Go, Outcome, Run, System, run};

/// A second, which is the unit of time in formulas.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The application a manifest describes.
#[track_caller]
pub(crate) fn application(services: &str) -> Application {
    patient(services, "1s")
}

/// The application a manifest describes, whose calls have this much time and one attempt.
#[track_caller]
pub(crate) fn patient(services: &str, timeout: &str) -> Application {
    let text = format!(
        "name: test\ndefaults: {{resilience: {{timeout: {timeout}, retry: {{attempts: 0}}}}}}\nservices:\n{services}"
    );
    match manifest::read("test.yaml", &text, &[].into()) {
        Ok(read) => read.application,
        Err(problems) => panic!("{problems:?}"),
    }
}

/// An application of one service, `s`, with these particulars of its behaviour.
#[track_caller]
pub(crate) fn station(behaviour: &str, replicas: u32) -> Application {
    application(&format!("  s: {{replicas: {replicas}, behaviour: {{{behaviour}}}}}\n"))
}

/// Requests per second that come for ever.
pub(crate) fn open(rate: f64) -> Load {
    Load::Open(vec![LoadPart { from: rate, to: rate, lasts: SECOND }])
}

pub(crate) fn exponential(mean_s: f64) -> WorkTime {
    WorkTime::Exponential { mean: Duration::from_secs_f64(mean_s) }
}

/// Users who send to `s`, directly.
pub(crate) fn users(load: Load) -> Users {
    let entry = Entry {
        service: "s".parse().unwrap(),
        weight: 1,
        request: model::units::Bytes(0),
        priority: model::route::Priority::Normal,
        resilience: Box::new(Resilience::default()),
    };
    Users { name: "users".to_owned(), load, requests: vec![entry], door: Door::Direct, again: None }
}

/// Users who try again until they have their answer.
pub(crate) fn persistent(load: Load, pause: WorkTime) -> Users {
    Users { again: Some(Again { attempts: None, pause }), ..users(load) }
}

/// Users who come through the gateway, with this policy.
pub(crate) fn through(load: Load, policy: Resilience) -> Users {
    let mut users = users(load);
    users.door = Door::Gateway;
    *users.requests[0].resilience = policy;
    users
}

/// So many seconds of an application under users, of which a tenth is the warm-up.
pub(crate) fn scenario(users: Users, seconds: u64) -> Scenario {
    Scenario {
        duration: Duration::from_secs(seconds),
        warm_up: Some(Duration::from_secs(seconds / 10)),
        users: vec![users],
        ..Scenario::default()
    }
}

/// Independent replications.
#[track_caller]
pub(crate) fn replications(
    application: &Application,
    scenario: &Scenario,
    count: u32,
) -> Vec<Outcome> {
    let system = System::new(application, scenario).unwrap();
    let one = |replication| {
        let it = Run { seed: 1, replication, load: 1.0, warm_up: None, traces: 0 };
        let outcome = run(&system, &it, &mut |_| Go::On).unwrap();
        assert_eq!(outcome.violations, Vec::<String>::new());
        outcome
    };
    (0..count).map(one).collect()
}

/// The figure of each replication must be the expected one within five standard errors of their mean, and these must be
/// so small that this says something: below `precision` of the figure.
#[track_caller]
pub(crate) fn check(
    outcomes: &[Outcome],
    figure: impl Fn(&Outcome) -> f64,
    expected: f64,
    precision: f64,
) {
    let values: Vec<f64> = outcomes.iter().map(figure).collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let error = (variance / count).sqrt();
    assert!(
        (mean - expected).abs() <= 5.0 * error,
        "{mean} ± {error} is not {expected}: {values:?}"
    );
    assert!(error <= precision * expected.abs(), "{mean} ± {error} says too little of {expected}");
}

/// Mean latency of good answers, in seconds.
pub(crate) fn latency(outcome: &Outcome) -> f64 {
    outcome.users[0].latency.mean().as_secs_f64()
}

/// A quantile of the latency of good answers, in seconds.
pub(crate) fn quantile(share: f64) -> impl Fn(&Outcome) -> f64 {
    move |outcome| outcome.users[0].latency.quantile(share).unwrap().as_secs_f64()
}

/// The share of requests that failed.
pub(crate) fn failures(outcome: &Outcome) -> f64 {
    let users = &outcome.users[0];
    users.failed as f64 / (users.failed + users.succeeded) as f64
}
