//! The language held against the real Prometheus: the same samples, the same questions, the same answers.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]
#![expect(clippy::panic, reason = "helpers of a test may stop it")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]

mod data;
mod generated;
mod peer;
mod questions;
mod rules;
mod same;

use peer::Prometheus;
use promql::eval::{Context, Steps, instant, range};
use promql::memory::Memory;
use promql::parse::{Type, parse};
use same::{Ordered, difference, of_api, of_ours, of_parse_error};

/// The moments of instant questions, after the first sample: none of them a moment of a sample.
const MOMENTS_MS: [i64; 3] = [1_234_567, 3_900_111, 7_000_003];

/// Range questions: from, to, step; none of them in step with the samples.
const STEPS_MS: [(i64, i64, i64); 2] =
    [(1_800_019, 5_400_001, 61_000), (600_123, 1_500_001, 7_918)];

/// What both sides answer to one question.
struct Asked<'a> {
    memory: &'a Memory,
    prometheus: &'a Prometheus,
}

impl Asked<'_> {
    fn instant(&self, question: &str, at_ms: i64) -> Option<String> {
        let ours = match parse(question) {
            Err(error) => of_parse_error(&error),
            Ok(expr) => of_ours(instant(&expr, at_ms, &Context::new(self.memory)), at_ms),
        };
        let time = seconds(at_ms);
        let theirs = self.prometheus.ask("/api/v1/query", &[("query", question), ("time", &time)]);
        let ordered = ["sort", "topk", "bottomk"].iter().any(|it| question.starts_with(it));
        let ordered = if ordered { Ordered::Yes } else { Ordered::No };
        difference(&ours, &of_api(&theirs), ordered)
    }

    fn range(&self, question: &str, steps: Steps) -> Option<String> {
        let ours = match parse(question) {
            Err(error) => of_parse_error(&error),
            Ok(expr) => of_ours(range(&expr, steps, &Context::new(self.memory)), 0),
        };
        let [start, end, step] = [steps.start_ms, steps.end_ms, steps.step_ms].map(seconds);
        let form = [("query", question), ("start", &start), ("end", &end), ("step", &step)];
        let theirs = of_api(&self.prometheus.ask("/api/v1/query_range", &form));
        difference(&ours, &theirs, Ordered::No)
    }
}

fn seconds(milliseconds: i64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

#[test]
fn answers_equal_those_of_prometheus() {
    let memory = data::memory();
    let prometheus = Prometheus::start();
    prometheus.write(&memory);
    let asked = Asked { memory: &memory, prometheus: &prometheus };
    let mut questions = questions::alike();
    questions.extend(generated::all());
    let mut differences = Vec::new();
    let mut count = 0;
    for question in &questions {
        for at_ms in MOMENTS_MS {
            count += 1;
            let found = asked.instant(question, data::START_MS + at_ms);
            differences.extend(found.map(|it| format!("{question}\n  at {at_ms}: {it}")));
        }
        if !parse(question).is_ok_and(|it| matches!(it.gives(), Type::Scalar | Type::Vector)) {
            continue;
        }
        for (start, end, step_ms) in STEPS_MS {
            count += 1;
            let [start_ms, end_ms] = [start, end].map(|it| it + data::START_MS);
            let found = asked.range(question, Steps { start_ms, end_ms, step_ms });
            differences.extend(found.map(|it| format!("{question}\n  from {start}: {it}")));
        }
    }
    let equal = count - differences.len();
    println!("{equal} of {count} answers to {} expressions are equal", questions.len());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// What is written as a difference between Prometheus 2 and 3 has to be one, or it would hide a mistake.
#[test]
fn what_has_changed_since_prometheus_2_differs() {
    let memory = data::memory();
    let prometheus = Prometheus::start();
    prometheus.write(&memory);
    let asked = Asked { memory: &memory, prometheus: &prometheus };
    for (why, question) in questions::CHANGED {
        let [start_ms, end_ms] = [1_800_003, 5_400_003].map(|it| it + data::START_MS);
        let found = asked.range(question, Steps { start_ms, end_ms, step_ms: 60_000 });
        assert!(found.is_some(), "{why}: {question}");
        let ours = range(
            &parse(question).unwrap(),
            Steps { start_ms, end_ms, step_ms: 60_000 },
            &Context::new(&memory),
        );
        assert!(ours.is_ok(), "{why}: {question}: {ours:?}");
    }
}

#[test]
fn unreadable_texts_are_refused_in_the_same_words() {
    let prometheus = Prometheus::start();
    let mut differences = Vec::new();
    for text in questions::UNREADABLE {
        let Err(error) = parse(text) else {
            differences.push(format!("{text}: was read"));
            continue;
        };
        let theirs = of_api(&prometheus.ask("/api/v1/query", &[("query", text)]));
        let found = difference(&of_parse_error(&error), &theirs, Ordered::No);
        differences.extend(found.map(|it| format!("{text}: {it}")));
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn expressions_are_written_as_prometheus_writes_them() {
    let prometheus = Prometheus::start();
    let long = questions::LONG.iter().map(|it| (*it).to_owned());
    for question in questions::alike().into_iter().chain(long) {
        let Ok(expr) = parse(&question) else { continue };
        let theirs = prometheus.ask("/api/v1/format_query", &[("query", &question)]);
        let Some(theirs) = theirs["data"].as_str() else { continue };
        assert_eq!(expr.pretty(), theirs, "{question}");
    }
}
