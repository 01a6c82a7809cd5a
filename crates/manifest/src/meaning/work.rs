//! A time that is drawn, as meant: which distribution its keys name, and whether its parameters can be.

use std::time::Duration;

use model::workload::{QuantileTime, WorkTime};

use crate::problem::Findings;
use crate::spec::{WorkMapSpec, WorkSpec};
use crate::yaml::At;

const KEYS: [&str; 9] =
    ["p50", "p99", "mean", "variation", "shape", "min", "max", "tail", "quantiles"];

/// What `spec` means, or nothing if it means nothing.
pub(super) fn work(findings: &mut Findings, spec: &WorkSpec, at: At<'_>) -> Option<WorkTime> {
    let map = match spec {
        WorkSpec::Fixed(time) => return Some(WorkTime::Fixed { time: time.0 }),
        WorkSpec::Map(map) => map,
    };
    let WorkMapSpec { p50, p99, mean, variation, shape, min, max, tail, quantiles } = map;
    // What is no key at all was reported with the structure.
    let mut keys: Vec<_> = at.keys().filter(|it| KEYS.contains(it)).collect();
    keys.sort_unstable();
    match keys.as_slice() {
        ["p50", "p99"] => {
            let (p50, p99) = ((*p50)?.0, (*p99)?.0);
            above_zero(findings, p50, ("p50", "lognormal"), at);
            ascending(findings, [("p50", p50), ("p99", p99)], at)?;
            Some(WorkTime::Lognormal { p50, p99 })
        }
        ["mean"] => Some(WorkTime::Exponential { mean: (*mean)?.0 }),
        ["mean", "variation"] => {
            Some(WorkTime::Hyperexponential { mean: (*mean)?.0, variation: (*variation)? })
        }
        ["mean", "shape"] => Some(WorkTime::Gamma { mean: (*mean)?.0, shape: (*shape)? }),
        ["max", "min"] => {
            let (min, max) = ((*min)?.0, (*max)?.0);
            ascending(findings, [("min", min), ("max", max)], at)?;
            Some(WorkTime::Uniform { min, max })
        }
        ["max", "min", "tail"] => {
            let (min, max) = ((*min)?.0, (*max)?.0);
            above_zero(findings, min, ("min", "Pareto"), at);
            ascending(findings, [("min", min), ("max", max)], at)?;
            Some(WorkTime::Pareto { min, max, tail: (*tail)? })
        }
        ["quantiles"] => {
            let quantiles = quantiles.as_ref()?.iter().map(|it| QuantileTime(it.0)).collect();
            empirical(findings, quantiles, at.key("quantiles"))
        }
        _ => {
            let message = "write `p50` and `p99` (lognormal), `mean` (exponential), `mean` and `variation` \
                           (hyperexponential), `mean` and `shape` (gamma), `min` and `max` (uniform), `min`, \
                           `max` and `tail` (Pareto), or `quantiles` (as measured)";
            findings.error(at.place, message);
            None
        }
    }
}

fn above_zero(findings: &mut Findings, time: Duration, (key, kind): (&str, &str), at: At<'_>) {
    if time.is_zero() {
        let message = format!("a {kind} time is above 0; write a `{key}` such as `1ms`");
        findings.error(at.key(key).place, message);
    }
}

fn ascending(
    findings: &mut Findings,
    [(low, least), (high, most)]: [(&str, Duration); 2],
    at: At<'_>,
) -> Option<()> {
    if most < least {
        let message = format!("`{high}` is below `{low}`; exchange them");
        findings.error(at.key(high).place, message);
        return None;
    }
    Some(())
}

fn empirical(
    findings: &mut Findings,
    quantiles: Vec<QuantileTime>,
    at: At<'_>,
) -> Option<WorkTime> {
    if quantiles.len() < 2 {
        let message = "quantiles are at least two, the shortest and the longest time; add one";
        findings.error(at.place, message);
        return None;
    }
    let descent = quantiles.array_windows().position(|[before, after]| after < before);
    if let Some(before) = descent {
        let message = "this quantile is below the one before it; write them in ascending order";
        findings.error(at.item(before + 1).place, message);
        return None;
    }
    Some(WorkTime::Empirical { quantiles })
}
