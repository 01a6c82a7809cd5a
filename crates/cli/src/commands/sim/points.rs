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
    table::write(output, &columns(&found.parameter), &rows)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::commands::sim::sample;
    use crate::output::{Look, captured};

    #[test]
    fn a_capacity() {
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        capacity(&sample::capacity(), &mut output).unwrap();
        insta::assert_snapshot!(page.text(), @"
        shop: 10 times 5m, the first 12s500ms of each not counted (mser-5)
        it bears 310 requests/s, 3.12 times the load; cart (97 % busy) gives way: p99 within 500ms is missed
          it lies between 310.2/s, which meets the objectives, and 315.9/s, which does not
          over replications it is 312/s ±2.0%
          nothing is lost, and Little's law holds within 0.12%
          assumed: 100 requests/s come from outside

        LOAD       OFFERED      GOODPUT      SUCCESS     MEAN          P50           P99           P99.9   BUSIEST
        1.000×  ✔  100/s ±2.0%  100/s ±2.0%  100% ±2.0%  10.0ms ±2.0%  7.00ms ±2.0%  46.0ms ±2.0%  69.0ms  cart 30.0%
        3.100×  ✔  310/s ±2.0%  310/s ±2.0%  100% ±2.0%  31.0ms ±2.0%  21.7ms ±2.0%  143ms ±2.0%   214ms   cart 93.0%
        3.160×  ?  316/s ±2.0%  316/s ±2.0%  100% ±2.0%  31.6ms ±2.0%  22.1ms ±2.0%  145ms ±2.0%   218ms   cart 94.8%
        4.000×  ✘  400/s ±2.0%  400/s ±2.0%  100% ±2.0%  40.0ms ±2.0%  28.0ms ±2.0%  184ms ±2.0%   276ms   cart 120.0%

        model 0123456789abcdef · outcome fedcba9876543210 · 1235k events
        again: pelago sim run shop.yaml --replications 10 --seed 1
        ");
    }

    #[test]
    fn a_sweep() {
        let Capacity { points, origin, credibility, .. } = sample::capacity();
        let points = points.into_iter().zip(["1", "2", "4", "8"]);
        let found = Sweep {
            origin,
            parameter: "services.cart.replicas".to_owned(),
            points: points.map(|(point, value)| (value.to_owned(), point)).collect(),
            summary: "with services.cart.replicas 1, 2 is every objective met".to_owned(),
            credibility,
        };
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        sweep(&found, &mut output).unwrap();
        insta::assert_snapshot!(page.text(), @"
        shop: 10 times 5m, the first 12s500ms of each not counted (mser-5)
        with services.cart.replicas 1, 2 is every objective met
          nothing is lost, and Little's law holds within 0.12%
          assumed: 100 requests/s come from outside

        services.cart.replicas     OFFERED      GOODPUT      SUCCESS     MEAN          P50           P99           P99.9   BUSIEST
        1                       ✔  100/s ±2.0%  100/s ±2.0%  100% ±2.0%  10.0ms ±2.0%  7.00ms ±2.0%  46.0ms ±2.0%  69.0ms  cart 30.0%
        2                       ✔  310/s ±2.0%  310/s ±2.0%  100% ±2.0%  31.0ms ±2.0%  21.7ms ±2.0%  143ms ±2.0%   214ms   cart 93.0%
        4                       ?  316/s ±2.0%  316/s ±2.0%  100% ±2.0%  31.6ms ±2.0%  22.1ms ±2.0%  145ms ±2.0%   218ms   cart 94.8%
        8                       ✘  400/s ±2.0%  400/s ±2.0%  100% ±2.0%  40.0ms ±2.0%  28.0ms ±2.0%  184ms ±2.0%   276ms   cart 120.0%

        model 0123456789abcdef · outcome fedcba9876543210 · 1235k events
        again: pelago sim run shop.yaml --replications 10 --seed 1
        ");
    }
}
