//! Time as a value. Nothing here reads a clock.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds since an origin the driver chose (process start, or the start of a simulation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// An instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time since `earlier`, or zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant `delay` after this one, or the last instant there is.
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// A moment on the calendar: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// What people and other machines are told, and what waits are measured against where they must
/// outlive a process. A clock that was set back must not stall a wait for longer than the wait
/// itself: compare through [`Timestamp::remaining`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The first of January 1970.
    pub const EPOCH: Self = Self(0);

    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The same, signed, as samples of metrics have it; in 292 million years it is the last there is.
    pub fn as_signed_millis(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// Time since `earlier`, or zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment `delay` after this one, in whole milliseconds.
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The moment that a clock which is set by `by_ms` milliseconds calls this one.
    #[must_use]
    pub const fn moved(self, by_ms: i64) -> Self {
        Self(self.0.saturating_add_signed(by_ms))
    }

    /// What is left at `now` of a wait of `delay` that began here; never more than `delay`, even
    /// when the clock was set back since.
    pub fn remaining(self, delay: Duration, now: Self) -> Duration {
        delay.saturating_sub(now.since(self))
    }

    /// Reads what [`Display`](fmt::Display) writes, with any number of digits after the second or none.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_suffix('Z')?;
        let (date, time) = rest.split_once('T')?;
        let [year, month, day] = three_numbers(date, '-')?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let [hour, minute, second] = three_numbers(time, ':')?;
        let fits = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        if !fits || fraction.is_empty() || !is_digits(fraction) {
            return None;
        }
        let digits = fraction.bytes().chain(core::iter::repeat(b'0')).take(3);
        let millis = digits.fold(0, |millis, digit| millis * 10 + u64::from(digit - b'0'));
        let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        Some(Self(seconds * 1_000 + millis))
    }

    fn civil(self) -> (u64, u64, u64) {
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days,
        // for dates after 1970 only.
        let days = self.0 / 86_400_000 + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
        let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        (year, month, day)
    }
}

/// Three whole numbers, written in digits only.
fn three_numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let number = |it: &str| if is_digits(it) { it.parse().ok() } else { None };
    let mut numbers = text.split(separator).map(number);
    let three = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(three)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_digit())
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    next - days(year, month, 1)
}

/// Days from the epoch to a date: Hinnant's `days_from_civil`, for dates after 1970 only.
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_shifted = if 2 < month { month - 3 } else { month + 9 };
    let year_of_era = year % 400;
    let day_of_year = (153 * month_shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year / 400 * 146_097 + day_of_era - 719_468
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds: `2026-11-22T06:00:00.000Z`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        let (hour, minute) = (self.0 / 3_600_000 % 24, self.0 / 60_000 % 60);
        let (second, millis) = (self.0 / 1_000 % 60, self.0 % 1_000);
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    #[test]
    fn timestamps_are_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_327_200_123, "2026-11-22T06:00:00.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp::from_millis(millis)));
        }
        let read = |text| Timestamp::parse(text).map(Timestamp::as_millis);
        assert_eq!(read("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(read("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(read("1970-01-01T00:00:01.123456789Z"), Some(1_123));
        for wrong in [
            "",
            "1970-01-01",
            "1969-12-31T23:59:59Z",
            "1970-13-01T00:00:00Z",
            "1970-01-01T00:00:00.xZ",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.123xZ",
            "1970-01-01T00:00:00.1-2Z",
            "1970-01-01T+1:00:00Z",
            "1970-01-01-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-00T00:00:00Z",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(millis in 0_u64..253_402_300_800_000) {
            let timestamp = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::parse(&timestamp.to_string()), Some(timestamp));
        }

        #[test]
        fn nothing_panics(text in prop_oneof![".{0,32}", "[0-9]{1,5}-[0-9]{1,3}-[0-9]{1,3}T[0-9:.+]{0,16}Z"], millis: u64) {
            drop(Timestamp::from_millis(millis).to_string());
            if let Some(timestamp) = Timestamp::parse(&text) {
                prop_assert_eq!(Timestamp::parse(&timestamp.to_string()), Some(timestamp));
            }
        }
    }

    #[test]
    fn a_clock_set_back_does_not_stretch_a_wait() {
        let began = Timestamp::from_millis(10_000);
        let delay = Duration::from_secs(2);
        assert_eq!(began.remaining(delay, Timestamp::from_millis(3)), delay);
        assert_eq!(began.remaining(delay, Timestamp::from_millis(11_500)).as_millis(), 500);
        assert_eq!(began.remaining(delay, Timestamp::from_millis(99_000)), Duration::ZERO);
    }
}
