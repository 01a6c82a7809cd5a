//! A service where it stands: in its application, with the name it has there.

use model::instance::StopReason;
use model::{ApplicationName, InstanceId, ServiceName};
use world::{ApplicationState, Event, ServiceState};

use crate::Plan;

/// A service, and what is around it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) application: &'a ApplicationName,
    pub(crate) state: &'a ApplicationState,
    pub(crate) name: &'a ServiceName,
    pub(crate) service: &'a ServiceState,
}

impl Place<'_> {
    pub(crate) fn id(&self, number: u32) -> InstanceId {
        InstanceId { service: self.name.clone(), number }
    }

    /// Decides that an instance should stop, unless that was decided already.
    pub(crate) fn stop(&self, number: u32, reason: StopReason, plan: &mut Plan) {
        let instance = self.id(number);
        let decided = plan.record.iter().any(|it| {
            matches!(it, Event::InstanceStopping { .. })
                && it.instance() == Some(&instance)
                && it.application() == Some(self.application)
        });
        if !decided {
            let application = self.application.clone();
            plan.record.push(Event::InstanceStopping { application, instance, reason });
        }
    }
}
