//! Times counted in buckets: bounded memory, whatever is recorded, and quantiles within half a percent.
//!
//! Buckets are linear within each power of two, as those of HDR histograms are (Tene, 2012). Memory grows with the
//! range that is met, since a simulation has thousands of histograms and most see little.

use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Bits of a value that are kept below its highest: 128 buckets to each power of two, each 0.8 % wide at most.
const KEPT_BITS: u32 = 7;

/// How often which times were seen, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// The first bucket that is kept.
    first: u64,
    buckets: Vec<u64>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Histogram {
    /// One more.
    pub fn record(&mut self, time: Duration) {
        self.record_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// One more, in nanoseconds.
    #[inline]
    pub fn record_nanos(&mut self, nanos: u64) {
        self.count += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
        let place = place(nanos);
        let index = usize::try_from(place.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        match self.buckets.get_mut(index) {
            Some(bucket) => *bucket += 1,
            None => *self.bucket(place) += 1,
        }
    }

    /// All that another has seen.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
        for (place, count) in (other.first..).zip(&other.buckets).filter(|it| *it.1 != 0) {
            *self.bucket(place) += count;
        }
    }

    /// How many were seen.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their exact sum, in nanoseconds.
    pub const fn sum_nanos(&self) -> u128 {
        self.sum
    }

    /// Their exact mean; zero if there are none.
    pub fn mean(&self) -> Duration {
        let mean = self.sum.checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The longest.
    pub const fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The time that a share of them does not exceed (0 to 1), to the middle of its bucket; none if there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count below 2^53"
        )]
        let rank = (libm::ceil(share * self.count as f64) as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (place, count) in (self.first..).zip(&self.buckets) {
            seen += count;
            if rank <= seen {
                return Some(Duration::from_nanos(middle(place).min(self.max)));
            }
        }
        None
    }

    /// Buckets that are not empty: the longest time in each, and how many.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let all = (self.first..).zip(&self.buckets);
        all.filter(|it| *it.1 != 0)
            .map(|(place, count)| (Duration::from_nanos(last(place)), *count))
    }

    #[cold]
    fn bucket(&mut self, place: u64) -> &mut u64 {
        if self.buckets.is_empty() {
            self.first = place;
        }
        if place < self.first {
            let more = usize::try_from(self.first - place).unwrap_or(0);
            self.buckets.splice(0..0, std::iter::repeat_n(0, more));
            self.first = place;
        }
        let index = usize::try_from(place - self.first).unwrap_or(usize::MAX);
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, 0);
        }
        let last = self.buckets.len() - 1;
        &mut self.buckets[index.min(last)]
    }
}

/// The bucket of a value: exact below two to the power of [`KEPT_BITS`], then its highest bits.
const fn place(nanos: u64) -> u64 {
    let shift = (64 - KEPT_BITS - 1).saturating_sub(nanos.leading_zeros());
    ((shift as u64) << KEPT_BITS) + (nanos >> shift)
}

/// The least value of a bucket, and how many values it has, less one.
const fn bounds(place: u64) -> (u64, u64) {
    let shift = (place >> KEPT_BITS).saturating_sub(1);
    let kept = place - (shift << KEPT_BITS);
    (kept << shift, (1 << shift) - 1)
}

const fn middle(place: u64) -> u64 {
    let (least, more) = bounds(place);
    least + more / 2
}

const fn last(place: u64) -> u64 {
    let (least, more) = bounds(place);
    least + more
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Buckets to each power of two.
    const BUCKETS: u64 = 1 << KEPT_BITS;

    proptest! {
        #[test]
        fn a_value_is_in_its_bucket_and_buckets_are_narrow(nanos: u64) {
            let (least, more) = bounds(place(nanos));
            prop_assert!(least <= nanos && nanos - least <= more);
            prop_assert!(more <= least / BUCKETS);
            if let Some(next) = least.checked_add(more).and_then(|it| it.checked_add(1)) {
                prop_assert_eq!(place(next), place(nanos) + 1);
            }
        }

        #[test]
        fn merged_is_as_recorded_together(times in prop::collection::vec(0_u64..1 << 40, 1..200), cut in 0_usize..200) {
            let (mut whole, mut parts) = (Histogram::default(), [Histogram::default(), Histogram::default()]);
            for (at, nanos) in times.iter().enumerate() {
                let time = Duration::from_nanos(*nanos);
                whole.record(time);
                parts[usize::from(cut <= at)].record(time);
            }
            let [mut merged, other] = parts;
            merged.add(&other);
            prop_assert_eq!(merged.count(), whole.count());
            prop_assert_eq!(merged.mean(), whole.mean());
            let seen = |it: &Histogram| it.buckets().collect::<Vec<_>>();
            prop_assert_eq!(seen(&merged), seen(&whole));
            let mut sorted = times;
            sorted.sort_unstable();
            let median = sorted[sorted.len().div_ceil(2) - 1];
            let found = u64::try_from(whole.quantile(0.5).unwrap().as_nanos()).unwrap();
            prop_assert!(found.abs_diff(median) <= median / BUCKETS);
        }
    }

    #[test]
    fn nothing_seen_says_nothing() {
        let none = Histogram::default();
        assert_eq!((none.count(), none.mean(), none.quantile(0.99)), (0, Duration::ZERO, None));
    }
}
