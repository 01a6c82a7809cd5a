//! A burst that never ends, after Brooker, "Fixing retries with token buckets and circuit breakers"
//! (2022): a service whose latency grows with what it has in hand, callers who give up after three
//! seconds while the work goes on, and three attempts each.
//!
//! Latency is 1 + 0.01 c seconds at c requests in hand. At 40 requests a second that settles at c = 66.7.
//! Eighty a second for eight seconds push it past three seconds, where every request costs three
//! attempts and none is answered in time any more, though the load is back at what it bore before.

use std::collections::BTreeMap;
use std::time::Duration;

use model::edge::{CircuitBreaker, Resilience, Retry};
use model::units::Share;
use model::{Instant, Rng};
use traffic::{Ask, Begin, Call, Edge, Next, Outcome, Pick, Split};

use crate::clock::{Clock, instances, seconds};

const TIMEOUT: Duration = Duration::from_secs(3);
const END: f64 = 60.0;

enum Event {
    Arrival,
    /// The service is done with an attempt, whether anybody waits for it or not.
    Done(u64),
    GaveUp(u64),
    Again(u64),
}

struct Model {
    edge: Edge,
    clock: Clock<Event>,
    rng: Rng,
    in_hand: u32,
    number: u64,
    calls: BTreeMap<u64, (Call, Option<Pick>)>,
    /// Answers in time, by the second.
    good: BTreeMap<u64, u32>,
}

impl Model {
    fn attempt(&mut self, number: u64) {
        let now = self.clock.now;
        let Some((call, slot)) = self.calls.get_mut(&number) else { return };
        let Ok(pick) = self.edge.pick(now, call) else { panic!() };
        *slot = Some(pick);
        self.in_hand += 1;
        let latency = 1.0 + 0.01 * f64::from(self.in_hand);
        // A number of its own for each attempt: the call's, and how many it has made.
        let attempt = number * 8 + u64::from(call.attempts());
        self.clock.after(seconds(latency), Event::Done(attempt));
        self.clock.after(TIMEOUT, Event::GaveUp(attempt));
    }

    fn end(&mut self, attempt: u64, outcome: Outcome) {
        let (number, made) = (attempt / 8, attempt % 8);
        let now = self.clock.now;
        let Some((call, slot)) = self.calls.get_mut(&number) else { return };
        let is_current = u64::from(call.attempts()) == made;
        let Some(pick) = slot.take_if(|_| is_current) else { return };
        let next = self.edge.answered(now, call, &pick, outcome);
        self.edge.released(pick);
        if let Next::Retry { after, .. } = next {
            self.clock.after(after, Event::Again(number));
            return;
        }
        let Some((call, _)) = self.calls.remove(&number) else { return };
        self.edge.finish(now, call, outcome);
        if outcome == Outcome::Ok {
            *self.good.entry(now.as_nanos() / 1_000_000_000).or_default() += 1;
        }
    }

    fn arrival(&mut self) {
        let now = self.clock.now;
        let second = now.since(Instant::ZERO).as_secs_f64();
        let rate = if (20.0..28.0).contains(&second) { 80.0 } else { 40.0 };
        self.clock.after(seconds(self.rng.exponential() / rate), Event::Arrival);
        let ask = Ask { idempotent: true, ..Ask::default() };
        let Begin::Go(call) = self.edge.begin(now, &ask) else { panic!() };
        self.number += 1;
        self.calls.insert(self.number, (call, None));
        self.attempt(self.number);
    }
}

/// Good answers a second before the burst, and in the last twenty seconds.
fn goodput(retry: Retry) -> (f64, f64) {
    let policy = Resilience {
        timeout: seconds(1e4),
        retry: Retry { attempts: 2, attempt_timeout: Some(TIMEOUT), ..retry },
        circuit_breaker: CircuitBreaker { consecutive_errors: 0, ..CircuitBreaker::default() },
        ..Resilience::default()
    };
    let rng = Rng::new(4);
    let mut edge = Edge::new(&policy, rng.child("edge"));
    edge.set_endpoints(&instances(1), &Split::default(), Instant::ZERO);
    let clock = Clock::new();
    let (calls, good) = (BTreeMap::new(), BTreeMap::new());
    let mut model =
        Model { edge, clock, rng: rng.child("load"), in_hand: 0, number: 0, calls, good };
    model.clock.after(Duration::ZERO, Event::Arrival);
    while let Some(event) = model.clock.next() {
        if seconds(END) <= model.clock.now.since(Instant::ZERO) {
            break;
        }
        match event {
            Event::Arrival => model.arrival(),
            Event::Done(attempt) => {
                model.in_hand -= 1;
                model.end(attempt, Outcome::Ok);
            }
            Event::GaveUp(attempt) => model.end(attempt, Outcome::AttemptTimeout),
            Event::Again(number) => model.attempt(number),
        }
    }
    let good = |from: u64, to: u64| {
        f64::from(model.good.range(from..to).map(|it| it.1).sum::<u32>()) / (to - from) as f64
    };
    (good(10, 20), good(40, 60))
}

#[test]
fn retries_without_bounds_keep_it_down_and_a_budget_lets_it_up() {
    let at_once = Retry { backoff: Duration::ZERO, budget: Share::ALL, ..Retry::default() };
    let (before, after) = goodput(at_once.clone());
    println!("at once, no budget: {before:.1}/s before, {after:.1}/s after");
    assert!(34.0 < before && after < 1.0, "{before} {after}");

    let (before, after) = goodput(Retry { budget: Share::from_percent(10), ..at_once });
    println!("at once, budget 10 %: {before:.1}/s before, {after:.1}/s after");
    assert!(34.0 < before && 36.0 < after, "{before} {after}");
}
