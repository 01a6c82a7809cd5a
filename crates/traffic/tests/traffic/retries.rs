//! What retries cost and bring when attempts fail by chance: (1-p^4)/(1-p) attempts a request with three
//! retries, and 1-p^4 of requests answered; with a budget of a tenth 1.1 and (1-p) 1.1.

use std::time::Duration;

use model::edge::{CircuitBreaker, Resilience, Retry};
use model::units::Share;
use model::{Instant, Rng};
use traffic::{Ask, Begin, Edge, Next, Outcome, Split};

use crate::clock::instances;

const REQUESTS: u32 = 200_000;

/// Attempts a request and share of requests answered, where each attempt fails with `probability`.
fn load_and_success(probability: f64, budget: Share) -> (f64, f64) {
    let policy = Resilience {
        retry: Retry { attempts: 3, backoff: Duration::ZERO, budget, ..Retry::default() },
        circuit_breaker: CircuitBreaker { consecutive_errors: 0, ..CircuitBreaker::default() },
        ..Resilience::default()
    };
    let mut rng = Rng::new(5);
    let mut edge = Edge::new(&policy, rng.child("edge"));
    edge.set_endpoints(&instances(10), &Split::default(), Instant::ZERO);
    let (mut attempts, mut answered) = (0, 0);
    let ask = Ask { idempotent: true, ..Ask::default() };
    for number in 0..REQUESTS {
        // All within one second: neither do deposits fade nor do minima come in.
        let now = Instant::from_nanos(u64::from(number) * 1_000);
        let Begin::Go(mut call) = edge.begin(now, &ask) else { panic!() };
        let outcome = loop {
            let pick = edge.pick(now, &mut call).unwrap();
            attempts += 1;
            let outcome = if rng.happens(probability) { Outcome::Reset } else { Outcome::Ok };
            let next = edge.answered(now, &mut call, &pick, outcome);
            edge.released(pick);
            if !matches!(next, Next::Retry { .. }) {
                break outcome;
            }
        };
        answered += u32::from(outcome == Outcome::Ok);
        edge.finish(now, call, outcome);
    }
    let share = |count: u32| f64::from(count) / f64::from(REQUESTS);
    (share(attempts), share(answered))
}

#[track_caller]
fn check(probability: f64, budget: Share, expected: (f64, f64)) {
    let (load, success) = load_and_success(probability, budget);
    println!("p = {probability}, budget {budget}: load {load:.4}, success {success:.4}");
    // Five standard errors of either are below 0.006 at 200 000 requests.
    assert!((load - expected.0).abs() < 0.012, "load {load}");
    assert!((success - expected.1).abs() < 0.006, "success {success}");
}

#[test]
fn three_retries() {
    check(0.5, Share::ALL, (1.875, 0.9375));
    check(0.1, Share::ALL, (1.111, 0.9999));
}

#[test]
fn a_budget_of_a_tenth() {
    check(0.5, Share::from_percent(10), (1.1, 0.55));
    check(0.05, Share::from_percent(10), (1.0 / 0.95, 1.0));
}
