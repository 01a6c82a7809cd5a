//! What people ask for, as the events that `control` makes of it.

use std::sync::Arc;

use model::release::Release;
use model::{Application, ReleaseNumber, Service, Timestamp};
use world::{Event, World};

use crate::definition::name;

/// Between a slot's port and its spare one.
const SPARE: u16 = 50;

/// Ports as a test assigns them: the service's rank times a hundred, and the slot.
fn port(definition: &Application, service: &model::ServiceName, slot: u32) -> u16 {
    let rank = definition.services.keys().position(|it| it == service).unwrap_or(0);
    u16::try_from(20_000 + 100 * rank).unwrap() + u16::try_from(slot).unwrap()
}

pub(crate) fn apply(world: &World, definition: &Application, now: Timestamp) -> Vec<Event> {
    let application = &definition.name;
    let before = world.application(application);
    let definition = Arc::new(definition.clone());
    let mut events = vec![Event::ApplicationApplied {
        definition: Arc::clone(&definition),
        folder: "/".to_owned(),
    }];
    for (name, service) in &definition.services {
        let state = before.and_then(|it| it.services.get(name));
        let same = |it: &Release| {
            Service { replicas: 0, ..it.service.clone() }
                == Service { replicas: 0, ..service.clone() }
        };
        if !state.and_then(|it| it.current_release()).is_some_and(same) {
            let release = Release {
                number: ReleaseNumber(state.map_or(1, |it| it.current.0 + 1)),
                service: service.clone(),
                artifact: None,
                made_at: now,
            };
            events.push(Event::ReleaseMade {
                application: application.clone(),
                service: name.clone(),
                release: Arc::new(release),
            });
        }
        events.extend(ports(world, &definition, name, service.replicas));
    }
    events
}

/// The ports of slots that lack any. Only a service whose port is not fixed has spare ones.
fn ports(
    world: &World,
    definition: &Application,
    service: &model::ServiceName,
    replicas: u32,
) -> Vec<Event> {
    let state = world.service(&definition.name, service);
    let fixed = definition.services[service].port;
    let mut events = Vec::new();
    for slot in 0..replicas {
        let current = state.and_then(|it| it.slots.get(&slot));
        let wanted = fixed.unwrap_or_else(|| port(definition, service, slot));
        let (application, name) = (&definition.name, service);
        if current.is_none() || fixed.is_some_and(|it| current.is_some_and(|slot| slot.port != it))
        {
            let (application, service) = (application.clone(), name.clone());
            events.push(Event::PortAssigned { application, service, slot, port: wanted });
        }
        if fixed.is_none() && current.is_none_or(|it| it.spare_port.is_none()) {
            let (application, service) = (application.clone(), name.clone());
            let port = port(definition, name, slot) + SPARE;
            events.push(Event::SparePortAssigned { application, service, slot, port });
        }
    }
    events
}

pub(crate) fn scale(world: &World, service: &str, replicas: u32) -> Vec<Event> {
    let (application, service) = (name("shop"), name(service));
    let Some(state) = world.application(&application) else { return Vec::new() };
    let mut events = ports(world, &state.definition, &service, replicas);
    events.push(Event::ServiceScaled { application, service, replicas });
    events
}

pub(crate) fn restart(service: &str) -> Vec<Event> {
    vec![Event::RestartAsked { application: name("shop"), service: name(service) }]
}

pub(crate) fn stop() -> Vec<Event> {
    vec![Event::StopAsked { application: name("shop") }]
}
