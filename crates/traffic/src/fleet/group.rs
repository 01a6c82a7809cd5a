//! Instances that can stand in for one another: all of an edge, or those of one release.

use alloc::vec::Vec;
use core::time::Duration;

use model::edge::{Balance, BalancePolicy};
use model::units::Share;
use model::{Instant, ReleaseNumber};

use crate::balance::{self, Candidates, Draw, Turn, Weighting};
use crate::endpoint::Endpoint;
use crate::number::millionths;
use crate::request::PickReason;
use crate::zone;

/// What decides which instances of a group can be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usable {
    pub(super) now: Instant,
    pub(super) zone: Option<u16>,
    pub(super) slow_start: Duration,
    pub(super) panic_below: Share,
}

/// Whether ejected instances are used as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Usual,
    Panic,
}

/// Instances, by their slots in the fleet.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Their release; all instances if absent.
    pub(super) release: Option<ReleaseNumber>,
    pub(super) turn: Turn,
    /// Ejected ones that wait for a request that probes them.
    pub(super) due: Vec<usize>,
    members: Vec<usize>,
    /// Those that can be used, the caller's zone first.
    usable: Vec<usize>,
    local: usize,
    local_share: f64,
    mode: Mode,
    weighting: Weighting,
}

impl Group {
    pub(super) fn new(release: Option<ReleaseNumber>, turn: Turn, endpoints: &[Endpoint]) -> Self {
        let of_release = |it: &Endpoint| release.is_none_or(|release| it.spec.release == release);
        let members = (endpoints.iter().enumerate())
            .filter(|(_, it)| of_release(it))
            .map(|(slot, _)| slot)
            .collect();
        Self {
            release,
            turn,
            due: Vec::new(),
            members,
            usable: Vec::new(),
            local: 0,
            local_share: 0.0,
            mode: Mode::Usual,
            weighting: Weighting::Even,
        }
    }

    /// Makes the lists anew.
    pub(super) fn refresh(&mut self, endpoints: &[Endpoint], usable: &Usable) {
        self.usable.clear();
        self.due.clear();
        let mut zones: Vec<u16> = usable.zone.into_iter().collect();
        for slot in &self.members {
            let Some(endpoint) = endpoints.get(*slot) else { continue };
            zones.push(endpoint.spec.zone);
            if endpoint.breaker.is_due() {
                self.due.push(*slot);
            }
            if endpoint.breaker.ejected().is_none() {
                self.usable.push(*slot);
            }
        }
        let (left, all) = (self.usable.len() as u64, self.members.len() as u64);
        let too_few = left * 1_000_000 < millionths(usable.panic_below) * all;
        self.mode = if left == 0 || too_few { Mode::Panic } else { Mode::Usual };
        if self.mode == Mode::Panic {
            self.usable.clone_from(&self.members);
        }
        let is_remote =
            |slot: &usize| endpoints.get(*slot).is_none_or(|it| Some(it.spec.zone) != usable.zone);
        self.usable.sort_by_key(is_remote);
        self.local = self.usable.partition_point(|it| !is_remote(it));
        zones.sort_unstable();
        zones.dedup();
        self.local_share = zone::local_share(self.local, self.usable.len(), zones.len());
        self.weighting = balance::weighting(&self.usable, endpoints, usable.now, usable.slow_start);
    }

    /// Whether every instance that can be used has stopped answering.
    pub(super) fn is_silent(&self, endpoints: &[Endpoint], now: Instant) -> bool {
        self.usable.iter().filter_map(|it| endpoints.get(*it)).all(|it| it.is_silent(now))
    }

    /// The one of them that was to come back first of those that are left alone.
    pub(super) fn next_back(&self, endpoints: &[Endpoint]) -> Option<usize> {
        let until = |slot: &usize| Some((endpoints.get(*slot)?.breaker.opens_until()?, *slot));
        self.members.iter().filter_map(until).min().map(|it| it.1)
    }

    /// One of them, and why.
    pub(super) fn choose(
        &mut self,
        endpoints: &mut [Endpoint],
        policy: &Balance,
        draw: Draw<'_>,
    ) -> Option<(usize, PickReason)> {
        let is_keyed = policy.policy == BalancePolicy::Hash && draw.call.key.is_some();
        // A key keeps its instance, wherever that is; a retry goes wherever it has not been.
        let ignores_zone = self.local == 0 || is_keyed || 0 < draw.call.attempts;
        let (local, remote) = self.usable.split_at_checked(self.local)?;
        let (slots, zone_reason) = if ignores_zone {
            (&*self.usable, None)
        } else if draw.rng.happens(self.local_share) {
            (local, None)
        } else {
            (remote, Some(PickReason::ZoneSpilled))
        };
        let candidates = Candidates {
            slots,
            weighting: self.weighting,
            slow_start: policy.slow_start,
            policy: policy.policy,
        };
        let (slot, reason) = balance::choose(candidates, endpoints, &mut self.turn, draw)?;
        let panic_reason = (self.mode == Mode::Panic).then_some(PickReason::Panic);
        Some((slot, panic_reason.or(zone_reason).unwrap_or(reason)))
    }
}
