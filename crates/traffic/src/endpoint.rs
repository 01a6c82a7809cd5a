//! One instance as an edge sees it.

use core::time::Duration;

use model::{Instant, ReleaseNumber};
use serde::{Deserialize, Serialize};

use crate::breaker::Breaker;
use crate::ewma::PeakEwma;
use crate::number::mix;
use crate::outcome::TripReason;
use crate::slow_start;

/// How long an instance that has requests answers none before it may be frozen, if it does not usually take longer. A pause of
/// a garbage collector should not count, and a user should not have noticed yet.
const SILENT_AFTER: Duration = Duration::from_millis(250);

/// An instance. The driver chooses the number; it means the same instance as long as that exists.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EndpointId(pub u32);

/// An instance that can take requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// Which.
    pub id: EndpointId,
    /// The release it runs.
    pub release: ReleaseNumber,
    /// Its share beside that of others; 1 is usual, 0 is taken as 1.
    pub weight: u32,
    /// Where it is.
    pub zone: u16,
    /// When it became ready, for slow start.
    pub ready_at: Instant,
}

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointState {
    /// Which.
    pub id: EndpointId,
    /// Attempts in flight.
    pub in_flight: u32,
    /// Why it is left alone, if it is.
    pub ejected: Option<TripReason>,
    /// Its latency, a peak-sensitive average; zero as long as nothing is known.
    pub latency: Duration,
    /// Whether it takes no more requests and only finishes those in flight.
    pub leaving: bool,
}

/// An instance and everything that is remembered about it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) spec: EndpointSpec,
    pub(crate) in_flight: u32,
    pub(crate) latency: PeakEwma,
    pub(crate) breaker: Breaker,
    /// How much it is owed by a weighted round.
    pub(crate) owed: f64,
    /// Its number as a hash, which hashed keys are combined with.
    pub(crate) hash: u64,
    /// Since when it has answered nothing, as long as attempts are in flight.
    pub(crate) silent_since: Instant,
}

impl Endpoint {
    pub(crate) fn new(spec: EndpointSpec, now: Instant) -> Self {
        Self {
            spec: EndpointSpec { weight: spec.weight.max(1), ..spec },
            in_flight: 0,
            silent_since: now,
            latency: PeakEwma::new(now),
            breaker: Breaker::new(now),
            owed: 0.0,
            hash: mix(u64::from(spec.id.0)),
        }
    }

    /// Its weight, less while it is new.
    pub(crate) fn weight(&self, now: Instant, slow_start: Duration) -> f64 {
        let factor = slow_start::factor(now.since(self.spec.ready_at), slow_start);
        f64::from(self.spec.weight) * factor
    }

    /// One more attempt is in flight.
    #[inline]
    pub(crate) const fn begin(&mut self, now: Instant) {
        if self.in_flight == 0 {
            self.silent_since = now;
        }
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// What one more request would meet. The oldest attempt in flight has waited for at least as long as the instance is
    /// silent, so an answer takes that long now, whatever is remembered.
    pub(crate) fn load(&self, now: Instant) -> f64 {
        self.latency.load(now, self.in_flight, now.since(self.silent_since))
    }

    /// Whether it has requests and has answered none of them for longer than it usually takes.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        0 < self.in_flight && SILENT_AFTER.max(self.latency.last()) < now.since(self.silent_since)
    }

    pub(crate) fn state(&self, leaving: Leaving) -> EndpointState {
        EndpointState {
            id: self.spec.id,
            in_flight: self.in_flight,
            ejected: self.breaker.ejected(),
            latency: self.latency.last(),
            leaving: leaving == Leaving::Yes,
        }
    }
}

/// Whether an instance only finishes what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    Yes,
    No,
}
