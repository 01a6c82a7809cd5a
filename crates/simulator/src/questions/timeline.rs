//! What happened when, on average over replications.

use std::time::Duration;

use api::simulation::Timeline;

use super::figures::{Figures, count};
use super::sojourn::milliseconds;
use crate::outcome::Bucket;
use crate::statistics::number;

/// The mean course of some replications.
pub(super) fn timeline(replications: &[Figures]) -> Timeline {
    let bucket_s = replications.first().map_or(0.0, |it| it.bucket.as_secs_f64());
    let buckets = replications.iter().map(|it| it.timeline.len()).min().unwrap_or(0);
    let mean = |at: usize, of: &dyn Fn(&Bucket) -> f64| {
        let sum: f64 = replications.iter().filter_map(|it| it.timeline.get(at)).map(of).sum();
        sum / number(replications.len())
    };
    let level =
        |of: &dyn Fn(&Bucket) -> f64| -> Vec<f64> { (0..buckets).map(|at| mean(at, of)).collect() };
    let rate =
        |of: fn(&Bucket) -> u64| level(&|it| count(of(it)) / bucket_s.max(f64::MIN_POSITIVE));
    let latency = |of: fn(&Bucket) -> Duration| -> Vec<Option<f64>> {
        let at = |at: usize| {
            let known = replications.iter().filter_map(|it| it.timeline.get(at));
            let known: Vec<f64> =
                known.filter(|it| it.succeeded != 0).map(|it| milliseconds(of(it))).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / number(known.len()))
        };
        (0..buckets).map(at).collect()
    };
    Timeline {
        bucket_s,
        offered: rate(|it| it.offered),
        goodput: rate(|it| it.succeeded),
        failed: rate(|it| it.failed),
        attempts: rate(|it| it.attempts),
        p50_ms: latency(|it| it.p50),
        p99_ms: latency(|it| it.p99),
        waiting: level(&|it| count(it.waiting)),
        ejected: level(&|it| f64::from(it.ejected)),
        open: level(&|it| f64::from(it.open)),
        ready: level(&|it| f64::from(it.ready)),
    }
}
