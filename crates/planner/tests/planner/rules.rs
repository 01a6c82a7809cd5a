//! What must hold for every decision, said without the planner's own code where that can be.

use std::collections::{BTreeMap, BTreeSet};

use model::instance::StopReason;
use model::rollout::Strategy;
use model::service::Condition;
use model::{InstanceId, ServiceName, Timestamp};
use world::service::STABLE_AFTER;
use world::{ApplicationState, Event, Phase, ServiceState, World};

/// Remembers what the world need not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    used: BTreeSet<InstanceId>,
    /// Unasked ends in a row that followed no good start, by service and slot, as counted here.
    failures: BTreeMap<(ServiceName, u32), u32>,
}

impl Rules {
    /// Looks at a decision before it is folded in.
    pub(crate) fn on_decision(&mut self, world: &World, event: &Event, now: Timestamp) {
        let state = world.application(event.application().unwrap()).unwrap();
        match event {
            Event::InstanceCreated { instance, slot, release, port, .. } => {
                let service = &state.services[&instance.service];
                assert!(self.used.insert(instance.clone()), "{instance} is used again");
                assert_has_place(service, *slot, *port, instance);
                assert!(*slot < service.replicas && !service.removed, "{instance} is not wanted");
                assert_eq!(*release, service.current);
                assert_dependencies(state, &instance.service);
                assert_backed_off(service, *slot, now);
            }
            Event::InstanceStopping { instance, reason, .. } => {
                let service = &state.services[&instance.service];
                let it = &service.instances[&instance.number];
                assert!(!matches!(it.phase, Phase::Stopping { .. }), "{instance} is told twice");
                match reason {
                    StopReason::ApplicationStopped | StopReason::ServiceRemoved => {
                        assert_no_dependents(state, &instance.service);
                    }
                    StopReason::Superseded | StopReason::RestartAsked if it.is_serving() => {
                        assert!(service.is_outdated(instance.number, it.release));
                        let has_successor = |(number, it): (u32, &world::Instance)| {
                            instance.number < number && it.is_serving()
                        };
                        if !service.in_slot(it.slot).any(has_successor) {
                            assert!(!may_overlap(service, it.slot), "{instance} has no successor");
                            assert_others_serve(service, it.slot);
                        }
                    }
                    StopReason::ScaledDown => assert!(service.replicas <= it.slot),
                    _ => {}
                }
            }
            Event::CrashLoopDeclared { service, failures, .. } => {
                let state = &state.services[service];
                let limit = state.current_release().unwrap().service.restart.crash_loop;
                assert_eq!(*failures, limit, "crash loop of {service}");
                let counted = state.wanted_slots().map(|(slot, _)| {
                    self.failures.get(&(service.clone(), slot)).copied().unwrap_or(0)
                });
                assert_eq!(counted.max(), Some(limit), "failures of {service} in a row");
            }
            Event::CrashLoopCleared { service, .. } => {
                let state = &state.services[service];
                for (slot, it) in state.wanted_slots().filter(|(_, it)| !state.is_done(it)) {
                    let (_, instance) = state.in_slot(slot).next_back().unwrap();
                    let since = now.since(instance.ready_at.unwrap());
                    assert!(instance.is_serving() && STABLE_AFTER <= since, "{service} {it:?}");
                }
                self.failures.retain(|(name, _), _| name != service);
            }
            Event::ApplicationStopped { .. } => assert_eq!(state.instances().count(), 0),
            other => panic!("the planner may not decide {other:?}"),
        }
    }

