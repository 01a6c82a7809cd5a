//! Quantities as people write them: a number and its unit, never a bare number.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a quantity. Each variant says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// A number without a unit, where a duration is meant.
    #[error("`{0}` has no unit; write `{0}ms` or `{0}s`")]
    DurationWithoutUnit(String),
    /// Not a duration at all.
    #[error("`{0}` is not a duration; write for example `250ms`, `5s`, `1m30s`, `72h`")]
    NotADuration(String),
    /// A number without a unit, where a size is meant.
    #[error("`{0}` has no unit; write `{0}MiB` or `{0}KiB`")]
    SizeWithoutUnit(String),
    /// Not a size at all.
    #[error("`{0}` is not a size; write for example `512B`, `64KiB`, `256MiB`, `1.5GiB`")]
    NotASize(String),
    /// A number without a percent sign, where a share is meant.
    #[error("`{0}` has no unit; write a percentage such as `20%`")]
    ShareWithoutUnit(String),
    /// Not a share at all.
    #[error("`{0}` is not a percentage; write for example `5%` or `0.3%`")]
    NotAShare(String),
    /// A share outside 0 to 100 %.
    #[error("`{0}` is outside 0% to 100%")]
    ShareOutOfRange(String),
    /// Not a number of processors.
    #[error("`{0}` is not a number of processors; write for example `0.5` or `2`")]
    NotCpus(String),
}

/// Splits `12.5ms` into a decimal number, as (digits, digits after the point), and the rest.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|it: char| !(it.is_ascii_digit() || it == '.')).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let value: f64 = digits.parse().ok()?;
    value.is_finite().then_some((value, rest))
}

/// Rounds to a whole number of `unit`s, or nothing when it does not fit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the range is checked first"
)]
fn whole(value: f64) -> Option<u64> {
    let rounded = libm::round(value);
    (0.0..u64::MAX as f64).contains(&rounded).then_some(rounded as u64)
}

/// Reads a duration: one or more of number and unit (`ns`, `us`, `ms`, `s`, `m`, `h`, `d`).
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let text = text.trim();
    let not = || UnitError::NotADuration(text.to_owned());
    let mut rest = text;
    let mut nanos = 0.0;
    if rest.is_empty() {
        return Err(not());
    }
    while !rest.is_empty() {
        let (value, after) = number(rest).ok_or_else(not)?;
        let end = after.find(|it: char| it.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(end).ok_or_else(not)?;
        nanos += value
            * match unit.trim() {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3_600e9,
                "d" => 86_400e9,
                "" if next.is_empty() && rest == text => {
                    return Err(UnitError::DurationWithoutUnit(text.to_owned()));
                }
                _ => return Err(not()),
            };
        rest = next;
    }
    whole(nanos).map(Duration::from_nanos).ok_or_else(not)
}

/// Writes a duration as [`parse_duration`] reads it, exactly up to 104 days: `1m30s`, `250ms`, `0s`.
#[derive(Clone, Copy, Debug)]
pub struct DurationText(pub Duration);

impl fmt::Display for DurationText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nanos = self.0.as_nanos();
        if nanos == 0 {
            return formatter.write_str("0s");
        }
        for (unit, size) in [
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ] {
            if size <= nanos {
                write!(formatter, "{}{unit}", nanos / size)?;
                nanos %= size;
            }
        }
        Ok(())
    }
}

/// Serde for durations as text with units: `#[serde(with = "model::units::duration")]`.
pub mod duration {
    use super::{Deserialize as _, Deserializer, Duration, DurationText, Serializer, String};

    /// Writes `1m30s`.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&DurationText(*value))
    }

    /// Reads `1m30s`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

/// Serde for optional durations as text with units.
pub mod optional_duration {
    use super::{Deserialize as _, Deserializer, Duration, DurationText, Serializer, String};

    /// Writes `1m30s`, or null.
    #[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
    pub fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(&DurationText(*value)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads `1m30s`, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|it| super::parse_duration(&it)).transpose().map_err(serde::de::Error::custom)
    }
}

macro_rules! as_text {
    ($type:ident) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// Units of size, the largest first: the binary ones are what is written, the decimal ones are read too.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = UnitError;

    #[expect(clippy::cast_precision_loss, reason = "units are powers of two or ten below 2^53")]
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let not = || UnitError::NotASize(text.to_owned());
        let (value, unit) = number(text.trim()).ok_or_else(not)?;
        let unit = unit.trim();
        if unit.is_empty() {
            return Err(UnitError::SizeWithoutUnit(text.to_owned()));
        }
        let (_, size) =
            SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(not)?;
        whole(value * *size as f64).map(Self).ok_or_else(not)
    }
}

impl fmt::Display for Bytes {
    /// Exact: the largest binary unit that divides it, `256MiB`, else bytes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |size: u64| size <= self.0 && self.0.is_multiple_of(size);
        let binary = SIZES.iter().take(4).find(|(_, size)| fits(*size));
        let (unit, size) = binary.copied().unwrap_or(("B", 1));
        write!(formatter, "{}{unit}", self.0 / size)
    }
}

as_text!(Bytes);

/// Writes a number of bytes for people, rounded to a tenth: `9.6 KiB`; below 1024 exactly: `12 B`.
#[derive(Clone, Copy, Debug)]
pub struct RoundedSize(pub u64);

