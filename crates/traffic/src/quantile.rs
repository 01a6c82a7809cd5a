//! A quantile of latency, estimated while it changes, in constant memory.
//!
//! A histogram with buckets a thirty-second of an octave wide (as in `HdrHistogram`, Tene), whose counts
//! are halved now and then: what is old counts less and less. Values that are known only to be large
//! enough (attempts that were called off) can be counted in, which estimators of the P-square kind
//! cannot do.

use alloc::boxed::Box;
use core::time::Duration;

use crate::number::{float, nanos, whole};

/// Buckets an octave: values are right to 1/64 before interpolation.
const PER_OCTAVE: u64 = 32;
/// Values below are alike: 1024 ns.
const LOWEST_OCTAVE: u64 = 10;
/// Values above are alike: 2^40 ns are 18 minutes, longer than any timeout.
const OCTAVES: u64 = 30;
const BUCKETS: usize = 30 * 32;
/// Counts are halved at this many: the last few thousand values make the estimate.
const HALVE_AT: u32 = 16_384;
/// The estimate is made anew after this many values.
const RENEW_EVERY: u32 = 64;
/// Values below which nothing is said: a 95th percentile of fewer is the highest of them.
const VALUES_MIN: u32 = 64;

/// One quantile of a stream of durations.
#[derive(Clone, Debug)]
pub(crate) struct Quantile {
    share: f64,
    counts: Box<[u32; BUCKETS]>,
    total: u32,
    since_renewed: u32,
    estimate: Option<Duration>,
}

impl Quantile {
    /// The quantile at `share`, between 0 and 1.
    pub(crate) fn new(share: f64) -> Self {
        let counts = Box::new([0; BUCKETS]);
        Self { share, counts, total: 0, since_renewed: 0, estimate: None }
    }

    /// Another quantile of the same values.
    pub(crate) fn set_share(&mut self, share: f64) {
        self.share = share;
        self.renew();
    }

    /// The estimate, once there were enough values.
    pub(crate) const fn get(&self) -> Option<Duration> {
        self.estimate
    }

    /// One more value.
    pub(crate) fn record(&mut self, value: Duration) {
        if let Some(count) = self.counts.get_mut(bucket(nanos(value))) {
            *count += 1;
            self.total += 1;
        }
        if HALVE_AT <= self.total {
            self.total = 0;
            for count in self.counts.iter_mut() {
                *count /= 2;
                self.total += *count;
            }
        }
        self.since_renewed += 1;
        if RENEW_EVERY <= self.since_renewed {
            self.renew();
        }
    }

    fn renew(&mut self) {
        self.since_renewed = 0;
        if self.total < VALUES_MIN {
            return;
        }
        let mut left = self.share * f64::from(self.total);
        for (bucket, count) in (0..).zip(self.counts.iter()) {
            let count = f64::from(*count);
            if left <= count && 0.0 < count {
                let (low, high) = (float(lower(bucket)), float(lower(bucket + 1)));
                let within = low + (high - low) * left.max(0.0) / count;
                self.estimate = Some(Duration::from_nanos(whole(within)));
                return;
            }
            left -= count;
        }
    }
}

/// The bucket of a value.
fn bucket(value: u64) -> usize {
    let value = value.clamp(1 << LOWEST_OCTAVE, (1 << (LOWEST_OCTAVE + OCTAVES)) - 1);
    let octave = u64::from(value.ilog2());
    let within = (value >> (octave - 5)) - PER_OCTAVE;
    usize::try_from((octave - LOWEST_OCTAVE) * PER_OCTAVE + within).unwrap_or(0)
}

/// The lowest value of a bucket.
const fn lower(bucket: u64) -> u64 {
    let octave = bucket / PER_OCTAVE + LOWEST_OCTAVE;
    (PER_OCTAVE + bucket % PER_OCTAVE) << (octave - 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Rng;
    use proptest::prelude::*;

    #[test]
    fn exponential_values() {
        for (share, expected) in [(0.5, core::f64::consts::LN_2), (0.95, 2.9957), (0.99, 4.6052)] {
            let mut quantile = Quantile::new(share);
            let mut rng = Rng::new(7);
            for _ in 0..16_000 {
                quantile.record(Duration::from_secs_f64(rng.exponential()));
            }
            let estimate = quantile.get().unwrap().as_secs_f64();
            // Five standard errors of an order statistic: sqrt(p(1-p)/n) over the density 1-p.
            let error = 5.0 * libm::sqrt(share / ((1.0 - share) * 16_000.0)) + 0.01;
            assert!((estimate - expected).abs() < error, "{share}: {estimate}");
        }
    }

    #[test]
    fn it_follows_when_latency_changes() {
        let mut quantile = Quantile::new(0.95);
        let estimate = |quantile: &mut Quantile, millis, count| {
            for _ in 0..count {
                quantile.record(Duration::from_millis(millis));
            }
            quantile.get().map(|it| it.as_secs_f64() * 1e3)
        };
        assert_eq!(estimate(&mut quantile, 10, 63), None);
        let before = estimate(&mut quantile, 10, 20_000).unwrap();
        assert!((before - 10.0).abs() < 0.4, "{before}");
        let after = estimate(&mut quantile, 100, 2_000).unwrap();
        assert!((after - 100.0).abs() < 4.0, "{after}");
        let back = estimate(&mut quantile, 10, 80_000).unwrap();
        assert!((back - 10.0).abs() < 0.4, "{back}");
    }

    proptest! {
        #[test]
        fn a_value_is_in_its_bucket(value in 1_024_u64..1 << 40) {
            let bucket = bucket(value) as u64;
            prop_assert!(lower(bucket) <= value && value < lower(bucket + 1));
        }
    }
}
