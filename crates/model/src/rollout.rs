//! How traffic moves from one release to the next.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Share, duration};

/// Latencies that first attempts are compared with: what is allowed over the median of the old release, its 95th
/// and its 99th percentile, and one and a half and three times that, for a tail that is no fatter and much longer.
pub const THRESHOLDS: usize = 5;

/// How long the old release is kept running if nobody says otherwise: what is wrong with a new one mostly shows
/// before, and going back takes no time till then.
pub const KEEP_OLD_DEFAULT: Duration = Duration::from_mins(10);

/// Requests of one release, as far as the data plane chose it by chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// First attempts that ended.
    pub requests: u64,
    /// Those of them the callee is to blame for.
    pub errors: u64,
    /// Those of them whose answer began later than each threshold, or not at all in time.
    pub slow: [u64; THRESHOLDS],
    /// Requests whose caller got an error in the end, after all retries.
    pub harmed: u64,
}

impl Counts {
    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
            slow: core::array::from_fn(|it| self.slow[it].saturating_sub(earlier.slow[it])),
            harmed: self.harmed.saturating_sub(earlier.harmed),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            errors: self.errors + other.errors,
            slow: core::array::from_fn(|it| self.slow[it] + other.slow[it]),
            harmed: self.harmed + other.harmed,
        }
    }
}

/// The update policy of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The way the new release takes over.
    pub strategy: Strategy,
    /// The steps of a canary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// How long the old release is kept running after a canary, or blue and green, has taken over.
    #[serde(with = "duration")]
    pub keep_old: Duration,
    /// Whether a good verdict moves on by itself.
    pub auto_promote: bool,
    /// Whether a bad verdict goes back by itself.
    pub auto_revert: bool,
    /// What a verdict needs.
    pub analysis: Analysis,
    /// The address that is told how a rollout ended: `http://` or `https://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            strategy: Strategy::Rolling,
            steps: Vec::new(),
            keep_old: KEEP_OLD_DEFAULT,
            auto_promote: true,
            auto_revert: true,
            analysis: Analysis::default(),
            webhook: None,
        }
    }
}

/// A way for a new release to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// A growing share of traffic, judged at every step.
    Canary,
    /// All of it at once, from a full set of new instances.
    Bluegreen,
    /// One instance after another.
    Rolling,
    /// All instances at once.
    Immediate,
    /// All instances of the old release end before the first of the new one starts.
    Recreate,
}

impl Strategy {
    /// Whether new instances take the places of the old ones, in place of standing beside them.
    pub const fn is_in_place(self) -> bool {
        matches!(self, Self::Rolling | Self::Immediate | Self::Recreate)
    }

    /// Whether all instances are replaced together.
    pub const fn is_at_once(self) -> bool {
        matches!(self, Self::Immediate | Self::Recreate)
    }
}

/// One step of a canary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The new release's share of traffic.
    pub weight: Share,
    /// Time the step takes at least, whatever the judge says.
    #[serde(with = "duration", default)]
    pub min_duration: Duration,
    /// Requests the new release must have been judged by in this step, at least.
    #[serde(default)]
    pub min_requests: u64,
}

impl Step {
    /// The steps of a canary that says nothing: small enough to hurt few, few enough to be over soon.
    pub fn usual() -> Vec<Self> {
        let step = |percent| Self { weight: Share::from_percent(percent), ..Self::default() };
        [5, 25, 50].map(step).to_vec()
    }
}

/// What the judge is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Probability of rejecting a release that is as good as the old one, at most.
    pub alpha: Share,
    /// Probability of passing a step with a release that is worse than `pass_ratio`, at most.
    #[serde(default = "beta_default")]
    pub beta: Share,
    /// How much worse the new release may be, as a ratio of the rates at which requests fail or are slow:
    /// at most so much is never held against it.
    pub max_ratio: f64,
    /// The ratio that must be ruled out before a step passes; above `max_ratio`.
    #[serde(default = "pass_ratio_default")]
    pub pass_ratio: f64,
    /// A share of failing requests that is well enough, whatever the old release's. Where there is next to
    /// nothing to compare, a step passes when more than this has been ruled out.
    #[serde(default = "tolerated_errors_default")]
    pub tolerated_errors: Share,
    /// Time after traffic has moved in which nothing is judged: caches fill, connections open.
    #[serde(with = "duration", default = "warm_up_default")]
    pub warm_up: Duration,
    /// Time after which an undecided step is inconclusive.
    #[serde(with = "duration")]
    pub max_duration: Duration,
    /// What to do then.
    pub on_inconclusive: OnInconclusive,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            alpha: Share::from_percent(1),
            beta: beta_default(),
            max_ratio: 1.25,
            pass_ratio: pass_ratio_default(),
            tolerated_errors: tolerated_errors_default(),
            warm_up: warm_up_default(),
            max_duration: Duration::from_mins(30),
            on_inconclusive: OnInconclusive::Hold,
        }
    }
}

/// One in twenty, as is usual for the error of the second kind.
const fn beta_default() -> Share {
    Share::from_percent(5)
}

/// The least difference that can be ruled out with the traffic of tens of services in minutes.
const fn pass_ratio_default() -> f64 {
    2.0
}

/// Half a percent: 600 requests without a failure rule out more, at a `beta` of 5 %.
const fn tolerated_errors_default() -> Share {
    Share::from_millionths(5_000)
}

/// As long as an instance that has just become ready gets fewer requests than the others.
const fn warm_up_default() -> Duration {
    Duration::from_secs(5)
}

/// What to do with a step nobody can judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnInconclusive {
    /// Stay and wait for a person.
    Hold,
    /// Move on.
    Promote,
    /// Go back.
    Revert,
}
