//! What a simulation answers: the questions of `pelago sim`, as the JSON they print and pages show.
//!
//! Times are milliseconds, rates are per second, shares are from 0 to 1. Every figure that comes from chance has its
//! interval, or the reason why it has none.

use serde::{Deserialize, Serialize};

/// A figure, and how sure it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean over replications.
    pub value: f64,
    /// Half of the 95 % interval around it (Student's t); none if `refused` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_width: Option<f64>,
    /// Why no interval is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What was run: enough to run it again and get the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The application.
    pub application: String,
    /// The version of Pelago.
    pub version: String,
    /// The seed.
    pub seed: u64,
    /// Independent replications.
    pub replications: u32,
    /// Virtual time of each, in seconds.
    pub duration_s: f64,
    /// Of that, the time that is not counted.
    pub warm_up_s: f64,
    /// How the warm-up was found: `given`, or `mser-5`.
    pub warm_up_by: String,
    /// A hash of application and scenario, as hexadecimal digits.
    pub model: String,
    /// A hash of everything that happened in all replications, as hexadecimal digits.
    pub digest: String,
    /// Events handled in all replications.
    pub events: u64,
    /// The command that runs it again.
    pub command: String,
}

/// A report of one application in one scenario: `pelago sim run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was run.
    pub origin: Origin,
    /// Whether it does what is asked of it, and what limits it.
    pub verdict: Verdict,
    /// Why one should believe it, or not.
    pub credibility: Credibility,
    /// Requests from outside, by kind of users.
    pub users: Vec<UsersReport>,
    /// Services, the busiest first.
    pub services: Vec<ServiceReport>,
    /// Edges, by caller and callee.
    pub edges: Vec<EdgeReport>,
    /// Where the time of a request goes: shares of the critical path by service, the largest first.
    pub critical_path: Vec<PathShare>,
    /// What happened when, on average over replications.
    pub timeline: Timeline,
    /// Faults and what followed, of the first replication.
    pub incidents: Vec<Incident>,
}

/// Whether an application does what is asked of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether every objective is met.
    pub meets: bool,
    /// In one sentence.
    pub summary: String,
    /// Each objective.
    pub objectives: Vec<ObjectiveResult>,
    /// The service that is busiest, if one has a limit.
    pub bottleneck: Option<String>,
    /// How busy it is.
    pub utilisation: Option<Estimate>,
    /// How many times the load the bottleneck's workers could bear at most.
    pub headroom: Option<f64>,
}

/// One objective and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveResult {
    /// What is asked: `success 99.9%`, `p99 within 500ms`.
    pub objective: String,
    /// What came of it.
    pub found: Estimate,
    /// What is asked, as a number of the same kind.
    pub asked: f64,
    /// Whether it is met, as far as the interval tells: `met`, `missed`, `undecided`.
    pub state: String,
}

/// Why one should believe a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Credibility {
    /// Checks of the run itself: conservation, Little's law. What failed; nothing if all held.
    pub violations: Vec<String>,
    /// The largest difference of presence and arrivals times sojourn (Little's law) at any station, as a share.
    pub little_max_error: f64,
    /// What is assumed rather than known.
    pub assumptions: Vec<String>,
    /// Figures that are not given, and why.
    pub refusals: Vec<String>,
}

/// What became of the requests of one kind of users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UsersReport {
    /// Their name.
    pub name: String,
    /// Requests per second.
    pub offered: Estimate,
    /// Good answers per second.
    pub goodput: Estimate,
    /// Share of requests answered well.
    pub success: Estimate,
    /// Latency of good answers.
    pub latency: Latencies,
}

/// A distribution of latency, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "all of them are milliseconds")]
pub struct Latencies {
    /// The mean.
    pub mean_ms: Estimate,
    /// Half take no longer.
    pub p50_ms: Estimate,
    /// 90 % take no longer.
    pub p90_ms: Estimate,
    /// 99 % take no longer.
    pub p99_ms: Estimate,
    /// 99.9 % take no longer.
    pub p999_ms: Estimate,
}

