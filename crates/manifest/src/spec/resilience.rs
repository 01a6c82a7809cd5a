//! The policy of a call as written.

use model::edge::{CircuitBreaker, Queue, Resilience, Retry};
use schemars::JsonSchema;
use serde::Deserialize;

use super::service::NoneSpec;
use super::{Duration, Share, Size};
use crate::meaning::defaults::{
    HEDGE_AFTER, HEDGE_BUDGET, QUEUE_LENGTH_MAX, RETRY_ATTEMPTS_MAX, SLOWER_THAN_MAX, duration,
};

/// The policy of a call. What is left out is inherited from `defaults.resilience`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "resilience")]
pub(crate) struct ResilienceSpec {
    /// Longest time for one request until the head of its answer, retries included. A route of which nothing is said has 15 s. A
    /// call never has more than its caller has left, less a tenth (100 ms at most) to do without its answer. Where nobody writes it
    /// for a call, here or in `defaults`, a `grpc-timeout` that its caller sends counts in its place, also a longer one.
    #[schemars(extend("default" = duration(Resilience::default().timeout), "examples" = ["800ms"]))]
    pub(crate) timeout: Option<Duration>,
    /// When and how often to try again.
    pub(crate) retry: Option<RetrySpec>,
    /// When to stop sending to an instance.
    pub(crate) circuit_breaker: Option<CircuitBreakerSpec>,
    /// Requests in flight at once. Without it there is no limit.
    #[schemars(range(min = 1), extend("examples" = [200]))]
    pub(crate) max_concurrency: Option<u32>,
    /// Whether a limit on requests in flight is found by measuring latency. `max_concurrency` is then
    /// its upper bound.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(crate) adaptive_concurrency: Option<bool>,
    /// Where requests wait that are above the limit.
    pub(crate) queue: Option<QueueSpec>,
    /// How an instance is chosen: a rule, or a mapping.
    #[schemars(extend("default" = "peak-ewma", "examples" = ["round-robin", {"policy": "hash", "key": "client-address"}]))]
    pub(crate) balance: Option<BalanceSpec>,
    /// A second request for those that take long, or `none`.
    #[schemars(extend("examples" = [{"after": "95%", "budget": "5%"}]))]
    pub(crate) hedge: Option<HedgeSpec>,
    /// Longest time for which a connection goes on that is open when the data plane is replaced: by an upgrade, or
    /// since it is told other options. `0s` cuts it at once.
    #[schemars(extend("default" = duration(Resilience::default().drain), "examples" = ["1h"]))]
    pub(crate) drain: Option<Duration>,
    /// Longest time in which nothing of an answer's body moves. Without it, 30 s where the answer says how long it is, and an
    /// hour where it does not: event streams, calls of gRPC, long polls. Also the longest silence of a WebSocket or of a `tcp`
    /// connection, an hour without it.
    #[schemars(extend("examples" = ["10m"]))]
    pub(crate) idle_timeout: Option<Duration>,
    /// Size of a request's body, at most, also over a stream's life. Without it, 64 MiB at the gateway but for gRPC, and no
    /// limit for calls between services.
    #[schemars(extend("examples" = ["1GiB"]))]
    pub(crate) max_body: Option<Size>,
    /// Size of what must come of a request's body each second, on average, from its sixth second on. Without it, 240 bytes
    /// at the gateway but for gRPC, and none for calls between services.
    #[schemars(extend("examples" = ["1KiB"]))]
    pub(crate) min_upload_rate: Option<Size>,
}

/// Trying again.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "retry")]
pub(crate) struct RetrySpec {
    /// Attempts after the first; 0 never tries again.
    #[schemars(range(max = RETRY_ATTEMPTS_MAX))]
    #[schemars(extend("default" = Retry::default().attempts, "examples" = [2]))]
    pub(crate) attempts: Option<u8>,
    /// The first pause; each further one is twice as long, with full jitter.
    #[schemars(extend("default" = duration(Retry::default().backoff), "examples" = ["25ms"]))]
    pub(crate) backoff: Option<Duration>,
    /// The longest pause.
    #[schemars(extend("default" = duration(Retry::default().max_backoff), "examples" = ["250ms"]))]
    pub(crate) max_backoff: Option<Duration>,
    /// Retries as a share of requests, at most.
    #[schemars(extend("default" = Retry::default().budget.to_string(), "examples" = ["20%"]))]
    pub(crate) budget: Option<Share>,
    /// What an attempt must have come to.
    #[schemars(extend("default" = ["connect-failure", "reset", "attempt-timeout", "gateway-error"], "examples" = [["connect-failure", "server-error"]]))]
    pub(crate) on: Option<Vec<RetryConditionSpec>>,
    /// Whether requests may be repeated whose method does not say so: POST, PATCH, calls of gRPC.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(crate) non_idempotent: Option<bool>,
    /// Longest time for one attempt. Without it only the whole is bounded.
    #[schemars(extend("examples" = ["300ms"]))]
    pub(crate) attempt_timeout: Option<Duration>,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "retry-condition")]
pub(crate) enum RetryConditionSpec {
    /// No connection could be made: the request was not sent.
    ConnectFailure,
    /// The connection ended before an answer.
    Reset,
    /// No answer within `attempt_timeout`.
    AttemptTimeout,
    /// The answer was 502, 503 or 504, or gRPC's UNAVAILABLE.
    GatewayError,
    /// The answer was any status from 500 on.
    ServerError,
    /// The answer was 429, or gRPC's `RESOURCE_EXHAUSTED`.
    TooManyRequests,
}

