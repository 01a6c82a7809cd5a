//! What the data plane counts for rollouts: first attempts of two releases that are compared, and the latencies of the
//! one that serves.
//!
//! It counts as `proxy::counters` does, in whole microseconds; nothing while no rollout is on.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Index;
use model::ReleaseNumber;
use model::rollout::Counts;
use traffic::{Outcome, Pick};
use world::routing::Trial;

use crate::histogram::Histogram;

/// Everything that is counted for rollouts.
#[derive(Debug, Default)]
pub(in crate::engine) struct Comparisons {
    /// By the service that is rolled out.
    pub(super) of: BTreeMap<usize, Comparison>,
    /// The first attempt of each call, by its place.
    firsts: Vec<First>,
}

/// What is counted for one rollout.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) trial: Option<Trial>,
    pub(super) old: Counts,
    pub(super) new: Counts,
    /// The release that serves, and its latencies, in microseconds.
    pub(super) from: Option<ReleaseNumber>,
    pub(super) baseline: Histogram,
}

/// The first attempt of a call.
#[derive(Clone, Copy, Debug, Default)]
struct First {
    service: usize,
    epoch: Option<Index>,
    release: Option<ReleaseNumber>,
    sent_at: u64,
    came_to: Option<(Outcome, u64)>,
}

impl Comparisons {
    /// An attempt is sent.
    pub(in crate::engine) fn sent(&mut self, service: usize, call: u32, pick: &Pick, now: u64) {
        if self.of.is_empty() {
            return;
        }
        let place = call as usize;
        if self.firsts.len() <= place {
            self.firsts.resize_with(place + 1, First::default);
        }
        let first = &mut self.firsts[place];
        if first.release.is_none() {
            let epoch = self.of.get(&service).and_then(|it| Some(it.trial.as_ref()?.epoch));
            let release = Some(pick.release);
            *first = First { service, epoch, release, sent_at: now, came_to: None };
        }
    }

    /// An attempt has come to something.
    pub(in crate::engine) fn answered(&mut self, call: u32, outcome: Outcome, now: u64) {
        if let Some(first) = self.firsts.get_mut(call as usize)
            && first.release.is_some()
            && first.came_to.is_none()
        {
            first.came_to = Some((outcome, (now - first.sent_at) / 1_000));
        }
    }

    /// A call is over.
    pub(in crate::engine) fn ended(&mut self, call: u32, outcome: Outcome) {
        let Some(place) = self.firsts.get_mut(call as usize) else { return };
        let first = std::mem::take(place);
        let (Some(release), Some((came_to, micros))) = (first.release, first.came_to) else {
            return;
        };
        let Some(of) = self.of.get_mut(&first.service) else { return };
        if of.from == Some(release) {
            of.baseline.record(Duration::from_micros(micros));
        }
        let Some(trial) = of.trial.as_ref().filter(|it| first.epoch == Some(it.epoch)) else {
            return;
        };
        let counts = match release {
            it if it == trial.new => &mut of.new,
            it if it == trial.old => &mut of.old,
            _ => return,
        };
        counts.requests += 1;
        counts.errors += u64::from(came_to.is_failure());
        for (slow, threshold) in counts.slow.iter_mut().zip(trial.thresholds_us.iter().flatten()) {
            *slow += u64::from(*threshold < micros);
        }
        counts.harmed += u64::from(outcome.is_failure());
    }
}
