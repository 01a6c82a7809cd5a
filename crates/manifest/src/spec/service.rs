//! A service as written, and what every service inherits.

use std::collections::BTreeMap;

use model::health::{INTERVAL_DEFAULT, RETRIES_DEFAULT, START_PERIOD_DEFAULT, TIMEOUT_DEFAULT};
use model::service::{REPLICAS_MAX, STOP_GRACE_PERIOD_DEFAULT};
use model::stopping::StopSignal;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Cpus, Duration, ExpositionSpec, PathParametersSpec, ResilienceSpec, RestartSpec, Scalar, Size,
    UpdateSpec, WorkloadSpec,
};
use crate::meaning::defaults::{REPLICAS, duration};

/// What every service inherits. A service's own value wins, key by key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "defaults")]
pub(crate) struct DefaultsSpec {
    /// How it is found out whether an instance can take requests.
    pub(crate) healthcheck: Option<CheckSpec>,
    /// How it is found out whether an instance must be replaced.
    pub(crate) liveness: Option<CheckSpec>,
    /// Time between the signal to stop and SIGKILL when an instance is stopped.
    #[schemars(extend("default" = duration(STOP_GRACE_PERIOD_DEFAULT), "examples" = ["20s"]))]
    pub(crate) stop_grace_period: Option<Duration>,
    /// The policy of every call.
    pub(crate) resilience: Option<ResilienceSpec>,
    /// What `;…` in a segment of a path is when a request is matched with the paths of `routes`, alike for all of them. With `ignore`,
    /// `/admin;x` is matched as `/admin`: write that where services ignore it too, as Tomcat and Spring do.
    #[schemars(extend("default" = "keep", "examples" = ["ignore"]))]
    pub(crate) path_parameters: Option<PathParametersSpec>,
    /// How a new release takes over.
    pub(crate) update: Option<UpdateSpec>,
    /// What follows an exit.
    pub(crate) restart: Option<RestartSpec>,
    /// Environment of every instance.
    pub(crate) environment: Option<EnvironmentSpec>,
    /// Files of variables for every instance, relative to this file; `environment` wins over them.
    #[schemars(extend("examples" = [".env"]))]
    pub(crate) env_file: Option<EnvFilesSpec>,
    /// What one instance may use.
    pub(crate) limits: Option<LimitsSpec>,
}

