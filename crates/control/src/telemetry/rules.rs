//! The rules of applications, evaluated when it is their time.
//!
//! What a group was is kept from one evaluation to the next; when an application's rules change, or it stops, the series they wrote
//! end. Alerts are compared with what is recorded, not counted: so nothing is lost when the control process is killed,
//! and nothing is said twice.

use std::collections::BTreeMap;

use model::monitoring::Rules;
use model::{ApplicationName, Timestamp};
use promql::Labels;
use promql::eval::Context;
use promql::rules::{AlertState, Group, GroupState, Now, RuleKind, Sample, Surroundings, read};
use telemetry::Stores;
use telemetry::board::{AlertStatus, GroupStatus, RuleStatus};
use world::alert::Alert;
use world::{Desired, World};

use crate::alert::{Alarm, Source};

/// Time between two evaluations of a group that does not say it, in milliseconds; as often as services are scraped.
const INTERVAL_DEFAULT_MS: i64 = 15_000;
/// The origin of what rules record.
const ORIGIN: &str = "rules";

/// All rules.
#[derive(Debug, Default)]
pub(super) struct Evaluator {
    applications: BTreeMap<ApplicationName, Evaluated>,
}

/// The rules of one application.
#[derive(Debug)]
struct Evaluated {
    rules: Rules,
    groups: Vec<Running>,
}

/// A group and what becomes of it.
#[derive(Debug)]
struct Running {
    file: String,
    group: Group,
    state: GroupState,
    next_ms: i64,
    is_restored: bool,
    /// Of every rule why its last evaluation failed.
    failures: Vec<Option<String>>,
    took_seconds: f64,
    at: Timestamp,
}

/// How many seconds something took, by a clock the caller has.
pub(super) type Stopwatch<'a> = &'a dyn Fn() -> f64;

impl Evaluator {
    /// Evaluates what is due, and says what the alerts of each application are, if any of it was.
    pub(super) fn evaluate(
        &mut self,
        world: &World,
        stores: &Stores,
        now: Timestamp,
        stopwatch: Stopwatch<'_>,
    ) -> Vec<Alarm> {
        let now_ms = now.as_signed_millis();
        let mut samples = self.follow(world, now_ms);
        let mut alarms = Vec::new();
        for (name, evaluated) in &mut self.applications {
            let mut is_due = false;
            for running in &mut evaluated.groups {
                running.follow_clock(now_ms);
                if running.next_ms <= now_ms {
                    is_due = true;
                    running.evaluate(stores, now, stopwatch, &mut samples);
                }
            }
            if is_due {
                alarms.push(evaluated.alarm(name));
            }
        }
        // Alerts of an application whose rules are gone end.
        for (name, state) in &world.applications {
            if !state.alerts.is_empty() && !self.applications.contains_key(name) {
                alarms.push(Alarm {
                    application: name.clone(),
                    source: Source::Rules,
                    firing: Vec::new(),
                    pending: Vec::new(),
                });
            }
        }
        write(stores, &samples, now);
        if !alarms.is_empty() {
            stores.board.set_rules(self.statuses());
        }
        alarms
    }

    /// Takes up the rules of applications that run; returns the ends of series of rules that are gone.
    fn follow(&mut self, world: &World, now_ms: i64) -> Vec<Sample> {
        let mut ended = Vec::new();
        let wanted = |name: &ApplicationName| {
            let state = world.application(name).filter(|it| it.desired == Desired::Running)?;
            Some(&state.definition.rules).filter(|it| !it.files.is_empty())
        };
        self.applications.retain(|name, evaluated| {
            let is_same = wanted(name).is_some_and(|it| *it == evaluated.rules);
            if !is_same {
                ended.extend(evaluated.groups.iter_mut().flat_map(|it| it.state.retire(now_ms)));
            }
            is_same
        });
        for name in world.applications.keys() {
            if let Some(rules) = wanted(name)
                && !self.applications.contains_key(name)
            {
                self.applications.insert(name.clone(), Evaluated::new(rules, now_ms));
            }
        }
        ended
    }

    fn statuses(&self) -> Vec<GroupStatus> {
        let all = self.applications.iter();
        all.flat_map(|(name, it)| it.groups.iter().map(|it| it.status(name))).collect()
    }
}

impl Evaluated {
    fn new(rules: &Rules, now_ms: i64) -> Self {
        let mut groups = Vec::new();
        for file in &rules.files {
            // They were read when they were applied; another version of this program may understand less.
            match read(&file.text) {
                Ok(found) => {
                    groups.extend(found.into_iter().map(|it| Running::new(&file.name, it, now_ms)));
                }
                Err(error) => tracing::error!(file = file.name, %error, "rules are not understood"),
            }
        }
        Self { rules: rules.clone(), groups }
    }

    fn alarm(&self, application: &ApplicationName) -> Alarm {
        let mut alarm = Alarm {
            application: application.clone(),
            source: Source::Rules,
            firing: Vec::new(),
            pending: Vec::new(),
        };
        for running in &self.groups {
            for alert in running.alerts() {
                let (name, labels) = parts(&alert.labels);
                match alert.state {
                    AlertState::Firing => {
                        let annotations = alert.annotations.iter().cloned().collect();
                        alarm.firing.push(Alert { name, labels, annotations });
                    }
                    AlertState::Pending => alarm.pending.push((name, labels)),
                    AlertState::Inactive => {}
                }
            }
        }
        alarm
    }
}

