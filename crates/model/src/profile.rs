//! Load over time: rates, held or changing evenly, one segment after another, and how people write
//! them: `100/s`, `10/s..500/s`, `50/s for 10s, 50/s..200/s in 20s`.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;
use core::time::Duration;

use crate::units::{DurationText, UnitError, parse_duration};

/// Requests per second that can be asked for: ten times what one process sends.
pub const RATE_MAX: f64 = 1_000_000.0;

/// Segments of one profile: enough for a day by the minute.
pub const SEGMENTS_MAX: usize = 1_440;

/// Length of one segment: a week.
pub const SEGMENT_MAX: Duration = Duration::from_hours(7 * 24);

/// Why a text is not a load profile, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Nothing was written.
    #[error("a load profile needs at least one part such as `50/s for 10s`")]
    Empty,
    /// More than [`SEGMENTS_MAX`] segments.
    #[error("a load profile of {0} parts is too long; the limit is {SEGMENTS_MAX}")]
    TooManySegments(usize),
    /// A number without a unit, where a rate is meant.
    #[error("`{0}` has no unit; write `{0}/s`")]
    RateWithoutUnit(String),
    /// Not a rate at all.
    #[error("`{0}` is not a rate; write for example `100/s`, `30/m` or `0.5/s`")]
    NotARate(String),
    /// More than [`RATE_MAX`].
    #[error("`{0}` is too much; the limit is {RATE_MAX}/s")]
    RateTooHigh(String),
    /// Not a segment at all.
    #[error(
        "`{0}` is not a part of a load profile; \
         write `50/s for 10s`, or `50/s..200/s in 20s` for a ramp"
    )]
    NotASegment(String),
    /// The time of a segment is not a duration.
    #[error("in `{segment}`")]
    Duration {
        /// The segment as written.
        segment: String,
        /// What is wrong with its time.
        source: UnitError,
    },
    /// A segment takes no time, or longer than [`SEGMENT_MAX`].
    #[error("`{0}` must be longer than 0s and at most a week")]
    DurationOutOfRange(String),
}

/// Requests per second: finite, from 0 to [`RATE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// Nothing at all.
    pub const ZERO: Self = Self(0.0);

    /// As a number.
    pub const fn per_second(self) -> f64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let text = text.trim();
        let not = || ProfileError::NotARate(text.to_owned());
        let decimal = |it: &str| it.bytes().all(|it| it.is_ascii_digit() || it == b'.');
        let Some((number, unit)) = text.split_once('/') else {
            let bare = decimal(text) && !text.is_empty();
            return Err(if bare { ProfileError::RateWithoutUnit(text.to_owned()) } else { not() });
        };
        let number = number.trim_end();
        if !decimal(number) {
            return Err(not());
        }
        let value: f64 = number.parse().map_err(|_| not())?;
        let seconds = match unit.trim_start() {
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            _ => return Err(not()),
        };
        let rate = value / seconds;
        if rate <= RATE_MAX { Ok(Self(rate)) } else { Err(ProfileError::RateTooHigh(text.into())) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/s", self.0)
    }
}

/// A time in which the rate changes evenly from one to another, or not at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Rate at its beginning.
    pub from: Rate,
    /// Rate at its end.
    pub to: Rate,
    /// How long it is.
    pub duration: Duration,
}

impl Segment {
    /// Requests expected in it.
    pub const fn requests(&self) -> f64 {
        f64::midpoint(self.from.0, self.to.0) * self.duration.as_secs_f64()
    }

    fn check(self, text: &str) -> Result<Self, ProfileError> {
        if self.duration.is_zero() || SEGMENT_MAX < self.duration {
            return Err(ProfileError::DurationOutOfRange(text.to_owned()));
        }
        Ok(self)
    }
}

impl FromStr for Segment {
    type Err = ProfileError;

    /// Reads `50/s for 10s` and `50/s..200/s in 20s`; `for` and `in` mean the same.
    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let text = text.trim();
        let (rates, duration) = [" for ", " in "]
            .iter()
            .find_map(|word| text.split_once(word))
            .ok_or_else(|| ProfileError::NotASegment(text.to_owned()))?;
        let rates = parse_rates(rates)?;
        let duration = parse_duration(duration).map_err(|source| {
            let segment = text.to_owned();
            ProfileError::Duration { segment, source }
        })?;
        Self { from: *rates.start(), to: *rates.end(), duration }.check(text)
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to, duration) = (self.from, self.to, DurationText(self.duration));
        if from == to {
            write!(formatter, "{from} for {duration}")
        } else {
            write!(formatter, "{from}..{to} in {duration}")
        }
    }
}

