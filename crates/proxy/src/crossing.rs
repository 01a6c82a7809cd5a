//! One request crossing one edge: what was decided, what came of it, and what is remembered of it.
//!
//! Whoever speaks a protocol asks here for an instance, says how the attempt went, and is told what to
//! do next. A crossing that is dropped has ended: nothing stays counted as in flight because a client
//! went away.

mod choice;
mod waiting;

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use model::route::Priority;
use model::{Instant, ReleaseNumber};
use telemetry::{Limit, Span};
use traffic::{Ask, Begin, Call, DeadlineBy, Next, Outcome, Pick, Refusal};

use crate::access::{Crossed, Record};
use crate::answer::{Answer, Failure, Fault, Sent};
use crate::bounds::Patience;
use crate::core::Core;
use crate::counters::{Compared, Ended};
use crate::edge::Edge;
use crate::limits::SLOW;
use crate::met::Met;
use crate::refused::begun;
use crate::time_left::{TimeLeft, TimeoutBy};
use crate::trace::TraceContext;
use crate::upstream::Upstream;
pub(crate) use choice::hash_of;
use choice::{Told, tell};
use waiting::Waiting;

/// What is asked of a request, in whatever protocol it came.
pub(crate) trait Asked {
    /// The first header of this name.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// The cookie of this name.
    fn cookie(&self, name: &str) -> Option<&[u8]>;
    /// The method's name.
    fn method(&self) -> &str;
    /// The path without the query.
    fn path(&self) -> &str;
}

/// What is known of a request before it crosses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) client: IpAddr,
    pub(crate) idempotent: bool,
    pub(crate) priority: Priority,
    /// The time its caller gives it.
    pub(crate) time_left: Option<TimeLeft>,
    /// Who has set that.
    pub(crate) deadline_by: DeadlineBy,
    pub(crate) trace: TraceContext,
}

/// Attempts that may be under way at once: the first, and a hedge.
pub(crate) const AT_ONCE: usize = 2;

/// One request crossing one edge.
pub(crate) struct Crossing {
    core: Rc<Core>,
    edge: Rc<Edge>,
    call: Option<Call>,
    under_way: [Option<Attempt>; AT_ONCE],
    began: Instant,
    /// When its caller stops waiting, whatever is still to come.
    caller_deadline: Option<Instant>,
    /// Who set that.
    timeout_by: TimeoutBy,
    first_attempt: Option<(Outcome, u64)>,
    /// The release of the first attempt, which need not be that of the last.
    first_release: Option<ReleaseNumber>,
    attempts: u8,
    hedges: u8,
    /// Whether some of its body is still to come.
    is_coming: bool,
    /// Since when its time counts: it began, or the last of its body came.
    counts_from: Instant,
    /// When bytes began to pass in both directions as they come: what it takes from then on is a connection's life, and no
    /// latency.
    tunnelled_at: Option<Instant>,
    /// Whether it was refused before an instance was chosen, and counted so.
    is_refused: bool,
    /// The comparison it is part of.
    trial: Option<Compared>,
    last: Option<Rc<Upstream>>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) trace: TraceContext,
    /// What is logged of it, at the gateway.
    pub(crate) record: Option<Box<Record>>,
}

struct Attempt {
    pick: Pick,
    upstream: Rc<Upstream>,
    began: Instant,
    is_first: bool,
    is_answered: bool,
}

/// How a request ended, for those who are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    pub(crate) outcome: Outcome,
    /// The status the caller got.
    pub(crate) status: Option<u16>,
    /// Why it failed, if it did.
    pub(crate) error: Option<&'a str>,
    /// Whose fault it was, if the answer is our own.
    pub(crate) fault: Option<Fault>,
    /// The limit that ended it, if one did.
    pub(crate) limit: Option<&'a Limit>,
}

impl<'a> End<'a> {
    /// With an instance's answer, or none.
    pub(crate) const fn of(outcome: Outcome, status: Option<u16>, error: Option<&'a str>) -> Self {
        Self { outcome, status, error, fault: None, limit: None }
    }

    /// With an answer of our own.
    pub(crate) fn own(answer: &'a Answer, outcome: Outcome) -> Self {
        let Answer { status, reason, fault, .. } = *answer;
        let limit = answer.limit.as_deref();
        Self { outcome, status: Some(status), error: Some(reason), fault: Some(fault), limit }
    }

