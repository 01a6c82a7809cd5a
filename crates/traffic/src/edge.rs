//! One declared call on one core: the decisions in the order a request meets them.
//!
//! This file holds them together and decides nothing that a module of its own could.

mod admission;

use core::time::Duration;

use model::edge::{Resilience, Retry};
use model::{Instant, ReleaseNumber, Rng};

use crate::balance::Draw;
use crate::budget::Budget;
use crate::circuit::Circuit;
use crate::deadline::{self, Timeout};
use crate::endpoint::{EndpointSpec, EndpointState};
use crate::fleet::Fleet;
use crate::hedge::Hedge;
use crate::outcome::{GiveUpReason, Next, Outcome, Refusal};
use crate::release::Split;
use crate::request::{Ask, Begin, Call, Hedged, Pick, PickReason, Repeatable, Ticket};
use crate::retry::{self, Conditions};
use admission::{Admission, Place};

/// Decision state of one edge on one core. Limits and budgets are this core's own.
#[derive(Clone, Debug)]
pub struct Edge {
    timeout: Timeout,
    retry: Retry,
    conditions: Conditions,
    budget: Budget,
    hedge: Option<Hedge>,
    admission: Admission,
    circuit: Circuit,
    fleet: Fleet,
    rng: Rng,
    /// Calls that went, which is the number of the last.
    calls: u64,
}

impl Edge {
    /// An edge without instances.
    pub fn new(policy: &Resilience, rng: Rng) -> Self {
        Self {
            timeout: Timeout::of(policy),
            retry: policy.retry.clone(),
            conditions: Conditions::new(&policy.retry.on),
            budget: Budget::new(policy.retry.budget),
            hedge: policy.hedge.as_ref().map(Hedge::new),
            admission: Admission::new(policy),
            circuit: Circuit::new(&policy.circuit_breaker),
            fleet: Fleet::new(policy.balance.clone(), policy.circuit_breaker.clone()),
            rng,
            calls: 0,
        }
    }

    /// What it draws next follows from this number.
    pub(crate) const fn rng_state(&self) -> u64 {
        self.rng.state()
    }

    /// The caller's own zone: its instances are preferred as far as they suffice.
    pub fn zone(mut self, zone: u16) -> Self {
        self.fleet.set_zone(zone);
        self
    }

    /// Another policy from now on. What was learned is kept.
    pub fn set_policy(&mut self, policy: &Resilience) {
        self.timeout = Timeout::of(policy);
        self.retry = policy.retry.clone();
        self.conditions = Conditions::new(&policy.retry.on);
        self.budget.set_share(policy.retry.budget);
        self.hedge = match (self.hedge.take(), &policy.hedge) {
            (Some(mut hedge), Some(policy)) => {
                hedge.set_policy(policy);
                Some(hedge)
            }
            (_, policy) => policy.as_ref().map(Hedge::new),
        };
        self.admission.set_policy(policy);
        self.circuit.set_policy(&policy.circuit_breaker);
        self.fleet.set_policy(policy.balance.clone(), policy.circuit_breaker.clone());
    }

    /// These are the instances from now on, and how requests are shared among their releases. The state
    /// of those that stay is kept.
    pub fn set_endpoints(&mut self, specs: &[EndpointSpec], split: &Split, now: Instant) {
        self.fleet.set_endpoints(specs, split, (now, &mut self.rng));
    }

    /// So many requests are in flight over this edge in another data plane from now on. They take places of the limit on
    /// requests in flight; whoever waits and has a place by that is told by [`Edge::expired`].
    pub const fn set_elsewhere(&mut self, in_flight: u32) {
        self.admission.set_elsewhere(in_flight);
    }

    /// A request arrives.
    pub fn begin(&mut self, now: Instant, ask: &Ask) -> Begin {
        let deadline = deadline::of_request(now, self.timeout, ask.callers());
        if let Some(refusal) = self.refusal(now, deadline) {
            return Begin::Refuse(refusal);
        }
        match self.admission.enter(now, ask, deadline) {
            Place::Taken => self.go(now, ask, deadline),
            Place::Waiting(ticket, until) => Begin::Wait(ticket, until),
            Place::Refused(refusal) => Begin::Refuse(refusal),
        }
    }

