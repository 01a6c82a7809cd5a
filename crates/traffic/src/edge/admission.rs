//! Who may go, who waits, who is turned away: limit, queue and priorities together.
//!
//! A waiting request has its fate settled here before its driver asks for it: the place it was given is
//! taken from that moment on, so that nobody slips in between.

use alloc::vec::Vec;
use core::time::Duration;

use model::Instant;
use model::edge::Resilience;

use crate::limit::Limit;
use crate::outcome::{Outcome, Refusal};
use crate::queue::{Queue, Waiting};
use crate::request::{Ask, Ticket};
use crate::shed;

/// What became of a request that wants a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// It has one.
    Taken,
    /// It waits, until then at most.
    Waiting(Ticket, Instant),
    /// It gets none.
    Refused(Refusal),
}

/// What a request that waited is told when it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It has a place.
    Go,
    /// Its time is up.
    TimedOut,
    /// It was displaced by a more important one, and nobody has told its driver yet.
    Displaced,
    /// So it was, and its driver knows.
    DisplacedTold,
}

/// Requests in flight, those that wait, and those that were called.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    limit: Limit,
    in_flight: u32,
    /// Requests that another data plane has in flight, and that the limit counts too.
    elsewhere: u32,
    queue: Queue,
    called: Vec<(Waiting, Fate)>,
}

impl Admission {
    pub(super) fn new(policy: &Resilience) -> Self {
        let queue = Queue::new(policy.queue.clone());
        Self { limit: Limit::new(policy), in_flight: 0, elsewhere: 0, queue, called: Vec::new() }
    }

    pub(super) fn set_policy(&mut self, policy: &Resilience) {
        self.limit.set_policy(policy);
        self.queue.set_policy(policy.queue.clone());
    }

    pub(super) const fn set_elsewhere(&mut self, in_flight: u32) {
        self.elsewhere = in_flight;
    }

    pub(super) fn limit(&self) -> Option<u32> {
        self.limit.get()
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A request wants a place.
    pub(super) fn enter(&mut self, now: Instant, ask: &Ask, deadline: Instant) -> Place {
        let Some(limit) = self.limit.get() else {
            self.in_flight += 1;
            return Place::Taken;
        };
        let places = shed::places(limit, ask.priority);
        if self.occupied() < places {
            self.in_flight += 1;
            return Place::Taken;
        }
        if places < limit {
            return Place::Refused(Refusal::Shed(ask.priority));
        }
        if !self.queue.has_room()
            && let Some(displaced) = self.queue.displace(ask)
        {
            self.called.push((displaced, Fate::Displaced));
        }
        match self.queue.push(now, ask, deadline) {
            Some(it) => Place::Waiting(it.ticket, it.until),
            None => Place::Refused(Refusal::Overloaded),
        }
    }

    /// A request with a place is over; whose turn it is.
    pub(super) fn leave(
        &mut self,
        now: Instant,
        outcome: Outcome,
        latency: Duration,
    ) -> Option<Ticket> {
        self.limit.on_outcome(now, outcome, latency, self.in_flight);
        self.give_back();
        self.call_next(now)
    }

    /// Places that are taken, here or elsewhere.
    const fn occupied(&self) -> u32 {
        self.in_flight.saturating_add(self.elsewhere)
    }

    /// A place is free again.
    pub(super) const fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Gives a free place to the one whose turn it is.
    fn call_next(&mut self, now: Instant) -> Option<Ticket> {
        if self.queue.len() == 0 || self.limit.get().is_some_and(|it| it <= self.occupied()) {
            return None;
        }
        let waiting = self.queue.pop(now)?;
        self.in_flight += 1;
        self.called.push((waiting, Fate::Go));
        Some(waiting.ticket)
    }

    /// Who should ask next: displaced, out of time, or in luck.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Ticket> {
        if let Some((waiting, fate)) =
            self.called.iter_mut().find(|(_, fate)| *fate == Fate::Displaced)
        {
            *fate = Fate::DisplacedTold;
            return Some(waiting.ticket);
        }
        if let Some(waiting) = self.queue.pop_expired(now) {
            self.called.push((waiting, Fate::TimedOut));
            return Some(waiting.ticket);
        }
        self.call_next(now)
    }

    /// A request that waited asks: what it asked for and since when, if it has a place.
    pub(super) fn settle(&mut self, now: Instant, ticket: Ticket) -> Result<(Ask, Instant), Place> {
        if let Some(place) = self.called.iter().position(|(it, _)| it.ticket == ticket) {
            let (waiting, fate) = self.called.swap_remove(place);
            return match fate {
                Fate::Go => Ok((waiting.ask, waiting.since)),
                Fate::TimedOut => Err(Place::Refused(Refusal::QueueTimeout)),
                Fate::Displaced | Fate::DisplacedTold => {
                    Err(Place::Refused(Refusal::Shed(waiting.ask.priority)))
                }
            };
        }
        match self.queue.get(ticket) {
            Some(it) if now < it.until => Err(Place::Waiting(ticket, it.until)),
            _ => {
                self.queue.remove(ticket);
                Err(Place::Refused(Refusal::QueueTimeout))
            }
        }
    }

    /// A request that waited went away, perhaps after it was called.
    pub(super) fn abandon(&mut self, ticket: Ticket) {
        self.queue.remove(ticket);
        if let Some(place) = self.called.iter().position(|(it, _)| it.ticket == ticket) {
            let (_, fate) = self.called.swap_remove(place);
            if fate == Fate::Go {
                self.give_back();
            }
        }
    }
}
