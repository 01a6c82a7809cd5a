//! The state of one application.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Application, InstanceId, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::FiringAlert;
use crate::rollout::GroupNumber;
use crate::service::{Instance, ServiceState};

/// One application: what was asked for and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApplicationState {
    /// What was last applied.
    pub definition: Arc<Application>,
    /// The folder that relative paths in it are meant from.
    pub folder: String,
    /// When it was last applied.
    pub applied_at: Timestamp,
    /// Whether it should run.
    pub desired: Desired,
    /// Its services, also those that were taken out of the definition: their numbers are not used again.
    pub services: BTreeMap<ServiceName, Arc<ServiceState>>,
    /// The ports on loopback of declared calls, by caller and callee. They are kept for good: an
    /// instance of an older release may still use them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edges: BTreeMap<ServiceName, BTreeMap<ServiceName, u16>>,
    /// The same for groups of the caller that have addresses of their own, so that their calls can be told
    /// apart: those of a release that is rolled out together with its callees.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub group_edges: BTreeMap<ServiceName, BTreeMap<GroupNumber, BTreeMap<ServiceName, u16>>>,
    /// Alerts of its rules that fire, in the order they began to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<FiringAlert>,
}

/// What should become of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// It should run.
    Running,
    /// It should stop, and has not yet.
    Stopping,
    /// It has been stopped.
    Stopped,
}

impl ApplicationState {
    /// Every instance that has not ended, by service and number.
    pub fn instances(&self) -> impl Iterator<Item = (InstanceId, &Instance)> {
        self.services.iter().flat_map(|(name, service)| {
            service.instances.iter().map(|(number, instance)| {
                (InstanceId { service: name.clone(), number: *number }, instance)
            })
        })
    }

    /// The port where `caller` finds `callee`, if that call has an address.
    pub fn edge_port(&self, caller: &ServiceName, callee: &ServiceName) -> Option<u16> {
        self.edges.get(caller)?.get(callee).copied()
    }

    /// The port where instances of a group of `caller` find `callee`, if that group has one of its own.
    pub fn group_edge_port(
        &self,
        (caller, group): (&ServiceName, GroupNumber),
        callee: &ServiceName,
    ) -> Option<u16> {
        self.group_edges.get(caller)?.get(&group)?.get(callee).copied()
    }

    /// The ports of all declared calls, those of groups among them.
    pub fn edge_ports(&self) -> impl Iterator<Item = u16> {
        let of_groups = self.group_edges.values().flat_map(BTreeMap::values);
        self.edges.values().chain(of_groups).flat_map(BTreeMap::values).copied()
    }

    /// Whether everything that was asked for is there: every service ready, or done if it is a job.
    pub fn is_settled(&self) -> bool {
        self.services.values().all(|service| service.is_settled())
    }
}
