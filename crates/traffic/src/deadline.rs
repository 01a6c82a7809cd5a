//! When a request, and each attempt of it, must be answered.

use core::time::Duration;

use model::Instant;
use model::edge::Resilience;
use serde::{Deserialize, Serialize};

/// Of the time that a caller has left, one part in so many is kept for it: an answer in its callee's place, or its own way
/// without one, still has to get back in time.
const RESERVE_ONE_IN: u32 = 10;
/// More than this is not kept: nobody needs longer to give up.
const RESERVE_MAX: Duration = Duration::from_millis(100);

/// Who has set the time until which a caller waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeadlineBy {
    /// Whoever called the caller, or the platform.
    #[default]
    Others,
    /// A service that calls, for this call.
    Caller,
}

impl DeadlineBy {
    /// Whether it is the usual one.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(crate) const fn is_others(&self) -> bool {
        matches!(self, Self::Others)
    }
}

/// The time that an edge's policy gives a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// Somebody wrote it: nobody gets more.
    Written(Duration),
    /// Nobody did: a service that chooses a deadline for its call knows better.
    Usual(Duration),
}

impl Timeout {
    pub(crate) const fn of(policy: &Resilience) -> Self {
        if policy.timeout_is_written {
            Self::Written(policy.timeout)
        } else {
            Self::Usual(policy.timeout)
        }
    }
}

/// The edge's timeout from when the request arrived, and never later than its caller can wait.
pub(crate) fn of_request(
    arrived: Instant,
    timeout: Timeout,
    callers: Option<(Instant, DeadlineBy)>,
) -> Instant {
    let (Timeout::Written(own) | Timeout::Usual(own)) = timeout;
    let own = arrived.after(own);
    match (callers, timeout) {
        (None, _) => own,
        (Some((it, DeadlineBy::Caller)), Timeout::Usual(_)) => before_callers(arrived, it),
        (Some((it, _)), _) => own.min(before_callers(arrived, it)),
    }
}

/// When a request that arrived then must be answered for a caller that waits until `callers`.
pub fn before_callers(arrived: Instant, callers: Instant) -> Instant {
    let left = callers.since(arrived);
    arrived.after(left.saturating_sub(RESERVE_MAX.min(left / RESERVE_ONE_IN)))
}

/// The attempt's timeout, and never later than the request's deadline.
pub(crate) fn of_attempt(now: Instant, timeout: Option<Duration>, request: Instant) -> Instant {
    timeout.map_or(request, |it| now.after(it).min(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// Issue 13: a callee that took all the time its caller had left none for a fallback.
    #[test]
    fn issue_13_a_caller_keeps_a_tenth_of_its_time_and_no_more_than_a_moment() {
        assert_eq!(before_callers(at(1_000), at(1_500)), at(1_450));
        assert_eq!(before_callers(at(1_000), at(2_000)), at(1_900));
        assert_eq!(before_callers(at(1_000), at(61_000)), at(60_900));
    }

    /// Issue 13: a call of gRPC that may take a minute was given up after the second that nobody had asked for.
    #[test]
    fn issue_13_a_deadline_that_a_caller_chooses_takes_the_place_of_a_timeout_nobody_wrote() {
        let second = Duration::from_secs(1);
        let chosen = |it| Some((at(it), DeadlineBy::Caller));
        assert_eq!(of_request(at(0), Timeout::Usual(second), chosen(60_000)), at(59_900));
        assert_eq!(of_request(at(0), Timeout::Usual(second), chosen(500)), at(450));
        assert_eq!(of_request(at(0), Timeout::Written(second), chosen(60_000)), at(1_000));
        assert_eq!(of_request(at(0), Timeout::Written(second), chosen(500)), at(450));
    }

    #[test]
    fn the_earliest_counts() {
        let timeout = Timeout::Usual(Duration::from_millis(100));
        let by_others = |it| Some((at(it), DeadlineBy::Others));
        assert_eq!(of_request(at(5), timeout, None), at(105));
        assert_eq!(of_request(at(5), timeout, by_others(55)), at(50));
        assert_eq!(of_request(at(5), timeout, by_others(500)), at(105));
        assert_eq!(of_request(at(50), timeout, by_others(50)), at(50));
        assert_eq!(of_request(at(50), timeout, by_others(5)), at(50));
        assert_eq!(of_attempt(at(10), None, at(105)), at(105));
        assert_eq!(of_attempt(at(10), Some(Duration::from_millis(30)), at(105)), at(40));
        assert_eq!(of_attempt(at(90), Some(Duration::from_millis(30)), at(105)), at(105));
    }
}
