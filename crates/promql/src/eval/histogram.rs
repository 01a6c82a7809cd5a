//! Classic histograms: quantiles and fractions from series that count up to a bound, their label `le`.
//!
//! Within a bucket observations are taken to be spread evenly. Series without a readable bound are left out.

use std::collections::BTreeMap;

use super::EvalError;
use super::column::{ABSENT, Track, is_absent};
use super::evaluator::{Evaluator, Sink, hand_on};
use crate::labels::Labels;
use crate::parse::{Expr, number};

/// The label that holds a bucket's upper bound.
const BOUND: &str = "le";

/// Counts that differ by less than this part of them are taken to be equal.
const TOLERANCE: f64 = 1e-12;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    bound: f64,
    /// Observations up to the bound.
    count: f64,
}

/// Hands on the value below which a share of the observations is.
pub(super) fn quantile(
    evaluator: &Evaluator<'_>,
    (share, of): (&Expr, &Expr),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let shares = evaluator.scalar(share)?;
    each(
        evaluator,
        of,
        &|step, buckets| {
            let share = shares.get(step).copied().unwrap_or(f64::NAN);
            quantile_of(share, buckets)
        },
        sink,
    )
}

/// Hands on the share of the observations between two values.
pub(super) fn fraction(
    evaluator: &Evaluator<'_>,
    (lower, upper, of): (&Expr, &Expr, &Expr),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let (lower, upper) = (evaluator.scalar(lower)?, evaluator.scalar(upper)?);
    each(
        evaluator,
        of,
        &|step, buckets| {
            let at = |column: &[f64]| column.get(step).copied().unwrap_or(f64::NAN);
            fraction_of((at(&lower), at(&upper)), buckets)
        },
        sink,
    )
}

type Compute<'c> = &'c dyn Fn(usize, &mut Vec<Bucket>) -> f64;

fn each(
    evaluator: &Evaluator<'_>,
    of: &Expr,
    compute: Compute<'_>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let not_grouped = [BOUND.to_owned()];
    let mut histograms: BTreeMap<Labels, Vec<(f64, Vec<f64>)>> = BTreeMap::new();
    evaluator.each(of, &mut |track| {
        let Some(bound) = number(track.labels.get(BOUND)) else { return Ok(()) };
        evaluator.hold(track.values.len())?;
        let labels = track.labels.without(&not_grouped);
        histograms.entry(labels).or_default().push((bound, track.values));
        Ok(())
    })?;
    let mut buckets = Vec::new();
    for (labels, mut columns) in histograms {
        columns.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let mut values = Vec::with_capacity(evaluator.grid.count);
        let mut columns: Vec<_> =
            columns.iter().map(|(bound, column)| (*bound, column.iter())).collect();
        for step in 0..evaluator.grid.count {
            buckets.clear();
            buckets.extend(columns.iter_mut().filter_map(|(bound, column)| {
                let count = *column.next()?;
                (!is_absent(count)).then_some(Bucket { bound: *bound, count })
            }));
            values.push(if buckets.is_empty() { ABSENT } else { compute(step, &mut buckets) });
        }
        hand_on(Track { labels, values }, sink)?;
    }
    Ok(())
}

/// Buckets as one can compute with them: one a bound, none with less than the one before. `None` if the last
/// is not that of all observations.
fn tidy(buckets: &mut Vec<Bucket>) -> Option<()> {
    if buckets.last()?.bound < f64::INFINITY {
        return None;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.bound <= kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
    let mut most = buckets.first()?.count;
    for bucket in buckets.iter_mut().skip(1) {
        if bucket.count < most || nearly_equal(most, bucket.count) {
            bucket.count = most;
        } else {
            most = bucket.count;
        }
    }
    Some(())
}

fn nearly_equal(left: f64, right: f64) -> bool {
    let sum = left.abs() + right.abs();
    let difference = (left - right).abs();
    if left.abs() <= 0.0 || right.abs() <= 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn quantile_of(share: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if share.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&share) {
        return if share < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let tidied = tidy(buckets);
    let (Some(()), [lower @ .., all]) = (tidied, buckets.as_slice()) else { return f64::NAN };
    let (Some(highest), true) =
        (lower.last(), 0.0 < all.count || all.count < 0.0 || all.count.is_nan())
    else {
        return f64::NAN;
    };
    let rank = share * all.count;
    let place = lower.partition_point(|it| it.count < rank || it.count.is_nan() || rank.is_nan());
    let Some(bucket) = lower.get(place) else { return highest.bound };
    let before = place.checked_sub(1).and_then(|it| lower.get(it));
    match before {
        None if bucket.bound <= 0.0 => bucket.bound,
        None => bucket.bound * (rank / bucket.count),
        Some(before) => {
            let width = bucket.bound - before.bound;
            before.bound + width * ((rank - before.count) / (bucket.count - before.count))
        }
    }
}

fn fraction_of((lower, upper): (f64, f64), buckets: &mut Vec<Bucket>) -> f64 {
    let tidied = tidy(buckets);
    let (Some(()), Some(all)) = (tidied, buckets.last()) else { return f64::NAN };
    if all.count.abs() <= 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if upper <= lower {
        return 0.0;
    }
    (rank_of(upper, buckets) - rank_of(lower, buckets)) / all.count
}

/// How many observations are below a value.
fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let mut below = Bucket { bound: f64::NEG_INFINITY, count: 0.0 };
    if buckets.first().is_some_and(|it| 0.0 < it.bound) {
        below.bound = 0.0;
    }
    for bucket in buckets {
        if value <= below.bound {
            return below.count;
        }
        if value < bucket.bound {
            let share = if below.bound.is_infinite() || bucket.bound.is_infinite() {
                0.0
            } else {
                (value - below.bound) / (bucket.bound - below.bound)
            };
            return below.count + (bucket.count - below.count) * share;
        }
        below = *bucket;
    }
    below.count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: &[(f64, f64)]) -> Vec<Bucket> {
        counts.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    #[test]
    fn quantiles_are_interpolated() {
        let usual = [(0.1, 10.0), (0.5, 40.0), (1.0, 40.0), (f64::INFINITY, 50.0)];
        let check = |share: f64, counts: &[(f64, f64)], expected: f64| {
            let found = quantile_of(share, &mut buckets(counts));
            assert_eq!(found.to_bits(), expected.to_bits(), "{share}: {found}");
        };
        check(0.1, &usual, 0.05);
        check(0.5, &usual, 0.1 + 0.4 * (15.0 / 30.0));
        check(0.9, &usual, 1.0);
        check(-0.1, &usual, f64::NEG_INFINITY);
        check(1.1, &usual, f64::INFINITY);
        check(0.5, &usual[..3], f64::NAN);
        check(0.5, &usual[3..], f64::NAN);
        check(0.5, &[(-1.0, 5.0), (f64::INFINITY, 5.0)], -1.0);
        check(1.0, &[(1.0, 5.0), (2.0, 4.0), (f64::INFINITY, 5.0)], 1.0);
    }

    #[test]
    fn fractions_are_interpolated() {
        let usual = [(0.1, 10.0), (0.5, 40.0), (f64::INFINITY, 50.0)];
        let check = |between: (f64, f64), expected: f64| {
            let found = fraction_of(between, &mut buckets(&usual));
            assert!((found - expected).abs() < 1e-12, "{between:?}: {found}");
        };
        check((0.0, 0.1), 0.2);
        check((f64::NEG_INFINITY, 0.5), 0.8);
        check((0.05, 0.3), 0.4);
        check((0.5, f64::INFINITY), 0.2);
        check((1.0, 0.5), 0.0);
    }
}
