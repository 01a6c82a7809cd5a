//! A scenario as written: what an application is put through.

use std::collections::BTreeMap;

use model::scenario::{DURATION_DEFAULT, Network, Objective};
use schemars::JsonSchema;
use serde::Deserialize;

use super::fault::FaultSpec;
use super::load::UsersSpec;
use super::{CallsSpec, Duration, ResilienceSpec, Share, WorkloadSpec};
use crate::meaning::defaults::{INSTANCES_MAX, WORKERS_MAX, ZONES_MAX, duration};

/// What an application is put through: who uses it, over which network, what goes wrong and when, and what
/// is asked of it. Keys that begin with `x-` are ignored; they are a place for anchors.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "scenario", extend("patternProperties" = {"^x-": true}))]
pub(crate) struct ScenarioSpec {
    /// How long it is watched, the warm-up included.
    #[schemars(extend("default" = duration(DURATION_DEFAULT), "examples" = ["10m"]))]
    pub(crate) duration: Option<Duration>,
    /// Time at the beginning that is not counted. Without it, it is found from the run.
    #[schemars(extend("examples" = ["30s"]))]
    pub(crate) warm_up: Option<Duration>,
    /// Who uses it. Without it, 100 requests a second for the services that routes lead to, or those nobody
    /// calls.
    #[schemars(extend("examples" = [[{"name": "shoppers", "load": "50/s..200/s in 10m", "to": "frontend"}]]))]
    pub(crate) users: Option<Vec<UsersSpec>>,
    /// What lies between instances.
    pub(crate) network: Option<NetworkSpec>,
    /// What goes wrong: each on one line, or as a mapping with the same words.
    #[schemars(extend("examples" = [["at 60s for 30s slow cart by 10", "every 10m kill any"]]))]
    pub(crate) faults: Option<Vec<FaultItemSpec>>,
    /// What is asked of the requests from outside.
    pub(crate) objective: Option<ObjectiveSpec>,
    /// What instances do with requests whose caller has left.
    #[schemars(extend("default" = "cancelled", "examples" = ["worked-on"]))]
    pub(crate) abandoned: Option<AbandonedSpec>,
    /// Whether callers pass on how long they wait.
    #[schemars(extend("default" = "local", "examples" = ["propagated"]))]
    pub(crate) deadlines: Option<DeadlinesSpec>,
    /// How services behave that have code, what is different from the application's file, and services that
    /// are not in it, such as a database.
    #[schemars(extend("propertyNames" = {"x-kind": "name"}))]
    #[schemars(extend("examples" = [{"orders": {"behaviour": {"work": {"p50": "5ms", "p99": "40ms"}}, "replicas": 4}}]))]
    pub(crate) services: Option<BTreeMap<String, ChangeSpec>>,
}

/// What is different about a service, key by key; all there is to it if the application has none of this name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "change")]
pub(crate) struct ChangeSpec {
    /// How it behaves. What is left out stays as it was.
    pub(crate) behaviour: Option<WorkloadSpec>,
    /// Instances.
    #[schemars(range(max = INSTANCES_MAX), extend("examples" = [4]))]
    pub(crate) replicas: Option<u32>,
    /// The policy of every call it makes, over what was written for each.
    #[schemars(extend("examples" = [{"timeout": "2s", "retry": {"attempts": 3}}]))]
    pub(crate) resilience: Option<ResilienceSpec>,
    /// Services it calls beside those it did, and the policy of single calls.
    #[schemars(extend("examples" = [{"payments": {"timeout": "2s"}}]))]
    pub(crate) calls: Option<CallsSpec>,
}

