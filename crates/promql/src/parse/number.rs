//! Numbers, durations and strings, as Go and Prometheus write them.

/// Milliseconds in each unit of a duration, in the order in which they have to be written.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Milliseconds of a duration such as `1h30m`.
pub fn duration_ms(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0_i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit())?;
        let (count, after) = rest.split_at_checked(digits)?;
        let letters = after.find(|it: char| it.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let (_, scale) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(count.parse::<i64>().ok()?.checked_mul(*scale)?)?;
        rest = after;
    }
    Some(total)
}

/// A duration as Prometheus writes one: `1h30m`; the longest units first, and years and weeks only
/// when they leave nothing over.
pub fn duration_text(duration_ms: i64) -> String {
    if duration_ms == 0 {
        return "0s".to_owned();
    }
    let mut rest = duration_ms.unsigned_abs();
    let mut text = if duration_ms < 0 { "-".to_owned() } else { String::new() };
    for (unit, scale) in UNITS {
        let scale = scale.unsigned_abs();
        let exact_only = matches!(unit, "y" | "w");
        if rest < scale || (exact_only && !rest.is_multiple_of(scale)) {
            continue;
        }
        text.push_str(&(rest / scale).to_string());
        text.push_str(unit);
        rest %= scale;
    }
    text
}

/// A number as Go reads one: decimal, hexadecimal, octal, `Inf` or `NaN`.
pub fn number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let (negative, digits) = match lower.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, lower.strip_prefix('+').unwrap_or(&lower)),
    };
    let magnitude = match digits {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        _ => integer(digits).or_else(|| decimal(digits))?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// A whole number in another base, or in groups of digits parted by underscores.
#[expect(clippy::cast_precision_loss, reason = "a number is what an f64 makes of it")]
fn integer(digits: &str) -> Option<f64> {
    let (radix, digits) = match digits.split_at_checked(2) {
        Some(("0x", digits)) => (16, digits),
        Some(("0b", digits)) => (2, digits),
        Some(("0o", digits)) => (8, digits),
        _ => match digits.strip_prefix('0') {
            Some(octal) if !octal.is_empty() => (8, octal),
            _ => (10, digits),
        },
    };
    let parted = digits.strip_prefix('_').filter(|_| radix != 10).unwrap_or(digits);
    if parted.ends_with('_') || parted.starts_with(['_', '+', '-']) || parted.contains("__") {
        return None;
    }
    i64::from_str_radix(&parted.replace('_', ""), radix).ok().map(|it| it as f64)
}

fn decimal(digits: &str) -> Option<f64> {
    let starts = digits.starts_with(|it: char| it.is_ascii_digit() || it == '.');
    if !starts || digits.contains("inf") || digits.contains("nan") {
        return None;
    }
    digits.parse().ok()
}

/// The text that a literal in quotes stands for; `None` if an escape in it is none.
pub(crate) fn unquoted(literal: &str) -> Option<String> {
    let quote = literal.chars().next()?;
    let inner = literal.strip_prefix(quote)?.strip_suffix(quote)?;
    if quote == '`' {
        return Some(inner.replace('\r', ""));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(next) = rest.next() {
        if next != '\\' {
            bytes.extend(next.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        escaped(&mut rest, quote, &mut bytes)?;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn escaped(rest: &mut std::str::Chars<'_>, quote: char, bytes: &mut Vec<u8>) -> Option<()> {
    let kind = rest.next()?;
    let byte = match kind {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '\'' | '"' if kind == quote => u8::try_from(kind).ok()?,
        'x' => u8::try_from(digits(rest, 2, 16, 0)?).ok()?,
        '0'..='7' => u8::try_from(digits(rest, 2, 8, kind.to_digit(8)?)?).ok()?,
        'u' | 'U' => {
            let count = if kind == 'u' { 4 } else { 8 };
            let character = char::from_u32(digits(rest, count, 16, 0)?)?;
            bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
            return Some(());
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(())
}

fn digits(rest: &mut std::str::Chars<'_>, count: usize, radix: u32, first: u32) -> Option<u32> {
    (0..count).try_fold(first, |number, _| {
        number.checked_mul(radix)?.checked_add(rest.next()?.to_digit(radix)?)
    })
}

/// A text as a literal in quotes, which [`unquoted`] reads back.
pub(super) fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            it if it.is_control() => {
                literal.push_str("\\u00");
                let digit = |it: u32| char::from_digit(it % 16, 16).unwrap_or('0');
                literal.extend([digit(u32::from(it) / 16), digit(u32::from(it))]);
            }
            it => literal.push(it),
        }
    }
    literal.push('"');
    literal
}

/// A number as Prometheus writes one: the shortest that reads back the same, `+Inf`, `-Inf` or `NaN`.
pub fn number_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-Inf" } else { "+Inf" }.to_owned();
    }
    number.to_string()
}

/// The same where it stands in an expression: with an exponent if the number is great or small, as Go's `%v`.
pub(crate) fn literal_text(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return number_text(number) };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => format!("{digits}e{exponent:+03}"),
        _ => number_text(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, milliseconds) in [
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1y2w3d4h5m6s7ms", 33_019_506_007),
            ("15ms", 15),
            ("0s", 0),
            ("1w", 604_800_000),
        ] {
            assert_eq!(duration_ms(text), Some(milliseconds), "{text}");
        }
        for text in ["", "5", "m", "5x", "1m1h", "1m1m", "99999999999y"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
        assert_eq!(duration_text(5_400_000), "1h30m");
        assert_eq!(duration_text(-90_500), "-1m30s500ms");
        assert_eq!(duration_text(604_800_000), "1w");
        assert_eq!(duration_text(8 * 86_400_000), "8d");
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("0x1F", 31.0),
            ("017", 15.0),
            ("089", 89.0),
            ("1_000", 1000.0),
            ("+Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", "1__0", "5m", "e5", "0xg", "1e", "x"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn strings_lose_their_quotes() {
        assert_eq!(unquoted(r#""a\n\"\x41\u00e9""#).as_deref(), Some("a\n\"A\u{e9}"));
        assert_eq!(unquoted(r"`a\n`").as_deref(), Some(r"a\n"));
        assert_eq!(unquoted(r"'\''").as_deref(), Some("'"));
        assert_eq!(unquoted(r#""\q""#), None);
    }
}
