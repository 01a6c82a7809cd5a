//! Rollouts: traffic on its way from one release to another, what is known of both, and what is
//! waited for.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rollout, in progress or the last one of its service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutView {
    /// The application.
    pub application: String,
    /// The service.
    pub service: String,
    /// Its name: the index of the event that started it.
    pub id: u64,
    /// How it is.
    pub state: RolloutStateView,
    /// Why it is so, or what it waits for, in one sentence.
    pub reason: String,
    /// The strategy; `rollback` for one.
    pub strategy: String,
    /// The release that had the traffic: `r11`.
    pub from: String,
    /// The release that should have it.
    pub to: String,
    /// What is new about it.
    pub note: Option<String>,
    /// Who wanted it.
    pub by: Option<String>,
    /// Services it is rolled out with.
    pub together: Vec<String>,
    /// When it was started, in RFC 3339.
    pub started_at: String,
    /// When it ended, in RFC 3339.
    pub ended_at: Option<String>,
    /// Seconds it has taken.
    pub elapsed_s: f64,
    /// Its steps, in order; the last is the one to all traffic.
    pub steps: Vec<StepView>,
    /// What the old release makes of its traffic now.
    pub old: ArmView,
    /// What the new release makes of its traffic now.
    pub new: ArmView,
    /// What is compared.
    pub metrics: Vec<MetricView>,
    /// Seconds until a verdict at the present rate of requests, if that can be said.
    pub expected_s: Option<f64>,
    /// Requests whose caller got an error from the new release in the end.
    pub harmed: u64,
    /// Callers whose requests to the new release failed, the worst first.
    pub worst: Vec<CallerView>,
}

/// How a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutStateView {
    /// It goes on by itself.
    Running,
    /// Somebody paused it.
    Paused,
    /// It waits for somebody to promote or abort it.
    Waiting,
    /// The new release has all the traffic.
    Completed,
    /// The new release was found bad; the old one has all the traffic.
    Rejected,
    /// Somebody ended it; the old release has all the traffic.
    Aborted,
}

impl RolloutStateView {
    /// Whether it has ended.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Rejected | Self::Aborted)
    }
}

impl fmt::Display for RolloutStateView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Aborted => "aborted",
        })
    }
}

/// A step of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// The new release's share of traffic, from 0 to 1.
    pub weight: f64,
    /// How far it has come.
    pub state: StepStateView,
}

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStateView {
    /// It is over.
    Done,
    /// Instances are being started for it.
    Preparing,
    /// It is in force.
    Current,
    /// The rollout ended in it, without having come further.
    Failed,
    /// It is still to come.
    Ahead,
}

/// One of the two releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArmView {
    /// Its share of traffic, from 0 to 1.
    pub share: f64,
    /// Instances that can take requests.
    pub ready: usize,
    /// Instances wanted.
    pub wanted: u32,
    /// Requests a second.
    pub rate: f64,
    /// Share of requests that fail, from 0 to 1; absent where there was none.
    pub errors: Option<f64>,
    /// Half took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95 % took no longer, in milliseconds.
    pub p95_ms: Option<f64>,
    /// 99 % took no longer, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Requests that were judged in this rollout.
    pub judged: u64,
}

/// A comparison of the two releases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricView {
    /// What is compared: `errors` or `latency`.
    pub metric: String,
    /// The old release's rate of bad requests, from 0 to 1.
    pub old: f64,
    /// The new one's.
    pub new: f64,
    /// How many times worse the new one is, as estimated.
    pub ratio: Option<f64>,
    /// At least so many times, however often it is looked at.
    pub ratio_low: Option<f64>,
    /// At most so many times.
    pub ratio_high: Option<f64>,
    /// So many times is allowed.
    pub allowed: f64,
    /// How far the evidence against it has come, from 0 to 1: at 1 it is rejected.
    pub against: f64,
    /// How far the evidence for it has come in this step, from 0 to 1: at 1 it passes.
    pub favour: f64,
}

/// What a caller met at the new release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallerView {
    /// Who: a service, or a route.
    pub caller: String,
    /// Requests to the new release.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
}
