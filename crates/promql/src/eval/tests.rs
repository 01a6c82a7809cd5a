//! What Prometheus 2.42 does not have or does otherwise, with exact values; limits, stops and errors; and properties
//! that hold for any series. Everything else is held against the real one in `tests/promql`.

use std::cell::Cell;

use proptest::prelude::*;

use super::{Answer, Context, EvalError, Limits, Points, Sample, Steps, Stop, instant, range};
use crate::labels::Labels;
use crate::memory::Memory;
use crate::parse::parse;
use crate::source::STALE;

const MINUTE_MS: i64 = 60_000;

/// A series a line: labels, and a value each minute from zero on; `_` is none.
fn memory(series: &[(&str, &str)]) -> Memory {
    let mut memory = Memory::default();
    for (selector, values) in series {
        let selector = crate::parse::parse_selector(selector).unwrap();
        let labels = selector.matchers.iter().map(|it| (it.name.as_str(), it.value.as_str()));
        let labels = Labels::of(labels);
        for (minute, value) in (0..).zip(values.split(' ')) {
            let value = if value == "stale" { Some(STALE) } else { crate::parse::number(value) };
            if let Some(value) = value {
                memory.append(&labels, minute * MINUTE_MS, value);
            }
        }
    }
    memory
}

/// The answer at a minute, a series a word.
fn ask(memory: &Memory, minute: i64, question: &str) -> Result<String, EvalError> {
    let answer = instant(&parse(question).unwrap(), minute * MINUTE_MS, &Context::new(memory))?;
    Ok(match answer {
        Answer::Scalar(value) => value.to_string(),
        Answer::Text(text) => text,
        Answer::Vector(samples) => {
            let show = |it: &Sample| format!("{}={}", it.labels, it.value);
            samples.iter().map(show).collect::<Vec<_>>().join(" ")
        }
        Answer::Matrix(series) => {
            let show = |it: &Points| format!("{}={:?}", it.labels, it.points);
            series.iter().map(show).collect::<Vec<_>>().join(" ")
        }
    })
}

#[track_caller]
fn check(series: &[(&str, &str)], minute: i64, question: &str, expected: &str) {
    assert_eq!(ask(&memory(series), minute, question).as_deref(), Ok(expected), "{question}");
}

#[track_caller]
fn refused(series: &[(&str, &str)], question: &str, kind: &str, expected: &str) {
    let error = ask(&memory(series), 0, question).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (kind, expected), "{question}");
}

#[test]
fn windows_are_open_on_the_left() {
    let series = [("a", "1 2 3 4 5 6")];
    check(&series, 5, "a[2m]", "a=[(240000, 5.0), (300000, 6.0)]");
    check(&series, 5, "count_over_time(a[2m])", "{}=2");
    check(&series, 5, "vector(1)[2m:1m]", "{}=[(240000, 1.0), (300000, 1.0)]");
    check(&[("a", "1")], 4, "a", "a=1");
    check(&[("a", "1")], 5, "a", "");
    check(&[("a", "1 stale")], 1, "a", "");
    check(&[("a", "1 stale 3")], 2, "a[3m]", "a=[(0, 1.0), (120000, 3.0)]");
}

#[test]
fn subqueries_stand_on_multiples_of_their_step() {
    let series = [("a", "1 2")];
    check(&series, 1, "sum_over_time(a[5m:1m])", "{}=3");
    check(&series, 1, "sum_over_time(a[5m:30s])", "{}=4");
    check(&series, 5, "sum_over_time(a[5m:1m])", "{}=10");
    check(&series, 6, "sum_over_time(a[1m:10s])", "{}=10");
    check(&series, 1, "rate(a[2m:1m])", "{}=0.016666666666666666");
    let line = [("a", "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20")];
    for offset in ["60s", "59s", "42s", "30s", "18s", "1s"] {
        check(&line, 20, &format!("sum_over_time(a[3m:1m] offset {offset})"), "{}=54");
    }
    check(&line, 20, "rate(sum_over_time(a[3m:1m])[5m:1m])", "{}=0.05");
    check(&line, 20, "min_over_time(a[1m:1m])", "{}=20");
}

