//! Who may work at once: at most so many requests, the rest in order of arrival, and no more of
//! those than a queue holds.

use alloc::collections::VecDeque;
use core::time::Duration;

use model::Instant;

/// What becomes of a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is worked on at once.
    Admitted,
    /// It waits; [`Admission::on_done`] hands its ticket back.
    Queued,
    /// As many wait as may; it is answered with an error.
    Rejected,
}

/// A request that waited and is worked on from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started<T> {
    /// What it arrived with.
    pub ticket: T,
    /// How long it waited.
    pub waited: Duration,
}

/// The requests at one instance. A `T` is whatever the driver needs to go on with one that waited.
///
/// Requests wait only while `limit` are worked on, and never more than `queue_max` of them.
#[derive(Clone, Debug)]
pub struct Admission<T> {
    limit: Option<u32>,
    queue_max: usize,
    working: u32,
    waiting: VecDeque<(T, Instant)>,
}

impl<T> Admission<T> {
    /// Nobody there. A `limit` of 0 is taken as 1: nothing would ever be answered otherwise.
    pub fn new(limit: Option<u32>, queue_max: usize) -> Self {
        let limit = limit.map(|it| it.max(1));
        Self { limit, queue_max, working: 0, waiting: VecDeque::new() }
    }

    /// A request arrived. `ticket` is only called when it has to wait.
    pub fn on_arrival(&mut self, now: Instant, ticket: impl FnOnce() -> T) -> Arrival {
        if self.limit.is_none_or(|limit| self.working < limit) {
            self.working = self.working.saturating_add(1);
            Arrival::Admitted
        } else if self.waiting.len() < self.queue_max {
            self.waiting.push_back((ticket(), now));
            Arrival::Queued
        } else {
            Arrival::Rejected
        }
    }

    /// A request that was worked on is done. Whoever waited longest is worked on in its place, and
    /// is done in turn when it is, even if it turns out that nobody waits for it any more.
    pub fn on_done(&mut self, now: Instant) -> Option<Started<T>> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.working = self.working.saturating_sub(1);
        }
        next.map(|(ticket, since)| Started { ticket, waited: now.since(since) })
    }

    /// Those that wait and are `gone` leave, and their places are free.
    pub fn forget(&mut self, gone: impl Fn(&T) -> bool) {
        self.waiting.retain(|(ticket, _)| !gone(ticket));
    }

    /// Requests worked on.
    pub const fn working(&self) -> u32 {
        self.working
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Requests that may wait.
    pub const fn queue_max(&self) -> usize {
        self.queue_max
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

    #[test]
    fn first_come_first_served_and_the_queue_is_bounded() {
        let mut admission = Admission::new(Some(1), 2);
        assert_eq!(admission.on_arrival(at(0), || 'a'), Arrival::Admitted);
        assert_eq!(admission.on_arrival(at(1), || 'b'), Arrival::Queued);
        assert_eq!(admission.on_arrival(at(2), || 'c'), Arrival::Queued);
        assert_eq!(admission.on_arrival(at(3), || 'd'), Arrival::Rejected);
        let waited = Duration::from_millis(9);
        assert_eq!(admission.on_done(at(10)), Some(Started { ticket: 'b', waited }));
        assert_eq!(admission.on_arrival(at(10), || 'e'), Arrival::Queued);
        assert_eq!(admission.on_done(at(11)).map(|it| it.ticket), Some('c'));
        assert_eq!(admission.on_done(at(11)).map(|it| it.ticket), Some('e'));
        assert_eq!(admission.on_done(at(11)), None);
        assert_eq!((admission.working(), admission.waiting()), (0, 0));
    }

    #[test]
    fn who_leaves_frees_a_place() {
        let mut admission = Admission::new(Some(1), 2);
        for (arriving, arrival) in
            [('a', Arrival::Admitted), ('b', Arrival::Queued), ('c', Arrival::Queued)]
        {
            assert_eq!(admission.on_arrival(at(0), || arriving), arrival);
        }
        admission.forget(|it| *it == 'b');
        assert_eq!(admission.on_arrival(at(1), || 'd'), Arrival::Queued);
        assert_eq!(admission.on_done(at(2)).map(|it| it.ticket), Some('c'));
        assert_eq!(admission.on_done(at(2)).map(|it| it.ticket), Some('d'));
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let mut admission = Admission::new(None, 0);
        for _ in 0..10_000 {
            assert_eq!(admission.on_arrival(at(0), || ()), Arrival::Admitted);
        }
    }

    proptest! {
        #[test]
        fn whoever_arrives_works_waits_or_is_rejected(limit in 1_u32..5, queue_max in 0_usize..5, arrivals in prop::collection::vec(any::<bool>(), 0..200)) {
            let mut admission = Admission::new(Some(limit), queue_max);
            let mut queued = Vec::new();
            let mut started = Vec::new();
            for (number, arrives) in arrivals.into_iter().enumerate() {
                if arrives {
                    if admission.on_arrival(Instant::ZERO, || number) == Arrival::Queued {
                        queued.push(number);
                    }
                } else if 0 < admission.working() {
                    started.extend(admission.on_done(Instant::ZERO).map(|it| it.ticket));
                }
                prop_assert!(admission.working() <= limit);
                prop_assert!(admission.waiting() <= queue_max);
                prop_assert!(admission.waiting() == 0 || admission.working() == limit);
            }
            prop_assert_eq!(&queued[..started.len()], &started[..]);
        }
    }
}
