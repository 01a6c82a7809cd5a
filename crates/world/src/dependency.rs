//! What a service waits for before it is started, as far as the state tells.

use std::collections::BTreeSet;
use std::fmt;

use model::ServiceName;
use model::service::Condition;

use crate::application::{ApplicationState, Desired};
use crate::service::{Instance, Phase, ServiceState, Slot};

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

    /// Whether an instance is left that was started after `service` because it depends on it, directly or
    /// through others of which nothing runs any more, such as a job that is done.
    pub fn has_live_dependents(&self, service: &ServiceName) -> bool {
        let mut seen = BTreeSet::from([service]);
        let mut queue = vec![service];
        while let Some(dependency) = queue.pop() {
            for (name, other) in &self.services {
                if !self.depends_on(other, dependency) || !seen.insert(name) {
                    continue;
                }
                if !other.instances.is_empty() {
                    return true;
                }
                queue.push(name);
            }
        }
        false
    }

    /// While the application runs, an instance of an older release keeps what that release depends on. When
    /// it stops, and for services that were taken out, the current releases decide: those of one
    /// definition depend on each other in no circle, while old and new ones together may.
    fn depends_on(&self, service: &ServiceState, dependency: &ServiceName) -> bool {
        let depends = |release| {
            let release = service.releases.get(release);
            release.is_some_and(|it| it.service.depends_on.contains_key(dependency))
        };
        if service.removed || self.desired != Desired::Running || service.instances.is_empty() {
            depends(&service.current())
        } else {
            service.instances.values().any(|it| depends(&it.release))
        }
    }
}

/// Once a dependency has been whole, one ready instance of it is enough: to heal a service must not wait
/// until everything below it is perfect. Where none is wanted there is none to wait for.
fn is_met(dependency: &ServiceState, condition: Condition) -> bool {
    let has_come = |instance: &Instance| match condition {
        Condition::ServiceStarted => instance.phase == Phase::Running,
        Condition::ServiceHealthy => instance.is_serving(),
        Condition::ServiceCompletedSuccessfully => false,
    };
    // Releases beside the one that serves make nobody wait.
    let Some(main) = dependency.main_side() else { return dependency.replicas == 0 };
    let slot_has_come = |(number, slot): &(u32, &Slot)| {
        let mut instances = main.in_slot(*number).map(|(_, it)| it).peekable();
        match instances.peek() {
            Some(_) => instances.any(has_come),
            None => main.is_slot_completed(slot),
        }
    };
    let come = main.wanted_slots().filter(slot_has_come).count();
    let one_will_do =
        main.group.once_healthy && condition != Condition::ServiceCompletedSuccessfully;
    dependency.replicas as usize <= come || (one_will_do && 0 < come)
}
