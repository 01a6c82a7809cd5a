//! Two variants: the paired difference of each figure with its interval, as a forest plot.
//!
//! Figures of all units share one axis: the difference in percent of A, on a scale that is linear around zero and
//! logarithmic further out, so that a change of 2 % and one of 300 % are both seen.

use api::simulation::{Comparison, Difference, Estimate};

use super::Section;
use super::verdict::pill;
use crate::draw::{axis, whisker};
use crate::figure::{Unit, amount, estimate};
use crate::html::{Cell, Table, name};

/// Rows that are drawn, at most.
const ROWS_MAX: usize = 200;
/// Where the axis goes over from linear to logarithmic, and where it ends: 1 % and 1000 %.
const LINEAR_TO: f64 = 0.01;
const END: f64 = 10.0;

/// The state of a difference, in a word.
pub(super) fn state(it: &Difference) -> &'static str {
    match (it.differs, it.more_is_better) {
        (false, _) => "no difference",
        (true, None) => "differs",
        (true, Some(more_is_better)) => {
            if (0.0 < it.difference.value) == more_is_better {
                "better"
            } else {
                "worse"
            }
        }
    }
}

/// All differences.
pub(super) fn section(comparison: &Comparison) -> Section {
    let (id, title) = ("differences", "Paired differences");
    if comparison.differences.is_empty() {
        return Section { id, title, html: String::new() };
    }
    let head = ["Figure", "State", "A", "B", "B less A", "B less A, in percent of A"];
    let mut table = Table::new(
        "Figures of both variants, replication by replication with the same luck",
        &head,
    );
    for it in comparison.differences.iter().take(ROWS_MAX) {
        let unit = unit_of(it);
        table.rows.push(vec![
            Cell::html(name(&it.what)),
            Cell::html(pill(state(it))),
            Cell::number(estimate(&it.a, unit), it.a.value),
            Cell::number(estimate(&it.b, unit), it.b.value),
            Cell::number(signed(&it.difference, unit), it.difference.value),
            Cell::html(drawing(it)),
        ]);
    }
    let ticks = [
        ("−100", -1.0),
        ("−10", -0.1),
        ("−1", -0.01),
        ("0", 0.0),
        ("1", 0.01),
        ("10", 0.1),
        ("100 %", 1.0),
    ];
    table.foot = vec![Cell::default(); head.len() - 1];
    table.foot.push(Cell::html(axis(&ticks, place)));
    let note = "<p class=\"note\">Lines are 95 % intervals of the paired difference.</p>\n";
    Section { id, title, html: table.html() + note }
}

fn unit_of(it: &Difference) -> Unit {
    match it.unit.as_str() {
        "ms" => Unit::Time,
        "/s" => Unit::Rate,
        "s" => Unit::Seconds,
        "share" | "%" => Unit::Share,
        _ => Unit::Plain,
    }
}

fn signed(found: &Estimate, unit: Unit) -> String {
    let sign = if 0.0 < found.value { "+" } else { "" };
    let shown = format!("{sign}{}", estimate(found, unit));
    // The difference of two shares is points, not a share of either.
    if unit == Unit::Share { shown.replace("\u{202f}%", "\u{202f}points") } else { shown }
}

/// The place of a relative difference on the axis, from 0 to 1.
fn place(relative: f64) -> f64 {
    let size = |it: f64| (1.0 + it.abs() / LINEAR_TO).log10();
    0.5 + 0.5 * (size(relative) / size(END)).copysign(relative)
}

fn drawing(it: &Difference) -> String {
    if !it.a.value.is_finite() || it.a.value.abs() < 1e-12 {
        return "<span class=\"note\">A is zero</span>".to_owned();
    }
    let base = it.a.value.abs();
    let relative = Estimate {
        value: it.difference.value / base,
        half_width: it.difference.half_width.map(|it| it / base),
        refused: None,
    };
    let class = match state(it) {
        "better" => "ok",
        "worse" => "critical",
        "differs" => "warn",
        _ => "unknown",
    };
    let lines = [
        ("grid", -1.0),
        ("grid", -0.1),
        ("grid", -0.01),
        ("zero", 0.0),
        ("grid", 0.01),
        ("grid", 0.1),
        ("grid", 1.0),
    ];
    let label = format!("{}: {} %", it.what, amount(relative.value * 100.0));
    whisker(class, &relative, &lines, place, &label)
}
