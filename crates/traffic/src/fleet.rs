//! The instances of an edge, by release and zone: which can be used now, and how many may be ejected.
//!
//! Lists are made anew only when something changes (instances come and go, a breaker opens or closes, a
//! slow start ends), so that a pick looks at nothing but the list it draws from.

mod group;

use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use model::edge::{Balance, CircuitBreaker};
use model::{Instant, ReleaseNumber, Rng};

use crate::balance::{self, Draw};
use crate::breaker::Breaker;
use crate::endpoint::{Endpoint, EndpointId, EndpointSpec, EndpointState, Leaving};
use crate::number::share_of;
use crate::outcome::{Outcome, TripReason};
use crate::release::{self, Portion, Split};
use crate::request::{Call, Pick, PickReason};
use group::{Group, Usable};

/// How often instances are compared for slowness: a median over all of them is too dear for each answer,
/// and latency over ten seconds does not change faster.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// Instances there must be to compare: of two nobody can say which one is the odd one.
const COMPARE_MIN: usize = 3;

/// How often lists follow weights that grow: finer than anybody can measure shares.
const SLOW_START_STEPS: u32 = 32;

/// The place of the group of all instances.
const ALL: usize = 0;

/// All instances of an edge.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    endpoints: Vec<Endpoint>,
    /// Gone, with attempts still in flight.
    leaving: Vec<Endpoint>,
    /// All instances first, then each release's.
    groups: Vec<Group>,
    portions: Vec<Portion>,
    is_split: bool,
    zone: Option<u16>,
    balance: Balance,
    breaker: CircuitBreaker,
    ejected: usize,
    /// When a list changes without anything happening.
    stale_at: Instant,
    compare_at: Instant,
    /// Picks made, which is the number of the last.
    picks: u64,
}

impl Fleet {
    pub(crate) fn new(balance: Balance, breaker: CircuitBreaker) -> Self {
        Self {
            endpoints: Vec::new(),
            leaving: Vec::new(),
            groups: Vec::new(),
            portions: Vec::new(),
            is_split: false,
            zone: None,
            balance,
            breaker,
            ejected: 0,
            stale_at: Instant::from_nanos(u64::MAX),
            compare_at: Instant::ZERO,
            picks: 0,
        }
    }

    /// The caller's own zone from now on.
    pub(crate) fn set_zone(&mut self, zone: u16) {
        self.zone = Some(zone);
        self.stale_at = Instant::ZERO;
    }

    /// Another policy from now on; breakers that are open stay so.
    pub(crate) fn set_policy(&mut self, balance: Balance, breaker: CircuitBreaker) {
        (self.balance, self.breaker) = (balance, breaker);
        self.stale_at = Instant::ZERO;
    }

    /// Whether there is no instance at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// How many are left alone.
    pub(crate) const fn ejected(&self) -> usize {
        self.ejected
    }

    /// Whether an instance of a release can be used, or is due to be tried again.
    pub(crate) fn takes(&self, release: ReleaseNumber) -> bool {
        let can = |it: &Endpoint| it.breaker.ejected().is_none() || it.breaker.is_due();
        self.endpoints.iter().any(|it| it.spec.release == release && can(it))
    }

    /// How each instance is, those that leave last.
    pub(crate) fn states(&self) -> impl Iterator<Item = EndpointState> {
        let staying = self.endpoints.iter().map(|it| it.state(Leaving::No));
        staying.chain(self.leaving.iter().map(|it| it.state(Leaving::Yes)))
    }

