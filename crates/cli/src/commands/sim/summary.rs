//! A report as a screen: the verdict and why to believe it, users, the course of events, where time goes, the busiest
//! services and the edges to look at.

use api::simulation::{EdgeReport, Latencies, Report, ServiceReport, Timeline};

use super::figure::{
    Extent, belief, footer, heading, percent, plain, rate, rounded, share, sign, time,
};
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::plot::{number, range, sparkline};
use crate::table::{self, Cell};

/// Columns of a sparkline.
const COLUMNS: usize = 60;
/// Lines of a list that fit on a screen beside everything else.
const LINES: usize = 6;
/// Lines of what happened: a rollout with all its steps.
const HAPPENINGS: usize = 12;
/// Columns of a bar of the critical path.
const BAR: usize = 24;

pub(super) fn show(
    report: &Report,
    extent: Extent,
    output: &mut Output,
) -> Result<(), CommandError> {
    heading(&report.origin, output)?;
    verdict(report, output)?;
    belief(&report.credibility, output)?;
    output.line("")?;
    users(report, output)?;
    output.line("")?;
    timeline(report, output)?;
    happened(report, extent, output)?;
    path(report, extent, output)?;
    services(&report.services, extent, output)?;
    edges(&report.edges, extent, output)?;
    footer(&report.origin, output)
}

fn verdict(report: &Report, output: &mut Output) -> Result<(), CommandError> {
    let verdict = &report.verdict;
    let state = if verdict.meets {
        "met"
    } else if verdict.objectives.iter().any(|it| it.state == "missed") {
        "missed"
    } else {
        "undecided"
    };
    let (mark, tone) = sign(state);
    let summary = format!("{mark} {}", verdict.summary);
    output.line(&output.paint(tone, &summary))?;
    let rows: Vec<Vec<Cell>> = verdict
        .objectives
        .iter()
        .map(|it| {
            let found = if it.objective.starts_with("success") {
                share(&it.found)
            } else {
                time(&it.found)
            };
            let (mark, tone) = sign(&it.state);
            vec![(format!("{mark} {}", it.objective), tone), table::plain(&found)]
        })
        .collect();
    for line in table::lines(output, &["", ""], &rows).into_iter().skip(1) {
        output.line(&format!("  {line}"))?;
    }
    match (&verdict.bottleneck, verdict.headroom) {
        (Some(name), Some(headroom)) if 1.0 < headroom => {
            let headroom = number(rounded(headroom));
            let text = format!("  {name} has workers for {headroom} times this load");
            output.line(&output.paint(Tone::Faint, &text))
        }
        _ => Ok(()),
    }
}

fn users(report: &Report, output: &mut Output) -> Result<(), CommandError> {
    let row = |it: &api::simulation::UsersReport| {
        let Latencies { mean_ms, p50_ms, p90_ms, p99_ms, p999_ms } = &it.latency;
        let mut row = vec![
            (it.name.clone(), Tone::Strong),
            table::plain(&rate(&it.offered)),
            table::plain(&rate(&it.goodput)),
            table::plain(&share(&it.success)),
        ];
        row.extend([mean_ms, p50_ms, p90_ms, p99_ms, p999_ms].map(|it| table::plain(&time(it))));
        row
    };
    let rows: Vec<Vec<Cell>> = report.users.iter().map(row).collect();
    let columns = ["USERS", "OFFERED", "GOODPUT", "SUCCESS", "MEAN", "P50", "P90", "P99", "P99.9"];
    table::write(output, &columns, &rows)
}

/// Goodput, the tail and what waits, over time, with faults marked.
fn timeline(report: &Report, output: &mut Output) -> Result<(), CommandError> {
    let it = &report.timeline;
    let length = it.offered.len();
    if length < 2 {
        return Ok(());
    }
    let known = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    let ms = |value: f64| super::super::top::latency(Some(value));
    let per_second = |value: f64| format!("{}/s", number(value));
    let count = |value: f64| number((value * 10.0).round() / 10.0);
    let rows = [
        line("goodput", &known(&it.goodput), per_second),
        line("p99", &it.p99_ms, ms),
        line("waiting", &known(&it.waiting), count),
    ];
    for row in rows.into_iter().flatten() {
        output.line(&row)?;
    }
    for mark in marks(report, it) {
        output.line(&output.paint(Tone::Busy, &mark))?;
    }
    output.line("")
}

/// What the fleet did about faults, and how rollouts went, of the first replication.
fn happened(report: &Report, extent: Extent, output: &mut Output) -> Result<(), CommandError> {
    let is_told = |kind: &str| matches!(kind, "fleet" | "rollout");
    let all: Vec<_> = report.incidents.iter().filter(|it| is_told(&it.kind)).collect();
    if all.is_empty() {
        return Ok(());
    }
    output.line("WHAT HAPPENED (in the first replication)")?;
    let shown = extent.lines(HAPPENINGS).min(all.len());
    for it in all.iter().take(shown) {
        output.line(&format!("{:>8.1}s  {}", it.at_s, it.what))?;
    }
    if shown < all.len() {
        output.line(&format!("and {} more; `--all` shows them", all.len() - shown))?;
    }
    output.line("")
}

