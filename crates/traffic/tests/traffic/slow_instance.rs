//! One slow instance of ten: two choices by peak-sensitive latency against round robin.

use std::collections::BTreeMap;

use model::Rng;
use model::edge::{Balance, BalancePolicy, Resilience};
use traffic::{Ask, Begin, Call, Edge, Outcome, Pick, Split};

use crate::clock::{Clock, instances, quantile, seconds};

const INSTANCES: u32 = 10;
const REQUESTS: usize = 100_000;
/// Mean latency in milliseconds of the nine, and of the slow one.
const USUAL_MS: f64 = 5.0;
const SLOW_MS: f64 = 100.0;

enum Event {
    Arrival,
    Answer(u64),
}

/// The latencies in milliseconds of 1000 requests a second, and the share that met the slow instance.
fn run(policy: BalancePolicy) -> (Vec<f64>, f64) {
    let policy = Resilience {
        timeout: seconds(100.0),
        balance: Balance { policy, ..Balance::default() },
        ..Resilience::default()
    };
    let mut edge = Edge::new(&policy, Rng::new(2).child("edge"));
    let mut rng = Rng::new(2).child("load");
    let mut clock = Clock::new();
    edge.set_endpoints(&instances(INSTANCES), &Split::default(), clock.now);
    let mut open: BTreeMap<u64, (Call, Pick, f64)> = BTreeMap::new();
    let (mut number, mut slow) = (0, 0);
    let mut latencies = Vec::new();
    clock.after(seconds(0.0), Event::Arrival);
    while latencies.len() < REQUESTS
        && let Some(event) = clock.next()
    {
        let now = clock.now;
        match event {
            Event::Arrival => {
                clock.after(seconds(rng.exponential() / 1e3), Event::Arrival);
                let Begin::Go(mut call) = edge.begin(now, &Ask::default()) else { panic!() };
                let pick = edge.pick(now, &mut call).unwrap();
                let is_slow = pick.endpoint.0 == 0;
                slow += u32::from(is_slow);
                let mean = if is_slow { SLOW_MS } else { USUAL_MS };
                let millis = mean * rng.exponential();
                number += 1;
                open.insert(number, (call, pick, millis));
                clock.after(seconds(millis / 1e3), Event::Answer(number));
            }
            Event::Answer(number) => {
                let (mut call, pick, millis) = open.remove(&number).unwrap();
                edge.answered(now, &mut call, &pick, Outcome::Ok);
                edge.released(pick);
                edge.finish(now, call, Outcome::Ok);
                latencies.push(millis);
            }
        }
    }
    (latencies, f64::from(slow) / REQUESTS as f64)
}

#[test]
fn the_slow_one_is_avoided() {
    let mut p99s = BTreeMap::new();
    for policy in [BalancePolicy::RoundRobin, BalancePolicy::LeastLoaded, BalancePolicy::PeakEwma] {
        let (mut latencies, slow) = run(policy);
        let p99 = quantile(&mut latencies, 0.99);
        println!("{policy:?}: p99 {p99:.1} ms, {:.2} % at the slow instance", slow * 100.0);
        p99s.insert(format!("{policy:?}"), p99);
    }
    // Theory for round robin: a tenth exponential of 100 ms, p99 near 100 ln 10 = 230 ms. Without the
    // slow one it would be 5 ln 100 = 23 ms.
    assert!((p99s["RoundRobin"] - 230.3).abs() < 15.0, "{p99s:?}");
    assert!(p99s["PeakEwma"] < 30.0, "{p99s:?}");
}