    /// These are the instances from now on. What is known of those that stay is kept, and so it is of
    /// one that comes back before its last attempt is over.
    pub(crate) fn set_endpoints(
        &mut self,
        specs: &[EndpointSpec],
        split: &Split,
        (now, rng): (Instant, &mut Rng),
    ) {
        let mut known = mem::take(&mut self.endpoints);
        known.append(&mut self.leaving);
        known.sort_unstable_by_key(|it| it.spec.id);
        let mut specs: Vec<EndpointSpec> = specs.to_vec();
        specs.sort_by_key(|it| it.id);
        specs.dedup_by_key(|it| it.id);
        let mut known = known.into_iter().peekable();
        for spec in specs {
            while let Some(gone) = known.next_if(|it| it.spec.id < spec.id) {
                self.leave(gone, now);
            }
            let mut endpoint = known
                .next_if(|it| it.spec.id == spec.id)
                .unwrap_or_else(|| Endpoint::new(spec, now));
            endpoint.spec = EndpointSpec { weight: spec.weight.max(1), ..spec };
            self.endpoints.push(endpoint);
        }
        for gone in known {
            self.leave(gone, now);
        }
        self.keep_cap(now);
        self.regroup(split, rng);
        self.refresh(now);
    }

    /// What is in flight is remembered until it is over; a breaker is not, since nobody would tell it
    /// how its probe ended.
    fn leave(&mut self, mut endpoint: Endpoint, now: Instant) {
        if 0 < endpoint.in_flight {
            endpoint.breaker = Breaker::new(now);
            self.leaving.push(endpoint);
        }
    }

    /// With fewer instances fewer may be ejected: those that were to come back first come back now.
    fn keep_cap(&mut self, now: Instant) {
        let mut ejected: Vec<(Option<Instant>, usize)> = (self.endpoints.iter().enumerate())
            .filter(|(_, it)| it.breaker.ejected().is_some())
            .map(|(slot, it)| (it.breaker.opens_until(), slot))
            .collect();
        ejected.sort_unstable();
        let surplus = ejected.len().saturating_sub(self.cap());
        for (_, slot) in ejected.iter().take(surplus) {
            if let Some(endpoint) = self.endpoints.get_mut(*slot) {
                endpoint.breaker.close(now);
            }
        }
        self.ejected = ejected.len() - surplus;
    }

    /// How many may be ejected at once: the policy's share, and one always of two or more.
    fn cap(&self) -> usize {
        let least = usize::from(2 <= self.endpoints.len());
        share_of(self.breaker.max_ejected, self.endpoints.len()).max(least)
    }

    fn regroup(&mut self, split: &Split, rng: &mut Rng) {
        let before = mem::take(&mut self.groups);
        let mut releases: Vec<_> = self.endpoints.iter().map(|it| it.spec.release).collect();
        releases.sort_unstable();
        releases.dedup();
        let groups = core::iter::once(None).chain(releases.into_iter().map(Some));
        for release in groups {
            let turn = before.iter().find(|it| it.release == release).map(|it| it.turn);
            let turn = turn.unwrap_or_else(|| balance::Turn::new(rng));
            self.groups.push(Group::new(release, turn, &self.endpoints));
        }
        self.is_split = !split.shares.is_empty();
        self.portions.clear();
        for (group, it) in self.groups.iter().enumerate() {
            let share = split.shares.iter().find(|(release, _)| it.release == Some(*release));
            if let (Some(release), Some((_, share))) = (it.release, share)
                && 0.0 < share.as_fraction()
            {
                self.portions.push(Portion { release, group, share: share.as_fraction() });
            }
        }
    }

    /// Makes the lists anew.
    fn refresh(&mut self, now: Instant) {
        if self.cap() < self.ejected {
            self.keep_cap(now);
        }
        let never = Instant::from_nanos(u64::MAX);
        self.stale_at = never;
        // Weights of new instances grow all the time; lists follow in steps of a few percent.
        let next_step = now.after(self.balance.slow_start / SLOW_START_STEPS);
        for endpoint in &mut self.endpoints {
            endpoint.breaker.pass(now);
            let warm_at = endpoint.spec.ready_at.after(self.balance.slow_start);
            let grows_at = if now < warm_at { warm_at.min(next_step) } else { never };
            let changes_at = endpoint.breaker.opens_until().unwrap_or(never).min(grows_at);
            self.stale_at = self.stale_at.min(changes_at);
        }
        let usable = Usable {
            now,
            zone: self.zone,
            slow_start: self.balance.slow_start,
            panic_below: self.breaker.panic_below,
        };
        for group in &mut self.groups {
            group.refresh(&self.endpoints, &usable);
        }
    }