/// A service: exactly one of `command`, `image` and `behaviour` says what runs (an image may have a command
/// too).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "service")]
pub(crate) struct ServiceSpec {
    /// File or folder the command runs in a copy of, absolute or relative to this file. It is baked
    /// into the release.
    #[schemars(extend("examples" = ["./web"]))]
    pub(crate) artifact: Option<String>,
    /// Command that makes the artifact, run before it is baked, in the folder of this file.
    #[schemars(extend("examples" = ["cargo build --release"]))]
    pub(crate) build: Option<CommandSpec>,
    /// What is run: a line, split into words as a shell does but with no shell, or a list of words.
    /// Without it the `artifact` itself is run.
    #[schemars(extend("examples" = ["python3 app.py --port ${PORT}"]))]
    pub(crate) command: Option<CommandSpec>,
    /// The container image to run.
    #[schemars(extend("examples" = ["registry.example/catalog:1.8.2"]))]
    pub(crate) image: Option<String>,
    /// No code yet: how a synthetic service in its place behaves.
    pub(crate) behaviour: Option<WorkloadSpec>,
    /// Command run once per release, before its first instance starts.
    #[schemars(extend("examples" = ["./orders migrate"]))]
    pub(crate) release_command: Option<CommandSpec>,
    /// Environment of its instances, beside what Pelago tells them.
    #[schemars(extend("examples" = [{"DATABASE_URL": "${resources.shopdb.url}"}]))]
    pub(crate) environment: Option<EnvironmentSpec>,
    /// Files of variables, relative to this file: one, or a list of which the later wins. `environment` wins over them.
    #[schemars(extend("examples" = ["web.env", ["common.env", {"path": "local.env", "required": false}]]))]
    pub(crate) env_file: Option<EnvFilesSpec>,
    /// The port its instances listen on. Without it each is given one, in `PORT`.
    #[schemars(range(min = 1), extend("examples" = [8080]))]
    pub(crate) port: Option<u16>,
    /// Further ports of its instances, each by a name, under which it is told: `PORT_ADMIN` for `admin`. `any` is
    /// given one; a number is fixed.
    #[schemars(extend("examples" = [{"admin": "any"}, {"grpc": 9000}]))]
    pub(crate) ports: Option<BTreeMap<String, Option<PortSpec>>>,
    /// What its instances speak on their port.
    #[schemars(extend("default" = "http", "examples" = ["grpc"]))]
    pub(crate) protocol: Option<ProtocolSpec>,
    /// Instances wanted.
    #[schemars(range(max = REPLICAS_MAX), extend("default" = REPLICAS, "examples" = [3]))]
    pub(crate) replicas: Option<u32>,
    /// Services and resources that must have come so far before it is started: a list of names that must
    /// have been started, or a mapping with conditions.
    #[schemars(extend("examples" = [{"shopdb": {"condition": "service_healthy"}}]))]
    pub(crate) depends_on: Option<DependsOnSpec>,
    /// Services it calls: a list of names, or a mapping with the policy of each call. It is told
    /// where they are in `NAME_URL`; what is not listed cannot be reached by name.
    #[schemars(extend("examples" = [["catalog", "cart"], {"payments": {"timeout": "2s"}}]))]
    pub(crate) calls: Option<CallsSpec>,
    /// How it is found out whether an instance can take requests, or `none`.
    #[schemars(extend("examples" = [{"path": "/health"}, "none"]))]
    pub(crate) healthcheck: Option<CheckSpec>,
    /// How it is found out whether an instance must be replaced, or `none`. Without it the
    /// healthcheck decides, with three times the `retries`.
    pub(crate) liveness: Option<CheckSpec>,
    /// Time between the signal to stop and SIGKILL when an instance is stopped.
    #[schemars(extend("default" = duration(STOP_GRACE_PERIOD_DEFAULT), "examples" = ["20s"]))]
    pub(crate) stop_grace_period: Option<Duration>,
    /// What an instance is asked to stop by.
    #[schemars(extend("default" = StopSignal::default().as_str(), "examples" = ["SIGINT"]))]
    pub(crate) stop_signal: Option<String>,
    /// A folder of data that outlives its instances and releases, by a name, or a mapping. An instance is told where it is
    /// in `DATA_DIR`.
    #[schemars(extend("examples" = ["orders", {"name": "uploads", "shared": true}]))]
    pub(crate) data: Option<DataSpec>,
    /// What follows an exit: a policy, or a mapping.
    #[schemars(extend("default" = "always", "examples" = ["on-failure"]))]
    pub(crate) restart: Option<RestartSpec>,
    /// What one instance may use.
    pub(crate) limits: Option<LimitsSpec>,
    /// How a new release takes over.
    pub(crate) update: Option<UpdateSpec>,
    /// Where its instances expose metrics of their own, in Prometheus' format or as OpenMetrics: a path, or a
    /// mapping. They are scraped from there.
    #[schemars(extend("examples" = ["/metrics", {"path": "/metrics", "interval": "5s"}]))]
    pub(crate) metrics: Option<ExpositionSpec>,
    /// Who looks after it, for people to read.
    #[schemars(extend("examples" = ["team-checkout"]))]
    pub(crate) owner: Option<String>,
}

/// A folder of data: its name, or more about it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "data")]
pub(crate) enum DataSpec {
    /// Its name, unique in the application; it is for one instance at a time.
    Name(String),
    /// More about it.
    Mapping(DataMappingSpec),
}

/// A folder of data.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "data-folder")]
pub(crate) struct DataMappingSpec {
    /// Its name, unique in the application.
    #[schemars(required, extend("examples" = ["uploads"]))]
    pub(crate) name: Option<String>,
    /// Whether several instances may have it at once, of releases that follow each other among them.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(crate) shared: Option<bool>,
}

