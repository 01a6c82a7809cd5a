//! What came of one replication: counts, sums and histograms, never samples.
//!
//! Everything is of the time after the warm-up unless it says otherwise. Lists are in the order of the system's
//! services, edges and users, so that outcomes of several replications can be added place by place.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;

/// One replication.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which replication it was.
    pub replication: u32,
    /// Virtual time that was counted: the duration without the warm-up.
    pub counted: Duration,
    /// Events that were handled, the warm-up's included. Timers that were cancelled are none.
    pub events: u64,
    /// What became of requests from outside, one for each kind of users.
    pub users: Vec<UsersOutcome>,
    /// What services did.
    pub services: Vec<ServiceOutcome>,
    /// What crossed each edge. Those from outside come last.
    pub edges: Vec<EdgeOutcome>,
    /// What happened when, the warm-up included: of equal length, [`Outcome::bucket`] each.
    pub timeline: Vec<Bucket>,
    /// Length of a bucket.
    pub bucket: Duration,
    /// Faults, trips, restarts, verdicts, in order.
    pub incidents: Vec<Incident>,
    /// A sample of requests with all they led to.
    pub traces: Vec<Trace>,
    /// What must hold and does not. Empty, or this run is worth nothing.
    pub violations: Vec<String>,
    /// A hash of every event's time and kind, in order.
    pub digest: u64,
}

/// What became of the requests of one kind of users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UsersOutcome {
    /// Requests that began.
    pub offered: u64,
    /// Requests that were answered well.
    pub succeeded: u64,
    /// Requests that failed.
    pub failed: u64,
    /// In flight when counting began.
    pub in_flight_before: u64,
    /// In flight at the end.
    pub in_flight_after: u64,
    /// Tries again by the users themselves; they are offered too.
    pub again: u64,
    /// From sending to a good answer.
    pub latency: Histogram,
    /// From sending to failure.
    pub failed_latency: Histogram,
}

/// What one service did, all its instances together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceOutcome {
    /// Requests that arrived at an instance.
    pub arrived: u64,
    /// Requests that were answered, well or badly.
    pub answered: u64,
    /// Of those, errors of its own.
    pub own_errors: u64,
    /// Of those, errors because a callee failed.
    pub callee_errors: u64,
    /// Requests turned away since as many waited as may.
    pub rejected: u64,
    /// Requests that left the queue because they had waited too long.
    pub reneged: u64,
    /// Requests given up because their caller had left, or the instance died.
    pub cancelled: u64,
    /// At an instance from arrival to answer, its calls included.
    pub sojourn: Histogram,
    /// Waiting for their turn.
    pub waited: Histogram,
    /// Requests at its instances, on average over time.
    pub present_mean: f64,
    /// Requests waiting, on average over time.
    pub waiting_mean: f64,
    /// The most that waited at one instance.
    pub waiting_max: u64,
    /// Requests holding a worker (or, where processors are shared, processors in use), on average over time.
    pub busy_mean: f64,
    /// Workers of all instances, on average over time; none where there is no limit.
    pub workers_mean: Option<f64>,
    /// Time spent working, on average over time: what would be processor use.
    pub working_mean: f64,
    /// Instances that were ready, on average over time.
    pub instances_mean: f64,
}

/// What crossed one edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EdgeOutcome {
    /// Calls that were asked for.
    pub calls: u64,
    /// Calls that were answered well.
    pub succeeded: u64,
    /// Calls that failed, whatever the reason.
    pub failed: u64,
    /// Calls given up because whoever they were made for is gone.
    pub cancelled: u64,
    /// Of those that failed, calls that were refused before anything was sent, by reason.
    pub refused: Refusals,
    /// Attempts: first ones, retries and hedges.
    pub attempts: u64,
    /// Of those, retries.
    pub retries: u64,
    /// Of those, hedges.
    pub hedges: u64,
    /// Attempts that came to nothing within their time.
    pub timeouts: u64,
    /// Retries that were wanted and not made.
    pub given_up: u64,
    /// From asking to the answer or failure, as the caller sees it.
    pub latency: Histogram,
    /// Waiting for a connection.
    pub connection_wait: Histogram,
    /// Calls of it that were the last of their step to end, and the time the step took by them.
    pub critical: Histogram,
}

/// Calls that were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// There was no instance.
    pub no_instance: u64,
    /// The edge's breaker was open.
    pub circuit_open: u64,
    /// As many were in flight and waited as may.
    pub overloaded: u64,
    /// They waited as long as they may.
    pub queue_timeout: u64,
    /// Others were more important.
    pub shed: u64,
    /// Their deadline had passed.
    pub deadline_passed: u64,
}

/// One part of the timeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Requests from outside that began.
    pub offered: u64,
    /// Requests from outside that were answered well.
    pub succeeded: u64,
    /// Requests from outside that failed.
    pub failed: u64,
    /// Their latency: the sum, for the mean, and two quantiles. Zero where there are none.
    pub latency_sum: Duration,
    /// Half of those answered well were answered within it.
    pub p50: Duration,
    /// 99 % of those answered well were answered within it.
    pub p99: Duration,
    /// Calls between services.
    pub calls: u64,
    /// Attempts of those calls and of requests from outside.
    pub attempts: u64,
    /// Requests waiting at instances and for places on edges, at its end.
    pub waiting: u64,
    /// Requests present at instances, at its end.
    pub present: u64,
    /// Instances that are left alone by at least one edge, at its end.
    pub ejected: u32,
    /// Edges whose breaker is open, at its end.
    pub open: u32,
    /// Instances that are ready, at its end.
    pub ready: u32,
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// When, since the beginning of the run.
    pub at: Duration,
    /// What kind of thing.
    pub kind: IncidentKind,
    /// What, in one line.
    pub what: String,
}

/// A kind of incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    /// A fault began.
    FaultBegan,
    /// A fault ended.
    FaultEnded,
    /// The fleet changed: an instance died, was started, became ready.
    Fleet,
    /// A rollout moved, was judged, ended.
    Rollout,
}

/// One request from outside and all it led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Which kind of users sent it.
    pub users: usize,
    /// Its spans; the first is the request itself.
    pub spans: Vec<Span>,
}

/// One attempt of a call, from the caller's point of view, with what the callee did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The span it was made for, by place; none of the first.
    pub parent: Option<usize>,
    /// The edge it crossed, by place.
    pub edge: usize,
    /// The service it went to, by place.
    pub service: usize,
    /// The instance's number in its service.
    pub instance: u32,
    /// The zone the instance is in, by place.
    pub zone: usize,
    /// When the caller sent it, since the beginning of the run.
    pub sent: Duration,
    /// When the instance got it.
    pub arrived: Duration,
    /// When the instance began to work on it.
    pub began: Duration,
    /// When the instance answered.
    pub answered: Duration,
    /// When the caller had the answer, or gave up.
    pub ended: Duration,
    /// What it came to: a word of `traffic::Outcome`.
    pub outcome: String,
}
