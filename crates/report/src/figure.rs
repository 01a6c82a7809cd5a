//! Numbers for people: three digits that count, units that fit, intervals beside them.
//!
//! It refuses to say more than is known: a figure with an interval has the decimals of the interval, and a share below one
//! is never shown as 100 %.

use api::simulation::Estimate;

use crate::html::escaped;

/// What a number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nothing: a count, a ratio.
    Plain,
    /// Something per second.
    Rate,
    /// Milliseconds.
    Time,
    /// A part of a whole, from 0 to 1.
    Share,
    /// Seconds of virtual time.
    Seconds,
}

/// What stands where there is no number.
const NONE: &str = "–";

impl Unit {
    /// What a value is multiplied with, and what stands behind it.
    fn suited(self, value: f64) -> (f64, &'static str) {
        match self {
            Self::Plain => (1.0, ""),
            Self::Rate => (1.0, "/s"),
            Self::Share => (100.0, "%"),
            Self::Seconds => (1.0, "s"),
            Self::Time if value.abs() >= 1e3 => (1e-3, "s"),
            Self::Time if value.abs() < 1.0 && value.abs() > 0.0 => (1e3, "µs"),
            Self::Time => (1.0, "ms"),
        }
    }

    /// A value in words: `12.3 ms`, `99.95 %`.
    pub(crate) fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return NONE.to_owned();
        }
        let (factor, suffix) = self.suited(value);
        let number = if self == Self::Share { percent(value) } else { amount(value * factor) };
        if suffix.is_empty() { number } else { format!("{number}\u{202f}{suffix}") }
    }
}

/// A count as a number one can draw.
#[expect(clippy::cast_precision_loss, reason = "nobody draws more than 2^53 of anything")]
pub(crate) const fn float(count: usize) -> f64 {
    count as f64
}

/// The same of a count of events or requests.
#[expect(clippy::cast_precision_loss, reason = "nobody sees more than three digits of it")]
pub(crate) const fn wide(count: u64) -> f64 {
    count as f64
}

/// A number with three digits that count.
pub(crate) fn amount(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        NONE.to_owned()
    } else if size < 1e-9 {
        "0".to_owned()
    } else if size >= 1e15 {
        format!("{value:.2e}")
    } else if size >= 999_500_000.0 {
        format!("{}G", rounded(value / 1e9))
    } else if size >= 999_500.0 {
        format!("{}M", rounded(value / 1e6))
    } else if size >= 99_950.0 {
        format!("{}k", rounded(value / 1e3))
    } else if size >= 999.5 {
        grouped(value)
    } else if size < 1e-3 {
        format!("{value:.1e}")
    } else {
        rounded(value)
    }
}

/// Three digits that count, no zeros at the end.
fn rounded(value: f64) -> String {
    trimmed(&format!("{value:.*}", decimals(value.abs(), 3)))
}

/// The decimals of so many digits that count.
fn decimals(size: f64, digits: usize) -> usize {
    let mut decimals = digits.saturating_sub(1);
    let mut bound = 10.0;
    while bound <= size && 0 < decimals {
        decimals -= 1;
        bound *= 10.0;
    }
    let mut bound = 1.0;
    while size < bound && decimals < 9 {
        decimals += 1;
        bound /= 10.0;
    }
    decimals
}

/// Whole, with a thin space between thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

