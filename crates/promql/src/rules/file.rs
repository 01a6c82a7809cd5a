//! Reads rule files, as strictly as Prometheus does.

use super::template::Template;
use super::yaml::{self, Key, Node, Place};
use super::{Alerting, Group, Rule, RuleError, RuleKind};
use crate::labels::NAME;
use crate::parse::{Type, parse};

/// Groups one file may have, and rules one group may have; Prometheus' own collections have dozens.
const GROUPS_MAX: usize = 10_000;

/// The groups of a file.
pub fn read(text: &str) -> Result<Vec<Group>, RuleError> {
    let file = yaml::read(text)?;
    file.only(&["groups"])?;
    let Some(list) = file.field("groups") else { return Ok(Vec::new()) };
    let mut groups: Vec<Group> = Vec::new();
    for node in list.items()? {
        let group = group(node)?;
        if groups.iter().any(|it| it.name == group.name) {
            let message = format!("groupname: {:?} is repeated in the same file", group.name);
            return Err(node.place.error(message));
        }
        if GROUPS_MAX <= groups.len() || GROUPS_MAX < group.rules.len() {
            return Err(node.place.error(format!("more than {GROUPS_MAX} groups or rules")));
        }
        groups.push(group);
    }
    Ok(groups)
}

fn group(node: &Node) -> Result<Group, RuleError> {
    node.only(&["name", "interval", "limit", "query_offset", "labels", "rules"])?;
    let name = node.field("name").map_or(Ok(""), Node::text)?;
    if name.is_empty() {
        return Err(node.place.error("Groupname must not be empty"));
    }
    let common = node.field("labels").map_or_else(|| Ok(Vec::new()), Node::texts)?;
    let rules = node.field("rules").map_or(Ok(&[][..]), Node::items)?;
    let limit = match node.field("limit") {
        None => 0,
        Some(limit) => limit
            .text()?
            .parse()
            .map_err(|_| limit.place.error("the limit has to be a whole number"))?,
    };
    let duration = |name: &str| node.field(name).map(Node::duration_ms).transpose();
    Ok(Group {
        name: name.to_owned(),
        interval_ms: duration("interval")?.filter(|it| 0 < *it),
        limit,
        query_offset_ms: duration("query_offset")?.unwrap_or(0),
        rules: rules.iter().map(|it| rule(it, &common)).collect::<Result<_, _>>()?,
    })
}