    /// Why a request is refused whatever else is going on.
    fn refusal(&self, now: Instant, deadline: Instant) -> Option<Refusal> {
        if deadline <= now {
            return Some(Refusal::DeadlinePassed);
        }
        if self.fleet.is_empty() {
            return Some(Refusal::NoInstance);
        }
        self.circuit.refuses(now).map(|until| Refusal::CircuitOpen { until })
    }

    /// A request that has its place goes.
    fn go(&mut self, now: Instant, ask: &Ask, deadline: Instant) -> Begin {
        self.budget.deposit(now);
        if let Some(hedge) = &mut self.hedge {
            hedge.on_request(now);
        }
        let may_repeat = ask.idempotent || self.retry.non_idempotent;
        self.calls += 1;
        Begin::Go(Call {
            number: self.calls,
            deadline,
            callers: ask.callers(),
            attempt_deadline: deadline,
            attempt_began: now,
            latency: Duration::ZERO,
            key: ask.key,
            asked: ask.release,
            release: ask.release,
            tried: Default::default(),
            attempts: 0,
            retries: 0,
            under_way: 0,
            repeatable: if may_repeat { Repeatable::Yes } else { Repeatable::No },
            hedged: Hedged::No,
            role: self.circuit.admit(now),
        })
    }

    /// The last of a request's body has come, of which some was still missing when the request began. The timeout is the
    /// callee's, and an upload takes the time its client needs: so it counts from now on, as Envoy's does (`timeout` of its
    /// routes). A caller that stops waiting at some time does so all the same.
    pub fn came(&self, now: Instant, call: &mut Call) {
        call.deadline = call.deadline.max(deadline::of_request(now, self.timeout, call.callers));
        call.attempt_deadline =
            deadline::of_attempt(now, self.retry.attempt_timeout, call.deadline);
    }

    /// The endpoint of the next attempt, which is in flight there from now on.
    pub fn pick(&mut self, now: Instant, call: &mut Call) -> Result<Pick, Refusal> {
        if call.deadline <= now {
            return Err(Refusal::DeadlinePassed);
        }
        let chosen = self.fleet.choose(Draw { now, call, rng: &mut self.rng });
        let (slot, reason) = chosen.ok_or(Refusal::NoInstance)?;
        let pick = self.fleet.take(slot, reason, now).ok_or(Refusal::NoInstance)?;
        call.attempt_began = now;
        call.attempt_deadline =
            deadline::of_attempt(now, self.retry.attempt_timeout, call.deadline);
        call.release = Some(pick.release);
        call.note_attempt(pick.endpoint);
        Ok(pick)
    }

    /// The head of an answer was seen, or the attempt failed. To be told once for each pick.
    pub fn answered(
        &mut self,
        now: Instant,
        call: &mut Call,
        pick: &Pick,
        outcome: Outcome,
    ) -> Next {
        call.under_way = call.under_way.saturating_sub(1);
        call.latency = now.since(pick.began);
        self.fleet.answered(now, pick, outcome);
        self.learn_latency(call, pick, outcome);
        self.next(now, call, outcome)
    }

    /// What hedges go by: how long first attempts take, or would have taken at least.
    fn learn_latency(&mut self, call: &Call, pick: &Pick, outcome: Outcome) {
        let Some(hedge) = &mut self.hedge else { return };
        let is_first = pick.reason != PickReason::Hedge && call.retries == 0;
        let tells = match outcome {
            Outcome::Timeout | Outcome::AttemptTimeout => true,
            Outcome::Cancelled => call.hedged == Hedged::Yes,
            _ => outcome.is_success(),
        };
        if is_first && tells {
            hedge.on_latency(call.latency);
        }
    }

    fn next(&mut self, now: Instant, call: &mut Call, outcome: Outcome) -> Next {
        let Some(reason) = self.conditions.reason(outcome) else { return Next::Done };
        if self.retry.attempts == 0 {
            return Next::Done;
        }
        if 0 < call.under_way {
            return Next::GiveUp(GiveUpReason::AttemptUnderWay);
        }
        if self.retry.attempts <= call.retries {
            return Next::GiveUp(GiveUpReason::AttemptsSpent);
        }
        if call.repeatable == Repeatable::No && !outcome.is_unsent() {
            return Next::GiveUp(GiveUpReason::NotIdempotent);
        }
        let after = retry::pause(&self.retry, call.retries, &mut self.rng);
        if call.deadline <= now.after(after) {
            return Next::GiveUp(GiveUpReason::DeadlineTooNear);
        }
        if !self.budget.withdraw(now) {
            return Next::GiveUp(GiveUpReason::BudgetSpent);
        }
        call.retries += 1;
        Next::Retry { after, reason }
    }

