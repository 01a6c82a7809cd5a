//! What is counted of one edge, on one worker.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use model::rollout::Counts;
use model::{Index, Instant, ReleaseNumber};
use telemetry::report::{
    EdgeName, EdgeSignals, InstanceSignals, Outcomes, ReleaseSignals, TrialSignals,
};
use traffic::Outcome;
use world::routing::Trial;

use crate::edge::Edge;

/// Counts, from the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    releases: Vec<ReleaseSignals>,
    refused: BTreeMap<String, u64>,
    queued: u64,
    trial: Option<Comparing>,
    changed: bool,
}

/// What callers that are told apart have met, remembered in one comparison (2 MiB): beyond it, nothing bad that
/// is met for the first time is counted any more.
const MET_MAX: usize = 65_536;

/// Releases told apart on an edge: more than serve, are kept warm or are tried at a time. Of a service that is
/// deployed again and again, the oldest are forgotten.
const RELEASES_MAX: usize = 16;

/// Two releases that are compared.
#[derive(Debug)]
struct Comparing {
    trial: Trial,
    old: Counts,
    new: Counts,
    /// Callers that are told apart, and what bad they have met at which release: each counts once, since
    /// what one caller meets is not independent.
    met: BTreeSet<(u64, ReleaseNumber, Bad)>,
}

/// Something bad that a caller can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bad {
    Error,
    Slow(usize),
}

/// A request's part in a comparison: its release was chosen by chance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    /// The comparison that was made when it was.
    pub(crate) epoch: Index,
    /// What its caller is told apart by, if it is.
    pub(crate) key: Option<u64>,
    /// The time its first attempt had taken when it was given up, if it was.
    pub(crate) abandoned_us: Option<u64>,
}

/// A request that ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) release: Option<ReleaseNumber>,
    pub(crate) outcome: Outcome,
    pub(crate) latency_us: u64,
    pub(crate) first_attempt: Option<(Outcome, u64)>,
    /// The release of the first attempt: it answers for it, whoever answered in the end.
    pub(crate) first_release: Option<ReleaseNumber>,
    pub(crate) trial: Option<Compared>,
    pub(crate) retries: u64,
    pub(crate) hedges: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Counters {
    pub(crate) fn ended(&mut self, ended: &Ended) {
        self.changed = true;
        if let Some(release) = self.release(ended.release) {
            count(&mut release.outcomes, ended.outcome);
            release.latency.record(ended.latency_us);
            release.retries += ended.retries;
            release.hedges += ended.hedges;
            release.bytes_in += ended.bytes_in;
            release.bytes_out += ended.bytes_out;
        }
        if let Some((outcome, latency_us)) = ended.first_attempt
            && let Some(release) = self.release(ended.first_release)
        {
            count(&mut release.first_attempts, outcome);
            release.first_attempt_latency.record(latency_us);
        }
        if let (Some(compared), Some(trial)) = (&ended.trial, &mut self.trial) {
            trial.ended(ended, compared);
        }
    }

    fn release(&mut self, release: Option<ReleaseNumber>) -> Option<&mut ReleaseSignals> {
        if let Some(place) = self.releases.iter().position(|it| it.release == release) {
            return self.releases.get_mut(place);
        }
        if RELEASES_MAX <= self.releases.len() {
            let numbers = self.releases.iter().enumerate();
            let oldest =
                numbers.filter(|(_, it)| it.release.is_some()).min_by_key(|(_, it)| it.release);
            if let Some(place) = oldest.map(|it| it.0) {
                self.releases.swap_remove(place);
            }
        }
        self.releases.push(ReleaseSignals { release, ..ReleaseSignals::default() });
        self.releases.last_mut()
    }

    /// The comparison that requests are part of now.
    pub(crate) fn trial_epoch(&self) -> Option<Index> {
        self.trial.as_ref().map(|it| it.trial.epoch)
    }

    /// Begins a comparison, goes on with the one there is, or ends it.
    pub(crate) fn set_trial(&mut self, trial: Option<&Trial>) {
        if self.trial.as_ref().map(|it| &it.trial) != trial {
            let (old, new) = (Counts::default(), Counts::default());
            let met = BTreeSet::new();
            self.trial = trial.map(|it| Comparing { trial: it.clone(), old, new, met });
        }
    }

    pub(crate) fn refused(&mut self, reason: &str) {
        self.changed = true;
        match self.refused.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(self.refused.insert(reason.to_owned(), 1)),
        }
    }

    pub(crate) const fn queued(&mut self) {
        self.changed = true;
        self.queued += 1;
    }
}

