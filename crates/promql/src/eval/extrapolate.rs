//! How much a series has changed over a window, judged by the samples in it.
//!
//! Samples seldom stand at the very edges of a window. So the change between the first and the last is
//! extrapolated to the edges, but not further than half the usual distance of samples when the series seems to
//! begin or end within the window, and never to where a counter would be negative. This is what Prometheus 3 does.

use super::column::ABSENT;
use super::number::{count, seconds};
use super::range::Window;

/// The change of a counter, each second.
pub(super) fn rate(window: &Window<'_>) -> f64 {
    let change = extrapolated(window, Series::Counter);
    change.map_or(ABSENT, |(change, factor)| change * (factor / seconds(window.range_ms())))
}

/// The change of a counter.
pub(super) fn increase(window: &Window<'_>) -> f64 {
    extrapolated(window, Series::Counter).map_or(ABSENT, |(change, factor)| change * factor)
}

/// The change of a gauge.
pub(super) fn delta(window: &Window<'_>) -> f64 {
    extrapolated(window, Series::Gauge).map_or(ABSENT, |(change, factor)| change * factor)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Series {
    Counter,
    Gauge,
}

/// The change between the samples, and by what it is multiplied. They are not multiplied here, so that a rate is rounded
/// where Prometheus rounds it.
fn extrapolated(window: &Window<'_>, series: Series) -> Option<(f64, f64)> {
    let ([first, .., last], [first_ms, .., last_ms]) = (window.values, window.times) else {
        return None;
    };
    let mut change = last - first;
    for reset in window.resets {
        let before = reset.checked_sub(window.first + 1).and_then(|it| window.values.get(it));
        change += before.copied().unwrap_or_default();
    }
    let sampled = seconds(last_ms - first_ms);
    let distance = sampled / count(window.values.len() - 1);
    let near_edge = distance * 1.1;
    let mut to_start = seconds(first_ms - window.from_ms);
    if near_edge <= to_start {
        to_start = distance / 2.0;
    }
    if series == Series::Counter && 0.0 < change && 0.0 <= *first {
        to_start = to_start.min(sampled * (first / change));
    }
    let mut to_end = seconds(window.to_ms - last_ms);
    if near_edge <= to_end {
        to_end = distance / 2.0;
    }
    Some((change, (sampled + to_start + to_end) / sampled))
}

/// The change of a counter between the last two samples, each second.
pub(super) fn instant_rate(window: &Window<'_>) -> f64 {
    let ([.., before, last], [.., before_ms, last_ms]) = (window.values, window.times) else {
        return ABSENT;
    };
    if before_ms == last_ms {
        return ABSENT;
    }
    let change = if last < before { *last } else { last - before };
    change / seconds(last_ms - before_ms)
}

/// The change of a gauge between the last two samples.
pub(super) fn instant_delta(window: &Window<'_>) -> f64 {
    match window.values {
        [.., before, last] => last - before,
        _ => ABSENT,
    }
}
