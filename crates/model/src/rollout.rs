//! How traffic moves from one release to the next.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Share, duration};

/// The update policy of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The way the new release takes over.
    pub strategy: Strategy,
    /// The steps of a canary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// How long the old release is kept running after the new one has taken over.
    #[serde(with = "duration")]
    pub keep_old: Duration,
    /// Whether a good verdict moves on by itself.
    pub auto_promote: bool,
    /// Whether a bad verdict goes back by itself.
    pub auto_revert: bool,
    /// What a verdict needs.
    pub analysis: Analysis,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            strategy: Strategy::Rolling,
            steps: Vec::new(),
            keep_old: Duration::ZERO,
            auto_promote: true,
            auto_revert: true,
            analysis: Analysis::default(),
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
}

/// One step of a canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The new release's share of traffic.
    pub weight: Share,
}

/// What the judge is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Probability of rejecting a release that is as good as the old one, at most.
    pub alpha: Share,
    /// How much worse the new release may be, as a ratio of the old one's error rate or latency.
    pub max_ratio: f64,
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
            max_ratio: 1.25,
            max_duration: Duration::from_mins(30),
            on_inconclusive: OnInconclusive::Hold,
        }
    }
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
