//! What it bears: goodput and latency against load, or against a parameter, with intervals and the knee.

use api::simulation::{Capacity, Estimate, LoadPoint, Sweep};

use super::Section;
use super::users::cell;
use super::verdict::pill;
use crate::draw::{Axis, Band, Plot, Point, Scale, Series, legend};
use crate::figure::{Unit, amount, float};
use crate::html::{Cell, Table, escaped, name};

const WIDTH: f64 = 1080.0;
const HEIGHT: f64 = 260.0;
const X_RANGE: (f64, f64) = (60.0, WIDTH - 20.0);
const Y_RANGE: (f64, f64) = (HEIGHT - 38.0, 24.0);

/// The x axis of the curves: where each point is, and what the axis says.
struct Across<'a> {
    points: Vec<(f64, &'a LoadPoint)>,
    label: String,
    ticks: Option<Vec<(f64, String)>>,
    bands: Vec<Band>,
}

/// Against load.
pub(super) fn of_capacity(capacity: &Capacity) -> Section {
    let (id, title) = ("load", "Goodput and latency against load");
    if capacity.points.is_empty() {
        return Section { id, title, html: String::new() };
    }
    let points: Vec<(f64, &LoadPoint)> =
        capacity.points.iter().map(|it| (it.offered.value, it)).collect();
    let across = Across {
        points,
        label: "offered, requests/s".to_owned(),
        ticks: None,
        bands: knee(capacity),
    };
    let mut html = curves(&across);
    html.push_str(
        &table(
            "Load",
            capacity.points.iter().map(|it| {
                let words = format!("×{}", amount(it.factor));
                (Cell::number(words, it.factor), it)
            }),
        )
        .html(),
    );
    Section { id, title, html }
}

/// Where the knee is: between the largest load that is borne and the smallest that is not; and where the load is now.
fn knee(capacity: &Capacity) -> Vec<Band> {
    let mut bands = Vec::new();
    let now = capacity.points.iter().find(|it| (it.factor - 1.0).abs() < 1e-9);
    if let Some(now) = now {
        let at = now.offered.value;
        let title = format!("the load now: {}", Unit::Rate.show(at));
        bands.push(Band { class: "now", from: at, to: at, label: "now".to_owned(), title });
    }
    if let (Some(meets), Some(misses)) = (capacity.meets, capacity.misses) {
        let (from, to) = (meets.min(misses), meets.max(misses));
        let title = format!(
            "the knee: met at {}, missed at {}",
            Unit::Rate.show(meets),
            Unit::Rate.show(misses)
        );
        bands.push(Band { class: "knee", from, to, label: "knee".to_owned(), title });
    }
    bands
}