#[test]
fn counters_are_extrapolated_as_prometheus_3_does() {
    check(&[("a", "0 60 120 180")], 3, "rate(a[3m])", "{}=1");
    check(&[("a", "1000 1060 30 90")], 3, "increase(a[4m])", "{}=200");
    check(&[("a", "_ _ _ _ _ 60 120")], 6, "increase(a[6m])", "{}=90");
    check(&[("a", "_ _ _ _ _ 30 120")], 6, "increase(a[6m])", "{}=120");
    check(&[("a", "1")], 0, "rate(a[3m])", "");
}

#[test]
fn functions_of_prometheus_3() {
    let series = [("a", "1 5 2 9 5")];
    check(&series, 4, "mad_over_time(a[10m])", "{}=3");
    check(&series, 4, "first_over_time(a[10m])", "a=1");
    check(&series, 4, "ts_of_first_over_time(a[10m])", "{}=0");
    check(&series, 4, "ts_of_last_over_time(a[10m])", "{}=240");
    check(&series, 4, "ts_of_max_over_time(a[10m])", "{}=180");
    check(&series, 4, "ts_of_min_over_time(a[10m])", "{}=0");
    check(&series, 4, "double_exponential_smoothing(a[10m], 0.5, 0.5)", "{}=7.96875");
    let histogram = [("b{le=\"0.1\"}", "10"), ("b{le=\"0.5\"}", "40"), ("b{le=\"+Inf\"}", "50")];
    check(&histogram, 0, "histogram_fraction(0, 0.3, b)", "{}=0.5");
    check(&histogram, 0, "histogram_fraction(0.5, Inf, b)", "{}=0.2");
    let hosts = [("a{host=\"n-10\"}", "1"), ("a{host=\"n-2\"}", "3"), ("a{host=\"n-1\"}", "2")];
    let sorted = "a{host=\"n-1\"}=2 a{host=\"n-2\"}=3 a{host=\"n-10\"}=1";
    check(&hosts, 0, "sort_by_label(a, \"host\")", sorted);
    let backwards = "a{host=\"n-10\"}=1 a{host=\"n-2\"}=3 a{host=\"n-1\"}=2";
    check(&hosts, 0, "sort_by_label_desc(a, \"host\")", backwards);
    check(&hosts, 0, "limitk(2, a)", "a{host=\"n-1\"}=2 a{host=\"n-10\"}=1");
    check(&hosts, 0, "count(limit_ratio(0.4, a)) + count(limit_ratio(-0.6, a))", "{}=3");
    check(&hosts, 0, "count(limit_ratio(1, a)) unless limit_ratio(0, a)", "{}=3");
    check(&[("{\"a.b\",\"c d\"=\"e\"}", "1")], 0, "sum by (\"c d\") ({\"a.b\"})", "{c d=\"e\"}=1");
    check(&[("a{b=\"x\\ny\"}", "1")], 0, "count(a{b=~\"x.y\"})", "{}=1");
}

