//! Where requests wait for a place below the limit.
//!
//! First come first served as long as the queue empties now and then. Once it has stood for as long as a
//! request may wait at all, who came first is about to give up, and serving those in order means serving
//! everybody too late: then the last come is served first, and the first ones time out. Source: Maurer,
//! "Fail at scale" (ACM Queue, 2015), adaptive LIFO, with `CoDel`'s test for a standing queue (Nichols and
//! Jacobson, 2012). More important requests come before less important ones in either order.

use alloc::collections::VecDeque;

use model::Instant;
use model::edge::Queue as Policy;

use crate::request::{Ask, Ticket};

/// A request that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    pub(crate) ask: Ask,
    pub(crate) since: Instant,
    pub(crate) until: Instant,
}

/// Requests that wait, in order of arrival.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    policy: Policy,
    waiting: VecDeque<Waiting>,
    next: u64,
    /// When it was empty last.
    empty_at: Instant,
}

impl Queue {
    pub(crate) const fn new(policy: Policy) -> Self {
        Self { policy, waiting: VecDeque::new(), next: 0, empty_at: Instant::ZERO }
    }

    /// Another policy from now on; those that wait keep their time.
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether one more may wait.
    pub(crate) fn has_room(&self) -> bool {
        u32::try_from(self.waiting.len()).is_ok_and(|it| it < self.policy.length)
    }

    /// One more waits, if there is room; never past `deadline`.
    pub(crate) fn push(&mut self, now: Instant, ask: &Ask, deadline: Instant) -> Option<Waiting> {
        if !self.has_room() {
            return None;
        }
        if self.waiting.is_empty() {
            self.empty_at = now;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        let until = now.after(self.policy.wait).min(deadline);
        let waiting = Waiting { ticket, ask: *ask, since: now, until };
        self.waiting.push_back(waiting);
        Some(waiting)
    }

    /// The one whose turn it is, of those whose time is not up.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Waiting> {
        let is_standing = self.policy.wait <= now.since(self.empty_at);
        let able = self.waiting.iter().enumerate().filter(|(_, it)| now < it.until);
        let place = able.reduce(|best, it| {
            let (first, other) = (best.1.ask.priority, it.1.ask.priority);
            if first < other || (first == other && is_standing) { it } else { best }
        });
        let place = place?.0;
        self.waiting.remove(place)
    }

    /// One whose time is up.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Waiting> {
        let place = self.waiting.iter().position(|it| it.until <= now)?;
        self.waiting.remove(place)
    }

    /// The least important one, if it is less important than `ask`: the last come of those.
    pub(crate) fn displace(&mut self, ask: &Ask) -> Option<Waiting> {
        let places = self.waiting.iter().enumerate();
        let (place, least) =
            places.reduce(
                |least, it| {
                    if it.1.ask.priority <= least.1.ask.priority { it } else { least }
                },
            )?;
        if least.ask.priority < ask.priority { self.waiting.remove(place) } else { None }
    }

    /// That one, if it waits.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let place = self.waiting.iter().position(|it| it.ticket == ticket)?;
        self.waiting.remove(place)
    }

    /// That one, if it waits.
    pub(crate) fn get(&self, ticket: Ticket) -> Option<&Waiting> {
        self.waiting.iter().find(|it| it.ticket == ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::time::Duration;
    use model::route::Priority;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn queue(length: u32) -> Queue {
        Queue::new(Policy { length, wait: Duration::from_millis(100) })
    }

    fn push(queue: &mut Queue, millis: u64, priority: Priority) -> Option<u64> {
        let ask = Ask { priority, ..Ask::default() };
        queue.push(at(millis), &ask, at(10_000)).map(|it| it.ticket.0)
    }

    /// The order in which three that came at 0, 10 and 20 ms are served from `millis` on.
    fn check(mut queue: Queue, millis: u64) -> Vec<u64> {
        core::iter::from_fn(|| queue.pop(at(millis))).map(|it| it.ticket.0).collect()
    }

    #[test]
    fn fresh_it_is_first_in_first_out_and_standing_last_in_first_out() {
        let mut fresh = queue(3);
        for millis in [0, 10, 20] {
            assert!(push(&mut fresh, millis, Priority::Normal).is_some());
        }
        assert_eq!(push(&mut fresh, 20, Priority::Normal), None);
        assert_eq!(check(fresh.clone(), 99), [0, 1, 2]);
        // At 100 ms the first one's time is up, and the queue has stood for as long as anybody waits.
        assert_eq!(check(fresh.clone(), 100), [2, 1]);
        assert_eq!(check(fresh, 110), [2]);
    }

    #[test]
    fn more_important_ones_come_first_and_displace_others() {
        let mut queue = queue(3);
        for priority in [Priority::Normal, Priority::Low, Priority::Critical] {
            assert!(push(&mut queue, 0, priority).is_some());
        }
        assert_eq!(check(queue.clone(), 1), [2, 0, 1]);
        let normal = Ask::default();
        assert_eq!(queue.displace(&normal).map(|it| it.ticket.0), Some(1));
        assert!(queue.displace(&normal).is_none());
    }

    #[test]
    fn nobody_waits_past_the_deadline() {
        let mut queue = queue(3);
        let waiting = queue.push(at(0), &Ask::default(), at(40)).unwrap();
        assert_eq!(waiting.until, at(40));
        assert!(queue.pop_expired(at(39)).is_none());
        assert!(queue.pop(at(40)).is_none());
        assert_eq!(queue.pop_expired(at(40)).map(|it| it.ticket), Some(waiting.ticket));
    }
}
