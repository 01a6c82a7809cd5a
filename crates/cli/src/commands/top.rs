//! `pelago top`: what crosses every edge, live.

use std::collections::BTreeMap;

use api::edge::EdgesView;
use api::figures::{BreakerView, FiguresView, TrafficView};
use api::gateway::RoutesView;
use model::units::parse_duration;
use serde::Serialize;

use super::metrics::{self, Plotted, Steps};
use crate::arguments::Top;
use crate::canvas::Canvas;
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::output::{Look, Output, Tone};
use crate::table::{Cell, plain};
use crate::{Context, daemon, plot, table};

/// Rows of a terminal that are not for the table: its heading, how many rows are hidden, that nothing
/// is measured, and the cursor's.
const ROWS_BESIDE: usize = 4;
const NOT_CONNECTED: &str = "no data plane reports; `pelago doctor` says why";

/// One look at all edges.
#[derive(Debug, Serialize)]
struct Snapshot {
    edges: EdgesView,
    routes: RoutesView,
    /// How the rate of each edge was, as a sparkline.
    #[serde(skip)]
    history: History,
}

/// By application, caller and callee. It is asked for anew when there is something new in it.
type History = BTreeMap<[String; 3], String>;

/// How far back histories go, in milliseconds.
const HISTORY_MS: u64 = 10 * 60_000;
/// Between two values of a history.
const HISTORY_STEP_MS: u64 = 15_000;
const HISTORY: &str = "sum by (application, caller, callee) (rate(pelago_requests_total[30s]))";
/// What a route's key has before it in a metric's label, so that it is not taken for a service.
const ROUTE: &str = "route:";

pub(crate) async fn run(
    context: &Context,
    asked: &Top,
    output: &mut Output,
) -> Result<(), CommandError> {
    let interval = parse_duration(&asked.interval)
        .map_err(|it| CommandError::wrong(format!("--interval: {it}")))?;
    if interval.is_zero() {
        return Err(CommandError::wrong("--interval: write more than nothing, such as 1s"));
    }
    let client = daemon::ensure(context).await?;
    let mut canvas = Canvas::default();
    let mut history = (0, History::new());
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        let now_ms = (context.now)().as_millis();
        if HISTORY_STEP_MS <= now_ms.saturating_sub(history.0) {
            history = (now_ms, self::history(&client, now_ms).await?);
        }
        let mut snapshot = snapshot(&client, context.application.as_deref()).await?;
        snapshot.history.clone_from(&history.1);
        show(&snapshot, &mut canvas, output)?;
        if asked.once {
            return Ok(());
        }
    }
}

async fn snapshot(client: &Client, application: Option<&str>) -> Result<Snapshot, CommandError> {
    let target = |name| Target::new(&["v1", name]).with("application", application);
    let edges = client.get(target("edges")).await?;
    let routes = client.get(target("routes")).await?;
    Ok(Snapshot { edges, routes, history: History::new() })
}

/// How the rate of every edge was.
async fn history(client: &Client, now_ms: u64) -> Result<History, CommandError> {
    // Whole steps, so that a value does not change while time goes on.
    let to_ms = now_ms - now_ms % HISTORY_STEP_MS;
    let from_ms = to_ms.saturating_sub(HISTORY_MS);
    let steps = Steps { from_ms, to_ms, step_ms: HISTORY_STEP_MS };
    let series = metrics::range(client, HISTORY, steps).await?;
    let label = |it: &Plotted, name: &str| it.labels.get(name).cloned().unwrap_or_default();
    let key = |it: &Plotted| ["application", "caller", "callee"].map(|name| label(it, name));
    Ok(series.iter().map(|it| (key(it), plot::sparkline(&it.values))).collect())
}

fn show(snapshot: &Snapshot, canvas: &mut Canvas, output: &mut Output) -> Result<(), CommandError> {
    if output.is_json() {
        return output.json_line(snapshot);
    }
    let mut rows = rows(snapshot);
    match output.look() {
        Look::Plain => {
            if !snapshot.edges.connected {
                output.note(NOT_CONNECTED)?;
            }
            table::write(output, &HEADING, &rows)
        }
        Look::Terminal => {
            let room = output.size().rows.saturating_sub(ROWS_BESIDE).max(1);
            let hidden = rows.len().saturating_sub(room);
            rows.truncate(room);
            let mut lines = table::lines(output, &HEADING, &rows);
            if 0 < hidden {
                lines.push(output.paint(Tone::Faint, &format!("and {hidden} more")));
            }
            if !snapshot.edges.connected {
                lines.push(output.paint(Tone::Bad, NOT_CONNECTED));
            }
            canvas.draw(&lines, output)
        }
    }
}

