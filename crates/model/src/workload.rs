//! What a synthetic service does with one request, as data. `behaviour` samples it.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::ServiceName;
use crate::units::{Bytes, Share, duration};

/// The behaviour of a synthetic service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Time spent working on one request, calls not counted.
    pub work: WorkTime,
    /// Calls made for one request: the steps run one after another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<CallStep>,
    /// Share of requests answered with an error of its own, after the work.
    #[serde(default)]
    pub errors: Share,
    /// Bytes of an answer's body.
    pub response: Bytes,
    /// Requests worked on at once by one instance; further ones wait in order of arrival. No limit
    /// if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Time an instance takes from its start until it listens.
    #[serde(default, with = "duration")]
    pub startup: Duration,
}

/// Bytes of an answer's body if nobody says otherwise.
pub const RESPONSE_DEFAULT: Bytes = Bytes(1024);

impl Default for Workload {
    /// No work, no calls, no errors, an answer of 1 KiB.
    fn default() -> Self {
        Self {
            work: WorkTime::Fixed { time: Duration::ZERO },
            steps: Vec::new(),
            errors: Share::ZERO,
            response: RESPONSE_DEFAULT,
            concurrency: None,
            startup: Duration::ZERO,
        }
    }
}

/// A distribution of work time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "distribution", rename_all = "lowercase")]
pub enum WorkTime {
    /// Always the same.
    Fixed {
        /// The time.
        #[serde(with = "duration")]
        time: Duration,
    },
    /// Exponential.
    Exponential {
        /// Its mean.
        #[serde(with = "duration")]
        mean: Duration,
    },
    /// Lognormal through two of its percentiles; `p50` is at most `p99`.
    Lognormal {
        /// Half of all requests take no longer.
        #[serde(with = "duration")]
        p50: Duration,
        /// 99 % of all requests take no longer.
        #[serde(with = "duration")]
        p99: Duration,
    },
    /// Uniform; `min` is at most `max`.
    Uniform {
        /// The shortest.
        #[serde(with = "duration")]
        min: Duration,
        /// The longest.
        #[serde(with = "duration")]
        max: Duration,
    },
}

/// Calls that are made at once; the step ends when the last of them has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallStep {
    /// The calls, at least one.
    pub parallel: Vec<Call>,
}

/// One call to another service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The callee.
    pub service: ServiceName,
    /// Share of requests in which it is made.
    pub probability: Share,
    /// Times it is made, at least 1: at once, since they are in one step.
    pub times: u32,
    /// Bytes of the request's body; 0 is a GET.
    pub request: Bytes,
    /// Whether a failure of this call is left without consequence for the answer.
    #[serde(default)]
    pub optional: bool,
}
