//! Lines through windows: least squares, and double exponential smoothing.

use super::EvalError;
use super::column::{ABSENT, is_absent};
use super::number::{Sum, count, seconds};
use super::range::Window;

/// The slope of the line through the samples, each second.
pub(super) fn slope(window: &Window<'_>) -> f64 {
    match window.times {
        [first_ms, _, ..] => line(window, *first_ms).0,
        _ => ABSENT,
    }
}

/// Where the line through the samples is some seconds from now.
pub(super) fn predict(window: &Window<'_>) -> f64 {
    if window.times.len() < 2 {
        return ABSENT;
    }
    let (slope, now) = line(window, window.now_ms);
    let [ahead_s, _] = window.arguments;
    slope * ahead_s + now
}

/// The slope of the line of least squares, and where it is at a moment.
fn line(window: &Window<'_>, origin_ms: i64) -> (f64, f64) {
    let first = window.values.first().copied().unwrap_or(f64::NAN);
    #[expect(clippy::float_cmp, reason = "a line is flat if nothing differs at all")]
    let flat = window.values.iter().skip(1).all(|it| *it == first);
    if flat {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let mut sums = [Sum::default(); 4];
    for (time_ms, value) in window.times.iter().zip(window.values) {
        let time = seconds(time_ms - origin_ms);
        for (sum, addend) in sums.iter_mut().zip([time, *value, time * value, time * time]) {
            sum.add(addend);
        }
    }
    let [time, value, time_value, time_time] = sums.map(Sum::total);
    let samples = count(window.values.len());
    let covariance = time_value - time * value / samples;
    let variance = time_time - time * time / samples;
    let slope = covariance / variance;
    (slope, value / samples - slope * time / samples)
}

/// A level and a trend, both of which forget exponentially (Holt's linear method).
pub(super) fn smooth(window: &Window<'_>) -> f64 {
    let [first, second, ..] = window.values else { return ABSENT };
    let [level_factor, trend_factor] = window.arguments;
    let (mut before, mut level, mut trend) = (0.0, *first, second - first);
    for (place, value) in window.values.iter().skip(1).enumerate() {
        if 0 < place {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        before = level;
        level = level_factor * value + (1.0 - level_factor) * (level + trend);
    }
    level
}

/// Refuses factors that do not smooth.
pub(super) fn check(name: &str, arguments: &[[f64; 2]]) -> Result<(), EvalError> {
    if !matches!(name, "double_exponential_smoothing" | "holt_winters") {
        return Ok(());
    }
    for factors in arguments {
        for (factor, what, short) in
            factors.iter().zip([("smoothing", "sf"), ("trend", "tf")]).map(|(f, (w, s))| (f, w, s))
        {
            if is_absent(*factor) || (0.0 < *factor && *factor < 1.0) {
                continue;
            }
            return Err(EvalError::Execution(format!(
                "invalid {what} factor. Expected: 0 < {short} < 1, got: {factor:.6}"
            )));
        }
    }
    Ok(())
}
