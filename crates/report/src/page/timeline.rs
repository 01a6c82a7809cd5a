//! What happened when: rates, latency, what waits, breakers; faults are marked in all of them.
//!
//! A long run has more buckets than a page has columns: rates are averaged, and of what is bad at its worst (p99, waiting,
//! ejected instances, open breakers) the worst is kept.

mod marks;

use api::simulation::{Comparison, Report, Timeline};

use super::Section;
use crate::draw::{
    Axis, Band, Column, LABEL_LINE_PX, LABEL_LINES_MAX, Plot, Point, Scale, Series, legend,
};
use crate::figure::{Unit, float};
use crate::html::{Cell, Table};

/// Columns of a drawing, at most: about one for three pixels.
const COLUMNS_MAX: usize = 360;
const LEFT: f64 = 60.0;
const WIDTH: f64 = 1080.0;
const RIGHT: f64 = WIDTH - 14.0;

/// A line: its name, its class, its unit, its values.
struct Line {
    name: &'static str,
    class: &'static str,
    unit: Unit,
    values: Vec<f64>,
}

/// A timeline, made so short that it can be drawn.
struct Drawn {
    /// Where the buckets begin, and the last one ends, in seconds.
    edges: Vec<f64>,
    rates: Vec<Line>,
    attempts: Vec<Line>,
    latencies: Vec<Line>,
    waiting: Vec<Line>,
    fleet: Vec<Line>,
}

/// Of one run.
pub(super) fn section(report: &Report) -> Section {
    let (id, title) = ("timeline", "Timeline");
    if report.timeline.offered.is_empty() {
        return Section { id, title, html: marks::list(&report.incidents) };
    }
    let drawn = Drawn::of(&report.timeline);
    let mut bands = marks::bands(report, drawn.end());
    let mut html = String::new();
    let panels = [
        ("Requests from outside", &drawn.rates, 230.0),
        ("Attempts on all edges", &drawn.attempts, 150.0),
        ("Latency of good answers", &drawn.latencies, 200.0),
        ("Requests waiting", &drawn.waiting, 150.0),
        ("Instances left alone, open breakers", &drawn.fleet, 150.0),
    ];
    for (title, lines, height) in panels.into_iter().filter(|it| !it.1.is_empty()) {
        html.push_str(&panel(title, &drawn, lines, &bands, height));
        // The first drawing says what is marked in all of them.
        for band in &mut bands {
            band.label.clear();
        }
    }
    html.push_str(&marks::list(&report.incidents));
    html.push_str(&drawn.table().folded());
    Section { id, title, html }
}

/// Of both sides of a comparison, in the same drawings.
pub(super) fn of_both(comparison: &Comparison) -> Section {
    let (id, title) = ("timeline", "Timeline");
    let (a, b) = (Drawn::of(&comparison.a.timeline), Drawn::of(&comparison.b.timeline));
    if a.edges.len() < 2 || b.edges.len() < 2 {
        return Section { id, title, html: String::new() };
    }
    let mut bands = marks::bands(&comparison.a, a.end());
    let pair = |of: fn(&Drawn) -> &Vec<Line>, name: &str| -> Vec<Line> {
        let sides = [(&a, "A", "s2"), (&b, "B", "s5")];
        let found = sides.into_iter().filter_map(|(side, label, class)| {
            let line = of(side).iter().find(|it| it.name == name)?;
            Some(Line { name: label, class, unit: line.unit, values: line.values.clone() })
        });
        found.collect()
    };
    let longer = if a.end() < b.end() { &b } else { &a };
    let mut html = String::new();
    for (title, lines) in [
        ("Goodput", pair(|it| &it.rates, "goodput")),
        ("Attempts", pair(|it| &it.attempts, "attempts")),
        ("p99 latency", pair(|it| &it.latencies, "p99")),
        ("Requests waiting", pair(|it| &it.waiting, "waiting")),
    ] {
        if lines.is_empty() {
            continue;
        }
        html.push_str(&panel(title, longer, &lines, &bands, 170.0));
        for band in &mut bands {
            band.label.clear();
        }
    }
    Section { id, title, html }
}

impl Drawn {
    fn of(timeline: &Timeline) -> Self {
        let buckets = timeline.offered.len();
        let by = buckets.div_ceil(COLUMNS_MAX).max(1);
        let edge = |at: usize| float((at * by).min(buckets)) * timeline.bucket_s;
        let line = |name, class, unit, values| Line { name, class, unit, values };
        let rate =
            |name, class, values: &[f64]| line(name, class, Unit::Rate, folded(values, by, mean));
        let worst = |name, class, values: &[f64]| {
            line(name, class, Unit::Plain, folded(values, by, largest))
        };
        let known = |values: &[Option<f64>]| -> Vec<f64> {
            // Nothing is answered in no time: where nothing was answered, there is a gap.
            values.iter().map(|it| it.filter(|it| 0.0 < *it).unwrap_or(f64::NAN)).collect()
        };
        let mut fleet = vec![
            worst("left alone", "s3", &timeline.ejected),
            worst("breakers open", "s4", &timeline.open),
        ];
        fleet.retain(|it| it.values.iter().any(|it| 0.0 < *it));
        let mut waiting = vec![worst("waiting", "s3", &timeline.waiting)];
        waiting.retain(|it| it.values.iter().any(|it| 0.0 < *it));
        let ready = line("instances ready", "s1", Unit::Plain, folded(&timeline.ready, by, mean));
        if ready.values.windows(2).any(|it| matches!(it, [a, b] if 1e-9 < (a - b).abs())) {
            fleet.push(ready);
        }
        Self {
            edges: (0..=buckets.div_ceil(by)).map(edge).collect(),
            rates: vec![
                rate("offered", "s6", &timeline.offered),
                rate("failed", "s4", &timeline.failed),
                rate("goodput", "s1", &timeline.goodput),
            ],
            attempts: vec![rate("attempts", "s2", &timeline.attempts)],
            latencies: vec![
                line("p50", "s2", Unit::Time, folded(&known(&timeline.p50_ms), by, mean)),
                line("p99", "s5", Unit::Time, folded(&known(&timeline.p99_ms), by, largest)),
            ],
            waiting,
            fleet,
        }
    }

