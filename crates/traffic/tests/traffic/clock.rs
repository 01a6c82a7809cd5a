//! A tiny event loop: what happens next, and when.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use model::{Instant, ReleaseNumber};
use traffic::{EndpointId, EndpointSpec};

/// Events in order of time, those of one moment in the order they were made.
pub(crate) struct Clock<E> {
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    events: BTreeMap<u64, E>,
    made: u64,
    pub(crate) now: Instant,
}

impl<E> Clock<E> {
    pub(crate) fn new() -> Self {
        Self { queue: BinaryHeap::new(), events: BTreeMap::new(), made: 0, now: Instant::ZERO }
    }

    pub(crate) fn after(&mut self, delay: Duration, event: E) {
        self.at(self.now.after(delay), event);
    }

    pub(crate) fn at(&mut self, when: Instant, event: E) {
        self.queue.push(Reverse((when, self.made)));
        self.events.insert(self.made, event);
        self.made += 1;
    }

    /// The next event; time goes on to when it happens.
    pub(crate) fn next(&mut self) -> Option<E> {
        let Reverse((when, number)) = self.queue.pop()?;
        self.now = when;
        self.events.remove(&number)
    }
}

/// Instances 0 to `count`, ready from the beginning.
pub(crate) fn instances(count: u32) -> Vec<EndpointSpec> {
    let release = ReleaseNumber(1);
    let ready_at = Instant::ZERO;
    let spec = |id| EndpointSpec { id: EndpointId(id), release, weight: 1, zone: 0, ready_at };
    (0..count).map(spec).collect()
}

/// Seconds as a duration.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// The value below which `share` of `values` are.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len() as f64 * share;
    let below = (1..values.len()).take_while(|it| (*it as f64) < last).count();
    values.get(below).copied().unwrap_or(f64::NAN)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
