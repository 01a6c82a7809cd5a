//! What happened in the last ten seconds, in constant space.

use core::time::Duration;

use model::Instant;

/// Seconds that count: Hystrix' `metrics.rollingStats.timeInMilliseconds`, in as many buckets.
const SECONDS: usize = 10;
const SECOND: u64 = 1_000_000_000;

/// Requests, how many of them failed, and the time they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) requests: u32,
    pub(crate) errors: u32,
    latency_us: u64,
}

impl Sum {
    /// Mean latency in microseconds.
    pub(crate) const fn mean_us(&self) -> Option<u64> {
        self.latency_us.checked_div(self.requests as u64)
    }

    /// Whether errors are at least `millionths` of all.
    pub(crate) const fn has_error_rate(&self, millionths: u64) -> bool {
        millionths * self.requests as u64 <= self.errors as u64 * 1_000_000
    }

    const fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.latency_us = self.latency_us.saturating_add(other.latency_us);
    }

    const fn subtract(&mut self, other: &Self) {
        self.requests = self.requests.saturating_sub(other.requests);
        self.errors = self.errors.saturating_sub(other.errors);
        self.latency_us = self.latency_us.saturating_sub(other.latency_us);
    }
}

/// A ring of seconds and their sum.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    seconds: [Sum; SECONDS],
    sum: Sum,
    last: u64,
}

impl Window {
    pub(crate) const fn new() -> Self {
        let nothing = Sum { requests: 0, errors: 0, latency_us: 0 };
        Self { seconds: [nothing; SECONDS], sum: nothing, last: 0 }
    }

    /// A request ended.
    pub(crate) fn record(&mut self, now: Instant, errors: u32, latency: Duration) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let one = Sum { requests: 1, errors, latency_us };
        let place = self.pass(now);
        self.sum.add(&one);
        if let Some(second) = self.seconds.get_mut(place) {
            second.add(&one);
        }
    }

    /// Everything in the window.
    pub(crate) fn sum(&mut self, now: Instant) -> Sum {
        self.pass(now);
        self.sum
    }

    /// Forgets everything.
    pub(crate) const fn clear(&mut self) {
        *self = Self { last: self.last, ..Self::new() };
    }

    /// Empties the seconds that have gone by, and says where this one is.
    fn pass(&mut self, now: Instant) -> usize {
        let second = now.as_nanos() / SECOND;
        let gone = usize::try_from(second.saturating_sub(self.last)).unwrap_or(SECONDS);
        for step in 0..gone.min(SECONDS) {
            let place = place(second.saturating_sub(step as u64));
            if let Some(old) = self.seconds.get_mut(place) {
                self.sum.subtract(old);
                *old = Sum::default();
            }
        }
        self.last = self.last.max(second);
        place(self.last)
    }
}

fn place(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn ten_seconds_count() {
        let mut window = Window::new();
        let took = Duration::from_millis(3);
        window.record(at(500), 1, took);
        window.record(at(1_500), 0, Duration::from_millis(1));
        let sum = window.sum(at(9_999));
        assert_eq!((sum.requests, sum.errors, sum.mean_us()), (2, 1, Some(2_000)));
        assert!(sum.has_error_rate(500_000) && !sum.has_error_rate(500_001));
        let sum = window.sum(at(10_000));
        assert_eq!((sum.requests, sum.errors, sum.mean_us()), (1, 0, Some(1_000)));
        assert_eq!(window.sum(at(11_000)), Sum::default());
        window.record(at(11_000), 1, took);
        assert_eq!(window.sum(at(500_000)), Sum::default());
    }

    #[test]
    fn a_clear_forgets() {
        let mut window = Window::new();
        window.record(at(5_000), 1, Duration::ZERO);
        window.clear();
        assert_eq!(window.sum(at(5_000)), Sum::default());
    }
}
