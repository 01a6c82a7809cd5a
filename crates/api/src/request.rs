//! What can be asked for.

use model::edge::RequestKey;
use model::release::Origin;
use model::rollout::Strategy;
use model::{Application, ApplicationName, Index, ReleaseNumber, ServiceName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use world::routing::{ReleaseMatch, ReleaseShare, RequestMatch};

/// An application that should run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// The application as meant: what `pelago validate --format json` prints.
    #[schemars(with = "serde_json::Value")]
    pub definition: Application,
    /// The absolute path of the folder that relative paths in it are meant from.
    pub folder: String,
    /// How its releases are made and rolled out.
    #[serde(default)]
    pub deploy: Deploy,
}

/// How releases are made and rolled out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deploy {
    /// Only these services become what the definition says, and the rest of the application stays as it
    /// is. Everything if empty.
    #[schemars(with = "Vec<String>")]
    pub only: Vec<ServiceName>,
    /// Whether a release is made of each of them even where nothing about it has changed.
    pub force: bool,
    /// The way they take over, in place of what the definition says.
    #[schemars(with = "Option<String>")]
    pub strategy: Option<Strategy>,
    /// Whether they are rolled out as one: in the order of their calls, and back together.
    pub together: bool,
    /// What is new about them, who makes them, and of which commit.
    #[schemars(with = "serde_json::Value")]
    pub origin: Origin,
}

/// How requests to a service are shared among its releases, until somebody says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SetTraffic {
    /// Each release's share, `{"release": 12, "weight": "10%"}`; together 100 %.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub shares: Vec<ReleaseShare>,
    /// Requests that go to one release whatever the shares; the first match counts.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub matches: Vec<ReleaseMatch>,
    /// What keeps a caller at one release.
    #[schemars(with = "Option<serde_json::Value>")]
    pub sticky: Option<RequestKey>,
}

/// What should become of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Steer {
    /// What.
    pub action: SteerAction,
    /// Who wants it.
    #[serde(default)]
    pub by: Option<String>,
}

/// What can become of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SteerAction {
    /// It stays where it is.
    Pause,
    /// It goes on.
    Resume,
    /// The step it is in is good enough, whatever the judge knows.
    Promote,
    /// It ends, and the old release gets all the traffic again.
    Abort,
}

/// An earlier release should have all the traffic again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rollback {
    /// Which; the one before if none is named. While a rollout is in progress, that is the one it began with.
    #[schemars(with = "Option<u32>")]
    pub to: Option<ReleaseNumber>,
    /// Who wants it.
    pub by: Option<String>,
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
    /// Whether what the data plane counts during a rollout is wanted too: there is such an event every second.
    pub counts: bool,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// The index of the last event that says so; what follows from it comes later.
    pub index: u64,
    /// Releases that were made, as `cart@r12`.
    #[serde(default)]
    pub releases: Vec<String>,
    /// What went into those that have files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baked: Vec<BakedView>,
}

/// The files that a release was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BakedView {
    /// The service.
    pub service: String,
    /// Where they were, as the manifest has it.
    pub artifact: String,
    /// Files.
    pub files: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Files and folders that ignore files left out.
    pub left_out: usize,
    /// The first of these, each with the file that left it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub such_as: Vec<String>,
}
