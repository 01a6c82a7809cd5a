//! `pelago trace`: a list of traces, one as a waterfall, or two side by side.

use std::collections::BTreeSet;
use std::time::Duration;

use api::records::RecordsView;
use api::trace::{
    TraceComparisonRow, TraceComparisonView, TraceSpanView, TraceSummaryView, TraceView, TracesView,
};
use model::Timestamp;

use super::records;
use super::top::latency;
use crate::arguments::Trace;
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::output::{Output, Tone, Writing, one_line};
use crate::table::{Cell, plain};
use crate::{Context, daemon, table, visible, when};

/// Columns of a bar, if the terminal does not say how wide it is.
const BAR_DEFAULT: usize = 40;
/// Characters of an id that a list shows, and that are enough to find a trace again in it.
const SHORT: usize = 12;
/// Traces looked through for the beginning of an id, or for the slowest.
const LOOK_THROUGH: usize = 1_000;

pub(crate) async fn run(
    context: &Context,
    asked: &Trace,
    output: &mut Output,
) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let Some(id) = &asked.id else { return list(context, &client, asked, output).await };
    let id = whole(&client, id).await?;
    if let Some(other) = &asked.compare {
        let other = whole(&client, other).await?;
        let target = Target::new(&["v1", "traces", &id, "compare", &other]);
        let view: TraceComparisonView = client.get(target).await?;
        return if output.is_json() { output.json(&view) } else { side_by_side(&view, output) };
    }
    let view: TraceView = client.get(Target::new(&["v1", "traces", &id])).await?;
    if output.is_json() {
        return output.json(&view);
    }
    let columns = output.size().columns;
    for line in waterfall(&view, columns, output) {
        output.line(&line)?;
    }
    if asked.logs { said_meanwhile(&client, &view, output).await } else { Ok(()) }
}

/// Shows what the services of a trace said while it lasted.
async fn said_meanwhile(
    client: &Client,
    view: &TraceView,
    output: &mut Output,
) -> Result<(), CommandError> {
    let Some(start) = Timestamp::parse(&view.summary.start) else { return Ok(()) };
    let lasted = Duration::from_secs_f64((view.summary.duration_ms / 1e3).clamp(0.0, 86_400.0));
    let names = view.spans.iter().flat_map(|it| [it.service.as_str(), it.remote.as_str()]);
    let names: BTreeSet<&str> = names.filter(|it| !it.is_empty()).collect();
    let target = Target::new(&["v1", "records"])
        .with("service", Some(names.into_iter().collect::<Vec<_>>().join(",")))
        .with("since", Some(start))
        // Times are kept to the millisecond, and lines are written a little after what they tell.
        .with("until", Some(start.after(lasted + Duration::from_millis(2))))
        .with("order", Some("oldest"))
        .with("limit", Some(RECORDS_MAX));
    let records: RecordsView = client.get(target).await?;
    for record in &records.records {
        records::print(record, Writing::Visible, output)?;
    }
    if records.next.is_some() {
        output.note("there is more; `pelago logs --search` finds it")?;
    }
    Ok(())
}

/// Records shown beside a trace, at most.
const RECORDS_MAX: usize = 200;

/// The whole id of a trace of which only the beginning was written.
async fn whole(client: &Client, id: &str) -> Result<String, CommandError> {
    if 16 <= id.len() {
        return Ok(id.to_owned());
    }
    let target = Target::new(&["v1", "traces"]).with("limit", Some(LOOK_THROUGH));
    let view: TracesView = client.get(target).await?;
    let mut found: Vec<_> = view.traces.iter().filter(|it| it.trace.starts_with(id)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one.trace.clone()),
        (None, _) => {
            let message =
                format!("none of the latest traces begins with `{id}`; write all of its id");
            Err(CommandError::wrong(message))
        }
        (Some(_), false) => {
            let message = format!("several traces begin with `{id}`; write more of its id");
            Err(CommandError::wrong(message))
        }
    }
}

async fn list(
    context: &Context,
    client: &Client,
    asked: &Trace,
    output: &mut Output,
) -> Result<(), CommandError> {
    let now = (context.now)();
    let since = when::parse(&asked.since, now)?;
    let limit = if asked.choice.slow { LOOK_THROUGH } else { asked.limit };
    let target = Target::new(&["v1", "traces"])
        .with("service", asked.service.as_deref())
        .with("errors", asked.choice.errors.then_some(true))
        .with("min", asked.min.as_deref())
        .with("query", asked.query.as_deref())
        .with("since", Some(since))
        .with("limit", Some(limit));
    let mut view: TracesView = client.get(target).await?;
    if asked.choice.slow {
        view.traces.sort_by(|a, b| b.duration_ms.total_cmp(&a.duration_ms));
        view.traces.truncate(asked.limit);
    }
    if output.is_json() {
        return output.json(&view);
    }
    if view.traces.is_empty() {
        return output.note(
            "no trace fits; calls are traced as they cross the mesh, and kept within the budget",
        );
    }
    let rows: Vec<_> = view.traces.iter().map(|it| row(it, now)).collect();
    table::write(output, &HEADING, &rows)?;
    if !view.is_complete {
        output.note("there may be more; ask for less time with --since")?;
    }
    Ok(())
}

