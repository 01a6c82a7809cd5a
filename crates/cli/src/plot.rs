//! Small plots made of characters.

/// Eighths of a character's height.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The least and the greatest of the values there are.
pub(crate) fn range(values: &[Option<f64>]) -> Option<(f64, f64)> {
    let finite = values.iter().flatten().copied().filter(|it| it.is_finite());
    finite.fold(None, |range, it| {
        let (low, high) = range.unwrap_or((it, it));
        Some((low.min(it), high.max(it)))
    })
}

/// What stands where there is no value. No space: those at the ends of a cell are taken off.
const NONE: char = '·';

/// One line: a character for each value, higher for greater ones.
pub(crate) fn sparkline(values: &[Option<f64>]) -> String {
    // What is usually nothing and then something should not look like a full column and an empty one.
    let (low, high) = range(values).map_or((0.0, 0.0), |(low, high)| (low.min(0.0), high));
    let block = |value: &Option<f64>| match value {
        Some(it) if it.is_finite() => {
            BLOCKS.get(level(*it, (low, high), 8) - 1).copied().unwrap_or('█')
        }
        _ => NONE,
    };
    values.iter().map(block).collect()
}

/// A value's height in `levels` steps, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a few dozen steps"
)]
fn level(value: f64, (low, high): (f64, f64), levels: usize) -> usize {
    if high <= low {
        return 1;
    }
    let share = (value - low) / (high - low);
    ((share * levels as f64).ceil() as usize).clamp(1, levels)
}

/// Several lines: a column for each value, with the range at the left.
pub(crate) fn columns(values: &[Option<f64>], height: usize) -> Vec<String> {
    let Some((low, high)) = range(values) else { return Vec::new() };
    let base = if low < 0.0 { low } else { 0.0 };
    let labels = [number(high), number(base)];
    let width = labels.iter().map(|it| it.chars().count()).max().unwrap_or(0);
    let line = |row: usize| {
        let label = match row {
            0 => labels[0].as_str(),
            it if it + 1 == height => labels[1].as_str(),
            _ => "",
        };
        let below = (height - 1 - row) * 8;
        let cell = |value: &Option<f64>| match value {
            Some(it) if it.is_finite() => {
                match level(*it, (base, high), height * 8).saturating_sub(below) {
                    0 => ' ',
                    eighths => BLOCKS.get(eighths.min(8) - 1).copied().unwrap_or('█'),
                }
            }
            _ => ' ',
        };
        let cells: String = values.iter().map(cell).collect();
        format!("{label:>width$} ┤{}", cells.trim_end())
    };
    (0..height).map(line).collect()
}

/// A number in few characters: four digits, and a letter for thousands.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "NaN".to_owned() } else { format!("{value}") };
    }
    let size = value.abs();
    let (scale, letter) = match size {
        it if it < 1e4 => (1.0, ""),
        it if it < 1e7 => (1e3, "k"),
        it if it < 1e10 => (1e6, "M"),
        it if it < 1e13 => (1e9, "G"),
        _ => return format!("{value:e}"),
    };
    let scaled = value / scale;
    let text = match scaled.abs() {
        0.0 => "0".to_owned(),
        it if it < 1e-4 => format!("{scaled:.2e}"),
        it if it < 1.0 => format!("{scaled:.4}"),
        it if it < 10.0 => format!("{scaled:.3}"),
        it if it < 100.0 => format!("{scaled:.2}"),
        it if it < 1_000.0 => format!("{scaled:.1}"),
        _ => format!("{scaled:.0}"),
    };
    let text = if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{letter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparklines() {
        let check = |values: &[f64], expected: &str| {
            let values: Vec<_> = values.iter().map(|it| it.is_finite().then_some(*it)).collect();
            assert_eq!(sparkline(&values), expected);
        };
        check(&[0.0, 1.0, 2.0, 4.0, f64::NAN, 8.0], "▁▁▂▄·█");
        check(&[5.0, 5.0], "██");
        check(&[0.0, 0.0], "▁▁");
        check(&[-2.0, 2.0], "▁█");
        check(&[], "");
    }

    #[test]
    fn columns_have_a_range() {
        let values: Vec<_> = (0..9).map(|it| Some(f64::from(it))).collect();
        insta::assert_snapshot!(columns(&values, 2).join("\n"), @r"
        8 ┤     ▂▄▆█
        0 ┤▁▂▄▆█████
        ");
    }

    #[test]
    fn numbers_are_short() {
        let check = |value, expected| assert_eq!(number(value), expected);
        check(0.0, "0");
        check(1.0, "1");
        check(0.123_456, "0.1235");
        check(0.000_001, "1.00e-6");
        check(1_234.5, "1234");
        check(12_345.0, "12.35k");
        check(-7_650_000_000.0, "-7650M");
        check(f64::NAN, "NaN");
    }
}
