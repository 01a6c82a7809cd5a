//! What an instance is asked to stop by.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// A signal by which programs let themselves be stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopSignal {
    /// SIGTERM, which nearly all understand.
    #[default]
    #[serde(rename = "SIGTERM")]
    Term,
    /// SIGINT: Postgres ends sessions and stops, Node and Python programs mostly as with Ctrl-C.
    #[serde(rename = "SIGINT")]
    Int,
    /// SIGQUIT: nginx and php-fpm finish what they have begun.
    #[serde(rename = "SIGQUIT")]
    Quit,
    /// SIGHUP.
    #[serde(rename = "SIGHUP")]
    Hup,
    /// SIGUSR1.
    #[serde(rename = "SIGUSR1")]
    Usr1,
    /// SIGUSR2.
    #[serde(rename = "SIGUSR2")]
    Usr2,
    /// SIGWINCH: Apache finishes what it has begun.
    #[serde(rename = "SIGWINCH")]
    Winch,
}

/// All there are.
const ALL: [StopSignal; 7] = [
    StopSignal::Term,
    StopSignal::Int,
    StopSignal::Quit,
    StopSignal::Hup,
    StopSignal::Usr1,
    StopSignal::Usr2,
    StopSignal::Winch,
];

/// A text is no such signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no signal to stop by; write SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2 or SIGWINCH"
)]
pub struct StopSignalError(alloc::string::String);

impl StopSignal {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Hup => "SIGHUP",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
            Self::Winch => "SIGWINCH",
        }
    }

    /// Whether it is the usual one.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl FromStr for StopSignal {
    type Err = StopSignalError;

    /// By its name, with `SIG` or without: people write both.
    fn from_str(text: &str) -> Result<Self, StopSignalError> {
        let is_meant = |it: &&Self| text == it.as_str() || Some(text) == it.as_str().get(3..);
        ALL.iter().find(is_meant).copied().ok_or_else(|| StopSignalError(text.into()))
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_as_people_write_them() {
        for signal in ALL {
            assert_eq!(signal.as_str().parse(), Ok(signal));
            assert_eq!(signal.as_str().strip_prefix("SIG").unwrap().parse(), Ok(signal));
            let text = serde_json::to_string(&signal).unwrap();
            assert_eq!(text, alloc::format!("\"{signal}\""));
        }
        let error = "SIGKILL".parse::<StopSignal>().unwrap_err();
        assert!(alloc::string::ToString::to_string(&error).contains("write SIGTERM"));
    }
}
