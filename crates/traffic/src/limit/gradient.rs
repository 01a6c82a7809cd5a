//! A limit found by measuring latency: when requests begin to wait for one another, fewer at once get
//! just as much done.
//!
//! Source: Netflix' concurrency-limits, `Gradient2Limit` over `WindowedLimit`. The latency of a short
//! window is compared with that of a long time; the limit shrinks as their ratio does and grows by a few
//! as long as there is no queue behind it.

use core::time::Duration;

use model::Instant;

use crate::number::{float, nanos, whole_u32};
use crate::outcome::Outcome;

/// The limit to begin with: `Gradient2Limit`'s default.
const INITIAL: f64 = 20.0;
/// The lowest limit: below, one slow request makes the measure. A fifth of `Gradient2Limit`'s, since
/// this one is for one core.
const LEAST: f64 = 4.0;
/// The highest limit if the policy names none: more than one core keeps busy.
const MOST: f64 = 1_000.0;
/// Requests that may queue up at the callee: `Gradient2Limit`'s `queueSize`. Growth comes from here.
const QUEUE: f64 = 4.0;
/// Latency may be so many times that of the long time before the limit shrinks: its `rttTolerance`.
const TOLERANCE: f64 = 1.5;
/// How far the limit goes towards its new value at each step: its `smoothing`.
const SMOOTHING: f64 = 0.2;
/// Windows the long time is made of: its `longWindow`.
const LONG_WINDOWS: f64 = 600.0;
/// Windows before the long time is trusted as such; a plain mean until then, as its `ExpAvgMeasurement`.
const WARM_UP_WINDOWS: u32 = 10;
/// Requests a window needs: `WindowedLimit`'s `windowSize`.
const WINDOW_REQUESTS: u32 = 10;
/// Time a window needs: its usual second is slow for a data plane, which sees thousands meanwhile.
const WINDOW: Duration = Duration::from_millis(100);

/// The latency limit of one edge.
#[derive(Clone, Debug)]
pub(crate) struct Gradient {
    most: f64,
    limit: f64,
    long: f64,
    windows: u32,
    window: Window,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: Option<Instant>,
    requests: u32,
    latency_ns: f64,
    in_flight_max: u32,
}

impl Gradient {
    pub(crate) fn new(most: Option<u32>) -> Self {
        let most = most.map_or(MOST, f64::from);
        let window = Window::default();
        Self { most, limit: INITIAL.min(most), long: 0.0, windows: 0, window }
    }

    pub(crate) fn set_most(&mut self, most: Option<u32>) {
        self.most = most.map_or(MOST, |it| f64::from(it.max(1)));
        self.limit = self.limit.min(self.most);
    }

    pub(crate) fn limit(&self) -> u32 {
        whole_u32(self.limit).max(1)
    }

    /// A request ended; `in_flight` were, with it. One that failed fast says nothing about load, one
    /// that was not answered in time took at least that long.
    pub(crate) fn on_outcome(
        &mut self,
        now: Instant,
        outcome: Outcome,
        latency: Duration,
        in_flight: u32,
    ) {
        let timed_out = matches!(outcome, Outcome::Timeout | Outcome::AttemptTimeout);
        if !outcome.is_success() && !timed_out {
            return;
        }
        let window = &mut self.window;
        let began = *window.began.get_or_insert(now);
        window.requests += 1;
        window.latency_ns += float(nanos(latency));
        window.in_flight_max = window.in_flight_max.max(in_flight);
        if WINDOW_REQUESTS <= window.requests && WINDOW <= now.since(began) {
            let Window { requests, latency_ns, in_flight_max, .. } = core::mem::take(window);
            self.step(latency_ns / f64::from(requests), f64::from(in_flight_max));
        }
    }

    /// The end of a window with this mean latency.
    fn step(&mut self, short: f64, in_flight: f64) {
        self.windows = self.windows.saturating_add(1);
        let factor = if self.windows <= WARM_UP_WINDOWS {
            1.0 / f64::from(self.windows)
        } else {
            2.0 / (LONG_WINDOWS + 1.0)
        };
        self.long += (short - self.long) * factor;
        // After a long time of overload the long latency is one of overload: it comes down faster.
        if 2.0 * short < self.long {
            self.long *= 0.95;
        }
        // A limit that is not reached tells nothing about what lies above it.
        if in_flight < self.limit / 2.0 || short <= 0.0 {
            return;
        }
        let gradient = (TOLERANCE * self.long / short).clamp(0.5, 1.0);
        let next = self.limit * gradient + QUEUE;
        let smoothed = self.limit * (1.0 - SMOOTHING) + next * SMOOTHING;
        self.limit = smoothed.clamp(LEAST.min(self.most), self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The limit after windows of this mean latency with this many in flight.
    fn after(gradient: &mut Gradient, windows: u32, millis: f64, in_flight: f64) -> f64 {
        for _ in 0..windows {
            gradient.step(millis * 1e6, in_flight);
        }
        gradient.limit
    }

    #[track_caller]
    fn check(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-9, "{actual} is not {expected}");
    }

    #[test]
    fn it_grows_while_latency_stays_and_the_limit_is_used() {
        let mut gradient = Gradient::new(None);
        // Four more a step, of which a fifth is taken.
        check(after(&mut gradient, 1, 10.0, 20.0), 20.8);
        check(after(&mut gradient, 9, 10.0, 28.0), 28.0);
        // Less than half of it is used: it stays.
        check(after(&mut gradient, 50, 10.0, 13.0), 28.0);
        assert_eq!(gradient.limit(), 28);
    }

    #[test]
    fn it_shrinks_when_latency_grows() {
        let mut gradient = Gradient::new(None);
        let before = after(&mut gradient, 100, 10.0, 1e3);
        check(before, 100.0);
        // Thrice the latency: the long mean moves to 10 + 20 * 2/601, the gradient is half of that.
        let long = 10.0 + 20.0 * 2.0 / 601.0;
        let expected = 80.0 + 0.2 * (100.0 * (1.5 * long / 30.0) + 4.0);
        check(after(&mut gradient, 1, 30.0, 1e3), expected);
    }

    #[test]
    fn the_policy_bounds_it() {
        let mut gradient = Gradient::new(Some(50));
        check(after(&mut gradient, 1_000, 10.0, 1e3), 50.0);
        gradient.set_most(Some(7));
        assert_eq!(gradient.limit(), 7);
        assert_eq!(Gradient::new(Some(1)).limit(), 1);
    }

    #[test]
    fn a_window_needs_requests_and_time() {
        let mut gradient = Gradient::new(None);
        let mut end = |millis: u64, outcome| {
            let now = Instant::from_nanos(millis * 1_000_000);
            gradient.on_outcome(now, outcome, Duration::from_millis(10), 20);
            gradient.limit
        };
        for millis in 0..100 {
            check(end(millis, Outcome::Ok), 20.0);
        }
        check(end(100, Outcome::Reset), 20.0);
        check(end(100, Outcome::Ok), 20.8);
    }

    proptest! {
        #[test]
        fn always_between_least_and_most(most in 1_u32..2_000, steps in prop::collection::vec((0.0..1e12_f64, 0.0..3e3_f64), 0..200)) {
            let mut gradient = Gradient::new(Some(most));
            for (short, in_flight) in steps {
                gradient.step(short, in_flight);
                prop_assert!((1..=most).contains(&gradient.limit()));
            }
        }
    }
}
