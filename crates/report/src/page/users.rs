//! What became of the requests of each kind of users, and how their latency is spread.

use api::simulation::{Estimate, Latencies, UsersReport};

use super::Section;
use crate::draw::{Anchor, Scale, Svg};
use crate::figure::{Unit, estimate, float};
use crate::html::{Cell, Table, cut, name};

/// Kinds of users whose latency is drawn, at most.
const DRAWN_MAX: usize = 24;

/// All kinds.
pub(super) fn section(users: &[UsersReport]) -> Section {
    if users.is_empty() {
        return Section { id: "users", title: "Users", html: String::new() };
    }
    let html = format!("{}{}", drawing(users), table(users).html());
    Section { id: "users", title: "Users", html }
}

/// The quantiles of a latency, with what they are called.
pub(super) const fn quantiles(latency: &Latencies) -> [(&'static str, &Estimate); 4] {
    [
        ("p50", &latency.p50_ms),
        ("p90", &latency.p90_ms),
        ("p99", &latency.p99_ms),
        ("p99.9", &latency.p999_ms),
    ]
}

/// A row for each kind: from the median to the far tail, with intervals.
fn drawing(users: &[UsersReport]) -> String {
    let (width, row, left) = (1080.0, 34.0, 150.0);
    let drawn = users.len().min(DRAWN_MAX);
    let (top, bottom) = (24.0, 24.0 + float(drawn) * row);
    let values =
        users.iter().take(DRAWN_MAX).flat_map(|it| quantiles(&it.latency)).map(|it| it.1.value);
    let scale = Scale::for_latency(values, (left, width - 30.0));
    let mut svg = Svg::new(width, bottom + 40.0);
    for (value, text) in scale.ticks() {
        let x = scale.place(value);
        svg.line("grid", (x, top), (x, bottom));
        svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &text);
    }
    svg.text("label", (width - 30.0, bottom + 32.0), Anchor::End, "latency of good answers, ms");
    for (place, it) in users.iter().take(DRAWN_MAX).enumerate() {
        let y = top + (float(place) + 0.5) * row;
        svg.text("tick strong", (left - 12.0, y + 4.0), Anchor::End, &cut(&it.name, 20));
        let quantiles = quantiles(&it.latency);
        let [(_, first), .., (_, last)] = quantiles;
        svg.line("span", (scale.place(first.value), y), (scale.place(last.value), y));
        let mut end = f64::MIN;
        for ((word, found), class) in quantiles.into_iter().zip(["s1", "s1", "s2", "s3"]) {
            let x = scale.place(found.value);
            svg.open("pointed", &format!("{}: {word} {}", it.name, Unit::Time.show(found.value)));
            if let Some(half) = found.half_width {
                let (from, to) = (scale.place(found.value - half), scale.place(found.value + half));
                svg.line(&format!("range {class}"), (from, y), (to, y));
            }
            svg.dot(class, (x, y), 4.5);
            svg.close();
            if end < x - 16.0 {
                svg.text("tick", (x, y - 9.0), Anchor::Middle, word);
                end = x + 16.0;
            }
        }
    }
    svg.html("Latency by kind of users: p50, p90, p99 and p99.9 with their intervals")
}

fn table(users: &[UsersReport]) -> Table {
    let head = ["Users", "Offered", "Goodput", "Success", "Mean", "p50", "p90", "p99", "p99.9"];
    let mut table = Table::new("Requests by kind of users, with 95 % intervals", &head);
    for it in users {
        let mut row = vec![
            Cell::html(name(&it.name)),
            cell(&it.offered, Unit::Rate),
            cell(&it.goodput, Unit::Rate),
            cell(&it.success, Unit::Share),
            cell(&it.latency.mean_ms, Unit::Time),
        ];
        row.extend(quantiles(&it.latency).map(|it| cell(it.1, Unit::Time)));
        table.rows.push(row);
    }
    table
}

/// An estimate as a cell.
pub(super) fn cell(found: &Estimate, unit: Unit) -> Cell {
    Cell::number(estimate(found, unit), found.value)
}