#[test]
fn what_the_data_do_not_allow_is_an_error() {
    let twins = [
        ("a{c=\"d\"}", "1"),
        ("b{c=\"d\"}", "1"),
        ("one{c=\"d\",e=\"f\"}", "1"),
        ("one{c=\"d\",e=\"g\"}", "1"),
    ];
    let same = "vector cannot contain metrics with the same labelset";
    for question in [
        "-{c=\"d\",e=\"\"}",
        "abs({c=\"d\",e=\"\"})",
        "label_replace({c=\"d\",e=\"\"}, \"__name__\", \"x\", \"\", \"\")",
        "count_over_time({c=\"d\",e=\"\"}[5m])",
    ] {
        refused(&twins, question, "execution", same);
    }
    refused(
        &twins,
        "one + on (c) a",
        "execution",
        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
    );
    let values = [("v{n=\"1\"}", "1"), ("v{n=\"2\"}", "2")];
    refused(&values, "-count_values(\"__name__\", v)", "execution", same);
    refused(
        &twins,
        "a * on (c) one",
        "execution",
        "found duplicate series for the match group {c=\"d\"} on the right hand-side of the operation: [one{c=\"d\", e=\"g\"}, one{c=\"d\", e=\"f\"}];many-to-many matching not allowed: matching labels must be unique on one side",
    );
    refused(&twins, "topk(NaN, a)", "execution", "Scalar value NaN overflows int64");
    refused(
        &twins,
        "double_exponential_smoothing(a[5m], 1.5, 0.5)",
        "execution",
        "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.500000",
    );
    refused(
        &twins,
        "histogram_sum(a)",
        "execution",
        "histogram_sum() reads native histograms, and samples are plain numbers here",
    );
    refused(&twins, "info(a)", "execution", "info() is experimental and not supported");
    refused(
        &twins,
        "label_replace(a, \"x\", \"y\", \"c\", \"(\")",
        "execution",
        "invalid regular expression in label_replace(): (",
    );
}

