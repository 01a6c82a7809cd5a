//! Scales: from values to places on a drawing, with ticks that are nice numbers.
//!
//! A scale always has a width: of nothing, of one value, or of values that are none, there is a scale too.

use crate::figure::amount;

/// From values to places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    kind: Kind,
    /// Least and largest value.
    domain: (f64, f64),
    /// Where they are drawn.
    range: (f64, f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Linear,
    Logarithmic,
}

/// Pixels from one tick of a linear scale to the next, about, and how many there are.
const TICK_PX: f64 = 45.0;
const TICKS: (f64, f64) = (3.0, 10.0);
/// Ticks of a linear scale, at most.
const TICKS_MAX: u32 = 24;
/// How much larger the largest value is than the least where a logarithmic scale says more.
const LOGARITHMIC_FROM: f64 = 30.0;
/// Values are taken to be no larger: what is above, no unit is made for.
const VALUE_MAX: f64 = 1e15;
/// Values below are nothing.
const VALUE_MIN: f64 = 1e-12;

impl Scale {
    /// From zero to a nice number that is not below any value.
    pub(crate) fn from_zero(values: impl IntoIterator<Item = f64>, range: (f64, f64)) -> Self {
        let largest = extent(values).map_or(0.0, |it| it.1);
        let largest = if largest < VALUE_MIN { 1.0 } else { largest.min(VALUE_MAX) };
        let step = nice(largest / room_for(range));
        Self { kind: Kind::Linear, domain: (0.0, (largest / step).ceil() * step), range }
    }

    /// From the least to the largest value, nothing more.
    pub(crate) fn tight(values: impl IntoIterator<Item = f64>, range: (f64, f64)) -> Self {
        let (least, largest) = extent(values).unwrap_or((0.0, 1.0));
        let (least, largest) = (bounded(least), bounded(largest));
        let room = if largest - least > 1e-9 * largest.abs() { 0.0 } else { widened(largest) };
        Self { kind: Kind::Linear, domain: (least - room, largest + room), range }
    }

    /// Logarithmic if values differ much, from zero otherwise: for latencies.
    pub(crate) fn for_latency(values: impl IntoIterator<Item = f64>, range: (f64, f64)) -> Self {
        let positive: Vec<f64> = values.into_iter().filter(|it| VALUE_MIN <= *it).collect();
        let Some((least, largest)) = extent(positive.iter().copied()) else {
            return Self::from_zero([], range);
        };
        if bounded(largest) < least * LOGARITHMIC_FROM {
            return Self::from_zero(positive, range);
        }
        let (least, largest) = (bounded(least), bounded(largest));
        let domain = (below(least), above(largest));
        Self { kind: Kind::Logarithmic, domain, range }
    }

    /// Where a value is drawn; at an end if it is beyond.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let (least, largest) = self.domain;
        let value = if value.is_nan() { least } else { value.clamp(least, largest) };
        let part = match self.kind {
            Kind::Linear => (value - least) / (largest - least),
            Kind::Logarithmic => (value / least).log10() / (largest / least).log10(),
        };
        let (from, to) = self.range;
        from + part * (to - from)
    }

    /// Where it begins and ends.
    pub(crate) const fn range(&self) -> (f64, f64) {
        self.range
    }

    /// Nice numbers on it, as text.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let (least, largest) = self.domain;
        let mut ticks = Vec::new();
        match self.kind {
            Kind::Linear => {
                let step = nice((largest - least) / room_for(self.range));
                let first = (least / step).ceil();
                for at in 0..TICKS_MAX {
                    // The product, not a sum, so that 0.3 is not 0.30000000000000004 away from it.
                    let tick = (first + f64::from(at)) * step;
                    if tick <= largest + step * 1e-6 {
                        ticks.push((tick, amount(tick)));
                    }
                }
            }
            Kind::Logarithmic => {
                let decades = (largest / least).log10();
                let mut decade = 10f64.powf(least.log10().floor());
                while decade <= largest * 1.001 && ticks.len() < 40 {
                    let within: &[f64] = if decades <= 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                    for tick in within.iter().map(|it| it * decade) {
                        if (least * 0.999..=largest * 1.001).contains(&tick) {
                            ticks.push((tick, amount(tick)));
                        }
                    }
                    decade *= 10.0;
                }
            }
        }
        ticks
    }
}

/// Ticks there is room for.
fn room_for(range: (f64, f64)) -> f64 {
    ((range.1 - range.0).abs() / TICK_PX).clamp(TICKS.0, TICKS.1)
}

fn bounded(value: f64) -> f64 {
    value.clamp(-VALUE_MAX, VALUE_MAX)
}

/// What one value is given on both sides.
fn widened(value: f64) -> f64 {
    if value.abs() < 1e-9 { 1.0 } else { value.abs() / 2.0 }
}

/// The least and the largest of the values that are numbers.
fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|it| it.is_finite());
    finite.fold(None, |so_far, it| match so_far {
        None => Some((it, it)),
        Some((least, largest)) => Some((it.min(least), it.max(largest))),
    })
}

/// 1, 2 or 5 times a power of ten, not below.
pub(super) fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    for times in [1.0, 2.0, 5.0] {
        if step <= power * times * 1.000_001 {
            return power * times;
        }
    }
    power * 10.0
}

/// 1, 2 or 5 times a power of ten, not above.
fn below(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let fits = |times: &f64| power * times <= value;
    [5.0, 2.0, 1.0].into_iter().find(fits).map_or(power / 10.0, |times| times * power)
}

fn above(value: f64) -> f64 {
    nice(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(scale: Scale, expected: &[&str]) {
        let ticks: Vec<String> = scale.ticks().into_iter().map(|it| it.1).collect();
        assert_eq!(ticks, expected);
    }

    const RANGE: (f64, f64) = (0.0, 225.0);

    #[test]
    fn ticks_are_nice() {
        check(Scale::from_zero([3.7, 0.2], RANGE), &["0", "1", "2", "3", "4"]);
        check(Scale::from_zero([0.0], RANGE), &["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        check(Scale::from_zero([], RANGE), &["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        check(Scale::tight([12.0, 61.0], RANGE), &["20", "30", "40", "50", "60"]);
        check(Scale::tight([7.0], RANGE), &["4", "6", "8", "10"]);
        check(Scale::for_latency([2.0, 800.0], RANGE), &["10", "100", "1\u{202f}000"]);
        check(Scale::for_latency([3.0, 150.0], RANGE), &["2", "5", "10", "20", "50", "100", "200"]);
        check(Scale::for_latency([10.0, 40.0], RANGE), &["0", "10", "20", "30", "40"]);
    }

    proptest! {
        #[test]
        fn places_are_within(values in proptest::collection::vec(any::<f64>(), 0..5), value in any::<f64>()) {
            for scale in [
                Scale::from_zero(values.clone(), RANGE),
                Scale::tight(values.clone(), RANGE),
                Scale::for_latency(values.clone(), RANGE),
            ] {
                prop_assert!((-1e-6..=225.0 + 1e-6).contains(&scale.place(value)), "{scale:?}");
                let ticks = scale.ticks();
                prop_assert!(ticks.iter().all(|it| it.0.is_finite()), "{ticks:?}");
                prop_assert!(ticks.len() <= 40);
            }
        }
    }
}
