//! The verdict: whether it does what is asked of it, first of all and in one sentence.

use api::simulation::{Capacity, Comparison, Estimate, ObjectiveResult, Report, Storm, Sweep};

use super::Section;
use crate::draw::whisker;
use crate::figure::{Unit, amount, estimate};
use crate::html::{Cell, Table, escaped, name};

/// A word for how something is, with a sign, as colour alone tells not everybody. The words are those of the answers.
pub(super) fn pill(state: &str) -> String {
    let (class, sign) = match state {
        "met" | "stable" | "better" => ("ok", "✓"),
        "missed" | "worse" => ("critical", "!"),
        "collapsed" => ("critical", "✕"),
        "overloaded" => ("unknown", "!"),
        "vulnerable" | "undecided" | "differs" => ("warn", "~"),
        _ => ("unknown", "·"),
    };
    format!("<span class=\"pill {class}\">{sign} {}</span>", escaped(state))
}

/// A figure to be seen first, with what it is, and a little more below. All of it is HTML.
pub(super) fn tile(label: &str, figure: &str, more: &str) -> String {
    format!(
        "<div class=\"tile\"><b>{figure}</b><span>{label}</span><span class=\"more\">{more}</span></div>"
    )
}

fn verdict(state: &str, summary: &str, tiles: &[String]) -> String {
    format!(
        "<p class=\"lead\">{} {}</p>\n<div class=\"tiles\">{}</div>\n",
        if state.is_empty() { String::new() } else { pill(state) },
        escaped(summary),
        tiles.concat()
    )
}

/// Of one run.
pub(super) fn of_report(report: &Report) -> Section {
    let verdict_of = &report.verdict;
    let states = || verdict_of.objectives.iter().map(|it| it.state.as_str());
    let state = if verdict_of.meets {
        "met"
    } else if states().any(|it| it == "missed") || states().next().is_none() {
        "missed"
    } else {
        "undecided"
    };
    let mut tiles = of_users(report);
    if let Some(bottleneck) = &verdict_of.bottleneck {
        let busy = verdict_of.utilisation.as_ref().map(|it| estimate(it, Unit::Share));
        tiles.push(tile("busiest service", &name(bottleneck), &busy.unwrap_or_default()));
    }
    if let Some(headroom) = verdict_of.headroom {
        let more = "times the load: what its workers could bear";
        tiles.push(tile("headroom at most", &format!("×{}", amount(headroom)), more));
    }
    let mut html = verdict(state, &verdict_of.summary, &tiles);
    html.push_str(&objectives(&verdict_of.objectives));
    Section { id: "verdict", title: "Verdict", html }
}

/// Goodput, success and the tail: of all users together, or of those that fare worst.
fn of_users(report: &Report) -> Vec<String> {
    let worst = |of: fn(&api::simulation::UsersReport) -> f64| {
        report.users.iter().max_by(|a, b| of(a).total_cmp(&of(b)))
    };
    let among = |who: &str| match report.users.len() {
        1 => String::new(),
        _ => format!("worst: {}", name(who)),
    };
    let mut tiles = Vec::new();
    match report.users.as_slice() {
        [] => return tiles,
        [only] => {
            let offered = format!("of {} offered", estimate(&only.offered, Unit::Rate));
            tiles.push(tile("goodput", &estimate(&only.goodput, Unit::Rate), &offered));
        }
        all => {
            let sum = |of: fn(&api::simulation::UsersReport) -> f64| all.iter().map(of).sum();
            let offered: f64 = sum(|it| it.offered.value);
            let offered = format!("of {} offered", Unit::Rate.show(offered));
            tiles.push(tile("goodput", &Unit::Rate.show(sum(|it| it.goodput.value)), &offered));
        }
    }
    if let Some(users) = worst(|it| -it.success.value) {
        let success = estimate(&users.success, Unit::Share);
        tiles.push(tile("answered well", &success, &among(&users.name)));
    }
    if let Some(users) = worst(|it| it.latency.p99_ms.value) {
        let p99 = estimate(&users.latency.p99_ms, Unit::Time);
        tiles.push(tile("p99 latency", &p99, &among(&users.name)));
    }
    tiles
}

/// The unit of an objective: what is asked is a share, or milliseconds.
fn unit_of(objective: &ObjectiveResult) -> Unit {
    if objective.objective.contains("success") { Unit::Share } else { Unit::Time }
}

