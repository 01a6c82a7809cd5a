//! Rules: expressions that are evaluated again and again, and whose results are recorded as series or raise alerts.
//!
//! Files are those of Prometheus ([`read`]). Evaluating a group is a pure step ([`Group::evaluate`]): it is told the
//! time and what was before, and says which samples to write and what happened to which alert. So the same
//! rules judge a real application, a simulated one, and a made-up one ([`rehearsal`]).

mod alert;
mod evaluate;
mod file;
mod overlay;
pub mod rehearsal;
mod restore;
mod template;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

pub use alert::{Alert, AlertState, Change, Transition};
pub use evaluate::{Evaluation, Failure, Now, Sample};
pub use file::read;
pub use template::{Surroundings, Template};

use crate::labels::Labels;
use crate::parse::Expr;

/// Something in a rule file is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct RuleError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Rules that are evaluated one after another at the same moments.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name, once in a file.
    pub name: String,
    /// Time between two evaluations, if the file says it.
    pub interval_ms: Option<i64>,
    /// How many series or alerts one rule may give; 0 is any number.
    pub limit: usize,
    /// How long before now its rules are evaluated.
    pub query_offset_ms: i64,
    /// The rules, in order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The metric or alert that comes of it.
    pub name: String,
    /// What is evaluated.
    pub expr: Expr,
    /// Labels it sets, those of the group with them; templates in an alerting rule.
    pub labels: Vec<(String, Template)>,
    /// What becomes of the result.
    pub kind: RuleKind,
    /// The line of the file it begins in.
    pub line: usize,
}

/// What becomes of a rule's result.
#[derive(Clone, Debug)]
pub enum RuleKind {
    /// It is recorded.
    Recording,
    /// It raises alerts.
    Alerting(Alerting),
}

/// How a rule raises alerts.
#[derive(Clone, Debug, Default)]
pub struct Alerting {
    /// How long the condition has to hold before an alert fires.
    pub for_ms: i64,
    /// How long an alert goes on firing after the condition has ceased to hold.
    pub keep_firing_for_ms: i64,
    /// Texts for people.
    pub annotations: Vec<(String, Template)>,
}

/// What a group has to remember from one evaluation to the next.
#[derive(Clone, Debug, Default)]
pub struct GroupState {
    rules: Vec<RuleState>,
}

/// What one rule has to remember.
#[derive(Clone, Debug, Default)]
struct RuleState {
    /// The series it wrote last.
    written: BTreeSet<Labels>,
    /// Its alerts, by their labels.
    alerts: BTreeMap<Labels, Alert>,
}

impl GroupState {
    /// The alerts of a rule, by its place in the group.
    pub fn alerts(&self, rule: usize) -> impl Iterator<Item = &Alert> {
        self.rules.get(rule).into_iter().flat_map(|it| it.alerts.values())
    }
}

#[cfg(test)]
mod tests;
