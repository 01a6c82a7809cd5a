//! How many requests may be in flight at once.

mod gradient;

use core::time::Duration;

use model::Instant;
use model::edge::Resilience;

use crate::outcome::Outcome;
use gradient::Gradient;

/// A limit on requests in flight.
#[derive(Clone, Debug)]
pub(crate) enum Limit {
    None,
    Fixed(u32),
    Adaptive(Gradient),
}

impl Limit {
    /// The policy's. A limit of 0 is taken as 1: nothing would ever be answered otherwise.
    pub(crate) fn new(policy: &Resilience) -> Self {
        let most = policy.max_concurrency.map(|it| it.max(1));
        match (policy.adaptive_concurrency, most) {
            (true, _) => Self::Adaptive(Gradient::new(most)),
            (false, Some(most)) => Self::Fixed(most),
            (false, None) => Self::None,
        }
    }

    /// Another policy from now on. What was measured is kept.
    pub(crate) fn set_policy(&mut self, policy: &Resilience) {
        let next = Self::new(policy);
        match (self, next) {
            (Self::Adaptive(gradient), Self::Adaptive(_)) => {
                gradient.set_most(policy.max_concurrency);
            }
            (limit, next) => *limit = next,
        }
    }

    /// How many, if there is a limit.
    pub(crate) fn get(&self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Fixed(limit) => Some(*limit),
            Self::Adaptive(gradient) => Some(gradient.limit()),
        }
    }

    /// A request ended; `in_flight` were, with it.
    pub(crate) fn on_outcome(
        &mut self,
        now: Instant,
        outcome: Outcome,
        latency: Duration,
        in_flight: u32,
    ) {
        if let Self::Adaptive(gradient) = self {
            gradient.on_outcome(now, outcome, latency, in_flight);
        }
    }
}