const HEADING: [&str; 12] = [
    "CALLER",
    "CALLEE",
    "RELEASE",
    "RATE",
    "SUCCESS",
    "P50",
    "P95",
    "P99",
    "RETRIES",
    "IN FLIGHT",
    "BREAKER",
    "LAST 10M",
];

/// A row for each edge and release, the busiest edge first.
fn rows(snapshot: &Snapshot) -> Vec<Vec<Cell>> {
    let routes = snapshot.routes.routes.iter().filter_map(|it| {
        let callee = it.service.as_deref()?;
        let key = (it.key.clone(), format!("{ROUTE}{}", it.key));
        Some((it.application.as_str(), key, callee, it.traffic.as_ref()))
    });
    let edges = snapshot.edges.edges.iter().map(|it| {
        let (application, callee) = (it.application.as_str(), it.callee.as_str());
        let caller = (it.caller.clone(), it.caller.clone());
        (application, caller, callee, it.traffic.as_ref())
    });
    let mut all: Vec<_> = routes.chain(edges).collect();
    let rate = |traffic: Option<&TrafficView>| traffic.map_or(0.0, |it| it.total.rate);
    // The sort is stable: edges without traffic stay in order.
    all.sort_by(|one, other| rate(other.3).total_cmp(&rate(one.3)));
    let mut names: Vec<&str> = all.iter().map(|it| it.0).collect();
    names.sort_unstable();
    names.dedup();
    let several = 1 < names.len();
    all.iter()
        .flat_map(|(application, (caller, label), callee, traffic)| {
            let key = [*application, label.as_str(), *callee].map(str::to_owned);
            let history = snapshot.history.get(&key).map_or("", String::as_str);
            let caller = if several { format!("{application}: {caller}") } else { caller.clone() };
            rows_of(&caller, callee, *traffic, history)
        })
        .collect()
}

/// One row if all went to one release, else one for each.
fn rows_of(
    caller: &str,
    callee: &str,
    traffic: Option<&TrafficView>,
    history: &str,
) -> Vec<Vec<Cell>> {
    let Some(traffic) = traffic else {
        let mut row = vec![plain(caller), plain(callee)];
        row.resize(HEADING.len(), ("-".to_owned(), Tone::Faint));
        return vec![row];
    };
    let active = traffic.releases.iter().filter(|it| 0.0 < it.figures.rate);
    let active: Vec<_> = active.collect();
    let (in_flight, breaker) = (in_flight(traffic), breaker(&traffic.breaker));
    let history = (history.to_owned(), Tone::Faint);
    let row = |release: Option<&str>, figures: &FiguresView, rest: [Cell; 3]| {
        let names = [plain(caller), plain(callee), plain(release.unwrap_or("-"))];
        names.into_iter().chain(figures_of(figures)).chain(rest).collect()
    };
    if active.len() < 2 {
        let release = active.first().copied().or(traffic.releases.last());
        let release = release.and_then(|it| it.release.as_deref());
        return vec![row(release, &traffic.total, [in_flight, breaker, history])];
    }
    let mut rest = Some([in_flight, breaker, history]);
    let rows = active.iter().map(|it| {
        let rest = rest.take().unwrap_or_else(|| [plain(""), plain(""), plain("")]);
        row(it.release.as_deref(), &it.figures, rest)
    });
    rows.collect()
}

fn figures_of(figures: &FiguresView) -> [Cell; 6] {
    let retries = if figures.retries_per_s == 0.0 {
        ("-".to_owned(), Tone::Faint)
    } else {
        (rate(figures.retries_per_s), Tone::Busy)
    };
    [
        plain(&rate(figures.rate)),
        success(figures.success),
        plain(&latency(figures.p50_ms)),
        plain(&latency(figures.p95_ms)),
        plain(&latency(figures.p99_ms)),
        retries,
    ]
}