/// Each `label_replace` may make a label twenty times as long, and one in another takes gigabytes.
#[test]
fn issue_12_labels_do_not_grow_without_end() {
    let series = memory(&[("a{b=\"1\"}", "1"), ("a{b=\"2\"}", "1")]);
    let copies = "${1}".repeat(20);
    let mut nested = r#"label_replace(vector(1), "x", "aaaaaaaaaa", "", ".*")"#.to_owned();
    let ask = |text: &str, limits: Limits| {
        instant(&parse(text).unwrap(), 0, &Context { limits, ..Context::new(&series) })
    };
    let usual = Limits::default();
    for _ in 0..7 {
        nested = format!(r#"label_replace({nested}, "x", "{copies}", "x", "(.*)")"#);
    }
    let error = ask(&nested, usual).unwrap_err().to_string();
    assert!(error.contains("longer than 65536 bytes"), "{error}");
    let long = "y".repeat(40_000);
    let joined =
        format!(r#"label_join(label_replace(a, "x", "{long}", "", ""), "z", "", "x", "x")"#);
    assert!(ask(&joined, usual).is_err());
    // Text is held like values, eight bytes for one.
    let held = format!(r#"label_replace(a, "x", "{long}", "", "")"#);
    assert!(ask(&held, Limits { held_max: 11_000, ..usual }).is_ok());
    assert_eq!(
        ask(&held, Limits { held_max: 9_000, ..usual }).unwrap_err(),
        EvalError::TooManySamples { limit: 9_000 }
    );
}

#[test]
fn limits_are_kept_and_named() {
    let series = memory(&[("a{b=\"1\"}", "1 2 3 4 5"), ("a{b=\"2\"}", "1 2 3 4 5")]);
    let expr = parse("sum_over_time(a[10m])").unwrap();
    let usual = Context::new(&series);
    let within = |limits: Limits| {
        instant(&expr, 4 * MINUTE_MS, &Context { limits, ..Context::new(&series) })
    };
    assert!(within(Limits { samples_max: 10, series_max: 2, ..usual.limits }).is_ok());
    let error = within(Limits { samples_max: 9, ..usual.limits }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "query processing would load too many samples into memory in query execution (limit 9)"
    );
    let each = parse("a").unwrap();
    let answered = |answer_max| {
        let limits = Limits { answer_max, ..usual.limits };
        let steps = Steps { start_ms: 0, end_ms: 4 * MINUTE_MS, step_ms: MINUTE_MS };
        range(&each, steps, &Context { limits, ..Context::new(&series) })
    };
    assert!(answered(10).is_ok());
    assert_eq!(
        answered(9).unwrap_err().to_string(),
        "the answer has more than 9 samples; ask for fewer series, a longer step, or an aggregation"
    );
    let sorted = parse("sort(a)").unwrap();
    let limits = Limits { held_max: 1, ..usual.limits };
    let error = instant(&sorted, 0, &Context { limits, ..Context::new(&series) }).unwrap_err();
    assert_eq!(error, EvalError::TooManySamples { limit: 1 });
    let error = within(Limits { series_max: 1, ..usual.limits }).unwrap_err();
    assert_eq!(error.to_string(), "query selects too many series (limit 1)");
    let endless = parse("max_over_time(vector(1)[10000d:1ms])").unwrap();
    assert_eq!(
        instant(&endless, 0, &usual).unwrap_err(),
        EvalError::TooManySamples { limit: 10_000_000 }
    );
    let steps = Steps { start_ms: 0, end_ms: 11_000, step_ms: 1 };
    let error = range(&expr, steps, &usual).unwrap_err();
    assert_eq!(
        error.to_string(),
        "exceeded maximum resolution of 11000 points per timeseries. Try decreasing the query resolution (?step=XX)"
    );
    assert!(range(&expr, Steps { start_ms: 1, ..steps }, &usual).is_ok());
    assert_eq!(range(&expr, Steps { step_ms: 0, ..steps }, &usual).unwrap_err().kind(), "bad_data");
    assert_eq!(range(&expr, Steps { end_ms: -1, ..steps }, &usual).unwrap_err().kind(), "bad_data");
}

#[test]
fn an_evaluation_stops_between_series() {
    let series = memory(&[("a{b=\"1\"}", "1"), ("a{b=\"2\"}", "1"), ("a{b=\"3\"}", "1")]);
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        (asked.get() == 2).then_some(Stop::TimedOut)
    };
    let context = Context { stop: &stop, ..Context::new(&series) };
    let error = instant(&parse("sum(a)").unwrap(), 0, &context).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        ("timeout", "query timed out in query execution")
    );
    assert_eq!(asked.get(), 2);
    let values = vec!["1"; 3_000].join(" ");
    let long = memory(&[("a", &values)]);
    asked.set(0);
    let context = Context { stop: &stop, ..Context::new(&long) };
    let steps = Steps { start_ms: 0, end_ms: 3_000 * MINUTE_MS, step_ms: MINUTE_MS };
    let wide = parse("quantile_over_time(0.5, a[3000m])").unwrap();
    assert_eq!(range(&wide, steps, &context).unwrap_err(), EvalError::Stopped(Stop::TimedOut));
}

/// Series of some jobs' instances with whole values, so that sums are exact.
fn any_memory() -> impl Strategy<Value = Memory> {
    let series = (0..4_u8, 0..6_u8, prop::collection::vec(prop::option::of(0..1_000_u16), 1..30));
    prop::collection::vec(series, 1..12).prop_map(|all| {
        let mut memory = Memory::default();
        for (job, instance, values) in all {
            let (job, instance) = (job.to_string(), instance.to_string());
            let labels = Labels::of([("__name__", "a"), ("job", &*job), ("instance", &*instance)]);
            for (minute, value) in (0..).zip(values) {
                if let Some(value) = value {
                    memory.append(&labels, minute * MINUTE_MS, f64::from(value));
                }
            }
        }
        memory
    })
}

fn asked(memory: &Memory, question: &str, steps: Steps) -> Answer {
    range(&parse(question).unwrap(), steps, &Context::new(memory)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is asked over a range is what is asked at each of its moments.
    #[test]
    fn a_range_is_its_moments(memory in any_memory(), start_ms in 0..600_000_i64, step_ms in 1..200_000_i64) {
        let steps = Steps { start_ms, end_ms: start_ms + 9 * step_ms, step_ms };
        for question in [
            "a", "rate(a[5m])", "sum by (job) (a)", "topk(2, a)", "a > on (job, instance) a offset 1m",
            "max_over_time(rate(a[3m])[10m:1m])", "a or on (job) a offset 5m", "quantile(0.3, a)",
            "a unless a offset 7m", "avg_over_time(a[4m] offset 1m)", "absent(a{job=\"1\"})",
            "sum(a @ 300) + count(a)", "stddev by (job) (a)", "count_values(\"v\", a)",
        ] {
            let Answer::Matrix(series) = asked(&memory, question, steps) else { panic!("{question}") };
            for step in 0..10 {
                let at_ms = start_ms + step * step_ms;
                let answer = instant(&parse(question).unwrap(), at_ms, &Context::new(&memory)).unwrap();
                let Answer::Vector(mut samples) = answer else { panic!("{question}") };
                samples.sort_by(|a, b| a.labels.cmp(&b.labels));
                let here = |it: &Points| it.points.iter().find(|(time_ms, _)| *time_ms == at_ms).map(|it| it.1);
                let found = series.iter().filter_map(|it| Some((it.labels.clone(), here(it)?.to_bits())));
                let expected = samples.into_iter().map(|it| (it.labels, it.value.to_bits()));
                prop_assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{} at {}", question, at_ms);
            }
        }
    }

    /// Parts add up to the whole, and set operators to everything.
    #[test]
    fn parts_make_the_whole(memory in any_memory()) {
        let steps = Steps { start_ms: 0, end_ms: 1_800_000, step_ms: 77_000 };
        for (one, other) in [
            ("sum(a)", "sum(sum by (job) (a))"),
            ("count(a)", "sum(count without (instance) (a))"),
            ("max(a)", "max(max by (instance) (a))"),
            ("a", "(a and a) or a"),
            ("count(a)", "sum((count(a > 500) or vector(0)) + (count(a <= 500) or vector(0))) > 0"),
            ("sum(a)", "sum(avg(a)) * count(a)"),
            ("sum_over_time(a[7m])", "avg_over_time(a[7m]) * count_over_time(a[7m])"),
            ("quantile(1, a)", "max(a)"),
        ] {
            let values = |question: &str| {
                let Answer::Matrix(series) = asked(&memory, question, steps) else { panic!() };
                series.into_iter().flat_map(|it| it.points).map(|(at, it)| (at, it.round().to_bits()))
                    .collect::<std::collections::BTreeSet<_>>()
            };
            prop_assert_eq!(values(one), values(other), "{} and {}", one, other);
        }
    }

    /// The rate of a line is its slope, wherever one looks; and resets do not matter.
    #[test]
    fn the_rate_of_a_line_is_its_slope(slope in 1..100_u32, reset in 5..25_i64, offset_ms in 0..60_000_i64) {
        let mut memory = Memory::default();
        let (line, broken) = (Labels::of([("a", "line")]), Labels::of([("a", "broken")]));
        for second in 0..1_800_i64 {
            let value = 1e6 + f64::from(slope) * f64::from(i32::try_from(second).unwrap());
            memory.append(&line, second * 1_000, value);
            let lost = if reset * 60 <= second { 1e6 } else { 0.0 };
            memory.append(&broken, second * 1_000, value - lost);
        }
        let steps = Steps { start_ms: 600_000 + offset_ms, end_ms: 1_790_000, step_ms: 33_333 };
        for question in ["rate({a=\"line\"}[5m])", "deriv({a=\"line\"}[5m])", "irate({a=\"line\"}[5m])"] {
            let Answer::Matrix(series) = asked(&memory, question, steps) else { panic!() };
            for (at_ms, value) in series.into_iter().flat_map(|it| it.points) {
                prop_assert!((value - f64::from(slope)).abs() < 1e-6, "{} at {}: {}", question, at_ms, value);
            }
        }
        let fallen = asked(&memory, "increase({a=\"broken\"}[2m]) < 0", steps);
        prop_assert_eq!(fallen, Answer::Matrix(Vec::new()));
    }
}