    /// An attempt is over: the body of its answer ended, or it failed. To be told once for each pick.
    #[expect(clippy::needless_pass_by_value, reason = "a pick that was given back is gone")]
    pub fn released(&mut self, pick: Pick) {
        self.fleet.release(&pick);
    }

    /// A request is over. Says whose turn it is of those that wait.
    ///
    /// One that was never sent counts neither as good nor as bad.
    #[expect(clippy::needless_pass_by_value, reason = "a call that was given back is gone")]
    pub fn finish(&mut self, now: Instant, call: Call, outcome: Outcome) -> Option<Ticket> {
        let outcome = if call.attempts == 0 { Outcome::Cancelled } else { outcome };
        self.circuit.on_outcome(now, outcome, call.role);
        self.admission.leave(now, outcome, call.latency)
    }

    /// When to ask for a hedge, if the policy hedges and the budget allows.
    pub fn hedge_at(&self, call: &Call) -> Option<Instant> {
        let may = call.attempts == 1
            && call.under_way == 1
            && call.hedged == Hedged::No
            && call.repeatable == Repeatable::Yes;
        let after = self.hedge.as_ref().filter(|_| may)?.after()?;
        Some(call.attempt_began.after(after)).filter(|it| *it < call.deadline)
    }

    /// Another endpoint than the first, for a second request beside it; none if there is no other, or the
    /// budget is spent. When to ask, [`Edge::hedge_at`] said; the estimate may have moved since, and is
    /// not asked again.
    pub fn hedge(&mut self, now: Instant, call: &mut Call) -> Option<Pick> {
        self.hedge_at(call)?;
        let (slot, _) = self.fleet.choose(Draw { now, call, rng: &mut self.rng })?;
        if self.fleet.is_tried(slot, call) || !self.hedge.as_mut()?.withdraw(now) {
            return None;
        }
        let pick = self.fleet.take(slot, PickReason::Hedge, now)?;
        call.hedged = Hedged::Yes;
        call.note_attempt(pick.endpoint);
        Some(pick)
    }

    /// A waiting request whose turn has come goes; one whose time was up is refused.
    pub fn admitted(&mut self, now: Instant, ticket: Ticket) -> Begin {
        match self.admission.settle(now, ticket) {
            Ok((ask, since)) => {
                let deadline = deadline::of_request(since, self.timeout, ask.callers());
                if let Some(refusal) = self.refusal(now, deadline) {
                    self.admission.give_back();
                    return Begin::Refuse(refusal);
                }
                self.go(now, &ask, deadline)
            }
            Err(Place::Waiting(ticket, until)) => Begin::Wait(ticket, until),
            Err(Place::Refused(refusal)) => Begin::Refuse(refusal),
            Err(Place::Taken) => Begin::Refuse(Refusal::QueueTimeout),
        }
    }

    /// A waiting request went away.
    pub fn abandon(&mut self, ticket: Ticket) {
        self.admission.abandon(ticket);
    }

    /// Waiting requests to be handed to [`Edge::admitted`], one by one: their wait is over, or a place is
    /// free for them (the limit grew, or somebody whose turn it was went away).
    pub fn expired(&mut self, now: Instant) -> Option<Ticket> {
        self.admission.expired(now)
    }

    /// The limit on requests in flight, if there is one.
    pub fn limit(&self) -> Option<u32> {
        self.admission.limit()
    }

    /// Requests in flight.
    pub const fn in_flight(&self) -> u32 {
        self.admission.in_flight()
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.admission.waiting()
    }

    /// Whether the edge's own breaker refuses requests.
    pub fn is_open(&self, now: Instant) -> bool {
        self.circuit.refuses(now).is_some()
    }

    /// Whether a release has an instance that is not ejected, or one whose turn it is to be tried again.
    pub fn takes(&self, release: ReleaseNumber) -> bool {
        self.fleet.takes(release)
    }

    /// Instances that are left alone.
    pub const fn ejected(&self) -> usize {
        self.fleet.ejected()
    }

