//! One evaluation of a group: what is written, and what happens to its alerts.

use std::collections::{BTreeMap, BTreeSet};

use super::alert::{Alert, AlertState, Change, Condition, Transition};
use super::overlay::Overlay;
use super::template::{Scope, Surroundings};
use super::{Alerting, Group, GroupState, Rule, RuleKind, RuleState};
use crate::eval::{Answer, Context, EvalError, Sample as Element, instant};
use crate::labels::{Labels, NAME};
use crate::source::STALE;

/// A sample to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The series.
    pub labels: Labels,
    /// In milliseconds since 1970.
    pub time_ms: i64,
    /// Its value; a staleness marker where the series has ended.
    pub value: f64,
}

/// A rule could not be evaluated; what it knew stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its place in the group.
    pub rule: usize,
    /// Why not.
    pub error: EvalError,
}

/// What came of an evaluation.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// What to write.
    pub samples: Vec<Sample>,
    /// What happened to alerts.
    pub transitions: Vec<Transition>,
    /// Rules that failed.
    pub failures: Vec<Failure>,
}

/// When a group is evaluated, and what its templates may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// In milliseconds since 1970.
    pub now_ms: i64,
    /// Labels and address of this installation.
    pub surroundings: &'a Surroundings,
}

type Vector = BTreeMap<Labels, f64>;

impl Group {
    /// Evaluates every rule in turn. Each sees what those before it have recorded.
    pub fn evaluate(
        &self,
        now: Now<'_>,
        state: &mut GroupState,
        context: &Context<'_>,
    ) -> Evaluation {
        state.rules.resize_with(self.rules.len(), RuleState::default);
        let now_ms = now.now_ms.saturating_sub(self.query_offset_ms);
        let now = Now { now_ms, ..now };
        let mut evaluation = Evaluation::default();
        let mut overlay = Overlay { below: context.source, now_ms, written: BTreeMap::new() };
        for (place, (rule, state)) in self.rules.iter().zip(&mut state.rules).enumerate() {
            let context = Context { source: &overlay, ..*context };
            let step = Step { rule, place, limit: self.limit, now };
            let result = step.vector(&context).and_then(|vector| match &rule.kind {
                RuleKind::Recording => step.record(vector),
                RuleKind::Alerting(alerting) => {
                    let changes = &mut evaluation.transitions;
                    step.alert(vector, alerting, (&mut state.alerts, changes))
                }
            });
            let written = match result {
                Ok(written) => written,
                Err(error) => {
                    evaluation.failures.push(Failure { rule: place, error });
                    continue;
                }
            };
            let ended = state.written.iter().filter(|it| !written.contains_key(*it));
            let ended: Vec<_> = ended.map(|it| (it.clone(), STALE)).collect();
            state.written = written.keys().cloned().collect();
            for (labels, value) in written.into_iter().chain(ended) {
                overlay.written.insert(labels.clone(), value);
                evaluation.samples.push(Sample { labels, time_ms: now_ms, value });
            }
        }
        evaluation
    }
}

impl GroupState {
    /// Ends every series that the group wrote: it is no more, or is another from now on.
    pub fn retire(&mut self, now_ms: i64) -> Vec<Sample> {
        let written = self.rules.iter_mut().flat_map(|it| std::mem::take(&mut it.written));
        let written: BTreeSet<Labels> = written.collect();
        let end = |labels| Sample { labels, time_ms: now_ms, value: STALE };
        written.into_iter().map(end).collect()
    }
}

/// One rule at one moment.
struct Step<'a> {
    rule: &'a Rule,
    place: usize,
    limit: usize,
    now: Now<'a>,
}

