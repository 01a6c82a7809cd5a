//! The vulnerability map: load across, length of the trigger upwards, and how each of them ended.
//!
//! A state has a colour and a sign, as colour alone tells not everybody; the load as it is now is framed.

use api::simulation::{Storm, StormCell};

use super::Section;
use super::verdict::pill;
use crate::draw::{Anchor, Svg};
use crate::figure::{Unit, amount, estimate, float};
use crate::html::{Cell, Table, cut};

const LEFT: f64 = 70.0;
const TOP: f64 = 34.0;
const WIDTH: f64 = 1080.0;
const CELL_HEIGHT: f64 = 46.0;
/// A cell is no wider: few loads make no map of giants.
const CELL_WIDTH_MAX: f64 = 150.0;

/// The map, and its figures.
pub(super) fn section(storm: &Storm) -> Section {
    let (id, title) = ("map", "Vulnerability map");
    if storm.cells.is_empty() || storm.loads.is_empty() || storm.sizes_s.is_empty() {
        return Section { id, title, html: String::new() };
    }
    let about = [
        ("stable", "always comes back"),
        ("vulnerable", "sometimes does not"),
        ("collapsed", "never comes back"),
        ("overloaded", "did not do its work even before"),
    ];
    let legend: Vec<String> = about
        .iter()
        .map(|(state, words)| format!("<span>{} {words}</span>", pill(state)))
        .collect();
    let html = format!(
        "<p>Trigger: <code>{}</code>. In each cell: replications that came back, and the time that took.</p>\n\
         <p class=\"legend\">{}</p>\n{}{}",
        crate::html::escaped(&storm.trigger),
        legend.concat(),
        drawing(storm),
        table(storm).folded()
    );
    Section { id, title, html }
}

/// What stands for a state in a cell: its class and its sign.
fn sign(state: &str) -> (&'static str, &'static str) {
    match state {
        "stable" => ("ok", "✓"),
        "vulnerable" => ("warn", "~"),
        "collapsed" => ("critical", "✕"),
        "overloaded" => ("over", "!"),
        _ => ("unknown", "?"),
    }
}

/// The cell of a load and a size: of those that are written down, the one for them.
fn find(storm: &Storm, load: f64, size_s: f64) -> Option<&StormCell> {
    storm.cells.iter().find(|it| (it.load - load).abs() < 1e-9 && (it.size_s - size_s).abs() < 1e-9)
}

/// The place of a load on the axis, between those that were tried.
fn column_of(loads: &[f64], load: f64) -> Option<f64> {
    let (first, last) = (*loads.first()?, *loads.last()?);
    if load < first - 1e-9 || last + 1e-9 < load {
        return None;
    }
    for (at, pair) in loads.windows(2).enumerate() {
        if let [from, to] = pair
            && load <= *to
            && from < to
        {
            return Some(float(at) + (load - from) / (to - from));
        }
    }
    Some(0.0)
}

fn drawing(storm: &Storm) -> String {
    let (columns, rows) = (float(storm.loads.len()), float(storm.sizes_s.len()));
    let cell_width = ((WIDTH - LEFT - 20.0) / columns).min(CELL_WIDTH_MAX);
    let bottom = TOP + rows * CELL_HEIGHT;
    let mut svg = Svg::new(WIDTH, bottom + 46.0);
    svg.text("label", (4.0, 14.0), Anchor::Start, "trigger, s");
    for (row, size_s) in storm.sizes_s.iter().enumerate() {
        let y = bottom - float(row + 1) * CELL_HEIGHT;
        svg.text("tick", (LEFT - 8.0, y + CELL_HEIGHT / 2.0 + 4.0), Anchor::End, &amount(*size_s));
        for (column, load) in storm.loads.iter().enumerate() {
            let x = LEFT + float(column) * cell_width;
            if let Some(it) = find(storm, *load, *size_s) {
                cell(&mut svg, it, (x, y), cell_width);
            }
        }
    }
    for (column, load) in storm.loads.iter().enumerate() {
        let x = LEFT + (float(column) + 0.5) * cell_width;
        svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &format!("×{}", amount(*load)));
    }
    let right = LEFT + columns * cell_width;
    svg.text("label", (right, bottom + 34.0), Anchor::End, "load, times the scenario's");
    if let Some(now) = column_of(&storm.loads, 1.0) {
        let x = LEFT + now * cell_width;
        let title = "the load as it is now";
        if (now - now.round()).abs() < 1e-9 {
            svg.rectangle("present", (x, TOP), (x + cell_width, bottom), title);
        } else {
            let x = x + cell_width / 2.0;
            svg.open("present", title);
            svg.line("present", (x, TOP - 4.0), (x, bottom));
            svg.close();
        }
        svg.text("mark strong", (x + cell_width / 2.0, TOP - 8.0), Anchor::Middle, "now");
    }
    svg.html("Vulnerability map: load across, length of the trigger upwards; the figures are below as a table")
}

fn cell(svg: &mut Svg, it: &StormCell, at: (f64, f64), width: f64) {
    let (class, sign) = sign(&it.state);
    let (x, y) = at;
    let recovery = it.recovery_s.as_ref().map(|it| Unit::Seconds.show(it.value));
    let mut title = format!(
        "load ×{}, trigger {}: {}\n{} of {} came back",
        amount(it.load),
        Unit::Seconds.show(it.size_s),
        it.state,
        it.recovered,
        it.replications
    );
    if let Some(recovery) = &recovery {
        add!(title, ", after {recovery}");
    }
    add!(title, "\ngoodput afterwards {} of before", Unit::Share.show(it.goodput_after));
    svg.open(&format!("cell {class}"), &title);
    svg.rectangle("", (x + 1.5, y + 1.5), (x + width - 1.5, y + CELL_HEIGHT - 1.5), "");
    let middle = x + width / 2.0;
    if width < 44.0 {
        svg.text("sign", (middle, y + CELL_HEIGHT / 2.0 + 5.0), Anchor::Middle, sign);
    } else {
        let first = format!("{sign} {}/{}", it.recovered, it.replications);
        svg.text("sign", (middle, y + 20.0), Anchor::Middle, &first);
        let second = recovery.unwrap_or_else(|| Unit::Share.show(it.goodput_after));
        svg.text("small", (middle, y + 36.0), Anchor::Middle, &cut(&second, 12));
    }
    svg.close();
}

fn table(storm: &Storm) -> Table {
    let head = ["Load", "Trigger", "State", "Came back", "Of", "Recovery", "Goodput afterwards"];
    let mut table = Table::new("Every load and trigger", &head);
    for it in &storm.cells {
        let recovery = it.recovery_s.as_ref();
        table.rows.push(vec![
            Cell::number(format!("×{}", amount(it.load)), it.load),
            Cell::number(Unit::Seconds.show(it.size_s), it.size_s),
            Cell::html(pill(&it.state)),
            Cell::number(it.recovered.to_string(), f64::from(it.recovered)),
            Cell::number(it.replications.to_string(), f64::from(it.replications)),
            Cell::number(
                recovery.map_or_else(String::new, |it| estimate(it, Unit::Seconds)),
                recovery.map_or(f64::MAX, |it| it.value),
            ),
            Cell::number(Unit::Share.show(it.goodput_after), it.goodput_after),
        ]);
    }
    table
}
