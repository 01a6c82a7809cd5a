//! A fault as written: when it begins, and one thing that goes wrong.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Duration, ResilienceSpec, Share};
use crate::meaning::defaults::{FACTOR_MAX, INSTANCES_MAX};

/// Something that goes wrong, or is done to the application: `at` or `every` says when, `for` how long, and one
/// other key what. On one line the words stand in a row: `at 60s for 30s slow cart by 10`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "fault")]
pub(crate) struct FaultSpec {
    /// Once, so long after the beginning.
    #[schemars(extend("examples" = ["60s"]))]
    pub(crate) at: Option<Duration>,
    /// Again and again, at random, so often on average.
    #[schemars(extend("examples" = ["10m"]))]
    pub(crate) every: Option<Duration>,
    /// How long it lasts; to the end without it.
    #[serde(rename = "for")]
    #[schemars(extend("examples" = ["30s"]))]
    pub(crate) lasts: Option<Duration>,
    /// Instances of this service die, or of `any`: one, or as many as `instances` says.
    #[schemars(extend("examples" = ["cart", "any"]))]
    pub(crate) kill: Option<String>,
    /// Work of this service takes longer.
    #[schemars(extend("examples" = ["cart"]))]
    pub(crate) slow: Option<String>,
    /// With `slow`: how many times as long.
    #[schemars(range(min = 0.001, max = FACTOR_MAX), extend("examples" = [10]))]
    pub(crate) by: Option<f64>,
    /// Requests to this service fail by themselves.
    #[schemars(extend("examples" = ["cart"]))]
    pub(crate) flaky: Option<String>,
    /// With `flaky` and `release`: how many requests fail by themselves.
    #[schemars(extend("examples" = ["5%"]))]
    pub(crate) errors: Option<Share>,
    /// Instances of this service get less of their processors.
    #[schemars(extend("examples" = ["cart"]))]
    pub(crate) cpu: Option<String>,
    /// With `cpu`: the share that is left.
    #[schemars(extend("examples" = ["40%"]))]
    pub(crate) share: Option<Share>,
    /// With `kill`, `slow`, `flaky` and `cpu`: how many instances, drawn at random, or `all`.
    #[schemars(extend("examples" = [2, "all"]))]
    pub(crate) instances: Option<InstancesSpec>,
    /// This zone is gone: its instances die, and new ones start only when it is back.
    #[schemars(extend("examples" = ["b"]))]
    pub(crate) lose_zone: Option<String>,
    /// All zones of this region are gone.
    #[schemars(extend("examples" = ["eu"]))]
    pub(crate) lose_region: Option<String>,
    /// No message passes between these zones or services and those in `from`.
    #[schemars(extend("examples" = ["a", ["a", "b"]]))]
    pub(crate) partition: Option<SideSpec>,
    /// With `partition`: the zones or services on the other side.
    #[schemars(extend("examples" = ["b"]))]
    pub(crate) from: Option<SideSpec>,
    /// More messages are lost.
    #[schemars(extend("examples" = ["1%"]))]
    pub(crate) loss: Option<Share>,
    /// Messages take longer by this.
    #[schemars(extend("examples" = ["50ms"]))]
    pub(crate) delay: Option<Duration>,
    /// This cache forgets everything and fills again.
    #[schemars(extend("examples" = ["memcached"]))]
    pub(crate) flush: Option<String>,
    /// With `flush`: time in which its misses above the usual halve.
    #[schemars(extend("default" = "30s", "examples" = ["1m"]))]
    pub(crate) half_life: Option<Duration>,
    /// A new release of this service is deployed, as its `update` says.
    #[schemars(extend("examples" = ["cart"]))]
    pub(crate) release: Option<String>,
    /// With `release`: how many times as long its work takes.
    #[schemars(range(min = 0.001, max = FACTOR_MAX), extend("default" = 1, "examples" = [1.5]))]
    pub(crate) slower: Option<f64>,
    /// Somebody changes the policy of this declared call.
    #[schemars(extend("examples" = ["web>cart"]))]
    pub(crate) configure: Option<String>,
    /// With `configure`: the policy, over what it was.
    #[schemars(extend("examples" = [{"timeout": "10ms"}]))]
    pub(crate) resilience: Option<ResilienceSpec>,
    /// Somebody wants another number of instances of this service.
    #[schemars(extend("examples" = ["cart"]))]
    pub(crate) scale: Option<String>,
    /// With `scale`: how many.
    #[schemars(range(max = INSTANCES_MAX), extend("examples" = [5]))]
    pub(crate) replicas: Option<u32>,
    /// Users send so many times as much.
    #[schemars(range(min = 0, max = FACTOR_MAX), extend("examples" = [3]))]
    pub(crate) load: Option<f64>,
    /// So many requests come at one moment.
    #[schemars(range(min = 1, max = INSTANCES_MAX), extend("examples" = [1000]))]
    pub(crate) surge: Option<u32>,
}

/// How many instances: a number, or `all`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "instances")]
pub(crate) enum InstancesSpec {
    /// So many.
    Count(#[schemars(range(min = 1, max = INSTANCES_MAX))] u32),
    /// All of them.
    Word(AllSpec),
}

/// The word `all`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "all")]
pub(crate) enum AllSpec {
    /// All of them.
    All,
}

/// One side of a partition: a zone or a service, or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "side")]
pub(crate) enum SideSpec {
    /// One.
    Name(String),
    /// Several.
    Names(Vec<String>),
}
