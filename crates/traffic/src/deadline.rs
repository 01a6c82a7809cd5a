//! When a request, and each attempt of it, must be answered.

use core::time::Duration;

use model::Instant;

/// Of the time that a caller has left, one part in so many is kept for it: an answer in its callee's place, or its own way
/// without one, still has to get back in time.
const RESERVE_ONE_IN: u32 = 10;
/// More than this is not kept: nobody needs longer to give up.
const RESERVE_MAX: Duration = Duration::from_millis(100);

/// The edge's timeout from when the request arrived, and never later than its caller can wait.
pub(crate) fn of_request(arrived: Instant, timeout: Duration, callers: Option<Instant>) -> Instant {
    let own = arrived.after(timeout);
    callers.map_or(own, |it| own.min(before_callers(arrived, it)))
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

    #[test]
    fn the_earliest_counts() {
        let timeout = Duration::from_millis(100);
        assert_eq!(of_request(at(5), timeout, None), at(105));
        assert_eq!(of_request(at(5), timeout, Some(at(55))), at(50));
        assert_eq!(of_request(at(5), timeout, Some(at(500))), at(105));
        assert_eq!(of_request(at(50), timeout, Some(at(50))), at(50));
        assert_eq!(of_request(at(50), timeout, Some(at(5))), at(50));
        assert_eq!(of_attempt(at(10), None, at(105)), at(105));
        assert_eq!(of_attempt(at(10), Some(Duration::from_millis(30)), at(105)), at(40));
        assert_eq!(of_attempt(at(90), Some(Duration::from_millis(30)), at(105)), at(105));
    }
}
