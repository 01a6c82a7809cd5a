//! What Prometheus says of itself, as far as there is something to say.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use telemetry::board::{GroupStatus, RuleStatus};

use super::Shared;
use super::answer::{Refused, number, success_of};
use super::asked::Asked;

/// The version of Prometheus whose API and PromQL this is: clients choose by it what they may ask.
const PROMETHEUS: &str = "3.0.0";
/// Entries of each list of statistics, if nobody says how many.
const STATISTICS_DEFAULT: usize = 10;

pub(super) async fn build() -> Response {
    // Without `features`, or Grafana would take it for Mimir.
    success_of(&json!({
        "version": PROMETHEUS,
        "revision": concat!("pelago-", env!("CARGO_PKG_VERSION")),
        "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
    }))
}

pub(super) async fn configuration() -> Response {
    success_of(&json!({"yaml": "# Pelago has no configuration of Prometheus'; see pelago.yaml.\n"}))
}

pub(super) async fn flags() -> Response {
    success_of(&json!({}))
}

pub(super) async fn runtime(State(shared): State<Shared>) -> Response {
    let statistics = shared.stores.metrics.statistics();
    success_of(&json!({
        "reloadConfigSuccess": true,
        "storageRetention": "15d",
        "corruptionCount": 0,
        "goroutineCount": 0,
        "timeSeriesCount": statistics.series,
    }))
}

pub(super) async fn store(State(shared): State<Shared>, asked: Asked) -> Result<Response, Refused> {
    let limit = asked.limit()?.min(10_000);
    let limit = if asked.get("limit").is_some() { limit } else { STATISTICS_DEFAULT };
    let statistics = shared.stores.metrics.statistics();
    let labels = shared.stores.metrics.label_statistics(limit);
    let list = |all: Vec<(String, usize)>| -> Vec<_> {
        all.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    let (from_ms, to_ms) = statistics.range_ms.unwrap_or((0, 0));
    Ok(success_of(&json!({
        "headStats": {
            "numSeries": statistics.series,
            "chunkCount": statistics.series,
            "minTime": from_ms,
            "maxTime": to_ms,
        },
        "seriesCountByMetricName": list(labels.series_by_metric),
        "labelValueCountByLabelName": list(labels.values_by_label),
        "memoryInBytesByLabelName": [],
        "seriesCountByLabelValuePair": [],
    })))
}

pub(super) async fn replay() -> Response {
    success_of(&json!({"min": 0, "max": 0, "current": 0}))
}

pub(super) async fn alertmanagers() -> Response {
    success_of(&json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

pub(super) async fn targets(State(shared): State<Shared>) -> Response {
    let targets: Vec<_> = shared
        .stores
        .board
        .targets()
        .iter()
        .map(|it| {
            json!({
                "discoveredLabels": {},
                "labels": it.labels.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                "scrapePool": it.application,
                "scrapeUrl": it.url,
                "globalUrl": it.url,
                "lastError": it.error.clone().unwrap_or_default(),
                "lastScrape": it.at.to_string(),
                "lastScrapeDuration": it.seconds,
                "health": if it.error.is_none() { "up" } else { "down" },
                "scrapeInterval": format!("{}s", it.interval.as_secs()),
                "scrapeTimeout": format!("{}s", it.interval.as_secs()),
            })
        })
        .collect();
    success_of(&json!({"activeTargets": targets, "droppedTargets": []}))
}

pub(super) async fn rules(State(shared): State<Shared>, asked: Asked) -> Response {
    let wanted = asked.get("type");
    let groups: Vec<_> = shared.stores.board.rules().iter().map(|it| group(it, wanted)).collect();
    success_of(&json!({"groups": groups}))
}

fn group(of: &GroupStatus, wanted: Option<&str>) -> Value {
    let is_wanted = |it: &&RuleStatus| match wanted {
        Some("alert") => it.for_seconds.is_some(),
        Some("record") => it.for_seconds.is_none(),
        _ => true,
    };
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of an interval")]
    let interval = of.interval_ms as f64 / 1e3;
    let rules = of.rules.iter().filter(is_wanted);
    json!({
        "name": of.name,
        "file": format!("{}/{}", of.application, of.file),
        "interval": interval,
        "limit": 0,
        "evaluationTime": of.seconds,
        "lastEvaluation": of.at.to_string(),
        "rules": rules.map(|it| rule(it, of)).collect::<Vec<_>>(),
    })
}

fn rule(of: &RuleStatus, group: &GroupStatus) -> Value {
    let mut rule = json!({
        "name": of.name,
        "query": of.query,
        "labels": of.labels,
        "health": if of.error.is_none() { "ok" } else { "err" },
        "evaluationTime": group.seconds,
        "lastEvaluation": group.at.to_string(),
    });
    let mut more = match of.for_seconds {
        None => json!({"type": "recording"}),
        Some(for_seconds) => {
            let states = of.alerts.iter().map(|it| it.state);
            let state = states.max_by_key(|it| {
                ["inactive", "pending", "firing"].iter().position(|other| other == it)
            });
            json!({
                "type": "alerting",
                "duration": for_seconds,
                "annotations": of.annotations,
                "alerts": active(of).collect::<Vec<_>>(),
                "state": state.unwrap_or("inactive"),
            })
        }
    };
    if let Some(error) = &of.error {
        more["lastError"] = json!(error);
    }
    if let (Value::Object(rule), Value::Object(more)) = (&mut rule, more) {
        rule.extend(more);
    }
    rule
}

/// The alerts of a rule that are pending or fire.
fn active(of: &RuleStatus) -> impl Iterator<Item = Value> {
    of.alerts.iter().filter(|it| it.state != "inactive").map(|it| {
        let mut value = String::new();
        number(&mut value, it.value);
        json!({
            "labels": it.labels,
            "annotations": it.annotations,
            "state": it.state,
            "activeAt": it.active_at.to_string(),
            "value": value,
        })
    })
}

pub(super) async fn alerts(State(shared): State<Shared>) -> Response {
    let groups = shared.stores.board.rules();
    let alerts: Vec<_> = groups.iter().flat_map(|it| &it.rules).flat_map(active).collect();
    success_of(&json!({"alerts": alerts}))
}
