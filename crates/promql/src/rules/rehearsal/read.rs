//! Reads files of tests.

use std::collections::BTreeMap;

use super::series::{labels, values};
use super::{ExpectedAlerts, ExpectedAnswer, Rehearsal, Test};
use crate::memory::Memory;
use crate::parse::{number, parse};
use crate::rules::yaml::{self, Node};
use crate::rules::{RuleError, Surroundings};

/// Evaluations one file may ask for: a test of a year of minutes.
const EVALUATIONS_MAX: i64 = 600_000;

/// Reads one file.
pub fn read(text: &str) -> Result<Rehearsal, RuleError> {
    let file = yaml::read(text)?;
    file.only(&[
        "rule_files",
        "evaluation_interval",
        "group_eval_order",
        "tests",
        "fuzzy_compare",
    ])?;
    let interval_ms = duration(&file, "evaluation_interval")?.unwrap_or(60_000).max(1);
    let texts = |name: &str| -> Result<Vec<String>, RuleError> {
        let items = file.field(name).map_or(Ok(&[][..]), Node::items)?;
        items.iter().map(|it| it.text().map(str::to_owned)).collect()
    };
    let tests = file.field("tests").map_or(Ok(&[][..]), Node::items)?;
    Ok(Rehearsal {
        rule_files: texts("rule_files")?,
        interval_ms,
        order: texts("group_eval_order")?,
        tests: tests.iter().map(|it| test(it, interval_ms)).collect::<Result<_, _>>()?,
    })
}

fn duration(node: &Node, name: &str) -> Result<Option<i64>, RuleError> {
    node.field(name).map(Node::duration_ms).transpose()
}

fn test(node: &Node, evaluation_ms: i64) -> Result<Test, RuleError> {
    node.only(&[
        "name",
        "interval",
        "input_series",
        "alert_rule_test",
        "promql_expr_test",
        "external_labels",
        "external_url",
    ])?;
    let interval_ms = duration(node, "interval")?.unwrap_or(60_000).max(1);
    let items = |name: &str| node.field(name).map_or(Ok(&[][..]), Node::items);
    let mut series = Memory::default();
    for input in items("input_series")? {
        one_series(input, interval_ms, &mut series)?;
    }
    let alerts: Vec<_> = items("alert_rule_test")?.iter().map(alerts).collect::<Result<_, _>>()?;
    let answers: Vec<_> =
        items("promql_expr_test")?.iter().map(answer).collect::<Result<_, _>>()?;
    let times = alerts.iter().map(|it| it.at_ms).chain(answers.iter().map(|it| it.at_ms));
    if EVALUATIONS_MAX < times.max().unwrap_or(0) / evaluation_ms {
        return Err(node.place.error(format!("more than {EVALUATIONS_MAX} evaluations")));
    }
    let external = node.field("external_labels").map_or_else(|| Ok(Vec::new()), Node::texts)?;
    let text = |name: &str| node.field(name).map_or(Ok(""), Node::text).map(str::to_owned);
    Ok(Test {
        name: text("name")?,
        series,
        surroundings: Surroundings {
            external_labels: crate::Labels::of(external.iter().map(|(key, it)| (&*key.text, *it))),
            external_url: text("external_url")?,
        },
        alerts,
        answers,
    })
}

fn one_series(node: &Node, interval_ms: i64, into: &mut Memory) -> Result<(), RuleError> {
    node.only(&["series", "values"])?;
    let labels = labels(required(node, "series")?)?;
    for (place, value) in values(required(node, "values")?)?.into_iter().enumerate() {
        let time_ms = i64::try_from(place).unwrap_or(i64::MAX).saturating_mul(interval_ms);
        if let Some(value) = value {
            into.append(&labels, time_ms, value);
        }
    }
    Ok(())
}

fn required<'a>(node: &'a Node, name: &str) -> Result<&'a Node, RuleError> {
    node.field(name).ok_or_else(|| node.place.error(format!("{name:?} is missing")))
}

fn alerts(node: &Node) -> Result<ExpectedAlerts, RuleError> {
    node.only(&["eval_time", "alertname", "exp_alerts"])?;
    let name = required(node, "alertname")?.text()?.to_owned();
    let mut alerts = Vec::new();
    for alert in node.field("exp_alerts").map_or(Ok(&[][..]), Node::items)? {
        alert.only(&["exp_labels", "exp_annotations"])?;
        let texts = |name: &str| alert.field(name).map_or_else(|| Ok(Vec::new()), Node::texts);
        let labels = texts("exp_labels")?;
        let labels = crate::Labels::of(labels.iter().map(|(key, it)| (&*key.text, *it)));
        let annotations = texts("exp_annotations")?;
        let annotations = annotations.iter().map(|(key, it)| (key.text.clone(), (*it).to_owned()));
        alerts.push((labels.with("alertname", &name), annotations.collect::<BTreeMap<_, _>>()));
    }
    Ok(ExpectedAlerts { at_ms: duration(node, "eval_time")?.unwrap_or(0), name, alerts })
}

fn answer(node: &Node) -> Result<ExpectedAnswer, RuleError> {
    node.only(&["expr", "eval_time", "exp_samples"])?;
    let expr = required(node, "expr")?;
    let mut samples = Vec::new();
    for sample in node.field("exp_samples").map_or(Ok(&[][..]), Node::items)? {
        sample.only(&["labels", "value"])?;
        let value = required(sample, "value")?;
        // YAML writes what is no number or infinite with a dot before it.
        let read = number(value.text()?.replace(".inf", "inf").replace(".nan", "nan").as_str());
        let read = read.ok_or_else(|| value.place.error("expected a number"))?;
        let labels = sample.field("labels").map_or_else(|| Ok(crate::Labels::default()), labels);
        samples.push((labels?, read));
    }
    Ok(ExpectedAnswer {
        at_ms: duration(node, "eval_time")?.unwrap_or(0),
        expr: parse(expr.text()?).map_err(|error| expr.place.error(error.to_string()))?,
        samples,
    })
}
