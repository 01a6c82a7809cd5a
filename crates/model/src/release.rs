//! A release: what a service is at one time, for good.

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::route::{Flag, Value};
use crate::service::Service;
use crate::time::Timestamp;

/// The number of a release among those of its service, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseNumber(pub u32);

impl fmt::Display for ReleaseNumber {
    /// `r12`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "r{}", self.0)
    }
}

/// A text that is not the number of a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a release; a release is written as `r` and its number, as in `r12`")]
pub struct ReleaseNumberError(pub String);

impl FromStr for ReleaseNumber {
    type Err = ReleaseNumberError;

    fn from_str(text: &str) -> Result<Self, ReleaseNumberError> {
        let not = || ReleaseNumberError(text.to_owned());
        let digits = text.strip_prefix('r').ok_or_else(not)?;
        // One release has one name: `r07` and `r+7` are none.
        if !digits.starts_with(|it: char| matches!(it, '1'..='9')) {
            return Err(not());
        }
        digits.parse().map(Self).map_err(|_| not())
    }
}

/// The content hash of a baked artifact: 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hexadecimal = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
        if text.len() == 64 && text.bytes().all(hexadecimal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(DigestError(text.to_owned()))
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest of 64 lower-case hexadecimal digits")]
pub struct DigestError(pub String);

/// One release of a service. Nothing about it changes once it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its number.
    pub number: ReleaseNumber,
    /// The service as it was meant then.
    pub service: Service,
    /// The files it runs in, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// The configuration values of the application that were in force.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Value>,
    /// The feature flags of the application that were in force.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, Flag>,
    /// Where it comes from.
    #[serde(default)]
    pub origin: Origin,
    /// When it was made.
    pub made_at: Timestamp,
}

impl Release {
    /// A release of a service in an application without configuration, flags or a word on where it comes
    /// from.
    pub const fn plain(
        number: ReleaseNumber,
        service: Service,
        artifact: Option<Digest>,
        made_at: Timestamp,
    ) -> Self {
        Self {
            number,
            service,
            artifact,
            config: BTreeMap::new(),
            flags: BTreeMap::new(),
            origin: Origin { note: None, by: None, commit: None },
            made_at,
        }
    }
}

/// Where a release comes from, as far as whoever made it said so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What is new about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The commit its source was at, with a `+` behind it where that had been changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn numbers_are_read_as_written() {
        for (text, number) in [("r1", Some(1)), ("r12", Some(12)), ("r4294967295", Some(u32::MAX))]
        {
            assert_eq!(text.parse().ok(), number.map(ReleaseNumber), "{text}");
            assert_eq!(ReleaseNumber(number.unwrap()).to_string(), text);
        }
        for text in ["", "r", "12", "r0", "r07", "r+7", "R7", "r4294967296", "r1 "] {
            assert_eq!(text.parse::<ReleaseNumber>(), Err(ReleaseNumberError(text.to_owned())));
        }
    }

    /// A digest names a folder, so one that is none must not come in from a file either.
    #[test]
    fn a_digest_is_checked_wherever_it_comes_from() {
        let good = "0123456789abcdef".repeat(4);
        for (text, is_digest) in [
            (good.as_str(), true),
            (&good.to_uppercase(), false),
            (good.get(1..).unwrap(), false),
            ("../../etc", false),
        ] {
            assert_eq!(text.parse::<Digest>().is_ok(), is_digest, "{text}");
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(serde_json::from_str::<Digest>(&json).is_ok(), is_digest, "{text}");
        }
    }
}
