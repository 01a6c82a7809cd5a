//! A service: a bounded context with an owner, run as instances of a release.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::edge::Resilience;
use crate::health::{Check, Health, LIVENESS_RETRIES_FACTOR, Probe};
use crate::monitoring::Exposition;
use crate::name::{DataName, PortName, ServiceName};
use crate::restart::{Restart, RestartPolicy};
use crate::rollout::{Strategy, Update};
use crate::stopping::StopSignal;
use crate::template::Template;
use crate::units::{Bytes, Cpus, duration};
use crate::workload::Workload;

/// Instances a service may have: more than this on one machine is a mistake in the file.
pub const REPLICAS_MAX: u32 = 1_000;
/// Further ports an instance may have: metrics, administration, a second protocol; a data folder has 8000 in all.
pub const PORTS_MAX: usize = 8;
/// Time between SIGTERM and SIGKILL if nobody says otherwise, as in Compose.
pub const STOP_GRACE_PERIOD_DEFAULT: Duration = Duration::from_secs(10);
/// What a synthetic service answers its healthcheck on.
pub const SYNTHETIC_HEALTH_PATH: &str = "/health";

/// One service as meant, defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// What runs.
    pub source: Source,
    /// Command run once per release before any instance starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub release_command: Vec<Template>,
    /// Environment of its instances, beside what the platform tells them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Template>,
    /// The port its instances must listen on; one is chosen for each if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Further ports of its instances, by name, with the number of those that are fixed; at most [`PORTS_MAX`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<PortName, Option<u16>>,
    /// What its instances speak on their port.
    #[serde(default)]
    pub protocol: Protocol,
    /// Instances wanted, at most [`REPLICAS_MAX`].
    pub replicas: u32,
    /// Services that must have come so far before it is started.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<ServiceName, Condition>,
    /// Resources it uses: they must be up before it is started.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uses: BTreeMap<crate::name::ResourceName, Condition>,
    /// Its edges: services it calls, with the policy of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calls: BTreeMap<ServiceName, Resilience>,
    /// How its instances are checked.
    #[serde(default)]
    pub health: Health,
    /// Time between the signal to stop and SIGKILL when one is stopped.
    #[serde(with = "duration")]
    pub stop_grace_period: Duration,
    /// What one is asked to stop by.
    #[serde(default, skip_serializing_if = "StopSignal::is_usual")]
    pub stop_signal: StopSignal,
    /// The folder of data its instances have, which outlives them and their releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// What follows an exit.
    pub restart: Restart,
    /// What one instance may use.
    #[serde(default)]
    pub limits: Limits,
    /// How a new release takes over.
    #[serde(default)]
    pub update: Update,
    /// Where its instances expose metrics of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Exposition>,
    /// Who looks after it, for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl Service {
    /// A service without code that behaves so, with the defaults of everything else and no calls declared.
    pub fn synthetic(workload: Workload, replicas: u32) -> Self {
        let readiness = Check::new(Probe::Http(SYNTHETIC_HEALTH_PATH.into()));
        let retries = readiness.retries.saturating_mul(LIVENESS_RETRIES_FACTOR);
        let liveness = Check { retries, ..readiness.clone() };
        Self {
            source: Source::Behaviour(workload),
            release_command: Vec::new(),
            environment: BTreeMap::new(),
            port: None,
            ports: BTreeMap::new(),
            protocol: Protocol::Http,
            replicas,
            depends_on: BTreeMap::new(),
            uses: BTreeMap::new(),
            calls: BTreeMap::new(),
            health: Health { readiness: Some(readiness), liveness: Some(liveness) },
            stop_grace_period: STOP_GRACE_PERIOD_DEFAULT,
            stop_signal: StopSignal::default(),
            data: None,
            restart: Restart::default(),
            limits: Limits::default(),
            update: Update::default(),
            metrics: None,
            owner: None,
        }
    }

    /// Whether two instances can have one place for a while, so that the later can take over: each needs a port of
    /// its own, and a job must not be done twice at once.
    pub fn can_overlap(&self) -> bool {
        self.fixed_ports().next().is_none()
            && matches!(self.restart.policy, RestartPolicy::Always)
            && self.update.strategy != Strategy::Recreate
            && !self.has_own_data()
    }

    /// Whether its data is for one instance at a time.
    pub fn has_own_data(&self) -> bool {
        self.data.as_ref().is_some_and(|it| !it.shared)
    }

    /// How it can be replaced if that is wanted by `asked`.
    pub fn replaced_by(&self, asked: Strategy) -> Strategy {
        match asked {
            Strategy::Recreate => asked,
            _ if self.has_own_data() || self.update.strategy == Strategy::Recreate => {
                Strategy::Recreate
            }
            Strategy::Immediate => asked,
            _ if self.can_overlap() => asked,
            _ => Strategy::Rolling,
        }
    }

    /// Ports that every instance must have and so only one can.
    pub fn fixed_ports(&self) -> impl Iterator<Item = u16> + '_ {
        self.port.into_iter().chain(self.ports.values().copied().flatten())
    }
}

/// A folder of data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Its name.
    pub name: DataName,
    /// Whether several instances may have it at once.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub shared: bool,
}

/// What an instance of a service runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A command in a copy of these files. Without files it runs in an empty folder.
    Process {
        /// File or folder, absolute, or relative to the manifest's folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        artifact: Option<String>,
        /// Command that makes the artifact, run in the manifest's folder by whoever applies it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        build: Vec<Template>,
        /// The program and its arguments; at least one word.
        command: Vec<Template>,
    },
    /// A container of this image.
    Image {
        /// The image's reference, `registry/name:tag` or by digest.
        reference: String,
        /// Arguments in place of the image's own command; empty keeps it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        command: Vec<Template>,
    },
    /// No code yet: a synthetic service that behaves so.
    Behaviour(Workload),
}

/// What instances of a service speak on their port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/2 without TLS, known beforehand (RFC 9113, section 3.3).
    Http2,
    /// gRPC: HTTP/2 whose answers carry their status in trailers.
    Grpc,
    /// Anything over TCP: bytes are passed on as they come.
    Tcp,
}

/// How far a dependency must have come. The words are Compose's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the words are Compose's")]
pub enum Condition {
    /// Every instance has been started.
    ServiceStarted,
    /// Every instance is ready.
    ServiceHealthy,
    /// It has run to its end with exit code 0.
    ServiceCompletedSuccessfully,
}

/// What one instance may use; no limit where absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// Memory, after which it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
}
