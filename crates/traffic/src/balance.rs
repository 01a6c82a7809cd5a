//! Which of several instances takes a request.
//!
//! Two drawn at random, the less loaded taken: Mitzenmacher, "The power of two choices in randomized
//! load balancing" (1996). Many callers who each look for the single best instance all find the same
//! one; two choices need no agreement and are nearly as good.

mod hash;

use core::cmp::Ordering;
use core::time::Duration;

use model::edge::BalancePolicy;
use model::{Instant, Rng};

use crate::endpoint::Endpoint;
use crate::number::whole;
use crate::request::{Call, PickReason};

/// Draws by weight before the last one is taken as it is: with weights at a tenth of the highest on
/// average (slow start), all of them miss once in 30.
const DRAWS_MAX: u32 = 32;

/// How instances may be drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weighting {
    /// All weigh the same.
    Even,
    /// They do not; the highest weight of all.
    Uneven(f64),
}

/// What is chosen from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates<'a> {
    pub(crate) slots: &'a [usize],
    pub(crate) weighting: Weighting,
    pub(crate) slow_start: Duration,
    pub(crate) policy: BalancePolicy,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn(usize);

impl Turn {
    /// A random one: callers that start together must not begin at the same instance.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self(usize::try_from(rng.next_u64() >> 33).unwrap_or(0))
    }

    /// The next place of `length`.
    const fn next(&mut self, length: usize) -> usize {
        self.0 = self.0.wrapping_add(1);
        if length == 0 { 0 } else { self.0 % length }
    }
}

/// The moment of a choice, for whom it is made, and chance.
#[derive(Debug)]
pub(crate) struct Draw<'a> {
    pub(crate) now: Instant,
    pub(crate) call: &'a Call,
    pub(crate) rng: &'a mut Rng,
}

/// Chooses one of `candidates` by their policy: its slot, and why.
pub(crate) fn choose(
    candidates: Candidates<'_>,
    endpoints: &mut [Endpoint],
    turn: &mut Turn,
    draw: Draw<'_>,
) -> Option<(usize, PickReason)> {
    let Draw { now, call, rng } = draw;
    if let [only] = candidates.slots {
        return Some((*only, PickReason::Only));
    }
    if 0 < call.attempts
        && let Some(slot) = untried(candidates, endpoints, now, call, rng)
    {
        return Some((slot, PickReason::Untried));
    }
    match (candidates.policy, call.key) {
        (BalancePolicy::RoundRobin, _) => {
            let slot = match candidates.weighting {
                Weighting::Even => candidates.slots.get(turn.next(candidates.slots.len())).copied(),
                Weighting::Uneven(_) => smooth_round(candidates, endpoints, now),
            };
            slot.map(|it| (it, PickReason::Turn))
        }
        (BalancePolicy::Hash, Some(key)) => hash::choose(candidates.slots, endpoints, key),
        (BalancePolicy::Hash | BalancePolicy::PeakEwma | BalancePolicy::LeastLoaded, _) => {
            two_choices(candidates, endpoints, now, rng).map(|it| (it, PickReason::LowerLoad))
        }
    }
}

fn two_choices(
    candidates: Candidates<'_>,
    endpoints: &[Endpoint],
    now: Instant,
    rng: &mut Rng,
) -> Option<usize> {
    let (first, second) = match candidates.weighting {
        Weighting::Even => two_of(candidates.slots, rng)?,
        Weighting::Uneven(highest) => {
            let first = draw(candidates, highest, endpoints, now, rng)?;
            (first, draw(candidates, highest, endpoints, now, rng)?)
        }
    };
    less_loaded(candidates.policy, endpoints, now, (first, second))
}

/// Two different ones of two or more, each pair as likely as any other.
fn two_of(slots: &[usize], rng: &mut Rng) -> Option<(usize, usize)> {
    let length = slots.len() as u64;
    let first = rng.below(length);
    let second = rng.below(length.saturating_sub(1));
    let second = if first <= second { second + 1 } else { second };
    let at = |place: u64| slots.get(usize::try_from(place).ok()?).copied();
    Some((at(first)?, at(second)?))
}

