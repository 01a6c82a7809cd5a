//! Metrics as text: the platform's own, and those of the store for another Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use axum::extract::State;
use axum::response::Response;
use promql::eval;
use promql::{Labels, Matcher, labels};
use telemetry::Stores;
use telemetry::metrics::Metadata;
use telemetry::metrics::exposition::write_escaped;

use super::Shared;
use super::answer::{Refused, number};
use super::asked::Asked;
use super::delivery::{Pieces, Wanted};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The latest values of what the platform measures itself.
pub(super) async fn metrics(State(shared): State<Shared>) -> Result<Response, Refused> {
    let matchers = vec![Matcher::equal("job", "pelago")];
    respond(&shared, vec![matchers], Times::Left).await
}

/// The latest values of what is selected, each with its time.
pub(super) async fn federate(
    State(shared): State<Shared>,
    asked: Asked,
) -> Result<Response, Refused> {
    respond(&shared, asked.selectors()?, Times::Written).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    Written,
    Left,
}

type Latest = BTreeMap<Labels, (i64, f64)>;

async fn respond(
    shared: &Shared,
    selectors: Vec<Vec<Matcher>>,
    times: Times,
) -> Result<Response, Refused> {
    let now = shared.clock.timestamp().as_signed_millis();
    let find = move |stores: &Stores, wanted: &Wanted| {
        Ok((latest(stores, wanted, &selectors, now)?, stores.metrics.all_metadata()))
    };
    shared
        .deliver(TEXT, find, move |(found, about), pieces| write(pieces, found, about, times))
        .await
}

/// The latest sample of every series that fits one of the selectors, unless it has ended or is too old.
fn latest(
    stores: &Stores,
    wanted: &Wanted,
    selectors: &[Vec<Matcher>],
    now: i64,
) -> Result<Latest, Refused> {
    let mut found = Latest::new();
    let from_ms = now - eval::Limits::default().lookback_ms;
    for matchers in selectors {
        let selection = promql::Selection { matchers, from_ms, to_ms: now };
        promql::Source::select(&stores.metrics, &selection, &mut |series| {
            if let (Some(at), Some(value)) = (series.times.last(), series.values.last())
                && !promql::source::is_stale(*value)
            {
                found.insert(series.labels.clone(), (*at, *value));
            }
            if wanted.is() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
    }
    Ok(found)
}

/// Metrics by name, each with what is said about it.
fn write(
    pieces: &mut Pieces,
    found: &Latest,
    metadata: &BTreeMap<String, Metadata>,
    times: Times,
) -> Result<(), Refused> {
    let mut described = String::new();
    // Labels are sorted by name, and `__name__` is not the first of all names.
    let mut all: Vec<_> = found.iter().collect();
    all.sort_by_key(|it| it.0.metric());
    for (labels, (at_ms, value)) in all {
        let out = &mut pieces.text;
        let metric = labels.metric();
        let family =
            ["_bucket", "_sum", "_count"].into_iter().filter_map(|it| metric.strip_suffix(it));
        let about = family.chain([metric]).find_map(|it| Some((it, metadata.get(it)?)));
        if let Some((name, about)) = about
            && described != name
        {
            name.clone_into(&mut described);
            let help = about.help.replace('\\', "\\\\").replace('\n', "\\n");
            let kind = if about.kind.is_empty() { "untyped" } else { &about.kind };
            // Writing to a string does not fail.
            let _written = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        out.push_str(metric);
        let others = labels.iter().filter(|it| &*it.0 != labels::NAME);
        for (place, (name, value)) in others.enumerate() {
            out.push(if place == 0 { '{' } else { ',' });
            out.push_str(name);
            out.push_str("=\"");
            write_escaped(out, value);
            out.push('"');
        }
        if 1 < labels.len() {
            out.push('}');
        }
        out.push(' ');
        number(out, *value);
        if times == Times::Written {
            let _written = write!(out, " {at_ms}");
        }
        out.push('\n');
        pieces.next()?;
    }
    Ok(())
}
