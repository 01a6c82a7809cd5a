//! The file as written: one type per mapping, from which the JSON Schema, the reference page and the
//! checks of structure are made.
//!
//! Every field is optional here even where the schema requires it: a file with mistakes is still
//! read as far as it goes, so that all of them are found. What a field means when it is absent is
//! said by `model`'s defaults, which the schema quotes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

mod fault;
mod load;
mod monitoring;
mod policy;
mod rate;
mod resilience;
mod route;
mod scenario;
mod service;
mod text;
mod work;
mod workload;

pub(crate) use fault::{FaultSpec, InstancesSpec, SideSpec};
pub(crate) use load::{
    AgainSpec, CurveSpec, DoorSpec, EntrySpec, LoadSpec, LoadText, UsersSpec, profile,
};
pub(crate) use monitoring::{
    ExposedPortSpec, ExpositionMapSpec, ExpositionSpec, RulesMapSpec, RulesSpec,
};
pub(crate) use policy::{
    AnalysisSpec, CanaryStepSpec, OnInconclusiveSpec, RestartMapSpec, RestartPolicySpec,
    RestartSpec, StrategySpec, UpdateSpec,
};
pub(crate) use rate::Rate;
pub(crate) use resilience::{
    BalanceMapSpec, BalancePolicySpec, BalanceSpec, CircuitBreakerSpec, HedgeMapSpec, HedgeSpec,
    QueueSpec, RequestKeyMapSpec, RequestKeySpec, ResilienceSpec, RetryConditionSpec, RetrySpec,
};
pub(crate) use route::{
    CorsSpec, HeaderEditsSpec, PathParametersSpec, PrioritySpec, RateLimitSpec, RedirectSpec,
    RouteSpec,
};
pub(crate) use scenario::{
    AbandonedSpec, ChangeSpec, DeadlinesSpec, FaultItemSpec, LinkSpec, NetworkSpec, ObjectiveSpec,
    ScenarioSpec, ZoneSpec, ZonesSpec,
};
pub(crate) use service::{
    CallsSpec, CheckMapSpec, CheckSpec, CommandSpec, ConditionSpec, DataMappingSpec, DataSpec,
    DefaultsSpec, DependencySpec, DependsOnSpec, EnvFileSpec, EnvFilesSpec, EnvironmentSpec,
    PortSpec, ProtocolSpec, ServiceSpec,
};
pub(crate) use text::{Cpus, Duration, Scalar, Share, Size};
pub(crate) use work::{WorkMapSpec, WorkSpec};
pub(crate) use workload::{
    BackgroundSpec, CacheSpec, CallMapSpec, CallSpec, DisciplineSpec, ReplicationSpec, StepSpec,
    WorkloadSpec,
};

/// An application: its services, the datastores they use, and how the outside reaches them. Keys
/// that begin with `x-` are ignored; they are a place for anchors.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "application", extend("patternProperties" = {"^x-": true}))]
pub(crate) struct ApplicationSpec {
    /// The application's name, unique on a machine.
    #[schemars(required, extend("examples" = ["shop"]))]
    pub(crate) name: Option<String>,
    /// What every service inherits. A service's own value wins, key by key.
    pub(crate) defaults: Option<DefaultsSpec>,
    /// Datastores, caches and brokers, by name.
    #[schemars(extend("propertyNames" = {"x-kind": "name"}))]
    pub(crate) resources: Option<BTreeMap<String, ResourceSpec>>,
    /// What runs, by name.
    #[schemars(required, extend("propertyNames" = {"x-kind": "name"}))]
    pub(crate) services: Option<BTreeMap<String, ServiceSpec>>,
    /// Which requests from outside reach which service.
    pub(crate) routes: Option<Vec<RouteSpec>>,
    /// Configuration values, by key. Nested mappings are joined with dots: `checkout: {max_items: 50}` is
    /// `checkout.max_items`.
    #[schemars(extend("examples" = [{"checkout.max_items": 50}]))]
    pub(crate) config: Option<BTreeMap<String, ConfigSpec>>,
    /// Feature flags, by name.
    pub(crate) flags: Option<BTreeMap<String, FlagSpec>>,
    /// Alert and recording rules, in files in Prometheus' format.
    #[schemars(extend("examples" = [["alerts.yml"]]))]
    pub(crate) rules: Option<RulesSpec>,
}

/// A datastore, cache or broker from the catalog. Its place is known to services as
/// `${resources.NAME.url}`, `.host`, `.port`, `.user`, `.password` and `.database`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "resource")]
pub(crate) struct ResourceSpec {
    /// The kind of component, by its name in the catalog.
    #[serde(rename = "type")]
    #[schemars(required, extend("examples" = ["postgres", "redis"], "x-kind" = "name"))]
    pub(crate) kind: Option<String>,
    /// The version wanted, else the catalog's. In quotes, for `1.10` is not the number 1.1.
    #[schemars(extend("examples" = ["15"]))]
    pub(crate) version: Option<String>,
    /// Memory it may use.
    #[schemars(extend("examples" = ["256MiB"]))]
    pub(crate) memory: Option<Size>,
    /// Time between two backups. Without it none are made.
    #[schemars(extend("examples" = ["6h"]))]
    pub(crate) backup: Option<Duration>,
}

/// A configuration value: true or false, a number, a text, or a mapping of such.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "config-value")]
pub(crate) enum ConfigSpec {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// Values below a common prefix.
    Group(BTreeMap<String, Self>),
}

/// A feature flag.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "flag")]
pub(crate) struct FlagSpec {
    /// What it is for whoever is not in `percent`.
    #[schemars(required, extend("examples" = [false]))]
    pub(crate) default: Option<bool>,
    /// Share of recipients for whom it is the opposite.
    #[schemars(extend("default" = "0%", "examples" = ["10%"]))]
    pub(crate) percent: Option<Share>,
    /// The attribute that tells recipients apart, so that each keeps its answer.
    #[schemars(extend("examples" = ["user_id"]))]
    pub(crate) key: Option<String>,
}
