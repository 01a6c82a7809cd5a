//! What is kept of what is measured: traces, logs, and how full the stores are. (Metrics have Prometheus' API.)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::records::{RecordView, RecordsView};
use api::telemetry::{RefusedSignalView, SignalView, TargetView, TelemetryView};
use api::trace::{
    DependencyView, TraceComparisonRow, TraceComparisonSide, TraceComparisonView, TraceSpanView,
    TraceSummaryView, TraceView, TracesView,
};
use api::{ApiError, ErrorKind, Platform};
use axum::Json;
use axum::extract::{Path, Query, State};
use model::Timestamp;
use model::units::parse_duration;
use serde::Deserialize;
use telemetry::traces::compare::{self, Side};
use telemetry::traces::critical_path::critical_path;
use telemetry::traces::span::{read_trace_hex, span_hex, trace_hex};
use telemetry::traces::tree::tree;
use telemetry::traces::{self, Span, Summary, Term};
use telemetry::{Stores, logs};

use super::{Asked, Named, Shape, Shared, parse, parse_some};
use crate::answer::{Failure, invalid};
use crate::wait;

/// Traces answered if nobody says how many.
const TRACES_DEFAULT: usize = 20;
/// Traces answered, at most.
const TRACES_MAX: usize = 1_000;
/// Records answered if nobody says how many.
const RECORDS_DEFAULT: usize = 100;
/// Time of which dependencies are told if nobody says since when.
const DEPENDENCIES_DEFAULT_US: u64 = 3_600 * 1_000_000;

/// Runs what reads files beside everything else.
async fn work<P: Clone, T: Send + 'static>(
    shared: &Shared<P>,
    work: impl FnOnce(&Stores) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let stores = Arc::clone(&shared.measured.stores);
    let worked = tokio::task::spawn_blocking(move || work(&stores)).await;
    worked.unwrap_or_else(|error| Err(ApiError::new(ErrorKind::Internal, error.to_string()).into()))
}

fn micros(name: &str, text: Option<&str>) -> Result<Option<u64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let at = Timestamp::parse(text);
    let at = at.ok_or_else(|| invalid(format!("{name}: `{text}` is no time in RFC 3339")))?;
    Ok(Some(at.as_millis().saturating_mul(1_000)))
}