/// What lies between instances.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "network")]
pub(crate) struct NetworkSpec {
    /// Where instances are: a number of zones in one region, called `a`, `b` and so on, or a list of them. Instance
    /// `n` of a service is in zone `n` modulo their number.
    #[schemars(extend("default" = 1, "examples" = [3, [{"name": "eu-a", "region": "eu"}, {"name": "us-a", "region": "us"}]]))]
    pub(crate) zones: Option<ZonesSpec>,
    /// Time of one message between instances of one zone.
    #[schemars(extend("default" = duration(Network::default().within_zone), "examples" = ["250us"]))]
    pub(crate) within_zone: Option<Duration>,
    /// Time of one message between zones of one region.
    #[schemars(extend("default" = duration(Network::default().between_zones), "examples" = ["1ms"]))]
    pub(crate) between_zones: Option<Duration>,
    /// Time of one message between regions, where no link says otherwise.
    #[schemars(extend("default" = duration(Network::default().between_regions), "examples" = ["80ms"]))]
    pub(crate) between_regions: Option<Duration>,
    /// Distances of pairs of regions.
    #[schemars(extend("examples" = [[{"between": ["eu", "us"], "latency": "40ms"}]]))]
    pub(crate) links: Option<Vec<LinkSpec>>,
    /// The part of a message's time that is random, on top, as a share of it.
    #[schemars(extend("default" = "0%", "examples" = ["10%"]))]
    pub(crate) jitter: Option<Share>,
    /// Messages lost. Each costs a retransmission: the first after 200 ms, the next after twice that.
    #[schemars(extend("default" = "0%", "examples" = ["0.01%"]))]
    pub(crate) loss: Option<Share>,
    /// Time the data plane takes for one request and its answer, beside the network.
    #[schemars(extend("default" = duration(Network::default().hop), "examples" = ["60us"]))]
    pub(crate) hop: Option<Duration>,
    /// Cores of the data plane in each zone: each decides by itself.
    #[schemars(range(min = 1, max = WORKERS_MAX))]
    #[schemars(extend("default" = Network::default().workers, "examples" = [2]))]
    pub(crate) workers: Option<u32>,
}

/// Zones: how many, or which.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "zones")]
pub(crate) enum ZonesSpec {
    /// So many in one region.
    Count(#[schemars(range(min = 1, max = ZONES_MAX))] u32),
    /// These.
    List(Vec<ZoneSpec>),
}

/// A place instances are in that may be lost as a whole.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "zone")]
pub(crate) struct ZoneSpec {
    /// Its name.
    #[schemars(required, extend("examples" = ["eu-a"]))]
    pub(crate) name: Option<String>,
    /// The region it is in.
    #[schemars(extend("default" = "local", "examples" = ["eu"]))]
    pub(crate) region: Option<String>,
}

/// The distance of two regions, both ways.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "link")]
pub(crate) struct LinkSpec {
    /// The two.
    #[schemars(required, extend("examples" = [["eu", "us"]]))]
    pub(crate) between: Option<Vec<String>>,
    /// Time of one message.
    #[schemars(required, extend("examples" = ["40ms"]))]
    pub(crate) latency: Option<Duration>,
}

/// A fault: a line, or a mapping.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "fault-or-line")]
pub(crate) enum FaultItemSpec {
    /// On one line: the words of the mapping in a row, `at 60s for 30s slow cart by 10`.
    Line(String),
    /// As a mapping.
    Map(Box<FaultSpec>),
}

/// What is asked of the requests from outside. Quantiles that are left out may be anything; if all are, 99 % must
/// take no longer than a second.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "objective")]
pub(crate) struct ObjectiveSpec {
    /// Share of them that must be answered well.
    #[schemars(extend("default" = Objective::default().success.to_string(), "examples" = ["99.9%"]))]
    pub(crate) success: Option<Share>,
    /// The longest that the faster half may take.
    #[schemars(extend("examples" = ["50ms"]))]
    pub(crate) p50: Option<Duration>,
    /// The longest that 90 % may take.
    #[schemars(extend("examples" = ["100ms"]))]
    pub(crate) p90: Option<Duration>,
    /// The longest that 95 % may take.
    #[schemars(extend("examples" = ["200ms"]))]
    pub(crate) p95: Option<Duration>,
    /// The longest that 99 % may take.
    #[schemars(extend("examples" = ["500ms"]))]
    pub(crate) p99: Option<Duration>,
    /// The longest that 99.9 % may take.
    #[serde(rename = "p99.9")]
    #[schemars(extend("examples" = ["2s"]))]
    pub(crate) p999: Option<Duration>,
}

/// What instances do with requests whose caller has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "abandoned")]
pub(crate) enum AbandonedSpec {
    /// They stop at once, and so do those they called.
    Cancelled,
    /// They finish what they have begun, and do not begin what waits.
    Skipped,
    /// They work on it as on any other.
    WorkedOn,
}

/// Whether callers pass on how long they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "deadlines")]
pub(crate) enum DeadlinesSpec {
    /// Each edge knows its own time limit only.
    Local,
    /// A call ends no later than the request it is made for.
    Propagated,
}
