//! A map of shocks: loads upwards, lengths of the shock to the right.

use api::simulation::{Storm, StormCell};
use model::units::DurationText;
use std::time::Duration;

use super::super::top::latency;
use super::figure::{belief, footer, heading};
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::table::{self, Cell};

pub(super) fn show(found: &Storm, output: &mut Output) -> Result<(), CommandError> {
    heading(&found.origin, output)?;
    output.line(&output.paint(Tone::Strong, &found.summary))?;
    belief(&found.credibility, output)?;
    output.line("")?;
    let sizes = found.sizes_s.iter();
    let sizes: Vec<String> =
        sizes.map(|it| DurationText(Duration::from_secs_f64(*it)).to_string()).collect();
    output.line(&format!(
        "what comes of `{}` for so long, at so many times the load:",
        found.trigger
    ))?;
    let mut columns = vec![""];
    columns.extend(sizes.iter().map(String::as_str));
    let width = found.sizes_s.len().max(1);
    // The largest load is on top, as on a map.
    let rows: Vec<Vec<Cell>> = found
        .loads
        .iter()
        .zip(found.cells.chunks(width))
        .rev()
        .map(|(load, cells)| {
            let is_present = (load - 1.0).abs() < 1e-9;
            let mark = if is_present { " ◂ now" } else { "" };
            let first = (format!("{load}×{mark}"), Tone::Strong);
            std::iter::once(first).chain(cells.iter().map(cell)).collect()
        })
        .collect();
    table::write(output, &columns, &rows)?;
    let legend = "✔ comes back, after so long · ~ came back in so many replications · ✘ stays down · ■ is overloaded before any shock";
    output.line(&output.paint(Tone::Faint, legend))?;
    footer(&found.origin, output)
}

fn cell(it: &StormCell) -> Cell {
    match it.state.as_str() {
        "stable" => {
            let after = it.recovery_s.as_ref().map(|it| latency(Some(it.value * 1e3)));
            let after = after.filter(|_| it.recovery_s.as_ref().is_some_and(|it| 0.0 < it.value));
            (format!("✔ {}", after.unwrap_or_else(|| "at once".to_owned())), Tone::Good)
        }
        "vulnerable" => (format!("~ {} of {}", it.recovered, it.replications), Tone::Busy),
        "collapsed" => (format!("✘ {:.0} %", it.goodput_after * 100.0), Tone::Bad),
        _ => ("■".to_owned(), Tone::Bad),
    }
}
