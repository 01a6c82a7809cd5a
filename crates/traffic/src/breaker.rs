//! The breaker of one instance: closed, open for a while, then one request finds out.
//!
//! Source: Nygard, "Release It!" (circuit breaker), with Envoy's outlier detection for when it opens
//! and how long. Whether it *may* open is the fleet's to say, which caps how many are.

use alloc::boxed::Box;
use core::time::Duration;

use model::Instant;
use model::edge::{CircuitBreaker, ERROR_RATE_REQUESTS_MIN};

use crate::number::millionths;
use crate::outcome::{Outcome, TripReason};
use crate::window::Window;

/// The longest an instance is left alone: Envoy's `max_ejection_time` default.
const OPEN_MAX: Duration = Duration::from_mins(5);

/// The least an instance is left alone, however much it is needed: one that refuses what it is sent would otherwise be probed
/// by every other request.
const OPEN_MIN: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// Left alone until then.
    Open(Instant, TripReason),
    /// Waits for a request that probes it.
    Due(TripReason),
    /// A request probes it.
    Probing(TripReason),
}

/// The breaker of one instance.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    state: State,
    consecutive: u32,
    /// Ejections without a healthy time between them.
    row: u32,
    /// When it was opened or closed last.
    since: Instant,
    /// Absent until a policy that needs rates sees a request: picks walk over instances, and what they
    /// do not look at should not lie between.
    window: Option<Box<Window>>,
}