/// Reads a rate that is held, `100/s`, or one that changes, `10/s..500/s`.
fn parse_rates(text: &str) -> Result<RangeInclusive<Rate>, ProfileError> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    Ok(from.parse()?..=to.parse()?)
}

/// Load over time. At least one segment, at most [`SEGMENTS_MAX`].
#[derive(Clone, Debug, PartialEq)]
pub struct Profile(Vec<Segment>);

impl Profile {
    /// Reads the pair of `--rate` (`100/s`, or `10/s..500/s`) and `--duration`.
    pub fn parse_rate(rate: &str, duration: Duration) -> Result<Self, ProfileError> {
        let rates = parse_rates(rate)?;
        let segment = Segment { from: *rates.start(), to: *rates.end(), duration };
        Ok(Self(alloc::vec![segment.check(&alloc::format!("{}", DurationText(duration)))?]))
    }

    /// Its segments, one after another.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// How long it is.
    pub fn duration(&self) -> Duration {
        self.0.iter().map(|it| it.duration).sum()
    }

    /// Requests expected in it.
    pub fn requests(&self) -> f64 {
        self.0.iter().map(Segment::requests).sum()
    }
}

impl FromStr for Profile {
    type Err = ProfileError;

    /// Reads `50/s for 10s, 50/s..200/s in 20s, 200/s for 10s`.
    fn from_str(text: &str) -> Result<Self, ProfileError> {
        if text.trim().is_empty() {
            return Err(ProfileError::Empty);
        }
        let count = text.split(',').count();
        if SEGMENTS_MAX < count {
            return Err(ProfileError::TooManySegments(count));
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(formatter, "{separator}{segment}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use core::error::Error as _;
    use proptest::prelude::*;

    #[test]
    fn rates_have_units() {
        for (text, expected) in [("100/s", 100.0), ("30/m", 0.5), (" 0.5 / s", 0.5), ("0/s", 0.0)] {
            assert_eq!(text.parse::<Rate>(), Ok(Rate(expected)), "{text}");
        }
    }

    #[test]
    fn a_profile_is_written_as_it_is_read() {
        let text = "50/s for 10s, 50/s..200/s in 20s, 0/s for 1m30s";
        let profile: Profile = text.parse().unwrap();
        assert_eq!(profile.to_string(), text);
        assert_eq!(profile.duration(), Duration::from_mins(2));
        assert!((profile.requests() - 3_000.0).abs() < 1e-9);
    }

    #[test]
    fn a_rate_and_a_duration_are_a_profile() {
        let profile = Profile::parse_rate("10/s..500/s", Duration::from_secs(30)).unwrap();
        assert_eq!(profile.to_string(), "10/s..500/s in 30s");
        let error = Profile::parse_rate("10/s", Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "`0s` must be longer than 0s and at most a week");
    }

    #[track_caller]
    fn check(text: &str, error: &str) {
        let found = text.parse::<Profile>().unwrap_err();
        let cause = found.source().map(|it| alloc::format!(": {it}")).unwrap_or_default();
        assert_eq!(alloc::format!("{found}{cause}"), error);
    }

    #[test]
    fn errors_say_what_to_write() {
        check(" ", "a load profile needs at least one part such as `50/s for 10s`");
        check("50 for 10s", "`50` has no unit; write `50/s`");
        check(
            "50rps for 10s",
            "`50rps` is not a rate; write for example `100/s`, `30/m` or `0.5/s`",
        );
        check(
            "1e9/s for 1s",
            "`1e9/s` is not a rate; write for example `100/s`, `30/m` or `0.5/s`",
        );
        check("9000000/s for 1s", "`9000000/s` is too much; the limit is 1000000/s");
        check(
            "50/s 10s",
            "`50/s 10s` is not a part of a load profile; \
             write `50/s for 10s`, or `50/s..200/s in 20s` for a ramp",
        );
        check("50/s for 10", "in `50/s for 10`: `10` has no unit; write `10ms` or `10s`");
        check("50/s for 0s", "`50/s for 0s` must be longer than 0s and at most a week");
        check(
            "50/s for 1s,",
            "`` is not a part of a load profile; write `50/s for 10s`, or `50/s..200/s in 20s` for a ramp",
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(parts in prop::collection::vec((0_u32..1_000_000, 0_u32..1_000_000, 1_u64..600_000), 1..9)) {
            let segments = parts.into_iter().map(|(from, to, millis)| Segment {
                from: Rate(f64::from(from) / 8.0),
                to: Rate(f64::from(to) / 8.0),
                duration: Duration::from_millis(millis),
            });
            let profile = Profile(segments.collect());
            prop_assert_eq!(profile.to_string().parse(), Ok(profile));
        }

        #[test]
        fn nothing_panics(text in "[0-9./smforin, ]{0,32}") {
            drop(text.parse::<Profile>());
        }
    }
}
