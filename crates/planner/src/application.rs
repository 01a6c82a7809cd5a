//! What to do about one application.

use std::sync::Arc;

use model::instance::StopReason;
use model::{ApplicationName, ServiceName, Timestamp};
use world::{ApplicationState, Desired, Event, Phase, ServiceState};

use crate::place::Place;
use crate::{Effect, Plan, rollout, service};

pub(crate) fn plan(
    name: &ApplicationName,
    state: &ApplicationState,
    now: Timestamp,
    plan: &mut Plan,
) {
    effects(name, state, plan);
    let decided = plan.record.len();
    for place in places(name, state) {
        match state.desired {
            Desired::Running => rollout::decide(&place, now, plan),
            Desired::Stopping | Desired::Stopped => rollout::abort(&place, plan),
        }
    }
    // Where traffic goes is decided first: instances follow.
    if decided < plan.record.len() {
        return;
    }
    match state.desired {
        Desired::Running => run(name, state, now, plan),
        Desired::Stopping | Desired::Stopped => stop_in_reverse(name, state, plan),
    }
}

fn places<'a>(
    application: &'a ApplicationName,
    state: &'a ApplicationState,
) -> impl Iterator<Item = Place<'a>> + Clone {
    let place = move |(name, service): (&'a ServiceName, &'a Arc<ServiceState>)| Place {
        application,
        state,
        name,
        service,
    };
    state.services.iter().map(place)
}

/// Stops what should not be there; only when nothing more has to be stopped, starts what should. So
/// nothing is started because of what is being stopped in the same moment.
fn run(name: &ApplicationName, state: &ApplicationState, now: Timestamp, plan: &mut Plan) {
    let decided = plan.record.len();
    let places = places(name, state);
    for place in places.clone() {
        service::stop(&place, now, plan);
    }
    if decided < plan.record.len() {
        return;
    }
    for place in places {
        service::start(&place, now, plan);
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
    let mut instances = state.instances().peekable();
    if instances.peek().is_none() {
        if state.desired == Desired::Stopping {
            plan.record.push(Event::ApplicationStopped { application: name.clone() });
        }
        return;
    }
    let is_free = |service: &ServiceName| !state.has_live_dependents(service);
    // A circle of dependencies, which `manifest` refuses and other callers may not, has no end to begin at.
    let in_a_circle = !state.instances().any(|(id, _)| is_free(&id.service));
    for (instance, it) in instances {
        let is_stopping = matches!(it.phase, Phase::Stopping { .. });
        if !is_stopping && (in_a_circle || is_free(&instance.service)) {
            let (application, reason) = (name.clone(), StopReason::ApplicationStopped);
            plan.record.push(Event::InstanceStopping { application, instance, reason });
        }
    }
}
