//! The state of one service: its releases, its slots, its instances.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::instance::{Exit, ProcessId, StopReason};
use model::release::Release;
use model::restart::RestartPolicy;
use model::{ReleaseNumber, Timestamp};
use serde::{Deserialize, Serialize};

/// An instance that was ready for so long has started well: its end is not a failed start, and
/// failures before it are forgiven. Twice the default health check interval.
pub const STABLE_AFTER: Duration = Duration::from_secs(10);
/// Releases remembered beside the current one, for people to look back at.
pub const RELEASES_KEPT: usize = 20;
/// Ended instances remembered per service.
pub const ENDED_KEPT: usize = 8;

/// One service: what was asked for and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    /// The release that should run.
    pub current: ReleaseNumber,
    /// The latest releases by number, the current one among them.
    pub releases: BTreeMap<ReleaseNumber, Arc<Release>>,
    /// Instances wanted.
    pub replicas: u32,
    /// Whether it has been taken out of the application's definition.
    pub removed: bool,
    /// Places for instances, from 0. An instance that replaces another takes over its slot.
    pub slots: BTreeMap<u32, Slot>,
    /// Instances that have not ended, by number.
    pub instances: BTreeMap<u32, Instance>,
    /// The number the next instance gets.
    pub next_instance: u32,
    /// Instances with a lower number should be replaced: somebody asked for a restart.
    pub restart_before: u32,
    /// Whether all instances wanted have been ready at once since the application was started.
    pub once_healthy: bool,
    /// Since when it is called crash-looping, if it is.
    pub crash_loop_since: Option<Timestamp>,
    /// The last instances that ended, oldest first.
    pub ended: Vec<Ended>,
}

/// A place for one instance after another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The port its instance listens on, on loopback.
    pub port: u16,
    /// The port of an instance that takes over while the one before it still has `port`, and the other
    /// way round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare_port: Option<u16>,
    /// Failed starts in a row.
    pub failures: u32,
    /// How its last instance ended, if none has been created since.
    pub last_end: Option<Ended>,
}

/// An instance that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The slot it has.
    pub slot: u32,
    /// The release it runs.
    pub release: ReleaseNumber,
    /// The port it was told to listen on.
    pub port: u16,
    /// How far it has come.
    pub phase: Phase,
    /// Whether it can take requests.
    pub ready: bool,
    /// When it was last seen to become ready.
    pub ready_at: Option<Timestamp>,
    /// What its last failed check said, while it is not ready.
    pub failing: Option<String>,
    /// When it was seen to have been ready for long enough, if it has stopped being ready since.
    #[serde(default)]
    pub started_well: Option<Timestamp>,
    /// Whether it has failed its liveness check.
    pub liveness_failed: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its process was started.
    pub started_at: Option<Timestamp>,
    /// Its process, once started.
    pub process: Option<ProcessId>,
}

/// How far an instance has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It should be started.
    Created,
    /// Its process runs.
    Running,
    /// It was told to stop.
    Stopping {
        /// Why.
        reason: StopReason,
        /// When.
        since: Timestamp,
    },
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its number.
    pub number: u32,
    /// Its slot.
    pub slot: u32,
    /// The release it ran.
    pub release: ReleaseNumber,
    /// How it ended.
    pub exit: Exit,
    /// Why it had been told to stop, if it had.
    pub stop_reason: Option<StopReason>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub at: Timestamp,
}

impl Ended {
    /// Whether nobody asked for this end.
    pub fn is_unasked(&self) -> bool {
        self.stop_reason.is_none_or(StopReason::is_failure)
    }

    /// Whether it ran to its end by itself, and did what it was meant to do. One that had to be told to
    /// stop has not, whatever its exit code.
    pub const fn is_success(&self) -> bool {
        self.stop_reason.is_none() && self.exit.is_success()
    }
}

