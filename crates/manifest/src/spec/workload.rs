//! The behaviour of a service without code, as written.

use model::workload::{QUEUE_DEFAULT, RESPONSE_DEFAULT};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Duration, Share, Size, WorkSpec};
use crate::meaning::defaults::{CALL_TIMES, CALL_TIMES_MAX, COPIES_MAX, QUEUE_LENGTH_MAX};

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
    /// Requests that may wait at one instance; further ones are answered with 503.
    #[schemars(range(max = QUEUE_LENGTH_MAX))]
    #[schemars(extend("default" = QUEUE_DEFAULT, "examples" = [100]))]
    pub(crate) queue: Option<u32>,
    /// How long a request waits before it is answered with 503: a duration, or a distribution. Without it
    /// it waits for ever.
    #[schemars(extend("examples" = ["2s", {"mean": "1s"}]))]
    pub(crate) patience: Option<WorkSpec>,
    /// How those that are worked on share the processors.
    #[schemars(extend("default" = "fifo", "examples" = ["processor-sharing"]))]
    pub(crate) discipline: Option<DisciplineSpec>,
    /// How much longer work takes for each other request that is worked on: what they wait for each other.
    #[schemars(extend("default" = "0%", "examples" = ["5%"]))]
    pub(crate) contention: Option<Share>,
    /// How much longer work takes for each pair of requests that is worked on: what it costs to keep them in
    /// agreement.
    #[schemars(extend("default" = "0%", "examples" = ["0.02%"]))]
    pub(crate) coherency: Option<Share>,
    /// How its instances keep copies for each other, if it is a replicated store. Run for real, an instance
    /// answers alone.
    #[schemars(extend("examples" = [{"factor": 3, "read": 1, "write": 2}]))]
    pub(crate) replication: Option<ReplicationSpec>,
    /// What every instance does by itself. It takes its turn like a request.
    #[schemars(extend("examples" = [[{"every": "10s", "work": "50ms"}]]))]
    pub(crate) background: Option<Vec<BackgroundSpec>>,
    /// Time from an instance's start until it listens.
    #[schemars(extend("default" = "0s", "examples" = ["2s"]))]
    pub(crate) startup: Option<Duration>,
}

/// How requests that are worked on share an instance's processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "discipline")]
pub(crate) enum DisciplineSpec {
    /// Each of `concurrency` workers has one request, in order of arrival, until it is done.
    Fifo,
    /// All that are there share `concurrency` processors evenly, one without it; none gets more than one.
    ProcessorSharing,
}

/// How the instances of a store keep copies: whichever is asked asks those that have one, and answers when
/// enough of them have.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "replication")]
pub(crate) struct ReplicationSpec {
    /// Copies of everything, on as many instances, in different zones as far as there are.
    #[schemars(required, range(min = 1, max = COPIES_MAX), extend("examples" = [3]))]
    pub(crate) factor: Option<u32>,
    /// Copies that must have answered a read, a request without a body; most of them without it.
    #[schemars(range(min = 1, max = COPIES_MAX), extend("examples" = [1]))]
    pub(crate) read: Option<u32>,
    /// Copies that must have answered a write; most of them without it.
    #[schemars(range(min = 1, max = COPIES_MAX), extend("examples" = [2]))]
    pub(crate) write: Option<u32>,
}

/// Work an instance does again and again beside its requests.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "background-work")]
pub(crate) struct BackgroundSpec {
    /// Time from the end of one to the beginning of the next, on average.
    #[schemars(required, extend("examples" = ["10s"]))]
    pub(crate) every: Option<Duration>,
    /// How long it takes: a duration, or a distribution.
    #[schemars(required, extend("examples" = ["50ms"]))]
    pub(crate) work: Option<WorkSpec>,
}

/// A cache beside a callee.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "cache")]
pub(crate) struct CacheSpec {
    /// The service that is asked first. A lookup that fails found nothing.
    #[schemars(required, extend("examples" = ["memcached"]))]
    pub(crate) service: Option<String>,
    /// How often it has the answer.
    #[schemars(required, extend("examples" = ["90%"]))]
    pub(crate) hit_ratio: Option<Share>,
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
    /// Where the answer is looked for first: the call is made only if it is not there.
    #[schemars(extend("examples" = [{"service": "memcached", "hit_ratio": "90%"}]))]
    pub(crate) cache: Option<CacheSpec>,
    /// Connections one instance has to the callee, for which its calls wait. Without it there is no limit.
    #[schemars(range(min = 1), extend("examples" = [20]))]
    pub(crate) connections: Option<u32>,
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
    /// Where the answer is looked for first: the call is made only if it is not there.
    #[schemars(extend("examples" = [{"service": "memcached", "hit_ratio": "90%"}]))]
    pub(crate) cache: Option<CacheSpec>,
    /// Connections one instance has to the callee, for which its calls wait. Without it there is no limit.
    #[schemars(range(min = 1), extend("examples" = [20]))]
    pub(crate) connections: Option<u32>,
}