    /// How each instance is, those that only finish what they have last.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointState> {
        self.fleet.states()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RetryReason;
    use crate::drive::{Drive, at, instance};
    use alloc::vec::Vec;
    use model::edge::{self, CircuitBreaker, RetryCondition};
    use model::route::Priority;
    use model::units::Share;

    const IDEMPOTENT: Ask = Ask {
        key: None,
        release: None,
        priority: Priority::Normal,
        idempotent: true,
        deadline: None,
        deadline_by: crate::DeadlineBy::Others,
    };

    fn limited(limit: u32, length: u32) -> Resilience {
        Resilience {
            max_concurrency: Some(limit),
            queue: edge::Queue { length, wait: Duration::from_millis(100) },
            ..Resilience::default()
        }
    }

    fn priority(priority: Priority) -> Ask {
        Ask { priority, ..Ask::default() }
    }

    /// What follows a first attempt of `ask` that comes to `outcome`.
    fn check(retry: Retry, ask: &Ask, outcome: Outcome) -> Next {
        let mut drive = Drive::new(&Resilience { retry, ..Resilience::default() }, 3);
        let mut call = drive.begin(ask);
        let pick = drive.pick(&mut call);
        let next = drive.end(&mut call, pick, outcome);
        drive.edge.finish(drive.now, call, outcome);
        next
    }

    #[test]
    fn what_is_tried_again() {
        let at_once = Retry { backoff: Duration::ZERO, ..Retry::default() };
        let ask = Ask::default();
        let again = |reason| Next::Retry { after: Duration::ZERO, reason };
        let check_usual = |ask: &Ask, outcome| check(at_once.clone(), ask, outcome);
        assert_eq!(check_usual(&IDEMPOTENT, Outcome::Ok), Next::Done);
        assert_eq!(check_usual(&IDEMPOTENT, Outcome::ServerError), Next::Done);
        assert_eq!(check_usual(&IDEMPOTENT, Outcome::Reset), again(RetryReason::Reset));
        assert_eq!(check_usual(&ask, Outcome::Reset), Next::GiveUp(GiveUpReason::NotIdempotent));
        // What was never sent may always be sent again.
        assert_eq!(check_usual(&ask, Outcome::ResetUnsent), again(RetryReason::Reset));
        assert_eq!(check_usual(&ask, Outcome::ConnectFailure), again(RetryReason::ConnectFailure));
        let declared = Retry { non_idempotent: true, ..at_once.clone() };
        assert_eq!(check(declared, &ask, Outcome::Reset), again(RetryReason::Reset));
        let none = Retry { attempts: 0, ..at_once.clone() };
        assert_eq!(check(none, &IDEMPOTENT, Outcome::Reset), Next::Done);
        let on = [RetryCondition::TooManyRequests].into();
        assert_eq!(
            check(Retry { on, ..at_once.clone() }, &IDEMPOTENT, Outcome::TooManyRequests),
            again(RetryReason::TooManyRequests)
        );
        let no_budget = Retry { budget: Share::ZERO, ..at_once };
        assert_eq!(
            check(no_budget, &IDEMPOTENT, Outcome::Reset),
            Next::GiveUp(GiveUpReason::BudgetSpent)
        );
    }

    #[test]
    fn attempts_and_time_run_out() {
        let retry = Retry {
            attempts: 2,
            backoff: Duration::ZERO,
            attempt_timeout: Some(Duration::from_millis(400)),
            ..Retry::default()
        };
        let mut drive = Drive::new(&Resilience { retry, ..Resilience::default() }, 3);
        let mut call = drive.begin(&IDEMPOTENT);
        assert_eq!(call.deadline(), at(1_000));
        for (deadline_ms, expected) in [(400, None), (800, None), (1_000, Some(()))] {
            let pick = drive.pick(&mut call);
            assert_eq!(call.attempt_deadline(), at(deadline_ms));
            drive.now = call.attempt_deadline();
            let next = drive.end(&mut call, pick, Outcome::AttemptTimeout);
            match expected {
                None => assert!(matches!(next, Next::Retry { .. })),
                Some(()) => assert_eq!(next, Next::GiveUp(GiveUpReason::AttemptsSpent)),
            }
        }
        assert_eq!(call.attempts(), 3);
        assert!(matches!(drive.edge.pick(drive.now, &mut call), Err(Refusal::DeadlinePassed)));
        drive.edge.finish(drive.now, call, Outcome::Timeout);

        let near = Ask { deadline: Some(drive.now.after(Duration::from_nanos(1))), ..IDEMPOTENT };
        let mut call = drive.begin(&near);
        let pick = drive.pick(&mut call);
        drive.pass(1);
        let next = drive.end(&mut call, pick, Outcome::Reset);
        assert_eq!(next, Next::GiveUp(GiveUpReason::DeadlineTooNear));
        drive.edge.finish(drive.now, call, Outcome::Reset);
        assert_eq!(drive.refused(&near), Refusal::DeadlinePassed);
    }

