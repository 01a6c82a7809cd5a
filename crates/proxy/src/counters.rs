//! What is counted of one edge, on one worker.

use std::collections::BTreeMap;

use model::{Instant, ReleaseNumber};
use telemetry::report::{EdgeName, EdgeSignals, InstanceSignals, Outcomes, ReleaseSignals};
use traffic::Outcome;

use crate::edge::Edge;

/// Counts, from the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    releases: Vec<ReleaseSignals>,
    refused: BTreeMap<String, u64>,
    queued: u64,
    changed: bool,
}

/// A request that ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) release: Option<ReleaseNumber>,
    pub(crate) outcome: Outcome,
    pub(crate) latency_us: u64,
    pub(crate) first_attempt: Option<(Outcome, u64)>,
    pub(crate) retries: u64,
    pub(crate) hedges: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Counters {
    pub(crate) fn ended(&mut self, ended: &Ended) {
        self.changed = true;
        let place = self.releases.iter().position(|it| it.release == ended.release);
        let place = place.unwrap_or_else(|| {
            let release = ended.release;
            self.releases.push(ReleaseSignals { release, ..ReleaseSignals::default() });
            self.releases.len() - 1
        });
        let Some(release) = self.releases.get_mut(place) else { return };
        count(&mut release.outcomes, ended.outcome);
        release.latency.record(ended.latency_us);
        if let Some((outcome, latency_us)) = ended.first_attempt {
            count(&mut release.first_attempts, outcome);
            release.first_attempt_latency.record(latency_us);
        }
        release.retries += ended.retries;
        release.hedges += ended.hedges;
        release.bytes_in += ended.bytes_in;
        release.bytes_out += ended.bytes_out;
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

/// What an edge's counters say now, if it is asked about.
pub(crate) fn signals(edge: &Edge, extent: Extent, now: Instant) -> Option<EdgeSignals> {
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
    })
}
