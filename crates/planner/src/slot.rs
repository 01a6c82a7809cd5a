//! Who has a slot, who comes next, and on which port.
//!
//! A slot is for one instance. When that is to be replaced, its successor is created beside it, on the
//! slot's other port, and the first one ends when the successor serves: a successor that never does takes
//! nothing away.

use std::collections::BTreeMap;

use model::instance::StopReason;
use model::rollout::Strategy;
use world::{Instance, Phase, Side, Slot};

/// A slot that is wanted, and the instances that have it, by number.
pub(crate) struct Occupied<'a> {
    pub(crate) number: u32,
    pub(crate) slot: &'a Slot,
    pub(crate) instances: Vec<(u32, &'a Instance)>,
    /// Whether two can have it for a while.
    pub(crate) overlaps: bool,
    /// Whether it needs no instance any more.
    is_done: bool,
}

/// A slot that should get an instance.
pub(crate) struct Lacking<'a> {
    pub(crate) number: u32,
    pub(crate) slot: &'a Slot,
    pub(crate) port: u16,
}

/// The way the instances of a group are replaced.
pub(crate) fn strategy(side: &Side<'_>) -> Option<Strategy> {
    let rollout = side.service.active_rollout().filter(|it| it.group == side.number);
    let rolled_out = rollout.filter(|it| it.is_in_place()).map(|it| it.update.strategy);
    rolled_out.or_else(|| side.release().map(|it| it.service.update.strategy))
}

/// Whether somebody wants what serves in a group to stay as it is: a rollout that replaces its instances is
/// paused.
pub(crate) fn is_paused(side: &Side<'_>) -> bool {
    let rollout = side.service.active_rollout().filter(|it| it.group == side.number);
    rollout.is_some_and(|it| it.is_in_place() && it.paused_since.is_some())
}

/// The slots of a group that are wanted.
pub(crate) fn occupied<'a>(side: &Side<'a>) -> Vec<Occupied<'a>> {
    let mut instances: BTreeMap<u32, Vec<(u32, &Instance)>> = BTreeMap::new();
    for (number, instance) in side.instances() {
        instances.entry(instance.slot).or_default().push((number, instance));
    }
    let may_overlap = strategy(side) != Some(Strategy::Recreate)
        && side.release().is_some_and(|it| it.service.can_overlap());
    let slots = side.wanted_slots();
    slots
        .map(|(number, slot)| Occupied {
            number,
            slot,
            instances: instances.remove(&number).unwrap_or_default(),
            overlaps: may_overlap && slot.spare_port.is_some(),
            is_done: side.is_done(slot),
        })
        .collect()
}

/// The slots in which an instance should be created now. Successors are for one slot at a time, and only
/// while all others are at rest, unless the policy says all at once.
pub(crate) fn lacking<'a>(side: &Side<'a>) -> Vec<Lacking<'a>> {
    let strategy = strategy(side);
    let is_outdated = |(number, it): (u32, &Instance)| side.is_outdated(number, it.release);
    if strategy == Some(Strategy::Recreate) && side.instances().any(is_outdated) {
        return Vec::new();
    }
    let occupied = occupied(side);
    let unrest = occupied.iter().filter(|it| !it.rests()).count();
    let mut turn_is_free = true;
    let is_paused = is_paused(side);
    let mut lacking = Vec::new();
    for it in &occupied {
        let is_wanted = match it.tenancy(side) {
            Tenancy::Empty => !it.is_done,
            Tenancy::Leaving => it.overlaps,
            Tenancy::Outdated if it.overlaps && !is_paused => {
                let is_its_turn = turn_is_free && unrest == 0;
                turn_is_free = false;
                is_its_turn || strategy.is_some_and(Strategy::is_at_once)
            }
            Tenancy::Outdated | Tenancy::Taken => false,
        };
        if is_wanted && let Some(port) = it.free_port() {
            lacking.push(Lacking { number: it.number, slot: it.slot, port });
        }
    }
    lacking
}

/// What has a slot.
enum Tenancy {
    /// Nothing.
    Empty,
    /// Only what was told to make place for another.
    Leaving,
    /// One instance that serves, and should be replaced.
    Outdated,
    /// An instance that is wanted, or one that must end before anything else.
    Taken,
}

impl Occupied<'_> {
    /// Whether it has an instance that can take requests, or needs none.
    pub(crate) fn serves(&self) -> bool {
        if self.instances.is_empty() {
            return self.is_done;
        }
        self.instances.iter().any(|(_, it)| it.is_serving() && !it.liveness_failed)
    }

    /// Whether an instance after `number` serves.
    pub(crate) fn serves_after(&self, number: u32) -> bool {
        self.instances.iter().any(|(later, it)| number < *later && it.is_serving())
    }

    /// Whether it serves, and nothing is about to change.
    fn rests(&self) -> bool {
        self.instances.len() <= 1 && self.serves()
    }

    fn tenancy(&self, side: &Side<'_>) -> Tenancy {
        match self.instances.as_slice() {
            [] => Tenancy::Empty,
            all if all.iter().all(|(_, it)| makes_place(it)) => Tenancy::Leaving,
            [(number, it)] if it.is_serving() && side.is_outdated(*number, it.release) => {
                Tenancy::Outdated
            }
            _ => Tenancy::Taken,
        }
    }

    /// One of its ports that none of its instances has.
    fn free_port(&self) -> Option<u16> {
        let is_free = |port: &u16| self.instances.iter().all(|(_, it)| it.port != *port);
        let spare = self.slot.spare_port.filter(|_| self.overlaps);
        [Some(self.slot.port), spare].into_iter().flatten().find(is_free)
    }
}

/// Whether an instance was told to stop for nothing but its successor's sake.
const fn makes_place(instance: &Instance) -> bool {
    use StopReason::{RestartAsked, Superseded};
    matches!(instance.phase, Phase::Stopping { reason: Superseded | RestartAsked, .. })
}
