//! How large a head may be, and how long it may take: of a request or an answer, at whatever the data plane listens.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Bytes, DurationText, parse_duration};

/// The smallest size: what browsers send without cookies.
const BYTES_MIN: u64 = 4 << 10;
/// The largest: what is read of a body goes behind it, into a buffer of 64 KiB.
const BYTES_MAX: u64 = 48 << 10;
/// The shortest time: a packet that is lost is sent again after a second.
const TIME_MIN: Duration = Duration::from_secs(1);
/// The longest: whoever needs more sends no head.
const TIME_MAX: Duration = Duration::from_mins(10);

/// Bytes a head may have, its request target included: 4 to 48 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeadSize(Bytes);

/// Why a text is no such size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size of a head; write one from 4KiB to 48KiB")]
pub struct HeadSizeError(String);

impl HeadSize {
    /// In bytes.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0.0).unwrap_or(usize::MAX)
    }
}

impl Default for HeadSize {
    /// As `HAProxy`; nginx takes 32 KiB.
    fn default() -> Self {
        Self(Bytes(16 << 10))
    }
}

impl fmt::Display for HeadSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for HeadSize {
    type Err = HeadSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size = text.parse().ok().filter(|it: &Bytes| (BYTES_MIN..=BYTES_MAX).contains(&it.0));
        size.map(Self).ok_or_else(|| HeadSizeError(text.to_owned()))
    }
}

impl TryFrom<String> for HeadSize {
    type Error = HeadSizeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HeadSize> for String {
    fn from(size: HeadSize) -> Self {
        size.to_string()
    }
}

/// Time for a head, from its first byte: a second to ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeadTime(Duration);

/// Why a text is no such time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time for a head; write one from 1s to 10m")]
pub struct HeadTimeError(String);

impl HeadTime {
    /// As a duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Default for HeadTime {
    /// As nginx's `client_header_timeout`, but for the better: a head is one packet.
    fn default() -> Self {
        Self(Duration::from_secs(10))
    }
}

impl fmt::Display for HeadTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        DurationText(self.0).fmt(formatter)
    }
}

impl FromStr for HeadTime {
    type Err = HeadTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = parse_duration(text).ok().filter(|it| (TIME_MIN..=TIME_MAX).contains(it));
        time.map(Self).ok_or_else(|| HeadTimeError(text.to_owned()))
    }
}

impl TryFrom<String> for HeadTime {
    type Error = HeadTimeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HeadTime> for String {
    fn from(time: HeadTime) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_within_its_range() {
        let size = |text: &str| text.parse::<HeadSize>().map(HeadSize::bytes).ok();
        assert_eq!(size("4KiB"), Some(4_096));
        assert_eq!(size("48KiB"), Some(49_152));
        assert_eq!(HeadSize::default().to_string().parse(), Ok(HeadSize::default()));
        for text in ["4095B", "49153B", "1MiB", "0", "x", ""] {
            assert_eq!(size(text), None, "{text}");
        }
        let time = |text: &str| text.parse::<HeadTime>().map(|it| it.get().as_millis()).ok();
        assert_eq!((time("1s"), time("10m")), (Some(1_000), Some(600_000)));
        assert_eq!(HeadTime::default().to_string().parse(), Ok(HeadTime::default()));
        for text in ["999ms", "11m", "10", "x", ""] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