#[expect(clippy::cast_precision_loss, reason = "a tenth is shown")]
impl fmt::Display for RoundedSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_024 => write!(formatter, "{bytes} B"),
            1_024..1_048_576 => write!(formatter, "{:.1} KiB", bytes / 1_024.0),
            1_048_576..1_073_741_824 => write!(formatter, "{:.1} MiB", bytes / 1_048_576.0),
            _ => write!(formatter, "{:.1} GiB", bytes / 1_073_741_824.0),
        }
    }
}

/// A share of a whole, 0 to 100 %, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(1_000_000);

    /// `percent` of the whole; more than 100 is 100.
    pub const fn from_percent(percent: u32) -> Self {
        if 100 < percent { Self::ALL } else { Self(percent * 10_000) }
    }

    /// So many millionths of the whole; more than all of them is all.
    pub const fn from_millionths(millionths: u32) -> Self {
        if Self::ALL.0 < millionths { Self::ALL } else { Self(millionths) }
    }

    /// Both together, the whole at most.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        let sum = self.0.saturating_add(other.0);
        Self(if Self::ALL.0 < sum { Self::ALL.0 } else { sum })
    }

    /// What is left of the whole.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(Self::ALL.0 - self.0)
    }

    /// In millionths of the whole.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// As a number from 0 to 1.
    pub fn as_fraction(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let not = || UnitError::NotAShare(text.to_owned());
        let (value, unit) = number(text.trim()).ok_or_else(not)?;
        match unit.trim() {
            "%" => {}
            "" => return Err(UnitError::ShareWithoutUnit(text.to_owned())),
            _ => return Err(not()),
        }
        let millionths =
            whole(value * 1e4).and_then(|it| u32::try_from(it).ok()).ok_or_else(not)?;
        if Self::ALL.0 < millionths {
            return Err(UnitError::ShareOutOfRange(text.to_owned()));
        }
        Ok(Self(millionths))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", f64::from(self.0) / 1e4)
    }
}

as_text!(Share);

/// A number of processors, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpus(u32);

impl Cpus {
    /// Thousandths of a processor.
    pub const fn as_thousandths(self) -> u32 {
        self.0
    }
}

impl FromStr for Cpus {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let thousandths = match number(text.trim()) {
            Some((value, "")) => whole(value * 1e3).and_then(|it| u32::try_from(it).ok()),
            _ => None,
        };
        match thousandths {
            Some(thousandths) if 0 < thousandths => Ok(Self(thousandths)),
            _ => Err(UnitError::NotCpus(text.to_owned())),
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", f64::from(self.0) / 1e3)
    }
}

as_text!(Cpus);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    #[test]
    fn rounded_sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (9_830, "9.6 KiB"),
            (5 << 20, "5.0 MiB"),
            (3 << 40, "3072.0 GiB"),
        ] {
            assert_eq!(RoundedSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn durations() {
        for (text, nanos) in [
            ("800ms", 800_000_000),
            ("1m30s", 90_000_000_000),
            ("0.5s", 500_000_000),
            ("72h", 259_200_000_000_000),
            ("2d", 172_800_000_000_000),
            ("15us", 15_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(
            parse_duration("800").unwrap_err().to_string(),
            "`800` has no unit; write `800ms` or `800s`"
        );
        for text in ["", "ms", "5 parsecs", "1s5", "0s5", "-1s", "1e9999s", "99999999999999d"] {
            assert!(matches!(parse_duration(text), Err(UnitError::NotADuration(_))), "{text}");
        }
    }

    #[test]
    fn sizes_shares_and_processors() {
        assert_eq!("256MiB".parse(), Ok(Bytes(256 << 20)));
        assert_eq!("1.5GiB".parse(), Ok(Bytes(3 << 29)));
        assert_eq!("10kB".parse(), Ok(Bytes(10_000)));
        assert_eq!(Bytes(3 << 29).to_string(), "1536MiB");
        assert!(matches!("256".parse::<Bytes>(), Err(UnitError::SizeWithoutUnit(_))));
        assert_eq!("0.3%".parse::<Share>().map(Share::as_fraction), Ok(0.003));
        assert_eq!("0.3%".parse::<Share>().map(|it| it.to_string()).as_deref(), Ok("0.3%"));
        assert!(matches!("20".parse::<Share>(), Err(UnitError::ShareWithoutUnit(_))));
        assert!(matches!("101%".parse::<Share>(), Err(UnitError::ShareOutOfRange(_))));
        assert_eq!("0.5".parse::<Cpus>().map(Cpus::as_thousandths), Ok(500));
        assert!("0".parse::<Cpus>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(nanos in 0_u64..(1 << 53), bytes in 0_u64..(1 << 53), ppm in 0_u32..=1_000_000) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&DurationText(duration).to_string()), Ok(duration));
            prop_assert_eq!(Bytes(bytes).to_string().parse(), Ok(Bytes(bytes)));
            prop_assert_eq!(Share(ppm).to_string().parse(), Ok(Share(ppm)));
        }

        #[test]
        fn nothing_panics(text in ".{0,24}") {
            drop(parse_duration(&text));
            drop(text.parse::<Bytes>());
            drop(text.parse::<Share>());
            drop(text.parse::<Cpus>());
        }
    }
}
