//! Hedging an exponential leaf at its 95th percentile, with servers enough for all (The tail at scale).

use model::edge::{Hedge, Resilience};
use model::units::Share;
use model::{Instant, Rng};
use traffic::{Ask, Begin, Edge, Outcome, Split};

use crate::clock::{instances, mean, quantile, seconds};

const REQUESTS: usize = 400_000;
/// The mean latency in seconds: a millisecond.
const UNIT: f64 = 1e-3;

/// Latencies in units of the mean, and attempts a request.
fn latencies(hedge: Option<Hedge>) -> (Vec<f64>, f64) {
    let policy = Resilience { hedge, ..Resilience::default() };
    let mut rng = Rng::new(9);
    let mut edge = Edge::new(&policy, rng.child("edge"));
    let mut now = Instant::ZERO;
    edge.set_endpoints(&instances(10), &Split::default(), now);
    let mut attempts = 0;
    let mut latencies = Vec::with_capacity(REQUESTS);
    let ask = Ask { idempotent: true, ..Ask::default() };
    for _ in 0..REQUESTS {
        let mut draw = || seconds(rng.exponential() * UNIT);
        let began = now;
        let Begin::Go(mut call) = edge.begin(now, &ask) else { panic!() };
        let first = edge.pick(now, &mut call).unwrap();
        let first_ends = now.after(draw());
        let hedge_at = edge.hedge_at(&call).filter(|it| *it < first_ends);
        let second = hedge_at.and_then(|it| edge.hedge(it, &mut call).map(|pick| (it, pick)));
        if let Some((hedged_at, second)) = second {
            let second_ends = hedged_at.after(draw());
            now = first_ends.min(second_ends);
            let outcomes = if first_ends <= second_ends {
                [Outcome::Ok, Outcome::Cancelled]
            } else {
                [Outcome::Cancelled, Outcome::Ok]
            };
            for (pick, outcome) in [first, second].into_iter().zip(outcomes) {
                edge.answered(now, &mut call, &pick, outcome);
                edge.released(pick);
            }
        } else {
            now = first_ends;
            edge.answered(now, &mut call, &first, Outcome::Ok);
            edge.released(first);
        }
        attempts += usize::from(call.attempts());
        edge.finish(now, call, Outcome::Ok);
        latencies.push(now.since(began).as_secs_f64() / UNIT);
    }
    (latencies, attempts as f64 / REQUESTS as f64)
}

#[track_caller]
fn check(name: &str, actual: f64, expected: f64, tolerance: f64) {
    println!("{name}: {actual:.4}, theory {expected}");
    assert!((actual - expected).abs() < tolerance, "{name} {actual} is not {expected}");
}

#[test]
fn without_hedges() {
    let (mut latencies, load) = latencies(None);
    check("load", load, 1.0, 1e-9);
    check("p99", quantile(&mut latencies, 0.99), 4.605, 0.08);
    check("p99.9", quantile(&mut latencies, 0.999), 6.908, 0.25);
}

#[test]
fn hedged_at_the_95th_percentile() {
    let hedge = Hedge { after: Share::from_percent(95), budget: Share::from_percent(10) };
    let (mut latencies, load) = latencies(Some(hedge));
    // Five standard errors each, and 0.02 for the estimate of the 95th percentile.
    check("load", load, 1.05, 0.003);
    check("mean", mean(&latencies), 0.975, 0.01);
    check("p99", quantile(&mut latencies, 0.99), 3.800, 0.06);
    check("p99.9", quantile(&mut latencies, 0.999), 4.952, 0.15);
}
