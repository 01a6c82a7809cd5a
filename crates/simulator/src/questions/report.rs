//! Figures of replications as a report: every figure with its interval, or the reason why it has none.

use api::simulation::{
    Credibility, EdgeReport, Estimate, Incident, LoadPoint, Origin, Report, ServiceReport,
    UsersReport, Verdict,
};
use model::scenario::{Network, Scenario};

use super::critical_path::Path;
use super::estimate::{estimate, estimate_of_some};
use super::figures::{Edge, Figures, REFUSALS, Requests, Service, count};
use super::objective::{self, MET, MISSED};
use super::sojourn::{Sojourn, latencies};
use super::station::{Refusals, busiest, is_steady, refusals};
use super::timeline::timeline;
use super::warm_up::WarmUp;
use crate::outcome::IncidentKind;
use crate::statistics::number;
use crate::system::System;

/// Requests a station must have answered before Little's law is looked at: with fewer, those at the edges of the run are
/// most of the difference.
const LITTLE_MIN: u64 = 1_000;
/// Share of requests that may have left without an answer, or be there at the end: more of them, and the sojourn of those
/// that were answered tells nothing of how many are present. (The engine checks the law itself, of all of them.)
const SETTLED: f64 = 0.002;
/// Violations that are reported; a broken run says the same again and again.
const VIOLATIONS_MAX: usize = 20;

/// A report of one system.
pub(super) fn report(
    system: &System,
    replications: &[Figures],
    origin: Origin,
    credibility: Credibility,
) -> Report {
    let refusals = refusals(system, replications);
    let whole = refusals.whole.as_deref();
    let users = system.scenario().users.iter().enumerate();
    let users = users.map(|(place, it)| {
        let of: Vec<Requests> =
            replications.iter().filter_map(|it| it.users.get(place).copied()).collect();
        users_report(&it.name, &of, whole)
    });
    let mut path = Path::default();
    for it in replications {
        path.add(&it.path);
    }
    Report {
        origin,
        verdict: verdict(system, replications, whole),
        credibility,
        users: users.collect(),
        services: services(system, replications, &refusals),
        edges: edges(system, replications, &refusals),
        critical_path: path.shares(system),
        timeline: timeline(replications),
        incidents: replications.first().map(incidents).unwrap_or_default(),
    }
}

/// Why one should believe figures of a system, or not.
pub(super) fn credibility(
    system: &System,
    replications: &[Figures],
    warm_up: &WarmUp,
    assumptions: &[String],
) -> Credibility {
    let mut violations: Vec<String> =
        replications.iter().flat_map(|it| it.violations.iter().cloned()).collect();
    violations.sort();
    violations.dedup();
    violations.truncate(VIOLATIONS_MAX);
    let refusals = refusals(system, replications);
    let mut refused: Vec<String> = refusals.services.into_iter().flatten().collect();
    refused.extend(warm_up.note.clone());
    let mut assumed = assumptions.to_vec();
    assumed.extend(assumptions_of(system.scenario()));
    Credibility {
        violations,
        little_max_error: little(replications),
        assumptions: assumed,
        refusals: refused,
    }
}

/// What a scenario leaves out, as far as it changes what comes of it.
fn assumptions_of(scenario: &Scenario) -> Vec<String> {
    let mut assumed = Vec::new();
    let network = &scenario.network;
    if *network == (Network { workers: network.workers, ..Network::default() }) {
        assumed.push(
            "the network and the data plane take no time (`network` says nothing)".to_owned(),
        );
    }
    if !is_steady(scenario) {
        let text = "the load changes, or things go wrong: figures are means over this course of events, not of a steady state";
        assumed.push(text.to_owned());
    }
    assumed
}

/// The largest difference of what Little's law says is present and what was, at any station with enough requests.
fn little(replications: &[Figures]) -> f64 {
    let stations = replications.first().map_or(0, |it| it.services.len());
    let error = |place: usize| {
        let here = || replications.iter().filter_map(|it| it.services.get(place));
        let present: f64 = here().map(|it| it.present.0).sum();
        let by_law: f64 = here().map(|it| it.present.1).sum();
        let answered: u64 = here().map(|it| it.answered).sum();
        let arrived: f64 = here().map(|it| it.arrived).sum();
        let is_settled = (arrived - count(answered)).abs() <= SETTLED * arrived;
        let counts = LITTLE_MIN <= answered && 0.0 < present && is_settled;
        if counts { (present - by_law).abs() / present } else { 0.0 }
    };
    (0..stations).map(error).fold(0.0, f64::max)
}

