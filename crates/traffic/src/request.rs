//! One request as the decisions see it: what is asked, the call it becomes, its picks.

use core::time::Duration;

use model::route::Priority;
use model::{Instant, ReleaseNumber};
use serde::{Deserialize, Serialize};

use crate::deadline::DeadlineBy;
use crate::endpoint::EndpointId;
use crate::outcome::{Refusal, words};

/// What a request brings with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Hash of what requests are told apart by; keeps them at one instance or release where asked for.
    pub key: Option<u64>,
    /// The release it must go to, because a header said so.
    pub release: Option<ReleaseNumber>,
    /// What goes first when there is too much.
    pub priority: Priority,
    /// Whether doing it twice is the same as doing it once.
    pub idempotent: bool,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Who has set that.
    #[serde(default, skip_serializing_if = "DeadlineBy::is_others")]
    pub deadline_by: DeadlineBy,
}

impl Ask {
    /// When the caller stops waiting, and who has set that.
    pub(crate) fn callers(&self) -> Option<(Instant, DeadlineBy)> {
        self.deadline.map(|it| (it, self.deadline_by))
    }
}

/// What becomes of a request that arrives.
#[derive(Debug)]
pub enum Begin {
    /// It may go; the call must be given back to [`Edge::finish`](crate::Edge::finish).
    Go(Call),
    /// It waits for a place, until then at most. Ends by [`Edge::admitted`](crate::Edge::admitted) or
    /// [`Edge::abandon`](crate::Edge::abandon).
    Wait(Ticket, Instant),
    /// It is not sent.
    Refuse(Refusal),
}

/// A waiting request. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub(crate) u64);

/// Endpoints of one request that are remembered, so that a retry goes elsewhere: more attempts than
/// anybody should allow.
pub(crate) const TRIED_MAX: usize = 6;

/// A request under way.
///
/// It is a place below the limit and must come back to [`Edge::finish`](crate::Edge::finish), also
/// when no endpoint could be picked.
#[derive(Debug)]
#[must_use = "a call that is not finished keeps its place below the limit for good"]
pub struct Call {
    /// Tells it from others of its edge.
    pub(crate) number: u64,
    pub(crate) deadline: Instant,
    /// When the caller stops waiting, and who has set that.
    pub(crate) callers: Option<(Instant, DeadlineBy)>,
    pub(crate) attempt_deadline: Instant,
    pub(crate) attempt_began: Instant,
    /// How long the attempt took that was answered last.
    pub(crate) latency: Duration,
    pub(crate) key: Option<u64>,
    pub(crate) asked: Option<ReleaseNumber>,
    pub(crate) release: Option<ReleaseNumber>,
    pub(crate) tried: [EndpointId; TRIED_MAX],
    pub(crate) attempts: u8,
    pub(crate) retries: u8,
    pub(crate) under_way: u8,
    pub(crate) repeatable: Repeatable,
    pub(crate) hedged: Hedged,
    pub(crate) role: Role,
}

/// Whether a request that was sent may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeatable {
    Yes,
    No,
}

/// Whether a second request was sent because the first took long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hedged {
    Yes,
    No,
}

/// What a request means to the edge's breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Usual,
    /// It finds out whether the edge works again.
    Probe,
}

impl Call {
    /// When the whole request must be answered.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// When the attempt made last must be answered; never after [`Call::deadline`].
    pub const fn attempt_deadline(&self) -> Instant {
        self.attempt_deadline
    }

    /// Attempts so far, hedges included.
    pub const fn attempts(&self) -> u8 {
        self.attempts
    }

    /// The release it goes to, once that is decided. Retries stay there.
    pub const fn release(&self) -> Option<ReleaseNumber> {
        self.release
    }

    pub(crate) fn tried(&self) -> &[EndpointId] {
        self.tried.get(..usize::from(self.attempts)).unwrap_or(&self.tried)
    }

    pub(crate) fn has_tried(&self, endpoint: EndpointId) -> bool {
        self.tried().contains(&endpoint)
    }

    /// Remembers an attempt; of many the last ones.
    pub(crate) fn note_attempt(&mut self, endpoint: EndpointId) {
        if let Some(place) = self.tried.get_mut(usize::from(self.attempts) % TRIED_MAX) {
            *place = endpoint;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.under_way = self.under_way.saturating_add(1);
    }
}

/// The endpoint of one attempt. It counts as in flight there until [`Edge::released`](crate::Edge::released).
#[derive(Debug)]
#[must_use = "a pick that is not released stays in flight for good"]
pub struct Pick {
    /// Where the attempt goes.
    pub endpoint: EndpointId,
    /// The release it goes to.
    pub release: ReleaseNumber,
    /// Why there.
    pub reason: PickReason,
    pub(crate) began: Instant,
    /// Tells it from others of its edge.
    pub(crate) number: u64,
    /// Where the endpoint was found; a hint, since endpoints come and go.
    pub(crate) slot: usize,
}

/// Why an endpoint was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PickReason {
    /// It is the only one there is.
    Only,
    /// It had the lower load of two.
    LowerLoad,
    /// It was its turn.
    Turn,
    /// The key belongs there.
    Key,
    /// The key belongs elsewhere, where too many are in flight.
    KeySpilled,
    /// It is in another zone, since the caller's own has too few.
    ZoneSpilled,
    /// It was ejected, and this request finds out whether it works again.
    Probe,
    /// Too many are ejected: all are used.
    Panic,
    /// It has not been tried by this request.
    Untried,
    /// The first attempt takes long.
    Hedge,
}

words!(PickReason,
    Self::Only => "only",
    Self::LowerLoad => "lower-load",
    Self::Turn => "turn",
    Self::Key => "key",
    Self::KeySpilled => "key-spilled",
    Self::ZoneSpilled => "zone-spilled",
    Self::Probe => "probe",
    Self::Panic => "panic",
    Self::Untried => "untried",
    Self::Hedge => "hedge",
);
