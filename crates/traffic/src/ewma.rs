//! Latency as an average that believes bad news at once and good news slowly.
//!
//! Source: Twitter's Finagle, `com.twitter.finagle.loadbalancer.PeakEwma`. A plain average reacts to a
//! stalled instance only after many answers, and a stalled instance gives few.

use core::time::Duration;

use model::Instant;

use crate::number::{float, nanos, whole};

/// Time after which an old latency counts for 1/e: Finagle's `decayTime` default.
const DECAY: Duration = Duration::from_secs(10);
/// What an instance is taken to cost that has a request in flight and no answer yet, in nanoseconds:
/// more than any answered one, so that it gets a second request only when all are like it. Finagle's
/// `Penalty`, scaled so that products with requests in flight stay exact.
const PENALTY: f64 = 1e15;

/// A peak-sensitive exponentially weighted moving average of latency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeakEwma {
    cost: f64,
    stamp: Instant,
}

impl PeakEwma {
    /// Nothing known yet.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { cost: 0.0, stamp: now }
    }

    /// An answer took `latency`.
    pub(crate) fn observe(&mut self, now: Instant, latency: Duration) {
        let latency = float(nanos(latency));
        self.cost = if self.cost < latency {
            latency
        } else {
            latency + (self.cost - latency) * decay(now.since(self.stamp))
        };
        self.stamp = now;
    }

    /// Something took at least `latency`: it failed, or nobody waited for its end. It may raise the
    /// average and never lowers it, or an instance that fails fast would look like the best.
    pub(crate) fn observe_at_least(&mut self, now: Instant, latency: Duration) {
        if self.cost < float(nanos(latency)) {
            self.observe(now, latency);
        }
    }

    /// The average now: without answers it falls, so that a slow instance is tried again.
    pub(crate) fn cost(&self, now: Instant) -> f64 {
        self.cost * decay(now.since(self.stamp))
    }

    /// The average when it was last told something.
    pub(crate) const fn last(&self) -> Duration {
        Duration::from_nanos(whole(self.cost))
    }

    /// What one more request would meet, with `in_flight` there already, none of which was answered for `silence`.
    pub(crate) fn load(&self, now: Instant, in_flight: u32, silence: Duration) -> f64 {
        let cost = self.cost(now);
        if in_flight == 0 {
            return cost;
        }
        let in_flight = f64::from(in_flight);
        if cost <= 0.0 {
            PENALTY + in_flight
        } else {
            cost.max(float(nanos(silence))) * (in_flight + 1.0)
        }
    }
}

/// e^(-elapsed/[`DECAY`]).
fn decay(elapsed: Duration) -> f64 {
    let x = float(nanos(elapsed)) / float(nanos(DECAY));
    // Under load the answer before is milliseconds old, and up to 156 of them five terms are right to eleven digits.
    if x < 1.0 / 64.0 {
        1.0 - x * (1.0 - x * (1.0 / 2.0) * (1.0 - x * (1.0 / 3.0) * (1.0 - x * (1.0 / 4.0))))
    } else {
        libm::exp(-x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[track_caller]
    fn check(actual: f64, millis: f64) {
        assert!((actual / 1e6 - millis).abs() < 1e-6, "{} is not {millis} ms", actual / 1e6);
    }

    #[test]
    fn jumps_up_at_once_and_comes_down_by_and_by() {
        let mut ewma = PeakEwma::new(at(0));
        ewma.observe(at(0), Duration::from_millis(10));
        check(ewma.cost(at(0)), 10.0);
        ewma.observe(at(0), Duration::from_millis(100));
        check(ewma.cost(at(0)), 100.0);
        // One decay time later: 10 + 90/e.
        ewma.observe(at(10_000), Duration::from_millis(10));
        check(ewma.cost(at(10_000)), 10.0 + 90.0 / core::f64::consts::E);
        // Without answers it falls by itself.
        check(ewma.cost(at(20_000)), (10.0 + 90.0 / core::f64::consts::E) / core::f64::consts::E);
    }

    #[test]
    fn a_failure_may_raise_and_never_lowers() {
        let mut ewma = PeakEwma::new(at(0));
        ewma.observe(at(0), Duration::from_millis(10));
        ewma.observe_at_least(at(0), Duration::from_millis(1));
        check(ewma.cost(at(0)), 10.0);
        ewma.observe_at_least(at(0), Duration::from_millis(30));
        check(ewma.cost(at(0)), 30.0);
    }

    #[test]
    fn an_unknown_instance_gets_one_request_and_then_waits() {
        let mut ewma = PeakEwma::new(at(0));
        let short = Duration::from_millis(4);
        check(ewma.load(at(0), 0, short), 0.0);
        assert!(1e15 <= ewma.load(at(0), 1, short));
        ewma.observe(at(0), Duration::from_millis(10));
        check(ewma.load(at(0), 0, short), 10.0);
        check(ewma.load(at(0), 2, short), 30.0);
        check(ewma.load(at(0), 2, Duration::from_millis(40)), 120.0);
        check(ewma.load(at(0), 0, Duration::from_millis(40)), 10.0);
    }

    #[test]
    fn the_short_form_of_the_decay_is_the_long_one() {
        for micros in [0, 1, 100, 5_000, 9_766, 100_000, 156_249, 156_251] {
            let elapsed = Duration::from_micros(micros);
            let exact = libm::exp(-elapsed.as_secs_f64() / 10.0);
            assert!((decay(elapsed) - exact).abs() < 1e-11, "{micros}");
        }
    }
}
