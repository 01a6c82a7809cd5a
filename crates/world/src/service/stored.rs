//! A service as snapshots have it: those of versions that knew one group only are read as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::instance::Exit;
use model::release::Release;
use model::{ReleaseNumber, Timestamp};
use serde::Deserialize;

use super::{Ended, Instance, ServiceState, Slot, Traffic};
use crate::group::Group;
use crate::rollout::{GroupNumber, Outcome, Rollout};

/// What is written, and in place of `groups` what was written before there were any.
#[derive(Debug, Deserialize)]
pub(super) struct StoredService {
    releases: BTreeMap<ReleaseNumber, Arc<Release>>,
    replicas: u32,
    removed: bool,
    #[serde(default)]
    groups: BTreeMap<GroupNumber, Group>,
    #[serde(default)]
    main: GroupNumber,
    #[serde(default)]
    traffic: Traffic,
    #[serde(default)]
    rollout: Option<Arc<Rollout>>,
    #[serde(default)]
    previous: Vec<ReleaseNumber>,
    #[serde(default)]
    rejected: BTreeSet<ReleaseNumber>,
    #[serde(default)]
    commands: BTreeMap<ReleaseNumber, Exit>,
    instances: BTreeMap<u32, Instance>,
    next_instance: u32,
    ended: Vec<Ended>,
    #[serde(default)]
    current: Option<ReleaseNumber>,
    #[serde(default)]
    slots: BTreeMap<u32, Slot>,
    #[serde(default)]
    restart_before: u32,
    #[serde(default)]
    once_healthy: bool,
    #[serde(default)]
    crash_loop_since: Option<Timestamp>,
}

impl From<StoredService> for ServiceState {
    fn from(stored: StoredService) -> Self {
        let mut groups = stored.groups;
        if let Some(release) = stored.current {
            let group = Group {
                slots: stored.slots,
                restart_before: stored.restart_before,
                once_healthy: stored.once_healthy,
                crash_loop_since: stored.crash_loop_since,
                ..Group::new(release)
            };
            groups.insert(GroupNumber::default(), group);
        }
        let mut rejected = stored.rejected;
        if let Some(rollout) = &stored.rollout
            && matches!(rollout.outcome, Some((Outcome::Rejected { .. }, _)))
        {
            // What is written now; before, only the last rollout said so.
            rejected.insert(rollout.to);
        }
        Self {
            releases: stored.releases,
            replicas: stored.replicas,
            removed: stored.removed,
            groups,
            main: stored.main,
            traffic: stored.traffic,
            rollout: stored.rollout,
            previous: stored.previous,
            rejected,
            commands: stored.commands,
            instances: stored.instances,
            next_instance: stored.next_instance,
            ended: stored.ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_from_before_there_were_groups_is_read() {
        let text = r#"{"current": 3, "releases": {}, "replicas": 2, "removed": false,
            "slots": {"0": {"port": 20001, "failures": 1, "last_end": null}},
            "instances": {"7": {"slot": 0, "release": 3, "port": 20001, "phase": "running",
                "ready": true, "ready_at": 5, "failing": null, "liveness_failed": false,
                "created_at": 3, "started_at": 4, "process": null}},
            "next_instance": 8, "restart_before": 6, "once_healthy": true,
            "crash_loop_since": 9, "ended": []}"#;
        let read: ServiceState = serde_json::from_str(text).unwrap();
        let group = read.main_group().unwrap();
        assert_eq!((read.current(), group.restart_before), (ReleaseNumber(3), 6));
        assert_eq!((group.slots[&0].port, group.slots[&0].failures), (20001, 1));
        assert!(group.once_healthy && group.crash_loop_since.is_some());
        assert_eq!((read.ready(), read.instances[&7].group), (1, GroupNumber(0)));
        let again: ServiceState =
            serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }
}
