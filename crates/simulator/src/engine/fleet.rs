//! Instances come and go: those of a fleet that nothing happens to are there from the beginning, others live and die
//! by the planner.

mod comparison;
mod managed;
mod rollouts;

use model::{Instant, ReleaseNumber};
use traffic::{EndpointId, EndpointSpec, Outcome};

use super::Engine;
use super::events::Kind;
use super::instance::{Instance, Phase};
use super::measure::nanos;
use super::pool::{JobKind, NONE, Stage};
use comparison::Comparisons;
use managed::Managed;

/// The fleet.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// Work instances do by themselves: the instance, and which of its service's.
    pub(super) background: Vec<(u32, u32)>,
    /// The world and what is arranged, where anything may happen to an instance.
    managed: Option<Box<Managed>>,
    /// What is counted for rollouts.
    pub(super) comparisons: Comparisons,
}

impl Fleet {
    /// What an instance's release does to its work: how many times as long it takes, and the share that is good.
    pub(super) fn release_of(&self, instance: &Instance) -> (f64, f64) {
        let of = |it: &Managed| it.effect_of(instance.service, instance.release);
        self.managed.as_deref().map_or((1.0, 1.0), of)
    }
}

impl Engine<'_> {
    /// Every service has its instances.
    pub(super) fn begin_fleet(&mut self) {
        if managed::is_needed(self.system) {
            return self.begin_managed();
        }
        let system = self.system;
        for (service, part) in (0..).zip(&system.parts) {
            for number in 0..part.replicas {
                let id = self.add_instance(service, number, number);
                self.set_ready(id);
            }
            self.endpoints_changed(service as usize);
        }
    }

    /// An instance in a slot, which says where it is.
    fn add_instance(&mut self, service: u32, number: u32, slot: u32) -> u32 {
        let zones = u32::try_from(self.system.regions.len()).unwrap_or(1);
        let zone = u16::try_from(slot % zones).unwrap_or(0);
        let id = u32::try_from(self.instances.len()).unwrap_or(NONE);
        self.instances.push(Instance::new(service, number, zone));
        let of = &mut self.services[service as usize];
        of.instances.push(id);
        let slot = slot as usize;
        if of.ring.len() <= slot {
            of.ring.resize(slot + 1, NONE);
        }
        of.ring[slot] = id;
        id
    }

    /// An instance answers from now on.
    fn set_ready(&mut self, id: u32) {
        let instance = &mut self.instances[id as usize];
        instance.phase = Phase::Ready;
        instance.rare.ready_at = self.now;
        let service = instance.service as usize;
        self.services[service].ready.push(id);
        self.measure.stations[service].instances.up(self.now);
        for which in 0..self.services[service].behaviour.background().len() {
            self.arrange_background(id, u32::try_from(which).unwrap_or(0));
        }
    }

    /// An instance is one of those that take requests no longer.
    fn set_unready(&mut self, id: u32, phase: Phase) {
        let instance = &mut self.instances[id as usize];
        let was_ready = instance.phase == Phase::Ready;
        instance.phase = phase;
        let service = instance.service as usize;
        if was_ready {
            self.services[service].ready.retain(|it| *it != id);
            self.measure.stations[service].instances.down(self.now);
        }
    }

    /// The callers of a service see those of its instances that are ready.
    fn endpoints_changed(&mut self, place: usize) {
        let ready = self.services[place].ready.iter();
        self.services[place].endpoints = ready.map(|id| self.endpoint(*id)).collect();
        self.tell_callers(place);
    }

    /// An instance as its callers know it.
    fn endpoint(&self, id: u32) -> EndpointSpec {
        let instance = &self.instances[id as usize];
        EndpointSpec {
            id: EndpointId(id),
            release: ReleaseNumber(instance.release),
            weight: 1,
            zone: instance.zone,
            ready_at: Instant::from_nanos(instance.rare.ready_at),
        }
    }

    fn tell_callers(&mut self, place: usize) {
        let service = &self.services[place];
        let now = Instant::from_nanos(self.now);
        for cell in &service.cells {
            if let Some(cell) = &mut self.cells[*cell as usize] {
                cell.decide.set_endpoints(&service.endpoints, &service.split, now);
            }
        }
    }

    /// Arranges for the next work of an instance's own.
    pub(super) fn arrange_background(&mut self, id: u32, which: u32) {
        let instance = &self.instances[id as usize];
        if instance.phase == Phase::Gone {
            return;
        }
        let service = instance.service as usize;
        let of = &mut self.services[service];
        let Some(background) = of.behaviour.background().get(which as usize) else { return };
        let pause = nanos(background.pause.draw(&mut of.places));
        let place = self.fleet.background.iter().position(|it| *it == (id, which));
        let place = place.unwrap_or_else(|| {
            self.fleet.background.push((id, which));
            self.fleet.background.len() - 1
        });
        let at = self.now.saturating_add(pause);
        self.events.push(at, Kind::Background, u32::try_from(place).unwrap_or(NONE));
    }

    /// An instance dies, with everything it worked on. Callers find out when they try it; the data plane hears of it
    /// when the planner's world does.
    pub(super) fn kill(&mut self, id: u32) {
        if self.instances[id as usize].phase == Phase::Gone {
            return;
        }
        self.set_unready(id, Phase::Gone);
        let service = self.instances[id as usize].service as usize;
        self.end_jobs(id, service);
        self.died(id);
    }

    /// Everything at an instance ends with it: callers' connections are reset.
    fn end_jobs(&mut self, id: u32, service: usize) {
        let here = |job: &super::pool::Job| {
            job.instance == id
                && matches!(
                    job.stage,
                    Stage::Queued | Stage::Working | Stage::Sharing | Stage::Calling
                )
        };
        let jobs = (0..).zip(&self.jobs.all).filter(|it| here(it.1));
        let jobs: Vec<(u32, u32)> = jobs.map(|(place, job)| (place, job.serial)).collect();
        let instance = &mut self.instances[id as usize];
        // Nobody who waits is to be begun with while the others end.
        let queue = std::mem::take(&mut instance.rare.queue);
        for job in queue {
            if self.jobs.get(job).stage == Stage::Dead {
                self.jobs.remove(job);
            }
        }
        for (job, serial) in jobs {
            if !self.jobs.is(job, serial) {
                continue;
            }
            let it = *self.jobs.get(job);
            self.cancel_at_dead(job, service);
            if let JobKind::Copy { coordinator, serial } = it.kind {
                self.copied(coordinator, serial, id, Outcome::Reset);
            } else if it.call != NONE {
                // The caller finds its connection reset.
                let news = self.jobs.add(JobKind::Request, id);
                let news_ref = self.jobs.get_mut(news);
                (news_ref.call, news_ref.attempt, news_ref.span) = (it.call, it.attempt, it.span);
                self.calls.get_mut(it.call).jobs[usize::from(it.attempt)] = news;
                self.answer(news, Outcome::Reset);
            }
        }
    }

    fn cancel_at_dead(&mut self, job: u32, service: usize) {
        if self.jobs.get(job).stage == Stage::Queued {
            // It is in no queue any more that would free its place.
            let it = *self.jobs.get(job);
            let station = &mut self.measure.stations[service];
            station.counts.cancelled += 1;
            station.waiting.down(self.now);
            station.leave(self.now, it.arrived, self.measure.since);
            self.instances[it.instance as usize].waiting -= 1;
            return self.jobs.remove(job);
        }
        self.cancel(job);
    }
}
