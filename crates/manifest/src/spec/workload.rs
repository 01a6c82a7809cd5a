//! The behaviour of a service without code, as written.

use model::workload::RESPONSE_DEFAULT;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Duration, Share, Size};
use crate::meaning::defaults::{CALL_TIMES, CALL_TIMES_MAX};

/// How a synthetic service behaves. It answers every path, and `/health` without work or errors.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "behaviour")]
pub(crate) struct WorkloadSpec {
    /// Time spent working on one request, calls not counted: a duration, or a distribution.
    #[schemars(extend("default" = "0s", "examples" = ["5ms", {"p50": "40ms", "p99": "900ms"}]))]
    pub(crate) work: Option<WorkSpec>,
    /// Share of requests answered with an error of its own, after the work.
    #[schemars(extend("default" = "0%", "examples" = ["0.3%"]))]
    pub(crate) errors: Option<Share>,
    /// The calls made for one request, one step after another. Each becomes an edge as if it were
    /// in `calls`.
    #[schemars(extend("examples" = [["cart", {"service": "ads", "probability": "30%"}]]))]
    pub(crate) calls: Option<Vec<StepSpec>>,
    /// Size of an answer's body.
    #[schemars(extend("default" = RESPONSE_DEFAULT.to_string(), "examples" = ["4KiB"]))]
    pub(crate) response: Option<Size>,
    /// Requests worked on at once by one instance; further ones wait. Without it there is no limit.
    #[schemars(range(min = 1), extend("examples" = [8]))]
    pub(crate) concurrency: Option<u32>,
    /// Time from an instance's start until it listens.
    #[schemars(extend("default" = "0s", "examples" = ["2s"]))]
    pub(crate) startup: Option<Duration>,
}

/// Work time: a duration, or a distribution.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "work")]
pub(crate) enum WorkSpec {
    /// Always the same.
    Fixed(Duration),
    /// A distribution.
    Map(WorkMapSpec),
}

/// A distribution of work time: `p50` and `p99` (lognormal), `mean` (exponential), or `min` and `max`
/// (uniform).
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "distribution")]
pub(crate) struct WorkMapSpec {
    /// Lognormal: half of all requests take no longer.
    #[schemars(extend("examples" = ["40ms"]))]
    pub(crate) p50: Option<Duration>,
    /// Lognormal: 99 % of all requests take no longer.
    #[schemars(extend("examples" = ["900ms"]))]
    pub(crate) p99: Option<Duration>,
    /// Exponential: the mean.
    #[schemars(extend("examples" = ["20ms"]))]
    pub(crate) mean: Option<Duration>,
    /// Uniform: the shortest.
    #[schemars(extend("examples" = ["5ms"]))]
    pub(crate) min: Option<Duration>,
    /// Uniform: the longest.
    #[schemars(extend("examples" = ["15ms"]))]
    pub(crate) max: Option<Duration>,
}

/// A step: the name of a callee, or a mapping.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "call-step")]
pub(crate) enum StepSpec {
    /// One call, always made.
    Name(String),
    /// One call, or several at once.
    Map(StepMapSpec),
}

/// A step of calls: one `service`, or several calls at once in `parallel`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "call-step-mapping")]
pub(crate) struct StepMapSpec {
    /// The callee.
    #[schemars(extend("examples" = ["cart"]))]
    pub(crate) service: Option<String>,
    /// Share of requests in which the call is made.
    #[schemars(extend("default" = "100%", "examples" = ["30%"]))]
    pub(crate) probability: Option<Share>,
    /// Times it is made, at once.
    #[schemars(range(min = 1, max = CALL_TIMES_MAX))]
    #[schemars(extend("default" = CALL_TIMES, "examples" = [2]))]
    pub(crate) times: Option<u32>,
    /// Size of the request's body; without one it is a GET.
    #[schemars(extend("default" = "0B", "examples" = ["2KiB"]))]
    pub(crate) request: Option<Size>,
    /// Whether a failure of the call is left without consequence for the answer.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(crate) optional: Option<bool>,
    /// Calls made at once; the step ends with the last of them.
    #[schemars(extend("examples" = [["cart", "ads"]]))]
    pub(crate) parallel: Option<Vec<CallSpec>>,
}

/// One of several calls at once: the name of a callee, or a mapping.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "parallel-call")]
pub(crate) enum CallSpec {
    /// Always made.
    Name(String),
    /// With its particulars.
    Map(CallMapSpec),
}

/// One of several calls at once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "parallel-call-mapping")]
pub(crate) struct CallMapSpec {
    /// The callee.
    #[schemars(required, extend("examples" = ["cart"]))]
    pub(crate) service: Option<String>,
    /// Share of requests in which the call is made.
    #[schemars(extend("default" = "100%", "examples" = ["30%"]))]
    pub(crate) probability: Option<Share>,
    /// Times it is made, at once.
    #[schemars(range(min = 1, max = CALL_TIMES_MAX))]
    #[schemars(extend("default" = CALL_TIMES, "examples" = [2]))]
    pub(crate) times: Option<u32>,
    /// Size of the request's body; without one it is a GET.
    #[schemars(extend("default" = "0B", "examples" = ["2KiB"]))]
    pub(crate) request: Option<Size>,
    /// Whether a failure of the call is left without consequence for the answer.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(crate) optional: Option<bool>,
}