    /// The same, by this limit.
    pub(crate) const fn by(self, limit: Option<&'a Limit>) -> Self {
        Self { limit, ..self }
    }
}

impl Crossing {
    /// Asks to cross; waits for a place where that is the policy.
    pub(crate) async fn begin(
        core: &Rc<Core>,
        edge: &Rc<Edge>,
        asked: &impl Asked,
        facts: Facts,
    ) -> Result<Self, Refusal> {
        let began = core.now();
        let caller_deadline = facts.time_left.map(|it| began.after(it.time));
        let told = if edge.is_plain() { Told::default() } else { tell(edge, asked, &facts) };
        let Told { key, release } = told;
        // Where the release is asked for, chance has no part in it, and nothing is compared.
        let trial = edge.trial().filter(|_| release.is_none());
        let ask = Ask {
            key,
            release,
            priority: facts.priority,
            idempotent: facts.idempotent,
            deadline: caller_deadline,
            deadline_by: facts.deadline_by,
        };
        let decided = edge.decide.borrow_mut().begin(began, &ask);
        let call = match decided {
            Begin::Go(call) => Ok(call),
            Begin::Refuse(refusal) => Err(refusal),
            Begin::Wait(ticket, until) => {
                // It may have taken the place of one that matters less.
                edge.call_waiting(began);
                Waiting::new(core, edge, ticket).wait(until).await
            }
        };
        let call = call.inspect_err(|it| edge.counters.borrow_mut().refused(it.word()))?;
        Ok(Self {
            core: Rc::clone(core),
            edge: Rc::clone(edge),
            call: Some(call),
            under_way: [None, None],
            began,
            caller_deadline,
            timeout_by: facts.time_left.map_or_else(TimeoutBy::default, |it| it.by),
            first_attempt: None,
            first_release: None,
            attempts: 0,
            hedges: 0,
            is_coming: false,
            counts_from: began,
            tunnelled_at: None,
            is_refused: false,
            trial: trial.map(|epoch| Compared { epoch, key, abandoned_us: None }),
            last: None,
            bytes_in: 0,
            bytes_out: 0,
            trace: facts.trace,
            record: None,
        })
    }

    /// When the head of an answer must be there.
    pub(crate) fn deadline(&self) -> Instant {
        self.call.as_ref().map_or(self.began, Call::deadline)
    }

    /// When the head of the answer to the attempt under way must be there.
    pub(crate) fn attempt_deadline(&self) -> Instant {
        self.call.as_ref().map_or(self.began, Call::attempt_deadline)
    }

    /// When the whole answer must be there, if the caller said so.
    pub(crate) const fn caller_deadline(&self) -> Option<Instant> {
        self.caller_deadline
    }

    /// The time that is left for the head of an answer, and who has set it.
    pub(crate) fn time_left(&self, now: Instant) -> TimeLeft {
        let by = if self.is_clients_time() { TimeoutBy::Client } else { TimeoutBy::Policy };
        TimeLeft { time: self.deadline().since(now), by }
    }

    /// The answer to a request whose attempts all failed. Where a time is over, it names which, how long it was and where it is
    /// written.
    pub(crate) fn failed(&self, failure: &Failure, sent: Sent) -> Answer {
        let callee = self.edge.name.callee.as_str();
        let answer = Answer::failed(failure, callee, sent);
        let timeouts = self.edge.timeouts();
        let met = match failure {
            Failure::Timeout if self.is_callers_time() => self.callers_limit(),
            Failure::Timeout => Some(Met::Timeout(timeouts.0)),
            Failure::AttemptTimeout => timeouts.1.map(Met::AttemptTimeout),
            _ => None,
        };
        let fault = if matches!(failure, Failure::Timeout) && self.is_clients_time() {
            Fault::Caller
        } else {
            answer.fault
        };
        let answer = Answer { fault, ..answer };
        let Some(limit) = met.map(|it| it.at(self.edge.name.hop())) else { return answer };
        let Limit { value, hop, .. } = &limit;
        let text = match &limit.key {
            Some(key) => format!("{callee} gave no answer within {value}, `{key}` of {hop}"),
            None => format!("{callee} gave no answer within the {value} that its caller had left"),
        };
        Answer { text, ..answer }.limited(limit)
    }

