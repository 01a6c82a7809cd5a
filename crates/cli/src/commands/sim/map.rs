//! A map of shocks: loads upwards, lengths of the shock to the right.

use api::simulation::{Storm, StormCell};
use model::units::DurationText;
use std::time::Duration;

use super::figure::{belief, footer, heading};
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::plot::number;
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
            let after = it.recovery_s.as_ref().filter(|it| 0.05 <= it.value);
            let after = after.map(|it| format!("{}s", number((it.value * 10.0).round() / 10.0)));
            (format!("✔ {}", after.unwrap_or_else(|| "at once".to_owned())), Tone::Good)
        }
        "vulnerable" => (format!("~ {} of {}", it.recovered, it.replications), Tone::Busy),
        "collapsed" => (format!("✘ {:.0} %", it.goodput_after * 100.0), Tone::Bad),
        _ => ("■".to_owned(), Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::commands::sim::sample;
    use crate::output::{Look, captured};

    #[test]
    fn a_map() {
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        show(&sample::storm(), &mut output).unwrap();
        insta::assert_snapshot!(page.text(), @"
        shop: 10 times 5m, the first 12s500ms of each not counted (mser-5)
        at the present load it recovers from all of them; at 1.5 times the load load 3 for 90 s keeps it down (0 of 10 came back)
          nothing is lost, and Little's law holds within 0.12%
          assumed: 100 requests/s come from outside

        what comes of `load 3` for so long, at so many times the load:
                  1s         1m30s
        2×        ■          ■
        1.5×      ~ 7 of 10  ✘ 0 %
        1× ◂ now  ✔ at once  ✔ 12.5s
        ✔ comes back, after so long · ~ came back in so many replications · ✘ stays down · ■ is overloaded before any shock

        model 0123456789abcdef · outcome fedcba9876543210 · 1235k events
        again: pelago sim run shop.yaml --replications 10 --seed 1
        ");
    }
}