/// An alert's name, and its other labels.
fn parts(labels: &Labels) -> (String, BTreeMap<String, String>) {
    let others = labels.iter().filter(|it| &*it.0 != "alertname");
    let others = others.map(|(name, value)| (name.to_string(), value.to_string()));
    (labels.get("alertname").to_owned(), others.collect())
}

impl Running {
    fn new(file: &str, group: Group, now_ms: i64) -> Self {
        Self {
            file: file.to_owned(),
            state: GroupState::default(),
            next_ms: now_ms,
            is_restored: false,
            failures: vec![None; group.rules.len()],
            took_seconds: 0.0,
            at: Timestamp::EPOCH,
            group,
        }
    }

    /// Begins anew where the clock was set back: what it knows is since when, by times that are still to come.
    fn follow_clock(&mut self, now_ms: i64) {
        if now_ms.saturating_add(2 * self.interval_ms()) < self.next_ms {
            *self = Self::new(&self.file, self.group.clone(), now_ms);
        }
    }

    fn interval_ms(&self) -> i64 {
        self.group.interval_ms.unwrap_or(INTERVAL_DEFAULT_MS).max(1_000)
    }

    fn alerts(&self) -> impl Iterator<Item = &promql::rules::Alert> {
        (0..self.group.rules.len()).flat_map(|it| self.state.alerts(it))
    }

    fn evaluate(
        &mut self,
        stores: &Stores,
        now: Timestamp,
        stopwatch: Stopwatch<'_>,
        samples: &mut Vec<Sample>,
    ) {
        let now_ms = now.as_signed_millis();
        // At whole intervals, so that one evaluation that took long does not move all others.
        let interval_ms = self.interval_ms();
        self.next_ms = now_ms - now_ms.rem_euclid(interval_ms) + interval_ms;
        let context = Context::new(&stores.metrics);
        let surroundings = Surroundings::default();
        let begun = stopwatch();
        let evaluation = self.group.evaluate(
            Now { now_ms, surroundings: &surroundings },
            &mut self.state,
            &context,
        );
        if !self.is_restored {
            self.is_restored = true;
            if let Err(error) = self.group.restore(now_ms, &mut self.state, &context) {
                tracing::warn!(group = self.group.name, %error, "it is not known since when alerts were pending");
            }
        }
        self.took_seconds = stopwatch() - begun;
        self.at = now;
        self.failures = vec![None; self.group.rules.len()];
        for failure in evaluation.failures {
            if let Some(place) = self.failures.get_mut(failure.rule) {
                *place = Some(failure.error.to_string());
            }
        }
        samples.extend(evaluation.samples);
    }

    fn status(&self, application: &ApplicationName) -> GroupStatus {
        let rules = self.group.rules.iter().enumerate().map(|(place, rule)| {
            let labels = rule.labels.iter();
            RuleStatus {
                name: rule.name.clone(),
                query: rule.expr.to_string(),
                for_seconds: match &rule.kind {
                    RuleKind::Recording => None,
                    RuleKind::Alerting(alerting) => Some(alerting.for_ms / 1_000),
                },
                labels: labels.map(|(name, it)| (name.clone(), it.text().to_owned())).collect(),
                annotations: match &rule.kind {
                    RuleKind::Recording => BTreeMap::new(),
                    RuleKind::Alerting(alerting) => {
                        let all = alerting.annotations.iter();
                        all.map(|(name, it)| (name.clone(), it.text().to_owned())).collect()
                    }
                },
                error: self.failures.get(place).cloned().flatten(),
                alerts: self.state.alerts(place).map(alert_status).collect(),
            }
        });
        GroupStatus {
            application: application.to_string(),
            file: self.file.clone(),
            name: self.group.name.clone(),
            interval_ms: self.interval_ms(),
            at: self.at,
            seconds: self.took_seconds,
            rules: rules.collect(),
        }
    }
}

fn alert_status(alert: &promql::rules::Alert) -> AlertStatus {
    let pairs = alert.labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    AlertStatus {
        labels: pairs.collect(),
        annotations: alert.annotations.iter().cloned().collect(),
        state: alert.state.name(),
        value: alert.value,
        active_at: Timestamp::from_millis(u64::try_from(alert.active_at_ms).unwrap_or(0)),
    }
}

fn write(stores: &Stores, samples: &[Sample], now: Timestamp) {
    if samples.is_empty() || !stores.has_room() {
        return;
    }
    let mut appender = stores.metrics.append(ORIGIN, now);
    for sample in samples {
        let labels = sample.labels.iter().map(|(name, value)| (&**name, &**value));
        if let Some(series) = appender.series(&mut labels.collect()) {
            appender.sample(series, sample.time_ms, sample.value);
        }
    }
    if let Err(error) = appender.finish() {
        tracing::warn!(%error, "what rules recorded cannot be kept");
    }
}

/// What is wrong with the rules of an application: file, line and column, and why.
pub(crate) fn problems(rules: &Rules) -> Vec<String> {
    let read = |file: &model::monitoring::RuleFile| {
        read(&file.text).err().map(|error| format!("{}: {error}", file.name))
    };
    rules.files.iter().filter_map(read).collect()
}