/// What one service did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// Its name.
    pub name: String,
    /// Instances that were ready, on average.
    pub instances: f64,
    /// Requests per second.
    pub arrivals: Estimate,
    /// Share of its workers that are busy; none where there is no limit.
    pub utilisation: Option<Estimate>,
    /// Requests that wait, on average.
    pub waiting: Estimate,
    /// The most that waited at one instance.
    pub waiting_max: u64,
    /// Share of requests that fail, turned away ones included.
    pub errors: Estimate,
    /// Requests turned away per second.
    pub rejected: Estimate,
    /// From arrival to answer.
    pub sojourn: Latencies,
    /// Waiting for a worker.
    pub waited: Latencies,
}

/// What crossed one edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EdgeReport {
    /// Who calls; `outside` for requests of users.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// Calls per second.
    pub calls: Estimate,
    /// Share of calls that fail.
    pub errors: Estimate,
    /// Attempts for each call: above 1 are retries and hedges.
    pub attempts_per_call: Estimate,
    /// Calls for each request from outside.
    pub calls_per_request: Estimate,
    /// Retries per second.
    pub retries: Estimate,
    /// Hedges per second.
    pub hedges: Estimate,
    /// Calls refused per second by reason: `no-instance`, `circuit-open`, `overloaded` and so on; none that are zero.
    pub refused: Vec<(String, Estimate)>,
    /// As the caller sees it.
    pub latency: Latencies,
}

/// A service's share of the critical path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PathShare {
    /// The service, or `network`.
    pub name: String,
    /// Its part of the whole, from 0 to 1.
    pub share: f64,
    /// Working, as a part of the whole.
    pub working: f64,
    /// Waiting for a worker, as a part of the whole.
    pub waiting: f64,
}

/// What happened when: lists of one length, one entry for each bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Length of a bucket in seconds.
    pub bucket_s: f64,
    /// Requests from outside per second.
    pub offered: Vec<f64>,
    /// Good answers per second.
    pub goodput: Vec<f64>,
    /// Failed requests per second.
    pub failed: Vec<f64>,
    /// Attempts of all edges per second.
    pub attempts: Vec<f64>,
    /// The median of latency, in milliseconds; none where nothing was answered.
    pub p50_ms: Vec<Option<f64>>,
    /// Its 99th percentile.
    pub p99_ms: Vec<Option<f64>>,
    /// Requests that wait.
    pub waiting: Vec<f64>,
    /// Instances left alone by at least one edge.
    pub ejected: Vec<f64>,
    /// Edges whose breaker is open.
    pub open: Vec<f64>,
    /// Instances that are ready.
    pub ready: Vec<f64>,
}

/// Something worth telling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Seconds since the beginning.
    pub at_s: f64,
    /// `fault-began`, `fault-ended`, `fleet` or `rollout`.
    pub kind: String,
    /// In one line.
    pub what: String,
}

/// One load and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadPoint {
    /// Times the scenario's load.
    pub factor: f64,
    /// Requests per second.
    pub offered: Estimate,
    /// Good answers per second.
    pub goodput: Estimate,
    /// Share of requests answered well.
    pub success: Estimate,
    /// Latency.
    pub latency: Latencies,
    /// The busiest service and how busy it is.
    pub bottleneck: Option<(String, f64)>,
    /// Whether every objective is met: `met`, `missed` or `undecided`.
    pub state: String,
}

/// The largest load that meets the objectives: `pelago sim capacity`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "it is what the answer is about")]
pub struct Capacity {
    /// What was run.
    pub origin: Origin,
    /// The largest load found that meets every objective, requests per second; none if even the smallest fails.
    pub meets: Option<f64>,
    /// The smallest load found that does not; none if even the largest does.
    pub misses: Option<f64>,
    /// The capacity of each replication, with its interval.
    pub capacity: Estimate,
    /// In one sentence.
    pub summary: String,
    /// What gives way first: a service or an edge, and how.
    pub bottleneck: Option<String>,
    /// The objective that is missed first.
    pub limited_by: Option<String>,
    /// What is offered now, and what the capacity is of that.
    pub headroom: Option<f64>,
    /// All loads that were tried, ascending: the curve with its knee.
    pub points: Vec<LoadPoint>,
    /// Why one should believe it, or not.
    pub credibility: Credibility,
}

