//! Tables of services and of edges, with intervals.

use api::simulation::{EdgeReport, ServiceReport};

use super::Section;
use super::users::cell;
use crate::figure::{Unit, amount, estimate};
use crate::html::{Cell, Table, name};

/// Rows of a table on a page, at most: with more the page is slow, and the answer as JSON has them all.
const ROWS_MAX: usize = 500;

/// Services, the busiest first.
pub(super) fn services(services: &[ServiceReport]) -> Section {
    let (id, title) = ("services", "Services");
    if services.is_empty() {
        return Section { id, title, html: String::new() };
    }
    let head = [
        "Service",
        "Instances",
        "Busy",
        "Arrivals",
        "Waiting",
        "Most waiting",
        "Errors",
        "Turned away",
        "Sojourn mean",
        "Sojourn p99",
        "Wait mean",
        "Wait p99",
    ];
    let mut table = Table::new("Services, with 95 % intervals", &head);
    for it in services.iter().take(ROWS_MAX) {
        table.rows.push(vec![
            Cell::html(name(&it.name)),
            Cell::number(amount(it.instances), it.instances),
            it.utilisation.as_ref().map_or_else(|| Cell::number("no limit".to_owned(), -1.0), busy),
            cell(&it.arrivals, Unit::Rate),
            cell(&it.waiting, Unit::Plain),
            Cell::number(it.waiting_max.to_string(), crate::figure::wide(it.waiting_max)),
            cell(&it.errors, Unit::Share),
            cell(&it.rejected, Unit::Rate),
            cell(&it.sojourn.mean_ms, Unit::Time),
            cell(&it.sojourn.p99_ms, Unit::Time),
            cell(&it.waited.mean_ms, Unit::Time),
            cell(&it.waited.p99_ms, Unit::Time),
        ]);
    }
    Section { id, title, html: table.html() + &left_out(services.len()) }
}

/// How busy, as a bar and in words.
fn busy(found: &api::simulation::Estimate) -> Cell {
    let class = super::topology::busy_class(found.value);
    let part = if found.value.is_finite() { found.value.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    let html = format!(
        "<span class=\"meter {class}\"><i style=\"width:{part:.0}%\"></i></span> {}",
        estimate(found, Unit::Share)
    );
    Cell::number(html, found.value)
}

/// Edges, by caller and callee.
pub(super) fn edges(edges: &[EdgeReport]) -> Section {
    let (id, title) = ("edges", "Edges");
    if edges.is_empty() {
        return Section { id, title, html: String::new() };
    }
    let head = [
        "Caller",
        "Callee",
        "Calls",
        "Calls a request",
        "Attempts a call",
        "Errors",
        "Retries",
        "Hedges",
        "Mean",
        "p99",
        "Refused",
    ];
    let mut table = Table::new("Edges, with 95 % intervals", &head);
    for it in edges.iter().take(ROWS_MAX) {
        let refused: Vec<String> = it
            .refused
            .iter()
            .map(|(reason, rate)| {
                format!("{} {}", crate::html::escaped(reason), estimate(rate, Unit::Rate))
            })
            .collect();
        table.rows.push(vec![
            Cell::html(name(&it.caller)),
            Cell::html(name(&it.callee)),
            cell(&it.calls, Unit::Rate),
            cell(&it.calls_per_request, Unit::Plain),
            cell(&it.attempts_per_call, Unit::Plain),
            cell(&it.errors, Unit::Share),
            cell(&it.retries, Unit::Rate),
            cell(&it.hedges, Unit::Rate),
            cell(&it.latency.mean_ms, Unit::Time),
            cell(&it.latency.p99_ms, Unit::Time),
            Cell::html(refused.join("<br/>")),
        ]);
    }
    Section { id, title, html: table.html() + &left_out(edges.len()) }
}

fn left_out(count: usize) -> String {
    match count.saturating_sub(ROWS_MAX) {
        0 => String::new(),
        more => format!("<p class=\"note\">{more} more are in the answer as JSON.</p>\n"),
    }
}
