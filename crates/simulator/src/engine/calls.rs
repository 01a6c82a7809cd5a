//! The life of a call: it gets a connection and a place, is tried once or more, and ends.
//!
//! What is decided about it is decided by `traffic::Edge`, told what happened when, as the data plane tells it; this is
//! the driver in virtual time. It mirrors `proxy::crossing`.

use std::time::Duration;

use behaviour::CallEnd;
use model::Instant;
use model::scenario::Deadlines;
use traffic::{Ask, Begin, Edge, GiveUpReason, Next, Outcome, Pick, Refusal, Ticket};

use super::events::Kind;
use super::measure::nanos;
use super::network::End;
use super::pool::{AT_ONCE, Call, CallStage, JobKind, NONE};
use super::{Cell, Engine, workers};

impl Engine<'_> {
    /// Finds the rings that attempts' time limits go to, by edge.
    pub(super) fn make_rings(&mut self) {
        let system = self.system;
        let rings = system.links.iter().map(|link| {
            let attempt = link.policy.retry.attempt_timeout;
            [Some(link.policy.timeout), attempt].map(|time| {
                let time = nanos(time?);
                Some((time, self.events.ring(time)))
            })
        });
        self.rings = rings.collect();
    }

    /// A request at an instance makes one of its plan's calls.
    pub(super) fn call(&mut self, job: u32, service: usize, index: usize) {
        let parent = *self.jobs.get(job);
        let Some(planned) = self.jobs.executions[job as usize].plan().calls().get(index).copied()
        else {
            return;
        };
        let callee = planned.callee;
        let part = &self.system.parts[service];
        let instance = &self.instances[parent.instance as usize];
        let (edge, zone) = (part.edges[callee], instance.zone);
        let cell = self.cell(edge, zone, parent.instance);
        let bytes = planned.request_bytes;
        let call = self.calls.add(Call {
            edge,
            cell,
            parent: job,
            users: NONE,
            index: u32::try_from(index).unwrap_or(NONE),
            zone,
            bytes,
            // A call without a body is a GET.
            is_idempotent: bytes == 0,
            began: self.now,
            span: parent.span,
            next: parent.first_call,
            ..Call::new()
        });
        if parent.first_call != NONE {
            self.calls.get_mut(parent.first_call).previous = call;
        }
        self.jobs.get_mut(job).first_call = call;
        self.measure.edges[edge as usize].calls += 1;
        self.measure.bucket.calls += 1;
        if let Some(limit) = part.behaviour.connections(callee) {
            let instance = &mut self.instances[parent.instance as usize];
            if instance.rare.connections.len() <= callee {
                instance.rare.connections.resize_with(callee + 1, Default::default);
            }
            let connections = &mut instance.rare.connections[callee];
            if limit <= connections.in_use {
                connections.waiting.push_back(call);
                self.calls.get_mut(call).stage = CallStage::Connecting;
                return;
            }
            connections.in_use += 1;
            self.calls.get_mut(call).has_connection = true;
            self.measure.edges[edge as usize].connection_wait.record(Duration::ZERO);
        }
        self.cross(call);
    }

    /// The place where calls over an edge from an instance in a zone are decided.
    pub(super) fn cell(&self, edge: u32, zone: u16, instance: u32) -> u32 {
        let workers = workers(self.system);
        let zones = u32::try_from(self.system.regions.len()).unwrap_or(1);
        (edge * zones + u32::from(zone)) * workers + instance % workers
    }

    /// Makes sure that a place where calls are decided is there.
    fn open_cell(&mut self, place: u32) {
        if self.cells[place as usize].is_some() {
            return;
        }
        let workers = workers(self.system);
        let zones = u32::try_from(self.system.regions.len()).unwrap_or(1);
        let edge = place / workers / zones;
        let link = &self.system.links[edge as usize];
        let policy = self.faults.policy(edge).unwrap_or(&link.policy);
        let rng = self.seed.child(&format!("edge/{place}"));
        let mut decide = Edge::new(policy, rng);
        if 1 < zones {
            decide = decide.zone(u16::try_from(place / workers % zones).unwrap_or(0));
        }
        let callee = self.system.edges()[edge as usize].callee;
        let service = &mut self.services[callee];
        service.cells.push(place);
        let now = Instant::from_nanos(self.now);
        decide.set_endpoints(&service.endpoints, &service.split, now);
        self.cells[place as usize] = Some(Box::new(Cell { edge, decide, waiting: Vec::new() }));
    }

    /// A call asks to cross its edge.
    pub(super) fn cross(&mut self, call: u32) {
        let it = *self.calls.get(call);
        self.open_cell(it.cell);
        let deadline = match self.deadlines {
            Deadlines::Propagated if it.parent != NONE => {
                let deadline = self.jobs.get(it.parent).deadline;
                (deadline != u64::MAX).then(|| Instant::from_nanos(deadline))
            }
            _ => None,
        };
        let ask = Ask {
            key: (it.key != 0).then_some(it.key),
            release: None,
            priority: it.priority,
            idempotent: it.is_idempotent,
            deadline,
            ..Ask::default()
        };
        let now = self.instant();
        let Some(cell) = &mut self.cells[it.cell as usize] else { return };
        let begin = cell.decide.begin(now, &ask);
        if let Begin::Wait(ticket, _) = begin {
            cell.waiting.push((ticket, call));
            self.calls.tickets[call as usize] = Some(ticket);
        }
        let is_waiting = matches!(begin, Begin::Wait(..));
        self.begun(call, begin);
        if is_waiting {
            self.call_waiting(it.cell);
        }
    }

    /// What an edge says to a call that asked.
    fn begun(&mut self, call: u32, begin: Begin) {
        match begin {
            Begin::Go(decided) => {
                self.calls.traffic[call as usize] = Some(decided);
                self.calls.get_mut(call).due_at = u64::MAX;
                self.attempt(call);
            }
            Begin::Wait(_, until) => {
                let it = self.calls.get_mut(call);
                it.stage = CallStage::Waiting;
                it.due_at = until.as_nanos();
                self.events.push(until.as_nanos(), Kind::Waited, call);
            }
            Begin::Refuse(refusal) => self.refused(call, refusal),
        }
    }

    fn refused(&mut self, call: u32, refusal: Refusal) {
        let edge = self.calls.get(call).edge as usize;
        self.measure.edges[edge].refused.count(refusal);
        self.end(call, CallEnd::Failed);
    }

    /// A call has waited for a place as long as it may.
    pub(super) fn waited(&mut self, call: u32) {
        let it = *self.calls.get(call);
        if it.stage == CallStage::Waiting && it.due_at == self.now {
            self.admit(it.cell, call);
        }
    }

    /// A call that waits asks whether it may go.
    fn admit(&mut self, place: u32, call: u32) {
        let Some(ticket) = self.calls.tickets[call as usize] else { return };
        let now = self.instant();
        let Some(cell) = &mut self.cells[place as usize] else { return };
        let begin = cell.decide.admitted(now, ticket);
        if !matches!(begin, Begin::Wait(..)) {
            cell.waiting.retain(|it| it.0 != ticket);
            self.calls.tickets[call as usize] = None;
        }
        self.begun(call, begin);
    }

    /// Calls whoever waits at an edge and is due.
    fn call_waiting(&mut self, place: u32) {
        loop {
            let now = self.instant();
            let Some(cell) = &mut self.cells[place as usize] else { return };
            let Some(ticket) = cell.decide.expired(now) else { return };
            self.call_ticket(place, ticket);
        }
    }

    fn call_ticket(&mut self, place: u32, ticket: Ticket) {
        let Some(cell) = &self.cells[place as usize] else { return };
        let found = cell.waiting.iter().find(|it| it.0 == ticket).map(|it| it.1);
        if let Some(call) = found {
            self.admit(place, call);
        }
    }

    /// A call is tried.
    fn attempt(&mut self, call: u32) {
        let it = *self.calls.get(call);
        let now = self.instant();
        let (Some(cell), Some(decided)) =
            (&mut self.cells[it.cell as usize], &mut self.calls.traffic[call as usize])
        else {
            return;
        };
        let pick = match cell.decide.pick(now, decided) {
            Ok(pick) => pick,
            Err(refusal) => {
                if decided.attempts() == 0 {
                    self.measure.edges[it.edge as usize].refused.count(refusal);
                }
                return self.finish(call, Outcome::GatewayError);
            }
        };
        let limit = decided.attempt_deadline().as_nanos();
        let hedge_at = cell.decide.hedge_at(decided).map(Instant::as_nanos);
        let call_ref = self.calls.get_mut(call);
        call_ref.stage = CallStage::Trying;
        call_ref.times_out_at = limit;
        call_ref.hedges_at = hedge_at.unwrap_or(u64::MAX);
        let after = limit - self.now;
        let rings = &self.rings[it.edge as usize];
        match rings.iter().flatten().find(|(length, _)| *length == after) {
            Some((_, ring)) => self.events.time_out(self.now, *ring, call),
            None => self.events.push(limit, Kind::TimedOut, call),
        }
        if let Some(at) = hedge_at {
            self.events.push(at, Kind::Hedged, call);
        }
        self.send(call, 0, pick);
    }

    /// An attempt is sent to its instance.
    fn send(&mut self, call: u32, slot: usize, pick: Pick) {
        let it = *self.calls.get(call);
        let edge = &mut self.measure.edges[it.edge as usize];
        edge.attempts += 1;
        self.measure.bucket.attempts += 1;
        let callee = self.system.edges()[it.edge as usize].callee;
        self.fleet.comparisons.sent(callee, call, &pick, self.now);
        let id = pick.endpoint.0;
        let job = self.jobs.add(JobKind::Request, id);
        let instance = &self.instances[id as usize];
        let deadline = self.calls.traffic[call as usize]
            .as_ref()
            .map_or(u64::MAX, |it| it.deadline().as_nanos());
        let span = self.traces.sent(it.span, it.edge, instance, self.now);
        let job_ref = self.jobs.get_mut(job);
        job_ref.call = call;
        job_ref.attempt = u8::from(slot != 0);
        job_ref.deadline = deadline;
        job_ref.span = span;
        self.calls.get_mut(call).jobs[slot] = job;
        self.calls.picks[call as usize][slot] = Some(pick);
        let from = End { zone: it.zone, service: self.service_of(it.parent) };
        let to = End { zone: instance.zone, service: instance.service };
        let time = self.network.message(from, to).map(|it| it + self.half_hop);
        self.carry(job, time, Kind::Reached);
    }

    /// A second attempt beside the first is due.
    pub(super) fn hedged(&mut self, call: u32) {
        let it = *self.calls.get(call);
        if it.stage != CallStage::Trying || it.hedges_at != self.now {
            return;
        }
        self.calls.get_mut(call).hedges_at = u64::MAX;
        let now = self.instant();
        let (Some(cell), Some(decided)) =
            (&mut self.cells[it.cell as usize], &mut self.calls.traffic[call as usize])
        else {
            return;
        };
        let Some(free) = self.calls.picks[call as usize].iter().position(Option::is_none) else {
            return;
        };
        if let Some(pick) = cell.decide.hedge(now, decided) {
            self.measure.edges[it.edge as usize].hedges += 1;
            self.send(call, free, pick);
        }
    }

    /// The time of the attempts under way is up.
    pub(super) fn timed_out(&mut self, call: u32) {
        let it = *self.calls.get(call);
        if it.stage != CallStage::Trying || it.times_out_at != self.now {
            return;
        }
        self.calls.get_mut(call).times_out_at = u64::MAX;
        let deadline = self.calls.traffic[call as usize].as_ref().map(traffic::Call::deadline);
        let is_over = deadline.is_some_and(|it| it <= self.instant());
        let outcome = if is_over { Outcome::Timeout } else { Outcome::AttemptTimeout };
        self.measure.edges[it.edge as usize].timeouts += 1;
        for slot in 0..AT_ONCE {
            let is_there = self.calls.picks[call as usize][slot].is_some();
            if is_there && self.calls.get(call).serial == it.serial {
                let job = self.calls.get(call).jobs[slot];
                self.traces.ended(self.jobs.get(job).span, self.now, outcome);
                self.abandon(job);
                self.judge(call, slot, outcome);
            }
        }
    }

    /// An attempt has come to something.
    pub(super) fn attempt_ended(&mut self, call: u32, slot: usize, outcome: Outcome) {
        let it = self.calls.get(call);
        let (cell, job) = (it.cell, it.jobs[slot]);
        if job != NONE {
            self.traces.ended(self.jobs.get(job).span, self.now, outcome);
        }
        if cell == NONE {
            return self.end(call, end_of(outcome));
        }
        self.judge(call, slot, outcome);
    }

    /// What follows an attempt, as its edge decides.
    fn judge(&mut self, call: u32, slot: usize, outcome: Outcome) {
        let it = *self.calls.get(call);
        let now = self.instant();
        let Some(pick) = self.calls.picks[call as usize][slot].take() else { return };
        let (Some(cell), Some(decided)) =
            (&mut self.cells[it.cell as usize], &mut self.calls.traffic[call as usize])
        else {
            return;
        };
        let next = cell.decide.answered(now, decided, &pick, outcome);
        cell.decide.released(pick);
        self.fleet.comparisons.answered(call, outcome, self.now);
        match next {
            Next::GiveUp(GiveUpReason::AttemptUnderWay) => {}
            Next::Retry { after, .. } => {
                self.measure.edges[it.edge as usize].retries += 1;
                let at = self.now.saturating_add(nanos(after));
                let call_ref = self.calls.get_mut(call);
                call_ref.stage = CallStage::Pausing;
                call_ref.times_out_at = u64::MAX;
                call_ref.hedges_at = u64::MAX;
                call_ref.due_at = at;
                self.events.push(at, Kind::Paused, call);
            }
            Next::Done => self.finish(call, outcome),
            Next::GiveUp(_) => {
                self.measure.edges[it.edge as usize].given_up += 1;
                self.finish(call, outcome);
            }
        }
    }

    /// A call has paused before its next attempt.
    pub(super) fn paused(&mut self, call: u32) {
        let it = *self.calls.get(call);
        if it.stage == CallStage::Pausing && it.due_at == self.now {
            self.attempt(call);
        }
    }

    /// A call that crossed is over.
    fn finish(&mut self, call: u32, outcome: Outcome) {
        self.close(call, outcome);
        self.end(call, end_of(outcome));
    }

    /// Gives back what a call has on its edge: attempts under way, and its place.
    pub(super) fn close(&mut self, call: u32, outcome: Outcome) {
        let it = *self.calls.get(call);
        let now = self.instant();
        for slot in 0..AT_ONCE {
            let Some(pick) = self.calls.picks[call as usize][slot].take() else { continue };
            if let (Some(cell), Some(decided)) =
                (&mut self.cells[it.cell as usize], &mut self.calls.traffic[call as usize])
            {
                let _nobody_asks: Next =
                    cell.decide.answered(now, decided, &pick, Outcome::Cancelled);
                cell.decide.released(pick);
                self.fleet.comparisons.answered(call, Outcome::Cancelled, self.now);
            }
            let job = it.jobs[slot];
            self.traces.ended(self.jobs.get(job).span, self.now, Outcome::Cancelled);
            self.abandon(job);
        }
        let Some(decided) = self.calls.traffic[call as usize].take() else { return };
        let Some(cell) = &mut self.cells[it.cell as usize] else { return };
        self.fleet.comparisons.ended(call, outcome);
        if let Some(ticket) = cell.decide.finish(now, decided, outcome) {
            self.call_ticket(it.cell, ticket);
            self.call_waiting(it.cell);
        }
    }

    /// A call is over, and whoever made it is told.
    fn end(&mut self, call: u32, end: CallEnd) {
        let it = *self.calls.get(call);
        self.remove_call(call);
        let edge = &mut self.measure.edges[it.edge as usize];
        match end {
            CallEnd::Answered => edge.succeeded += 1,
            CallEnd::Failed => edge.failed += 1,
        }
        edge.latency.record_nanos(self.now - it.began);
        if it.parent == NONE {
            self.request_ended(&it, end);
        } else {
            self.call_ended(it.parent, it.index, end);
        }
    }
}

/// How a call ended, as far as its caller cares.
const fn end_of(outcome: Outcome) -> CallEnd {
    match outcome {
        Outcome::Ok => CallEnd::Answered,
        _ => CallEnd::Failed,
    }
}
