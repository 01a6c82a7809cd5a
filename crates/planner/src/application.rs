//! What to do about one application.

use model::{ApplicationName, InstanceId, ServiceName, Timestamp};
use world::{ApplicationState, Desired, Event, Phase};

use crate::{Effect, Plan, service};
use model::instance::StopReason;

pub(crate) fn plan(
    name: &ApplicationName,
    state: &ApplicationState,
    now: Timestamp,
    plan: &mut Plan,
) {
    effects(name, state, plan);
    match state.desired {
        Desired::Running => {
            for service in state.services.keys() {
                service::plan(&service::Place { application: name, state, service }, now, plan);
            }
        }
        Desired::Stopping => stop_in_reverse(name, state, plan),
        Desired::Stopped => {}
    }
}

/// What was decided and has not come about yet.
fn effects(name: &ApplicationName, state: &ApplicationState, plan: &mut Plan) {
    for (instance, it) in state.instances() {
        let application = name.clone();
        match it.phase {
            Phase::Created => plan.effects.push(Effect::Launch { application, instance }),
            Phase::Stopping { .. } => plan.effects.push(Effect::Stop { application, instance }),
            Phase::Running => {}
        }
    }
}

/// Stops every service that no running service depends on, until none is left.
fn stop_in_reverse(name: &ApplicationName, state: &ApplicationState, plan: &mut Plan) {
    if state.instances().next().is_none() {
        plan.record.push(Event::ApplicationStopped { application: name.clone() });
        return;
    }
    for (service, service_state) in &state.services {
        if has_live_dependents(state, service) {
            continue;
        }
        for (number, instance) in &service_state.instances {
            if !matches!(instance.phase, Phase::Stopping { .. }) {
                plan.record.push(Event::InstanceStopping {
                    application: name.clone(),
                    instance: InstanceId { service: service.clone(), number: *number },
                    reason: StopReason::ApplicationStopped,
                });
            }
        }
    }
}

/// Whether an instance is left of a service that was started after `service`.
fn has_live_dependents(state: &ApplicationState, service: &ServiceName) -> bool {
    state.services.iter().any(|(name, other)| {
        let depends = || {
            let definition = state.definition.services.get(name);
            definition.is_some_and(|it| it.depends_on.contains_key(service))
        };
        !other.instances.is_empty() && depends()
    })
}
