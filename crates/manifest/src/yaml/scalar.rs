//! What a plain scalar is by YAML's core schema (YAML 1.2.2, chapter 10.3.2): `no` and `on` are
//! text, `012` is twelve, `1_000` is text.

use super::Value;

/// The value of a scalar without quotes.
pub(crate) fn resolve(raw: &str) -> Value {
    match raw {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Boolean(true),
        "false" | "False" | "FALSE" => return Value::Boolean(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let (negative, digits) = match raw.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, raw.strip_prefix('+').unwrap_or(raw)),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Value::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(Ok(value)) = raw.strip_prefix(prefix).map(|it| i64::from_str_radix(it, radix)) {
            return Value::Integer(value);
        }
    }
    if !digits.starts_with(|it: char| it.is_ascii_digit() || it == '.') {
        return Value::Text;
    }
    if let Ok(value) = raw.parse() {
        return Value::Integer(value);
    }
    let number = digits.contains(|it: char| it.is_ascii_digit())
        && digits.chars().all(|it| it.is_ascii_digit() || ".eE+-".contains(it));
    match raw.parse() {
        Ok(value) if number => Value::Float(value),
        _ => Value::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_schema() {
        for (raw, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("true", Value::Boolean(true)),
            ("yes", Value::Text),
            ("no", Value::Text),
            ("12", Value::Integer(12)),
            ("-12", Value::Integer(-12)),
            ("012", Value::Integer(12)),
            ("0x1F", Value::Integer(31)),
            ("0o17", Value::Integer(15)),
            ("1.5", Value::Float(1.5)),
            ("-.5", Value::Float(-0.5)),
            ("1e3", Value::Float(1000.0)),
            (".inf", Value::Float(f64::INFINITY)),
            (".", Value::Text),
            ("1_000", Value::Text),
            ("1.8.2", Value::Text),
            ("20%", Value::Text),
            ("800ms", Value::Text),
            ("inf", Value::Text),
            ("nan", Value::Text),
            ("0x", Value::Text),
            ("22:22", Value::Text),
            ("99999999999999999999", Value::Float(1e20)),
        ] {
            assert_eq!(resolve(raw), value, "{raw}");
        }
    }
}
