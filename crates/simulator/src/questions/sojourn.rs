//! Latencies of one replication in a few numbers, and those of several as a distribution with intervals.

use std::time::Duration;

use api::simulation::Latencies;

use super::estimate::{NONE, estimate_of_some};
use crate::histogram::Histogram;

/// The quantiles that are shown.
const SHOWN: [f64; 4] = [0.5, 0.9, 0.99, 0.999];
/// Values that must lie beyond a quantile in each replication before its place means something: with fewer, it is the largest
/// value that was met by chance.
const BEYOND_MIN: f64 = 10.0;

/// What is kept of a histogram, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sojourn {
    pub(super) count: u64,
    pub(super) mean: Option<f64>,
    quantiles: [Option<f64>; SHOWN.len()],
}

impl Sojourn {
    pub(super) fn of(histogram: &Histogram) -> Self {
        let is_some = histogram.count() != 0;
        Self {
            count: histogram.count(),
            mean: is_some.then(|| milliseconds(histogram.mean())),
            quantiles: SHOWN.map(|it| histogram.quantile(it).map(milliseconds)),
        }
    }

    pub(super) fn quantile(&self, at: Shown) -> Option<f64> {
        let [p50, p90, p99, p999] = self.quantiles;
        match at {
            Shown::P50 => p50,
            Shown::P90 => p90,
            Shown::P99 => p99,
            Shown::P999 => p999,
        }
    }
}

/// One of the quantiles that are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    P50,
    P90,
    P99,
    P999,
}

impl Shown {
    pub(super) const fn share(self) -> f64 {
        let [p50, p90, p99, p999] = SHOWN;
        match self {
            Self::P50 => p50,
            Self::P90 => p90,
            Self::P99 => p99,
            Self::P999 => p999,
        }
    }
}

/// A time in milliseconds.
pub(super) const fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Replications' latencies as one distribution. A quantile's interval comes from the quantiles of replications.
pub(super) fn latencies(replications: &[Sojourn], refusal: Option<&str>) -> Latencies {
    let of = |at: Shown| {
        let values: Vec<_> = replications.iter().map(|it| it.quantile(at)).collect();
        let few = too_few(replications, at.share());
        estimate_of_some(&values, refusal.or(few.as_deref()))
    };
    let means: Vec<_> = replications.iter().map(|it| it.mean).collect();
    Latencies {
        mean_ms: estimate_of_some(&means, refusal),
        p50_ms: of(Shown::P50),
        p90_ms: of(Shown::P90),
        p99_ms: of(Shown::P99),
        p999_ms: of(Shown::P999),
    }
}

/// Why a quantile's interval would be a pretence: hardly anything lies beyond it.
pub(super) fn too_few(replications: &[Sojourn], share: f64) -> Option<String> {
    let least = replications.iter().map(|it| it.count).min()?;
    let needed = BEYOND_MIN / (1.0 - share).max(f64::MIN_POSITIVE);
    if least == 0 {
        return Some(NONE.to_owned());
    }
    #[expect(clippy::cast_precision_loss, reason = "a count below 2^53")]
    let is_short = (least as f64) < needed - 0.5;
    is_short.then(|| {
        format!(
            "a replication has {least} answers, and this quantile needs {needed:.0}; make the run longer"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times_ms: impl Iterator<Item = u64>) -> Sojourn {
        let mut histogram = Histogram::default();
        times_ms.for_each(|it| histogram.record(Duration::from_millis(it)));
        Sojourn::of(&histogram)
    }

    #[test]
    fn quantiles_of_replications() {
        let found = latencies(&[of(1..=1_000), of(1..=1_000)], None);
        assert!((found.mean_ms.value - 500.5).abs() < 1e-9);
        assert_eq!(found.mean_ms.half_width, Some(0.0));
        assert!((found.p50_ms.value - 500.0).abs() < 4.0);
        assert!((found.p99_ms.value - 990.0).abs() < 8.0 && found.p99_ms.refused.is_none());
        let why =
            "a replication has 1000 answers, and this quantile needs 10000; make the run longer";
        assert_eq!(found.p999_ms.refused.as_deref(), Some(why));
    }

    #[test]
    fn nothing_answered_is_said() {
        let found = latencies(&[of(1..=5), Sojourn::default()], None);
        assert_eq!(found.mean_ms.refused.as_deref(), Some(NONE));
        assert_eq!(found.p50_ms.refused.as_deref(), Some(NONE));
    }
}
