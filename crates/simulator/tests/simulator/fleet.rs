//! Fleets that live by the planner: what dies is started again, and a new release is judged.

use std::time::Duration;

use model::scenario::{Fault, FaultKind, Scenario, Victims, When};
use model::units::Share;
use simulator::Outcome;
use simulator::outcome::IncidentKind;

use crate::given::{SECOND, application, open, replications, through};

fn shop() -> model::Application {
    application(
        "  s:\n    replicas: 4\n    healthcheck: {path: /health, interval: 1s}\n    update: {strategy: canary, steps: [{weight: \
         10%}, {weight: 50%}], analysis: {max_duration: 10m}}\n    behaviour: {work: {p50: 5ms, p99: 20ms}, \
         concurrency: 50, errors: 0.1%, startup: 2s}\n",
    )
}

fn play(fault: FaultKind, lasts: Option<Duration>, seconds: u64) -> Outcome {
    let fault = Fault { when: When::At(SECOND * 60), lasts, what: fault };
    let scenario = Scenario {
        duration: SECOND * u32::try_from(seconds).unwrap(),
        users: vec![through(open(300.0), model::edge::Resilience::default())],
        faults: vec![fault],
        ..Scenario::default()
    };
    replications(&shop(), &scenario, 1).remove(0)
}

fn told(outcome: &Outcome, kind: IncidentKind) -> Vec<String> {
    let of_kind = outcome.incidents.iter().filter(|it| it.kind == kind);
    of_kind.map(|it| format!("{:.1} {}", it.at.as_secs_f64(), it.what)).collect()
}

#[test]
fn what_dies_is_started_again() {
    let victims = Victims { service: Some("s".parse().unwrap()), instances: Some(2) };
    let outcome = play(FaultKind::Kill(victims), None, 120);
    let ready = |second: u64| {
        let at = Duration::from_secs(second).as_nanos() / outcome.bucket.as_nanos();
        outcome.timeline[at as usize].ready
    };
    assert_eq!(
        [ready(59), ready(61), ready(70)],
        [4, 2, 4],
        "{:?}",
        told(&outcome, IncidentKind::Fleet)
    );
    let users = &outcome.users[0];
    // What was in flight is tried again elsewhere.
    assert!(users.failed < 60, "{}", users.failed);
}

#[test]
fn a_bad_release_is_rejected_and_a_good_one_takes_over() {
    let service = "s".parse::<model::ServiceName>().unwrap();
    let release = |factor, errors| FaultKind::Released {
        service: service.clone(),
        factor,
        errors: Share::from_percent(errors),
    };
    for (kind, word) in [
        (release(1.0, 0), "was completed"),
        (release(1.0, 10), "was rejected"),
        (release(2.0, 0), "was rejected"),
    ] {
        let outcome = play(kind, None, 900);
        let told = told(&outcome, IncidentKind::Rollout);
        assert!(told.iter().any(|it| it.contains(word)), "{word}: {told:#?}");
    }
}

#[test]
fn a_zone_that_is_lost_comes_back() {
    let fault = FaultKind::ZoneLost("b".to_owned());
    let fault = Fault { when: When::At(SECOND * 60), lasts: Some(SECOND * 60), what: fault };
    let mut scenario = Scenario {
        duration: SECOND * 240,
        users: vec![through(open(300.0), model::edge::Resilience::default())],
        faults: vec![fault],
        ..Scenario::default()
    };
    let zone = |name: &str| model::scenario::Zone { name: name.to_owned(), region: "r".to_owned() };
    scenario.network.zones = vec![zone("a"), zone("b")];
    let outcome = replications(&shop(), &scenario, 1).remove(0);
    let ready = |second: u64| {
        let at = Duration::from_secs(second).as_nanos() / outcome.bucket.as_nanos();
        outcome.timeline[at as usize].ready
    };
    assert_eq!(
        [ready(59), ready(90), ready(150)],
        [4, 2, 4],
        "{:?}",
        told(&outcome, IncidentKind::Fleet)
    );
}
