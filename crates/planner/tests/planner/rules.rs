//! What must hold for every decision, said without the planner's own code where that can be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::instance::{Exit, StopReason};
use model::restart::RestartPolicy;
use model::rollout::Strategy;
use model::service::Condition;
use model::{InstanceId, ServiceName, Timestamp};
use world::rollout::Outcome;
use world::service::STABLE_AFTER;
use world::{
    ApplicationState, Event, GroupNumber, Instance, Phase, Purpose, ServiceState, Side, World,
};

use crate::rollouts;

/// Remembers what the world need not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    used: BTreeSet<InstanceId>,
    /// Unasked ends in a row that followed no good start, by service, group and slot, as counted here.
    failures: BTreeMap<(ServiceName, GroupNumber, u32), u32>,
}

impl Rules {
    /// Looks at a decision before it is folded in.
    pub(crate) fn on_decision(&mut self, world: &World, event: &Event, now: Timestamp) {
        let state = world.application(event.application().unwrap()).unwrap();
        match event {
            Event::InstanceCreated { instance, .. } => {
                assert!(self.used.insert(instance.clone()), "{instance} is used again");
                assert_creation(state, event, now);
            }
            Event::InstanceStopping { instance, reason, .. } => {
                assert_stop(state, instance, *reason);
            }
            Event::CrashLoopDeclared { service, failures, .. } => {
                let state = &state.services[service];
                let limit = state.current_release().unwrap().service.restart.crash_loop;
                let main = state.main_side().unwrap();
                assert!(limit <= *failures, "crash loop of {service}");
                let counted = main.wanted_slots().map(|(slot, _)| {
                    let key = (service.clone(), main.number, slot);
                    self.failures.get(&key).copied().unwrap_or(0)
                });
                assert_eq!(counted.max(), Some(*failures), "failures of {service} in a row");
            }
            Event::CrashLoopCleared { service, .. } => {
                let main = state.services[service].main_side().unwrap();
                for (slot, it) in main.wanted_slots().filter(|(_, it)| !main.is_done(it)) {
                    let (_, instance) = main.in_slot(slot).next_back().unwrap();
                    let since = now.since(instance.ready_at.unwrap());
                    assert!(instance.is_serving() && STABLE_AFTER <= since, "{service} {it:?}");
                }
                self.failures.retain(|(name, ..), _| name != service);
            }
            Event::ApplicationStopped { .. } => assert_eq!(state.instances().count(), 0),
            about_rollout => rollouts::assert_decision(state, about_rollout, now),
        }
    }

    /// Looks at anything else before it is folded in.
    pub(crate) fn on_fact(&mut self, world: &World, event: &Event, now: Timestamp) {
        let forgiven = |name: &ServiceName, rules: &mut Self| {
            rules.failures.retain(|(service, ..), _| service != name);
        };
        match event {
            Event::InstanceExited { application, instance, exit } => {
                let service = world.service(application, &instance.service).unwrap();
                self.count(service, instance, exit, now);
            }
            Event::ReleaseMade { service, .. } | Event::RestartAsked { service, .. } => {
                forgiven(service, self);
            }
            Event::GroupOpened { service, group, .. } => {
                self.failures.retain(|(name, of, _), _| name != service || of != group);
            }
            Event::RolloutTrafficMoved { service, .. } | Event::RolloutEnded { service, .. } => {
                // Other instances are to take the places of those that failed.
                let rollout = world.application(event.application().unwrap()).unwrap().services
                    [service]
                    .active_rollout()
                    .unwrap();
                let is_rejected = !matches!(
                    event,
                    Event::RolloutTrafficMoved { .. }
                        | Event::RolloutEnded { outcome: Outcome::Completed, .. }
                );
                let moves = matches!(event, Event::RolloutTrafficMoved { .. });
                if rollout.is_in_place() && (moves || is_rejected) {
                    forgiven(service, self);
                }
            }
            Event::ApplicationApplied { definition, .. } => {
                let Some(state) = world.application(&definition.name) else { return };
                // Whoever applies again gives everything that failed another try.
                for name in state.services.keys() {
                    forgiven(name, self);
                }
            }
            _ => {}
        }
    }

