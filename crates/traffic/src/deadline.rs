//! When a request, and each attempt of it, must be answered.

use core::time::Duration;

use model::Instant;

/// The edge's timeout from when the request arrived, and never later than its caller waits.
pub(crate) fn of_request(arrived: Instant, timeout: Duration, callers: Option<Instant>) -> Instant {
    let own = arrived.after(timeout);
    callers.map_or(own, |it| own.min(it))
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

    #[test]
    fn the_earliest_counts() {
        let timeout = Duration::from_millis(100);
        assert_eq!(of_request(at(5), timeout, None), at(105));
        assert_eq!(of_request(at(5), timeout, Some(at(50))), at(50));
        assert_eq!(of_request(at(5), timeout, Some(at(500))), at(105));
        assert_eq!(of_attempt(at(10), None, at(105)), at(105));
        assert_eq!(of_attempt(at(10), Some(Duration::from_millis(30)), at(105)), at(40));
        assert_eq!(of_attempt(at(90), Some(Duration::from_millis(30)), at(105)), at(105));
    }
}
