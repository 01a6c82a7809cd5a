//! One replication in numbers: what is kept of an outcome once its histograms are gone.

use std::time::Duration;

use model::units::Share;

use super::critical_path::Path;
use super::sojourn::{Sojourn, milliseconds};
use crate::histogram::Histogram;
use crate::outcome::{Bucket, EdgeOutcome, Incident, Outcome, ServiceOutcome, Trace, UsersOutcome};
use crate::system::System;

/// What is kept of one replication. Lists are in the order of the system's users, services and edges.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    /// All users together.
    pub(super) all: Requests,
    /// For each latency objective: the quantile it asks for, in milliseconds.
    pub(super) asked: Vec<Option<f64>>,
    pub(super) users: Vec<Requests>,
    pub(super) services: Vec<Service>,
    pub(super) edges: Vec<Edge>,
    pub(super) path: Path,
    pub(super) timeline: Vec<Bucket>,
    pub(super) bucket: Duration,
    pub(super) incidents: Vec<Incident>,
    /// The first replication's only.
    pub(super) traces: Vec<Trace>,
    pub(super) violations: Vec<String>,
    pub(super) counted: Duration,
    pub(super) digest: u64,
    pub(super) events: u64,
}

/// Requests from outside. Rates are per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requests {
    pub(super) offered: f64,
    pub(super) goodput: f64,
    /// Share answered well of those that ended; none if none did.
    pub(super) success: Option<f64>,
    pub(super) latency: Sojourn,
}

/// One service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    pub(super) instances: f64,
    pub(super) workers: Option<f64>,
    pub(super) utilisation: Option<f64>,
    pub(super) answered: u64,
    pub(super) arrivals: f64,
    pub(super) waiting: f64,
    pub(super) waiting_max: u64,
    /// Share of arrivals that failed; none if none arrived.
    pub(super) errors: Option<f64>,
    pub(super) rejected: f64,
    pub(super) sojourn: Sojourn,
    pub(super) waited: Sojourn,
    /// Requests present, on average; and what arrivals and sojourn make of that (Little's law).
    pub(super) present: (f64, f64),
    /// Requests that arrived.
    pub(super) arrived: f64,
}

/// One edge. Rates are per second.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) calls: f64,
    /// Share of calls that failed; none if there were none.
    pub(super) errors: Option<f64>,
    pub(super) attempts_per_call: Option<f64>,
    pub(super) retries: f64,
    pub(super) hedges: f64,
    /// In the order of [`REFUSALS`].
    pub(super) refused: [f64; REFUSALS.len()],
    pub(super) latency: Sojourn,
}

/// Reasons of refusal, as reports call them.
pub(super) const REFUSALS: [&str; 6] =
    ["no-instance", "circuit-open", "overloaded", "queue-timeout", "shed", "deadline-passed"];

impl Figures {
    /// What is kept of an outcome.
    pub(super) fn of(system: &System, outcome: Outcome) -> Self {
        let seconds = outcome.counted.as_secs_f64().max(f64::MIN_POSITIVE);
        let (all, latency) = together(&outcome.users);
        let objective = &system.scenario().objective;
        let asked = objective.latency.iter().map(|it| quantile(&latency, it.quantile)).collect();
        let traces = if outcome.replication == 0 { outcome.traces.clone() } else { Vec::new() };
        Self {
            all: Requests::of(&all, seconds),
            asked,
            users: outcome.users.iter().map(|it| Requests::of(it, seconds)).collect(),
            services: outcome.services.iter().map(|it| Service::of(it, seconds)).collect(),
            edges: outcome.edges.iter().map(|it| Edge::of(it, seconds)).collect(),
            path: Path::of(&outcome.traces, system.services().len()),
            timeline: outcome.timeline,
            bucket: outcome.bucket,
            incidents: outcome.incidents,
            traces,
            violations: outcome.violations,
            counted: outcome.counted,
            digest: outcome.digest,
            events: outcome.events,
        }
    }

    /// The busiest service that has a limit, and how busy it is.
    pub(super) fn utilisation(&self, service: usize) -> Option<f64> {
        self.services.get(service).and_then(|it| it.utilisation)
    }
}

/// All users' requests added up, and the histogram of their latency.
fn together(users: &[UsersOutcome]) -> (UsersOutcome, Histogram) {
    let mut all = UsersOutcome::default();
    for it in users {
        all.offered += it.offered;
        all.succeeded += it.succeeded;
        all.failed += it.failed;
        all.latency.add(&it.latency);
    }
    let latency = all.latency.clone();
    (all, latency)
}

fn quantile(latency: &Histogram, share: Share) -> Option<f64> {
    latency.quantile(share.as_fraction()).map(milliseconds)
}

impl Requests {
    fn of(outcome: &UsersOutcome, seconds: f64) -> Self {
        Self {
            offered: count(outcome.offered) / seconds,
            goodput: count(outcome.succeeded) / seconds,
            success: share(outcome.succeeded, outcome.succeeded + outcome.failed),
            latency: Sojourn::of(&outcome.latency),
        }
    }
}

impl Service {
    fn of(outcome: &ServiceOutcome, seconds: f64) -> Self {
        let failed =
            outcome.own_errors + outcome.callee_errors + outcome.rejected + outcome.reneged;
        let utilisation = outcome.workers_mean.filter(|it| 0.0 < *it);
        #[expect(
            clippy::cast_precision_loss,
            reason = "nanoseconds of less than 100 days of sojourn a second"
        )]
        let by_law = outcome.sojourn.sum_nanos() as f64 / 1e9 / seconds;
        Self {
            instances: outcome.instances_mean,
            workers: outcome.workers_mean,
            utilisation: utilisation.map(|it| outcome.busy_mean / it),
            answered: outcome.answered,
            arrivals: count(outcome.arrived) / seconds,
            waiting: outcome.waiting_mean,
            waiting_max: outcome.waiting_max,
            errors: share(failed, outcome.arrived).map(|it| it.min(1.0)),
            rejected: count(outcome.rejected + outcome.reneged) / seconds,
            sojourn: Sojourn::of(&outcome.sojourn),
            waited: Sojourn::of(&outcome.waited),
            present: (outcome.present_mean, by_law),
            arrived: count(outcome.arrived),
        }
    }
}

impl Edge {
    fn of(outcome: &EdgeOutcome, seconds: f64) -> Self {
        let refused = &outcome.refused;
        let refused = [
            refused.no_instance,
            refused.circuit_open,
            refused.overloaded,
            refused.queue_timeout,
            refused.shed,
            refused.deadline_passed,
        ];
        Self {
            calls: count(outcome.calls) / seconds,
            errors: share(outcome.failed, outcome.succeeded + outcome.failed),
            attempts_per_call: share(outcome.attempts, outcome.calls),
            retries: count(outcome.retries) / seconds,
            hedges: count(outcome.hedges) / seconds,
            refused: refused.map(|it| count(it) / seconds),
            latency: Sojourn::of(&outcome.latency),
        }
    }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts of a run stay below 2^53")]
pub(super) const fn count(number: u64) -> f64 {
    number as f64
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole != 0).then(|| count(part) / count(whole))
}
