//! Groups step by step: what is written, what ends, what fails, and what a restart leaves.

use proptest::prelude::*;

use super::{AlertState, Change, Evaluation, Group, GroupState, Now, Surroundings, read};
use crate::eval::Context;
use crate::labels::Labels;
use crate::memory::Memory;
use crate::source::is_stale;

const MINUTE_MS: i64 = 60_000;

/// A group, its state, and a store that it writes to.
struct Stage {
    group: Group,
    state: GroupState,
    memory: Memory,
}

impl Stage {
    fn new(rules: &str) -> Self {
        let text = format!("groups:\n- name: a\n  {rules}\n");
        let group = read(&text).unwrap().pop().unwrap();
        Self { group, state: GroupState::default(), memory: Memory::default() }
    }

    /// Writes samples such as `up{a="b"} 1`, and evaluates.
    fn step(&mut self, minute: i64, samples: &[&str]) -> Evaluation {
        for sample in samples {
            let (series, value) = sample.rsplit_once(' ').unwrap();
            let selector = crate::parse::parse_selector(series).unwrap();
            let labels = selector.matchers.iter().map(|it| (it.name.as_str(), it.value.as_str()));
            let value = crate::parse::number(value).unwrap();
            self.memory.append(&Labels::of(labels), minute * MINUTE_MS, value);
        }
        let surroundings = Surroundings::default();
        let now = Now { now_ms: minute * MINUTE_MS, surroundings: &surroundings };
        let evaluation = self.group.evaluate(now, &mut self.state, &Context::new(&self.memory));
        for sample in &evaluation.samples {
            self.memory.append(&sample.labels, sample.time_ms, sample.value);
        }
        evaluation
    }

    fn changes(&mut self, minute: i64, samples: &[&str]) -> Vec<Change> {
        let evaluation = self.step(minute, samples);
        assert_eq!(evaluation.failures, []);
        evaluation.transitions.into_iter().map(|it| it.change).collect()
    }

    fn state_of_alert(&self) -> Option<AlertState> {
        self.state.alerts(0).next().map(|it| it.state)
    }
}

/// What was written, `†` where a series ended.
fn written(evaluation: &Evaluation) -> Vec<String> {
    let show = |value: f64| if is_stale(value) { "†".to_owned() } else { value.to_string() };
    let mut all: Vec<String> =
        evaluation.samples.iter().map(|it| format!("{} {}", it.labels, show(it.value))).collect();
    all.sort();
    all
}

#[test]
fn rules_see_what_those_before_them_recorded_and_end_what_is_gone() {
    let mut stage = Stage::new(
        "rules: [{record: 'a:sum', expr: sum by (b) (a), labels: {c: d}}, {record: 'a:double', expr: 'a:sum * 2'}]",
    );
    let first = stage.step(0, &["a{b=\"1\"} 1", "a{b=\"2\"} 2"]);
    assert_eq!(
        written(&first),
        [
            "a:double{b=\"1\", c=\"d\"} 2",
            "a:double{b=\"2\", c=\"d\"} 4",
            "a:sum{b=\"1\", c=\"d\"} 1",
            "a:sum{b=\"2\", c=\"d\"} 2"
        ]
    );
    let second = stage.step(5, &["a{b=\"2\"} 3"]);
    assert_eq!(
        written(&second),
        [
            "a:double{b=\"1\", c=\"d\"} †",
            "a:double{b=\"2\", c=\"d\"} 6",
            "a:sum{b=\"1\", c=\"d\"} †",
            "a:sum{b=\"2\", c=\"d\"} 3"
        ]
    );
    let ended = stage.state.retire(6 * MINUTE_MS);
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|it| is_stale(it.value) && it.labels.get("b") == "2"));
}

#[test]
fn an_alert_lives_through_its_states() {
    let mut stage = Stage::new("rules: [{alert: A, expr: a > 0, for: 2m, keep_firing_for: 2m}]");
    assert_eq!(stage.changes(0, &["a 1"]), [Change::Pending]);
    assert_eq!(stage.changes(1, &["a 0"]), [Change::Dropped]);
    assert_eq!(stage.changes(2, &["a 1"]), [Change::Pending]);
    assert_eq!(stage.changes(3, &["a 1"]), []);
    assert_eq!(stage.changes(4, &["a 1"]), [Change::Firing]);
    assert_eq!(stage.changes(5, &["a 0"]), []);
    assert_eq!(stage.changes(6, &["a 1"]), []);
    assert_eq!(stage.changes(7, &["a 0"]), []);
    assert_eq!(stage.changes(8, &["a 0"]), []);
    assert_eq!(stage.state_of_alert(), Some(AlertState::Firing));
    assert_eq!(stage.changes(9, &["a 0"]), [Change::Resolved]);
    assert_eq!(stage.state_of_alert(), Some(AlertState::Inactive));
    assert_eq!(stage.changes(24, &["a 0"]), []);
    assert_eq!(stage.state_of_alert(), Some(AlertState::Inactive));
    assert_eq!(stage.changes(25, &["a 0"]), []);
    assert_eq!(stage.state_of_alert(), None);
    let mut at_once = Stage::new("rules: [{alert: A, expr: a > 0}]");
    assert_eq!(at_once.changes(0, &["a 1"]), [Change::Pending, Change::Firing]);
}

