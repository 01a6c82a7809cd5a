//! The critical path: where the time of a request goes.

use api::simulation::PathShare;

use super::Section;
use crate::draw::{Anchor, Scale, Svg, legend};
use crate::figure::{Unit, float};
use crate::html::{Cell, Table, cut, name};

/// Bars that are drawn; the rest is one bar together.
const BARS_MAX: usize = 14;

/// Shares of the critical path, the largest first.
pub(super) fn section(shares: &[PathShare]) -> Section {
    let (id, title) = ("critical-path", "Critical path");
    if shares.is_empty() {
        return Section { id, title, html: String::new() };
    }
    let mut bars: Vec<PathShare> = shares.iter().take(BARS_MAX).cloned().collect();
    let rest = shares.get(BARS_MAX..).unwrap_or_default();
    if !rest.is_empty() {
        let sum = |of: fn(&PathShare) -> f64| rest.iter().map(of).sum();
        let name = format!("{} others", rest.len());
        let (share, working, waiting) =
            (sum(|it| it.share), sum(|it| it.working), sum(|it| it.waiting));
        bars.push(PathShare { name, share, working, waiting });
    }
    let mut html = String::from(
        "<p>Whose work and whose queue a request spends its time in; of what runs in parallel, only the slowest counts.</p>\n",
    );
    html.push_str(&legend(&[
        ("thick s1", "working"),
        ("thick s2", "waiting for a worker"),
        ("thick s6", "else"),
    ]));
    html.push_str(&drawing(&bars));
    html.push_str(&table(shares).folded());
    Section { id, title, html }
}

fn drawing(bars: &[PathShare]) -> String {
    let (width, row, left) = (1080.0, 26.0, 170.0);
    let bottom = 8.0 + float(bars.len()) * row;
    let scale = Scale::from_zero(bars.iter().map(|it| it.share * 100.0), (left, width - 70.0));
    let mut svg = Svg::new(width, bottom + 40.0);
    for (value, text) in scale.ticks() {
        let x = scale.place(value);
        svg.line("grid", (x, 4.0), (x, bottom));
        svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &text);
    }
    svg.text("label", (width - 70.0, bottom + 32.0), Anchor::End, "share of the whole, %");
    for (place, bar) in bars.iter().enumerate() {
        let y = 8.0 + float(place) * row;
        svg.text("tick strong", (left - 10.0, y + 16.0), Anchor::End, &cut(&bar.name, 22));
        let parts = [("working", "s1", bar.working), ("waiting", "s2", bar.waiting)];
        let known: f64 = parts.iter().map(|it| it.2).filter(|it| it.is_finite()).sum();
        let mut from = 0.0;
        for (word, class, part) in parts.into_iter().chain([("else", "s6", bar.share - known)]) {
            if !part.is_finite() || part <= 1e-9 {
                continue;
            }
            let places = (scale.place(from * 100.0), scale.place((from + part) * 100.0));
            let title = format!("{}: {word} {}", bar.name, Unit::Share.show(part));
            svg.rectangle(
                &format!("bar {class}"),
                (places.0, y + 3.0),
                (places.1, y + row - 4.0),
                &title,
            );
            from += part;
        }
        let end = scale.place(bar.share * 100.0) + 6.0;
        svg.text("tick", (end, y + 16.0), Anchor::Start, &Unit::Share.show(bar.share));
    }
    svg.html("Shares of the critical path by service")
}

fn table(shares: &[PathShare]) -> Table {
    let mut table =
        Table::new("Shares of the critical path", &["Service", "Share", "Working", "Waiting"]);
    for it in shares {
        let share = |value| Cell::number(Unit::Share.show(value), value);
        table.rows.push(vec![
            Cell::html(name(&it.name)),
            share(it.share),
            share(it.working),
            share(it.waiting),
        ]);
    }
    table
}
