//! What people ask for, as the events that `control` makes of it.

use std::sync::Arc;

use model::release::Release;
use model::rollout::Strategy;
use model::units::Share;
use model::{Application, ReleaseNumber, Service, ServiceName, Timestamp};
use world::rollout::{Counted, Counts, Kind, Outcome, RolloutPlan, Stage};
use world::routing::ReleaseShare;
use world::{
    ApplicationState, Desired, Event, GroupNumber, NamedPort, ServiceState, Side, Traffic, World,
};

use crate::definition::name;

/// Between a slot's port and its spare one.
const SPARE: u16 = 50;
/// Between a slot's port and its further one.
const FURTHER: u16 = 10_000;

/// Ports as a test assigns them: the group times a thousand, the service's rank times a hundred, and the slot.
fn port(definition: &Application, service: &ServiceName, (group, slot): (GroupNumber, u32)) -> u16 {
    let rank = definition.services.keys().position(|it| it == service).unwrap_or(0);
    let first = u16::try_from(20_000 + 100 * rank).unwrap();
    first + u16::try_from(1_000 * group.0 + slot).unwrap()
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
            let release = Release::plain(
                ReleaseNumber(state.map_or(1, |it| it.current().0 + 1)),
                service.clone(),
                None,
                now,
            );
            events.push(Event::ReleaseMade {
                application: application.clone(),
                service: name.clone(),
                release: Arc::new(release),
            });
        }
        let main = state.map(|it| it.main).unwrap_or_default();
        events.extend(ports(world, &definition, (name, main), service.replicas));
    }
    events
}

/// Applies a definition as `control` does: what runs already and is different is rolled out, all of it as one if
/// somebody said so.
pub(crate) fn deploy(world: &World, definition: &Application, at: &At) -> Vec<Event> {
    let is_running = |it: &&ApplicationState| it.desired == Desired::Running;
    let Some(before) = world.application(&definition.name).filter(is_running) else {
        return apply(world, definition, at.now);
    };
    let mut events = Vec::new();
    for event in apply(world, definition, at.now) {
        let Event::ReleaseMade { application, service, release } = event else {
            events.push(event);
            continue;
        };
        match before.services.get(&service).filter(|it| !it.removed) {
            Some(state) => events.extend(roll_out(world, definition, (&service, state), &release)),
            None => events.push(Event::ReleaseMade { application, service, release }),
        }
    }
    let grown = definition.services.iter().flat_map(|(name, service)| {
        let state = before.services.get(name);
        let others = state
            .into_iter()
            .flat_map(|state| state.sides().filter(|it| it.number != state.main && it.is_in_use()));
        others.flat_map(|it| ports(world, definition, (name, it.number), service.replicas))
    });
    events.extend(grown);
    if at.together == Together::Yes {
        go_together(&mut events);
    }
    events
}

/// When something is deployed, and whether all of it goes as one.
pub(crate) struct At {
    pub(crate) now: Timestamp,
    pub(crate) together: Together,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    Yes,
    No,
}

fn go_together(events: &mut [Event]) {
    let started = events.iter().filter(|it| matches!(it, Event::RolloutStarted { .. }));
    let started: Vec<ServiceName> = started.filter_map(|it| it.service().cloned()).collect();
    for event in events {
        if let Event::RolloutStarted { rollout, service, .. } = event {
            let others = started.iter().filter(|it| *it != service);
            Arc::make_mut(rollout).together = others.cloned().collect();
        }
    }
}

fn roll_out(
    world: &World,
    definition: &Application,
    (name, state): (&ServiceName, &ServiceState),
    release: &Release,
) -> Vec<Event> {
    let (application, service) = (definition.name.clone(), name.clone());
    let to = state.next_release();
    let mut events = Vec::new();
    let mut from = state.stable();
    if let Some(before) = state.taken_over() {
        from = before.to;
        let (application, service) = (application.clone(), service.clone());
        events.push(Event::RolloutEnded { application, service, outcome: Outcome::Completed });
    } else if state.active_rollout().is_some() {
        events.push(abort(name.as_str(), &format!("{to} takes its place")));
    }
    if !state.traffic.shares.is_empty() {
        events.push(traffic(name.as_str(), &[]));
    }
    let release = Arc::new(Release { number: to, ..release.clone() });
    let mut update = release.service.update.clone();
    update.strategy = release.service.replaced_by(update.strategy);
    events.push(Event::ReleaseBaked { application, service, release });
    let plan = RolloutPlan {
        kind: Kind::Deploy,
        from,
        to,
        group: state.main,
        update,
        by: None,
        together: Vec::new(),
        is_by_key: false,
    };
    events.extend(start(world, definition, (name, state), plan));
    events
}

/// A rollout begins, in a group of its own where it needs one.
fn start(
    world: &World,
    definition: &Application,
    (name, state): (&ServiceName, &ServiceState),
    mut plan: RolloutPlan,
) -> Vec<Event> {
    let in_place = plan.update.strategy.is_in_place() && plan.kind == Kind::Deploy;
    let (application, service) = (definition.name.clone(), name.clone());
    let mut events = Vec::new();
    if let Some(warm) = state.group_of(plan.to).filter(|_| !in_place) {
        plan.group = warm;
    } else if !in_place {
        let (group, release) = (state.free_group(), plan.to);
        plan.group = group;
        events.push(Event::GroupOpened {
            application: application.clone(),
            service: service.clone(),
            group,
            release,
        });
        let replicas = definition.services[name].replicas.max(state.replicas);
        events.extend(ports(world, definition, (name, group), replicas));
    }
    events.push(Event::RolloutStarted { application, service, rollout: Arc::new(plan) });
    events
}