impl Slot {
    /// A slot that has had no instance.
    pub const fn new(port: u16) -> Self {
        Self { port, spare_port: None, failures: 0, last_end: None }
    }
}

impl ServiceState {
    /// The release that should run.
    pub fn current_release(&self) -> Option<&Release> {
        self.releases.get(&self.current).map(AsRef::as_ref)
    }

    /// The restart policy of the current release.
    pub fn restart_policy(&self) -> RestartPolicy {
        self.current_release().map_or(RestartPolicy::Always, |it| it.service.restart.policy)
    }

    /// Slots with an instance that can take requests.
    pub fn ready(&self) -> usize {
        let serving = self.instances.values().filter(|it| it.is_serving());
        serving.map(|it| it.slot).collect::<BTreeSet<u32>>().len()
    }

    /// The instances that have `slot` now, by number: one, or two while the later takes over.
    pub fn in_slot(&self, slot: u32) -> impl DoubleEndedIterator<Item = (u32, &Instance)> {
        let instances = self.instances.iter().filter(move |(_, it)| it.slot == slot);
        instances.map(|(number, it)| (*number, it))
    }

    /// Whether an instance with this number and release is not what is wanted any more: there is a
    /// newer release, or somebody asked for a restart since.
    pub fn is_outdated(&self, number: u32, release: ReleaseNumber) -> bool {
        release != self.current || number < self.restart_before
    }

    /// Whether `slot` needs no further instance: its job is done, or was tried for the only time.
    pub fn is_done(&self, slot: &Slot) -> bool {
        let Some(end) = slot.last_end.as_ref().filter(|it| it.is_unasked()) else { return false };
        if self.is_outdated(end.number, end.release) {
            return false;
        }
        match self.restart_policy() {
            RestartPolicy::Always => false,
            RestartPolicy::OnFailure => end.is_success(),
            RestartPolicy::Never => true,
        }
    }

    /// Whether the job of `slot` has run to its end with exit code 0.
    pub fn is_slot_completed(&self, slot: &Slot) -> bool {
        self.is_done(slot) && slot.last_end.as_ref().is_some_and(Ended::is_success)
    }

    /// Whether every slot wanted has run to its end with exit code 0.
    pub fn is_completed(&self) -> bool {
        0 < self.replicas
            && self.has_every_slot()
            && self.wanted_slots().all(|(_, slot)| self.is_slot_completed(slot))
    }

    /// Whether every slot wanted is there. One is missing only where an event was lost to damage.
    fn has_every_slot(&self) -> bool {
        self.wanted_slots().count() == self.replicas as usize
    }

    /// The slots that should have an instance, as far as they exist.
    pub fn wanted_slots(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.slots.range(..self.replicas).map(|(number, slot)| (*number, slot))
    }

    /// Whether what was asked for is there: every wanted instance ready in the current release, or
    /// done, and none too many.
    pub fn is_settled(&self) -> bool {
        if self.removed {
            return self.instances.is_empty();
        }
        let settled = |number, slot| {
            let mut empty = true;
            let as_wanted = self.in_slot(number).all(|(id, it)| {
                empty = false;
                it.is_serving() && !self.is_outdated(id, it.release)
            });
            if empty { self.is_done(slot) } else { as_wanted }
        };
        self.has_every_slot()
            && self.wanted_slots().all(|(number, slot)| settled(number, slot))
            && self.instances.values().all(|it| it.slot < self.replicas)
    }
}

impl Instance {
    /// Whether it runs, is ready, and has not been told to stop.
    pub fn is_serving(&self) -> bool {
        self.ready && self.phase == Phase::Running
    }

    /// Whether it has been ready long enough at `now`, or was once, to have started well.
    pub fn is_stable(&self, now: Timestamp) -> bool {
        let is_now = || self.ready && self.ready_at.is_some_and(|at| STABLE_AFTER <= now.since(at));
        self.started_well.is_some() || is_now()
    }
}
