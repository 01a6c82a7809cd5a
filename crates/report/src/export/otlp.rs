//! Spans as OTLP has them in JSON: an `ExportTraceServiceRequest`, a resource for each instance.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>: ids as hexadecimal digits, times of 64 bits as
//! text, kinds and codes as numbers.

use std::collections::BTreeMap;

use api::simulation::Traces;
use model::Timestamp;
use serde_json::{Value, json};

use super::spans::{Exported, Side, spans};

/// OTLP's numbers of kinds, and of a status that is an error.
const KIND_SERVER: u8 = 2;
const KIND_CLIENT: u8 = 3;
const STATUS_ERROR: u8 = 2;

/// What OpenTelemetry's collector, and everything that takes in OTLP over HTTP, reads.
pub fn otlp(traces: &Traces, epoch: Timestamp) -> String {
    let spans = spans(traces, epoch);
    let mut resources: BTreeMap<(&str, &str, &str), Vec<&Exported<'_>>> = BTreeMap::new();
    for span in &spans {
        let instance = span.instance.as_deref().unwrap_or_default();
        resources
            .entry((span.service, instance, span.zone.unwrap_or_default()))
            .or_default()
            .push(span);
    }
    let application = traces.application.as_str();
    let resources: Vec<Value> =
        resources.iter().map(|(names, spans)| resource(application, *names, spans)).collect();
    let mut text = json!({ "resourceSpans": resources }).to_string();
    text.push('\n');
    text
}

fn resource(application: &str, names: (&str, &str, &str), spans: &[&Exported<'_>]) -> Value {
    let (service, instance, zone) = names;
    let attributes = [
        ("service.name", service),
        ("service.namespace", application),
        ("service.instance.id", instance),
        ("cloud.availability_zone", zone),
    ];
    let spans: Vec<Value> = spans.iter().map(|it| span(it)).collect();
    json!({
        "resource": { "attributes": written(&attributes) },
        "scopeSpans": [{ "scope": { "name": "pelago.simulator" }, "spans": spans }],
    })
}

fn span(it: &Exported<'_>) -> Value {
    let attributes = [
        ("peer.service", it.remote),
        ("pelago.instance", &it.called),
        ("pelago.outcome", it.outcome),
        ("pelago.simulated", "true"),
        ("pelago.users", it.users),
    ];
    let mut span = json!({
        "traceId": format!("{:032x}", it.trace),
        "spanId": format!("{:016x}", it.id),
        "name": it.name(),
        "kind": match it.side {
            Side::Client => KIND_CLIENT,
            Side::Server => KIND_SERVER,
        },
        "startTimeUnixNano": it.start_ns.to_string(),
        "endTimeUnixNano": it.end_ns.to_string(),
        "attributes": written(&attributes),
    });
    let Some(fields) = span.as_object_mut() else { return span };
    if let Some(parent) = it.parent {
        fields.insert("parentSpanId".to_owned(), json!(format!("{parent:016x}")));
    }
    if let Some(error) = it.error() {
        fields.insert("status".to_owned(), json!({ "code": STATUS_ERROR, "message": error }));
    }
    if let Some(began) = it.began_ns {
        let event = json!({ "timeUnixNano": began.to_string(), "name": "began" });
        fields.insert("events".to_owned(), json!([event]));
    }
    span
}

/// Attributes that have a value.
fn written(attributes: &[(&str, &str)]) -> Vec<Value> {
    let filled = attributes.iter().filter(|it| !it.1.is_empty());
    filled.map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } })).collect()
}