impl Comparing {
    fn ended(&mut self, ended: &Ended, compared: &Compared) {
        if compared.epoch != self.trial.epoch {
            return;
        }
        let Some(release) = ended.first_release else { return };
        let counts = match release {
            it if it == self.trial.new => &mut self.new,
            it if it == self.trial.old => &mut self.old,
            _ => return,
        };
        // One that was given up was slow for so long, and says nothing more.
        let given_up = compared.abandoned_us.map(|it| (Outcome::Cancelled, it));
        let Some((outcome, latency_us)) = ended.first_attempt.or(given_up) else { return };
        let met = &mut self.met;
        let mut is_new = |bad| match compared.key {
            None => true,
            Some(key) => met.len() < MET_MAX && met.insert((key, release, bad)),
        };
        counts.requests += 1;
        if is_bad(outcome) && is_new(Bad::Error) {
            counts.errors += 1;
        }
        let thresholds = self.trial.thresholds_us.iter().flatten();
        for (place, (slow, threshold)) in counts.slow.iter_mut().zip(thresholds).enumerate() {
            if *threshold < latency_us && is_new(Bad::Slow(place)) {
                *slow += 1;
            }
        }
        if is_bad(ended.outcome) {
            counts.harmed += 1;
        }
    }
}

/// Whether the callee is to blame.
fn is_bad(outcome: Outcome) -> bool {
    let mut outcomes = Outcomes::default();
    count(&mut outcomes, outcome);
    0 < outcomes.bad()
}

const fn count(outcomes: &mut Outcomes, outcome: Outcome) {
    let count = match outcome {
        Outcome::Ok => &mut outcomes.ok,
        Outcome::ClientError | Outcome::TooManyRequests => &mut outcomes.client_error,
        Outcome::ServerError | Outcome::GatewayError => &mut outcomes.server_error,
        Outcome::ConnectFailure | Outcome::Reset | Outcome::ResetUnsent => &mut outcomes.failed,
        Outcome::AttemptTimeout | Outcome::Timeout => &mut outcomes.timeout,
        Outcome::Cancelled => &mut outcomes.cancelled,
    };
    *count += 1;
}

/// Which edges are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All.
    All,
    /// Those with traffic since the last time.
    Changed,
}

/// What is to be told of edges. Those of one name are told as one: a caller may have an address of its own for some
/// of its instances.
pub(crate) fn by_name(
    edges: impl Iterator<Item = Rc<Edge>>,
    extent: Extent,
    now: Instant,
) -> Vec<EdgeSignals> {
    let mut named: BTreeMap<EdgeName, Vec<Rc<Edge>>> = BTreeMap::new();
    for edge in edges {
        named.entry(EdgeName::clone(&edge.name)).or_default().push(edge);
    }
    let told = |edges: Vec<Rc<Edge>>| {
        let each = |extent| edges.iter().filter_map(move |it| signals(it, extent, now));
        let mut changed: Vec<EdgeSignals> = each(extent).collect();
        // A sum needs all of them.
        if !changed.is_empty() && changed.len() < edges.len() {
            changed = each(Extent::All).collect();
        }
        changed.into_iter().reduce(|sum, it| sum.with(&it))
    };
    named.into_values().filter_map(told).collect()
}

/// What an edge's counters say now, if it is asked about.
fn signals(edge: &Edge, extent: Extent, now: Instant) -> Option<EdgeSignals> {
    let decide = edge.decide.borrow();
    let mut counters = edge.counters.borrow_mut();
    let is_busy = 0 < decide.in_flight();
    if !std::mem::take(&mut counters.changed) && extent == Extent::Changed && !is_busy {
        return None;
    }
    // What was in flight ends without a change in between: it is told once more.
    counters.changed = is_busy;
    let instances = decide.endpoints().filter_map(|endpoint| {
        let upstream = edge.upstream(endpoint.id)?;
        Some(InstanceSignals {
            instance: upstream.instance.clone(),
            in_flight: endpoint.in_flight,
            ejected: endpoint.ejected.is_some(),
            reason: endpoint.ejected.map(|it| it.to_string()),
        })
    });
    Some(EdgeSignals {
        edge: EdgeName::clone(&edge.name),
        refused: counters.refused.iter().map(|(reason, count)| (reason.clone(), *count)).collect(),
        queued: counters.queued,
        releases: counters.releases.clone(),
        instances: instances.collect(),
        open: decide.is_open(now),
        in_flight: decide.in_flight(),
        limit: decide.limit(),
        trial: counters.trial.as_ref().map(|it| TrialSignals {
            epoch: it.trial.epoch,
            old: it.old,
            new: it.new,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_releases_are_remembered() {
        let mut counters = Counters::default();
        for number in 0..100 {
            let release = number_of(number);
            counters.release(release).unwrap().retries = u64::from(number);
        }
        let mut found: Vec<_> =
            counters.releases.iter().map(|it| (it.release, it.retries)).collect();
        found.sort_unstable();
        let expected = (85..100).map(|it| (number_of(it), u64::from(it)));
        // What reached no release is of none that could be forgotten.
        assert_eq!(found, std::iter::once((None, 0)).chain(expected).collect::<Vec<_>>());
    }

    fn number_of(number: u32) -> Option<ReleaseNumber> {
        (0 < number).then_some(ReleaseNumber(number))
    }
}