    #[test]
    fn without_instances_nothing_begins() {
        let mut drive = Drive::new(&Resilience::default(), 0);
        assert_eq!(drive.refused(&IDEMPOTENT), Refusal::NoInstance);
    }

    #[test]
    fn at_the_limit_requests_wait_their_turn() {
        let mut drive = Drive::new(&limited(1, 2), 1);
        let first = drive.begin(&IDEMPOTENT);
        let wait = |drive: &mut Drive| match drive.edge.begin(drive.now, &IDEMPOTENT) {
            Begin::Wait(ticket, until) => (ticket, until),
            other => panic!("{other:?}"),
        };
        let (second, until) = wait(&mut drive);
        assert_eq!(until, at(100));
        drive.pass(60);
        let (third, _) = wait(&mut drive);
        assert!(second < third);
        assert_eq!(drive.refused(&IDEMPOTENT), Refusal::Overloaded);
        assert_eq!(drive.edge.expired(drive.now), None);
        assert_eq!(drive.edge.finish(drive.now, first, Outcome::Ok), Some(second));
        // The place is taken from then on.
        assert_eq!((drive.edge.in_flight(), drive.edge.waiting()), (1, 1));
        let Begin::Go(call) = drive.edge.admitted(drive.now, second) else { panic!() };
        // The time it waited counts.
        assert_eq!(call.deadline(), at(1_000));
        drive.pass(100);
        assert_eq!(drive.edge.expired(drive.now), Some(third));
        assert_eq!(drive.edge.expired(drive.now), None);
        let late = drive.edge.admitted(drive.now, third);
        assert!(matches!(late, Begin::Refuse(Refusal::QueueTimeout)));
        assert_eq!(drive.edge.finish(drive.now, call, Outcome::Ok), None);
        assert_eq!((drive.edge.in_flight(), drive.edge.waiting()), (0, 0));
    }

    #[test]
    fn who_goes_away_after_being_called_leaves_the_place_to_others() {
        let mut drive = Drive::new(&limited(1, 5), 1);
        let first = drive.begin(&IDEMPOTENT);
        let tickets: Vec<_> = (0..3)
            .map(|_| match drive.edge.begin(drive.now, &IDEMPOTENT) {
                Begin::Wait(ticket, _) => ticket,
                other => panic!("{other:?}"),
            })
            .collect();
        drive.edge.abandon(tickets[0]);
        assert_eq!(drive.edge.finish(drive.now, first, Outcome::Ok), Some(tickets[1]));
        drive.edge.abandon(tickets[1]);
        assert_eq!(drive.edge.in_flight(), 0);
        assert_eq!(drive.edge.expired(drive.now), Some(tickets[2]));
        let Begin::Go(call) = drive.edge.admitted(drive.now, tickets[2]) else { panic!() };
        drive.edge.finish(drive.now, call, Outcome::Ok);
        assert_eq!(drive.edge.in_flight(), 0);
    }

    #[test]
    fn less_important_requests_leave_room() {
        let mut drive = Drive::new(&limited(4, 1), 1);
        let mut calls: Vec<_> =
            (0..2).map(|_| drive.begin(&priority(Priority::Sheddable))).collect();
        let refused = drive.refused(&priority(Priority::Sheddable));
        assert_eq!(refused, Refusal::Shed(Priority::Sheddable));
        calls.push(drive.begin(&priority(Priority::Low)));
        let refused = drive.refused(&priority(Priority::Low));
        assert_eq!(refused, Refusal::Shed(Priority::Low));
        calls.push(drive.begin(&priority(Priority::Normal)));
        let Begin::Wait(normal, _) = drive.edge.begin(drive.now, &IDEMPOTENT) else { panic!() };
        // A critical one takes the only place in the queue.
        let critical = drive.edge.begin(drive.now, &priority(Priority::Critical));
        assert!(matches!(critical, Begin::Wait(..)));
        assert_eq!(drive.edge.expired(drive.now), Some(normal));
        let shed = drive.edge.admitted(drive.now, normal);
        assert!(matches!(shed, Begin::Refuse(Refusal::Shed(Priority::Normal))));
    }

