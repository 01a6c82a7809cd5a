//! An instance: one running copy of a release.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{NameError, ServiceName};

/// An instance's name in its application: the service and a number that is never used again, `cart.7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The service it belongs to.
    pub service: ServiceName,
    /// Its number among all instances the service ever had, from 1.
    pub number: u32,
}

/// Why a text is not the name of an instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstanceIdError {
    /// There is no number behind a dot.
    #[error("an instance is named by its service and a number, as in `cart.7`")]
    NoNumber,
    /// What stands before the dot is no name.
    #[error(transparent)]
    Service(#[from] NameError),
}

impl fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.service, self.number)
    }
}

impl FromStr for InstanceId {
    type Err = InstanceIdError;

    fn from_str(text: &str) -> Result<Self, InstanceIdError> {
        let (service, number) = text.rsplit_once('.').ok_or(InstanceIdError::NoNumber)?;
        // One instance has one name: `cart.07` and `cart.+7` are none.
        if !number.starts_with(|it: char| matches!(it, '1'..='9')) {
            return Err(InstanceIdError::NoNumber);
        }
        let number = number.parse().map_err(|_| InstanceIdError::NoNumber)?;
        Ok(Self { service: service.parse()?, number })
    }
}

impl Serialize for InstanceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InstanceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A process as the operating system knows it. The number alone is used again; with the start time it is
/// not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// Clock ticks from the machine's boot to its start (`/proc/PID/stat`, field 22).
    pub started_ticks: u64,
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Killed because it used more memory than it may.
    OutOfMemory,
    /// It could not be started, for this reason.
    NotStarted(String),
    /// It is gone, and nobody saw how: its supervisor was killed, or the machine was restarted.
    Lost,
}

impl Exit {
    /// Whether it did what it was meant to do.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Code(0))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exit code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(formatter, "killed by {name}"),
                None => write!(formatter, "killed by signal {signal}"),
            },
            Self::OutOfMemory => formatter.write_str("killed for using more memory than its limit"),
            Self::NotStarted(reason) => write!(formatter, "could not be started: {reason}"),
            Self::Lost => formatter.write_str("gone without a trace"),
        }
    }
}

/// The name of a signal whose number is the same on every Unix we run on (POSIX, kill(1)).
pub const fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// Why an instance was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Fewer instances are wanted.
    ScaledDown,
    /// The application is being stopped.
    ApplicationStopped,
    /// Its service is no longer part of the application.
    ServiceRemoved,
    /// A newer release takes its place.
    Superseded,
    /// Its release is kept running no longer.
    Retired,
    /// Somebody asked for a restart.
    RestartAsked,
    /// It failed its liveness check.
    LivenessFailed,
    /// It was not ready when its start period was over.
    NeverReady,
}

impl StopReason {
    /// Whether the instance itself is to blame.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::LivenessFailed | Self::NeverReady)
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ScaledDown => "scaled down",
            Self::ApplicationStopped => "application stopped",
            Self::ServiceRemoved => "service removed",
            Self::Superseded => "superseded by a newer release",
            Self::Retired => "its release is retired",
            Self::RestartAsked => "restart asked for",
            Self::LivenessFailed => "liveness check failed",
            Self::NeverReady => "not ready within its start period",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    #[test]
    fn ids_are_read_as_written() {
        let id: InstanceId = "order-api.12".parse().unwrap();
        assert_eq!((id.service.as_str(), id.number), ("order-api", 12));
        assert_eq!(id.to_string(), "order-api.12");
        assert_eq!("cart".parse::<InstanceId>(), Err(InstanceIdError::NoNumber));
        for text in ["cart.", "cart.x", "cart.0", "cart.07", "cart.+7", "cart.4294967296"] {
            assert_eq!(text.parse::<InstanceId>(), Err(InstanceIdError::NoNumber), "{text}");
        }
        assert!(".7".parse::<InstanceId>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written(text in prop_oneof![".{0,24}", "[a-z-]{0,5}[.][+0-9]{0,11}"]) {
            if let Ok(id) = text.parse::<InstanceId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
