//! Views of traces: in a list, one in full, two side by side, and what calls what according to them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Traces that were found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TracesView {
    /// The traces, newest first.
    pub traces: Vec<TraceSummaryView>,
    /// Whether all was read that had to be; if not, ask for less time.
    pub is_complete: bool,
}

/// A trace in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceSummaryView {
    /// The trace, 32 hexadecimal digits.
    pub trace: String,
    /// When it began, in RFC 3339.
    pub start: String,
    /// Milliseconds from its beginning to its end.
    pub duration_ms: f64,
    /// The service its root is of.
    pub service: String,
    /// What its root did.
    pub operation: String,
    /// Its spans.
    pub spans: usize,
    /// Those that failed.
    pub errors: usize,
    /// Its spans by service.
    pub services: BTreeMap<String, usize>,
}

/// A trace in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceView {
    /// What is said of it in a list.
    pub summary: TraceSummaryView,
    /// Its spans: parents before their children, children by when they began.
    pub spans: Vec<TraceSpanView>,
}

/// A span of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceSpanView {
    /// The span, 16 hexadecimal digits.
    pub id: String,
    /// The span it is part of, if it said so.
    pub parent: Option<String>,
    /// How many there are above it.
    pub depth: usize,
    /// Whether its parent was never reported.
    pub is_orphan: bool,
    /// Who did the work.
    pub service: String,
    /// What was done.
    pub operation: String,
    /// What it is to a call: `client`, `server`, `producer`, `consumer`, `internal`, or empty.
    pub kind: String,
    /// The other side of the call, if it is known.
    pub remote: String,
    /// Milliseconds from the beginning of the trace, clocks corrected.
    pub offset_ms: f64,
    /// Milliseconds it took.
    pub duration_ms: f64,
    /// Milliseconds of the whole trace that were waited for this span's own work (the critical path).
    pub critical_ms: f64,
    /// Whether it failed.
    pub is_error: bool,
    /// What else is known.
    pub tags: Vec<(String, String)>,
    /// What happened meanwhile: milliseconds from the beginning of the trace, and what.
    pub events: Vec<(f64, String)>,
}

/// Two traces side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceComparisonView {
    /// The first trace.
    pub first: TraceSummaryView,
    /// The second.
    pub second: TraceSummaryView,
    /// What either did, by the path of services and operations from the root.
    pub rows: Vec<TraceComparisonRow>,
}

/// What two traces did at one path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceComparisonRow {
    /// How many there are above it.
    pub depth: usize,
    /// The service.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// In the first trace.
    pub first: TraceComparisonSide,
    /// In the second.
    pub second: TraceComparisonSide,
}

/// What one trace did at a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceComparisonSide {
    /// Spans.
    pub count: u64,
    /// Those that failed.
    pub errors: u64,
    /// The sum of their durations, in milliseconds.
    pub total_ms: f64,
}

/// One service that calls another, according to traces that were kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DependencyView {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// Calls in the time asked for.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Calls a second.
    pub rate: f64,
    /// Their mean duration, in milliseconds.
    pub mean_ms: f64,
    /// The longest, in milliseconds.
    pub longest_ms: f64,
}