/// One drawn by weight: drawn evenly, and kept as often as its weight is to the highest.
fn draw(
    candidates: Candidates<'_>,
    highest: f64,
    endpoints: &[Endpoint],
    now: Instant,
    rng: &mut Rng,
) -> Option<usize> {
    let mut slot = None;
    for _ in 0..DRAWS_MAX {
        let place = usize::try_from(rng.below(candidates.slots.len() as u64)).ok()?;
        let drawn = *candidates.slots.get(place)?;
        slot = Some(drawn);
        let weight = endpoints.get(drawn)?.weight(now, candidates.slow_start);
        if highest * rng.unit() < weight {
            break;
        }
    }
    slot
}

/// The less loaded of two; the first if they are alike.
fn less_loaded(
    policy: BalancePolicy,
    endpoints: &[Endpoint],
    now: Instant,
    (first, second): (usize, usize),
) -> Option<usize> {
    let (one, other) = (endpoints.get(first)?, endpoints.get(second)?);
    let order = if policy == BalancePolicy::PeakEwma {
        let load = |it: &Endpoint| it.load(now) / f64::from(it.spec.weight);
        load(one).total_cmp(&load(other))
    } else {
        // In flight by weight, without a division.
        let product =
            |it: &Endpoint, by: &Endpoint| u64::from(it.in_flight) * u64::from(by.spec.weight);
        product(one, other).cmp(&product(other, one))
    };
    Some(if order == Ordering::Greater { second } else { first })
}

/// nginx's smooth weighted round robin (Igor Sysoev, nginx commit 52327e0627f4): everybody is owed its
/// weight each round, who is owed most is taken and pays for the round. Heavy ones come often and evenly
/// instead of in bursts.
fn smooth_round(
    candidates: Candidates<'_>,
    endpoints: &mut [Endpoint],
    now: Instant,
) -> Option<usize> {
    let mut round = 0.0;
    let mut best: Option<(usize, f64)> = None;
    for slot in candidates.slots {
        let endpoint = endpoints.get_mut(*slot)?;
        let weight = endpoint.weight(now, candidates.slow_start);
        round += weight;
        endpoint.owed += weight;
        if best.is_none_or(|(_, owed)| owed < endpoint.owed) {
            best = Some((*slot, endpoint.owed));
        }
    }
    let (slot, _) = best?;
    endpoints.get_mut(slot)?.owed -= round;
    Some(slot)
}

/// One that the call has not tried: for a hashed key the next best, else the less loaded of two.
fn untried(
    candidates: Candidates<'_>,
    endpoints: &[Endpoint],
    now: Instant,
    call: &Call,
    rng: &mut Rng,
) -> Option<usize> {
    if let (BalancePolicy::Hash, Some(key)) = (candidates.policy, call.key) {
        let may = |it: &Endpoint| !call.has_tried(it.spec.id);
        return hash::best(candidates.slots, endpoints, key, may).map(|it| it.0);
    }
    let is_untried =
        |slot: usize| endpoints.get(slot).is_some_and(|it| !call.has_tried(it.spec.id));
    let count = candidates.slots.iter().filter(|it| is_untried(**it)).count();
    let left = || candidates.slots.iter().copied().filter(|it| is_untried(*it));
    let at = |drawn: u64| left().nth(usize::try_from(drawn).ok()?);
    let first = rng.below(count as u64);
    let second = rng.below((count as u64).saturating_sub(1));
    let second = if first <= second && 1 < count { second + 1 } else { second };
    less_loaded(candidates.policy, endpoints, now, (at(first)?, at(second)?))
}