impl Step<'_> {
    fn vector(&self, context: &Context<'_>) -> Result<Vec<Element>, EvalError> {
        match instant(&self.rule.expr, self.now.now_ms, context)? {
            Answer::Vector(vector) => Ok(vector),
            Answer::Scalar(value) => Ok(vec![Element { labels: Labels::default(), value }]),
            Answer::Text(_) | Answer::Matrix(_) => Ok(Vec::new()),
        }
    }

    fn record(&self, vector: Vec<Element>) -> Result<Vector, EvalError> {
        let mut written = Vector::new();
        for sample in vector {
            let mut labels = sample.labels.with(NAME, &self.rule.name);
            for (name, template) in &self.rule.labels {
                labels = labels.with(name, template.text());
            }
            if written.insert(labels, sample.value).is_some() {
                return failed(
                    "vector contains metrics with the same labelset after applying rule labels",
                );
            }
        }
        self.check_limit(written.len(), "series")?;
        Ok(written)
    }

    fn check_limit(&self, count: usize, what: &str) -> Result<(), EvalError> {
        if self.limit == 0 || count <= self.limit {
            return Ok(());
        }
        failed(&format!("exceeded limit of {} with {count} {what}", self.limit))
    }

    fn alert(
        &self,
        vector: Vec<Element>,
        alerting: &Alerting,
        (alerts, transitions): (&mut BTreeMap<Labels, Alert>, &mut Vec<Transition>),
    ) -> Result<Vector, EvalError> {
        let mut holding = BTreeSet::new();
        let mut fresh = Vec::new();
        for sample in vector {
            let alert = self.raised(&sample, alerting);
            if !holding.insert(alert.labels.clone()) {
                return failed(
                    "vector contains metrics with the same labelset after applying alert labels",
                );
            }
            fresh.push(alert);
        }
        let mut changes = Vec::new();
        for alert in fresh {
            let known = alerts.get_mut(&alert.labels);
            if let Some(known) = known.filter(|it| it.state != AlertState::Inactive) {
                (known.value, known.annotations) = (alert.value, alert.annotations);
                continue;
            }
            changes.push((Change::Pending, alert.clone()));
            alerts.insert(alert.labels.clone(), alert);
        }
        alerts.retain(|labels, alert| {
            let holds = holding.contains(labels);
            let condition = if holds { Condition::Holds } else { Condition::Ceased };
            let step = alert.step(self.now.now_ms, condition, alerting);
            let (Ok(change) | Err(change)) = step;
            changes.extend(change.map(|it| (it, alert.clone())));
            step.is_ok()
        });
        let active = || alerts.values().filter(|it| it.state != AlertState::Inactive);
        if let Err(error) = self.check_limit(active().count(), "alerts") {
            alerts.clear();
            return Err(error);
        }
        let rule = self.place;
        transitions.extend(changes.into_iter().map(|(change, alert)| Transition {
            rule,
            change,
            alert,
        }));
        Ok(active().flat_map(series).collect())
    }

    /// The alert that a series raises.
    fn raised(&self, sample: &Element, alerting: &Alerting) -> Alert {
        let scope = Scope {
            labels: &sample.labels,
            value: sample.value,
            surroundings: self.now.surroundings,
        };
        let mut labels = sample.labels.without_metric();
        for (name, template) in &self.rule.labels {
            labels = labels.with(name, &template.expand(&scope));
        }
        let annotations = alerting.annotations.iter();
        Alert {
            labels: labels.with("alertname", &self.rule.name),
            annotations: annotations.map(|(name, it)| (name.clone(), it.expand(&scope))).collect(),
            state: AlertState::Pending,
            value: sample.value,
            active_at_ms: self.now.now_ms,
            fired_at_ms: None,
            resolved_at_ms: None,
            keep_firing_since_ms: None,
        }
    }
}

/// The series that show an alert.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are small")]
fn series(alert: &Alert) -> [(Labels, f64); 2] {
    let shown = alert.labels.with(NAME, "ALERTS").with("alertstate", alert.state.name());
    let since = alert.labels.with(NAME, super::restore::SINCE);
    [(shown, 1.0), (since, alert.active_at_ms.div_euclid(1000) as f64)]
}

fn failed<T>(message: &str) -> Result<T, EvalError> {
    Err(EvalError::Execution(message.to_owned()))
}
