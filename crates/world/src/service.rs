//! The state of one service: its releases, its groups, its instances.

mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::edge::RequestKey;
use model::instance::{Exit, ProcessId, StopReason};
use model::release::Release;
use model::restart::RestartPolicy;
use model::units::duration;
use model::{PortName, ReleaseNumber, Timestamp};
use serde::{Deserialize, Serialize};

use crate::group::{Group, Side};
use crate::rollout::{GroupNumber, Rollout, Stage};
use crate::routing::{ReleaseMatch, ReleaseShare};
use stored::StoredService;

/// An instance that was ready for so long has started well: its end is not a failed start, and
/// failures before it are forgiven. Twice the default health check interval.
pub const STABLE_AFTER: Duration = Duration::from_secs(10);
/// Releases remembered beside the current one, for people to look back at.
pub const RELEASES_KEPT: usize = 20;
/// Ended instances remembered per service.
pub const ENDED_KEPT: usize = 8;

/// One service: what was asked for and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredService")]
pub struct ServiceState {
    /// The latest releases by number, those in use among them.
    pub releases: BTreeMap<ReleaseNumber, Arc<Release>>,
    /// Instances wanted of a release that has all the traffic.
    pub replicas: u32,
    /// Whether it has been taken out of the application's definition.
    pub removed: bool,
    /// Its groups of instances, each with a release. One that has nothing to do keeps its ports for the
    /// next release.
    pub groups: BTreeMap<GroupNumber, Group>,
    /// The group that serves where nothing else is said.
    pub main: GroupNumber,
    /// How requests are shared among releases, if somebody said so.
    pub traffic: Traffic,
    /// The rollout in progress, or the last one.
    pub rollout: Option<Arc<Rollout>>,
    /// Releases that had all the traffic before the current one, the latest last.
    pub previous: Vec<ReleaseNumber>,
    /// Releases whose last rollout was rejected.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rejected: BTreeSet<ReleaseNumber>,
    /// How the release command of each release ended, where it has been run.
    pub commands: BTreeMap<ReleaseNumber, Exit>,
    /// Instances that have not ended, by number.
    pub instances: BTreeMap<u32, Instance>,
    /// The number the next instance gets.
    pub next_instance: u32,
    /// The last instances that ended, oldest first.
    pub ended: Vec<Ended>,
}

/// How requests to a service are shared among its releases. Without a share, all go to the main group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Each release's share.
    pub shares: Vec<ReleaseShare>,
    /// Requests that go to one release, whatever the shares; the first match counts.
    pub matches: Vec<ReleaseMatch>,
    /// What keeps a caller at one release.
    pub sticky: Option<RequestKey>,
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
    /// Its further ports, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named_ports: BTreeMap<PortName, NamedPort>,
    /// Failed starts in a row.
    pub failures: u32,
    /// How its last instance ended, if none has been created since.
    pub last_end: Option<Ended>,
}

/// A further port of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedPort {
    /// The one of the instance that has the slot's port.
    pub port: u16,
    /// The one of the instance that has the slot's spare port; none where the port is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare: Option<u16>,
}

/// An instance that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The group it belongs to.
    #[serde(default)]
    pub group: GroupNumber,
    /// What it is for.
    #[serde(default)]
    pub purpose: Purpose,
    /// The slot it has.
    pub slot: u32,
    /// The release it runs.
    pub release: ReleaseNumber,
    /// The port it was told to listen on.
    pub port: u16,
    /// The further ports it was told, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<PortName, u16>,
    /// How far it has come.
    pub phase: Phase,
    /// Whether it can take requests.
    pub ready: bool,
    /// When it was last seen to become ready.
    pub ready_at: Option<Timestamp>,
    /// How long it was ready the last time, if it has stopped being ready since.
    #[serde(default, with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub served: Duration,
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

/// What an instance is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To take requests, or to do a job.
    #[default]
    Serve,
    /// To run its release's command, once, before any other instance of that release is started.
    ReleaseCommand,
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
    /// The group it belonged to.
    #[serde(default)]
    pub group: GroupNumber,
    /// What it was for.
    #[serde(default)]
    pub purpose: Purpose,
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
    /// How long it was ready, the last time it was.
    #[serde(default, with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub served: Duration,
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
        Self { port, spare_port: None, named_ports: BTreeMap::new(), failures: 0, last_end: None }
    }

    /// The further ports of an instance that listens on `port`, as its release wants them. Two instances that have
    /// the slot for a while have no port in common, unless it is fixed.
    pub fn ports_beside(
        &self,
        port: u16,
        wanted: &BTreeMap<PortName, Option<u16>>,
    ) -> BTreeMap<PortName, u16> {
        let takes_over = Some(port) == self.spare_port;
        let found = |(name, fixed): (&PortName, &Option<u16>)| {
            let assigned = || {
                let pair = self.named_ports.get(name)?;
                if takes_over { pair.spare } else { Some(pair.port) }
            };
            Some((name.clone(), fixed.or_else(assigned)?))
        };
        wanted.iter().filter_map(found).collect()
    }
}

impl ServiceState {
    /// The group that serves where nothing else is said.
    pub fn main_group(&self) -> Option<&Group> {
        self.groups.get(&self.main)
    }

