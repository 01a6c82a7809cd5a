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
    /// Requests that may wait at one instance; [`QUEUE_DEFAULT`] if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// How long a request waits for its turn before it leaves; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<WorkTime>,
    /// How those that are worked on share the processors.
    #[serde(default)]
    pub discipline: Discipline,
    /// How much work slows down others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contention: Option<Contention>,
    /// How its instances keep copies for each other, if it is a replicated store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<Replication>,
    /// Work every instance does by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub background: Vec<Background>,
    /// Time an instance takes from its start until it listens.
    #[serde(default, with = "duration")]
    pub startup: Duration,
}

/// Requests that may wait at one instance if nobody says otherwise: past a thousand, whoever is
/// last has waited longer than any caller does.
pub const QUEUE_DEFAULT: u32 = 1_024;

/// How requests that are worked on share an instance's processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discipline {
    /// Each of `concurrency` workers has one request, in order of arrival, until it is done.
    #[default]
    Fifo,
    /// All that are there share `concurrency` processors evenly, none getting more than one.
    ProcessorSharing,
}

/// How much slower work is beside other work: with `n` requests worked on, it takes
/// `1 + contention (n - 1) + coherency n (n - 1)` times as long, as they are when it begins.
///
/// Source: Gunther, "A general theory of computational scalability" (2008): the universal scalability law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contention {
    /// What each waits for each other.
    pub contention: f64,
    /// What each pair costs to be kept in agreement.
    pub coherency: f64,
}

/// A store whose instances keep copies: whichever is asked asks the owners, and answers when enough have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replication {
    /// Copies of everything, on as many instances, in different zones as far as there are.
    pub factor: u32,
    /// Copies that must have answered a read: a request without a body.
    pub read: u32,
    /// Copies that must have answered a write.
    pub write: u32,
}

/// Work an instance does again and again beside its requests; it takes a worker's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Background {
    /// From the end of one to the beginning of the next, on average (exponential).
    #[serde(with = "duration")]
    pub every: Duration,
    /// How long it takes.
    pub work: WorkTime,
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
            queue: None,
            patience: None,
            discipline: Discipline::Fifo,
            contention: None,
            replication: None,
            background: Vec::new(),
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
    /// One of two exponentials, with balanced means, so that the coefficient of variation is what is said.
    Hyperexponential {
        /// Its mean.
        #[serde(with = "duration")]
        mean: Duration,
        /// Variance over the square of the mean, at least 1.
        variation: f64,
    },
    /// Gamma: of a shape above 1 more regular than exponential, below it less.
    Gamma {
        /// Its mean.
        #[serde(with = "duration")]
        mean: Duration,
        /// Its shape, above 0: the reciprocal of variance over the square of the mean.
        shape: f64,
    },
    /// Pareto between two bounds.
    Pareto {
        /// The shortest, above 0.
        #[serde(with = "duration")]
        min: Duration,
        /// The longest.
        #[serde(with = "duration")]
        max: Duration,
        /// Its tail index, above 0: the smaller, the heavier.
        tail: f64,
    },
    /// As it was measured: values of equal share in ascending order, between which it is interpolated.
    Empirical {
        /// The quantiles 0, 1/n .. 1; at least two.
        quantiles: Vec<QuantileTime>,
    },
}

/// One value of a measured distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuantileTime(#[serde(with = "duration")] pub Duration);

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
    /// Where the answer is looked for before: the call is made only if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Connections one instance has to the callee, for which its calls wait; no limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}

/// A cache beside a callee.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cache {
    /// The service that is asked first.
    pub service: ServiceName,
    /// How often it has the answer.
    pub hit_ratio: Share,
}