fn verdict(system: &System, replications: &[Figures], refusal: Option<&str>) -> Verdict {
    let asked = objective::asked(&system.scenario().objective);
    let objectives = objective::results(&asked, replications, refusal);
    let state = objective::together(&objectives);
    let busiest = busiest(replications);
    let bottleneck = busiest.and_then(|(it, _)| system.services().get(it));
    let utilisation = busiest.map(|(place, _)| {
        let values: Vec<_> = replications.iter().map(|it| it.utilisation(place)).collect();
        estimate_of_some(&values, None)
    });
    let headroom = busiest.map(|(_, it)| 1.0 / it).filter(|it| it.is_finite());
    let summary = match state {
        MET => "meets every objective".to_owned(),
        MISSED => {
            let missed = objectives.iter().filter(|it| it.state == MISSED);
            let missed: Vec<&str> = missed.map(|it| it.objective.as_str()).collect();
            format!("misses {}", missed.join(" and "))
        }
        _ => "cannot be told: an interval is too wide, or the run too short".to_owned(),
    };
    let busy = bottleneck
        .zip(busiest)
        .map(|(name, (_, busy))| format!("; {name} is busiest, at {:.0} %", busy * 100.0));
    Verdict {
        meets: state == MET,
        summary: summary + busy.as_deref().unwrap_or_default(),
        objectives,
        bottleneck: bottleneck.map(ToString::to_string),
        utilisation,
        headroom,
    }
}

fn users_report(name: &str, of: &[Requests], refusal: Option<&str>) -> UsersReport {
    let success: Vec<_> = of.iter().map(|it| it.success).collect();
    let sojourns: Vec<Sojourn> = of.iter().map(|it| it.latency).collect();
    UsersReport {
        name: name.to_owned(),
        offered: estimate(&values(of, |it| it.offered), None),
        goodput: estimate(&values(of, |it| it.goodput), None),
        success: estimate_of_some(&success, None),
        latency: latencies(&sojourns, refusal),
    }
}

fn values<T>(of: &[T], value: impl Fn(&T) -> f64) -> Vec<f64> {
    of.iter().map(value).collect()
}

fn services(system: &System, replications: &[Figures], refusals: &Refusals) -> Vec<ServiceReport> {
    let of = |(place, name): (usize, &model::ServiceName)| {
        let here: Vec<Service> =
            replications.iter().filter_map(|it| it.services.get(place).copied()).collect();
        let refusal = refusals.services.get(place).and_then(Option::as_deref);
        service_report(name.as_str(), &here, refusal)
    };
    let mut services: Vec<ServiceReport> = system.services().iter().enumerate().map(of).collect();
    let busy = |it: &ServiceReport| it.utilisation.as_ref().map_or(-1.0, |it| it.value);
    services.sort_by(|a, b| {
        let by_load = || b.arrivals.value.total_cmp(&a.arrivals.value);
        busy(b).total_cmp(&busy(a)).then_with(by_load).then_with(|| a.name.cmp(&b.name))
    });
    services
}

fn service_report(name: &str, here: &[Service], refusal: Option<&str>) -> ServiceReport {
    let utilisation: Option<Vec<f64>> = here.iter().map(|it| it.utilisation).collect();
    let errors: Vec<_> = here.iter().map(|it| it.errors).collect();
    let sojourns = |of: fn(&Service) -> Sojourn| -> Vec<Sojourn> { here.iter().map(of).collect() };
    ServiceReport {
        name: name.to_owned(),
        instances: here.iter().map(|it| it.instances).sum::<f64>() / number(here.len()).max(1.0),
        arrivals: estimate(&values(here, |it| it.arrivals), None),
        utilisation: utilisation.map(|it| estimate(&it, None)),
        waiting: estimate(&values(here, |it| it.waiting), refusal),
        waiting_max: here.iter().map(|it| it.waiting_max).max().unwrap_or(0),
        errors: estimate_of_some(&errors, None),
        rejected: estimate(&values(here, |it| it.rejected), None),
        sojourn: latencies(&sojourns(|it| it.sojourn), refusal),
        waited: latencies(&sojourns(|it| it.waited), refusal),
    }
}