/// Goes back to a release that had all the traffic before.
pub(crate) fn roll_back(world: &World, service: &str) -> Vec<Event> {
    let application = name("shop");
    let Some(state) = world.service(&application, &name(service)) else { return Vec::new() };
    if state.active_rollout().is_some() {
        return vec![abort(service, "rolled back by hand")];
    }
    let Some(to) = state.previous.last().copied() else { return Vec::new() };
    let definition = &world.application(&application).unwrap().definition;
    let mut update = state.releases[&to].service.update.clone();
    let current = &state.current_release().unwrap().service;
    let mut kind = Kind::Rollback;
    if !current.can_overlap() {
        (kind, update.strategy) = (Kind::Deploy, current.replaced_by(Strategy::Rolling));
    }
    let plan = RolloutPlan {
        kind,
        from: state.stable(),
        to,
        group: state.main,
        update,
        by: None,
        together: Vec::new(),
        is_by_key: false,
    };
    start(world, definition, (&name(service), state), plan)
}

/// Shares requests by hand: the release and its share in percent.
pub(crate) fn share(world: &World, service: &str, shares: &[(u32, u32)]) -> Vec<Event> {
    let application = name("shop");
    let Some(state) = world.application(&application) else { return Vec::new() };
    let of = &state.services[&name(service)];
    let mut events = Vec::new();
    for release in shares.iter().map(|it| ReleaseNumber(it.0)) {
        if of.group_of(release).is_some() {
            continue;
        }
        let group = of.free_group();
        let (application, service) = (application.clone(), name(service));
        events.extend(ports(world, &state.definition, (&service, group), of.replicas));
        events.insert(0, Event::GroupOpened { application, service, group, release });
    }
    events.push(traffic(service, shares));
    events
}

fn traffic(service: &str, shares: &[(u32, u32)]) -> Event {
    let share = |(release, percent): &(u32, u32)| ReleaseShare {
        release: ReleaseNumber(*release),
        weight: Share::from_percent(*percent),
    };
    Event::TrafficSet {
        application: name("shop"),
        service: name(service),
        traffic: Traffic { shares: shares.iter().map(share).collect(), ..Traffic::default() },
    }
}

pub(crate) fn abort(service: &str, reason: &str) -> Event {
    Event::RolloutEnded {
        application: name("shop"),
        service: name(service),
        outcome: Outcome::Aborted { reason: reason.to_owned() },
    }
}

/// What the data plane has counted since it last said so: requests and errors of the old release and of the new
/// one.
pub(crate) fn observed(
    world: &World,
    service: &str,
    (old, new): ((u64, u64), (u64, u64)),
) -> Option<Event> {
    let rollout = world.service(&name("shop"), &name(service))?.active_rollout()?;
    let Stage::Taking { epoch, .. } = rollout.stage else { return None };
    let before = if rollout.counted.epoch == epoch { rollout.counted } else { Counted::default() };
    let more = |(requests, errors)| Counts { requests, errors, ..Counts::default() };
    let (old, new) = (before.old.plus(&more(old)), before.new.plus(&more(new)));
    let counted = Counted { epoch, source: 1, old, new };
    Some(Event::RolloutObserved { application: name("shop"), service: name(service), counted })
}

/// The ports of slots that lack any. Only a service whose port is not fixed has spare ones.
fn ports(
    world: &World,
    definition: &Application,
    (service, group): (&ServiceName, GroupNumber),
    replicas: u32,
) -> Vec<Event> {
    let state = world.service(&definition.name, service);
    let fixed = definition.services[service].port;
    let mut events = Vec::new();
    for slot in 0..replicas {
        let current = state.and_then(|it| it.groups.get(&group)?.slots.get(&slot));
        let wanted = fixed.unwrap_or_else(|| port(definition, service, (group, slot)));
        let (application, name) = (&definition.name, service);
        if current.is_none() || fixed.is_some_and(|it| current.is_some_and(|slot| slot.port != it))
        {
            let (application, service) = (application.clone(), name.clone());
            events.push(Event::PortAssigned { application, service, group, slot, port: wanted });
        }
        if fixed.is_none() && current.is_none_or(|it| it.spare_port.is_none()) {
            let (application, service) = (application.clone(), name.clone());
            let port = port(definition, name, (group, slot)) + SPARE;
            events.push(Event::SparePortAssigned { application, service, group, slot, port });
        }
        for further in definition.services[service].ports.keys() {
            if current.is_some_and(|it| it.named_ports.contains_key(further)) {
                continue;
            }
            let port = port(definition, name, (group, slot)) + FURTHER;
            events.push(Event::NamedPortAssigned {
                application: application.clone(),
                service: name.clone(),
                group,
                slot,
                name: further.clone(),
                ports: NamedPort { port, spare: Some(port + SPARE) },
            });
        }
    }
    events
}

pub(crate) fn scale(world: &World, service: &str, replicas: u32) -> Vec<Event> {
    let (application, service) = (name("shop"), name(service));
    let Some(state) = world.application(&application) else { return Vec::new() };
    let of = &state.services[&service];
    let wanted = of.sides().filter(Side::is_in_use);
    let grown =
        wanted.flat_map(|it| ports(world, &state.definition, (&service, it.number), replicas));
    let mut events: Vec<Event> = grown.collect();
    events.push(Event::ServiceScaled { application, service, replicas });
    events
}

pub(crate) fn restart(service: &str) -> Vec<Event> {
    vec![Event::RestartAsked { application: name("shop"), service: name(service) }]
}

pub(crate) fn stop() -> Vec<Event> {
    vec![Event::StopAsked { application: name("shop") }]
}