/// Two variants with the same users, the same luck: `pelago sim compare`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The first.
    pub a: Report,
    /// The second.
    pub b: Report,
    /// Figures of both and their paired difference.
    pub differences: Vec<Difference>,
    /// In one sentence.
    pub summary: String,
}

/// One figure of two variants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "it is what the answer is about")]
pub struct Difference {
    /// What: `goodput`, `p99`, `attempts per call web -> cart`.
    pub what: String,
    /// Its unit: `ms`, `/s`, or nothing.
    pub unit: String,
    /// Of the first.
    pub a: Estimate,
    /// Of the second.
    pub b: Estimate,
    /// The second less the first, replication by replication.
    pub difference: Estimate,
    /// Whether the interval of the difference leaves out zero.
    pub differs: bool,
    /// Whether a larger value is better; none where neither is.
    pub more_is_better: Option<bool>,
}

/// A parameter against what comes of it: `pelago sim sweep`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// What was run.
    pub origin: Origin,
    /// The parameter, as it is written: `services.cart.replicas`.
    pub parameter: String,
    /// Each value, as written, and what came of it.
    pub points: Vec<(String, LoadPoint)>,
    /// In one sentence.
    pub summary: String,
    /// Why one should believe it, or not.
    pub credibility: Credibility,
}

/// How an application takes shocks: `pelago sim storm`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    /// What was run.
    pub origin: Origin,
    /// What the trigger is: `load x3`, `slow cart x10`.
    pub trigger: String,
    /// Loads, as factors of the scenario's, ascending.
    pub loads: Vec<f64>,
    /// Lengths of the trigger in seconds, ascending.
    pub sizes_s: Vec<f64>,
    /// A cell for each load and size, load by load.
    pub cells: Vec<StormCell>,
    /// In one sentence.
    pub summary: String,
    /// Why one should believe it, or not.
    pub credibility: Credibility,
}

/// One load and one trigger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StormCell {
    /// Times the scenario's load.
    pub load: f64,
    /// Length of the trigger in seconds.
    pub size_s: f64,
    /// `stable` (it always comes back), `vulnerable` (it sometimes does not), `collapsed` (it never does), or `overloaded` (it
    /// did not do its work even before).
    pub state: String,
    /// Replications that came back, of all.
    pub recovered: u32,
    /// All replications.
    pub replications: u32,
    /// From the trigger's end until goodput is back, where it came back.
    pub recovery_s: Option<Estimate>,
    /// Goodput at the end, as a share of that before.
    pub goodput_after: f64,
}

/// Requests of one replication with all they led to, for the formats of other tools. It is no part of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "they are what it is about")]
pub struct Traces {
    /// The application.
    pub application: String,
    /// The seed, from which ids follow.
    pub seed: u64,
    /// Its services.
    pub services: Vec<String>,
    /// Its zones.
    pub zones: Vec<String>,
    /// Its edges: caller and callee; `outside` calls for users.
    pub edges: Vec<(String, String)>,
    /// The requests.
    pub traces: Vec<Trace>,
}

/// One request from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The users who sent it.
    pub users: String,
    /// Its spans; the first is the request itself, and parents come before their children.
    pub spans: Vec<TraceSpan>,
}

/// One attempt of a call. Times are nanoseconds since the beginning of the run; what never happened has the time of what came
/// before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSpan {
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
    /// When the caller sent it.
    pub sent_ns: u64,
    /// When the instance got it.
    pub arrived_ns: u64,
    /// When the instance began to work on it.
    pub began_ns: u64,
    /// When the instance answered.
    pub answered_ns: u64,
    /// When the caller had the answer, or gave up.
    pub ended_ns: u64,
    /// What it came to: `success`, `error`, `timeout` and so on.
    pub outcome: String,
}
