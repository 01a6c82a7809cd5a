//! How long things took, in a fixed number of buckets.

use serde::{Deserialize, Serialize};

/// Buckets in an octave: the middle of a bucket is within 1/32 of every value in it.
const STEPS: u32 = 16;
/// Octaves above the first, which is linear: values up to 2^32 µs (71 minutes) are told apart.
const OCTAVES: u32 = 28;
/// All buckets.
const BUCKETS: usize = (STEPS + OCTAVES * STEPS) as usize;

/// Counts of values (microseconds, by convention) in buckets that grow with the value: log-linear, as
/// in `HdrHistogram`. Recording is a shift and an addition; merging is an addition for each bucket.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Sparse", into = "Sparse")]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum: u64,
}

/// A histogram as it is written: the buckets that are not empty.
#[derive(Serialize, Deserialize)]
struct Sparse {
    buckets: Vec<(u32, u64)>,
    sum: u64,
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Histogram")
            .field("count", &self.count)
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .finish_non_exhaustive()
    }
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
        }
        if let Some(bucket) = self.counts.get_mut(bucket_of(value)) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Values counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// The value below or at which a share `q` (0 to 1) of all values lies, to within 1/32; 0 if there is
    /// none.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among counts that are far below 2^53"
    )]
    pub fn quantile(&self, q: f64) -> u64 {
        let rank = ((self.count as f64 * q).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if rank <= seen {
                return middle_of(bucket);
            }
        }
        0
    }

    /// Values up to `limit`, to within 1/32: those of a bucket whose middle is not above it.
    pub fn count_up_to(&self, limit: u64) -> u64 {
        let buckets = self.counts.iter().enumerate();
        let below = buckets.take_while(|(bucket, _)| middle_of(*bucket) <= limit);
        below.map(|(_, count)| count).sum()
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// What was counted since `earlier`, an older state of this histogram.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        for (mine, theirs) in difference.counts.iter_mut().zip(&earlier.counts) {
            *mine = mine.saturating_sub(*theirs);
        }
        difference.count = self.count.saturating_sub(earlier.count);
        difference.sum = self.sum.saturating_sub(earlier.sum);
        difference
    }
}

impl From<Sparse> for Histogram {
    fn from(sparse: Sparse) -> Self {
        let mut histogram = Self { sum: sparse.sum, ..Self::default() };
        for (bucket, count) in sparse.buckets {
            if histogram.counts.is_empty() {
                histogram.counts = vec![0; BUCKETS];
            }
            if let Some(mine) = histogram.counts.get_mut(bucket as usize) {
                *mine += count;
                histogram.count += count;
            }
        }
        histogram
    }
}

impl From<Histogram> for Sparse {
    fn from(histogram: Histogram) -> Self {
        let buckets = (0..).zip(histogram.counts).filter(|(_, count)| 0 < *count).collect();
        Self { buckets, sum: histogram.sum }
    }
}

fn bucket_of(value: u64) -> usize {
    let value = value.clamp(0, (1 << (OCTAVES + STEPS.ilog2())) - 1);
    let octave = value.max(1).ilog2().saturating_sub(STEPS.ilog2());
    let step = value >> octave;
    octave as usize * STEPS as usize + usize::try_from(step).unwrap_or(usize::MAX)
}

fn middle_of(bucket: usize) -> u64 {
    let (bucket, steps) = (bucket as u64, u64::from(STEPS));
    if bucket < 2 * steps {
        return bucket;
    }
    let octave = bucket / steps - 1;
    let low = (bucket - octave * steps) << octave;
    low + (1 << octave) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_is_near_every_value_in_it(value in 0_u64..(1 << 32)) {
            let middle = middle_of(bucket_of(value));
            prop_assert!(middle.abs_diff(value) <= value / 32, "{value} {middle}");
        }

        #[test]
        fn differences_and_sums_undo_each_other(
            first in prop::collection::vec(0_u64..1_000_000, 0..50),
            second in prop::collection::vec(0_u64..1_000_000, 0..50),
        ) {
            let of = |values: &[u64]| {
                let mut histogram = Histogram::default();
                for it in values {
                    histogram.record(*it);
                }
                histogram
            };
            let mut both = of(&first);
            both.merge(&of(&second));
            let since = both.since(&of(&first));
            prop_assert_eq!(since.count(), second.len() as u64);
            prop_assert_eq!(since.quantile(0.5), of(&second).quantile(0.5));
            let text = serde_json::to_string(&both).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), both);
        }
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.99), 0);
        (1..=31).for_each(|it| histogram.record(it));
        assert_eq!((histogram.quantile(0.5), histogram.quantile(1.0)), (16, 31));
        assert_eq!((histogram.count(), histogram.sum()), (31, 496));
        histogram.record(u64::MAX);
        assert!((1 << 31) < histogram.quantile(1.0));
    }
}