fn objectives(objectives: &[ObjectiveResult]) -> String {
    if objectives.is_empty() {
        return String::new();
    }
    let head = ["Objective", "State", "Found", "Asked", "95 % interval against what is asked"];
    let mut table = Table::new("What is asked, and what came of it", &head);
    for it in objectives {
        let unit = unit_of(it);
        let class = match it.state.as_str() {
            "met" => "ok",
            "missed" => "critical",
            _ => "warn",
        };
        let label = format!("{}: found {}", it.objective, unit.show(it.found.value));
        let drawing =
            whisker(class, &it.found, &[("limit", it.asked)], around(&it.found, it.asked), &label);
        table.rows.push(vec![
            Cell::text(&it.objective),
            Cell::html(pill(&it.state)),
            Cell::number(estimate(&it.found, unit), it.found.value),
            Cell::number(unit.show(it.asked), it.asked),
            Cell::html(drawing),
        ]);
    }
    table.html()
}

/// A scale with an interval and a limit on it, and some room on both sides.
fn around(found: &Estimate, asked: f64) -> impl Fn(f64) -> f64 + use<> {
    let half = found.half_width.unwrap_or(0.0).abs();
    let least = asked.min(found.value - half);
    let largest = asked.max(found.value + half);
    let room = ((largest - least) * 0.3).max(1e-12);
    move |value| (value - least + room) / (largest - least + 2.0 * room)
}

/// Of the largest load.
pub(super) fn of_capacity(capacity: &Capacity) -> Section {
    let rate =
        |it: Option<f64>, none: &str| it.map_or_else(|| none.to_owned(), |it| Unit::Rate.show(it));
    let bracket = format!(
        "met at {}, missed at {}",
        rate(capacity.meets, "no load"),
        rate(capacity.misses, "no load that was tried")
    );
    let found = if capacity.meets.is_none() && capacity.capacity.value <= 0.0 {
        "none".to_owned()
    } else {
        estimate(&capacity.capacity, Unit::Rate)
    };
    let mut tiles = vec![tile("capacity", &found, &bracket)];
    if let Some(headroom) = capacity.headroom {
        let more = "times what is offered now";
        tiles.push(tile("headroom", &format!("×{}", amount(headroom)), more));
    }
    if let Some(bottleneck) = &capacity.bottleneck {
        tiles.push(tile("gives way first", &name(bottleneck), ""));
    }
    if let Some(limit) = &capacity.limited_by {
        tiles.push(tile("missed first", &name(limit), ""));
    }
    Section { id: "verdict", title: "Verdict", html: verdict("", &capacity.summary, &tiles) }
}

/// Of two variants.
pub(super) fn of_comparison(comparison: &Comparison) -> Section {
    let count = |word: &str| {
        comparison.differences.iter().filter(|it| super::differences::state(it) == word).count()
    };
    let tiles: Vec<String> = [
        ("better", "figures better in B"),
        ("worse", "figures worse in B"),
        ("differs", "differ, neither better nor worse"),
        ("no difference", "cannot be told from chance"),
    ]
    .iter()
    .map(|(word, label)| tile(label, &count(word).to_string(), ""))
    .collect();
    Section { id: "verdict", title: "Verdict", html: verdict("", &comparison.summary, &tiles) }
}

/// Of a parameter.
pub(super) fn of_sweep(sweep: &Sweep) -> Section {
    let met = sweep.points.iter().filter(|it| it.1.state == "met").count();
    let tiles = [
        tile("parameter", &name(&sweep.parameter), &format!("{} values", sweep.points.len())),
        tile("values that meet every objective", &met.to_string(), ""),
    ];
    Section { id: "verdict", title: "Verdict", html: verdict("", &sweep.summary, &tiles) }
}

/// Of shocks.
pub(super) fn of_storm(storm: &Storm) -> Section {
    let tiles: Vec<String> = ["stable", "vulnerable", "collapsed", "overloaded"]
        .iter()
        .map(|state| {
            let count = storm.cells.iter().filter(|it| it.state == *state).count();
            tile(&pill(state), &count.to_string(), &format!("of {} cells", storm.cells.len()))
        })
        .collect();
    Section { id: "verdict", title: "Verdict", html: verdict("", &storm.summary, &tiles) }
}