    /// The instance for the next attempt of `call`: its slot, and why.
    pub(crate) fn choose(&mut self, mut draw: Draw<'_>) -> Option<(usize, PickReason)> {
        if self.stale_at <= draw.now {
            self.refresh(draw.now);
        }
        let group = self.group(&mut draw)?;
        if 0 < self.ejected && self.groups.get(group)?.is_silent(&self.endpoints, draw.now) {
            self.recall(group, draw.now);
        }
        let group = self.groups.get_mut(group)?;
        // Only a first attempt probes: a request that failed once should not be sent to trouble again.
        while draw.call.attempts == 0
            && let Some(slot) = group.due.pop()
        {
            // Another group may have sent the probe already.
            if let Some(endpoint) = self.endpoints.get_mut(slot)
                && endpoint.breaker.is_due()
            {
                endpoint.breaker.probe();
                return Some((slot, PickReason::Probe));
            }
        }
        group.choose(&mut self.endpoints, &self.balance, draw)
    }

    /// The group the call goes to: the release it asks for, the one it was at before, or one by shares.
    fn group(&self, draw: &mut Draw<'_>) -> Option<usize> {
        let call = draw.call;
        let of = |release| self.groups.iter().position(|it| it.release == Some(release));
        if let Some(asked) = call.asked {
            return of(asked);
        }
        if !self.is_split {
            return (!self.groups.is_empty()).then_some(ALL);
        }
        let before = call.release.and_then(|release| {
            self.portions.iter().find(|it| it.release == release).map(|it| it.group)
        });
        before.or_else(|| release::choose(&self.portions, call.key, draw.rng))
    }

    /// Whether `call` has been to this instance.
    pub(crate) fn is_tried(&self, slot: usize, call: &Call) -> bool {
        self.endpoints.get(slot).is_some_and(|it| call.has_tried(it.spec.id))
    }

    /// One more attempt is in flight at `slot`.
    pub(crate) fn take(&mut self, slot: usize, reason: PickReason, now: Instant) -> Option<Pick> {
        let endpoint = self.endpoints.get_mut(slot)?;
        endpoint.begin(now);
        let EndpointSpec { id, release, .. } = endpoint.spec;
        self.picks += 1;
        Some(Pick { endpoint: id, release, reason, began: now, number: self.picks, slot })
    }

    /// The attempt at `pick` is over.
    pub(crate) fn release(&mut self, pick: &Pick) {
        if let Some(endpoint) = self.find(pick.endpoint, pick.slot) {
            endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
            return;
        }
        for endpoint in self.leaving.iter_mut().filter(|it| it.spec.id == pick.endpoint) {
            endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
        }
        self.leaving.retain(|it| 0 < it.in_flight);
    }

    /// Where it was, or wherever it is now.
    fn find(&mut self, id: EndpointId, hint: usize) -> Option<&mut Endpoint> {
        let slot = self.slot(id, hint)?;
        self.endpoints.get_mut(slot)
    }

    fn slot(&self, id: EndpointId, hint: usize) -> Option<usize> {
        match self.endpoints.get(hint) {
            Some(it) if it.spec.id == id => Some(hint),
            _ => self.endpoints.binary_search_by_key(&id, |it| it.spec.id).ok(),
        }
    }