    /// A group, with the instances and the rest of the service that it is about.
    pub fn side(&self, group: GroupNumber) -> Option<Side<'_>> {
        Some(Side { service: self, number: group, group: self.groups.get(&group)? })
    }

    /// The main group, with what it is about.
    pub fn main_side(&self) -> Option<Side<'_>> {
        self.side(self.main)
    }

    /// Every group, with what it is about.
    pub fn sides(&self) -> impl Iterator<Item = Side<'_>> {
        self.groups.iter().map(|(number, group)| Side { service: self, number: *number, group })
    }

    /// The number of the release that serves where nothing else is said.
    pub fn current(&self) -> ReleaseNumber {
        self.main_group().map_or(ReleaseNumber(0), |it| it.release)
    }

    /// The number of the release that serves, or would if the rollout in progress ended in vain: one that
    /// replaces instances in their places has its release serve before it is found good.
    pub fn stable(&self) -> ReleaseNumber {
        self.active_rollout().map_or_else(|| self.current(), |it| it.from)
    }

    /// The rollout in progress, where it has replaced every instance in its place and none has failed since: whatever
    /// comes next takes over from its release, which serves.
    pub fn taken_over(&self) -> Option<&Rollout> {
        let rollout = self.active_rollout().filter(|it| it.is_in_place() && it.failures == 0)?;
        let takes = matches!(rollout.stage, Stage::Taking { .. });
        let is_whole = self.side(rollout.group).is_some_and(|it| it.is_whole());
        (takes && is_whole).then_some(rollout)
    }

    /// The release that serves where nothing else is said.
    pub fn current_release(&self) -> Option<&Release> {
        self.releases.get(&self.current()).map(AsRef::as_ref)
    }

    /// The number the next release gets. The latest is always remembered, so none is given twice.
    pub fn next_release(&self) -> ReleaseNumber {
        ReleaseNumber(self.releases.last_key_value().map_or(0, |(latest, _)| latest.0) + 1)
    }

    /// The restart policy of the release that serves.
    pub fn restart_policy(&self) -> RestartPolicy {
        self.current_release().map_or(RestartPolicy::Always, |it| it.service.restart.policy)
    }

    /// The rollout that is in progress.
    pub fn active_rollout(&self) -> Option<&Rollout> {
        self.rollout.as_deref().filter(|it| it.is_active())
    }

    /// The group that a release runs in, or would go on in.
    pub fn group_of(&self, release: ReleaseNumber) -> Option<GroupNumber> {
        let rolled_out = self.active_rollout().filter(|it| it.to == release).map(|it| it.group);
        let of = |it: &Side<'_>| it.group.release == release && it.is_in_use();
        rolled_out.or_else(|| self.sides().find(of).map(|it| it.number))
    }

    /// The first group that has nothing to do, or the number of one more.
    pub fn free_group(&self) -> GroupNumber {
        self.free_groups().next().unwrap_or_default()
    }

    /// The groups that have nothing to do, and then the numbers of further ones.
    pub fn free_groups(&self) -> impl Iterator<Item = GroupNumber> {
        let is_free = |it: &Side<'_>| !it.is_in_use() && it.is_empty();
        let next = self.groups.last_key_value().map_or(0, |(last, _)| last.0 + 1);
        self.sides().filter(is_free).map(|it| it.number).chain((next..).map(GroupNumber))
    }

    /// The group that takes over, because somebody gave everything to its release and it can: all its instances
    /// are there, or it is the one that serves already.
    pub fn successor(&self) -> Option<GroupNumber> {
        let [only] = self.traffic.shares.as_slice() else { return None };
        if self.active_rollout().is_some() {
            return None;
        }
        if only.release == self.current() {
            return Some(self.main);
        }
        let group = self.group_of(only.release)?;
        self.side(group).filter(Side::is_whole).map(|_| group)
    }

    /// Slots of the main group with an instance that can take requests.
    pub fn ready(&self) -> usize {
        self.main_side().map_or(0, |it| it.ready())
    }

    /// Whether the job of every slot wanted has run to its end with exit code 0.
    pub fn is_completed(&self) -> bool {
        self.main_side().is_some_and(|it| it.is_completed())
    }

    /// Whether what was asked for is there, in every group: every wanted instance ready in its group's
    /// release, or done, and none too many; and no replacement of instances is about to begin.
    pub fn is_settled(&self) -> bool {
        if self.removed {
            return self.instances.is_empty();
        }
        let begins = |it: &Rollout| it.is_in_place() && matches!(it.stage, Stage::Preparing { .. });
        !self.active_rollout().is_some_and(begins) && self.sides().all(|it| it.is_settled())
    }
}

impl Instance {
    /// Whether it runs, can take requests, and has not been told to stop.
    pub fn is_serving(&self) -> bool {
        self.ready && self.phase == Phase::Running && self.purpose == Purpose::Serve
    }

    /// Whether it has been ready long enough at `now`, or was once, to have started well.
    pub fn is_stable(&self, now: Timestamp) -> bool {
        let is_now = || self.ready && self.ready_at.is_some_and(|at| STABLE_AFTER <= now.since(at));
        self.started_well.is_some() || is_now()
    }

    /// How long it has been ready at `now`, or was the last time it was ready.
    pub fn served(&self, now: Timestamp) -> Duration {
        match self.ready_at {
            Some(at) if self.ready => now.since(at),
            _ => self.served,
        }
    }
}