fn duration_us(name: &str, text: Option<&str>) -> Result<Option<u64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let duration = parse_duration(text).map_err(|error| invalid(format!("{name}: {error}")))?;
    Ok(Some(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
}

fn time(at_us: u64) -> String {
    Timestamp::from_millis(at_us / 1_000).to_string()
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a trace")]
fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TracesQuery {
    service: Option<String>,
    operation: Option<String>,
    query: Option<String>,
    min: Option<String>,
    max: Option<String>,
    errors: Option<bool>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn traces<P: Platform>(
    State(shared): Shape<P>,
    query: Asked<TracesQuery>,
) -> Result<Json<TracesView>, Failure> {
    let Query(asked) = query?;
    let query = traces::Query {
        terms: Term::read_all(asked.query.as_deref().unwrap_or_default()),
        duration_least_us: duration_us("min", asked.min.as_deref())?,
        duration_most_us: duration_us("max", asked.max.as_deref())?,
        errors_only: asked.errors.unwrap_or(false),
        from_us: micros("since", asked.since.as_deref())?.unwrap_or(0),
        until_us: micros("until", asked.until.as_deref())?.unwrap_or(u64::MAX),
        limit: asked.limit.unwrap_or(TRACES_DEFAULT).clamp(1, TRACES_MAX),
        service: asked.service,
        operation: asked.operation,
        remote: None,
    };
    let found = work(&shared, move |stores| Ok(stores.traces.search(&query))).await?;
    let traces = found.traces.iter().map(|it| summary(&it.0)).collect();
    Ok(Json(TracesView { traces, is_complete: found.is_complete }))
}

fn summary(of: &Summary) -> TraceSummaryView {
    TraceSummaryView {
        trace: trace_hex(of.trace),
        start: time(of.start_us),
        duration_ms: ms(of.duration_us),
        service: of.service.clone(),
        operation: of.operation.clone(),
        spans: of.spans,
        errors: of.errors,
        services: of.services.clone(),
    }
}

/// The spans of a trace, which must be there.
fn spans_of(stores: &Stores, text: &str) -> Result<(Summary, Vec<Span>), Failure> {
    let wrong = || invalid(format!("`{text}` is no id of a trace: 16 or 32 hexadecimal digits"));
    let spans = stores.traces.trace(read_trace_hex(text).ok_or_else(wrong)?);
    let missing = || {
        let message =
            format!("there is no trace {text}; it may not have been sampled, or be gone by now");
        ApiError::new(ErrorKind::NotFound, message)
    };
    let summary = Summary::of(&spans).ok_or_else(missing)?;
    Ok((summary, spans))
}

pub(super) async fn trace<P: Platform>(
    State(shared): Shape<P>,
    path: Named<String>,
) -> Result<Json<TraceView>, Failure> {
    let Path(text) = path?;
    let (of, spans) = work(&shared, move |stores| spans_of(stores, &text)).await?;
    let mut critical: BTreeMap<usize, u64> = BTreeMap::new();
    for stretch in critical_path(&spans) {
        *critical.entry(stretch.span).or_default() += stretch.until_us - stretch.from_us;
    }
    let nodes = tree(&spans);
    let start_us = nodes.iter().map(|it| it.start_us).min().unwrap_or(0);
    let views = nodes.iter().filter_map(|node| {
        let span = spans.get(node.span)?;
        let events = span.events.iter();
        Some(TraceSpanView {
            id: span_hex(span.id),
            parent: span.parent.map(span_hex),
            depth: node.depth,
            is_orphan: node.is_orphan,
            service: span.service.clone(),
            operation: span.operation.clone(),
            kind: span.kind.name().to_owned(),
            remote: span.remote.clone(),
            offset_ms: ms(node.start_us.saturating_sub(start_us)),
            duration_ms: ms(span.duration_us),
            critical_ms: ms(critical.get(&node.span).copied().unwrap_or(0)),
            is_error: span.is_error,
            tags: span.tags.clone(),
            events: events.map(|(at, it)| (ms(at.saturating_sub(start_us)), it.clone())).collect(),
        })
    });
    Ok(Json(TraceView { summary: summary(&of), spans: views.collect() }))
}

pub(super) async fn compare<P: Platform>(
    State(shared): Shape<P>,
    path: Named<(String, String)>,
) -> Result<Json<TraceComparisonView>, Failure> {
    let Path((first, second)) = path?;
    let both =
        work(&shared, move |stores| Ok((spans_of(stores, &first)?, spans_of(stores, &second)?)));
    let ((first, first_spans), (second, second_spans)) = both.await?;
    let side = |it: &Side| TraceComparisonSide {
        count: it.count,
        errors: it.errors,
        total_ms: ms(it.total_us),
    };
    let rows =
        compare::compare(&first_spans, &second_spans).into_iter().map(|row| TraceComparisonRow {
            depth: row.depth,
            first: side(&row.first),
            second: side(&row.second),
            service: row.service,
            operation: row.operation,
        });
    Ok(Json(TraceComparisonView {
        first: summary(&first),
        second: summary(&second),
        rows: rows.collect(),
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeQuery {
    since: Option<String>,
    until: Option<String>,
}

pub(super) async fn dependencies<P: Platform>(
    State(shared): Shape<P>,
    query: Asked<TimeQuery>,
) -> Result<Json<Vec<DependencyView>>, Failure> {
    let Query(asked) = query?;
    let now_us = shared.measured.clock.timestamp().as_millis().saturating_mul(1_000);
    let until_us = micros("until", asked.until.as_deref())?.unwrap_or(now_us);
    let since_us = micros("since", asked.since.as_deref())?;
    let since_us = since_us.unwrap_or_else(|| until_us.saturating_sub(DEPENDENCIES_DEFAULT_US));
    let found = work(&shared, move |stores| Ok(stores.traces.dependencies(since_us, until_us)));
    let seconds = (ms(until_us.saturating_sub(since_us)) / 1e3).max(1.0);
    #[expect(clippy::cast_precision_loss, reason = "calls of some time")]
    let views = found.await?.into_iter().map(|it| DependencyView {
        calls: it.calls.count,
        errors: it.calls.errors,
        rate: it.calls.count as f64 / seconds,
        mean_ms: ms(it.calls.total_us) / (it.calls.count.max(1) as f64),
        longest_ms: ms(it.calls.longest_us),
        caller: it.caller,
        callee: it.callee,
    });
    Ok(Json(views.collect()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordsQuery {
    application: Option<String>,
    service: Option<String>,
    instance: Option<String>,
    severity: Option<String>,
    query: Option<String>,
    trace: Option<String>,
    since: Option<String>,
    until: Option<String>,
    order: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    after: Option<u64>,
    wait: Option<String>,
}

impl RecordsQuery {
    fn meant(&self) -> Result<logs::Query, Failure> {
        let services = self.service.as_deref().unwrap_or_default().split(',');
        let no_trace = |it: &str| invalid(format!("trace: `{it}` is no id of a trace"));
        let trace = self.trace.as_deref();
        let trace = trace.map(|it| read_trace_hex(it).ok_or_else(|| no_trace(it))).transpose()?;
        let order = match self.order.as_deref() {
            None | Some("newest") => logs::Order::Newest,
            Some("oldest") => logs::Order::Oldest,
            Some(other) => {
                return Err(invalid(format!("order: `{other}` is none; write newest or oldest")));
            }
        };
        let filter = logs::Filter::parse(self.query.as_deref().unwrap_or_default());
        Ok(logs::Query {
            application: self.application.clone(),
            services: services.filter(|it| !it.is_empty()).map(str::to_owned).collect(),
            instance: self.instance.clone(),
            severity: parse_some("severity", self.severity.as_deref())?,
            filter: filter.map_err(|error| invalid(format!("query: {error}")))?,
            trace,
            from_us: micros("since", self.since.as_deref())?.unwrap_or(0),
            to_us: micros("until", self.until.as_deref())?.unwrap_or(u64::MAX),
            order,
            limit: self.limit.unwrap_or(RECORDS_DEFAULT),
            cursor: self.cursor.as_deref().map(|it| parse("cursor", it)).transpose()?,
            scan_bytes: logs::SCAN_BYTES,
        })
    }
}

pub(super) async fn records<P: Platform>(
    State(shared): Shape<P>,
    query: Asked<RecordsQuery>,
) -> Result<Json<RecordsView>, Failure> {
    let Query(asked) = query?;
    let query = asked.meant()?;
    if let Some(after) = asked.after {
        let wait = wait::parse(asked.wait.as_deref())?;
        return Ok(Json(said_since(&shared, query, after, wait).await?));
    }
    let position = shared.measured.stores.logs.position();
    let page = work(&shared, move |stores| Ok(stores.logs.search(&query))).await?;
    let records = page.hits.into_iter().map(|it| record(it.record));
    Ok(Json(RecordsView {
        records: records.collect(),
        next: page.cursor.map(|it| it.to_string()),
        position,
        damaged_blocks: page.damaged_blocks,
    }))
}

/// What was said since a position, as soon as there is something.
async fn said_since<P: Platform>(
    shared: &Shared<P>,
    query: logs::Query,
    mut position: u64,
    wait: Duration,
) -> Result<RecordsView, Failure> {
    let mut records = Vec::new();
    let more = async {
        let mut ticks = tokio::time::interval(super::LOG_POLL);
        while records.is_empty() {
            ticks.tick().await;
            if shared.measured.stores.logs.position() == position {
                continue;
            }
            let (query, from) = (query.clone(), position);
            let tail = work(shared, move |stores| Ok(stores.logs.after(from, &query))).await?;
            position = tail.position;
            records = tail.hits.into_iter().map(|it| record(it.record)).collect();
        }
        Ok::<(), Failure>(())
    };
    if let Some(result) = wait::at_most(wait, &shared.stop, more).await {
        result?;
    }
    Ok(RecordsView { records, next: None, position, damaged_blocks: 0 })
}

fn record(of: logs::Record) -> RecordView {
    RecordView {
        at: time(of.at_us),
        application: of.source.application.clone(),
        service: of.source.service.clone(),
        instance: of.source.instance.clone(),
        stream: of.source.stream.as_str().to_owned(),
        severity: of.severity.map(|it| it.as_str().to_owned()),
        text: of.text,
        fields: of.fields,
        trace: of.trace.map(trace_hex),
        span: of.span.map(span_hex),
    }
}

pub(super) async fn telemetry<P: Platform>(
    State(shared): Shape<P>,
) -> Result<Json<TelemetryView>, Failure> {
    Ok(Json(work(&shared, |stores| Ok(status(stores))).await?))
}

fn status(stores: &Stores) -> TelemetryView {
    let (metrics, traces, logs) =
        (stores.metrics.statistics(), stores.traces.stats(), stores.logs.status());
    let signal = |signal: &str, bytes, [count, accepted, groups]: [u64; 3]| SignalView {
        signal: signal.to_owned(),
        bytes,
        count,
        accepted,
        groups,
    };
    let said: u64 = logs.services.iter().map(|it| it.tally.accepted).sum();
    let samples = metrics.block_samples + metrics.head_samples;
    let signals = vec![
        signal("metrics", metrics.disk_bytes(), [samples, metrics.appended, metrics.series as u64]),
        signal(
            "traces",
            traces.disk_bytes(),
            [traces.segment_spans, traces.appended.accepted, traces.segment_traces],
        ),
        signal("logs", logs.disk_bytes(), [logs.records, said, logs.services.len() as u64]),
    ];
    let refused = |signal: &str, origin: String, reason: String, count| RefusedSignalView {
        signal: signal.to_owned(),
        origin,
        reason,
        count,
    };
    let of_metrics = metrics.refused.into_iter();
    let of_metrics = of_metrics
        .map(|(origin, it, count)| refused("metrics", origin, it.as_str().to_owned(), count));
    let of_traces = traces.refused_by_service.into_iter();
    let of_traces =
        of_traces.map(|(service, count)| refused("traces", service, "memory".to_owned(), count));
    let of_sampling = traces.decided.left_out_by_service.into_iter();
    let of_sampling =
        of_sampling.map(|(service, count)| refused("traces", service, "budget".to_owned(), count));
    let of_logs = logs.services.into_iter().flat_map(|it| {
        let origin = format!("{}/{}", it.application, it.service);
        let all = it.tally.refused.into_iter();
        all.map(move |(why, count)| refused("logs", origin.clone(), why.to_string(), count))
    });
    let targets = stores.board.targets();
    TelemetryView {
        signals,
        refused: of_metrics.chain(of_traces).chain(of_sampling).chain(of_logs).collect(),
        targets: targets
            .iter()
            .map(|it| TargetView {
                application: it.application.clone(),
                url: it.url.clone(),
                samples: it.samples,
                error: it.error.clone(),
            })
            .collect(),
    }
}
