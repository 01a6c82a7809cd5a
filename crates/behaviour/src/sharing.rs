//! Processor sharing: all requests at an instance are worked on at once, each the slower the more there are.
//!
//! Counted in attained work: as much as any request would have got that was there since the instance was
//! last idle. A request is done when that has grown by its own work, so that an arrival or a departure changes
//! the pace and not one of the ends, and each costs a logarithm instead of a visit to everybody.

use alloc::collections::BTreeMap;
use core::time::Duration;

use model::Instant;

use crate::work_time::nanos;

/// The requests that share an instance's processors. A `T` is whatever the driver needs to go on with one.
#[derive(Clone, Debug)]
pub struct Sharing<T> {
    processors: f64,
    /// What each processor does in a time, as a share of the usual.
    speed: f64,
    /// Nanoseconds of work each has got that was there all the time, up to `updated`.
    attained: f64,
    updated: Instant,
    numbered: u64,
    /// In the order in which they are done. The first of the key is the bits of the attained work at which
    /// they are; those of numbers that are not negative are ordered as the numbers are.
    jobs: BTreeMap<(u64, u64), T>,
}

/// A request among those that share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job((u64, u64));

/// Nanoseconds by which work may fall short of being done: what is lost to rounding on the way.
const ROUNDING: f64 = 0.5;

impl<T> Sharing<T> {
    /// Nobody there. `processors` of 0 are taken as 1: nothing would ever be done otherwise.
    pub fn new(processors: u32) -> Self {
        Self {
            processors: f64::from(processors.max(1)),
            speed: 1.0,
            attained: 0.0,
            updated: Instant::ZERO,
            numbered: 0,
            jobs: BTreeMap::new(),
        }
    }

    /// From now on processors are so fast: 1 is as usual, and it is above 0.
    pub fn set_speed(&mut self, now: Instant, speed: f64) {
        self.update(now);
        self.speed = speed;
    }

    /// A request arrived that needs so much work.
    pub fn on_arrival(&mut self, now: Instant, work: Duration, ticket: T) -> Job {
        self.update(now);
        if self.jobs.is_empty() {
            self.attained = 0.0;
        }
        self.numbered += 1;
        let job = ((self.attained + nanos(work)).to_bits(), self.numbered);
        self.jobs.insert(job, ticket);
        Job(job)
    }

    /// A request left before it was done.
    pub fn on_left(&mut self, now: Instant, job: Job) -> Option<T> {
        self.update(now);
        self.jobs.remove(&job.0)
    }

    /// A request that is done by `now`; asked again until there is none.
    pub fn take_done(&mut self, now: Instant) -> Option<T> {
        self.update(now);
        let first = self.jobs.first_entry()?;
        let done = f64::from_bits(first.key().0) <= self.attained + ROUNDING;
        done.then(|| first.remove())
    }

    /// When the next is done, if nobody arrives or leaves before.
    pub fn deadline(&self) -> Option<Instant> {
        let ((end, _), _) = self.jobs.first_key_value()?;
        let left = (f64::from_bits(*end) - self.attained).max(0.0) / self.pace();
        Some(self.updated.after(crate::work_time::from_nanos(libm::ceil(left))))
    }

    /// Requests there.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Work each gets in a time, as a share of it.
    fn pace(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "there are never 2^53 requests")]
        let jobs = self.jobs.len() as f64;
        (self.processors / jobs.max(1.0)).min(1.0) * self.speed
    }

    fn update(&mut self, now: Instant) {
        self.attained += nanos(now.since(self.updated)) * self.pace();
        self.updated = self.updated.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// Who is done when, in milliseconds, of those that arrive at a time with so much work.
    fn run(processors: u32, arrivals: &[(u64, u64)]) -> Vec<(usize, u64)> {
        let mut sharing = Sharing::new(processors);
        let mut arrivals = arrivals.iter().enumerate().peekable();
        let mut done = Vec::new();
        loop {
            let next = arrivals.peek().map(|(_, (arrival, _))| at(*arrival));
            let end = sharing.deadline();
            match (next, end) {
                (None, None) => return done,
                (Some(next), end) if end.is_none_or(|it| next < it) => {
                    let (number, (_, work)) = arrivals.next().unwrap();
                    sharing.on_arrival(next, Duration::from_millis(*work), number);
                }
                (_, end) => {
                    let now = end.unwrap();
                    while let Some(number) = sharing.take_done(now) {
                        // Each end is rounded up to a nanosecond.
                        done.push((number, (now.as_nanos() + 500_000) / 1_000_000));
                    }
                }
            }
        }
    }

    #[test]
    fn work_is_shared_evenly() {
        // Alone for 10 ms, then two for 40 ms until the second is done, then alone again.
        assert_eq!(run(1, &[(0, 40), (10, 20)]), [(1, 50), (0, 60)]);
        // Nobody gets more than one processor.
        assert_eq!(run(2, &[(0, 40), (10, 20)]), [(1, 30), (0, 40)]);
        // Three on two: each at two thirds.
        assert_eq!(run(2, &[(0, 20), (0, 20), (0, 20)]), [(0, 30), (1, 30), (2, 30)]);
    }

    #[test]
    fn who_leaves_gives_way() {
        let mut sharing = Sharing::new(1);
        let ms = Duration::from_millis;
        let leaves = sharing.on_arrival(at(0), ms(100), 'a');
        sharing.on_arrival(at(0), ms(30), 'b');
        assert_eq!(sharing.deadline(), Some(at(60)));
        assert_eq!(sharing.on_left(at(20), leaves), Some('a'));
        assert_eq!(sharing.on_left(at(20), leaves), None);
        assert_eq!((sharing.deadline(), sharing.len()), (Some(at(40)), 1));
        assert_eq!(sharing.take_done(at(39)), None);
        assert_eq!(sharing.take_done(at(40)), Some('b'));
        assert!(sharing.is_empty());
    }

    proptest! {
        /// One processor that never idles while there is work is done when all work is.
        #[test]
        fn no_work_is_lost(arrivals in prop::collection::vec((0_u64..20, 1_u64..50), 1..30)) {
            let mut arrivals = arrivals;
            arrivals.sort_unstable();
            let busy_until = arrivals.iter().fold(0, |end: u64, (arrival, work)| end.max(*arrival) + work);
            let done = run(1, &arrivals);
            prop_assert_eq!(done.len(), arrivals.len());
            prop_assert_eq!(done.last().unwrap().1, busy_until);
        }
    }
}