const HEADING: [&str; 7] = ["TRACE", "AGO", "DURATION", "SPANS", "ERRORS", "ROOT", "SERVICES"];

fn row(it: &TraceSummaryView, now: Timestamp) -> Vec<Cell> {
    let errors = match it.errors {
        0 => ("-".to_owned(), Tone::Faint),
        count => (count.to_string(), Tone::Bad),
    };
    let services: Vec<&str> = it.services.keys().map(String::as_str).collect();
    vec![
        (it.trace.chars().take(SHORT).collect(), Tone::Strong),
        plain(&when::ago(&it.start, now)),
        plain(&latency(Some(it.duration_ms))),
        plain(&it.spans.to_string()),
        errors,
        plain(&format!("{} {}", it.service, it.operation)),
        (services.join(" "), Tone::Faint),
    ]
}

fn heading(it: &TraceSummaryView, output: &Output) -> String {
    let errors = match it.errors {
        0 => String::new(),
        1 => output.paint(Tone::Bad, ", 1 of them failed"),
        count => output.paint(Tone::Bad, &format!(", {count} of them failed")),
    };
    let spans = if it.spans == 1 { "1 span" } else { &format!("{} spans", it.spans) };
    let trace = output.paint(Tone::Strong, &it.trace);
    format!("{trace}  {} at {}, {spans}{errors}", latency(Some(it.duration_ms)), it.start)
}

/// What says why a span failed, in the order in which it is shown.
const WHY: [&str; 7] = [
    "http.status_code",
    "error",
    "pelago.fault",
    "pelago.limit",
    "pelago.limit_value",
    "pelago.limit_key",
    "pelago.hop",
];

/// One line a span: what was done, and when within the whole. Under one that failed stands why.
fn waterfall(view: &TraceView, columns: usize, output: &Output) -> Vec<String> {
    let label = |span: &TraceSpanView| {
        let indent = "  ".repeat(span.depth.min(20));
        let remote = match span.remote.as_str() {
            "" => String::new(),
            remote => format!(" → {remote}"),
        };
        visible::line(&format!("{indent}{}{remote}  {}", span.service, span.operation)).into_owned()
    };
    let labels: Vec<String> = view.spans.iter().map(label).collect();
    // A bar is worth nothing in a few columns, and a name little in a few letters.
    let longest = labels.iter().map(|it| it.chars().count()).max().unwrap_or(0);
    let names = longest.min((columns / 2).max(24));
    let bar = columns.saturating_sub(names + 12).clamp(10, 2 * BAR_DEFAULT);
    let whole = view.summary.duration_ms.max(f64::MIN_POSITIVE);
    let mut lines = vec![heading(&view.summary, output)];
    for (span, label) in view.spans.iter().zip(labels) {
        let tone = if span.is_error { Tone::Bad } else { Tone::Plain };
        let label: String = label.chars().take(names).collect();
        let label = output.paint(tone, &format!("{label:<names$}"));
        let time = format!("{:>8}", latency(Some(span.duration_ms)));
        lines.push(format!("{label} {} {time}", bar_of(span, whole, bar, output)));
        if span.is_error {
            let indent = "  ".repeat(span.depth.min(20) + 1);
            let why = WHY.iter().filter_map(|key| span.tags.iter().find(|it| it.0 == *key));
            lines.extend(why.map(|(key, value)| {
                output.paint(Tone::Bad, &format!("{indent}{key}: {}", one_line(value)))
            }));
        }
    }
    lines.push(output.paint(Tone::Faint, "█ what the whole waited for"));
    lines
}

/// A span's time within the whole; what the whole waited for is full.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "columns of a terminal"
)]
fn bar_of(span: &TraceSpanView, whole_ms: f64, columns: usize, output: &Output) -> String {
    let place = |ms: f64| ((ms / whole_ms * columns as f64).round() as usize).min(columns);
    let start = place(span.offset_ms).min(columns.saturating_sub(1));
    let end = place(span.offset_ms + span.duration_ms).clamp(start + 1, columns.max(start + 1));
    let length = end - start;
    let critical = match span.duration_ms {
        0.0 => 0,
        duration => ((span.critical_ms / duration * length as f64).round() as usize).min(length),
    };
    let tone = if span.is_error { Tone::Bad } else { Tone::Good };
    let full = output.paint(tone, &"█".repeat(critical));
    let light = output.paint(Tone::Faint, &"─".repeat(length - critical));
    format!("{}{full}{light}{}", " ".repeat(start), " ".repeat(columns.saturating_sub(end)))
}

fn side_by_side(view: &TraceComparisonView, output: &mut Output) -> Result<(), CommandError> {
    for summary in [&view.first, &view.second] {
        let line = heading(summary, output);
        output.line(&line)?;
    }
    let rows: Vec<_> = view.rows.iter().map(comparison).collect();
    table::write(output, &["FIRST", "SECOND", "DIFFERENCE", "OPERATION"], &rows)
}

