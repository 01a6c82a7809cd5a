//! The store under the language: every question that is held against Prometheus gets the same answer, bit for bit, over
//! the store as over series in memory, whatever of them is in a block and whatever still in the log.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]

#[path = "../../../promql/tests/promql/data.rs"]
mod data;
#[path = "../../../promql/tests/promql/generated.rs"]
mod generated;
#[expect(dead_code, reason = "what cannot be read is not asked here")]
#[path = "../../../promql/tests/promql/questions.rs"]
mod questions;

use std::time::Duration;

use model::Timestamp;
use promql::Source;
use promql::eval::{Answer, Context, EvalError, Steps, instant, range};
use promql::memory::Memory;
use promql::parse::parse;
use telemetry::metrics::{Limits, Point, Store};

/// Puts every sample into a store by its time; some of them into blocks.
fn fill(store: &Store, memory: &Memory) {
    let mut samples = Vec::new();
    for series in memory.iter() {
        let labels: Vec<_> = series
            .labels
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        for (at_ms, value) in series.times.iter().zip(series.values) {
            samples.push(Point { labels: labels.clone(), at_ms: *at_ms, value: *value });
        }
    }
    samples.sort_by_key(|it| it.at_ms);
    for (place, slice) in samples.chunks(997).enumerate() {
        let now = slice.last().unwrap().at_ms.cast_unsigned();
        let mut appender = store.append("test", Timestamp::from_millis(now));
        for point in slice {
            appender.point(point);
        }
        assert_eq!(appender.finish().unwrap().accepted, slice.len() as u64);
        if place % 11 == 7 {
            store.flush().unwrap();
        }
    }
}

/// An answer as text in which every bit of a number is seen; series by their labels unless their order counts.
fn shown(answer: Result<Answer, EvalError>, question: &str) -> Vec<String> {
    let mut lines: Vec<String> = match answer {
        Err(error) => vec![error.kind().to_owned()],
        Ok(Answer::Text(text)) => vec![text],
        Ok(Answer::Scalar(value)) => vec![format!("{:x}", value.to_bits())],
        Ok(Answer::Vector(samples)) => {
            samples.iter().map(|it| format!("{} {:x}", it.labels, it.value.to_bits())).collect()
        }
        Ok(Answer::Matrix(series)) => {
            let points = |it: &[(i64, f64)]| -> Vec<_> {
                it.iter().map(|(at, value)| (*at, value.to_bits())).collect()
            };
            series.iter().map(|it| format!("{} {:?}", it.labels, points(&it.points))).collect()
        }
    };
    if !["sort", "topk", "bottomk"].iter().any(|it| question.starts_with(it)) {
        lines.sort();
    }
    lines
}

#[test]
fn the_store_answers_as_memory_does() {
    let memory = data::memory();
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { age: Duration::from_hours(1_000), ..Limits::default() };
    let store = Store::open(folder.path(), limits).unwrap().store;
    fill(&store, &memory);
    let steps = Steps {
        start_ms: data::START_MS + 601,
        end_ms: data::START_MS + data::SCRAPES * 15_000,
        step_ms: 53_000,
    };
    for question in questions::alike().into_iter().chain(generated::all()) {
        let Ok(expr) = parse(&question) else { continue };
        let at_ms = data::START_MS + 3_900_111;
        let ask = |source: &dyn Source| {
            let context = Context::new(source);
            let whole = range(&expr, steps, &context);
            [instant(&expr, at_ms, &context), whole].map(|it| shown(it, &question))
        };
        assert_eq!(ask(&store), ask(&memory), "{question}");
    }
}
