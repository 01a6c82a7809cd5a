//! The policy of an edge: what a caller may expect of one callee, and what is done when it fails.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Share, duration, optional_duration};

/// The resilience of one declared call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resilience {
    /// Longest time from a request to the head of its answer, retries included.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Whether somebody wrote that. Where nobody did, it gives way to a deadline that a service chooses itself.
    #[serde(default, skip_serializing_if = "is_not")]
    pub timeout_is_written: bool,
    /// When and how often to try again.
    pub retry: Retry,
    /// When to stop sending to an instance.
    pub circuit_breaker: CircuitBreaker,
    /// Requests in flight at once over this edge; no limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// A limit that is found by measuring latency; `max_concurrency` is its upper bound.
    #[serde(default)]
    pub adaptive_concurrency: bool,
    /// Where requests wait that are above the limit.
    #[serde(default)]
    pub queue: Queue,
    /// How an instance is chosen.
    #[serde(default)]
    pub balance: Balance,
    /// A second request for those that take long; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// Longest time for which a connection goes on that is open when the data plane is replaced.
    #[serde(default = "usual_drain", with = "duration", skip_serializing_if = "is_usual_drain")]
    pub drain: Duration,
    /// Longest time in which nothing of an answer's body moves; by the kind of answer if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub idle_timeout: Option<Duration>,
    /// Bytes of a request's body, at most; by where the request comes from if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body: Option<Bytes>,
    /// Bytes that must come of a request's body each second, on average; by where the request comes from if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_upload_rate: Option<Bytes>,
}

/// Long enough for what a pool of connections, an event stream or a WebSocket is kept for, which is mostly until one end
/// is deployed again; short enough that no data plane of last week is left.
const DRAIN: Duration = Duration::from_hours(24);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_not(it: &bool) -> bool {
    !*it
}

const fn usual_drain() -> Duration {
    DRAIN
}

fn is_usual_drain(drain: &Duration) -> bool {
    *drain == DRAIN
}

/// Longest time from a request outside to the head of its answer, as Envoy's `timeout` of a route. It is much longer than that
/// of a call, so that whoever is called from outside has time to do without a service that does not answer.
pub const GATEWAY_TIMEOUT: Duration = Duration::from_secs(15);

impl Default for Resilience {
    /// One second, two retries within a budget, a breaker after five errors in a row.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            timeout_is_written: false,
            retry: Retry::default(),
            circuit_breaker: CircuitBreaker::default(),
            max_concurrency: None,
            adaptive_concurrency: false,
            queue: Queue::default(),
            balance: Balance::default(),
            hedge: None,
            drain: DRAIN,
            idle_timeout: None,
            max_body: None,
            min_upload_rate: None,
        }
    }
}

/// Trying again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts after the first; 0 never tries again.
    pub attempts: u8,
    /// The first pause; each further one is twice as long, with full jitter.
    #[serde(with = "duration")]
    pub backoff: Duration,
    /// The longest pause.
    #[serde(with = "duration")]
    pub max_backoff: Duration,
    /// Retries as a share of requests over the edge, at most.
    pub budget: Share,
    /// What an attempt must have come to.
    #[serde(default = "RetryCondition::usual")]
    pub on: Vec<RetryCondition>,
    /// Whether requests may be repeated whose method does not say so (POST, PATCH, gRPC calls).
    #[serde(default)]
    pub non_idempotent: bool,
    /// Longest time for one attempt; only the whole is bounded if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub attempt_timeout: Option<Duration>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 2,
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            budget: Share::from_percent(20),
            on: RetryCondition::usual(),
            non_idempotent: false,
            attempt_timeout: None,
        }
    }
}

/// What an attempt came to, where trying again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryCondition {
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

impl RetryCondition {
    /// What is tried again if nobody says otherwise.
    pub fn usual() -> Vec<Self> {
        [Self::ConnectFailure, Self::Reset, Self::AttemptTimeout, Self::GatewayError].into()
    }
}

/// Leaving an instance alone that fails (outlier ejection).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitBreaker {
    /// Errors in a row that open it.
    pub consecutive_errors: u32,
    /// Time it stays open before one request may probe. It grows with every ejection in a row.
    #[serde(with = "duration")]
    pub open_for: Duration,
    /// Share of errors, over [`ERROR_RATE_REQUESTS_MIN`] requests or more, that opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<Share>,
    /// How many times slower than the median of its peers opens it, in hundredths: 300 is three times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slower_than_percent: Option<u32>,
    /// Share of an edge's instances that may be left alone at once; one always may, of two or more.
    #[serde(default = "CircuitBreaker::usual_max_ejected")]
    pub max_ejected: Share,
    /// When less than this share is left, all are used again: some answers are better than none.
    #[serde(default = "CircuitBreaker::usual_panic_below")]
    pub panic_below: Share,
    /// Share of errors over the whole edge that opens the edge itself: callers are told at once. Never
    /// if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_error_rate: Option<Share>,
}

/// Requests in a window below which a rate of errors says nothing: Hystrix'
/// `circuitBreaker.requestVolumeThreshold`.
pub const ERROR_RATE_REQUESTS_MIN: u32 = 20;

impl CircuitBreaker {
    const fn usual_max_ejected() -> Share {
        Share::from_percent(50)
    }

    const fn usual_panic_below() -> Share {
        Share::from_percent(40)
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            consecutive_errors: 5,
            open_for: Duration::from_secs(10),
            error_rate: None,
            slower_than_percent: None,
            max_ejected: Self::usual_max_ejected(),
            panic_below: Self::usual_panic_below(),
            edge_error_rate: None,
        }
    }
}

/// Where requests wait for a place below the concurrency limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Requests that may wait; 0 refuses at once.
    pub length: u32,
    /// Longest wait.
    #[serde(with = "duration")]
    pub wait: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self { length: 100, wait: Duration::from_millis(100) }
    }
}

/// How an instance is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// The rule.
    pub policy: BalancePolicy,
    /// Time over which a new instance's share grows from a tenth to the whole.
    #[serde(default, with = "duration")]
    pub slow_start: Duration,
    /// What requests are told apart by, where the rule or a release split keeps them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<RequestKey>,
}

/// A rule of choice among instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BalancePolicy {
    /// Of two drawn at random, the one with the lower product of latency (a peak-sensitive average)
    /// and requests in flight.
    #[default]
    PeakEwma,
    /// Of two drawn at random, the one with fewer requests in flight.
    LeastLoaded,
    /// One after the other, by weight.
    RoundRobin,
    /// The same instance for the same key, as far as instances stay the same.
    Hash,
}

/// What tells requests (or those who send them) apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestKey {
    /// The value of this header.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The address of the client.
    ClientAddress,
}

/// A second request for those that take long: whichever answers first counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hedge {
    /// The quantile of latency after which it is sent.
    pub after: Share,
    /// Hedges as a share of requests over the edge, at most.
    pub budget: Share,
}
