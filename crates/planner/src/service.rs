//! What to do about one service of an application that should run.

use std::time::Duration;

use model::Timestamp;
use model::health::Check;
use model::instance::StopReason;
use model::rollout::Strategy;
use world::service::STABLE_AFTER;
use world::{Event, Instance, Phase, Purpose, ServiceState, Side};

use crate::command::Command;
use crate::place::Place;
use crate::slot::Occupied;
use crate::{Plan, command, slot, start};

/// Which of its instances should not be there.
pub(crate) fn stop(place: &Place<'_>, now: Timestamp, plan: &mut Plan) {
    for side in place.service.sides() {
        stop_unwanted(place, &side, plan);
        stop_failing(place, &side, now, plan);
        replace_outdated(place, &side, plan);
    }
}

/// Which instances it lacks, and whether it will ever have them.
pub(crate) fn start(place: &Place<'_>, now: Timestamp, plan: &mut Plan) {
    if place.service.removed {
        return;
    }
    let mut number = place.service.next_instance;
    for side in place.service.sides() {
        fill_slots(place, &side, (now, &mut number), plan);
    }
    if let Some(main) = place.service.main_side() {
        judge_crash_loop(place, &main, now, plan);
    }
}

/// Instances beyond the number wanted, or of a service that is gone. What others still depend on goes
/// after them.
fn stop_unwanted(place: &Place<'_>, side: &Side<'_>, plan: &mut Plan) {
    let (service, wanted) = (place.service, side.wanted());
    let reason = match () {
        () if service.removed => StopReason::ServiceRemoved,
        () if wanted == 0 && side.number != service.main => StopReason::Retired,
        () => StopReason::ScaledDown,
    };
    if service.removed && place.state.has_live_dependents(place.name) {
        return;
    }
    let of_group = service.instances.iter().filter(|(_, it)| it.group == side.number);
    for (number, instance) in of_group {
        if wanted <= instance.slot && !is_stopping(instance) {
            place.stop(*number, reason, plan);
        }
    }
}

/// Instances that failed their liveness check, or were not ready in time.
fn stop_failing(place: &Place<'_>, side: &Side<'_>, now: Timestamp, plan: &mut Plan) {
    let wanted = side.wanted();
    for (number, instance) in side.instances() {
        if instance.phase != Phase::Running || wanted <= instance.slot {
            continue;
        }
        if instance.liveness_failed {
            place.stop(number, StopReason::LivenessFailed, plan);
        } else if let Some(left) = time_to_be_ready(place.service, instance, now) {
            if left.is_zero() {
                place.stop(number, StopReason::NeverReady, plan);
            } else {
                plan.wake_in(left);
            }
        }
    }
}

/// What is left at `now` of the time an instance has to become ready for the first time: its start
/// period, and then as many tries as make a verdict.
fn time_to_be_ready(
    service: &ServiceState,
    instance: &Instance,
    now: Timestamp,
) -> Option<Duration> {
    let started_at = instance.started_at.filter(|_| instance.ready_at.is_none())?;
    let release = service.releases.get(&instance.release)?;
    let check: &Check = release.service.health.readiness.as_ref()?;
    let allowed = check.start_period.saturating_add(check.interval.saturating_mul(check.retries));
    Some(started_at.remaining(allowed, now))
}

/// Instances of an older release, or from before a restart that was asked for. One that does not serve is
/// stopped at once; one that serves, when its successor does, or, where both cannot run at a time, when
/// its turn comes. None is given up before its successor could be started.
fn replace_outdated(place: &Place<'_>, side: &Side<'_>, plan: &mut Plan) {
    let successor_can_start =
        place.state.waiting_for(place.name).is_empty() && !slot::is_paused(side);
    let at_once = slot::strategy(side).is_some_and(Strategy::is_at_once);
    let occupied = slot::occupied(side);
    let mut all_serve = occupied.iter().all(Occupied::serves);
    for it in &occupied {
        for (number, instance) in &it.instances {
            let Some(reason) = outdated(side, *number, instance) else { continue };
            if is_stopping(instance) || instance.liveness_failed {
                continue;
            }
            if !instance.is_serving() || it.serves_after(*number) {
                place.stop(*number, reason, plan);
            } else if !it.overlaps && successor_can_start && (at_once || all_serve) {
                all_serve = false;
                place.stop(*number, reason, plan);
            }
        }
    }
}

