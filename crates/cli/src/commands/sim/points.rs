//! Loads, or values of a parameter, and what comes of each: capacity and sweep.

use api::simulation::{Capacity, LoadPoint, Sweep};

use super::figure::{belief, footer, heading, percent, rate, share, sign, time};
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::table::{self, Cell};

pub(super) fn capacity(found: &Capacity, output: &mut Output) -> Result<(), CommandError> {
    heading(&found.origin, output)?;
    let tone = if found.meets.is_some() { Tone::Strong } else { Tone::Bad };
    output.line(&output.paint(tone, &found.summary))?;
    if let (Some(meets), Some(misses)) = (found.meets, found.misses) {
        let between = format!(
            "  it lies between {meets:.1}/s, which meets the objectives, and {misses:.1}/s, which does not"
        );
        output.line(&between)?;
    }
    if found.capacity.half_width.is_some() {
        output.line(&format!("  over replications it is {}", rate(&found.capacity)))?;
    }
    belief(&found.credibility, output)?;
    output.line("")?;
    let rows: Vec<Vec<Cell>> = found
        .points
        .iter()
        .map(|it| row((format!("{:.3}×", it.factor), Tone::Strong), it))
        .collect();
    table::write(output, &columns("LOAD"), &rows)?;
    footer(&found.origin, output)
}

pub(super) fn sweep(found: &Sweep, output: &mut Output) -> Result<(), CommandError> {
    heading(&found.origin, output)?;
    output.line(&output.paint(Tone::Strong, &found.summary))?;
    belief(&found.credibility, output)?;
    output.line("")?;
    let rows: Vec<Vec<Cell>> =
        found.points.iter().map(|(value, it)| row((value.clone(), Tone::Strong), it)).collect();
    table::write(output, &columns(&found.parameter.to_uppercase()), &rows)?;
    footer(&found.origin, output)
}

fn columns(first: &str) -> [&str; 10] {
    [first, "", "OFFERED", "GOODPUT", "SUCCESS", "MEAN", "P50", "P99", "P99.9", "BUSIEST"]
}

fn row(first: Cell, it: &LoadPoint) -> Vec<Cell> {
    let busiest = it.bottleneck.as_ref();
    let busiest = busiest.map(|(name, busy)| format!("{name} {}", percent(*busy)));
    let latency = &it.latency;
    vec![
        first,
        sign(&it.state),
        table::plain(&rate(&it.offered)),
        table::plain(&rate(&it.goodput)),
        table::plain(&share(&it.success)),
        table::plain(&time(&latency.mean_ms)),
        table::plain(&time(&latency.p50_ms)),
        table::plain(&time(&latency.p99_ms)),
        table::plain(&time(&latency.p999_ms)),
        table::plain(&busiest.unwrap_or_default()),
    ]
}
