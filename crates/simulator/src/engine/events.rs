//! What happens next: one heap for what comes at any time, and one ring for each usual length of a timer.
//!
//! A timer of a usual length ends after every one of that length that was set before, so that a queue is enough for
//! it: no comparison, and none of the heap's memory is taken by timers that are cancelled, as most are. A cancelled one
//! stays where it is until its time; whoever it is for knows that it is not meant any more, since what it waits for
//! carries the time it waits until.
//!
//! Source: the figures behind it are in `BENCHMARKS.md`; "hashed and hierarchical timing wheels" (Varghese and Lauck,
//! 1987) are the general case of which this is the simplest.

use std::collections::VecDeque;

/// Children of a heap's node: four keys of 16 bytes are one cache line.
const ARITY: usize = 4;

/// A kind of event, and what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) kind: Kind,
    /// A place in the pool the kind is about.
    pub(super) of: u32,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A kind of users sends its next request.
    Arrival,
    /// A user has thought enough.
    Thought,
    /// A user tries again.
    Again,
    /// A request reaches an instance.
    Reached,
    /// An instance has worked on a request.
    Worked,
    /// An instance whose processors are shared is done with the next one.
    Shared,
    /// An answer, or the news that there is none, reaches the caller.
    Answered,
    /// A request has waited at an instance as long as it does.
    Reneged,
    /// An attempt's time is up.
    TimedOut,
    /// A call has paused before its next attempt.
    Paused,
    /// A second request is due.
    Hedged,
    /// A call has waited for a place on its edge as long as it may.
    Waited,
    /// An instance does some work of its own.
    Background,
    /// A fault begins or ends.
    Fault,
    /// Something of the fleet is due.
    Fleet,
    /// A bucket of the timeline is full.
    Bucket,
}

const KINDS: [Kind; 16] = [
    Kind::Arrival,
    Kind::Thought,
    Kind::Again,
    Kind::Reached,
    Kind::Worked,
    Kind::Shared,
    Kind::Answered,
    Kind::Reneged,
    Kind::TimedOut,
    Kind::Paused,
    Kind::Hedged,
    Kind::Waited,
    Kind::Background,
    Kind::Fault,
    Kind::Fleet,
    Kind::Bucket,
];

/// Bits of a key for the place; 268 million requests at once are more than memory holds.
const OF_BITS: u32 = 28;
/// Places are below this.
pub(super) const OF_MAX: u32 = 1 << OF_BITS;

/// A ring of timers of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring(u32);

/// The events that are to come. Of two at the same time the one that was arranged first comes first, and those of the
/// heap before those of rings.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Time, then order, then kind and place.
    heap: Vec<u128>,
    order: u32,
    rings: Vec<(u64, VecDeque<(u64, u32)>)>,
    /// The earliest of the rings' heads.
    due: u64,
    due_ring: usize,
}

impl Events {
    /// Nothing is to come.
    pub(super) fn new() -> Self {
        Self { due: u64::MAX, ..Self::default() }
    }

    /// Something will happen at a time, in nanoseconds.
    pub(super) fn push(&mut self, at: u64, kind: Kind, of: u32) {
        self.order = self.order.wrapping_add(1);
        let low = u64::from(self.order) << 32 | u64::from(kind as u8) << OF_BITS | u64::from(of);
        let key = u128::from(at) << 64 | u128::from(low);
        let mut place = self.heap.len();
        self.heap.push(key);
        while 0 < place {
            let parent = (place - 1) / ARITY;
            if self.heap[parent] <= key {
                break;
            }
            self.heap[place] = self.heap[parent];
            place = parent;
        }
        self.heap[place] = key;
    }

