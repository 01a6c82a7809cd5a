//! The same instance for the same key, unless it has far more than its share of work.
//!
//! Rendezvous hashing: every instance draws a number from the key, the highest wins. One that goes takes
//! only its own keys along, and there is no ring to keep. Source: Thaler and Ravishankar, "Using
//! name-based mappings to increase hit rates" (1998). A hot key must not drown its instance: Mirrokni,
//! Thorup and Zadimoghaddam, "Consistent hashing with bounded loads" (2016).

use crate::endpoint::Endpoint;
use crate::number::{mix, unit};
use crate::request::PickReason;

/// How much above the average an instance may be loaded, in quarters of it: 5/4, the paper's and
/// `HAProxy`'s usual `hash-balance-factor` of 125.
const BOUND_QUARTERS: u64 = 5;

/// The instance of `key` among `slots`, or the next best if that one is above its bound.
pub(super) fn choose(
    slots: &[usize],
    endpoints: &[Endpoint],
    key: u64,
) -> Option<(usize, PickReason)> {
    let in_flight = slots.iter().filter_map(|it| endpoints.get(*it)).map(|it| it.in_flight);
    let total: u64 = in_flight.map(u64::from).sum();
    let bound = (BOUND_QUARTERS * (total + 1)).div_ceil(4 * slots.len().max(1) as u64);
    let (home, load) = best(slots, endpoints, key, |_| true)?;
    if load < bound {
        return Some((home, PickReason::Key));
    }
    let is_below = |it: &Endpoint| u64::from(it.in_flight) < bound;
    let (slot, _) = best(slots, endpoints, key, is_below).unwrap_or((home, load));
    Some((slot, PickReason::KeySpilled))
}

/// The highest score of those that may be chosen: its slot, and its requests in flight.
pub(super) fn best(
    slots: &[usize],
    endpoints: &[Endpoint],
    key: u64,
    may: impl Fn(&Endpoint) -> bool,
) -> Option<(usize, u64)> {
    let weights = weights(slots, endpoints);
    let found = slots.iter().filter_map(|slot| endpoints.get(*slot).map(|it| (*slot, it)));
    let free = found.filter(|(_, it)| may(it));
    let scored = free.map(|(slot, it)| (slot, it, score(key, it, weights)));
    let best = scored.reduce(|best, it| if best.2 < it.2 { it } else { best });
    best.map(|(slot, it, _)| (slot, u64::from(it.in_flight)))
}

/// The instance's number for this key, stretched by its weight.
///
/// The logarithm keeps the order of what it is taken of, and costs more than all the rest: it is taken
/// only where weights differ.
fn score(key: u64, endpoint: &Endpoint, weights: Weights) -> f64 {
    let drawn = unit(mix(key ^ endpoint.hash));
    match weights {
        Weights::Same => drawn,
        Weights::Different => libm::log(drawn) / f64::from(endpoint.spec.weight),
    }
}

/// Whether instances weigh the same.
#[derive(Clone, Copy, Debug)]
enum Weights {
    Same,
    Different,
}

fn weights(slots: &[usize], endpoints: &[Endpoint]) -> Weights {
    let mut weights = slots.iter().filter_map(|it| endpoints.get(*it)).map(|it| it.spec.weight);
    let first = weights.next();
    if weights.all(|it| Some(it) == first) { Weights::Same } else { Weights::Different }
}
