//! Rules tried out on made-up series, from the files that `promtool test rules` reads.
//!
//! A file says which series there are, which alerts have to fire when, and what expressions have to give. Every group is
//! evaluated at every `evaluation_interval` from the epoch on; nothing reads a clock, so days pass in milliseconds.

mod read;
mod series;

use std::collections::BTreeMap;

pub use read::read;

use super::{AlertState, Group, GroupState, Now, RuleKind, Surroundings};
use crate::eval::{Answer, Context, Sample, instant};
use crate::labels::Labels;
use crate::memory::Memory;
use crate::parse::Expr;

/// A file of tests.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// Files with the rules, as they are written in it.
    pub rule_files: Vec<String>,
    /// Time between two evaluations.
    pub interval_ms: i64,
    /// Names of groups in the order in which they are evaluated; others come after.
    pub order: Vec<String>,
    /// The tests, each with series of its own.
    pub tests: Vec<Test>,
}

/// One set of series, and what has to come of it.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its name, if it has one.
    pub name: String,
    /// Every sample there is.
    pub series: Memory,
    /// What templates may ask for.
    pub surroundings: Surroundings,
    /// What has to fire.
    pub alerts: Vec<ExpectedAlerts>,
    /// What expressions have to give.
    pub answers: Vec<ExpectedAnswer>,
}

/// The alerts of one name that fire at a moment.
#[derive(Clone, Debug)]
pub struct ExpectedAlerts {
    /// In milliseconds.
    pub at_ms: i64,
    /// The rule's name.
    pub name: String,
    /// Labels, the name with them, and annotations.
    pub alerts: Vec<(Labels, BTreeMap<String, String>)>,
}

/// What an expression gives at a moment.
#[derive(Clone, Debug)]
pub struct ExpectedAnswer {
    /// In milliseconds.
    pub at_ms: i64,
    /// The expression.
    pub expr: Expr,
    /// Its series.
    pub samples: Vec<(Labels, f64)>,
}

impl Rehearsal {
    /// Tries rules out; says what is not as it has to be.
    pub fn run(&self, groups: &[Group]) -> Vec<String> {
        let mut groups: Vec<&Group> = groups.iter().collect();
        let place = |name: &str| self.order.iter().position(|it| it == name);
        groups.sort_by_key(|it| place(&it.name).unwrap_or(usize::MAX));
        self.tests.iter().flat_map(|it| it.run(&groups, self.interval_ms)).collect()
    }
}

impl Test {
    fn run(&self, groups: &[&Group], interval_ms: i64) -> Vec<String> {
        let mut stage = Stage { memory: self.series.clone(), wrong: Vec::new() };
        let mut states = vec![GroupState::default(); groups.len()];
        let alerts = self.alerts.iter().map(|it| it.at_ms);
        let last_ms = alerts.chain(self.answers.iter().map(|it| it.at_ms)).max().unwrap_or(0);
        let step = usize::try_from(interval_ms.max(1)).unwrap_or(usize::MAX);
        for now_ms in (0..=last_ms).step_by(step) {
            let now = Now { now_ms, surroundings: &self.surroundings };
            for (group, state) in groups.iter().zip(&mut states) {
                stage.evaluate(group, state, now);
            }
            let due = |it: &&ExpectedAlerts| now_ms <= it.at_ms && it.at_ms < now_ms + interval_ms;
            for expected in self.alerts.iter().filter(due) {
                stage.check_alerts(expected, groups.iter().zip(&states));
            }
        }
        for expected in &self.answers {
            stage.check_answer(expected);
        }
        let name = if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
        stage.wrong.into_iter().map(|it| format!("{name}{it}")).collect()
    }
}

/// What is there while a test runs.
struct Stage {
    memory: Memory,
    wrong: Vec<String>,
}

impl Stage {
    fn evaluate(&mut self, group: &Group, state: &mut GroupState, now: Now<'_>) {
        let evaluation = group.evaluate(now, state, &Context::new(&self.memory));
        for failure in evaluation.failures {
            let name = group.rules.get(failure.rule).map_or("", |it| &it.name);
            self.wrong.push(format!("rule {name} at {} ms: {}", now.now_ms, failure.error));
        }
        for sample in evaluation.samples {
            self.memory.append(&sample.labels, sample.time_ms, sample.value);
        }
    }

    fn check_alerts<'a>(
        &mut self,
        expected: &ExpectedAlerts,
        groups: impl Iterator<Item = (&'a &'a Group, &'a GroupState)>,
    ) {
        let mut found = Vec::new();
        for (group, state) in groups {
            for (place, rule) in group.rules.iter().enumerate() {
                if rule.name != expected.name || matches!(rule.kind, RuleKind::Recording) {
                    continue;
                }
                let firing = state.alerts(place).filter(|it| it.state == AlertState::Firing);
                found.extend(
                    firing.map(|it| (it.labels.clone(), it.annotations.iter().cloned().collect())),
                );
            }
        }
        let mut wanted = expected.alerts.clone();
        wanted.sort();
        found.sort();
        if wanted != found {
            let at = crate::parse::duration_text(expected.at_ms);
            let name = &expected.name;
            self.wrong.push(format!("alert {name} at {at}: expected {wanted:?}, got {found:?}"));
        }
    }