/// The highest weight of those in `slots`, if they do not all weigh the same.
pub(crate) fn weighting(
    slots: &[usize],
    endpoints: &[Endpoint],
    now: Instant,
    slow_start: Duration,
) -> Weighting {
    let mut weights =
        slots.iter().filter_map(|it| endpoints.get(*it)).map(|it| it.weight(now, slow_start));
    let first = weights.next().unwrap_or(1.0);
    let (mut lowest, mut highest) = (first, first);
    for weight in weights {
        (lowest, highest) = (lowest.min(weight), highest.max(weight));
    }
    let is_even = whole(lowest * 1e6) == whole(highest * 1e6);
    if is_even { Weighting::Even } else { Weighting::Uneven(highest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::{Drive, at, instance};
    use crate::{Ask, EndpointSpec, Outcome};
    use alloc::vec::Vec;
    use model::edge::{Balance, Resilience};
    use proptest::prelude::*;

    fn resilience(policy: BalancePolicy) -> Resilience {
        Resilience { balance: Balance { policy, ..Balance::default() }, ..Resilience::default() }
    }

    fn keyed(key: u64) -> Ask {
        Ask { key: Some(key), idempotent: true, ..Ask::default() }
    }

    #[test]
    fn equal_instances_take_turns() {
        let mut drive = Drive::new(&resilience(BalancePolicy::RoundRobin), 3);
        let spread = drive.spread(&Ask::default(), 6);
        let first = spread[0];
        let expected: Vec<u32> = (0..6).map(|it| (first + it) % 3).collect();
        assert_eq!(spread, expected);
    }

    #[test]
    fn weighted_turns_are_those_of_nginx() {
        // The example of nginx' commit: weights 5, 1, 1 give a, a, b, a, c, a, a.
        let weights = [5, 1, 1];
        let specs = (0..).zip(weights).map(|(id, weight)| EndpointSpec { weight, ..instance(id) });
        let specs: Vec<_> = specs.collect();
        let mut drive = Drive::with(&resilience(BalancePolicy::RoundRobin), &specs);
        let spread = drive.spread(&Ask::default(), 14);
        assert_eq!(spread, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn of_two_the_one_with_fewer_in_flight() {
        let mut drive = Drive::new(&resilience(BalancePolicy::LeastLoaded), 2);
        let mut open = Vec::new();
        for count in 0..10 {
            let mut call = drive.begin(&Ask::default());
            let pick = drive.pick(&mut call);
            open.push((call, pick));
            let loads: Vec<u32> = drive.edge.endpoints().map(|it| it.in_flight).collect();
            assert_eq!(loads[0].abs_diff(loads[1]), 1 - count % 2);
        }
    }

    #[test]
    fn a_slow_instance_gets_little() {
        let mut drive = Drive::new(&resilience(BalancePolicy::PeakEwma), 10);
        let mut counts = [0; 10];
        for _ in 0..1_000 {
            let mut call = drive.begin(&Ask::default());
            let pick = drive.pick(&mut call);
            let id = pick.endpoint.0;
            counts[id as usize] += 1;
            drive.pass(if id == 3 { 100 } else { 10 });
            drive.end(&mut call, pick, Outcome::Ok);
            drive.edge.finish(drive.now, call, Outcome::Ok);
        }
        // It is asked once, and again only when what is known has decayed to a tenth (23 s).
        assert_eq!(counts[3], 1, "{counts:?}");
    }

    /// Issue 12: one instance was slow seconds ago, and the other stops answering. Its requests are in flight, and say so.
    #[test]
    fn issue_12_an_instance_that_falls_silent_is_left_alone() {
        let mut drive = Drive::new(&resilience(BalancePolicy::PeakEwma), 2);
        let mut slow = None;
        let mut unanswered = 0;
        for millis in 0..3_000 {
            let mut call = drive.begin(&Ask::default());
            let pick = drive.pick(&mut call);
            let id = pick.endpoint;
            if slow.is_none() {
                // The first is asked once, and takes a second.
                drive.pass(1_000);
                slow = Some(id);
            } else if slow != Some(id) && millis >= 100 {
                unanswered += 1;
                drive.pass(1);
                continue;
            }
            drive.pass(1);
            drive.end(&mut call, pick, Outcome::Ok);
            drive.edge.finish(drive.now, call, Outcome::Ok);
        }
        // A millisecond each: 30 x 30 is about the second that the other took.
        assert!((20..50).contains(&unanswered), "{unanswered}");
    }

    #[test]
    fn weights_are_kept_when_nobody_is_loaded() {
        let specs = [4, 1, 1].into_iter().zip(0..);
        let specs: Vec<_> =
            specs.map(|(weight, id)| EndpointSpec { weight, ..instance(id) }).collect();
        let mut drive = Drive::with(&resilience(BalancePolicy::LeastLoaded), &specs);
        let share = drive.share(20_000, |it| it == 0);
        // Five standard errors around two thirds.
        assert!((share - 2.0 / 3.0).abs() < 0.017, "{share}");
    }

    #[test]
    fn a_new_instance_begins_with_a_tenth() {
        let balance = Balance {
            policy: BalancePolicy::LeastLoaded,
            slow_start: Duration::from_secs(10),
            key: None,
        };
        let policy = Resilience { balance, ..Resilience::default() };
        let new = EndpointSpec { ready_at: at(0), ..instance(1) };
        let mut drive = Drive::with(&policy, &[instance(0), new]);
        let mut check = |expected: f64| {
            let share = drive.share(20_000, |it| it == 1);
            assert!((share - expected).abs() < 0.018, "{share} is not {expected}");
            drive.pass(5_000);
        };
        check(0.1 / 1.1);
        check(0.55 / 1.55);
        check(0.5);
    }

    #[test]
    fn a_key_keeps_its_instance_until_that_has_too_much() {
        let mut drive = Drive::new(&resilience(BalancePolicy::Hash), 4);
        let (home, reason) = drive.request(&keyed(5), Outcome::Ok);
        assert_eq!(reason, PickReason::Key);
        assert!(drive.spread(&keyed(5), 50).iter().all(|it| *it == home));
        let mut open = Vec::new();
        for _ in 0..40 {
            let mut call = drive.begin(&keyed(5));
            let pick = drive.pick(&mut call);
            open.push((call, pick));
        }
        // 5/4 of the average of forty requests on four instances, rounded up.
        let most = drive.edge.endpoints().map(|it| it.in_flight).max().unwrap();
        assert!((12..=13).contains(&most), "{most}");
        assert_eq!(open.last().unwrap().1.reason, PickReason::KeySpilled);
    }

    #[test]
    fn a_retry_goes_where_it_has_not_been() {
        for policy in [BalancePolicy::PeakEwma, BalancePolicy::RoundRobin, BalancePolicy::Hash] {
            let mut drive = Drive::new(&resilience(policy), 3);
            for key in 0..100 {
                let mut call = drive.begin(&keyed(key));
                let mut seen = Vec::new();
                for _ in 0..3 {
                    let pick = drive.pick(&mut call);
                    seen.push(pick.endpoint);
                    drive.end(&mut call, pick, Outcome::Cancelled);
                }
                // All were tried: the fourth goes anywhere.
                let pick = drive.pick(&mut call);
                drive.end(&mut call, pick, Outcome::Cancelled);
                seen.sort_unstable();
                seen.dedup();
                assert_eq!(seen.len(), 3, "{policy:?}");
                drive.edge.finish(drive.now, call, Outcome::Cancelled);
            }
        }
    }

    proptest! {
        #[test]
        fn without_an_instance_only_its_keys_move(count in 2_u32..20, gone: prop::sample::Index, weight in 1_u32..4) {
            let gone = u32::try_from(gone.index(count as usize)).unwrap();
            let spec = |id| EndpointSpec { weight: if id == 0 { weight } else { 1 }, ..instance(id) };
            let all: Vec<_> = (0..count).map(spec).collect();
            let left: Vec<_> = all.iter().copied().filter(|it| it.id.0 != gone).collect();
            let policy = resilience(BalancePolicy::Hash);
            let (mut before, mut after) = (Drive::with(&policy, &all), Drive::with(&policy, &left));
            for key in 0..100 {
                let (home, _) = before.request(&keyed(key), Outcome::Ok);
                let (next, _) = after.request(&keyed(key), Outcome::Ok);
                prop_assert!(home == gone || home == next);
            }
        }
    }
}
