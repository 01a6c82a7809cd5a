//! A group: the instances that run one release of a service, beside those of others.
//!
//! Other systems call it a server group or a replica set. A service has one while nothing is rolled out. What
//! is wanted of a group is never stored: it follows from what the group is for.

use std::collections::{BTreeMap, BTreeSet};

use model::release::Release;
use model::restart::RestartPolicy;
use model::units::Share;
use model::{ReleaseNumber, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rollout::GroupNumber;
use crate::service::{Ended, Instance, Purpose, ServiceState, Slot};

/// A place for the instances of one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The release it should run.
    pub release: ReleaseNumber,
    /// Places for instances, from 0. An instance that replaces another takes over its slot.
    pub slots: BTreeMap<u32, Slot>,
    /// Instances with a lower number should be replaced: somebody asked for a restart.
    pub restart_before: u32,
    /// Whether all instances wanted have been ready at once since the application was started.
    pub once_healthy: bool,
    /// Since when it is called crash-looping, if it is.
    pub crash_loop_since: Option<Timestamp>,
    /// Until when it is kept running without traffic, so that going back to it takes no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<Timestamp>,
}

impl Group {
    /// A group that has had no instance.
    pub const fn new(release: ReleaseNumber) -> Self {
        Self {
            release,
            slots: BTreeMap::new(),
            restart_before: 1,
            once_healthy: false,
            crash_loop_since: None,
            kept_until: None,
        }
    }
}

/// A group with the service it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The service.
    pub service: &'a ServiceState,
    /// The group's number.
    pub number: GroupNumber,
    /// The group.
    pub group: &'a Group,
}

impl<'a> Side<'a> {
    /// Instances wanted: all for the group that serves, and for one that is kept warm; as many as its share
    /// of traffic needs for any other.
    pub fn wanted(&self) -> u32 {
        let service = self.service;
        if service.removed {
            return 0;
        }
        if self.has_all() {
            return service.replicas;
        }
        let shares = [self.rolled_out(), self.share()].into_iter().flatten();
        let needed = shares.map(|it| part(it, service.replicas)).max().unwrap_or(0);
        let matched = u32::from(self.is_matched()).min(service.replicas);
        needed.max(matched)
    }

    /// Whether it has something to do, also where no instance is wanted for the moment.
    pub fn is_in_use(&self) -> bool {
        self.has_all() || self.rolled_out().is_some() || self.share().is_some() || self.is_matched()
    }

    /// Whether it serves, or is kept ready to.
    fn has_all(&self) -> bool {
        self.number == self.service.main || self.group.kept_until.is_some()
    }

    /// The share of traffic it must be able to take because its release is being rolled out.
    fn rolled_out(&self) -> Option<Share> {
        let rollout = self.service.active_rollout().filter(|it| it.group == self.number)?;
        Some(rollout.share(rollout.step()))
    }

    /// The share of traffic somebody gave its release.
    fn share(&self) -> Option<Share> {
        let shares = &self.service.traffic.shares;
        let share = shares.iter().find(|it| it.release == self.group.release)?;
        self.is_steered().then_some(share.weight)
    }

    /// Whether somebody sends it certain requests.
    fn is_matched(&self) -> bool {
        let matches = &self.service.traffic.matches;
        matches.iter().any(|it| it.release == self.group.release) && self.is_steered()
    }

    /// Whether what somebody said of its release is about this group. Where two run one release, it is the one
    /// that serves, or the one that is kept warm, or else the first: an idle one may still be named after it.
    fn is_steered(&self) -> bool {
        let groups = &self.service.groups;
        let of_release = |it: &&Group| it.release == self.group.release;
        if groups.get(&self.service.main).as_ref().is_some_and(of_release) {
            return self.number == self.service.main;
        }
        let find = |is_meant: fn(&Group) -> bool| {
            let mut all = groups.iter().filter(|it| of_release(&it.1));
            all.find(|it| is_meant(it.1)).map(|it| *it.0)
        };
        find(|it| it.kept_until.is_some()).or_else(|| find(|_| true)) == Some(self.number)
    }