fn rule(node: &Node, common: &[(&Key, &str)]) -> Result<Rule, RuleError> {
    const FIELDS: &[&str] =
        &["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];
    node.only(FIELDS)?;
    let written = |name: &str| node.field(name).map(Node::text).transpose();
    let (record, alert) = (written("record")?, written("alert")?);
    let (name, alerts) = match (record.unwrap_or_default(), alert.unwrap_or_default()) {
        ("", "") => return Err(node.place.error("one of 'record' or 'alert' must be set")),
        ("", name) => (name, true),
        (name, "") => (name, false),
        _ => return Err(node.place.error("only one of 'record' and 'alert' must be set")),
    };
    let expr = match node.field("expr") {
        Some(expr) if !expr.text()?.is_empty() => expr,
        _ => return Err(node.place.error("field 'expr' must be set in rule")),
    };
    let parsed = parse(expr.text()?)
        .map_err(|error| expr.place.error(format!("could not parse expression: {error}")))?;
    if !matches!(parsed.gives(), Type::Scalar | Type::Vector) {
        let message = format!("a rule has to give an instant vector, not a {}", parsed.gives());
        return Err(expr.place.error(message));
    }
    let kind = if alerts { alerting(node)? } else { recording(node, name)? };
    let mut labels = Vec::new();
    let own = node.field("labels").map_or_else(|| Ok(Vec::new()), Node::texts)?;
    let inherited = common.iter().filter(|(key, _)| own.iter().all(|(it, _)| it.text != key.text));
    for (key, text) in inherited.chain(&own) {
        if key.text == NAME || !is_name(&key.text) {
            return Err(key.place.error(format!("invalid label name: {}", key.text)));
        }
        labels.push((key.text.clone(), template(key.place, text, &kind)?));
    }
    Ok(Rule { name: name.to_owned(), expr: parsed, labels, kind, line: node.place.line })
}

/// Labels of recording rules are plain texts.
fn template(place: Place, text: &str, kind: &RuleKind) -> Result<Template, RuleError> {
    match kind {
        RuleKind::Recording => Ok(Template::plain(text)),
        RuleKind::Alerting(_) => Template::parse(text).map_err(|message| place.error(message)),
    }
}

fn recording(node: &Node, name: &str) -> Result<RuleKind, RuleError> {
    for field in ["for", "keep_firing_for", "annotations"] {
        if let Some(wrong) = node.field(field) {
            return Err(wrong.place.error(format!("invalid field '{field}' in recording rule")));
        }
    }
    if !is_name(&name.replace(':', "_")) {
        return Err(node.place.error(format!("invalid recording rule name: {name}")));
    }
    Ok(RuleKind::Recording)
}

fn alerting(node: &Node) -> Result<RuleKind, RuleError> {
    let duration = |name: &str| node.field(name).map_or(Ok(0), Node::duration_ms);
    let mut annotations = Vec::new();
    let texts = node.field("annotations").map_or_else(|| Ok(Vec::new()), Node::texts)?;
    for (key, text) in texts {
        if !is_name(&key.text) {
            return Err(key.place.error(format!("invalid annotation name: {}", key.text)));
        }
        let template = Template::parse(text).map_err(|message| key.place.error(message))?;
        annotations.push((key.text.clone(), template));
    }
    Ok(RuleKind::Alerting(Alerting {
        for_ms: duration("for")?,
        keep_firing_for_ms: duration("keep_firing_for")?,
        annotations,
    }))
}

/// Letters, digits and underscores, not beginning with a digit.
fn is_name(name: &str) -> bool {
    name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
        && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, error: &str) {
        assert_eq!(read(text).map(|it| it.len()).unwrap_err().to_string(), error);
    }

    #[test]
    fn files_are_read() {
        let groups = read(
            "groups:\n- name: shop\n  interval: 30s\n  limit: 10\n  labels: {team: store, tier: web}\n  rules:\n  \
             - record: job:errors:rate5m\n    expr: sum by (job) (rate(errors_total[5m]))\n    labels: {tier: all}\n  \
             - alert: Errors\n    expr: job:errors:rate5m > 1\n    for: 5m\n    keep_firing_for: 1m30s\n    \
             annotations: {summary: '{{ $labels.job }} has {{ $value | humanize }}'}\n",
        )
        .unwrap();
        let [group] = groups.as_slice() else { panic!("{groups:?}") };
        assert_eq!(
            (group.name.as_str(), group.interval_ms, group.limit),
            ("shop", Some(30_000), 10)
        );
        let [record, alert] = group.rules.as_slice() else { panic!("{group:?}") };
        assert!(matches!(record.kind, RuleKind::Recording));
        let names: Vec<&str> = record.labels.iter().map(|it| it.0.as_str()).collect();
        assert_eq!((names, record.line), (vec!["team", "tier"], 7));
        let RuleKind::Alerting(alerting) = &alert.kind else { panic!("{alert:?}") };
        assert_eq!((alerting.for_ms, alerting.keep_firing_for_ms), (300_000, 90_000));
        assert_eq!(read("").unwrap().len(), 0);
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        let rule = |fields: &str| format!("groups:\n- name: a\n  rules:\n  - {fields}\n");
        refused("groups:\n- rules: []\n", "2:3: Groupname must not be empty");
        refused("group: []\n", "1:1: unknown field \"group\"; there are groups");
        refused(
            "groups:\n- name: a\n- name: a\n",
            "3:3: groupname: \"a\" is repeated in the same file",
        );
        refused(&rule("expr: up"), "4:5: one of 'record' or 'alert' must be set");
        refused(
            &rule("{record: a, alert: b, expr: up}"),
            "4:5: only one of 'record' and 'alert' must be set",
        );
        refused(&rule("record: a"), "4:5: field 'expr' must be set in rule");
        refused(
            &rule("{record: a, expr: 'sum('}"),
            "4:23: could not parse expression: 1:5: parse error: unclosed left parenthesis",
        );
        refused(
            &rule("{record: a, expr: 'up[5m]'}"),
            "4:23: a rule has to give an instant vector, not a range vector",
        );
        refused(
            &rule("{record: a, expr: up, for: 5m}"),
            "4:32: invalid field 'for' in recording rule",
        );
        refused(&rule("{record: a-b, expr: up}"), "4:5: invalid recording rule name: a-b");
        refused(
            &rule("{alert: a, expr: up, for: soon}"),
            "4:31: not a valid duration string: \"soon\"",
        );
        refused(
            &rule("{alert: a, expr: up, labels: {__name__: b}}"),
            "4:35: invalid label name: __name__",
        );
        refused(
            &rule("{alert: a, expr: up, annotations: {b: '{{ range 1 }}'}}"),
            "4:40: {{ range 1 }}: \"range\" is not supported in templates",
        );
        refused(&rule("{alert: a, alert: b}"), "4:16: \"alert\" is there twice");
    }
}