impl Breaker {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { state: State::Closed, consecutive: 0, row: 0, since: now, window: None }
    }

    /// Why it is not closed, if it is not.
    pub(crate) const fn ejected(&self) -> Option<TripReason> {
        match self.state {
            State::Closed => None,
            State::Open(_, reason) | State::Due(reason) | State::Probing(reason) => Some(reason),
        }
    }

    /// Whether it waits for a request that probes it.
    pub(crate) const fn is_due(&self) -> bool {
        matches!(self.state, State::Due(_))
    }

    /// When it changes by itself.
    pub(crate) const fn opens_until(&self) -> Option<Instant> {
        if let State::Open(until, _) = self.state { Some(until) } else { None }
    }

    /// Time went by.
    pub(crate) fn pass(&mut self, now: Instant) {
        if let State::Open(until, reason) = self.state
            && until <= now
        {
            self.state = State::Due(reason);
        }
    }

    /// It is needed before its time, since those that were left are in trouble too: the next request probes it, unless it was
    /// opened just now. A probe that fails leaves it alone for no longer than it was. Says whether it is due now.
    pub(crate) fn recall(&mut self, now: Instant) -> bool {
        let State::Open(_, reason) = self.state else { return false };
        if now.since(self.since) < OPEN_MIN {
            return false;
        }
        self.row = self.row.saturating_sub(1);
        self.state = State::Due(reason);
        true
    }

    /// A request was sent to probe it.
    pub(crate) const fn probe(&mut self) {
        if let State::Due(reason) = self.state {
            self.state = State::Probing(reason);
        }
    }

    /// The request that probes it came to this.
    pub(crate) fn on_probed(&mut self, now: Instant, outcome: Outcome, policy: &CircuitBreaker) {
        let State::Probing(reason) = self.state else { return };
        if outcome.is_failure() {
            self.open(now, TripReason::ProbeFailed, policy);
        } else if outcome.is_success() {
            self.close(now);
        } else {
            self.state = State::Due(reason);
        }
    }

    /// A usual request came to this. Says why the breaker should open, if it should.
    pub(crate) fn on_outcome(
        &mut self,
        now: Instant,
        outcome: Outcome,
        latency: Duration,
        policy: &CircuitBreaker,
    ) -> Option<TripReason> {
        if self.state != State::Closed {
            return None;
        }
        let failed = outcome.is_failure();
        if !failed && !outcome.is_success() {
            return None;
        }
        self.consecutive = if failed { self.consecutive.saturating_add(1) } else { 0 };
        if policy.error_rate.is_some() || policy.slower_than_percent.is_some() {
            let window = self.window.get_or_insert_with(|| Box::new(Window::new()));
            window.record(now, u32::from(failed), latency);
        }
        if failed { self.trip(now, policy) } else { None }
    }

    fn trip(&mut self, now: Instant, policy: &CircuitBreaker) -> Option<TripReason> {
        let most = policy.consecutive_errors;
        if 0 < most && most <= self.consecutive {
            return Some(TripReason::ConsecutiveErrors);
        }
        let most = millionths(policy.error_rate?);
        let sum = self.window.as_mut()?.sum(now);
        let is_bad = ERROR_RATE_REQUESTS_MIN <= sum.requests && sum.has_error_rate(most);
        is_bad.then_some(TripReason::ErrorRate)
    }

    /// Opens it. Each time in a row it stays open for longer by the first time, up to [`OPEN_MAX`].
    pub(crate) fn open(&mut self, now: Instant, reason: TripReason, policy: &CircuitBreaker) {
        let row_ends = policy.open_for.saturating_mul(self.row).min(OPEN_MAX);
        if self.state == State::Closed && row_ends < now.since(self.since) {
            self.row = 0;
        }
        self.row = self.row.saturating_add(1);
        let open_for = policy.open_for.saturating_mul(self.row).min(OPEN_MAX);
        self.state = State::Open(now.after(open_for), reason);
        self.since = now;
        self.consecutive = 0;
        self.window = None;
    }

    /// Closes it.
    pub(crate) const fn close(&mut self, now: Instant) {
        self.state = State::Closed;
        self.consecutive = 0;
        self.since = now;
    }

    /// Mean latency of the last seconds in microseconds, if there were enough requests to tell.
    pub(crate) fn mean_us(&mut self, now: Instant) -> Option<u64> {
        let sum = self.window.as_mut()?.sum(now);
        if self.state == State::Closed && ERROR_RATE_REQUESTS_MIN <= sum.requests {
            sum.mean_us()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::units::Share;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn policy() -> CircuitBreaker {
        CircuitBreaker { consecutive_errors: 3, ..CircuitBreaker::default() }
    }

    /// What the breaker says after each of these outcomes at second 0.
    fn check(policy: &CircuitBreaker, outcomes: &[Outcome]) -> Option<TripReason> {
        let mut breaker = Breaker::new(at(0));
        let mut on = |it: &Outcome| breaker.on_outcome(at(0), *it, Duration::ZERO, policy);
        outcomes.iter().map(&mut on).last().flatten()
    }

    #[test]
    fn errors_in_a_row() {
        use Outcome::{Cancelled, ClientError, ConnectFailure, Ok, Reset, ServerError};
        let tripped = Some(TripReason::ConsecutiveErrors);
        assert_eq!(check(&policy(), &[ServerError, Reset]), None);
        assert_eq!(check(&policy(), &[ServerError, Reset, ConnectFailure]), tripped);
        assert_eq!(check(&policy(), &[Reset, Reset, Ok, Reset]), None);
        assert_eq!(check(&policy(), &[Reset, Reset, ClientError, Reset]), None);
        // Who went away says nothing, neither good nor bad.
        assert_eq!(check(&policy(), &[Reset, Reset, Cancelled, Cancelled]), None);
        assert_eq!(check(&policy(), &[Reset, Reset, Cancelled, Reset]), tripped);
    }

    #[test]
    fn a_share_of_errors_needs_enough_requests() {
        let error_rate = Some(Share::from_percent(50));
        let policy = CircuitBreaker { consecutive_errors: 0, error_rate, ..policy() };
        let pairs = |count| [Outcome::Ok, Outcome::Reset].repeat(count);
        assert_eq!(check(&policy, &pairs(9)), None);
        assert_eq!(check(&policy, &pairs(10)), Some(TripReason::ErrorRate));
    }

    #[test]
    fn one_probe_at_a_time_closes_it_or_opens_it_for_longer() {
        let mut breaker = Breaker::new(at(0));
        breaker.open(at(0), TripReason::ConsecutiveErrors, &policy());
        assert_eq!(breaker.opens_until(), Some(at(10)));
        breaker.pass(at(9));
        assert!(!breaker.is_due());
        breaker.pass(at(10));
        assert!(breaker.is_due());
        breaker.probe();
        assert!(!breaker.is_due());
        // A probe that was cancelled says nothing: the next request probes.
        breaker.on_probed(at(10), Outcome::Cancelled, &policy());
        assert!(breaker.is_due());
        breaker.probe();
        breaker.on_probed(at(10), Outcome::Reset, &policy());
        assert_eq!(breaker.ejected(), Some(TripReason::ProbeFailed));
        assert_eq!(breaker.opens_until(), Some(at(30)));
        breaker.pass(at(30));
        breaker.probe();
        breaker.on_probed(at(30), Outcome::Ok, &policy());
        assert_eq!(breaker.ejected(), None);
        // Soon after, it is the third time in a row; after a healthy time it is the first.
        let mut later = breaker.clone();
        breaker.open(at(40), TripReason::Slow, &policy());
        assert_eq!(breaker.opens_until(), Some(at(70)));
        later.open(at(51), TripReason::Slow, &policy());
        assert_eq!(later.opens_until(), Some(at(61)));
    }

    #[test]
    fn one_that_is_needed_is_probed_before_its_time() {
        let mut breaker = Breaker::new(at(0));
        assert!(!breaker.recall(at(0)));
        breaker.open(at(0), TripReason::ConsecutiveErrors, &policy());
        assert!(!breaker.recall(at(0)));
        assert!(breaker.recall(at(1)) && breaker.is_due());
        // It is due already.
        assert!(!breaker.recall(at(1)));
        breaker.probe();
        breaker.on_probed(at(1), Outcome::Reset, &policy());
        assert_eq!(breaker.opens_until(), Some(at(11)));
        assert!(!breaker.recall(at(1)));
    }

    #[test]
    fn never_open_for_more_than_five_minutes() {
        let mut breaker = Breaker::new(at(0));
        for _ in 0..100 {
            breaker.open(at(0), TripReason::ProbeFailed, &policy());
        }
        assert_eq!(breaker.opens_until(), Some(at(300)));
    }
}
