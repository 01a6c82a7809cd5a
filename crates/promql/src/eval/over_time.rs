//! Range functions that look at the values of a window, whatever their distances.

use super::column::ABSENT;
use super::number::{Mean, Spread, Sum, count, quantile, seconds};
use super::range::{Compute, Window};

/// The function of a name.
pub(super) fn find(name: &str) -> Option<Compute> {
    Some(match name {
        "avg_over_time" => average,
        "min_over_time" => least,
        "max_over_time" => greatest,
        "sum_over_time" => sum,
        "count_over_time" => number,
        "present_over_time" => |_| 1.0,
        "stddev_over_time" => deviation,
        "stdvar_over_time" => variance,
        "quantile_over_time" => share,
        "mad_over_time" => median_deviation,
        "changes" => changes,
        "resets" => resets,
        "ts_of_first_over_time" => |window| time(window.times.first()),
        "ts_of_last_over_time" => |window| time(window.times.last()),
        "ts_of_min_over_time" => |window| extreme(window, |value, best| value <= best).0,
        "ts_of_max_over_time" => |window| extreme(window, |value, best| best <= value).0,
        _ => return None,
    })
}

pub(super) fn last(window: &Window<'_>) -> f64 {
    window.values.last().copied().unwrap_or(ABSENT)
}

pub(super) fn first(window: &Window<'_>) -> f64 {
    window.values.first().copied().unwrap_or(ABSENT)
}

fn time(time_ms: Option<&i64>) -> f64 {
    time_ms.map_or(ABSENT, |it| seconds(*it))
}

fn average(window: &Window<'_>) -> f64 {
    let mut mean = Mean::default();
    window.values.iter().for_each(|it| mean.add(*it));
    mean.mean()
}

fn least(window: &Window<'_>) -> f64 {
    extreme(window, |value, best| value < best).1
}

fn greatest(window: &Window<'_>) -> f64 {
    extreme(window, |value, best| best < value).1
}

/// The best value and when it was; what is no number is worse than every number.
fn extreme(window: &Window<'_>, better: fn(f64, f64) -> bool) -> (f64, f64) {
    let mut samples = window.times.iter().zip(window.values);
    let Some(first) = samples.next() else { return (ABSENT, ABSENT) };
    let (time_ms, value) =
        samples.fold(
            first,
            |best, next| {
                if better(*next.1, *best.1) || best.1.is_nan() { next } else { best }
            },
        );
    (seconds(*time_ms), *value)
}

fn sum(window: &Window<'_>) -> f64 {
    Sum::of(window.values.iter().copied()).total()
}

fn number(window: &Window<'_>) -> f64 {
    count(window.values.len())
}

fn variance(window: &Window<'_>) -> f64 {
    let mut spread = Spread::default();
    window.values.iter().for_each(|it| spread.add(*it));
    spread.variance()
}

fn deviation(window: &Window<'_>) -> f64 {
    variance(window).sqrt()
}

fn share(window: &Window<'_>) -> f64 {
    let [share, _] = window.arguments;
    quantile(share, &mut window.values.to_vec())
}

fn median_deviation(window: &Window<'_>) -> f64 {
    let mut values = window.values.to_vec();
    let median = quantile(0.5, &mut values);
    for value in &mut values {
        *value = (*value - median).abs();
    }
    quantile(0.5, &mut values)
}

/// Pairs of values that follow each other.
fn pairs<'w>(window: &Window<'w>) -> impl Iterator<Item = (&'w f64, &'w f64)> {
    window.values.iter().zip(window.values.iter().skip(1))
}

fn changes(window: &Window<'_>) -> f64 {
    #[expect(clippy::float_cmp, reason = "any difference is a change")]
    let changed =
        |(before, after): &(&f64, &f64)| before != after && !(before.is_nan() && after.is_nan());
    count(pairs(window).filter(changed).count())
}

fn resets(window: &Window<'_>) -> f64 {
    count(pairs(window).filter(|(before, after)| after < before).count())
}