fn comparison(row: &TraceComparisonRow) -> Vec<Cell> {
    #[expect(clippy::cast_precision_loss, reason = "spans of a trace")]
    let side = |count: u64, total_ms: f64| match count {
        0 => ("-".to_owned(), Tone::Faint),
        1 => plain(&latency(Some(total_ms))),
        count => plain(&format!("{count} × {}", latency(Some(total_ms / count as f64)))),
    };
    let difference = row.second.total_ms - row.first.total_ms;
    let tone = match (difference, row.first.count, row.second.count) {
        (_, 0, _) | (_, _, 0) => Tone::Busy,
        (it, _, _) if row.first.total_ms.max(1.0) * 0.25 < it => Tone::Bad,
        _ => Tone::Plain,
    };
    let sign = if difference < 0.0 { "-" } else { "+" };
    let indent = "· ".repeat(row.depth.min(20));
    vec![
        side(row.first.count, row.first.total_ms),
        side(row.second.count, row.second.total_ms),
        (format!("{sign}{}", latency(Some(difference.abs()))), tone),
        plain(&format!("{indent}{} {}", row.service, row.operation)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use api::trace::TraceComparisonSide;

    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};

    fn summary(errors: usize) -> TraceSummaryView {
        TraceSummaryView {
            trace: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            start: "2026-11-24T06:00:00.000Z".to_owned(),
            duration_ms: 10.0,
            service: "gateway".to_owned(),
            operation: "GET /".to_owned(),
            spans: 2,
            errors,
            services: BTreeMap::from([("gateway".to_owned(), 1), ("web".to_owned(), 1)]),
        }
    }

    fn span(depth: usize, [offset_ms, duration_ms, critical_ms]: [f64; 3]) -> TraceSpanView {
        TraceSpanView {
            id: "00f067aa0ba902b7".to_owned(),
            parent: None,
            depth,
            is_orphan: false,
            service: "web".to_owned(),
            operation: "GET /items".to_owned(),
            kind: "client".to_owned(),
            remote: "catalog".to_owned(),
            offset_ms,
            duration_ms,
            critical_ms,
            is_error: 1 < depth,
            tags: vec![("error".to_owned(), "timeout".to_owned())],
            events: Vec::new(),
        }
    }

    #[test]
    fn a_waterfall() {
        let spans =
            vec![span(0, [0.0, 10.0, 3.0]), span(1, [2.0, 7.0, 5.0]), span(2, [4.0, 2.0, 2.0])];
        let view = TraceView { summary: summary(1), spans };
        let (output, _page) = captured::output(Look::Plain, Format::Text);
        insta::assert_snapshot!(waterfall(&view, 70, &output).join("\n"), @"
        4bf92f3577b34da6a3ce929d0e0e4736  10.0ms at 2026-11-24T06:00:00.000Z, 2 spans, 1 of them failed
        web → catalog  GET /items     █████████────────────────────   10.0ms
          web → catalog  GET /items         ██████████████──────      7.00ms
            web → catalog  GET /items             █████               2.00ms
              error: timeout
        █ what the whole waited for
        ");
    }

    #[test]
    fn a_list() {
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        let now = Timestamp::parse("2026-11-24T06:01:20Z").unwrap();
        table::write(&mut output, &HEADING, &[row(&summary(0), now), row(&summary(3), now)])
            .unwrap();
        insta::assert_snapshot!(page.text(), @"
        TRACE         AGO    DURATION  SPANS  ERRORS  ROOT           SERVICES
        4bf92f3577b3  1m20s  10.0ms    2      -       gateway GET /  gateway web
        4bf92f3577b3  1m20s  10.0ms    2      3       gateway GET /  gateway web
        ");
    }

    #[test]
    fn two_side_by_side() {
        let side = |count, total_ms| TraceComparisonSide { count, errors: 0, total_ms };
        let row = |depth, operation: &str, first, second| TraceComparisonRow {
            depth,
            service: "web".to_owned(),
            operation: operation.to_owned(),
            first,
            second,
        };
        let rows = vec![
            row(0, "GET /", side(1, 10.0), side(1, 30.0)),
            row(1, "query", side(2, 4.0), side(10, 20.0)),
            row(1, "render", side(1, 4.0), side(0, 0.0)),
        ];
        let view = TraceComparisonView { first: summary(0), second: summary(1), rows };
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        side_by_side(&view, &mut output).unwrap();
        insta::assert_snapshot!(page.text(), @"
        4bf92f3577b34da6a3ce929d0e0e4736  10.0ms at 2026-11-24T06:00:00.000Z, 2 spans
        4bf92f3577b34da6a3ce929d0e0e4736  10.0ms at 2026-11-24T06:00:00.000Z, 2 spans, 1 of them failed
        FIRST       SECOND       DIFFERENCE  OPERATION
        10.0ms      30.0ms       +20.0ms     web GET /
        2 × 2.00ms  10 × 2.00ms  +16.0ms     · web query
        4.00ms      -            -4.00ms     · web render
        ");
    }
}