#[test]
fn a_rule_that_fails_leaves_the_others_alone() {
    let mut stage = Stage::new(
        "limit: 1\n  rules: [{record: many, expr: a}, {record: same, expr: a, labels: {b: x}}, {alert: Same, expr: a, labels: {b: x}}, \
         {alert: Many, expr: a}, {record: wrong, expr: a + on () a}, {record: right, expr: count(a)}]",
    );
    let evaluation = stage.step(0, &["a{b=\"1\"} 1", "a{b=\"2\"} 2"]);
    let failures: Vec<_> =
        evaluation.failures.iter().map(|it| (it.rule, it.error.to_string())).collect();
    let expected = [
        (0, "exceeded limit of 1 with 2 series"),
        (1, "vector contains metrics with the same labelset after applying rule labels"),
        (2, "vector contains metrics with the same labelset after applying alert labels"),
        (3, "exceeded limit of 1 with 2 alerts"),
        (
            4,
            "found duplicate series for the match group {} on the right hand-side of the operation: [a{b=\"2\"}, a{b=\"1\"}];many-to-many matching not allowed: matching labels must be unique on one side",
        ),
    ];
    assert_eq!(failures, expected.map(|(rule, error)| (rule, error.to_owned())));
    assert_eq!(written(&evaluation), ["right 2"]);
}

#[test]
fn a_group_may_look_back_a_little() {
    let mut stage = Stage::new("query_offset: 1m\n  rules: [{record: late, expr: a}]");
    stage.step(0, &["a 1"]);
    let evaluation = stage.step(1, &["a 2"]);
    assert_eq!(written(&evaluation), ["late 1"]);
    assert_eq!(evaluation.samples.iter().map(|it| it.time_ms).collect::<Vec<_>>(), [0]);
}

/// Evaluates until a minute, starts anew after some more, and says since when the alert is active then.
#[track_caller]
fn check_restart(for_minutes: i64, stopped: i64, started: i64, active_since: i64) {
    let rules = format!("rules: [{{alert: A, expr: a > 0, for: {for_minutes}m}}]");
    let mut stage = Stage::new(&rules);
    for minute in 10..=stopped {
        stage.step(minute, &["a 1"]);
    }
    stage.state = GroupState::default();
    stage.step(started, &["a 1"]);
    let context = Context::new(&stage.memory);
    stage.group.restore(started * MINUTE_MS, &mut stage.state, &context).unwrap();
    let since = stage.state.alerts(0).map(|it| it.active_at_ms / MINUTE_MS).collect::<Vec<_>>();
    assert_eq!(since, [active_since]);
}

#[test]
fn what_was_pending_goes_on_after_a_restart() {
    check_restart(30, 20, 25, 15);
    check_restart(30, 35, 38, 18);
    check_restart(30, 40, 43, 10);
    check_restart(30, 20, 90, 90);
    check_restart(5, 12, 14, 14);
}

proptest! {
    #[test]
    fn any_text_is_a_template_or_refused(text in "[{}$.a-z |()\"`%0-9-]{0,40}|.{0,40}") {
        let surroundings = Surroundings::default();
        let scope = super::template::Scope { labels: &Labels::default(), value: 1.5, surroundings: &surroundings };
        if let Ok(template) = super::Template::parse(&text) {
            drop(template.expand(&scope));
        }
        let format = format!("{{{{ printf {text:?} 1.5 \"a\" $value }}}}");
        if let Ok(template) = super::Template::parse(&format) {
            drop(template.expand(&scope));
        }
    }

    #[test]
    fn any_text_is_a_file_or_refused(text in "(groups|tests|rules|name|expr|[:\\-\\[\\]{}&* \n'\"|>a0]){0,40}") {
        drop(read(&text));
        drop(super::rehearsal::read(&text));
    }
}