/// Against a parameter.
pub(super) fn of_sweep(sweep: &Sweep) -> Section {
    let (id, title) = ("load", "Goodput and latency against the parameter");
    if sweep.points.is_empty() {
        return Section { id, title, html: String::new() };
    }
    let mut places = numbers(&sweep.points);
    let ticks = match places {
        Some(_) => None,
        None => {
            Some(sweep.points.iter().enumerate().map(|it| (float(it.0), it.1.0.clone())).collect())
        }
    };
    let places = places.get_or_insert_with(|| (0..sweep.points.len()).map(float).collect());
    let mut points: Vec<(f64, &LoadPoint)> =
        places.iter().copied().zip(sweep.points.iter().map(|it| &it.1)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let across = Across { points, label: sweep.parameter.clone(), ticks, bands: Vec::new() };
    let mut html = curves(&across);
    let rows = sweep.points.iter().map(|(value, it)| (Cell::html(name(value)), it));
    html.push_str(&table(&sweep.parameter, rows).html());
    Section { id, title, html }
}

/// The values as numbers, if all of them are some, with the same unit behind.
fn numbers(points: &[(String, LoadPoint)]) -> Option<Vec<f64>> {
    let split = |text: &str| -> Option<(f64, String)> {
        let end = text.find(|it: char| !(it.is_ascii_digit() || it == '.' || it == '-'));
        let (number, unit) = text.split_at_checked(end.unwrap_or(text.len()))?;
        Some((number.parse().ok()?, unit.to_owned()))
    };
    let all: Vec<(f64, String)> =
        points.iter().map(|it| split(it.0.trim())).collect::<Option<_>>()?;
    let first = all.first()?.1.clone();
    all.into_iter().map(|(number, unit)| (unit == first).then_some(number)).collect()
}

fn curves(across: &Across<'_>) -> String {
    let series = |name: &str, class, of: fn(&LoadPoint) -> &Estimate| {
        let point = |(x, it): &(f64, &LoadPoint)| {
            let found = of(it);
            Point { x: *x, y: found.value, half_width: found.half_width }
        };
        let points = across.points.iter().map(point).collect();
        Series { name: name.to_owned(), class, points, dot: 3.5 }
    };
    let rates = vec![
        Series { dot: 0.0, ..series("offered", "s6", |it| &it.offered) },
        series("goodput", "s1", |it| &it.goodput),
    ];
    let latencies = vec![
        series("p50", "s2", |it| &it.latency.p50_ms),
        series("p99", "s5", |it| &it.latency.p99_ms),
        series("p99.9", "s3", |it| &it.latency.p999_ms),
    ];
    let values = |of: &[Series]| -> Vec<f64> {
        let points = of.iter().flat_map(|it| &it.points);
        points.map(|it| it.y + it.half_width.unwrap_or(0.0)).collect()
    };
    let rate_scale = Scale::from_zero(values(&rates), Y_RANGE);
    let latency_scale = Scale::for_latency(values(&latencies), Y_RANGE);
    let goodput = plot(across, rates, rate_scale, "requests/s");
    let latency = plot(across, latencies, latency_scale, "ms");
    format!("<h3>Goodput</h3>{goodput}<h3>Latency of good answers</h3>{latency}")
}

fn plot(across: &Across<'_>, series: Vec<Series>, y: Scale, unit: &str) -> String {
    let entries: Vec<(&str, &str)> = series.iter().map(|it| (it.class, it.name.as_str())).collect();
    let legend = legend(&entries);
    let places: Vec<f64> = across.points.iter().map(|it| it.0).collect();
    // An axis of loads begins at nothing; one of values where they do.
    let x = match (&across.ticks, across.bands.is_empty()) {
        (Some(_), _) => Scale::tight([-0.5, float(places.len()) - 0.5], X_RANGE),
        (None, false) => Scale::from_zero(places.iter().copied(), X_RANGE),
        (None, true) => Scale::tight(places.iter().copied(), X_RANGE),
    };
    let plot = Plot {
        size: (WIDTH, HEIGHT),
        x: Axis { scale: x, label: across.label.clone(), ticks: across.ticks.clone() },
        y: Axis { scale: y, label: unit.to_owned(), ticks: None },
        bands: across.bands.clone(),
        columns: columns(across),
        series,
    };
    legend + &plot.html(&format!("{unit} against {}, with 95 % intervals", across.label))
}

/// What is told at each point: everything about it. Each has the room to the middle between it and the next.
fn columns(across: &Across<'_>) -> Vec<crate::draw::Column> {
    let places: Vec<f64> = across.points.iter().map(|it| it.0).collect();
    let middles: Vec<f64> = places.windows(2).map(|it| it.iter().sum::<f64>() / 2.0).collect();
    let from = places.first().copied().into_iter().chain(middles.iter().copied());
    let to = middles.iter().copied().chain(places.last().copied());
    let column = |(((_, it), from), to): ((&(f64, &LoadPoint), f64), f64)| {
        let latency = &it.latency;
        let title = format!(
            "{} offered: {}\ngoodput {}, {} answered well\np50 {}, p99 {}, p99.9 {}{}",
            Unit::Rate.show(it.offered.value),
            it.state,
            Unit::Rate.show(it.goodput.value),
            Unit::Share.show(it.success.value),
            Unit::Time.show(latency.p50_ms.value),
            Unit::Time.show(latency.p99_ms.value),
            Unit::Time.show(latency.p999_ms.value),
            it.bottleneck.as_ref().map_or_else(String::new, |(name, busy)| {
                format!("\nbusiest {name}, {}", Unit::Share.show(*busy))
            }),
        );
        crate::draw::Column { from, to, title }
    };
    across.points.iter().zip(from).zip(to).map(column).collect()
}

fn table<'a>(first: &str, rows: impl Iterator<Item = (Cell, &'a LoadPoint)>) -> Table {
    let head = [
        first,
        "Objectives",
        "Offered",
        "Goodput",
        "Success",
        "Mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "Busiest",
    ];
    let mut table = Table::new("Every point, with 95 % intervals", &head);
    for (cell_first, it) in rows {
        let busiest = it.bottleneck.as_ref().map_or_else(String::new, |(service, busy)| {
            format!("{} {}", name(service), escaped(&Unit::Share.show(*busy)))
        });
        let mut row = vec![
            cell_first,
            Cell::html(pill(&it.state)),
            cell(&it.offered, Unit::Rate),
            cell(&it.goodput, Unit::Rate),
            cell(&it.success, Unit::Share),
            cell(&it.latency.mean_ms, Unit::Time),
        ];
        row.extend(super::users::quantiles(&it.latency).map(|it| cell(it.1, Unit::Time)));
        row.push(Cell::html(busiest));
        table.rows.push(row);
    }
    table
}
