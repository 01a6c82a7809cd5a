//! Retries, hedges and storms, with the policies that run in production.

use std::time::Duration;

use model::Application;
use model::edge::{
    Balance, BalancePolicy, CircuitBreaker, Hedge, Resilience, Retry, RetryCondition,
};
use model::scenario::{Abandoned, Again, Fault, FaultKind, Scenario, Victims, When};
use model::units::Share;
use model::workload::WorkTime;
use simulator::Outcome;

use crate::given::{
    SECOND, check, open, patient, quantile, replications, scenario, station, through,
};

/// No breaker, no balancing to speak of, all the time there is.
fn plain(retry: Retry) -> Resilience {
    Resilience {
        timeout: Duration::from_hours(1_000),
        retry,
        circuit_breaker: CircuitBreaker {
            consecutive_errors: u32::MAX,
            ..CircuitBreaker::default()
        },
        balance: Balance { policy: BalancePolicy::LeastLoaded, ..Balance::default() },
        ..Resilience::default()
    }
}

fn retries(attempts: u8, budget: u32) -> Retry {
    Retry {
        attempts,
        backoff: Duration::ZERO,
        max_backoff: Duration::ZERO,
        budget: Share::from_percent(budget),
        on: vec![RetryCondition::ServerError, RetryCondition::AttemptTimeout],
        ..Retry::default()
    }
}

fn attempts_per_call(outcome: &Outcome) -> f64 {
    let edge = outcome.edges.last().unwrap();
    edge.attempts as f64 / (edge.succeeded + edge.failed) as f64
}

fn success(outcome: &Outcome) -> f64 {
    1.0 - crate::given::failures(outcome)
}

/// With three retries and failures of a share `p`: load `(1 - p^4) / (1 - p)`, success `1 - p^4`.
#[test]
fn retries_without_a_budget() {
    for percent in [10, 50] {
        let p = f64::from(percent) / 100.0;
        let application = station(&format!("errors: {percent}%"), 3);
        // A budget of everything is none.
        let users = through(open(1_000.0), plain(retries(3, 100)));
        let outcomes = replications(&application, &scenario(users, 100), 10);
        check(&outcomes, attempts_per_call, (1.0 - p.powi(4)) / (1.0 - p), 0.002);
        check(&outcomes, success, 1.0 - p.powi(4), 0.002);
    }
}

/// A budget of a tenth: load 1.1, success 1.1 (1 - p).
#[test]
fn retries_within_a_budget() {
    let application = station("errors: 50%", 3);
    let users = through(open(1_000.0), plain(retries(3, 10)));
    let outcomes = replications(&application, &scenario(users, 100), 10);
    // Beside its share an edge may make some retries a second, which here are a few thousandths.
    let free = traffic_retries_min() / 1_000.0;
    let mean = |figure: fn(&Outcome) -> f64| outcomes.iter().map(figure).sum::<f64>() / 10.0;
    let load = mean(attempts_per_call);
    assert!((1.099..=1.1 + free + 0.003).contains(&load), "{load}");
    assert!((mean(success) / (load * 0.5) - 1.0).abs() < 0.005);
}

fn traffic_retries_min() -> f64 {
    f64::from(traffic::RETRIES_PER_SECOND_MIN)
}

/// A leaf of exponential work, hedged at its 95th percentile, with workers for all.
#[test]
fn hedging() {
    let application = station("work: {mean: 1s}", 200);
    let hedge = Hedge { after: Share::from_percent(95), budget: Share::from_percent(50) };
    let policy = Resilience { hedge: Some(hedge), ..plain(retries(0, 0)) };
    let outcomes = replications(&application, &scenario(through(open(200.0), policy), 1_000), 10);
    let mean = |figure: &dyn Fn(&Outcome) -> f64| {
        outcomes.iter().map(figure).sum::<f64>() / outcomes.len() as f64
    };
    let near = |found: f64, expected: f64, within: f64| {
        assert!((found / expected - 1.0).abs() < within, "{found} is not {expected}");
    };
    near(mean(&quantile(0.99)), 3.800, 0.02);
    near(mean(&quantile(0.999)), 4.952, 0.03);
    near(mean(&crate::given::latency), 0.975, 0.01);
    near(mean(&attempts_per_call), 1.05, 0.005);
}

/// The tail at scale: what is rare for one leaf is common for a request to many of them.
#[test]
fn fan_out() {
    for (branches, leaves, errors, expected) in [(2, 50, "1%", 0.634), (20, 100, "0.01%", 0.181)] {
        let text = format!(
            "  s: {{behaviour: {{calls: [{{service: branch, times: {branches}}}]}}}}\n  branch: {{replicas: 2, behaviour: {{calls: \
             [{{service: leaf, times: {leaves}}}]}}}}\n  leaf: {{replicas: 10, behaviour: {{errors: {errors}}}}}\n"
        );
        let users = through(open(50.0), plain(retries(0, 0)));
        let mut application = patient(&text, "1h");
        for service in application.services.values_mut() {
            for policy in service.calls.values_mut() {
                *policy = plain(retries(0, 0));
            }
        }
        // Fifty thousand requests: 0.01 is four standard deviations and more.
        let outcomes = replications(&application, &scenario(users, 200), 5);
        check(&outcomes, crate::given::failures, expected, 0.01);
    }
}

/// Clients who wait three seconds and try again so often, after such a pause, and a service that works on without them.
///
/// They are users of a system, not services in it: an edge's retries have a budget, which is what keeps it from storms.
fn storm(load: f64, again: Option<(u32, WorkTime)>, fault: Fault) -> Scenario {
    let policy = Resilience { timeout: SECOND * 3, ..plain(retries(0, 0)) };
    let mut users = through(open(load), policy);
    users.again = again.map(|(attempts, pause)| Again { attempts: Some(attempts), pause });
    Scenario {
        duration: SECOND * 240,
        users: vec![users],
        faults: vec![fault],
        abandoned: Abandoned::WorkedOn,
        ..Scenario::default()
    }
}

