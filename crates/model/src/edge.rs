//! The policy of an edge: what a caller may expect of one callee, and what is done when it fails.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Share, duration};

/// The resilience of one declared call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resilience {
    /// Longest time for one request, retries included.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// When and how often to try again.
    pub retry: Retry,
    /// When to stop sending to an instance.
    pub circuit_breaker: CircuitBreaker,
    /// Requests in flight at once over this edge; no limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
}

impl Default for Resilience {
    /// One second, two retries within a budget, a breaker after five errors in a row.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            retry: Retry::default(),
            circuit_breaker: CircuitBreaker::default(),
            max_concurrency: None,
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
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 2,
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            budget: Share::from_percent(20),
        }
    }
}

/// Leaving an instance alone that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitBreaker {
    /// Errors in a row that open it.
    pub consecutive_errors: u32,
    /// Time it stays open before one request may probe.
    #[serde(with = "duration")]
    pub open_for: Duration,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { consecutive_errors: 5, open_for: Duration::from_secs(10) }
    }
}