/// Why an instance is not what is wanted any more, if it is not.
fn outdated(side: &Side<'_>, number: u32, instance: &Instance) -> Option<StopReason> {
    if instance.release != side.group.release {
        return Some(StopReason::Superseded);
    }
    side.is_outdated(number, instance.release).then_some(StopReason::RestartAsked)
}

/// New instances for slots that have none, and for those whose instance is to be replaced, as soon as
/// what they depend on is there and the pause after a failure is over.
fn fill_slots(
    place: &Place<'_>,
    side: &Side<'_>,
    (now, number): (Timestamp, &mut u32),
    plan: &mut Plan,
) {
    let lacking = slot::lacking(side);
    if lacking.is_empty() || !place.state.waiting_for(place.name).is_empty() {
        return;
    }
    match command::of(place.service, side.group.release) {
        Command::None | Command::Succeeded => {}
        Command::Running | Command::Failed => return,
        Command::Due => {
            let is_asked_for = |it: &Event| {
                matches!(it, Event::InstanceCreated { purpose: Purpose::ReleaseCommand, .. })
                    && it.service() == Some(place.name)
                    && it.application() == Some(place.application)
            };
            if !plan.record.iter().any(is_asked_for) {
                plan.record.extend(command::run(place, side, (*number, side.group.release)));
                *number += 1;
            }
            return;
        }
    }
    for lack in lacking {
        let pause = start::backoff(side, lack.slot, now);
        if !pause.is_zero() {
            plan.wake_in(pause);
            continue;
        }
        plan.record.push(Event::InstanceCreated {
            application: place.application.clone(),
            instance: place.id(*number),
            group: side.number,
            purpose: Purpose::Serve,
            slot: lack.number,
            release: side.group.release,
            port: lack.port,
        });
        *number += 1;
    }
}

/// Declares a crash loop after enough failures in a row in one slot, and clears it when every instance
/// wanted has been ready for long enough. Slots that need none any more do not count.
fn judge_crash_loop(place: &Place<'_>, side: &Side<'_>, now: Timestamp, plan: &mut Plan) {
    let Some(release) = side.release() else { return };
    let application = place.application.clone();
    let wanted = || side.wanted_slots().filter(|(_, slot)| !side.is_done(slot));
    if side.group.crash_loop_since.is_none() {
        let failures = wanted().map(|(_, slot)| slot.failures).max().unwrap_or(0);
        if release.service.restart.crash_loop.max(1) <= failures {
            let service = place.name.clone();
            plan.record.push(Event::CrashLoopDeclared { application, service, failures });
        }
        return;
    }
    let stable_in = |number| {
        // What is to be replaced says nothing about how its successors start.
        let is_wanted =
            |(id, it): &(u32, &Instance)| it.is_serving() && !side.is_outdated(*id, it.release);
        let (_, instance) = side.in_slot(number).find(is_wanted)?;
        Some(instance.ready_at?.remaining(STABLE_AFTER, now))
    };
    let waits: Option<Vec<Duration>> = wanted().map(|(number, _)| stable_in(number)).collect();
    match waits.map(|it| it.into_iter().max().unwrap_or_default()) {
        Some(Duration::ZERO) => {
            let service = place.name.clone();
            plan.record.push(Event::CrashLoopCleared { application, service });
        }
        Some(wait) => plan.wake_in(wait),
        None => {}
    }
}

const fn is_stopping(instance: &Instance) -> bool {
    matches!(instance.phase, Phase::Stopping { .. })
}