/// Good answers per second between two times.
fn goodput(outcome: &Outcome, from: u64, to: u64) -> f64 {
    let place = |second: u64| {
        let at = Duration::from_secs(second).as_nanos() / outcome.bucket.as_nanos();
        usize::try_from(at).unwrap().min(outcome.timeline.len())
    };
    let good: u64 = outcome.timeline[place(from)..place(to)].iter().map(|it| it.succeeded).sum();
    good as f64 / (to - from) as f64
}

const AT_ONCE: WorkTime = WorkTime::Fixed { time: Duration::ZERO };

/// Brooker's collapse ("Fixing retries with token buckets and circuit breakers", 2022): latency is `1 + .01 concurrency`
/// seconds, and the load doubles for five. Latency varies by half of itself: without any variation five seconds are just
/// too short for the first timeouts.
fn brooker() -> (Application, Fault) {
    let application = station("work: {mean: 1s, shape: 4}, contention: 1%", 1);
    let what = FaultKind::Load(2.0);
    (application, Fault { when: When::At(SECOND * 20), lasts: Some(SECOND * 5), what })
}

#[test]
fn retries_at_once_collapse_for_good_and_jitter_recovers() {
    let (application, surge) = brooker();
    let scenario = storm(40.0, Some((2, AT_ONCE)), surge.clone());
    let outcomes = replications(&application, &scenario, 10);
    let collapsed = |it: &&Outcome| {
        let (before, after) = (goodput(it, 10, 20), goodput(it, 120, 240));
        assert!((34.0..46.0).contains(&before), "{before}");
        after < 8.0
    };
    // Five seconds are hardly long enough: some are lucky.
    let collapsed = outcomes.iter().filter(collapsed).count();
    assert!(6 <= collapsed, "{collapsed} of 10");
    let jitter = WorkTime::Uniform { min: Duration::ZERO, max: SECOND * 20 };
    let scenario = storm(40.0, Some((2, jitter)), surge);
    for it in replications(&application, &scenario, 5) {
        let (soon, later) = (goodput(&it, 35, 45), goodput(&it, 120, 240));
        assert!(34.0 < soon && 36.0 < later, "{soon} {later}");
    }
}

#[test]
fn a_budget_for_retries_recovers() {
    let (application, surge) = brooker();
    let mut scenario = storm(40.0, None, surge);
    let retry = Retry { attempt_timeout: Some(SECOND * 3), ..retries(2, 10) };
    *scenario.users[0].requests[0].resilience = plain(retry);
    for it in replications(&application, &scenario, 5) {
        let (soon, later) = (goodput(&it, 35, 45), goodput(&it, 120, 240));
        assert!(34.0 < soon && 36.0 < later, "{soon} {later}");
    }
}

/// The retry experiment of "Metastable failures in the wild" (OSDI 2022): one server, first come first served, at a
/// load of .38, four immediate resends after three seconds each, its processors cut at 60 s. Their shares are of a machine twice
/// as fast as this load needs: with all others no outcome but these four fits all of theirs.
#[test]
fn metastable_failures() {
    let application = station("work: 380us, concurrency: 1, queue: 100000", 1);
    for (seconds, share, load, recovers) in [
        (10, 0.45, 1_000.0, 8..=10),
        (10, 0.40, 1_000.0, 0..=2),
        (9, 0.40, 1_000.0, 8..=10),
        (10, 0.40, 750.0, 10..=10),
    ] {
        let share = Share::from_millionths((share * 500_000.0) as u32);
        let victims = Victims { service: Some("s".parse().unwrap()), instances: None };
        let cut = Fault {
            when: When::At(SECOND * 60),
            lasts: Some(SECOND * seconds),
            what: FaultKind::Cpu { victims, share },
        };
        let scenario = storm(load, Some((4, AT_ONCE)), cut);
        let outcomes = replications(&application, &scenario, 10);
        let back = |it: &&Outcome| 0.9 * load < goodput(it, 200, 240);
        let recovered = outcomes.iter().filter(back).count();
        assert!(recovers.contains(&recovered), "{seconds} s at {share}: {recovered} of 10");
    }
}

/// The rule of a retry storm as of a fluid: with `A` attempts for each request and a backlog of `B` seconds of work, it is over
/// after `B / (1 - rho A)`, and never if that is negative.
#[test]
fn a_backlog_drains_as_a_fluid_does() {
    let application = station("work: 1ms, concurrency: 1, queue: 100000", 1);
    for (load, backlog, expected) in [(500.0, 5_000, 10.0), (800.0, 2_000, 10.0)] {
        let surge =
            Fault { when: When::At(SECOND * 10), lasts: None, what: FaultKind::Surge(backlog) };
        let scenario = Scenario {
            duration: SECOND * 60,
            faults: vec![surge],
            ..scenario(crate::given::users(open(load)), 60)
        };
        let outcome = replications(&application, &scenario, 1).remove(0);
        let waiting = |it: &simulator::outcome::Bucket| it.waiting < 20;
        let begin = usize::try_from(SECOND.as_nanos() * 11 / outcome.bucket.as_nanos()).unwrap();
        let over = outcome.timeline[begin..].iter().position(waiting).unwrap() + begin;
        let after = (over as f64 + 1.0) * outcome.bucket.as_secs_f64() - 10.0;
        assert!((after / expected - 1.0).abs() < 0.15, "{after} s is not {expected} s");
    }
}
