//! What is being done with samples, for whoever wants to look at it: the targets that are scraped, the rules that are
//! evaluated.
//!
//! Who does it writes it here; who answers questions about it reads it here. Nothing of it is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Timestamp;

/// One target and its last scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetStatus {
    /// The application it belongs to.
    pub application: String,
    /// What is asked.
    pub url: String,
    /// The labels its series get.
    pub labels: Vec<(String, String)>,
    /// When it was scraped last.
    pub at: Timestamp,
    /// How long that took, in seconds.
    pub seconds: f64,
    /// Samples that came.
    pub samples: usize,
    /// Why it does not count, if it does not.
    pub error: Option<String>,
    /// Time between two scrapes.
    pub interval: Duration,
}

/// A group of rules and its last evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupStatus {
    /// The application whose rules they are.
    pub application: String,
    /// The file.
    pub file: String,
    /// The group's name.
    pub name: String,
    /// Milliseconds between two evaluations.
    pub interval_ms: i64,
    /// When it was evaluated last.
    pub at: Timestamp,
    /// How long that took, in seconds.
    pub seconds: f64,
    /// Its rules.
    pub rules: Vec<RuleStatus>,
}

/// A rule and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleStatus {
    /// The metric or alert that comes of it.
    pub name: String,
    /// The expression.
    pub query: String,
    /// Of an alert: how long its condition must hold, in seconds. Absent where something is recorded.
    pub for_seconds: Option<i64>,
    /// Labels that are added.
    pub labels: BTreeMap<String, String>,
    /// What is said to people.
    pub annotations: BTreeMap<String, String>,
    /// Why it could not be evaluated, if it could not.
    pub error: Option<String>,
    /// Its alerts.
    pub alerts: Vec<AlertStatus>,
}

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertStatus {
    /// What tells it from others, `alertname` among it.
    pub labels: BTreeMap<String, String>,
    /// What is said to people.
    pub annotations: BTreeMap<String, String>,
    /// `inactive`, `pending` or `firing`.
    pub state: &'static str,
    /// The value that made it.
    pub value: f64,
    /// Since when its condition holds.
    pub active_at: Timestamp,
}

/// What is going on.
#[derive(Debug, Default)]
pub struct Board {
    targets: Mutex<Arc<[TargetStatus]>>,
    rules: Mutex<Arc<[GroupStatus]>>,
}

impl Board {
    /// Every target.
    pub fn targets(&self) -> Arc<[TargetStatus]> {
        Arc::clone(&self.targets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every group of rules.
    pub fn rules(&self) -> Arc<[GroupStatus]> {
        Arc::clone(&self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says what the groups of rules are now.
    pub fn set_rules(&self, groups: Vec<GroupStatus>) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = groups.into();
    }

    /// Says what the targets are now.
    pub fn set_targets(&self, targets: Vec<TargetStatus>) {
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets.into();
    }
}