    /// The attempt at `pick` came to this: latency is learned, breakers open and close.
    pub(crate) fn answered(&mut self, now: Instant, pick: &Pick, outcome: Outcome) {
        let Some(slot) = self.slot(pick.endpoint, pick.slot) else { return };
        let Some(endpoint) = self.endpoints.get_mut(slot) else { return };
        let latency = now.since(pick.began);
        // One that turns requests away does so quickly, which must not make it look like the best.
        if outcome.is_success() && outcome != Outcome::TooManyRequests {
            endpoint.latency.observe(now, latency);
            endpoint.silent_since = now;
        } else {
            endpoint.latency.observe_at_least(now, latency);
            if outcome.is_answer() {
                endpoint.silent_since = now;
            }
        }
        if pick.reason == PickReason::Probe {
            let was_ejected = endpoint.breaker.ejected().is_some();
            endpoint.breaker.on_probed(now, outcome, &self.breaker);
            let is_back = was_ejected && endpoint.breaker.ejected().is_none();
            self.ejected = self.ejected.saturating_sub(usize::from(is_back));
            self.refresh(now);
        } else if let Some(reason) =
            endpoint.breaker.on_outcome(now, outcome, latency, &self.breaker)
        {
            self.eject(slot, reason, now);
        }
        if self.breaker.slower_than_percent.is_some() && self.compare_at <= now {
            self.compare(now);
        }
    }

    fn eject(&mut self, slot: usize, reason: TripReason, now: Instant) {
        if self.cap() <= self.ejected {
            self.recall(ALL, now);
            return;
        }
        if let Some(endpoint) = self.endpoints.get_mut(slot) {
            endpoint.breaker.open(now, reason, &self.breaker);
            self.ejected += 1;
            self.refresh(now);
        }
    }

    /// What is left of a group is in trouble, and no more may be ejected: the one that was to come back first is probed now.
    fn recall(&mut self, group: usize, now: Instant) {
        let next = self.groups.get(group).and_then(|it| it.next_back(&self.endpoints));
        let endpoint = next.and_then(|slot| self.endpoints.get_mut(slot));
        if endpoint.is_some_and(|it| it.breaker.recall(now)) {
            self.refresh(now);
        }
    }

