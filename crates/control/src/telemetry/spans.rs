//! Calls the data plane has seen, as spans of traces and as exemplars of durations.

use model::Timestamp;
use promql::Labels;
use telemetry::metrics::exemplars::Exemplar;
use telemetry::{Span, Stores, traces};

use super::names;

/// Keeps calls. Those whose ids are none are left out.
pub(crate) fn keep(stores: &Stores, calls: &[Span], now: Timestamp) {
    if calls.is_empty() || !stores.has_room() {
        return;
    }
    for exemplar in calls.iter().filter_map(exemplar) {
        stores.metrics.exemplars.push(exemplar);
    }
    let spans = calls.iter().filter_map(traces::mesh::span).collect();
    if let Err(error) = stores.traces.append(spans, now) {
        tracing::warn!(error = %model::chain(&error), "spans cannot be kept");
    }
}

/// From the bucket of durations a call fell into to its trace; only calls that reached a release are counted there.
fn exemplar(call: &Span) -> Option<Exemplar> {
    let release = call.release?.to_string();
    let edge = call.edge.as_ref()?;
    let caller = names::caller(&edge.caller);
    let metric = format!("{}_bucket", names::DURATION);
    let series = Labels::of([
        ("__name__", metric.as_str()),
        ("application", edge.application.as_str()),
        ("callee", edge.callee.as_str()),
        ("caller", caller.as_str()),
        ("job", "pelago"),
        ("le", names::bound_of(call.duration_us)),
        ("release", release.as_str()),
    ]);
    #[expect(clippy::cast_precision_loss, reason = "microseconds of one call")]
    let value = call.duration_us as f64 / 1e6;
    let labels = Labels::of([("trace_id", call.trace.as_str()), ("span_id", call.id.as_str())]);
    let at_ms = call.start.as_signed_millis();
    Some(Exemplar { series, labels, value, at_ms })
}