    #[test]
    fn the_edge_opens_when_nothing_works() {
        let circuit_breaker = CircuitBreaker {
            edge_error_rate: Some(Share::from_percent(50)),
            ..CircuitBreaker::default()
        };
        let mut drive = Drive::new(&Resilience { circuit_breaker, ..Resilience::default() }, 2);
        for _ in 0..20 {
            assert!(!drive.edge.is_open(drive.now));
            drive.request(&Ask::default(), Outcome::Timeout);
        }
        assert!(drive.edge.is_open(drive.now));
        assert_eq!(drive.refused(&IDEMPOTENT), Refusal::CircuitOpen { until: at(10_000) });
        drive.pass(10_000);
        let mut probe = drive.begin(&IDEMPOTENT);
        assert!(matches!(drive.refused(&IDEMPOTENT), Refusal::CircuitOpen { .. }));
        let pick = drive.pick(&mut probe);
        drive.end(&mut probe, pick, Outcome::Ok);
        drive.edge.finish(drive.now, probe, Outcome::Ok);
        drive.request(&IDEMPOTENT, Outcome::Ok);
    }

    /// An edge that hedges after the median and has seen a hundred requests of 10 ms.
    fn hedging() -> Drive {
        let hedge = edge::Hedge { after: Share::from_percent(50), budget: Share::from_percent(10) };
        let mut drive = Drive::new(&Resilience { hedge: Some(hedge), ..Resilience::default() }, 2);
        for _ in 0..128 {
            let mut call = drive.begin(&IDEMPOTENT);
            let pick = drive.pick(&mut call);
            drive.pass(10);
            drive.end(&mut call, pick, Outcome::Ok);
            drive.edge.finish(drive.now, call, Outcome::Ok);
        }
        drive
    }

    #[test]
    fn a_slow_request_is_hedged_once_and_elsewhere() {
        let mut drive = hedging();
        let mut call = drive.begin(&IDEMPOTENT);
        let first = drive.pick(&mut call);
        let hedge_at = drive.edge.hedge_at(&call).unwrap();
        let after = hedge_at.since(drive.now);
        assert!(
            after.abs_diff(Duration::from_millis(10)) < Duration::from_micros(320),
            "{after:?}"
        );
        drive.now = hedge_at;
        let second = drive.edge.hedge(drive.now, &mut call).unwrap();
        assert_ne!(first.endpoint, second.endpoint);
        assert_eq!((second.reason, call.attempts()), (PickReason::Hedge, 2));
        assert_eq!(drive.edge.hedge_at(&call), None);
        // While the other is under way, one that failed is not made again.
        let next = drive.end(&mut call, first, Outcome::Reset);
        assert_eq!(next, Next::GiveUp(GiveUpReason::AttemptUnderWay));
        assert_eq!(drive.end(&mut call, second, Outcome::Ok), Next::Done);
        drive.edge.finish(drive.now, call, Outcome::Ok);
        assert!(drive.edge.endpoints().all(|it| it.in_flight == 0));
    }

    #[test]
    fn what_may_not_be_repeated_is_not_hedged_and_neither_is_what_has_nowhere_to_go() {
        let mut drive = hedging();
        let mut call = drive.begin(&Ask::default());
        let pick = drive.pick(&mut call);
        assert_eq!(drive.edge.hedge_at(&call), None);
        drive.end(&mut call, pick, Outcome::Ok);
        drive.edge.finish(drive.now, call, Outcome::Ok);
        drive.set(&[instance(0)]);
        let mut call = drive.begin(&IDEMPOTENT);
        let pick = drive.pick(&mut call);
        drive.now = drive.edge.hedge_at(&call).unwrap();
        assert!(drive.edge.hedge(drive.now, &mut call).is_none());
        drive.end(&mut call, pick, Outcome::Ok);
        drive.edge.finish(drive.now, call, Outcome::Ok);
    }