    /// Ejects what is much slower than the median, the slowest first.
    fn compare(&mut self, now: Instant) {
        self.compare_at = now.after(COMPARE_EVERY);
        let Some(percent) = self.breaker.slower_than_percent else { return };
        let mut means: Vec<(u64, usize)> = (self.endpoints.iter_mut().enumerate())
            .filter_map(|(slot, it)| Some((it.breaker.mean_us(now)?, slot)))
            .collect();
        if means.len() < COMPARE_MIN {
            return;
        }
        means.sort_unstable();
        // The lower of two middle ones: half of the instances being slow must not hide each other.
        let Some((median, _)) = means.get((means.len() - 1) / 2).copied() else { return };
        let limit = median.saturating_mul(u64::from(percent)) / 100;
        for (mean, slot) in means.into_iter().rev() {
            if limit < mean {
                self.eject(slot, TripReason::Slow, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ask;
    use crate::drive::{Drive, instance};
    use model::edge::{BalancePolicy, Resilience};
    use model::units::Share;
    use proptest::prelude::*;

    fn policy(breaker: CircuitBreaker) -> Resilience {
        Resilience { circuit_breaker: breaker, ..Resilience::default() }
    }

    /// Opens after one error, so that tests say in one line who is ejected.
    fn brittle() -> CircuitBreaker {
        CircuitBreaker { consecutive_errors: 1, ..CircuitBreaker::default() }
    }

    /// Issue 12: one of two was frozen and is left alone, and now the other freezes.
    #[test]
    fn issue_12_one_that_is_left_alone_is_tried_when_the_other_falls_silent() {
        let mut drive = Drive::new(&policy(CircuitBreaker::default()), 2);
        drive.spread(&Ask::default(), 20);
        for _ in 0..5 {
            drive.hit(0, Outcome::Timeout);
        }
        assert_eq!(drive.ejected(), [0]);
        drive.pass(2_000);
        let mut unanswered = 0;
        for _ in 0..3_000 {
            let mut call = drive.begin(&Ask::default());
            let pick = drive.pick(&mut call);
            drive.pass(1);
            if pick.endpoint == EndpointId(1) {
                unanswered += 1;
                continue;
            }
            drive.end(&mut call, pick, Outcome::Ok);
            drive.edge.finish(drive.now, call, Outcome::Ok);
        }
        // A quarter of a second, and hardly any after it.
        assert!((250..300).contains(&unanswered), "{unanswered}");
        assert!(drive.ejected().is_empty());
    }

    /// Issue 12: the other fails instead, and no more than one of two may be left alone.
    #[test]
    fn issue_12_one_that_is_left_alone_is_tried_when_the_other_fails() {
        let balance = Balance { policy: BalancePolicy::RoundRobin, ..Balance::default() };
        let mut drive = Drive::new(&Resilience { balance, ..Resilience::default() }, 2);
        for _ in 0..5 {
            drive.hit(0, Outcome::Reset);
        }
        drive.pass(2_000);
        for _ in 0..5 {
            assert_eq!(drive.request(&Ask::default(), Outcome::Reset).0, 1);
        }
        assert_eq!(drive.request(&Ask::default(), Outcome::Ok), (0, PickReason::Probe));
        // Now that there is one to stand in, its next failure has it left alone.
        drive.hit(1, Outcome::Reset);
        assert_eq!(drive.ejected(), [1]);
    }

    #[test]
    fn an_instance_that_fails_is_left_alone_and_comes_back_by_a_probe() {
        let mut drive = Drive::new(&policy(CircuitBreaker::default()), 4);
        for _ in 0..5 {
            assert!(drive.ejected().is_empty());
            drive.hit(2, Outcome::Reset);
        }
        assert_eq!(drive.ejected(), [2]);
        assert!(drive.spread(&Ask::default(), 200).iter().all(|it| *it != 2));
        drive.pass(10_000);
        // The first request probes; it takes its time, and nobody else goes there meanwhile.
        let mut probe = drive.begin(&Ask::default());
        let pick = drive.pick(&mut probe);
        assert_eq!((pick.endpoint, pick.reason), (EndpointId(2), PickReason::Probe));
        assert!(drive.spread(&Ask::default(), 200).iter().all(|it| *it != 2));
        drive.end(&mut probe, pick, Outcome::Ok);
        assert!(drive.ejected().is_empty());
        assert!(drive.spread(&Ask::default(), 200).contains(&2));
        drive.edge.finish(drive.now, probe, Outcome::Ok);
    }

    #[test]
    fn no_more_than_the_share_is_ejected_and_one_always_may() {
        for (count, expected) in [(1, 0), (2, 1), (3, 1), (4, 2), (9, 4)] {
            let mut drive = Drive::new(&policy(brittle()), count);
            for _ in 0..200 {
                drive.request(&Ask::default(), Outcome::ConnectFailure);
            }
            assert_eq!(drive.ejected().len(), expected, "{count}");
        }
    }

    #[test]
    fn when_few_are_left_all_are_used() {
        let max_ejected = Share::from_percent(80);
        let mut drive = Drive::new(&policy(CircuitBreaker { max_ejected, ..brittle() }), 5);
        for id in [0, 1, 2] {
            drive.hit(id, Outcome::Timeout);
        }
        // Two of five are 40 %, which is not below 40 %.
        assert!(drive.spread(&Ask::default(), 100).iter().all(|it| 3 <= *it));
        drive.hit(3, Outcome::Timeout);
        assert_eq!(drive.ejected().len(), 4);
        let mut spread = drive.spread(&Ask::default(), 200);
        assert_eq!(drive.request(&Ask::default(), Outcome::Ok).1, PickReason::Panic);
        spread.sort_unstable();
        spread.dedup();
        assert_eq!(spread, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_single_release_instance_is_used_though_ejected() {
        let old = (0..4).map(instance);
        let canary = EndpointSpec { release: ReleaseNumber(2), ..instance(4) };
        let specs: Vec<_> = old.chain([canary]).collect();
        let mut drive = Drive::with(&policy(brittle()), &specs);
        let ask = Ask { release: Some(ReleaseNumber(2)), ..Ask::default() };
        let takes = |drive: &Drive| [1, 2, 3].map(|it| drive.edge.takes(ReleaseNumber(it)));
        assert_eq!(takes(&drive), [true, true, false]);
        assert_eq!(drive.request(&ask, Outcome::ServerError), (4, PickReason::Only));
        assert_eq!(drive.ejected(), [4]);
        assert_eq!(takes(&drive), [true, false, false]);
        assert_eq!(drive.request(&ask, Outcome::ServerError), (4, PickReason::Panic));
        // Its turn to be tried again comes, whoever is asked for.
        drive.pass(10_000);
        drive.request(&Ask { release: Some(ReleaseNumber(1)), ..ask }, Outcome::Ok);
        assert_eq!(takes(&drive), [true, true, false]);
        let nobody = Ask { release: Some(ReleaseNumber(3)), ..Ask::default() };
        let mut call = drive.begin(&nobody);
        assert!(drive.edge.pick(drive.now, &mut call).is_err());
        drive.edge.finish(drive.now, call, Outcome::GatewayError);
    }

    #[test]
    fn one_much_slower_than_its_peers_is_ejected() {
        let breaker =
            CircuitBreaker { slower_than_percent: Some(300), ..CircuitBreaker::default() };
        let mut policy = policy(breaker);
        policy.balance.policy = BalancePolicy::RoundRobin;
        let mut drive = Drive::new(&policy, 4);
        for _ in 0..30 {
            for _ in 0..4 {
                let mut call = drive.begin(&Ask::default());
                let pick = drive.pick(&mut call);
                drive.pass(if pick.endpoint.0 == 1 { 40 } else { 10 });
                drive.end(&mut call, pick, Outcome::Ok);
                drive.edge.finish(drive.now, call, Outcome::Ok);
            }
        }
        assert_eq!(drive.ejected(), [1]);
        let state = drive.edge.endpoints().find(|it| it.id.0 == 1).unwrap();
        assert_eq!(state.ejected, Some(TripReason::Slow));
    }

    #[test]
    fn what_is_known_of_those_that_stay_is_kept() {
        let mut drive = Drive::new(&policy(brittle()), 4);
        drive.hit(3, Outcome::Reset);
        let mut call = drive.begin(&Ask::default());
        let pick = drive.pick(&mut call);
        let id = pick.endpoint;
        // Another comes, the one in use goes: it is remembered until it is idle.
        let specs: Vec<_> = (0..6).map(instance).filter(|it| it.id != id).collect();
        drive.set(&specs);
        assert_eq!(drive.ejected(), [3]);
        let state = drive.edge.endpoints().last().unwrap();
        assert_eq!((state.id, state.in_flight, state.leaving), (id, 1, true));
        assert!(drive.spread(&Ask::default(), 200).iter().all(|it| *it != id.0));
        drive.end(&mut call, pick, Outcome::Ok);
        assert!(drive.edge.endpoints().all(|it| it.id != id));
        drive.edge.finish(drive.now, call, Outcome::Ok);
    }

    #[test]
    fn one_that_comes_back_before_it_is_idle_keeps_its_count() {
        let mut drive = Drive::new(&policy(brittle()), 1);
        let mut call = drive.begin(&Ask::default());
        let pick = drive.pick(&mut call);
        drive.set(&[instance(1)]);
        drive.set(&[instance(0), instance(1)]);
        let in_flight = |drive: &Drive| drive.edge.endpoints().map(|it| it.in_flight).collect();
        let counts: Vec<u32> = in_flight(&drive);
        assert_eq!(counts, [1, 0]);
        drive.end(&mut call, pick, Outcome::Ok);
        let counts: Vec<u32> = in_flight(&drive);
        assert_eq!(counts, [0, 0]);
        drive.edge.finish(drive.now, call, Outcome::Ok);
    }

    #[test]
    fn near_instances_first_as_far_as_they_suffice() {
        let zoned: Vec<_> =
            (0..4).map(|id| EndpointSpec { zone: u16::from(2 <= id), ..instance(id) }).collect();
        let mut policy = policy(brittle());
        policy.balance.policy = BalancePolicy::LeastLoaded;
        let mut drive = Drive::with(&policy, &zoned);
        drive.edge = drive.edge.clone().zone(1);
        assert!(drive.spread(&Ask::default(), 200).iter().all(|it| 2 <= *it));
        drive.hit(2, Outcome::Reset);
        // One of two near ones is left: it bears two thirds, its share of three times two zones.
        let share = drive.share(20_000, |it| it == 3);
        assert!((share - 2.0 / 3.0).abs() < 0.017, "{share}");
        drive.hit(3, Outcome::Reset);
        assert!(drive.spread(&Ask::default(), 200).iter().all(|it| *it < 2));
    }

    #[test]
    fn releases_share_as_the_split_says_and_a_retry_stays() {
        let new = (10..12).map(|id| EndpointSpec { release: ReleaseNumber(2), ..instance(id) });
        let specs: Vec<_> = (0..8).map(instance).chain(new).collect();
        let mut drive = Drive::with(&policy(brittle()), &specs);
        // Without a split by their number.
        let share = drive.share(20_000, |it| 10 <= it);
        assert!((share - 0.2).abs() < 0.015, "{share}");
        let shares = [
            (ReleaseNumber(1), Share::from_percent(95)),
            (ReleaseNumber(2), Share::from_percent(5)),
        ];
        drive.edge.set_endpoints(&specs, &Split { shares: shares.into() }, drive.now);
        let share = drive.share(20_000, |it| 10 <= it);
        assert!((share - 0.05).abs() < 0.008, "{share}");
        let sticky = Ask { key: Some(77), ..Ask::default() };
        let first = drive.spread(&sticky, 1)[0];
        assert!(drive.spread(&sticky, 100).iter().all(|it| (10 <= *it) == (10 <= first)));
        let mut call = drive.begin(&Ask::default());
        let pick = drive.pick(&mut call);
        let release = pick.release;
        drive.end(&mut call, pick, Outcome::Cancelled);
        for _ in 0..20 {
            let pick = drive.pick(&mut call);
            assert_eq!(pick.release, release);
            drive.end(&mut call, pick, Outcome::Cancelled);
        }
        drive.edge.finish(drive.now, call, Outcome::Cancelled);
    }

    proptest! {
        #[test]
        fn never_more_ejected_than_may_be(
            percent in 0_u32..=100,
            steps in prop::collection::vec((any::<bool>(), 1_u32..12, 0_u64..8_000), 1..200),
        ) {
            let max_ejected = Share::from_percent(percent);
            let mut drive = Drive::new(&policy(CircuitBreaker { max_ejected, ..brittle() }), 6);
            for (works, count, pause) in steps {
                drive.pass(pause);
                if works {
                    drive.request(&Ask::default(), Outcome::Ok);
                } else if count < 8 {
                    drive.request(&Ask::default(), Outcome::Reset);
                } else {
                    drive.set(&(0..count - 7).map(instance).collect::<Vec<_>>());
                }
                let all = drive.edge.endpoints().count();
                let cap = (all * percent as usize / 100).max(usize::from(2 <= all));
                prop_assert!(drive.ejected().len() <= cap);
            }
        }
    }
}