fn in_flight(traffic: &TrafficView) -> Cell {
    let text = match traffic.limit {
        Some(limit) => format!("{}/{limit}", traffic.in_flight),
        None => traffic.in_flight.to_string(),
    };
    let full = traffic.limit.is_some_and(|it| it <= traffic.in_flight);
    (text, if full { Tone::Bad } else { Tone::Plain })
}

fn breaker(breaker: &BreakerView) -> Cell {
    if breaker.open {
        return ("open".to_owned(), Tone::Bad);
    }
    if breaker.ejected.is_empty() {
        return ("closed".to_owned(), Tone::Faint);
    }
    let ejected = breaker.ejected.iter().map(|it| match &it.reason {
        Some(reason) => format!("{} ({reason})", it.instance),
        None => it.instance.clone(),
    });
    (format!("ejected {}", ejected.collect::<Vec<_>>().join(", ")), Tone::Busy)
}

/// Requests a second: whole ones where there are many.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        it if it < 99.95 => format!("{it:.1}/s"),
        it => format!("{it:.0}/s"),
    }
}

/// A share of good answers, rounded down, so that one failure in many is not 100 %.
pub(crate) fn success(share: Option<f64>) -> Cell {
    /// From here on something is wrong, and from there on almost everything.
    const FINE_FROM: f64 = 0.99;
    const POOR_BELOW: f64 = 0.9;
    let Some(share) = share else { return ("-".to_owned(), Tone::Faint) };
    let tone = match share {
        it if it < POOR_BELOW => Tone::Bad,
        it if it < FINE_FROM => Tone::Busy,
        _ => Tone::Good,
    };
    (format!("{:.2}%", (share * 1e4).floor() / 1e2), tone)
}

