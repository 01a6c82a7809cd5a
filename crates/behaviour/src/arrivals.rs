//! Arrivals: when each request of an open load is meant to be sent, whatever becomes of the others.
//!
//! Both spacings invert the expected count: if `L(t)` requests are expected by `t`, the next is sent
//! where `L` reaches the next target. Targets one apart are paced evenly; targets apart by draws from
//! the exponential distribution are a Poisson process, exactly, however the rate changes (Cinlar,
//! "Introduction to Stochastic Processes", 1975: time change of a unit-rate process).

use core::time::Duration;

use model::Rng;

use crate::work_time::from_nanos;
use model::profile::{Profile, Segment};

/// How requests are spaced.
#[derive(Clone, Debug)]
pub enum Spacing {
    /// Evenly: the first at once, each where the expected count has grown by one. Compares runs.
    Paced,
    /// As from many people who do not know of each other. What real load is like.
    Poisson(Rng),
}

/// Intended moments of sending, as time since the beginning, in order; as many as the profile lasts.
#[derive(Clone, Debug)]
pub struct Arrivals {
    profile: Profile,
    spacing: Spacing,
    /// Requests expected until the next one is sent.
    target: f64,
    /// Place of the segment the next one falls into, or later.
    segment: usize,
    /// When that segment begins, and the requests expected until then.
    begin: Duration,
    expected: f64,
}

/// Counts of requests are compared up to this share of a request, so that `0.1/s for 30s` paced is
/// three requests and not four: `f64` arithmetic on counts below 2^40 stays within it.
const COUNT_TOLERANCE: f64 = 1e-4;

impl Arrivals {
    /// The arrivals of `profile`.
    pub fn new(profile: Profile, mut spacing: Spacing) -> Self {
        let target = match &mut spacing {
            Spacing::Paced => 0.0,
            Spacing::Poisson(rng) => rng.exponential(),
        };
        Self { profile, spacing, target, segment: 0, begin: Duration::ZERO, expected: 0.0 }
    }

    /// The load they follow.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let tolerance = match self.spacing {
            Spacing::Paced => COUNT_TOLERANCE,
            Spacing::Poisson(_) => 0.0,
        };
        loop {
            let segment = self.profile.segments().get(self.segment)?;
            let within = self.target - self.expected;
            if within + tolerance < segment.requests() {
                let sent = self.begin + time_until(segment, within.max(0.0));
                self.target += match &mut self.spacing {
                    Spacing::Paced => 1.0,
                    Spacing::Poisson(rng) => rng.exponential(),
                };
                return Some(sent);
            }
            self.segment += 1;
            self.begin += segment.duration;
            self.expected += segment.requests();
        }
    }
}

/// Time into `segment` until `requests` are expected: the root of
/// `from x + (to - from) x^2 / (2 duration) = requests`, in the form that does not cancel.
fn time_until(segment: &Segment, requests: f64) -> Duration {
    let (from, to) = (segment.from.per_second(), segment.to.per_second());
    let slope = (to - from) / segment.duration.as_secs_f64();
    let root = libm::sqrt((from * from + 2.0 * slope * requests).max(0.0));
    let divisor = from + root;
    if divisor <= 0.0 {
        return Duration::ZERO;
    }
    from_nanos(2.0 * requests / divisor * 1e9).min(segment.duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use alloc::vec::Vec;
    use proptest::prelude::{prop, prop_assert, proptest};

    fn paced(profile: &str) -> Vec<u128> {
        let arrivals = Arrivals::new(profile.parse().unwrap(), Spacing::Paced);
        arrivals.map(|it| it.as_micros()).collect()
    }

    fn poisson(profile: &str, seed: u64) -> impl Iterator<Item = Duration> {
        Arrivals::new(profile.parse().unwrap(), Spacing::Poisson(Rng::new(seed)))
    }

    #[test]
    fn paced_is_exact() {
        assert_eq!(paced("4/s for 1s"), [0, 250_000, 500_000, 750_000]);
        assert_eq!(paced("100/s for 30s").len(), 3_000);
        assert_eq!(paced("0.1/s for 30s"), [0, 10_000_000, 20_000_000]);
        assert_eq!(paced("2/s for 1s, 1/s for 2s"), [0, 500_000, 1_000_000, 2_000_000]);
        // Nothing is sent in a silence: the request that is due goes when it ends.
        assert_eq!(paced("0/s for 3s, 1/s for 2s"), [3_000_000, 4_000_000]);
        assert_eq!(paced("1/s for 1s, 0/s for 3s, 1/s for 1s"), [0, 4_000_000]);
    }

    #[test]
    fn paced_ramps_send_what_they_cover() {
        let up = paced("0/s..100/s in 10s");
        assert_eq!(up.len(), 500);
        // A quarter of the requests falls into the first half.
        assert_eq!(up.iter().filter(|it| **it < 5_000_000).count(), 125);
        let down = paced("100/s..0/s in 10s");
        assert_eq!(down.len(), 500);
        assert_eq!(down.iter().filter(|it| **it < 5_000_000).count(), 375);
    }

    #[test]
    fn poisson_counts_spread_as_they_should() {
        // 400 windows of one second at 100/s: mean 100, variance 100.
        let mut counts = [0_f64; 400];
        for sent in poisson("100/s for 400s", 5) {
            counts[usize::try_from(sent.as_secs()).unwrap()] += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / 400.0;
        let variance = counts.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>() / 399.0;
        // Five standard errors: of the mean sqrt(100/400), of the variance about 100 sqrt(2/399).
        assert!((mean - 100.0).abs() < 2.5, "{mean}");
        assert!((variance - 100.0).abs() < 36.0, "{variance}");
    }

    #[test]
    fn poisson_follows_a_ramp() {
        let half = Duration::from_secs(50);
        let (mut early, mut late) = (0_i32, 0_i32);
        for sent in poisson("0/s..200/s in 100s", 8) {
            *if sent < half { &mut early } else { &mut late } += 1;
        }
        // Expected 2500 and 7500, within five standard deviations.
        assert!((early - 2_500).abs() < 250, "{early}");
        assert!((late - 7_500).abs() < 434, "{late}");
    }

    proptest! {
        #[test]
        fn arrivals_are_in_order_and_within_the_profile(
            seed: u64,
            parts in prop::collection::vec((0_u32..300, 0_u32..300, 1_u64..3_000), 1..6),
        ) {
            let text: Vec<_> = parts
                .iter()
                .map(|(from, to, millis)| alloc::format!("{from}/s..{to}/s in {millis}ms"))
                .collect();
            let profile: Profile = text.join(",").parse().unwrap();
            let expected = profile.requests();
            for spacing in [Spacing::Paced, Spacing::Poisson(Rng::new(seed))] {
                let paced = matches!(spacing, Spacing::Paced);
                let sent: Vec<_> = Arrivals::new(profile.clone(), spacing).collect();
                prop_assert!(sent.is_sorted(), "{}", profile.to_string());
                prop_assert!(sent.iter().all(|it| *it <= profile.duration()));
                #[expect(clippy::cast_precision_loss, reason = "a test's count")]
                let count = sent.len() as f64;
                // A paced count is the expected one rounded up; a Poisson one within 8 deviations.
                let slack = if paced { 1.0 } else { 8.0 * libm::sqrt(expected) + 8.0 };
                prop_assert!((count - expected).abs() <= slack, "{count} of {expected}");
            }
        }
    }
}
