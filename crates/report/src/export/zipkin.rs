//! Spans as Zipkin's version 2 has them: a list as JSON, a span a line.
//!
//! Source: <https://zipkin.io/zipkin-api/zipkin2-api.yaml>.

use std::collections::BTreeMap;

use api::simulation::Traces;
use model::Timestamp;
use serde::Serialize;

use super::spans::{Exported, Side, spans};

/// A span as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    trace_id: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    kind: &'static str,
    name: &'a str,
    timestamp: u64,
    duration: u64,
    local_endpoint: Endpoint<'a>,
    remote_endpoint: Endpoint<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
    tags: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint<'a> {
    service_name: &'a str,
}

#[derive(Serialize)]
struct Annotation {
    timestamp: u64,
    value: &'static str,
}

/// What Zipkin, and everything that takes in its spans, reads.
pub fn zipkin(traces: &Traces, epoch: Timestamp) -> String {
    let spans = spans(traces, epoch);
    // What is written here cannot fail: keys are texts, and memory takes everything.
    let line = |it: &Exported<'_>| {
        serde_json::to_string(&span(it, &traces.application)).unwrap_or_default()
    };
    let lines: Vec<String> = spans.iter().map(line).collect();
    format!("[{}]\n", lines.join(",\n"))
}

fn span<'a>(it: &'a Exported<'a>, application: &'a str) -> Span<'a> {
    let mut tags = BTreeMap::from([
        ("pelago.application", application),
        ("pelago.instance", it.called.as_str()),
        ("pelago.outcome", it.outcome),
        ("pelago.simulated", "true"),
        ("pelago.users", it.users),
    ]);
    tags.extend(it.error().map(|error| ("error", error)));
    tags.extend(it.zone.map(|zone| ("pelago.zone", zone)));
    Span {
        trace_id: format!("{:032x}", it.trace),
        id: format!("{:016x}", it.id),
        parent_id: it.parent.map(|it| format!("{it:016x}")),
        kind: match it.side {
            Side::Client => "CLIENT",
            Side::Server => "SERVER",
        },
        name: it.name(),
        timestamp: it.start_ns / 1_000,
        // Nothing takes no time: zero is for what is not known.
        duration: (it.end_ns - it.start_ns).div_ceil(1_000).max(1),
        local_endpoint: Endpoint { service_name: it.service },
        remote_endpoint: Endpoint { service_name: it.remote },
        annotations: it
            .began_ns
            .map(|at| Annotation { timestamp: at / 1_000, value: "began" })
            .into_iter()
            .collect(),
        tags,
    }
}