    fn count(
        &mut self,
        service: &ServiceState,
        instance: &InstanceId,
        exit: &Exit,
        now: Timestamp,
    ) {
        let it = &service.instances[&instance.number];
        if it.purpose == Purpose::ReleaseCommand {
            return;
        }
        let side = service.side(it.group).unwrap();
        let asked = matches!(it.phase, Phase::Stopping { reason, .. } if !reason.is_failure());
        let told = matches!(it.phase, Phase::Stopping { .. });
        let is_job = side.restart_policy() != RestartPolicy::Always;
        let done = is_job && !told && exit.is_success();
        let old = it.release != side.group.release || instance.number < side.group.restart_before;
        let last_end = side.group.slots[&it.slot].last_end.as_ref().map(|it| it.number);
        let later = side.in_slot(it.slot).map(|(number, _)| number).chain(last_end);
        if later.max() != Some(instance.number) {
            return;
        }
        let key = (instance.service.clone(), it.group, it.slot);
        let count = self.failures.entry(key).or_default();
        *count = if asked || done || old || it.is_stable(now) { 0 } else { *count + 1 };
    }
}

/// An instance is created in a place that is wanted, in the release that is wanted, and when it is its turn.
fn assert_creation(state: &ApplicationState, event: &Event, now: Timestamp) {
    let Event::InstanceCreated { instance, group, purpose, slot, release, port, .. } = event else {
        panic!("{event:?}");
    };
    let service = &state.services[&instance.service];
    let side = service.side(*group).unwrap();
    assert!(!service.removed, "{instance} is of a service that is gone");
    let command = &service.releases[release].service.release_command;
    if *purpose == Purpose::ReleaseCommand {
        assert!(!command.is_empty() && !service.commands.contains_key(release), "{instance}");
        let is_it = |it: &Instance| it.purpose == Purpose::ReleaseCommand && it.release == *release;
        assert!(!service.instances.values().any(is_it), "{instance} is run twice at once");
        return;
    }
    assert!(*slot < side.wanted(), "{instance} is not wanted");
    assert_eq!(*release, side.group.release);
    let succeeded = service.commands.get(release).is_some_and(Exit::is_success);
    assert!(command.is_empty() || succeeded, "{instance} comes before its release command");
    assert_has_place(&side, *slot, *port, instance);
    assert_dependencies(state, &instance.service);
    assert_backed_off(&side, *slot, now);
}

fn assert_stop(state: &ApplicationState, instance: &InstanceId, reason: StopReason) {
    let service = &state.services[&instance.service];
    let it = &service.instances[&instance.number];
    let side = service.side(it.group).unwrap();
    assert!(!matches!(it.phase, Phase::Stopping { .. }), "{instance} is told twice");
    match reason {
        StopReason::ApplicationStopped | StopReason::ServiceRemoved => {
            assert_no_dependents(state, &instance.service);
        }
        StopReason::Superseded | StopReason::RestartAsked if it.is_serving() => {
            assert!(side.is_outdated(instance.number, it.release));
            let has_successor =
                |(number, it): (u32, &Instance)| instance.number < number && it.is_serving();
            if !side.in_slot(it.slot).any(has_successor) {
                assert!(!may_overlap(&side, it.slot), "{instance} has no successor");
                assert_others_serve(&side, it.slot);
            }
        }
        StopReason::ScaledDown => assert!(side.wanted() <= it.slot),
        StopReason::Retired => {
            assert!(it.group != service.main && side.wanted() == 0, "{instance} is wanted");
        }
        _ => {}
    }
}

fn assert_dependencies(state: &ApplicationState, service: &ServiceName) {
    for (dependency, condition) in &state.definition.services[service].depends_on {
        let it = &state.services[dependency];
        let main = it.main_side().unwrap();
        let some = |is: &dyn Fn(&Instance) -> bool| {
            it.replicas == 0
                || it.is_completed()
                || it.instances.values().any(is)
                || main.wanted_slots().any(|(_, slot)| main.is_slot_completed(slot))
        };
        let met = match condition {
            Condition::ServiceStarted => some(&|it| it.started_at.is_some()),
            Condition::ServiceHealthy => some(&|it| it.ready && it.phase == Phase::Running),
            Condition::ServiceCompletedSuccessfully => it.replicas == 0 || it.is_completed(),
        };
        assert!(met, "{service} is created before {dependency} is {condition:?}");
    }
}