/// Leaving an instance alone that fails.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "circuit-breaker")]
pub(crate) struct CircuitBreakerSpec {
    /// Errors in a row that open it.
    #[schemars(range(min = 1))]
    #[schemars(extend("default" = CircuitBreaker::default().consecutive_errors, "examples" = [5]))]
    pub(crate) consecutive_errors: Option<u32>,
    /// Time it stays open before one request may probe.
    #[schemars(extend("default" = duration(CircuitBreaker::default().open_for), "examples" = ["10s"]))]
    pub(crate) open_for: Option<Duration>,
    /// Share of errors that opens it, once there are enough requests to tell.
    #[schemars(extend("examples" = ["50%"]))]
    pub(crate) error_rate: Option<Share>,
    /// How many times slower than the median of its peers an instance must be to open it.
    #[schemars(range(min = 1, max = SLOWER_THAN_MAX), extend("examples" = [3.0]))]
    pub(crate) slower_than: Option<f64>,
    /// Share of the instances that may be left alone at once; one always may, of two or more.
    #[schemars(extend("default" = CircuitBreaker::default().max_ejected.to_string(), "examples" = ["50%"]))]
    pub(crate) max_ejected: Option<Share>,
    /// When less than this share of the instances is left, all are used again.
    #[schemars(extend("default" = CircuitBreaker::default().panic_below.to_string(), "examples" = ["40%"]))]
    pub(crate) panic_below: Option<Share>,
    /// Share of errors over all instances from which on callers are refused at once. Without it they
    /// never are.
    #[schemars(extend("examples" = ["80%"]))]
    pub(crate) edge_error_rate: Option<Share>,
}

/// Where requests wait that are above the limit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "queue")]
pub(crate) struct QueueSpec {
    /// Requests that may wait; 0 refuses at once.
    #[schemars(range(max = QUEUE_LENGTH_MAX))]
    #[schemars(extend("default" = Queue::default().length, "examples" = [100]))]
    pub(crate) length: Option<u32>,
    /// Longest wait.
    #[schemars(extend("default" = duration(Queue::default().wait), "examples" = ["100ms"]))]
    pub(crate) wait: Option<Duration>,
}

/// How an instance is chosen: a rule, or a mapping.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "balance")]
pub(crate) enum BalanceSpec {
    /// Only the rule.
    Policy(BalancePolicySpec),
    /// The rule and what belongs to it.
    Map(BalanceMapSpec),
}

/// How an instance is chosen.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "balance-mapping")]
pub(crate) struct BalanceMapSpec {
    /// The rule.
    #[schemars(extend("default" = "peak-ewma", "examples" = ["least-loaded"]))]
    pub(crate) policy: Option<BalancePolicySpec>,
    /// Time over which a new instance's share grows from a tenth to the whole.
    #[schemars(extend("default" = "0s", "examples" = ["30s"]))]
    pub(crate) slow_start: Option<Duration>,
    /// What requests are told apart by, for `hash` and where a caller is to stay with one release.
    #[schemars(extend("examples" = [{"header": "x-user"}, "client-address"]))]
    pub(crate) key: Option<RequestKeySpec>,
}

/// A rule of choice among instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "balance-policy")]
pub(crate) enum BalancePolicySpec {
    /// Of two drawn at random, the one with the lower product of latency and requests in flight.
    PeakEwma,
    /// Of two drawn at random, the one with fewer requests in flight.
    LeastLoaded,
    /// One after the other.
    RoundRobin,
    /// The same instance for the same `key`, as far as instances stay the same.
    Hash,
}

/// What tells requests apart: `client-address`, a header, or a cookie.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "request-key")]
pub(crate) enum RequestKeySpec {
    /// The address of the client.
    Word(ClientAddressSpec),
    /// The value of a header or a cookie.
    Map(RequestKeyMapSpec),
}

/// The word `client-address`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "client-address")]
pub(crate) enum ClientAddressSpec {
    /// The address of the client.
    ClientAddress,
}

/// The value of a header or a cookie: exactly one of them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "request-key-mapping")]
pub(crate) struct RequestKeyMapSpec {
    /// The header.
    #[schemars(extend("examples" = ["x-user"]))]
    pub(crate) header: Option<String>,
    /// The cookie.
    #[schemars(extend("examples" = ["session"]))]
    pub(crate) cookie: Option<String>,
}

/// A second request for those that take long, or `none`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "hedge-or-none")]
pub(crate) enum HedgeSpec {
    /// None, whatever `defaults` says.
    Word(NoneSpec),
    /// A hedge.
    Map(HedgeMapSpec),
}

/// A second request for those that take long: whichever answers first counts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "hedge")]
pub(crate) struct HedgeMapSpec {
    /// The quantile of latency after which it is sent.
    #[schemars(extend("default" = HEDGE_AFTER.to_string(), "examples" = ["95%"]))]
    pub(crate) after: Option<Share>,
    /// Second requests as a share of requests, at most.
    #[schemars(extend("default" = HEDGE_BUDGET.to_string(), "examples" = ["5%"]))]
    pub(crate) budget: Option<Share>,
}