fn trimmed(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

/// A share in percent, without its sign: rounded down where it would look whole and is not.
fn percent(share: f64) -> String {
    let value = share * 100.0;
    if (99.0..100.0).contains(&value) {
        let floor = |places: f64| (value * places).floor() / places;
        return if floor(100.0) < 99.99 {
            trimmed(&format!("{:.2}", floor(100.0)))
        } else {
            trimmed(&format!("{:.4}", floor(1e4)))
        };
    }
    amount(value)
}

/// An estimate in words, with its interval, or the reason why it has none.
pub(crate) fn estimate(estimate: &Estimate, unit: Unit) -> String {
    let value = estimate.value;
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let Some(half) = estimate.half_width.filter(|it| it.is_finite()) else {
        let shown = unit.show(value);
        return match &estimate.refused {
            Some(why) => {
                let why = escaped(why);
                format!("{shown} <abbr class=\"pm\" title=\"no interval: {why}\">±?</abbr>")
            }
            None => shown,
        };
    };
    let (factor, suffix) = unit.suited(value);
    let (value, half) = (value * factor, half.abs() * factor);
    // All replications found the same: there is nothing to say of chance.
    if half <= 1e-9 * value.abs().max(1.0) {
        return unit.show(estimate.value);
    }
    let decimals = decimals(half, 2).min(decimals_max(unit, value.abs()));
    if 9_999.5 <= value.abs() || value.abs() < 1e-6 || half < 0.5 * 0.1_f64.powf(float(decimals)) {
        let shown = unit.show(estimate.value);
        return format!("{shown} <span class=\"pm\">± {}</span>", amount(half));
    }
    let suffix = if suffix.is_empty() { String::new() } else { format!("\u{202f}{suffix}") };
    let shown = if 999.5 <= value && decimals == 0 {
        grouped(value)
    } else {
        format!("{value:.decimals$}")
    };
    format!("{shown}{suffix} <span class=\"pm\">± {half:.decimals$}</span>")
}

/// Decimals of a number this large, at most: what is beyond five digits nobody compares. A share is near one where it matters.
const fn decimals_max(unit: Unit, size: f64) -> usize {
    match unit {
        Unit::Share => 4,
        _ if 100.0 <= size => 1,
        _ if 10.0 <= size => 2,
        _ if 1.0 <= size => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(unit: Unit, value: f64, expected: &str) {
        assert_eq!(unit.show(value).replace('\u{202f}', " "), expected);
    }

    #[test]
    fn three_digits_count() {
        check(Unit::Plain, 0.0, "0");
        check(Unit::Plain, 12.0, "12");
        check(Unit::Plain, 12.345, "12.3");
        check(Unit::Plain, 0.012_34, "0.0123");
        check(Unit::Plain, -1_234.4, "-1 234");
        check(Unit::Plain, 999.7, "1 000");
        check(Unit::Plain, 123_456.0, "123k");
        check(Unit::Plain, 2.5e6, "2.5M");
        check(Unit::Plain, 1e300, "1.00e300");
        check(Unit::Rate, 40.0, "40 /s");
        check(Unit::Time, 0.25, "250 µs");
        check(Unit::Time, 12.0, "12 ms");
        check(Unit::Time, 2_500.0, "2.5 s");
        check(Unit::Plain, f64::NAN, "–");
        check(Unit::Time, f64::INFINITY, "–");
    }

    #[test]
    fn what_is_not_whole_does_not_look_so() {
        check(Unit::Share, 1.0, "100 %");
        check(Unit::Share, 0.999_999, "99.9999 %");
        check(Unit::Share, 0.999_999_99, "99.9999 %");
        check(Unit::Share, 0.9995, "99.95 %");
        check(Unit::Share, 0.5, "50 %");
        check(Unit::Share, 0.0, "0 %");
    }

    #[test]
    fn an_estimate_has_the_decimals_of_its_interval() {
        let of = |value, half_width, refused: Option<&str>| Estimate {
            value,
            half_width,
            refused: refused.map(str::to_owned),
        };
        let shown = estimate(&of(12.3456, Some(0.412), None), Unit::Time);
        assert_eq!(shown, "12.35\u{202f}ms <span class=\"pm\">± 0.41</span>");
        let shown = estimate(&of(1500.0, Some(20.0), None), Unit::Time);
        assert_eq!(shown, "1.500\u{202f}s <span class=\"pm\">± 0.020</span>");
        let shown = estimate(&of(3.0, None, Some("too <short>")), Unit::Plain);
        assert_eq!(
            shown,
            "3 <abbr class=\"pm\" title=\"no interval: too &lt;short&gt;\">±?</abbr>"
        );
        let shown = estimate(&of(999.9989, Some(0.0039), None), Unit::Time);
        assert_eq!(shown, "1\u{202f}000\u{202f}ms <span class=\"pm\">± 0.0039</span>");
        let shown = estimate(&of(106.12, Some(0.83), None), Unit::Time);
        assert_eq!(shown, "106.1\u{202f}ms <span class=\"pm\">± 0.8</span>");
        assert_eq!(estimate(&of(1.0, Some(0.0), None), Unit::Share), "100\u{202f}%");
        assert_eq!(estimate(&of(f64::NAN, None, None), Unit::Plain), "–");
    }
}