    /// The release it should run.
    pub fn release(&self) -> Option<&'a Release> {
        self.service.releases.get(&self.group.release).map(AsRef::as_ref)
    }

    /// The restart policy of its release.
    pub fn restart_policy(&self) -> RestartPolicy {
        self.release().map_or(RestartPolicy::Always, |it| it.service.restart.policy)
    }

    /// Its instances that take requests or do a job, by number.
    pub fn instances(&self) -> impl DoubleEndedIterator<Item = (u32, &'a Instance)> + use<'a> {
        let number = self.number;
        let instances = self.service.instances.iter();
        let own =
            instances.filter(move |(_, it)| it.group == number && it.purpose == Purpose::Serve);
        own.map(|(number, it)| (*number, it))
    }

    /// Whether it has no instance of any kind.
    pub fn is_empty(&self) -> bool {
        !self.service.instances.values().any(|it| it.group == self.number)
    }

    /// Slots with an instance that can take requests.
    pub fn ready(&self) -> usize {
        let serving = self.instances().filter(|(_, it)| it.is_serving());
        serving.map(|(_, it)| it.slot).collect::<BTreeSet<u32>>().len()
    }

    /// The instances that have `slot` now, by number: one, or two while the later takes over.
    pub fn in_slot(
        &self,
        slot: u32,
    ) -> impl DoubleEndedIterator<Item = (u32, &'a Instance)> + use<'a> {
        self.instances().filter(move |(_, it)| it.slot == slot)
    }

    /// Whether an instance with this number and release is not what is wanted any more: the group should
    /// run another release, or somebody asked for a restart since.
    pub fn is_outdated(&self, number: u32, release: ReleaseNumber) -> bool {
        release != self.group.release || number < self.group.restart_before
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
        0 < self.wanted()
            && self.has_every_slot()
            && self.wanted_slots().all(|(_, slot)| self.is_slot_completed(slot))
    }

    /// Whether every slot wanted is there. One is missing only where an event was lost to damage.
    fn has_every_slot(&self) -> bool {
        self.wanted_slots().count() == self.wanted() as usize
    }

    /// The slots that should have an instance, as far as they exist.
    pub fn wanted_slots(&self) -> impl Iterator<Item = (u32, &'a Slot)> + use<'a> {
        self.group.slots.range(..self.wanted()).map(|(number, slot)| (*number, slot))
    }

    /// Whether what was asked of it is there: every wanted instance ready in its release, or done, and
    /// none too many.
    pub fn is_settled(&self) -> bool {
        let settled = |number, slot| {
            let mut empty = true;
            let as_wanted = self.in_slot(number).all(|(id, it)| {
                empty = false;
                it.is_serving() && !self.is_outdated(id, it.release)
            });
            if empty { self.is_done(slot) } else { as_wanted }
        };
        let wanted = self.wanted();
        self.has_every_slot()
            && self.wanted_slots().all(|(number, slot)| settled(number, slot))
            && self.instances().all(|(_, it)| it.slot < wanted)
    }

    /// Whether every instance wanted can take requests, or has done its job, in its release.
    pub fn is_whole(&self) -> bool {
        let has_one = |(number, slot): (u32, &Slot)| {
            let serves =
                |(id, it): (u32, &Instance)| it.is_serving() && !self.is_outdated(id, it.release);
            self.in_slot(number).any(serves) || self.is_done(slot)
        };
        self.has_every_slot() && self.wanted_slots().all(has_one)
    }
}

/// As many of `replicas` as a share needs, one at least.
fn part(share: Share, replicas: u32) -> u32 {
    let exact = u64::from(share.millionths()) * u64::from(replicas);
    let needed = exact.div_ceil(u64::from(Share::ALL.millionths()));
    u32::try_from(needed).unwrap_or(replicas).max(1).min(replicas)
}