/// A row of the plot; none where there is nothing but nothing.
fn line(name: &str, values: &[Option<f64>], show: impl Fn(f64) -> String) -> Option<String> {
    let values = shrunk(values);
    let (_, highest) = range(&values).filter(|it| 0.0 < it.1)?;
    Some(format!("{name:<8} {} {}", sparkline(&values), show(highest)))
}

/// As many values as there are columns: the highest of each part, since that is what one looks for.
fn shrunk(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let columns = COLUMNS.min(values.len()).max(1);
    let part = |column: usize| {
        let (from, to) = (column * values.len() / columns, (column + 1) * values.len() / columns);
        let part = values.get(from..to).unwrap_or_default();
        part.iter().copied().flatten().reduce(f64::max)
    };
    (0..columns).map(part).collect()
}

/// A mark under the moment of each fault.
fn marks(report: &Report, timeline: &Timeline) -> Vec<String> {
    #[expect(clippy::cast_precision_loss, reason = "hundreds of buckets, dozens of columns")]
    let (columns, whole_s) = {
        let length = timeline.offered.len();
        (COLUMNS.min(length) as f64, timeline.bucket_s * length as f64)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a column of a terminal"
    )]
    let column = |at_s: f64| (at_s / whole_s.max(f64::MIN_POSITIVE) * columns) as usize;
    let begun = report.incidents.iter().filter(|it| it.kind == "fault-began");
    let mark = |it: &api::simulation::Incident| {
        format!("{}▲ {}", " ".repeat(9 + column(it.at_s)), it.what)
    };
    begun.take(LINES).map(mark).collect()
}

fn path(report: &Report, extent: Extent, output: &mut Output) -> Result<(), CommandError> {
    let shown = extent.lines(LINES);
    let rows: Vec<Vec<Cell>> = report
        .critical_path
        .iter()
        .filter(|it| extent == Extent::All || 0.005 <= it.share)
        .take(shown)
        .map(|it| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of a few dozen columns"
            )]
            let bar = "▇".repeat((it.share * BAR as f64).round() as usize);
            let waiting = match it.waiting {
                waiting if waiting < 0.005 => String::new(),
                waiting => format!("of which {} waiting", percent(waiting)),
            };
            vec![
                (it.name.clone(), Tone::Strong),
                table::plain(&percent(it.share)),
                (bar, Tone::Source(0)),
                (waiting, Tone::Faint),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    table::write(output, &["WHERE TIME GOES", "", "", ""], &rows)?;
    output.line("")
}

fn services(
    services: &[ServiceReport],
    extent: Extent,
    output: &mut Output,
) -> Result<(), CommandError> {
    let row = |it: &ServiceReport| {
        let busy = it.utilisation.as_ref();
        let tone = match busy.map(|it| it.value) {
            Some(it) if 0.95 <= it => Tone::Bad,
            Some(it) if 0.8 <= it => Tone::Busy,
            _ => Tone::Plain,
        };
        vec![
            (it.name.clone(), Tone::Strong),
            table::plain(&number((it.instances * 10.0).round() / 10.0)),
            table::plain(&rate(&it.arrivals)),
            (busy.map_or_else(|| "-".to_owned(), share), tone),
            table::plain(&plain(&it.waiting)),
            table::plain(&time(&it.sojourn.mean_ms)),
            table::plain(&time(&it.sojourn.p99_ms)),
            of_failures(&it.errors),
        ]
    };
    let rows: Vec<Vec<Cell>> = services.iter().take(extent.lines(LINES)).map(row).collect();
    let columns = ["SERVICE", "INSTANCES", "ARRIVALS", "BUSY", "WAITING", "MEAN", "P99", "ERRORS"];
    table::write(output, &columns, &rows)?;
    rest(services.len() - rows.len(), "services", output)?;
    output.line("")
}

fn edges(edges: &[EdgeReport], extent: Extent, output: &mut Output) -> Result<(), CommandError> {
    let row = |it: &EdgeReport| {
        let tone = if 1.05 < it.attempts_per_call.value { Tone::Busy } else { Tone::Plain };
        let refused: Vec<String> = it
            .refused
            .iter()
            .map(|(why, rate)| format!("{why} {}/s", number(rate.value)))
            .collect();
        vec![
            (format!("{} → {}", it.caller, it.callee), Tone::Strong),
            table::plain(&rate(&it.calls)),
            table::plain(&plain(&it.calls_per_request)),
            (plain(&it.attempts_per_call), tone),
            table::plain(&time(&it.latency.mean_ms)),
            table::plain(&time(&it.latency.p99_ms)),
            of_failures(&it.errors),
            (refused.join(", "), Tone::Bad),
        ]
    };
    // Those to look at come first: where calls fail, or are made more than once; then where most of them are.
    let mut sorted: Vec<&EdgeReport> = edges.iter().filter(|it| 0.0 < it.calls.value).collect();
    let trouble = |it: &EdgeReport| it.errors.value + (it.attempts_per_call.value - 1.0).max(0.0);
    let grave = |it: &EdgeReport| (trouble(it) * 200.0).round();
    if extent == Extent::Screen {
        sorted.sort_by(|a, b| {
            let by_calls = || b.calls.value.total_cmp(&a.calls.value);
            grave(b).total_cmp(&grave(a)).then_with(by_calls)
        });
    }
    let rows: Vec<Vec<Cell>> = sorted.iter().take(extent.lines(LINES)).map(|it| row(it)).collect();
    let columns = ["EDGE", "CALLS", "PER REQUEST", "ATTEMPTS", "MEAN", "P99", "ERRORS", "REFUSED"];
    table::write(output, &columns, &rows)?;
    rest(sorted.len() - rows.len(), "edges", output)
}

