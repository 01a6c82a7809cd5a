//! The power of two choices: many queues, each request to the shorter of two.

use std::collections::VecDeque;

use model::Rng;
use model::edge::{Balance, BalancePolicy, Resilience};
use traffic::{Ask, Begin, Call, Edge, Outcome, Pick, Split};

use crate::clock::{Clock, instances, mean, seconds};

/// Servers: the mean field is their number without end, and the error at n is of the order of 1/n.
const SERVERS: u32 = 300;
/// Requests, of which the first tenth, while queues fill, does not count.
const REQUESTS: usize = 300_000;

enum Event {
    Arrival,
    Departure(usize),
}

struct Request {
    call: Call,
    pick: Pick,
    arrived: f64,
}

/// Mean time in the system of Poisson arrivals at `load` for each of [`SERVERS`] exponential servers of
/// rate 1, in order of arrival at each.
fn time_in_system(load: f64, policy: BalancePolicy) -> f64 {
    let policy = Resilience {
        timeout: seconds(1e6),
        balance: Balance { policy, ..Balance::default() },
        ..Resilience::default()
    };
    let mut edge = Edge::new(&policy, Rng::new(3).child("edge"));
    let mut rng = Rng::new(3).child("load");
    let mut clock = Clock::new();
    edge.set_endpoints(&instances(SERVERS), &Split::default(), clock.now);
    let mut servers: Vec<VecDeque<Request>> = (0..SERVERS).map(|_| VecDeque::new()).collect();
    let mut times = Vec::new();
    clock.after(seconds(0.0), Event::Arrival);
    while times.len() < REQUESTS
        && let Some(event) = clock.next()
    {
        let now = clock.now;
        match event {
            Event::Arrival => {
                let gap = rng.exponential() / (load * f64::from(SERVERS));
                clock.after(seconds(gap), Event::Arrival);
                let Begin::Go(mut call) = edge.begin(now, &Ask::default()) else { panic!() };
                let pick = edge.pick(now, &mut call).unwrap();
                let server = pick.endpoint.0 as usize;
                let arrived = now.as_nanos() as f64 / 1e9;
                servers[server].push_back(Request { call, pick, arrived });
                if servers[server].len() == 1 {
                    clock.after(seconds(rng.exponential()), Event::Departure(server));
                }
            }
            Event::Departure(server) => {
                let Request { mut call, pick, arrived } = servers[server].pop_front().unwrap();
                edge.answered(now, &mut call, &pick, Outcome::Ok);
                edge.released(pick);
                edge.finish(now, call, Outcome::Ok);
                times.push(now.as_nanos() as f64 / 1e9 - arrived);
                if !servers[server].is_empty() {
                    clock.after(seconds(rng.exponential()), Event::Departure(server));
                }
            }
        }
    }
    mean(&times[REQUESTS / 10..])
}

/// Tolerance at 300 servers and 270 000 requests: 1/n for the mean field and five standard errors.
#[track_caller]
fn check(load: f64, expected: f64, tolerance: f64) {
    let mean = time_in_system(load, BalancePolicy::LeastLoaded);
    println!("d = 2, n = {SERVERS}, load {load}: {mean:.4}, mean field {expected}");
    assert!((mean / expected - 1.0).abs() < tolerance, "{mean} is not {expected}");
}

#[test]
fn two_choices_at_half_load() {
    check(0.5, 1.2657, 0.01);
}

#[test]
fn two_choices_at_four_fifths() {
    check(0.8, 1.9474, 0.015);
}

#[test]
fn two_choices_at_nine_tenths() {
    check(0.9, 2.6141, 0.025);
}