/// A slot has place for one instance, or for one more where one is to be replaced: at one slot at a time, if
/// it serves.
fn assert_has_place(side: &Side<'_>, slot: u32, port: u16, new: &InstanceId) {
    if is_recreated(side) {
        let mut all = side.instances();
        assert!(!all.any(|(it, of)| side.is_outdated(it, of.release)), "{new} beside what is old");
    }
    let present: Vec<_> = side.in_slot(slot).collect();
    let state = &side.group.slots[&slot];
    assert!(port == state.port || Some(port) == state.spare_port, "{new} has a foreign port");
    let Some((number, it)) = present.first() else { return };
    assert!(may_overlap(side, slot), "two in slot {slot}: {new}");
    assert_eq!(present.len(), 1, "three in slot {slot}: {new}");
    assert_ne!(port, it.port, "{new} has the port of {number}");
    let further = side.release().unwrap().service.ports.clone();
    for (name, port) in state.ports_beside(port, &further) {
        assert!(it.ports.values().all(|it| *it != port), "{new} has the {name} port of {number}");
    }
    let makes_place = matches!(
        it.phase,
        Phase::Stopping { reason: StopReason::Superseded | StopReason::RestartAsked, .. }
    );
    assert!(makes_place || it.is_serving() && side.is_outdated(*number, it.release));
    if it.is_serving() && !at_once(side) {
        assert_others_serve(side, slot);
        let busy = |(other, _): &(u32, _)| 1 < side.in_slot(*other).count();
        assert!(!side.wanted_slots().any(|it| busy(&it)), "two slots at a time: {new}");
    }
}

/// Whether nothing old may be left when something new begins.
fn is_recreated(side: &Side<'_>) -> bool {
    let rollout = side.service.active_rollout().filter(|it| it.group == side.number);
    let strategy = match rollout.filter(|it| it.is_in_place()) {
        Some(rollout) => rollout.update.strategy,
        None => side.release().unwrap().service.update.strategy,
    };
    strategy == Strategy::Recreate
}

/// Whether the instances of a group are replaced all at once: as the rollout says that replaces them, or else
/// their release.
fn at_once(side: &Side<'_>) -> bool {
    let rollout = side.service.active_rollout().filter(|it| it.group == side.number);
    let strategy = match rollout.filter(|it| it.is_in_place()) {
        Some(rollout) => rollout.update.strategy,
        None => side.release().unwrap().service.update.strategy,
    };
    strategy.is_at_once()
}

fn may_overlap(side: &Side<'_>, slot: u32) -> bool {
    !is_recreated(side)
        && side.group.slots[&slot].spare_port.is_some()
        && side.restart_policy() == RestartPolicy::Always
        && side.release().unwrap().service.port.is_none()
}

fn assert_backed_off(side: &Side<'_>, number: u32, now: Timestamp) {
    let slot = &side.group.slots[&number];
    let failures = slot.failures;
    let Some(end) = slot.last_end.as_ref().filter(|_| 0 < failures) else { return };
    let restart = &side.release().unwrap().service.restart;
    let pause = match end.served {
        served if served < Duration::from_secs(1) => restart.pause(failures),
        served => restart.pause(failures).min(restart.backoff.max(served / 10)),
    };
    let end = end.at;
    assert!(
        end.after(pause) <= now,
        "slot {number}: {failures} failures, {end} and {pause:?}, {now}"
    );
}

fn assert_others_serve(side: &Side<'_>, slot: u32) {
    if at_once(side) {
        return;
    }
    for (other, it) in side.wanted_slots().filter(|(other, _)| *other != slot) {
        let serves = side.in_slot(other).any(|(_, it)| it.is_serving());
        assert!(serves || side.is_done(it), "slots {slot} and {other} are down together");
    }
}

/// A dependent is one whose running release and whose current release both depend on it: between
/// an old release and a new one there may be a circle.
fn assert_no_dependents(state: &ApplicationState, service: &ServiceName) {
    for (name, other) in &state.services {
        let depends = |release| {
            let release = &other.releases[release];
            release.service.depends_on.contains_key(service)
        };
        let live = other.instances.values().any(|it| depends(&it.release));
        assert!(!(live && depends(&other.current())), "{service} is stopped before {name}");
    }
}