    fn check_answer(&mut self, expected: &ExpectedAnswer) {
        let answer = instant(&expected.expr, expected.at_ms, &Context::new(&self.memory));
        let at = crate::parse::duration_text(expected.at_ms);
        let expr = &expected.expr;
        let found = match answer {
            Ok(Answer::Vector(samples)) => samples,
            Ok(Answer::Scalar(value)) => vec![Sample { labels: Labels::default(), value }],
            Ok(_) => Vec::new(),
            Err(error) => return self.wrong.push(format!("{expr} at {at}: {error}")),
        };
        let mut found: Vec<_> = found.into_iter().map(|it| (it.labels, it.value)).collect();
        let mut wanted = expected.samples.clone();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        let same = |((left, a), (right, b)): (&(Labels, f64), &(Labels, f64))| {
            left == right && (a.to_bits() == b.to_bits() || (a - b).abs() <= 0.0)
        };
        if found.len() != wanted.len() || !found.iter().zip(&wanted).all(same) {
            self.wrong.push(format!("{expr} at {at}: expected {wanted:?}, got {found:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read as read_rules;
    use super::*;

    const RULES: &str = "
groups:
- name: shop
  rules:
  - record: job:calls:rate1m
    expr: sum by (job) (rate(calls_total[1m]))
  - alert: Busy
    expr: job:calls:rate1m > 1
    for: 2m
    keep_firing_for: 3m
    labels: {severity: page, at: '{{ $value | humanize }}'}
    annotations: {summary: '{{ $labels.job }} is busy'}
";

    #[track_caller]
    fn check(test: &str, wrong: &[&str]) {
        let rehearsal = read(&format!(
            "evaluation_interval: 1m\ntests:\n- interval: 15s\n  input_series:\n  \
             - {{series: 'calls_total{{job=\"cart\"}}', values: '0+30x12 360x12 360+3000x4 stale'}}\n  {test}\n"
        ));
        assert_eq!(rehearsal.unwrap().run(&read_rules(RULES).unwrap()), wrong);
    }

    #[test]
    fn alerts_fire_after_their_time_and_are_kept_firing() {
        let expected = |time: &str, alerts: &str| {
            format!(
                "alert_rule_test: [{{eval_time: {time}, alertname: Busy, exp_alerts: {alerts}}}]"
            )
        };
        let firing = "[{exp_labels: {job: cart, severity: page, at: '2'}, exp_annotations: {summary: cart is busy}}]";
        check(&expected("2m", "[]"), &[]);
        check(&expected("3m", firing), &[]);
        check(&expected("6m", firing), &[]);
        check(&expected("8m", "[]"), &[]);
        check(
            &expected("3m", "[]"),
            &[
                "alert Busy at 3m: expected [], got [({alertname=\"Busy\", at=\"2\", job=\"cart\", severity=\"page\"}, {\"summary\": \"cart is busy\"})]",
            ],
        );
    }

    #[test]
    fn what_rules_record_can_be_asked_for() {
        let expected = |expr: &str, time: &str, samples: &str| {
            format!(
                "promql_expr_test: [{{expr: '{expr}', eval_time: {time}, exp_samples: {samples}}}]"
            )
        };
        check(
            &expected(
                "job:calls:rate1m",
                "2m",
                "[{labels: 'job:calls:rate1m{job=\"cart\"}', value: 1.9999999999999998}]",
            ),
            &[],
        );
        check(
            &expected(
                "ALERTS",
                "2m",
                "[{labels: 'ALERTS{alertname=\"Busy\",alertstate=\"pending\",at=\"2\",job=\"cart\",severity=\"page\"}', value: 1}]",
            ),
            &[],
        );
        check(
            &expected(
                "ALERTS_FOR_STATE{job=\"cart\"}",
                "3m",
                "[{labels: 'ALERTS_FOR_STATE{alertname=\"Busy\",at=\"2\",job=\"cart\",severity=\"page\"}', value: 60}]",
            ),
            &[],
        );
        check(&expected("ALERTS{alertstate=\"pending\"}", "4m", "[]"), &[]);
        check(&expected("count(calls_total)", "8m", "[]"), &[]);
        check(
            &expected("calls_total", "1m", "[{labels: 'calls_total{job=\"cart\"}', value: 121}]"),
            &[
                "calls_total at 1m: expected [(calls_total{job=\"cart\"}, 121.0)], got [(calls_total{job=\"cart\"}, 120.0)]",
            ],
        );
    }
}
