//! An M/M/1 queue at .8 in nexosim, as one model with two kinds of events and one thread: the least it can do.
//!
//! `cargo run --release -- SECONDS` plays so many virtual seconds at 800 requests a second, and prints events per second, and the
//! mean time in the system, which is 5 ms.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nexosim::model::{Context, Model, schedulable};
use nexosim::ports::EventSource;
use nexosim::simulation::{Mailbox, SimInit, SimulationError};
use nexosim::time::MonotonicTime;
use serde::{Deserialize, Serialize};

static EVENTS: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);
static SPENT_NANOS: AtomicU64 = AtomicU64::new(0);

#[derive(Serialize, Deserialize)]
struct Queue {
    present: VecDeque<Duration>,
    random: u64,
    events: u64,
    done: u64,
    spent: u64,
}

#[Model]
impl Queue {
    pub fn begin(&mut self, (): (), context: &Context<Self>) {
        self.next_arrival(context);
    }

    #[nexosim(schedulable)]
    fn arrive(&mut self, (): (), context: &Context<Self>) {
        self.events += 1;
        self.present.push_back(since(context));
        if self.present.len() == 1 {
            self.next_departure(context);
        }
        self.next_arrival(context);
    }

    #[nexosim(schedulable)]
    fn depart(&mut self, (): (), context: &Context<Self>) {
        self.events += 1;
        self.done += 1;
        if let Some(arrived) = self.present.pop_front() {
            self.spent += (since(context) - arrived).as_nanos() as u64;
        }
        if !self.present.is_empty() {
            self.next_departure(context);
        }
        // Whoever asks at the end has no other way in.
        EVENTS.store(self.events, Ordering::Relaxed);
        DONE.store(self.done, Ordering::Relaxed);
        SPENT_NANOS.store(self.spent, Ordering::Relaxed);
    }
}

impl Queue {
    fn next_arrival(&mut self, context: &Context<Self>) {
        let pause = self.exponential(1.0 / 800.0);
        let _ = context.schedule_event(pause, schedulable!(Self::arrive), ());
    }

    fn next_departure(&mut self, context: &Context<Self>) {
        let work = self.exponential(0.001);
        let _ = context.schedule_event(work, schedulable!(Self::depart), ());
    }

    fn exponential(&mut self, mean: f64) -> Duration {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::from_nanos((-mean * (1.0 - unit).ln() * 1e9) as u64 + 1)
    }
}

fn since(context: &Context<Queue>) -> Duration {
    context.time().duration_since(MonotonicTime::EPOCH)
}

fn main() -> Result<(), SimulationError> {
    let seconds: u64 = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(1_000);
    let queue = Queue { present: VecDeque::new(), random: 1, events: 0, done: 0, spent: 0 };
    let mailbox = Mailbox::new();
    let mut bench = SimInit::with_num_threads(1);
    let begin = EventSource::new().connect(Queue::begin, &mailbox).register(&mut bench);
    let mut simulation = bench.add_model(queue, mailbox, "queue").init(MonotonicTime::EPOCH)?;
    simulation.process_event(&begin, ())?;
    let began = Instant::now();
    simulation.step_until(Duration::from_secs(seconds))?;
    let took = began.elapsed().as_secs_f64();
    let (events, done) = (EVENTS.load(Ordering::Relaxed), DONE.load(Ordering::Relaxed));
    let mean = SPENT_NANOS.load(Ordering::Relaxed) as f64 / done.max(1) as f64 / 1e6;
    println!("{{\"events\": {events}, \"seconds\": {took}, \"events_per_s\": {}, \"mean_ms\": {mean}}}", events as f64 / took);
    Ok(())
}
