//! A second request for those that take long.
//!
//! Source: Dean and Barroso, "The tail at scale" (CACM, 2013): sent once the first has taken longer than
//! most do, it costs a few percent more load and takes the tail off. Its own budget keeps it from adding
//! load when everything is slow.

use core::time::Duration;

use model::Instant;
use model::edge::Hedge as Policy;

use crate::budget::Budget;
use crate::quantile::Quantile;

/// When a second request is worth it, and whether one may be sent.
#[derive(Clone, Debug)]
pub(crate) struct Hedge {
    latency: Quantile,
    budget: Budget,
}

impl Hedge {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            latency: Quantile::new(policy.after.as_fraction()),
            budget: Budget::new(policy.budget),
        }
    }

    /// Another policy from now on. What was measured is kept.
    pub(crate) fn set_policy(&mut self, policy: &Policy) {
        self.latency.set_share(policy.after.as_fraction());
        self.budget.set_share(policy.budget);
    }

    /// A request was made.
    pub(crate) fn on_request(&mut self, now: Instant) {
        self.budget.deposit(now);
    }

    /// A first attempt took this long, or at least this long if it was called off for its hedge.
    pub(crate) fn on_latency(&mut self, latency: Duration) {
        self.latency.record(latency);
    }

    /// How long a first attempt may take before a second is sent: nothing is said before enough is
    /// known, or when the budget is spent.
    pub(crate) fn after(&self) -> Option<Duration> {
        if self.budget.allows() { self.latency.get() } else { None }
    }

    /// Takes one from the budget, if there is one.
    pub(crate) fn withdraw(&mut self, now: Instant) -> bool {
        self.budget.withdraw(now)
    }
}