    fn end(&self) -> f64 {
        self.edges.last().copied().unwrap_or(0.0)
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.rates
            .iter()
            .chain(&self.attempts)
            .chain(&self.latencies)
            .chain(&self.waiting)
            .chain(&self.fleet)
    }

    fn table(&self) -> Table {
        let mut head = vec!["From"];
        head.extend(self.lines().map(|it| it.name));
        let mut table = Table::new("The timeline", &head);
        for (at, from) in self.edges.iter().enumerate().take(self.edges.len().saturating_sub(1)) {
            let mut row = vec![Cell::number(Unit::Seconds.show(*from), *from)];
            row.extend(self.lines().map(|it| {
                let value = it.values.get(at).copied().unwrap_or(f64::NAN);
                Cell::number(it.unit.show(value), value)
            }));
            table.rows.push(row);
        }
        table
    }
}

fn folded(values: &[f64], by: usize, how: fn(&[f64]) -> f64) -> Vec<f64> {
    values.chunks(by).map(how).collect()
}

/// The mean of those that are numbers.
fn mean(values: &[f64]) -> f64 {
    let finite: Vec<f64> = values.iter().copied().filter(|it| it.is_finite()).collect();
    finite.iter().sum::<f64>() / float(finite.len())
}

/// The largest of those that are numbers.
fn largest(values: &[f64]) -> f64 {
    values.iter().copied().filter(|it| it.is_finite()).fold(f64::NAN, f64::max)
}

/// Seconds a unit of the time axis has, and what it is called: so that ticks are small numbers.
const fn time_unit(end_s: f64) -> (f64, &'static str) {
    if end_s >= 4.0 * 3_600.0 {
        (3_600.0, "h")
    } else if end_s >= 1_200.0 {
        (60.0, "min")
    } else {
        (1.0, "s")
    }
}

fn panel(title: &str, drawn: &Drawn, lines: &[Line], bands: &[Band], height: f64) -> String {
    let end = drawn.end();
    let (unit_s, unit) = time_unit(end);
    let is_labelled = bands.iter().any(|it| !it.label.is_empty());
    let labels = if is_labelled { float(LABEL_LINES_MAX - 1) * LABEL_LINE_PX } else { 0.0 };
    let height = height + labels;
    let (bottom, top) = (height - 38.0, 24.0 + labels);
    let values = || lines.iter().flat_map(|it| it.values.iter().copied());
    let kind = lines.first().map_or(Unit::Plain, |it| it.unit);
    let scale = match kind {
        Unit::Time => Scale::for_latency(values(), (bottom, top)),
        _ => Scale::from_zero(values(), (bottom, top)),
    };
    let label = match kind {
        Unit::Time => "ms",
        Unit::Rate => "/s",
        _ => "",
    };
    let in_units =
        |band: &Band| Band { from: band.from / unit_s, to: band.to / unit_s, ..band.clone() };
    let series = |line: &Line| {
        let middle = drawn.edges.windows(2).map(|it| it.iter().sum::<f64>() / 2.0 / unit_s);
        let points = middle.zip(&line.values).map(|(x, y)| Point { x, y: *y, half_width: None });
        Series { name: line.name.to_owned(), class: line.class, points: points.collect(), dot: 0.0 }
    };
    let plot = Plot {
        size: (WIDTH, height),
        x: Axis {
            scale: Scale::tight([0.0, end / unit_s], (LEFT, RIGHT)),
            label: format!("virtual time, {unit}"),
            ticks: None,
        },
        y: Axis { scale, label: label.to_owned(), ticks: None },
        bands: bands.iter().map(in_units).collect(),
        series: lines.iter().map(series).collect(),
        columns: columns(drawn, lines, unit_s),
    };
    let entries: Vec<(&str, &str)> = lines.iter().map(|it| (it.class, it.name)).collect();
    let drawing = plot.html(&format!("{title} over virtual time"));
    format!("<h3>{title}</h3>{}{drawing}", legend(&entries))
}

fn columns(drawn: &Drawn, lines: &[Line], unit_s: f64) -> Vec<Column> {
    let mut columns = Vec::new();
    for (at, bucket) in drawn.edges.windows(2).enumerate() {
        let [from, to] = bucket else { continue };
        let mut title = format!("{} to {}", Unit::Seconds.show(*from), Unit::Seconds.show(*to));
        for line in lines {
            let value = line.values.get(at).copied().unwrap_or(f64::NAN);
            add!(title, "\n{} {}", line.name, line.unit.show(value));
        }
        columns.push(Column { from: from / unit_s, to: to / unit_s, title });
    }
    columns
}
