//! What a service waits for before it is started, as far as the state tells.

use std::fmt;

use model::ServiceName;
use model::service::Condition;

use crate::application::ApplicationState;
use crate::service::ServiceState;

/// A dependency that has not come far enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The dependency.
    pub dependency: ServiceName,
    /// How far it must come.
    pub condition: Condition,
}

impl fmt::Display for Waiting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dependency = &self.dependency;
        match self.condition {
            Condition::ServiceStarted => write!(formatter, "{dependency} to be started"),
            Condition::ServiceHealthy => write!(formatter, "{dependency} to be ready"),
            Condition::ServiceCompletedSuccessfully => {
                write!(formatter, "{dependency} to be completed")
            }
        }
    }
}

impl ApplicationState {
    /// The dependencies of `service` that have not come far enough for it to be started.
    pub fn waiting_for(&self, service: &ServiceName) -> Vec<Waiting> {
        let Some(definition) = self.definition.services.get(service) else { return Vec::new() };
        let unmet = definition.depends_on.iter().filter(|(dependency, condition)| {
            !self.services.get(*dependency).is_some_and(|it| is_met(it, **condition))
        });
        unmet
            .map(|(dependency, condition)| Waiting {
                dependency: dependency.clone(),
                condition: *condition,
            })
            .collect()
    }
}

/// Once a dependency has been whole, one ready instance of it is enough: to heal a service must not wait
/// until everything below it is perfect.
fn is_met(dependency: &ServiceState, condition: Condition) -> bool {
    let wanted = dependency.replicas as usize;
    let enough = |count: usize| wanted <= count || (dependency.once_healthy && 0 < count);
    match condition {
        Condition::ServiceStarted => {
            enough(dependency.instances.values().filter(|it| it.started_at.is_some()).count())
                || dependency.is_completed()
        }
        Condition::ServiceHealthy => enough(dependency.ready()) || dependency.is_completed(),
        Condition::ServiceCompletedSuccessfully => dependency.is_completed(),
    }
}