    #[test]
    fn hedges_have_a_budget() {
        let mut drive = hedging();
        let mut hedges = 0;
        for _ in 0..1_000 {
            let mut call = drive.begin(&IDEMPOTENT);
            let first = drive.pick(&mut call);
            if let Some(hedge_at) = drive.edge.hedge_at(&call) {
                let second = drive.edge.hedge(hedge_at, &mut call).unwrap();
                hedges += 1;
                drive.end(&mut call, second, Outcome::Cancelled);
            }
            drive.end(&mut call, first, Outcome::Ok);
            drive.edge.finish(drive.now, call, Outcome::Ok);
        }
        // A tenth of all requests, those before included, and the ten every edge may make.
        assert!((100..=124).contains(&hedges), "{hedges}");
    }

    #[test]
    fn issue_13_the_timeout_counts_from_the_end_of_an_upload() {
        let policy = Resilience { timeout: Duration::from_secs(1), ..Resilience::default() };
        let mut drive = Drive::new(&policy, 1);
        let begun = drive.now;
        let at = |millis: u64| begun.after(Duration::from_millis(millis));
        let deadline_of = |drive: &mut Drive, callers: Option<u64>, came: u64| {
            let ask = Ask { deadline: callers.map(at), ..IDEMPOTENT };
            let mut call = drive.begin(&ask);
            let pick = drive.pick(&mut call);
            drive.edge.came(at(came), &mut call);
            let deadlines = (call.deadline(), call.attempt_deadline());
            drive.end(&mut call, pick, Outcome::Ok);
            drive.edge.finish(begun, call, Outcome::Ok);
            deadlines
        };
        assert_eq!(deadline_of(&mut drive, None, 60_000), (at(61_000), at(61_000)));
        // Its caller keeps a part of what is left, here 100 ms; and no moment is taken back.
        assert_eq!(deadline_of(&mut drive, Some(60_500), 60_000), (at(60_450), at(60_450)));
        assert_eq!(deadline_of(&mut drive, Some(2_000), 1_900), (at(1_990), at(1_990)));
        assert_eq!(deadline_of(&mut drive, Some(500), 60_000), (at(60_000), at(60_000)));
    }

    #[test]
    fn issue_13_what_is_in_flight_elsewhere_takes_places() {
        let mut drive = Drive::new(&limited(3, 1), 2);
        drive.edge.set_elsewhere(2);
        let first = drive.begin(&IDEMPOTENT);
        let Begin::Wait(ticket, _) = drive.edge.begin(drive.now, &IDEMPOTENT) else {
            panic!("three of three places are taken");
        };
        assert_eq!(drive.edge.expired(drive.now), None);
        drive.edge.set_elsewhere(1);
        assert_eq!(drive.edge.expired(drive.now), Some(ticket));
        let Begin::Go(second) = drive.edge.admitted(drive.now, ticket) else {
            panic!("a place is free");
        };
        // What is elsewhere may be more than the limit: nothing begins here, and nothing overflows.
        drive.edge.set_elsewhere(u32::MAX);
        for call in [first, second] {
            assert_eq!(drive.edge.finish(drive.now, call, Outcome::Ok), None);
        }
        drive.edge.set_elsewhere(0);
        let last = drive.begin(&IDEMPOTENT);
        drive.edge.finish(drive.now, last, Outcome::Ok);
        assert_eq!(drive.edge.in_flight(), 0);
    }

    #[test]
    fn a_new_policy_holds_at_once_and_forgets_nothing() {
        let mut drive = Drive::new(&limited(1, 0), 2);
        let first = drive.begin(&IDEMPOTENT);
        assert_eq!(drive.refused(&IDEMPOTENT), Refusal::Overloaded);
        drive.edge.set_policy(&limited(2, 0));
        assert_eq!(drive.edge.limit(), Some(2));
        let second = drive.begin(&IDEMPOTENT);
        assert_eq!(drive.edge.in_flight(), 2);
        drive.edge.set_policy(&Resilience::default());
        assert_eq!(drive.edge.limit(), None);
        for call in [first, second] {
            drive.edge.finish(drive.now, call, Outcome::Ok);
        }
        assert_eq!(drive.edge.in_flight(), 0);
    }
}
