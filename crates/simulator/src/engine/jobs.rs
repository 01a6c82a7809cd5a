//! The life of a request at an instance: it arrives, waits, is worked on, makes its calls, is answered.
//!
//! A request holds its worker from its turn to its answer, its calls included, as a synchronous service does (and the
//! emulator's synthetic ones). Where processors are shared, it holds none while it waits for its calls.

use std::time::Duration;

use behaviour::sharing::Sharing;
use behaviour::{CallEnd, Next, Outcome as Ending};
use model::Instant;
use model::scenario::Abandoned;
use model::workload::Discipline;
use traffic::Outcome;

use super::Engine;
use super::events::{Event, Kind};
use super::instance::Phase;
use super::measure::nanos;
use super::network::{End, scaled};
use super::pool::{JobKind, NONE, Stage};

impl Engine<'_> {
    /// A request reaches its instance.
    pub(super) fn reached(&mut self, job: u32) {
        let it = *self.jobs.get(job);
        if it.stage == Stage::Dead {
            return self.jobs.remove(job);
        }
        let instance = &self.instances[it.instance as usize];
        if matches!(instance.phase, Phase::Starting | Phase::Gone) {
            return self.answer(job, Outcome::ConnectFailure);
        }
        let service = instance.service as usize;
        let now = self.now;
        self.traces.arrived(it.span, now);
        let station = &mut self.measure.stations[service];
        station.counts.arrived += 1;
        station.present.up(now);
        self.jobs.get_mut(job).arrived = now;
        match it.kind {
            JobKind::Request if self.system.parts[service].workload.replication.is_some() => {
                self.coordinate(job);
            }
            _ => self.take(job, service),
        }
    }

    /// The instance takes a request: it works on it at once, or lets it wait, or turns it away.
    fn take(&mut self, job: u32, service: usize) {
        let workload = &self.system.parts[service].workload;
        let Self { services, instances, .. } = &self;
        let (of, id) = (&services[service], self.jobs.get(job).instance);
        let instance = &instances[id as usize];
        let is_shared = workload.discipline == Discipline::ProcessorSharing;
        let at_once = match workload.queue {
            // Those who share processors are all begun with, as many as may be there.
            Some(_) if is_shared && workload.concurrency.is_some() => {
                of.workers.saturating_add(of.queue)
            }
            _ if is_shared => u32::MAX,
            _ => of.workers,
        };
        if instance.busy < at_once {
            self.instances[id as usize].busy += 1;
            self.measure.stations[service].busy.up(self.now);
            self.begin(job, service);
        } else if !is_shared && instance.waiting < of.queue {
            self.enqueue(job, service);
        } else {
            self.turn_away(job, service);
        }
    }

    fn enqueue(&mut self, job: u32, service: usize) {
        let id = self.jobs.get(job).instance;
        let instance = &mut self.instances[id as usize];
        instance.rare.queue.push_back(job);
        instance.waiting += 1;
        let station = &mut self.measure.stations[service];
        station.waiting.up(self.now);
        station.counts.waiting_max = station.counts.waiting_max.max(u64::from(instance.waiting));
        self.jobs.get_mut(job).stage = Stage::Queued;
        let of = &mut self.services[service];
        if let Some(patience) = of.behaviour.patience() {
            let time = nanos(patience.draw(&mut of.places));
            let at = self.now.saturating_add(time);
            self.jobs.get_mut(job).reneges_at = at;
            self.events.push(at, Kind::Reneged, job);
        }
    }

    fn turn_away(&mut self, job: u32, service: usize) {
        let arrived = self.jobs.get(job).arrived;
        let station = &mut self.measure.stations[service];
        station.counts.rejected += 1;
        station.leave(self.now, arrived, self.measure.since);
        self.answer(job, Outcome::GatewayError);
    }

    /// A request that waits has waited long enough.
    pub(super) fn reneged(&mut self, job: u32) {
        let it = *self.jobs.get(job);
        if it.stage != Stage::Queued || it.reneges_at != self.now {
            return;
        }
        let instance = &mut self.instances[it.instance as usize];
        let service = instance.service as usize;
        instance.waiting -= 1;
        instance.rare.queue.retain(|other| *other != job);
        let station = &mut self.measure.stations[service];
        station.waiting.down(self.now);
        station.counts.reneged += 1;
        station.leave(self.now, it.arrived, self.measure.since);
        self.answer(job, Outcome::GatewayError);
    }

    /// A worker begins with a request.
    fn begin(&mut self, job: u32, service: usize) {
        let it = *self.jobs.get(job);
        let now = self.now;
        let Self { services, jobs, .. } = self;
        let of = &mut services[service];
        let work = if let JobKind::Background(which) = it.kind {
            let background = of.behaviour.background().get(which as usize);
            background.map_or(Duration::ZERO, |it| it.work.draw(&mut of.places))
        } else {
            let execution = &mut jobs.executions[job as usize];
            execution.restart(&of.behaviour, &mut of.rng);
            execution.plan().work
        };
        if !matches!(it.kind, JobKind::Background(_)) {
            self.measure.stations[service].counts.waited.record_nanos(now - it.arrived);
            self.traces.began(it.span, now);
        }
        self.measure.stations[service].working.up(now);
        let job_ref = self.jobs.get_mut(job);
        if self.system.parts[service].workload.discipline == Discipline::ProcessorSharing {
            job_ref.stage = Stage::Sharing;
            return self.share(job, work);
        }
        job_ref.stage = Stage::Working;
        let instance = &self.instances[it.instance as usize];
        let slowdown = instance.slowdown(&self.services[service].behaviour);
        let time = scaled(nanos(work), slowdown);
        if time == 0 {
            return self.worked(job);
        }
        self.events.push(now.saturating_add(time), Kind::Worked, job);
    }

    /// One more shares an instance's processors.
    fn share(&mut self, job: u32, work: Duration) {
        let now = self.instant();
        let id = self.jobs.get(job).instance;
        let instance = &mut self.instances[id as usize];
        let processors = self.services[instance.service as usize].workers;
        let processors = if processors == u32::MAX { 1 } else { processors };
        let sharing =
            instance.rare.sharing.get_or_insert_with(|| Box::new(Sharing::new(processors)));
        self.jobs.shares[job as usize] = Some(sharing.on_arrival(now, work, job));
        self.share_again(id);
    }

    /// Arranges for the next end of those who share an instance's processors.
    pub(super) fn share_again(&mut self, id: u32) {
        let now = self.instant();
        let instance = &mut self.instances[id as usize];
        let slowdown = instance.slowdown(&self.services[instance.service as usize].behaviour);
        let Some(sharing) = &mut instance.rare.sharing else { return };
        sharing.set_speed(now, 1.0 / slowdown);
        let at = sharing.deadline().map_or(u64::MAX, Instant::as_nanos);
        if instance.rare.shared_at != at {
            instance.rare.shared_at = at;
            if at != u64::MAX {
                self.events.push(at, Kind::Shared, id);
            }
        }
    }

    /// The first of those who share an instance's processors is done.
    pub(super) fn shared(&mut self, id: u32) {
        let now = self.instant();
        let instance = &mut self.instances[id as usize];
        if instance.rare.shared_at != self.now {
            return;
        }
        instance.rare.shared_at = u64::MAX;
        let Some(done) = instance.rare.sharing.as_mut().and_then(|it| it.take_done(now)) else {
            return self.share_again(id);
        };
        instance.busy -= 1;
        self.measure.stations[instance.service as usize].busy.down(self.now);
        self.jobs.shares[done as usize] = None;
        // Others may be done at the same time: they are due again at once.
        self.share_again(id);
        self.worked(done);
    }

    /// An instance has worked on a request.
    pub(super) fn worked(&mut self, job: u32) {
        let it = *self.jobs.get(job);
        if it.stage == Stage::Dead {
            return self.jobs.remove(job);
        }
        let instance = &self.instances[it.instance as usize];
        let service = instance.service as usize;
        self.measure.stations[service].working.down(self.now);
        if let JobKind::Background(_) = it.kind {
            return self.background_done(job);
        }
        let errors = instance.errors;
        if errors != 0.0 && self.faults.rng.happens(errors) {
            return self.leave(job, service, Ending::OwnError);
        }
        self.jobs.get_mut(job).stage = Stage::Calling;
        let next = self.jobs.executions[job as usize].on_worked();
        if let JobKind::Copy { .. } = it.kind {
            let ending = match next {
                Next::Finish(ending) => ending,
                Next::Calls(_) => Ending::Answered,
            };
            return self.leave(job, service, ending);
        }
        self.go_on(job, service, next);
    }

    /// A request does what comes next.
    fn go_on(&mut self, job: u32, service: usize, next: Next) {
        match next {
            Next::Finish(ending) => self.leave(job, service, ending),
            Next::Calls(range) => {
                let serial = self.jobs.get(job).serial;
                for index in range {
                    if !self.jobs.is(job, serial) {
                        return;
                    }
                    self.call(job, service, index);
                }
            }
        }
    }

    /// A call that was made for a request has ended.
    pub(super) fn call_ended(&mut self, job: u32, index: u32, end: CallEnd) {
        let next = self.jobs.executions[job as usize].on_call_ended(index as usize, end);
        if let Some(next) = next {
            let instance = self.jobs.get(job).instance;
            let service = self.instances[instance as usize].service as usize;
            self.go_on(job, service, next);
        }
    }

    /// A request is done with, and leaves its instance with an answer.
    pub(super) fn leave(&mut self, job: u32, service: usize, ending: Ending) {
        let it = *self.jobs.get(job);
        let station = &mut self.measure.stations[service];
        station.counts.answered += 1;
        let outcome = match ending {
            Ending::Answered => Outcome::Ok,
            Ending::OwnError => {
                station.counts.own_errors += 1;
                Outcome::ServerError
            }
            Ending::CalleeFailed { .. } => {
                station.counts.callee_errors += 1;
                Outcome::GatewayError
            }
        };
        station.counts.sojourn.record_nanos(self.now - it.arrived);
        station.leave(self.now, it.arrived, self.measure.since);
        self.traces.answered(it.span, self.now);
        let is_fifo = self.system.parts[service].workload.discipline == Discipline::Fifo;
        // Who coordinates copies has no worker to give back.
        if is_fifo && !matches!(it.kind, JobKind::Coordinating { .. }) {
            self.free_worker(it.instance, service);
        }
        if let JobKind::Copy { coordinator, serial } = it.kind {
            self.jobs.remove(job);
            return self.copied(coordinator, serial, it.instance, outcome);
        }
        self.answer(job, outcome);
    }

    /// A worker is free: whoever waited longest is next.
    pub(super) fn free_worker(&mut self, id: u32, service: usize) {
        loop {
            let instance = &mut self.instances[id as usize];
            // Those that have left are met when somebody behind them is next.
            let next = if instance.waiting == 0 { None } else { instance.rare.queue.pop_front() };
            let Some(job) = next else {
                instance.busy -= 1;
                self.measure.stations[service].busy.down(self.now);
                return;
            };
            if self.jobs.get(job).stage == Stage::Dead {
                self.jobs.remove(job);
                continue;
            }
            instance.waiting -= 1;
            self.measure.stations[service].waiting.down(self.now);
            return self.begin(job, service);
        }
    }

    /// What a request came to goes back to whoever waits for it.
    pub(super) fn answer(&mut self, job: u32, outcome: Outcome) {
        let it = *self.jobs.get(job);
        if let JobKind::Copy { coordinator, serial } = it.kind {
            self.jobs.remove(job);
            return self.copied(coordinator, serial, it.instance, outcome);
        }
        if it.call == NONE {
            self.jobs.remove(job);
            if let JobKind::Background(which) = it.kind {
                self.arrange_background(it.instance, which);
            }
            return;
        }
        let job_ref = self.jobs.get_mut(job);
        job_ref.outcome = outcome;
        job_ref.stage = Stage::Answering;
        let call = self.calls.get(it.call);
        if call.cell == NONE {
            return self.answered(job);
        }
        let instance = &self.instances[it.instance as usize];
        let from = End { zone: instance.zone, service: instance.service };
        let to = End { zone: call.zone, service: self.service_of(call.parent) };
        let time = self.network.message(from, to).map(|it| it + self.half_hop);
        self.carry(job, time, Kind::Answered);
    }

    /// A job is on its way for so long, at once if that is no time; without a time it is lost.
    pub(super) fn carry(&mut self, job: u32, time: Option<u64>, kind: Kind) {
        match time {
            None => self.jobs.get_mut(job).stage = Stage::Lost,
            Some(0) => self.happen(Event { kind, of: job }),
            Some(time) => self.events.push(self.now + time, kind, job),
        }
    }

    /// The caller has the answer.
    pub(super) fn answered(&mut self, job: u32) {
        let it = *self.jobs.get(job);
        self.jobs.remove(job);
        if let JobKind::Copy { coordinator, serial } = it.kind {
            return self.copy_heard(coordinator, serial, it.outcome);
        }
        if it.stage == Stage::Answering && it.call != NONE {
            self.attempt_ended(it.call, usize::from(it.attempt), it.outcome);
        }
    }

    /// The service a job is at; none is the gateway.
    pub(super) fn service_of(&self, job: u32) -> u32 {
        if job == NONE {
            return NONE;
        }
        self.instances[self.jobs.get(job).instance as usize].service
    }

    /// The caller of a request does not wait any more.
    pub(super) fn abandon(&mut self, job: u32) {
        let it = self.jobs.get_mut(job);
        it.call = NONE;
        match (self.abandoned, it.stage) {
            // What never arrived, and what is done with, is nobody's work.
            (_, Stage::Lost) => self.jobs.remove(job),
            (_, Stage::Answering) => {}
            (Abandoned::Cancelled, _) | (Abandoned::Skipped, Stage::Sent | Stage::Queued) => {
                self.cancel(job);
            }
            (Abandoned::Skipped | Abandoned::WorkedOn, _) => {}
        }
    }

    /// A request is given up where it is, with everything it waits for.
    pub(super) fn cancel(&mut self, job: u32) {
        let it = *self.jobs.get(job);
        let service = self.instances[it.instance as usize].service as usize;
        match it.stage {
            Stage::Free | Stage::Dead | Stage::Answering => return,
            Stage::Lost => return self.jobs.remove(job),
            // Its event is still to come, or it is still in the queue.
            Stage::Sent => return self.jobs.get_mut(job).stage = Stage::Dead,
            Stage::Queued | Stage::Working | Stage::Sharing | Stage::Calling => {}
        }
        let station = &mut self.measure.stations[service];
        station.counts.cancelled += 1;
        station.leave(self.now, it.arrived, self.measure.since);
        let is_fifo = self.system.parts[service].workload.discipline == Discipline::Fifo;
        match it.stage {
            Stage::Queued => {
                station.waiting.down(self.now);
                self.instances[it.instance as usize].waiting -= 1;
                self.jobs.get_mut(job).stage = Stage::Dead;
            }
            Stage::Working => {
                station.working.down(self.now);
                self.jobs.get_mut(job).stage = Stage::Dead;
                self.free_worker(it.instance, service);
            }
            Stage::Sharing => {
                station.working.down(self.now);
                self.stop_sharing(job, service);
                self.jobs.remove(job);
            }
            _ => {
                self.cancel_calls(job);
                let coordinates = matches!(it.kind, JobKind::Coordinating { .. });
                self.jobs.remove(job);
                if is_fifo && !coordinates {
                    self.free_worker(it.instance, service);
                }
            }
        }
    }

    /// One less shares an instance's processors.
    fn stop_sharing(&mut self, job: u32, service: usize) {
        let id = self.jobs.get(job).instance;
        let now = self.instant();
        let instance = &mut self.instances[id as usize];
        instance.busy -= 1;
        self.measure.stations[service].busy.down(self.now);
        if let (Some(sharing), Some(share)) =
            (&mut instance.rare.sharing, self.jobs.shares[job as usize].take())
        {
            sharing.on_left(now, share);
        }
        self.share_again(id);
    }

    /// An instance does some work of its own, as often as it does.
    pub(super) fn background(&mut self, of: u32) {
        let (id, which) = self.fleet.background[of as usize];
        let instance = &self.instances[id as usize];
        let service = instance.service as usize;
        if instance.phase == Phase::Gone {
            return;
        }
        let job = self.jobs.add(JobKind::Background(which), id);
        let station = &mut self.measure.stations[service];
        station.present.up(self.now);
        self.jobs.get_mut(job).arrived = self.now;
        self.take(job, service);
    }

    fn background_done(&mut self, job: u32) {
        let it = *self.jobs.get(job);
        let service = self.instances[it.instance as usize].service as usize;
        self.measure.stations[service].leave(self.now, it.arrived, self.measure.since);
        self.jobs.remove(job);
        if self.system.parts[service].workload.discipline == Discipline::Fifo {
            self.free_worker(it.instance, service);
        }
        if let JobKind::Background(which) = it.kind {
            self.arrange_background(it.instance, which);
        }
    }
}