fn of_failures(errors: &api::simulation::Estimate) -> Cell {
    let tone = if 0.001 <= errors.value { Tone::Bad } else { Tone::Plain };
    (share(errors), tone)
}

fn rest(count: usize, things: &str, output: &mut Output) -> Result<(), CommandError> {
    if count == 0 {
        return Ok(());
    }
    let text = format!("and {count} more {things}; `--all` shows them");
    output.line(&output.paint(Tone::Faint, &text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::commands::sim::sample;
    use crate::output::{Look, captured};

    fn shown(extent: Extent) -> String {
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        show(&sample::report(), extent, &mut output).unwrap();
        page.text()
    }

    #[test]
    fn a_report_on_a_screen() {
        insta::assert_snapshot!(shown(Extent::Screen), @"
        shop: 10 times 5m, the first 12s500ms of each not counted (mser-5)
        ✘ misses p99 within 500ms; cart is busiest, at 82 %
          ✔ success 99.9%     99.940% ±0.020%
          ✘ p99 within 500ms  612ms
          cart has workers for 1.22 times this load
        ! no interval: a is 95 % busy
        ! no interval: b is 95 % busy
        ! no interval: c is 95 % busy
        ! no interval: 2 more such reasons
          nothing is lost, and Little's law holds within 0.12%
          assumed: 100 requests/s come from outside

        USERS   OFFERED      GOODPUT        SUCCESS          MEAN          P50           P90           P99          P99.9
        people  100/s ±2.0%  99.94/s ±2.0%  99.940% ±0.020%  40.0ms ±2.0%  28.0ms ±2.0%  92.0ms ±2.0%  184ms ±2.0%  276ms

        goodput  ▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█ 400/s
        p99      ▃▄▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█▄▆█▃▅▇█ 400ms
                             ▲ cart slow by 10

        WHERE TIME GOES
        cart             60.0%  ▇▇▇▇▇▇▇▇▇▇▇▇▇▇  of which 25.0% waiting
        web              39.6%  ▇▇▇▇▇▇▇▇▇▇

        SERVICE  INSTANCES  ARRIVALS     BUSY         WAITING    MEAN          P99           ERRORS
        s0       3          120/s ±2.0%  96.0% ±1.9%  0.4 ±2.0%  12.0ms ±2.0%  55.2ms ±2.0%  0%
        s1       3          120/s ±2.0%  96.0% ±1.9%  0.4 ±2.0%  12.0ms ±2.0%  55.2ms ±2.0%  0%
        s2       3          120/s ±2.0%  96.0% ±1.9%  0.4 ±2.0%  12.0ms ±2.0%  55.2ms ±2.0%  0%
        s3       3          120/s ±2.0%  96.0% ±1.9%  0.4 ±2.0%  12.0ms ±2.0%  55.2ms ±2.0%  0%
        s4       3          120/s ±2.0%  96.0% ±1.9%  0.4 ±2.0%  12.0ms ±2.0%  55.2ms ±2.0%  0%
        s5       3          120/s ±2.0%  96.0% ±1.9%  0.4 ±2.0%  12.0ms ±2.0%  55.2ms ±2.0%  0%
        and 2 more services; `--all` shows them

        EDGE           CALLS        PER REQUEST  ATTEMPTS   MEAN          P99           ERRORS        REFUSED
        web → cart     120/s ±2.0%  1.2 ±2.0%    1.4 ±2.0%  12.0ms ±2.0%  55.2ms ±2.0%  4.0% ±0.080%  overloaded 2.5/s
        outside → web  120/s ±2.0%  1.2 ±2.0%    1 ±2.0%    12.0ms ±2.0%  55.2ms ±2.0%  0%

        model 0123456789abcdef · outcome fedcba9876543210 · 1235k events
        again: pelago sim run shop.yaml --replications 10 --seed 1
        ");
    }

    #[test]
    fn all_of_it() {
        let text = shown(Extent::All);
        assert!(
            text.contains("s7 ") && text.contains("network") && !text.contains("`--all`"),
            "{text}"
        );
    }
}