    /// The time that the caller gave, as a limit.
    pub(crate) fn callers_limit(&self) -> Option<Met<'static>> {
        self.caller_deadline.map(|it| Met::CallerTimeout(it.since(self.began)))
    }

    /// The limit by which an answer under way was cut, by the word for why.
    pub(crate) fn cut_by(&self, error: &str, patience: Patience) -> Option<Limit> {
        let met = match error {
            "timeout" => self.callers_limit()?,
            "idle-timeout" => Met::AnswerSilence(patience.instance),
            "client-stalled" => Met::ClientSilence(patience.client),
            _ => return None,
        };
        Some(met.at(self.edge.name.hop()))
    }

    /// Whether the caller's time ends before that of the policy.
    fn is_callers_time(&self) -> bool {
        let until = self.call.as_ref().map(Call::deadline);
        let counts_from = self.counts_from;
        let callers = self.caller_deadline.map(|it| traffic::before_callers(counts_from, it));
        callers.is_some() && callers == until
    }

    /// Whether the client's own time ends before that of the policy.
    fn is_clients_time(&self) -> bool {
        self.timeout_by == TimeoutBy::Client && self.is_callers_time()
    }

    /// What an outcome says about the instance.
    fn blamed(&self, outcome: Outcome) -> Outcome {
        if outcome == Outcome::Timeout && self.is_clients_time() {
            return Outcome::Cancelled;
        }
        outcome
    }

    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// Some of its body is still to come.
    pub(crate) const fn awaits_body(&mut self) {
        self.is_coming = true;
    }

    /// Its body has come, if some of that was still to come.
    pub(crate) fn came(&mut self) {
        if std::mem::take(&mut self.is_coming)
            && let Some(call) = &mut self.call
        {
            self.counts_from = self.core.now();
            self.edge.decide.borrow_mut().came(self.counts_from, call);
        }
    }

    /// Chooses an instance for the next attempt. What it returns names the attempt.
    pub(crate) fn attempt(&mut self) -> Result<usize, Refusal> {
        let now = self.core.now();
        let call = self.call.as_mut().ok_or(Refusal::NoInstance)?;
        let picked = self.edge.decide.borrow_mut().pick(now, call);
        let place = picked.and_then(|it| self.start(it, now).ok_or(Refusal::NoInstance));
        place.inspect_err(|refusal| {
            // A request that reached an instance before counts by what came of that.
            if self.attempts == 0 {
                self.is_refused = true;
                self.edge.counters.borrow_mut().refused(refusal.word());
            }
        })
    }

    /// When to ask for a hedge, if there is to be one.
    pub(crate) fn hedge_at(&self) -> Option<Instant> {
        let free = self.under_way.iter().any(Option::is_none);
        let call = self.call.as_ref().filter(|_| free && self.hedges == 0)?;
        self.edge.decide.borrow().hedge_at(call)
    }

    /// Chooses another instance beside the one that takes long.
    pub(crate) fn hedge(&mut self) -> Option<usize> {
        let now = self.core.now();
        let call = self.call.as_mut()?;
        let picked = self.edge.decide.borrow_mut().hedge(now, call);
        // It is asked for once, whatever the answer.
        self.hedges = 1;
        let place = picked.and_then(|it| self.start(it, now));
        if place.is_none() {
            self.hedges = u8::MAX;
        }
        place
    }

    fn start(&mut self, pick: Pick, now: Instant) -> Option<usize> {
        let Some(upstream) = self.edge.upstream(pick.endpoint) else {
            self.edge.decide.borrow_mut().released(now, pick);
            return None;
        };
        let Some(place) = self.under_way.iter().position(Option::is_none) else {
            self.edge.decide.borrow_mut().released(now, pick);
            return None;
        };
        upstream.began();
        self.last = Some(Rc::clone(&upstream));
        let is_first = self.attempts == 0;
        self.attempts = self.attempts.saturating_add(1);
        self.first_release.get_or_insert(pick.release);
        if let Some(free) = self.under_way.get_mut(place) {
            *free = Some(Attempt { pick, upstream, began: now, is_first, is_answered: false });
        }
        Some(place)
    }

    /// The instance of an attempt under way.
    pub(crate) fn upstream(&self, place: usize) -> Option<&Rc<Upstream>> {
        self.under_way.get(place)?.as_ref().map(|it| &it.upstream)
    }

    /// Says what an attempt came to: the head of an answer, or a failure.
    pub(crate) fn answered(&mut self, place: usize, outcome: Outcome) -> Next {
        let now = self.core.now();
        let outcome = self.blamed(outcome);
        let attempt = self.under_way.get_mut(place).and_then(Option::as_mut);
        let (Some(attempt), Some(call)) = (attempt, self.call.as_mut()) else {
            return Next::Done;
        };
        attempt.is_answered = true;
        if attempt.is_first {
            self.first_attempt = Some((outcome, micros(now.since(attempt.began))));
        }
        self.edge.decide.borrow_mut().answered(now, call, &attempt.pick, outcome)
    }

    /// Says that an attempt is over: its answer has ended, or it has failed, or nobody wants it any more.
    pub(crate) fn released(&mut self, place: usize) {
        let Some(attempt) = self.under_way.get_mut(place).and_then(Option::take) else { return };
        let now = self.core.now();
        if let Some(call) = self.call.as_mut().filter(|_| !attempt.is_answered) {
            if let Some(trial) = self.trial.as_mut().filter(|_| attempt.is_first) {
                trial.abandoned_us = Some(micros(now.since(attempt.began)));
            }
            let mut decide = self.edge.decide.borrow_mut();
            let _nobody_asks: Next = decide.answered(now, call, &attempt.pick, Outcome::Cancelled);
        }
        self.edge.decide.borrow_mut().released(now, attempt.pick);
        attempt.upstream.ended();
        self.core.released(&attempt.upstream);
    }

    /// Bytes pass in both directions from now on.
    pub(crate) fn tunnels(&mut self) {
        self.tunnelled_at = Some(self.core.now());
    }

    /// Silence after which such a connection is closed.
    pub(crate) fn tunnel_idle(&self) -> Duration {
        self.edge.tunnel_idle()
    }

    /// How long an answer has taken, or a connection until it was one.
    fn latency(&self, now: Instant) -> Duration {
        self.tunnelled_at.unwrap_or(now).since(self.began)
    }

    /// The request is over.
    pub(crate) fn finish(mut self, asked: &impl Asked, end: &End<'_>) {
        let now = self.core.now();
        self.close(self.blamed(end.outcome), now);
        let duration = self.latency(now);
        let is_bad = !matches!(end.outcome, Outcome::Ok | Outcome::ClientError);
        // Whoever got an answer of ours was told its id.
        let is_own = end.fault.is_some();
        if self.trace.sampled || is_bad || is_own || SLOW <= duration {
            self.core.spans.keep(|| self.span(asked, end, duration));
        }
        self.log(end);
    }

    /// Ends everything that is under way, and counts. Once.
    fn close(&mut self, outcome: Outcome, now: Instant) {
        for place in 0..AT_ONCE {
            self.released(place);
        }
        let Some(call) = self.call.take() else { return };
        let next = self.edge.decide.borrow_mut().finish(now, call, outcome);
        if let Some(ticket) = next {
            self.edge.call(ticket);
            self.edge.call_waiting(now);
        }
        if self.is_refused {
            return;
        }
        let hedges = u64::from(self.hedges == 1);
        self.edge.counters.borrow_mut().ended(&Ended {
            release: self.release(),
            outcome,
            latency_us: micros(self.latency(now)),
            first_attempt: self.first_attempt,
            first_release: self.first_release,
            trial: self.trial,
            retries: u64::from(self.attempts.saturating_sub(1)).saturating_sub(hedges),
            hedges,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        });
    }

    /// Ends the record with what became of the crossing.
    fn log(&mut self, end: &End<'_>) {
        let Some(mut record) = self.record.take() else { return };
        let crossed = Crossed {
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            last: self.last.take(),
            attempts: self.attempts,
            trace: self.trace.trace,
        };
        record.crossed(crossed, end);
    }

    fn release(&self) -> Option<ReleaseNumber> {
        self.last.as_ref().map(|it| it.release)
    }

    fn span(&self, asked: &impl Asked, end: &End<'_>, duration: Duration) -> Span {
        Span {
            edge: Some(self.edge.name.clone()),
            status: end.status,
            release: self.release(),
            instance: self.last.as_ref().map(|it| it.instance.clone()),
            attempts: self.attempts,
            error: end.error.map(str::to_owned),
            fault: end.fault.map(|it| it.word().to_owned()),
            limit: end.limit.cloned(),
            ..begun(&self.core, &self.trace, asked, duration)
        }
    }
}

