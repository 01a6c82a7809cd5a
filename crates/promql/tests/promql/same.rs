//! Whether two answers are the same: those of ours, and those of the API.

use std::collections::BTreeMap;

use promql::Labels;
use promql::eval::{Answer, EvalError};
use promql::parse::ParseError;
use serde_json::Value;

/// Two numbers are the same if they differ by less than this part of them.
const TOLERANCE: f64 = 1e-9;

/// What may be left of a sum that cancels out.
const NOTHING: f64 = 1e-12;

/// An answer in a form in which both can be had.
#[derive(Debug)]
pub(crate) enum Plain {
    /// Kind of error, and what it says.
    Error(String, String),
    Text(String),
    /// Series by their labels; the order they came in.
    Series(BTreeMap<String, Vec<(i64, f64)>>, Vec<String>),
}

pub(crate) fn of_api(answer: &Value) -> Plain {
    if answer["status"] == "error" {
        // Prometheus 2.42 has forgotten to name the operator `@`.
        let nameless = "\"<Item 57385>\" ";
        let text = |name: &str| answer[name].as_str().unwrap().replace(nameless, "");
        return Plain::Error(text("errorType"), text("error"));
    }
    let result = &answer["data"]["result"];
    match answer["data"]["resultType"].as_str().unwrap() {
        "string" => Plain::Text(result[1].as_str().unwrap().to_owned()),
        "scalar" => {
            let points = vec![point(result)];
            Plain::Series(BTreeMap::from([("{}".to_owned(), points)]), vec!["{}".to_owned()])
        }
        _ => {
            let series = result.as_array().unwrap().iter().map(|it| {
                let labels = it["metric"].as_object().unwrap();
                let labels = labels.iter().map(|(name, it)| (name.as_str(), it.as_str().unwrap()));
                let points = match it.get("value") {
                    Some(value) => vec![point(value)],
                    None => it["values"].as_array().unwrap().iter().map(point).collect(),
                };
                (Labels::of(labels).to_string(), points)
            });
            of_series(series)
        }
    }
}

fn of_series(series: impl Iterator<Item = (String, Vec<(i64, f64)>)>) -> Plain {
    let series: Vec<_> = series.collect();
    let order = series.iter().map(|it| it.0.clone()).collect();
    Plain::Series(series.into_iter().collect(), order)
}

fn point(value: &Value) -> (i64, f64) {
    let time = value[0].as_f64().unwrap();
    let number = promql::parse::number(value[1].as_str().unwrap()).unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
    ((time * 1000.0).round() as i64, number)
}

pub(crate) fn of_ours(answer: Result<Answer, EvalError>, at_ms: i64) -> Plain {
    match answer {
        Err(error) => Plain::Error(error.kind().to_owned(), error.to_string()),
        Ok(Answer::Text(text)) => Plain::Text(text),
        Ok(Answer::Scalar(value)) => {
            of_series([("{}".to_owned(), vec![(at_ms, value)])].into_iter())
        }
        Ok(Answer::Vector(samples)) => of_series(
            samples.into_iter().map(|it| (it.labels.to_string(), vec![(at_ms, it.value)])),
        ),
        Ok(Answer::Matrix(series)) => {
            of_series(series.into_iter().map(|it| (it.labels.to_string(), it.points)))
        }
    }
}

pub(crate) fn of_parse_error(error: &ParseError) -> Plain {
    Plain::Error("bad_data".to_owned(), format!("invalid parameter \"query\": {error}"))
}

/// What differs first, if anything does. The words of errors are compared where the text could not be read.
pub(crate) fn difference(ours: &Plain, theirs: &Plain, ordered: Ordered) -> Option<String> {
    let different =
        |what: &str| Some(format!("{what}\n    ours:   {ours:?}\n    theirs: {theirs:?}"));
    match (ours, theirs) {
        (Plain::Error(kind, text), Plain::Error(their_kind, their_text)) => {
            let words = kind == "bad_data" && text.contains("parse error");
            (kind != their_kind || (words && text != their_text)).then(|| different("errors"))?
        }
        (Plain::Text(text), Plain::Text(their)) => (text != their).then(|| different("texts"))?,
        (Plain::Series(series, order), Plain::Series(their_series, their_order)) => {
            if series.keys().ne(their_series.keys()) {
                return Some(format!("series\n    ours:   {order:?}\n    theirs: {their_order:?}"));
            }
            // Series with equal values may stand in any order.
            let first = |it: &BTreeMap<String, Vec<(i64, f64)>>, name: &String| it[name][0].1;
            let pairs = order.iter().zip(their_order);
            let mut values =
                pairs.map(|(it, their)| (first(series, it), first(their_series, their)));
            if ordered == Ordered::Yes && !values.all(|(value, their)| same(value, their)) {
                return Some(format!("order\n    ours:   {order:?}\n    theirs: {their_order:?}"));
            }
            series.iter().find_map(|(labels, points)| {
                let found = different_points(points, &their_series[labels])?;
                Some(format!("{labels}: {found}"))
            })
        }
        _ => different("kinds"),
    }
}

/// Whether the order of series was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ordered {
    Yes,
    No,
}

fn different_points(ours: &[(i64, f64)], theirs: &[(i64, f64)]) -> Option<String> {
    if ours.iter().map(|it| it.0).ne(theirs.iter().map(|it| it.0)) {
        let missing = |these: &[(i64, f64)], those: &[(i64, f64)]| -> Vec<(i64, f64)> {
            these.iter().filter(|it| those.iter().all(|other| other.0 != it.0)).copied().collect()
        };
        return Some(format!(
            "too many {:?}, missing {:?}",
            missing(ours, theirs),
            missing(theirs, ours)
        ));
    }
    let pairs = ours.iter().zip(theirs);
    let (our, their) = pairs.into_iter().find(|(our, their)| !same(our.1, their.1))?;
    Some(format!("at {}: {} instead of {}", our.0, our.1, their.1))
}

fn same(left: f64, right: f64) -> bool {
    if left.is_finite() && right.is_finite() {
        return (left - right).abs() <= NOTHING.max(TOLERANCE * left.abs().max(right.abs()));
    }
    left.total_cmp(&right).is_eq() || (left.is_nan() && right.is_nan())
}