/// Milliseconds, to three digits.
pub(crate) fn latency(milliseconds: Option<f64>) -> String {
    match milliseconds {
        None => "-".to_owned(),
        Some(it) if it < 9.995 => format!("{it:.2}ms"),
        Some(it) if it < 99.95 => format!("{it:.1}ms"),
        Some(it) if it < 9_999.5 => format!("{it:.0}ms"),
        Some(it) => format!("{:.1}s", it / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use api::edge::EdgeView;
    use api::figures::{EjectedView, ReleaseView};
    use api::gateway::RouteView;

    use super::*;
    use crate::arguments::Format;
    use crate::output::captured;

    fn figures(rate: f64, success: f64) -> FiguresView {
        FiguresView {
            rate,
            success: Some(success),
            p50_ms: Some(1.234),
            p95_ms: Some(45.67),
            p99_ms: Some(890.1),
            ..FiguresView::default()
        }
    }

    fn release(release: &str, figures: FiguresView) -> ReleaseView {
        ReleaseView { release: Some(release.to_owned()), figures }
    }

    fn edge(application: &str, callee: &str, traffic: Option<TrafficView>) -> EdgeView {
        EdgeView {
            application: application.to_owned(),
            caller: "web".to_owned(),
            callee: callee.to_owned(),
            address: None,
            policy: String::new(),
            traffic,
        }
    }

    fn route(traffic: TrafficView) -> RouteView {
        RouteView {
            application: "shop".to_owned(),
            host: "shop.localhost".to_owned(),
            path: "/".to_owned(),
            methods: Vec::new(),
            headers: Vec::new(),
            service: Some("web".to_owned()),
            key: "shop.localhost/".to_owned(),
            target: "web".to_owned(),
            urls: Vec::new(),
            flags: Vec::new(),
            policy: String::new(),
            traffic: Some(traffic),
        }
    }

    fn snapshot(edges: Vec<EdgeView>, routes: Vec<RouteView>) -> Snapshot {
        Snapshot {
            edges: EdgesView { connected: true, window_s: 10.0, edges },
            routes: RoutesView { connected: true, window_s: 10.0, routes, ..RoutesView::default() },
            history: History::from([(
                ["shop", "web", "cart"].map(str::to_owned),
                "▁▂█".to_owned(),
            )]),
        }
    }

    fn busy() -> Snapshot {
        let split = TrafficView {
            total: figures(250.0, 0.97),
            releases: vec![release("r1", figures(200.0, 1.0)), release("r2", figures(50.0, 0.85))],
            in_flight: 200,
            limit: Some(200),
            ..TrafficView::default()
        };
        let ejected = EjectedView {
            instance: "orders.3".to_owned(),
            reason: Some("5 errors in a row".to_owned()),
        };
        let failing = TrafficView {
            total: FiguresView { retries_per_s: 1.5, ..figures(12.0, 0.999_99) },
            releases: vec![release("r7", figures(12.0, 1.0))],
            breaker: BreakerView { open: false, ejected: vec![ejected] },
            ..TrafficView::default()
        };
        let entry = TrafficView { total: figures(1_234.4, 1.0), ..TrafficView::default() };
        snapshot(
            vec![
                edge("shop", "mail", None),
                edge("shop", "orders", Some(failing)),
                edge("shop", "cart", Some(split)),
            ],
            vec![route(entry)],
        )
    }

    fn shown(snapshot: &Snapshot, look: Look, format: Format) -> String {
        let (mut output, page) = captured::output(look, format);
        show(snapshot, &mut Canvas::default(), &mut output).unwrap();
        page.text()
    }

    #[test]
    fn the_busiest_edge_is_first_and_releases_stay_together() {
        insta::assert_snapshot!(shown(&busy(), Look::Plain, Format::Text), @"
        CALLER           CALLEE  RELEASE  RATE    SUCCESS  P50     P95     P99    RETRIES  IN FLIGHT  BREAKER                               LAST 10M
        shop.localhost/  web     -        1234/s  100.00%  1.23ms  45.7ms  890ms  -        0          closed
        web              cart    r1       200/s   100.00%  1.23ms  45.7ms  890ms  -        200/200    closed                                ▁▂█
        web              cart    r2       50.0/s  85.00%   1.23ms  45.7ms  890ms  -
        web              orders  r7       12.0/s  99.99%   1.23ms  45.7ms  890ms  1.5/s    0          ejected orders.3 (5 errors in a row)
        web              mail    -        -       -        -       -       -      -        -          -                                     -
        ");
    }

    #[test]
    fn several_applications_are_told_apart() {
        let two = snapshot(vec![edge("blog", "db", None), edge("shop", "cart", None)], Vec::new());
        insta::assert_snapshot!(shown(&two, Look::Plain, Format::Text), @"
        CALLER     CALLEE  RELEASE  RATE  SUCCESS  P50  P95  P99  RETRIES  IN FLIGHT  BREAKER  LAST 10M
        blog: web  db      -        -     -        -    -    -    -        -          -        -
        shop: web  cart    -        -     -        -    -    -    -        -          -        -
        ");
    }

    #[test]
    fn a_terminal_shows_what_fits() {
        let many = (0..40).map(|it| edge("shop", &format!("s{it}"), None)).collect();
        let text = shown(&snapshot(many, Vec::new()), Look::Terminal, Format::Text);
        // VT100: 24 rows, of which the last two are the cursor's, and for what is seldom said.
        assert_eq!(text.lines().count(), 22);
        assert!(text.contains("and 20 more"), "{text}");
    }

    #[test]
    fn that_nothing_is_measured_is_said() {
        let mut silent = snapshot(vec![edge("shop", "cart", None)], Vec::new());
        silent.edges.connected = false;
        for look in [Look::Plain, Look::Terminal] {
            assert!(shown(&silent, look, Format::Text).contains(NOT_CONNECTED));
        }
    }

    #[test]
    fn programs_get_a_document_a_line() {
        let text = shown(&busy(), Look::Plain, Format::Json);
        assert_eq!(text.lines().count(), 1);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["edges"]["edges"][2]["traffic"]["total"]["rate"], 250.0);
    }

    #[test]
    fn numbers_have_three_digits() {
        for (milliseconds, text) in
            [(0.0, "0.00ms"), (9.999, "10.0ms"), (99.96, "100ms"), (12_345.0, "12.3s")]
        {
            assert_eq!(latency(Some(milliseconds)), text);
        }
        assert_eq!(rate(99.94), "99.9/s");
        assert_eq!(rate(99.96), "100/s");
        assert_eq!(success(Some(0.999_999)).0, "99.99%");
        assert_eq!(success(Some(1.0)).0, "100.00%");
    }
}
