//! A number of requests in a time, `100/s`.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// Requests a second, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u64);

/// Requests a second, at most: more than one machine can pass on.
const PER_SECOND_MAX: f64 = 1e9;

/// Why a text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RateError {
    /// It says no time.
    #[error("`{0}` says of no time; write for example `{0}/s`, `{0}/m` or `{0}/h`")]
    NoTime(String),
    /// It is nothing like one.
    #[error("`{0}` is not a rate; write a number of requests and a time, such as `100/s`")]
    NotARate(String),
    /// It is too small or too large to mean anything.
    #[error("the rate `{0}` is out of range; write at least one request in 1000 s")]
    OutOfRange(String),
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let not = || RateError::NotARate(text.to_owned());
        let (count, unit) = match text.trim().split_once('/') {
            Some((count, unit)) => (count.trim(), unit.trim()),
            None if text.trim().parse::<f64>().is_ok() => {
                return Err(RateError::NoTime(text.trim().to_owned()));
            }
            None => return Err(not()),
        };
        let seconds = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(not()),
        };
        let plain = |it: char| it.is_ascii_digit() || it == '.';
        if !count.chars().all(plain) {
            return Err(not());
        }
        let per_second = count.parse::<f64>().map_err(|_| not())? / seconds;
        let thousandths = (per_second * 1_000.0).round();
        if thousandths < 1.0 || PER_SECOND_MAX < per_second {
            return Err(RateError::OutOfRange(text.to_owned()));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole, and from 1 to 10^12"
        )]
        Ok(Self(thousandths as u64))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Rate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("rate")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*[0-9.]+\s*/\s*[smh]\s*$",
            "x-kind": "rate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, &str>) {
        let read = text.parse::<Rate>().map(|it| it.0).map_err(|it| it.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn rates() {
        check("100/s", Ok(100_000));
        check(" 0.5 / s ", Ok(500));
        check("30/m", Ok(500));
        check("90/h", Ok(25));
        let not = "is not a rate; write a number of requests and a time, such as `100/s`";
        for text in ["", "x", "/s", "1/d", "-1/s", "1e3/s", "inf/s", "1.2.3/s", "1/s/s"] {
            check(text, Err(&format!("`{text}` {not}")));
        }
        check("100", Err("`100` says of no time; write for example `100/s`, `100/m` or `100/h`"));
        check("0/s", Err("the rate `0/s` is out of range; write at least one request in 1000 s"));
        assert!("9999999999/s".parse::<Rate>().is_err());
    }
}
