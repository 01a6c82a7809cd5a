//! What can be asked for.

use model::{Application, ApplicationName, Index, ServiceName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An application that should run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// The application as meant: what `pelago validate --format json` prints.
    #[schemars(with = "serde_json::Value")]
    pub definition: Application,
    /// The absolute path of the folder that relative paths in it are meant from.
    pub folder: String,
}

/// Another number of instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Instances wanted, at most 1000.
    pub replicas: u32,
}

/// Which part of the past is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventQuery {
    /// Events after this index.
    pub after: Index,
    /// At most so many, the oldest first; the newest ones if `latest`.
    pub limit: usize,
    /// Only this application's.
    pub application: Option<ApplicationName>,
    /// Only this service's.
    pub service: Option<ServiceName>,
    /// Whether the newest events are wanted, when there are more than `limit`.
    pub latest: bool,
}

/// A state of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// After the event with this index.
    Index(Index),
    /// After the last event no later than this.
    Time(Timestamp),
}

/// Why a text does not name a state of the past.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no point in the past; write `@INDEX` or a time such as `2026-11-22T14:32:00Z`")]
pub struct AtError(String);

impl std::str::FromStr for At {
    type Err = AtError;

    fn from_str(text: &str) -> Result<Self, AtError> {
        let wrong = || AtError(text.to_owned());
        match text.strip_prefix('@') {
            Some(index) => Ok(Self::Index(Index(index.parse().map_err(|_| wrong())?))),
            None => Timestamp::parse(text).map(Self::Time).ok_or_else(wrong),
        }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(formatter, "@{index}"),
            Self::Time(time) => write!(formatter, "{time}"),
        }
    }
}

/// What was asked for has been recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// The index of the last event that says so; what follows from it comes later.
    pub index: u64,
}
