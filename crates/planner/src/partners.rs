//! Services that are rolled out as one: who waits for whom, and who falls with whom.
//!
//! A step is taken by callees before their callers, so that a caller's new release finds that of its callees;
//! the last step is completed by all at once, so that until then all can go back.

use std::collections::BTreeSet;

use model::units::Share;
use model::{ServiceName, Timestamp};
use world::rollout::{Outcome, Rollout};
use world::{ApplicationState, ServiceState};

use crate::place::Place;
use crate::rollout::watched_in;

/// The rollouts that were started with this one.
fn partners<'a>(
    place: &Place<'a>,
    rollout: &Rollout,
) -> impl Iterator<Item = (Place<'a>, &'a Rollout)> {
    let Place { application, state, name, .. } = *place;
    let (started_at, names) = (rollout.started_at, rollout.together.clone());
    names.into_iter().filter(move |it| it != name).filter_map(move |it| {
        let (name, service) = state.services.get_key_value(&it)?;
        let service: &ServiceState = service;
        let other = service.rollout.as_deref().filter(|it| it.started_at == started_at)?;
        Some((Place { application, state, name, service }, other))
    })
}

/// Why this rollout can no longer succeed: one of those it goes with did not, or was begun anew.
pub(crate) fn lost(place: &Place<'_>, rollout: &Rollout) -> Option<String> {
    let how = |it: &Rollout| match &it.outcome {
        _ if it.started_at != rollout.started_at => Some("replaced"),
        Some((Outcome::Completed, _)) | None => None,
        Some((outcome, _)) => Some(outcome.word()),
    };
    rollout.together.iter().find_map(|name| {
        let other = place.state.services.get(name)?.rollout.as_deref()?;
        Some(format!("{name}@{}, which it goes with, was {}", other.to, how(other)?))
    })
}

/// Whether every callee among them has come as far as `step` of this one. Those that call each other in a circle
/// do not wait for each other: none could begin.
pub(crate) fn have_come_to(place: &Place<'_>, rollout: &Rollout, step: u32) -> bool {
    let called = callees(place.state, place.name, &rollout.together);
    // Every service is left out of its own list of those that go with it.
    let calls_back = |it: &Rollout, name: &ServiceName| {
        callees(place.state, name, &it.together).contains(place.name)
    };
    let share = rollout.share(step);
    partners(place, rollout)
        .filter(|(partner, other)| {
            called.contains(partner.name) && !calls_back(other, partner.name)
        })
        .all(|(_, other)| share <= other.weight() || (share == Share::ALL && is_at_last(other)))
}

/// Whether a rollout is about to take, or takes, all traffic.
fn is_at_last(rollout: &Rollout) -> bool {
    rollout.weight() == Share::ALL
}

/// Whether all of them have all the traffic, and have been watched.
pub(crate) fn are_watched(place: &Place<'_>, rollout: &Rollout, now: Timestamp) -> bool {
    partners(place, rollout).all(|(partner, other)| {
        !other.is_active() || watched_in(&partner, other, now).is_some_and(|it| it.is_zero())
    })
}

/// Those of `among` that `service` calls, directly or through others of them.
fn callees(
    state: &ApplicationState,
    service: &ServiceName,
    among: &[ServiceName],
) -> BTreeSet<ServiceName> {
    let mut found = BTreeSet::new();
    let mut queue = vec![service.clone()];
    while let Some(caller) = queue.pop() {
        let Some(definition) = state.definition.services.get(&caller) else { continue };
        for callee in definition.calls.keys().filter(|it| among.contains(it)) {
            if callee != service && found.insert(callee.clone()) {
                queue.push(callee.clone());
            }
        }
    }
    found
}