    /// Looks at anything else before it is folded in.
    pub(crate) fn on_fact(&mut self, world: &World, event: &Event, now: Timestamp) {
        let forgiven = |name: &ServiceName, rules: &mut Self| {
            rules.failures.retain(|(service, _), _| service != name);
        };
        match event {
            Event::InstanceExited { application, instance, exit } => {
                let service = world.service(application, &instance.service).unwrap();
                let it = &service.instances[&instance.number];
                let asked =
                    matches!(it.phase, Phase::Stopping { reason, .. } if !reason.is_failure());
                let told = matches!(it.phase, Phase::Stopping { .. });
                let is_job = service.restart_policy() != model::restart::RestartPolicy::Always;
                let done = is_job && !told && exit.is_success();
                let old = it.release != service.current || instance.number < service.restart_before;
                let count = self.failures.entry((instance.service.clone(), it.slot)).or_default();
                let last_end = service.slots[&it.slot].last_end.as_ref().map(|it| it.number);
                let later = service.in_slot(it.slot).map(|(number, _)| number).chain(last_end);
                if later.max() != Some(instance.number) {
                    return;
                }
                *count = if asked || done || old || it.is_stable(now) { 0 } else { *count + 1 };
            }
            Event::ReleaseMade { service, .. } | Event::RestartAsked { service, .. } => {
                forgiven(service, self);
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
}

fn assert_dependencies(state: &ApplicationState, service: &ServiceName) {
    for (dependency, condition) in &state.definition.services[service].depends_on {
        let it = &state.services[dependency];
        let some = |is: &dyn Fn(&world::Instance) -> bool| {
            it.replicas == 0
                || it.is_completed()
                || it.instances.values().any(is)
                || it.wanted_slots().any(|(_, slot)| it.is_slot_completed(slot))
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
fn assert_has_place(service: &ServiceState, slot: u32, port: u16, new: &InstanceId) {
    let present: Vec<_> = service.in_slot(slot).collect();
    let state = &service.slots[&slot];
    assert!(port == state.port || Some(port) == state.spare_port, "{new} has a foreign port");
    let Some((number, it)) = present.first() else { return };
    assert!(may_overlap(service, slot), "two in slot {slot}: {new}");
    assert_eq!(present.len(), 1, "three in slot {slot}: {new}");
    assert_ne!(port, it.port, "{new} has the port of {number}");
    let makes_place = matches!(
        it.phase,
        Phase::Stopping { reason: StopReason::Superseded | StopReason::RestartAsked, .. }
    );
    assert!(makes_place || it.is_serving() && service.is_outdated(*number, it.release));
    let at_once = service.current_release().unwrap().service.update.strategy == Strategy::Immediate;
    if it.is_serving() && !at_once {
        assert_others_serve(service, slot);
        let busy = |(other, _): &(u32, _)| 1 < service.in_slot(*other).count();
        assert!(!service.wanted_slots().any(|it| busy(&it)), "two slots at a time: {new}");
    }
}

fn may_overlap(service: &ServiceState, slot: u32) -> bool {
    service.slots[&slot].spare_port.is_some()
        && service.restart_policy() == model::restart::RestartPolicy::Always
        && service.current_release().unwrap().service.port.is_none()
}

fn assert_backed_off(service: &ServiceState, slot: u32, now: Timestamp) {
    let Slot { failures, end } = Slot::of(service, slot);
    let Some(end) = end.filter(|_| 0 < failures) else { return };
    let pause = service.current_release().unwrap().service.restart.pause(failures);
    assert!(
        end.after(pause) <= now,
        "slot {slot}: {failures} failures, {end} and {pause:?}, {now}"
    );
}

struct Slot {
    failures: u32,
    end: Option<Timestamp>,
}

impl Slot {
    fn of(service: &ServiceState, slot: u32) -> Self {
        let slot = &service.slots[&slot];
        Self { failures: slot.failures, end: slot.last_end.as_ref().map(|it| it.at) }
    }
}

fn assert_others_serve(service: &ServiceState, slot: u32) {
    if service.current_release().unwrap().service.update.strategy == Strategy::Immediate {
        return;
    }
    for (other, it) in service.wanted_slots().filter(|(other, _)| *other != slot) {
        let serves = service.in_slot(other).any(|(_, it)| it.is_serving());
        assert!(serves || service.is_done(it), "slots {slot} and {other} are down together");
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
        assert!(!(live && depends(&other.current)), "{service} is stopped before {name}");
    }
}
