//! A replicated store: the instance that is asked asks the owners of copies, and answers when enough of them have.
//!
//! The instance that coordinates gives no worker of its own to that, as Cassandra's coordinators do not; each owner works on its
//! copy's part as on a request. Owners follow each other in their slots, and so in zone. What answers late still works.
//! Between instances of one store messages take the network's time, without the mesh.

use traffic::Outcome;

use super::Engine;
use super::events::Kind;
use super::instance::Phase;
use super::network::End;
use super::pool::{JobKind, NONE, Stage};
use behaviour::Outcome as Ending;

impl Engine<'_> {
    /// An instance asks the owners.
    pub(super) fn coordinate(&mut self, job: u32) {
        let it = *self.jobs.get(job);
        let service = self.instances[it.instance as usize].service as usize;
        let Some(replication) = self.system.parts[service].workload.replication else { return };
        let is_write = it.call != NONE && self.calls.get(it.call).bytes != 0;
        let needed = if is_write { replication.write } else { replication.read };
        let of = &mut self.services[service];
        let first = of.places.below(of.ring.len() as u64);
        let first = usize::try_from(first).unwrap_or(0);
        let ring = of.ring.iter().cycle().skip(first).copied();
        let owners: Vec<u32> = ring.take(of.ring.len().min(replication.factor as usize)).collect();
        // A read asks no more than must answer: those that are up, the nearest first.
        let zone = self.instances[it.instance as usize].zone;
        let phase = |id: &u32| self.instances.get(*id as usize).map(|it| it.phase);
        let is_up = |id: &u32| phase(id) == Some(Phase::Ready);
        let mut up: Vec<u32> = owners.iter().copied().filter(is_up).collect();
        up.sort_by_key(|id| self.instances[*id as usize].zone != zone);
        if !is_write {
            up.truncate(needed as usize);
        }
        let short = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        let left = u16::try_from(up.len()).unwrap_or(u16::MAX);
        let job_ref = self.jobs.get_mut(job);
        job_ref.stage = Stage::Calling;
        job_ref.kind = JobKind::Coordinating { needed: short(needed), left };
        if left < short(needed) {
            return self.coordinated(job, Ending::CalleeFailed { call: 0 });
        }
        for owner in up {
            self.ask_copy(job, it.serial, owner);
        }
    }

    fn ask_copy(&mut self, coordinator: u32, serial: u32, owner: u32) {
        if !self.jobs.is(coordinator, serial) {
            return;
        }
        let here = self.jobs.get(coordinator).instance;
        let job = self.jobs.add(JobKind::Copy { coordinator, serial }, owner);
        let time = self.between(here, owner);
        self.carry(job, time, Kind::Reached);
    }

    /// The time of a message between two instances of one store; none if it does not arrive.
    fn between(&mut self, from: u32, to: u32) -> Option<u64> {
        let (here, there) = (self.end_at(from), self.end_at(to));
        if from == to { Some(0) } else { self.network.message(here, there) }
    }

    fn end_at(&self, id: u32) -> End {
        let instance = &self.instances[id as usize];
        End { zone: instance.zone, service: instance.service }
    }

    /// A copy has done its part, which the coordinator hears of after the way back.
    pub(super) fn copied(&mut self, coordinator: u32, serial: u32, owner: u32, outcome: Outcome) {
        if !self.jobs.is(coordinator, serial) {
            return;
        }
        let here = self.jobs.get(coordinator).instance;
        match self.between(owner, here) {
            // The news is carried by a job of its own, which never works.
            Some(time) if 0 < time => {
                let news = self.jobs.add(JobKind::Copy { coordinator, serial }, owner);
                let it = self.jobs.get_mut(news);
                (it.stage, it.outcome) = (Stage::Answering, outcome);
                self.events.push(self.now + time, Kind::Answered, news);
            }
            Some(_) => self.copy_heard(coordinator, serial, outcome),
            None => {}
        }
    }

    /// The coordinator hears of a copy, unless it has answered already: its answer may still be on the way.
    pub(super) fn copy_heard(&mut self, job: u32, serial: u32, outcome: Outcome) {
        if !self.jobs.is(job, serial) || self.jobs.get(job).stage != Stage::Calling {
            return;
        }
        let it = self.jobs.get_mut(job);
        let JobKind::Coordinating { needed, left } = &mut it.kind else { return };
        *left = left.saturating_sub(1);
        if outcome == Outcome::Ok {
            *needed = needed.saturating_sub(1);
        }
        let (needed, left) = (*needed, *left);
        if needed == 0 {
            self.coordinated(job, Ending::Answered);
        } else if left < needed {
            self.coordinated(job, Ending::CalleeFailed { call: 0 });
        }
    }

    /// Enough copies have answered, or too few can.
    fn coordinated(&mut self, job: u32, ending: Ending) {
        let instance = self.jobs.get(job).instance;
        let service = self.instances[instance as usize].service as usize;
        self.leave(job, service, ending);
    }
}