impl Drop for Crossing {
    fn drop(&mut self) {
        if self.call.is_some() {
            let now = self.core.tick();
            self.close(Outcome::Cancelled, now);
            self.log(&End::of(Outcome::Cancelled, None, Some("client-gone")));
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use host::Clock;
    use model::Rng;
    use model::edge::Resilience;
    use telemetry::report::{EdgeSignals, Outcomes};
    use tokio::runtime::Builder;
    use world::routing::Table;

    use super::*;
    use crate::counters::Extent;

    struct Get;

    impl Asked for Get {
        fn header(&self, _: &str) -> Option<&[u8]> {
            None
        }

        fn cookie(&self, _: &str) -> Option<&[u8]> {
            None
        }

        fn method(&self) -> &'static str {
            "GET"
        }

        fn path(&self) -> &'static str {
            "/"
        }
    }

    /// A service with these instances, and an edge to it.
    fn table(endpoints: &str) -> Arc<Table> {
        let policy = serde_json::to_string(&Resilience::default()).unwrap();
        let table = format!(
            r#"{{"index": 1, "routes": {{}},
                "backends": {{"shop/cart": {{"application": "shop", "service": "cart", "protocol": "http",
                    "endpoints": {endpoints}}}}},
                "edges": {{"shop/web>cart": {{"application": "shop", "caller": "web", "callee": "cart",
                    "port": 1, "policy": {policy}}}}}}}"#
        );
        Arc::new(serde_json::from_str(&table).unwrap())
    }

    fn core(endpoints: &str) -> Rc<Core> {
        let (told, _heard) = tokio::sync::mpsc::unbounded_channel();
        let core = Rc::new(Core::new(
            Clock::start(),
            Rng::new(1),
            0,
            told,
            crate::front::Front::default(),
        ));
        core.apply(&table(endpoints));
        core
    }

    fn begin(core: &Rc<Core>) -> Result<Crossing, Refusal> {
        let facts = Facts {
            client: Ipv4Addr::LOCALHOST.into(),
            idempotent: true,
            priority: Priority::default(),
            time_left: None,
            deadline_by: DeadlineBy::default(),
            trace: TraceContext { trace: 1, parent: None, span: 1, sampled: false },
        };
        let edge = core.edge("shop/web>cart").unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(Crossing::begin(core, &edge, &Get, facts))
    }

    fn signals(core: &Core) -> EdgeSignals {
        core.signals(Extent::All).edges.remove(0)
    }

    #[test]
    fn a_request_without_an_instance_counts_as_refused_and_as_nothing_else() {
        let core = core("[]");
        let refused = begin(&core).and_then(|mut crossing| {
            let attempt = crossing.attempt();
            let (outcome, status) = (Outcome::GatewayError, Some(503));
            crossing.finish(&Get, &End::of(outcome, status, Some("no-instance")));
            attempt
        });
        assert_eq!(refused, Err(Refusal::NoInstance));
        let seen = signals(&core);
        assert_eq!(seen.refused, [("no-instance".to_owned(), 1)]);
        assert_eq!(seen.releases, []);
    }

    #[test]
    fn a_request_that_finds_no_second_instance_counts_by_what_the_first_made_of_it() {
        let core = core(r#"[{"instance": "cart.1", "release": 3, "port": 1, "ready_at": 1}]"#);
        let mut crossing = begin(&core).unwrap();
        let place = crossing.attempt().unwrap();
        let _next: Next = crossing.answered(place, Outcome::ConnectFailure);
        crossing.released(place);
        core.apply(&table("[]"));
        assert!(crossing.attempt().is_err());
        crossing.finish(&Get, &End::of(Outcome::ConnectFailure, Some(502), None));
        let seen = signals(&core);
        assert_eq!(seen.refused, []);
        let failed = Outcomes { failed: 1, ..Outcomes::default() };
        assert_eq!(seen.releases.len(), 1);
        assert_eq!((seen.releases[0].outcomes, seen.releases[0].first_attempts), (failed, failed));
    }
}
