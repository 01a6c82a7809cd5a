//! Everything a supervisor must know to run one instance, so that it needs to ask nobody.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use host::limits;
use model::service::Limits;
use model::stopping::StopSignal;
use model::units::{Bytes, duration};
use model::{ApplicationName, InstanceId};
use serde::{Deserialize, Serialize};

/// What to start and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The application.
    pub application: ApplicationName,
    /// The instance.
    pub instance: InstanceId,
    /// The program: a path with a slash is meant from `working_folder`, a name is looked up in `PATH`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// Where it runs.
    pub working_folder: PathBuf,
    /// What it may use.
    pub limits: Limits,
    /// Time between the signal to stop and SIGKILL.
    #[serde(with = "duration")]
    pub stop_grace_period: Duration,
    /// What it is asked to stop by.
    #[serde(default)]
    pub stop_signal: StopSignal,
    /// The folder of data it has, if any.
    #[serde(default)]
    pub data: Option<DataFolder>,
    /// How much of its output is kept.
    pub log: LogLimits,
    /// The name of its control group, unique on the machine.
    pub cgroup: String,
    /// What processes are usually allowed here, whatever ours give themselves; as this process is, if nothing
    /// is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<Usual>,
}

/// What the control process was started with, and instances are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    /// The soft limit of open files; unlimited if there is none.
    pub open_files: Option<u64>,
    /// The permissions that new files do not get.
    pub umask: u32,
}

impl From<limits::Usual> for Usual {
    fn from(limits::Usual { open_files, umask }: limits::Usual) -> Self {
        Self { open_files, umask }
    }
}

impl From<Usual> for limits::Usual {
    fn from(Usual { open_files, umask }: Usual) -> Self {
        Self { open_files, umask }
    }
}

/// A folder that outlives the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Whether others may have it at the same time.
    pub shared: bool,
}

/// How much of an instance's output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Size at which a file is put aside and a new one begun.
    pub file_bytes: Bytes,
    /// Files kept, the one written to among them; at least 1.
    pub files: u32,
}

impl Default for LogLimits {
    /// Three files of 8 MiB: days of a talkative service, and 40 services still fit in 1 GiB.
    fn default() -> Self {
        Self { file_bytes: Bytes(8 << 20), files: 3 }
    }
}