    /// The ring of timers of a length, which is made if there is none.
    pub(super) fn ring(&mut self, length: u64) -> Ring {
        let found = self.rings.iter().position(|it| it.0 == length);
        let place = found.unwrap_or_else(|| {
            self.rings.push((length, VecDeque::new()));
            self.rings.len() - 1
        });
        Ring(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// An attempt's time ([`Kind::TimedOut`]) is up after the ring's length.
    pub(super) fn time_out(&mut self, now: u64, ring: Ring, of: u32) {
        let Some((length, ring_of)) = self.rings.get_mut(ring.0 as usize) else { return };
        let at = now.saturating_add(*length);
        ring_of.push_back((at, of));
        if ring_of.len() == 1 && at < self.due {
            (self.due, self.due_ring) = (at, ring.0 as usize);
        }
    }

    /// The next event up to a time. `is_meant` says whether an attempt's time, at which it ends, is still meant: those that are
    /// not are forgotten without ado.
    pub(super) fn pop(
        &mut self,
        until: u64,
        is_meant: impl Fn(u64, u32) -> bool,
    ) -> Option<(u64, Event)> {
        loop {
            let first = self.heap.first().map_or(u64::MAX, |key| high(*key));
            if self.due < first {
                if until < self.due {
                    return None;
                }
                let (at, of) = self.pop_ring()?;
                if is_meant(at, of) {
                    return Some((at, Event { kind: Kind::TimedOut, of }));
                }
                continue;
            }
            if until < first {
                return None;
            }
            return self.pop_heap();
        }
    }

    fn pop_ring(&mut self) -> Option<(u64, u32)> {
        let popped = self.rings.get_mut(self.due_ring)?.1.pop_front();
        (self.due, self.due_ring) = (u64::MAX, 0);
        for (place, (_, ring)) in self.rings.iter().enumerate() {
            if let Some((at, _)) = ring.front()
                && *at < self.due
            {
                (self.due, self.due_ring) = (*at, place);
            }
        }
        popped
    }

    fn pop_heap(&mut self) -> Option<(u64, Event)> {
        let last = self.heap.pop()?;
        let Some(first) = self.heap.first().copied() else { return Some(event(last)) };
        let mut place = 0;
        let len = self.heap.len();
        loop {
            let child = ARITY * place + 1;
            if len <= child {
                break;
            }
            let mut least = child;
            let mut least_key = self.heap[child];
            for other in child + 1..(child + ARITY).min(len) {
                let key = self.heap[other];
                if key < least_key {
                    (least, least_key) = (other, key);
                }
            }
            if last <= least_key {
                break;
            }
            self.heap[place] = least_key;
            place = least;
        }
        self.heap[place] = last;
        Some(event(first))
    }
}

const fn high(key: u128) -> u64 {
    (key >> 64) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the parts of a key")]
fn event(key: u128) -> (u64, Event) {
    let low = key as u32;
    let kind = KINDS[(low >> OF_BITS) as usize % KINDS.len()];
    (high(key), Event { kind, of: low & (OF_MAX - 1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn in_order_of_time_and_then_of_arrangement(
            steps in prop::collection::vec((0_u8..4, 0_u64..1_000), 1..400),
        ) {
            let mut events = Events::new();
            let rings = [events.ring(50), events.ring(7)];
            let mut expected: Vec<(u64, u8, u32)> = Vec::new();
            let mut now = 0;
            for (of, (what, more)) in steps.into_iter().enumerate() {
                let of = u32::try_from(of).unwrap();
                match what {
                    0 | 1 => {
                        events.push(now + more, Kind::Worked, of);
                        expected.push((now + more, 0, of));
                    }
                    2 => {
                        let ring = usize::from(more % 2 == 0);
                        events.time_out(now, rings[ring], of);
                        expected.push((now + [50, 7][ring], 1, of));
                    }
                    _ => {
                        // Every third timer is not meant any more.
                        let popped = events.pop(now + more, |_, of| of % 3 != 0);
                        expected.sort_by_key(|it| (it.0, it.1));
                        let meant = |it: &&(u64, u8, u32)| it.1 == 0 || !it.2.is_multiple_of(3);
                        let next = expected.iter().find(meant).copied();
                        if let Some((at, event)) = popped {
                            prop_assert!(now <= at && at <= now + more);
                            let place = expected.iter().position(|it| it.2 == event.of).unwrap();
                            prop_assert_eq!(Some(at), next.map(|it| it.0));
                            prop_assert_eq!(event.kind == Kind::TimedOut, expected[place].1 == 1);
                            expected.remove(place);
                            now = at;
                        } else {
                            prop_assert!(next.is_none_or(|it| now + more < it.0));
                            now += more;
                        }
                        expected.retain(|it| now <= it.0 || it.1 == 0 || it.2 % 3 != 0);
                    }
                }
            }
        }
    }

    #[test]
    fn a_key_is_what_it_was_made_of() {
        let mut events = Events::new();
        for kind in KINDS {
            events.push(u64::MAX - 1, kind, OF_MAX - 1);
            let popped = events.pop(u64::MAX, |_, _| true);
            assert_eq!(popped, Some((u64::MAX - 1, Event { kind, of: OF_MAX - 1 })));
        }
    }
}
