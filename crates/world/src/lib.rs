//! What has happened, folded: events make one immutable state with an index.
//!
//! An [`Event`] is a fact or an intent, in the past tense. [`World::fold`] is the only way the state
//! changes, so the state at any index is the events up to it, and two worlds with the same events
//! are equal. Parts that an event does not touch are shared between the world before and after it:
//! whoever holds an older world keeps a consistent view at the price of what changed since.
//!
//! It refuses to decide: what should follow from a state is `planner`'s to say.

pub mod alert;
pub mod application;
mod clock;
pub mod dependency;
pub mod event;
mod fold;
pub mod group;
pub mod rollout;
pub mod routing;
pub mod service;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{ApplicationName, Index, InstanceId, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

pub use application::{ApplicationState, Desired};
pub use clock::{ClockStep, ahead};
pub use dependency::Waiting;
pub use event::{DecodeError, Event, Recorded};
pub use fold::FoldError;
pub use group::{Group, Side};
pub use rollout::{GroupNumber, Rollout};
pub use service::{Ended, Instance, NamedPort, Phase, Purpose, ServiceState, Slot, Traffic};

/// Everything that is true at one index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct World {
    /// The index of the last event folded in.
    pub index: Index,
    /// When that event happened.
    pub at: Timestamp,
    /// Every application that was ever applied and not forgotten.
    pub applications: BTreeMap<ApplicationName, Arc<ApplicationState>>,
    /// When the machine's clock was set, as far as it is remembered, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clock_steps: Vec<ClockStep>,
}

impl World {
    /// The state of `application`, if there is one.
    pub fn application(&self, application: &ApplicationName) -> Option<&ApplicationState> {
        self.applications.get(application).map(AsRef::as_ref)
    }

    /// The state of a service.
    pub fn service(
        &self,
        application: &ApplicationName,
        service: &ServiceName,
    ) -> Option<&ServiceState> {
        self.application(application)?.services.get(service).map(AsRef::as_ref)
    }

    /// An instance that has not ended.
    pub fn instance(&self, application: &ApplicationName, id: &InstanceId) -> Option<&Instance> {
        self.service(application, &id.service)?.instances.get(&id.number)
    }

    /// Whether an instance lives, or is one of the last that ended: what is kept of it is still needed.
    pub fn remembers(&self, application: &ApplicationName, id: &InstanceId) -> bool {
        self.service(application, &id.service).is_some_and(|it| {
            it.instances.contains_key(&id.number)
                || it.ended.iter().any(|it| it.number == id.number)
        })
    }

    /// Every instance that has not ended, with the application it belongs to.
    pub fn instances(&self) -> impl Iterator<Item = (&ApplicationName, InstanceId, &Instance)> {
        self.applications.iter().flat_map(|(application, state)| {
            state.instances().map(move |(id, instance)| (application, id, instance))
        })
    }
}