/// What requests from outside are called where a caller is named.
pub(super) const OUTSIDE: &str = "outside";

/// The names of the two ends of an edge.
pub(super) fn ends(system: &System, edge: usize) -> Option<(String, String)> {
    let edge = system.edges().get(edge)?;
    let name = |it: usize| system.services().get(it).map(ToString::to_string);
    let caller = edge.caller.map_or_else(|| Some(OUTSIDE.to_owned()), name)?;
    Some((caller, name(edge.callee)?))
}

fn edges(system: &System, replications: &[Figures], refusals: &Refusals) -> Vec<EdgeReport> {
    let of = |(place, edge): (usize, &crate::system::EdgeName)| {
        let here: Vec<&Edge> = replications.iter().filter_map(|it| it.edges.get(place)).collect();
        let per_request: Vec<Option<f64>> = replications
            .iter()
            .map(|it| {
                let calls = it.edges.get(place)?.calls;
                (0.0 < it.all.offered).then(|| calls / it.all.offered)
            })
            .collect();
        let refusal = refusals.services.get(edge.callee).and_then(Option::as_deref);
        let (caller, callee) = ends(system, place)?;
        Some(EdgeReport {
            caller,
            callee,
            calls_per_request: estimate_of_some(&per_request, None),
            ..edge_report(&here, refusal)
        })
    };
    let mut edges: Vec<EdgeReport> = system.edges().iter().enumerate().filter_map(of).collect();
    edges.sort_by(|a, b| (&a.caller, &a.callee).cmp(&(&b.caller, &b.callee)));
    edges
}

/// An edge's figures, without its name.
fn edge_report(here: &[&Edge], refusal: Option<&str>) -> EdgeReport {
    let some = |of: fn(&Edge) -> Option<f64>| -> Vec<Option<f64>> {
        here.iter().map(|it| of(it)).collect()
    };
    let refused = REFUSALS.iter().enumerate().filter_map(|(place, name)| {
        let rates = here.iter().filter_map(|it| it.refused.get(place).copied());
        let rates: Vec<f64> = rates.collect();
        rates.iter().any(|it| 0.0 < *it).then(|| ((*name).to_owned(), estimate(&rates, None)))
    });
    let sojourns: Vec<Sojourn> = here.iter().map(|it| it.latency).collect();
    EdgeReport {
        caller: String::new(),
        callee: String::new(),
        calls: estimate(&values(here, |it| it.calls), None),
        errors: estimate_of_some(&some(|it| it.errors), None),
        attempts_per_call: estimate_of_some(&some(|it| it.attempts_per_call), None),
        calls_per_request: Estimate::default(),
        retries: estimate(&values(here, |it| it.retries), None),
        hedges: estimate(&values(here, |it| it.hedges), None),
        refused: refused.collect(),
        latency: latencies(&sojourns, refusal),
    }
}

fn incidents(first: &Figures) -> Vec<Incident> {
    let kind = |it: IncidentKind| match it {
        IncidentKind::FaultBegan => "fault-began",
        IncidentKind::FaultEnded => "fault-ended",
        IncidentKind::Fleet => "fleet",
        IncidentKind::Rollout => "rollout",
    };
    let of = |it: &crate::outcome::Incident| Incident {
        at_s: it.at.as_secs_f64(),
        kind: kind(it.kind).to_owned(),
        what: it.what.clone(),
    };
    first.incidents.iter().map(of).collect()
}

/// One load of a system, so many times the scenario's, and what came of it.
pub(super) fn load_point(system: &System, factor: f64, replications: &[Figures]) -> LoadPoint {
    let refusals = refusals(system, replications);
    let whole = refusals.whole.as_deref();
    let all: Vec<Requests> = replications.iter().map(|it| it.all).collect();
    let UsersReport { offered, goodput, success, latency, .. } = users_report("", &all, whole);
    let asked = objective::asked(&system.scenario().objective);
    let results = objective::results(&asked, replications, whole);
    let bottleneck = busiest(replications)
        .and_then(|(place, busy)| Some((system.services().get(place)?.to_string(), busy)));
    LoadPoint {
        factor,
        offered,
        goodput,
        success,
        latency,
        bottleneck,
        state: objective::together(&results).to_owned(),
    }
}
