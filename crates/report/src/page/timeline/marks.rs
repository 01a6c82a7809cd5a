//! What is marked on a timeline: the warm-up, and faults from their beginning to their end.

use api::simulation::{Incident, Report};

use crate::draw::Band;
use crate::figure::Unit;
use crate::html::{Cell, Table};

/// Faults that are marked, at most: beyond, marks hide what they mark.
const FAULTS_MAX: usize = 60;
/// Incidents that are listed, at most.
const LISTED_MAX: usize = 200;

/// The warm-up and the faults, in seconds. A fault without an end is a line.
pub(super) fn bands(report: &Report, end_s: f64) -> Vec<Band> {
    let mut bands = Vec::new();
    if 0.0 < report.origin.warm_up_s {
        bands.push(Band {
            class: "warm",
            from: 0.0,
            to: report.origin.warm_up_s.min(end_s),
            label: "not counted".to_owned(),
            title: format!("warm-up, not counted: {}", Unit::Seconds.show(report.origin.warm_up_s)),
        });
    }
    let mut ends: Vec<&Incident> =
        report.incidents.iter().filter(|it| it.kind == "fault-ended").collect();
    for began in report.incidents.iter().filter(|it| it.kind == "fault-began").take(FAULTS_MAX) {
        let is_end = |it: &&Incident| it.what == began.what && began.at_s <= it.at_s;
        let ended = ends.iter().position(is_end).map(|it| ends.remove(it));
        let to = ended.map_or(began.at_s, |it| it.at_s);
        let when = match ended {
            Some(_) => format!("{} to {}", Unit::Seconds.show(began.at_s), Unit::Seconds.show(to)),
            None => format!("at {}", Unit::Seconds.show(began.at_s)),
        };
        bands.push(Band {
            class: "fault",
            from: began.at_s,
            to,
            label: began.what.clone(),
            title: format!("{}\n{when}", began.what),
        });
    }
    bands
}

/// All incidents as a table.
pub(super) fn list(incidents: &[Incident]) -> String {
    if incidents.is_empty() {
        return String::new();
    }
    let mut table = Table::new("What happened in the first replication", &["At", "Kind", "What"]);
    for it in incidents.iter().take(LISTED_MAX) {
        table.rows.push(vec![
            Cell::number(Unit::Seconds.show(it.at_s), it.at_s),
            Cell::text(&it.kind.replace('-', " ")),
            Cell::text(&it.what),
        ]);
    }
    let count = incidents.len();
    format!(
        "<details class=\"figures\"><summary>Faults and what followed ({count})</summary>{}</details>",
        table.html()
    )
}