/// A further port: `any`, or its number.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "further-port")]
pub(crate) enum PortSpec {
    /// Each instance is given one.
    Any(AnySpec),
    /// This one, so that one instance can run at a time.
    Fixed(#[schemars(range(min = 1))] u16),
}

/// The word `any`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "any")]
pub(crate) enum AnySpec {
    /// Each instance is given one.
    Any,
}

/// What instances of a service speak on their port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "protocol")]
pub(crate) enum ProtocolSpec {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 without TLS, known beforehand.
    Http2,
    /// gRPC.
    Grpc,
    /// Anything over TCP: bytes are passed on as they come.
    Tcp,
}

/// A command: a line that is split into words, or a list of words.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "command")]
pub(crate) enum CommandSpec {
    /// A line.
    Line(#[schemars(extend("x-kind" = "command"))] String),
    /// Its words.
    Words(Vec<Scalar>),
}

/// Environment variables: a mapping, or a list of `NAME=value`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "environment")]
pub(crate) enum EnvironmentSpec {
    /// Values by name.
    Map(BTreeMap<String, Scalar>),
    /// `NAME=value`.
    List(Vec<String>),
}

/// Dependencies: a list of names, or a mapping with conditions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "dependencies")]
pub(crate) enum DependsOnSpec {
    /// Names of what must have been started.
    List(Vec<String>),
    /// Conditions by name.
    Map(BTreeMap<String, DependencySpec>),
}

/// How far a dependency must have come.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "dependency")]
pub(crate) struct DependencySpec {
    /// The condition; the words are Compose's.
    #[schemars(extend("default" = "service_started", "examples" = ["service_healthy"]))]
    pub(crate) condition: Option<ConditionSpec>,
}

/// A condition on a dependency.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "condition")]
#[expect(clippy::enum_variant_names, reason = "the words are Compose's")]
pub(crate) enum ConditionSpec {
    /// Every instance has been started.
    ServiceStarted,
    /// Every instance is ready.
    ServiceHealthy,
    /// It has run to its end with exit code 0.
    ServiceCompletedSuccessfully,
}

/// Calls: a list of callees, or a mapping with the policy of each.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "calls")]
pub(crate) enum CallsSpec {
    /// Names of callees.
    List(Vec<String>),
    /// Policies by callee; what is left out is inherited.
    Map(BTreeMap<String, Option<ResilienceSpec>>),
}

/// A check, or `none`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "check-or-none")]
pub(crate) enum CheckSpec {
    /// No check, whatever `defaults` says.
    Word(NoneSpec),
    /// A check.
    Check(CheckMapSpec),
}

/// The word `none`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "none")]
pub(crate) enum NoneSpec {
    /// No check, whatever `defaults` says.
    None,
}

/// A repeated check of an instance: exactly one of `path`, `tcp` and `command` says what is tried.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "check")]
pub(crate) struct CheckMapSpec {
    /// GET this path on its port; a status of 200 to 399 is healthy.
    #[schemars(extend("examples" = ["/health"]))]
    pub(crate) path: Option<String>,
    /// `true`: connect to its port.
    #[schemars(extend("examples" = [true]))]
    pub(crate) tcp: Option<bool>,
    /// Run this beside it; exit code 0 is healthy.
    #[schemars(extend("examples" = ["pg_isready"]))]
    pub(crate) command: Option<CommandSpec>,
    /// Time between two tries of a started instance.
    #[schemars(extend("default" = duration(INTERVAL_DEFAULT), "examples" = ["5s"]))]
    pub(crate) interval: Option<Duration>,
    /// Time after which a try has failed.
    #[schemars(extend("default" = duration(TIMEOUT_DEFAULT), "examples" = ["2s"]))]
    pub(crate) timeout: Option<Duration>,
    /// Time after the start in which failures do not count.
    #[schemars(extend("default" = duration(START_PERIOD_DEFAULT), "examples" = ["20s"]))]
    pub(crate) start_period: Option<Duration>,
    /// Failures in a row that make a verdict.
    #[schemars(range(min = 1), extend("default" = RETRIES_DEFAULT, "examples" = [3]))]
    pub(crate) retries: Option<u32>,
}

/// Files of variables: one, or a list.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "env-files")]
pub(crate) enum EnvFilesSpec {
    /// The file.
    One(String),
    /// Several, of which the later wins.
    Several(Vec<EnvFileSpec>),
}

/// A file of variables: its path, or a mapping.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "env-file")]
pub(crate) enum EnvFileSpec {
    /// Only the path.
    Path(String),
    /// The path, and whether it must be there.
    Map(EnvFileMapSpec),
}

/// A file of variables.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "env-file-mapping")]
pub(crate) struct EnvFileMapSpec {
    /// Its path.
    #[schemars(required, extend("examples" = ["local.env"]))]
    pub(crate) path: Option<String>,
    /// Whether it is a mistake that it is not there.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub(crate) required: Option<bool>,
}

/// What one instance may use; no limit where absent.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "limits")]
pub(crate) struct LimitsSpec {
    /// Processors.
    #[schemars(extend("examples" = [0.5]))]
    pub(crate) cpus: Option<Cpus>,
    /// Memory, after which it is killed.
    #[schemars(extend("examples" = ["256MiB"]))]
    pub(crate) memory: Option<Size>,
}
