//! Stations: which is the busiest, and whether a run is long enough for the load they have.

use model::scenario::{Load, Scenario};
use model::units::DurationText;

use super::figures::{Figures, count};
use crate::statistics::{RunLength, number, run_length};
use crate::system::System;

/// Why figures of a run get no interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    /// For each service.
    pub(super) services: Vec<Option<String>>,
    /// For what depends on all of them: the latency of requests from outside.
    pub(super) whole: Option<String>,
}

/// The busiest service with a limit, by place, and its mean utilisation.
pub(super) fn busiest(replications: &[Figures]) -> Option<(usize, f64)> {
    let services = replications.first()?.services.len();
    let all = (0..services).filter_map(|it| Some((it, utilisation(replications, it)?)));
    all.fold(None, |best: Option<(usize, f64)>, it| match best {
        Some(best) if it.1 <= best.1 => Some(best),
        _ => Some(it),
    })
}

/// How busy a service is on average; none if it has no limit.
fn utilisation(replications: &[Figures], service: usize) -> Option<f64> {
    let values: Option<Vec<f64>> = replications.iter().map(|it| it.utilisation(service)).collect();
    values.map(|it| it.iter().sum::<f64>() / number(it.len()))
}

/// Which figures get no interval, since the replications together are too short for how busy a station is.
///
/// Where the load changes or something goes wrong there is no steady state to be estimated: figures are of that course
/// of events, each replication sees all of it, and nothing is refused.
pub(super) fn refusals(system: &System, replications: &[Figures]) -> Refusals {
    let services = system.services();
    if !is_steady(system.scenario()) {
        return Refusals { services: vec![None; services.len()], whole: None };
    }
    let of = |(service, name)| shortfall(replications, service, &format!("{name}"));
    let services: Vec<Option<String>> = services.iter().enumerate().map(of).collect();
    let whole = busiest(replications).and_then(|(it, _)| services.get(it).cloned().flatten());
    Refusals { services, whole }
}

/// Whether what is asked of the application stays the same from beginning to end.
pub(super) fn is_steady(scenario: &Scenario) -> bool {
    let constant = |load: &Load| match load {
        Load::Closed { .. } => true,
        Load::Open(parts) => {
            let first = parts.first().map_or(0.0, |it| it.from);
            parts.iter().all(|it| same(it.from, first) && same(it.to, first))
        }
    };
    scenario.faults.is_empty() && scenario.users.iter().all(|it| constant(&it.load))
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= f64::EPSILON * a.abs()
}

fn shortfall(replications: &[Figures], service: usize, name: &str) -> Option<String> {
    let utilisation = utilisation(replications, service)?;
    let here = replications.iter().filter_map(|it| it.services.get(service));
    let served: f64 = here.clone().map(|it| count(it.answered)).sum();
    let instances: f64 = here.clone().map(|it| it.instances).sum();
    let workers: f64 = here.filter_map(|it| it.workers).sum();
    let percent = utilisation * 100.0;
    let busy = match percent {
        it if it < 1.0 => format!("{name} is {it:.1} % busy"),
        it => format!("{name} is {it:.0} % busy"),
    };
    match run_length(workers / instances.max(f64::MIN_POSITIVE), utilisation) {
        RunLength::Saturated => Some(format!(
            "{busy}: it is saturated, and no run is long enough; give it less load or more workers"
        )),
        RunLength::Needed { requests, .. } if served < requests && 0.0 < served => {
            let counted = replications.first()?.counted;
            let longer = counted.as_secs_f64() * requests / served;
            let longer = std::time::Duration::from_secs_f64(longer.min(1e9).ceil());
            Some(format!(
                "{busy}, where 5 % either way take {} requests, and {} were served; count {} in each replication",
                thousands(requests),
                thousands(served),
                DurationText(longer)
            ))
        }
        RunLength::Needed { .. } => None,
    }
}

/// `649k`.
fn thousands(number: f64) -> String {
    match number {
        it if it < 1e4 => format!("{it:.0}"),
        it if it < 1e6 => format!("{:.0}k", it / 1e3),
        it => format!("{:.1}M", it / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::pretended;

    #[test]
    fn a_run_that_is_too_short_says_how_long_it_must_be() {
        let check = |load, expected: Option<&str>| {
            let (system, figures) = pretended::figures(load, 10);
            assert_eq!(refusals(&system, &figures).whole.as_deref(), expected);
        };
        check(0.5, None);
        check(
            0.95,
            Some(
                "web is 95 % busy, where 5 % either way take 2.3M requests, and 95k were served; count 41m4s in each replication",
            ),
        );
        check(
            1.0,
            Some(
                "web is 100 % busy: it is saturated, and no run is long enough; give it less load or more workers",
            ),
        );
    }

    #[test]
    fn the_busiest_has_a_limit() {
        let (_, figures) = pretended::figures(0.5, 2);
        assert_eq!(busiest(&figures).map(|it| it.0), Some(0));
        assert_eq!(busiest(&[]), None);
    }
}
