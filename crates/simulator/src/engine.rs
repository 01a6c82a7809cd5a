//! The engine: pops what happens next and lets it happen, until the time is up.
//!
//! One replication is one thread's work. Each kind of happening has a module: `users` send, `calls` cross edges, `jobs`
//! are worked on at instances, `copies` keep replicated stores, `faults` break things, `fleet` mends them. Everything random comes
//! from a stream of the thing that draws, so that a change in one place leaves the luck of the others as it was.

mod calls;
mod copies;
mod events;
mod faults;
mod fleet;
mod giving_up;
mod instance;
mod jobs;
mod measure;
mod network;
mod pool;
mod traces;
mod users;

use std::time::Duration;

use behaviour::Behaviour;
use model::scenario::{Abandoned, Deadlines};
use model::{Instant, Rng};
use traffic::{Edge, EndpointSpec, Split, Ticket};

use crate::outcome::Outcome;
use crate::run::{Go, Run};
use crate::system::System;
use events::{Event, Events, Kind, Ring};
use faults::Faults;
use fleet::Fleet;
use instance::Instance;
use measure::{Levels, Measure, nanos};
use network::Network;
use pool::{Calls, Jobs, Stage};
use traces::Traces;
use users::Users;

/// Events between two words on how far it is: a few hundredths of a second.
const TELL_EVERY: u64 = 1 << 18;
/// Events at one moment, at most: more is a system that does endless work in no time.
const AT_ONE_MOMENT_MAX: u64 = 20_000_000;

/// One replication under way.
pub(crate) struct Engine<'a> {
    system: &'a System,
    now: u64,
    events: Events,
    jobs: Jobs,
    calls: Calls,
    services: Vec<Service>,
    instances: Vec<Instance>,
    /// By edge, zone and worker; made when they are needed.
    cells: Vec<Option<Box<Cell>>>,
    /// Rings of each edge's time limits: of the whole, and of one attempt.
    rings: Vec<[Option<(u64, Ring)>; 2]>,
    users: Vec<Users>,
    network: Network,
    faults: Faults,
    fleet: Fleet,
    measure: Measure,
    traces: Traces,
    seed: Rng,
    /// Time of the mesh in each direction.
    half_hop: u64,
    abandoned: Abandoned,
    deadlines: Deadlines,
    load: f64,
    end: u64,
    digest: u64,
}

/// A service and its instances.
#[derive(Debug)]
struct Service {
    behaviour: Behaviour,
    rng: Rng,
    /// Where copies are, and which instance takes what goes to any.
    places: Rng,
    /// All instances, those that are gone too.
    instances: Vec<u32>,
    /// The last instance of each slot: what is kept on one is kept on whatever takes its slot, in the same zone.
    ring: Vec<u32>,
    ready: Vec<u32>,
    endpoints: Vec<EndpointSpec>,
    split: Split,
    /// The cells that call it.
    cells: Vec<u32>,
    /// Places in the queue of one instance.
    queue: u32,
    workers: u32,
}

/// An edge as one core of the data plane in one zone sees it.
#[derive(Debug)]
struct Cell {
    edge: u32,
    decide: Edge,
    /// Calls that wait for a place, by ticket.
    waiting: Vec<(Ticket, u32)>,
}

impl<'a> Engine<'a> {
    /// Everything as it is at the beginning.
    pub(crate) fn new(system: &'a System, run: &Run) -> Self {
        let scenario = system.scenario();
        let seed = Rng::new(run.seed).child("replication");
        let seed = seed.child(&run.replication.to_string());
        let cells = system.links.len() * scenario.network.zones.len() * workers(system) as usize;
        let mut engine = Self {
            system,
            now: 0,
            events: Events::new(),
            jobs: Jobs::default(),
            calls: Calls::default(),
            services: services(system, &seed),
            instances: Vec::new(),
            cells: (0..cells).map(|_| None).collect(),
            rings: Vec::new(),
            users: users::users(system, &seed),
            network: Network::new(system, seed.child("network")),
            faults: Faults::new(system, seed.child("faults")),
            fleet: Fleet::default(),
            measure: Measure::new(system),
            traces: Traces::new(run.traces, scenario.duration),
            half_hop: nanos(scenario.network.hop) / 2,
            abandoned: scenario.abandoned,
            deadlines: scenario.deadlines,
            load: run.load,
            end: nanos(scenario.duration),
            digest: 0,
            seed,
        };
        engine.make_rings();
        engine.begin_fleet();
        engine.begin_faults();
        engine.begin_users();
        engine.events.push(engine.measure.bucket_nanos, Kind::Bucket, 0);
        engine
    }

    /// Runs to the end.
    pub(crate) fn run(mut self, run: &Run, tell: &mut dyn FnMut(f64) -> Go) -> Option<Outcome> {
        let warm_up = run.warm_up.or(self.system.scenario().warm_up).unwrap_or(Duration::ZERO);
        let warm_up = nanos(warm_up).min(self.end);
        let mut events = 0;
        for until in [warm_up, self.end] {
            if until == 0 {
                continue;
            }
            events += self.play(until, tell)?;
            if until == warm_up {
                self.measure.restart(self.now);
            }
        }
        Some(self.outcome(run, events))
    }

    /// Lets everything happen up to a time, the last moment included.
    fn play(&mut self, until: u64, tell: &mut dyn FnMut(f64) -> Go) -> Option<u64> {
        let mut count: u64 = 0;
        let (mut moment, mut since) = (u64::MAX, 0);
        loop {
            let calls = &self.calls.all;
            let is_meant = |at, call: u32| calls[call as usize].times_out_at == at;
            let Some((at, event)) = self.events.pop(until, is_meant) else { break };
            self.now = at;
            count += 1;
            self.digest = (self.digest.rotate_left(5) ^ at ^ u64::from(event.kind as u8) << 56)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.happen(event);
            if count.is_multiple_of(TELL_EVERY) {
                if moment == at && AT_ONE_MOMENT_MAX < count - since {
                    let problem = "endless work in no time: some users neither think nor wait";
                    self.measure.violations.push(problem.to_owned());
                    break;
                }
                if moment != at {
                    (moment, since) = (at, count);
                }
                if tell(instance::float(at) / instance::float(self.end.max(1))) == Go::Stop {
                    return None;
                }
            }
        }
        self.now = until;
        Some(count)
    }

    fn happen(&mut self, Event { kind, of }: Event) {
        match kind {
            Kind::Worked => self.worked(of),
            Kind::Reached => self.reached(of),
            Kind::Answered => self.answered(of),
            Kind::Arrival => self.arrival(of),
            Kind::TimedOut => self.timed_out(of),
            Kind::Shared => self.shared(of),
            Kind::Thought => self.thought(of),
            Kind::Again => self.try_again(of),
            Kind::Reneged => self.reneged(of),
            Kind::Paused => self.paused(of),
            Kind::Hedged => self.hedged(of),
            Kind::Waited => self.waited(of),
            Kind::Background => self.background(of),
            Kind::Fault => self.fault(of),
            Kind::Fleet => self.fleet_is_due(of),
            Kind::Bucket => self.close_bucket(),
        }
    }

    fn close_bucket(&mut self) {
        let mut levels = Levels::default();
        let now = self.instant();
        for cell in self.cells.iter().flatten() {
            levels.waiting += cell.waiting.len() as u64;
            levels.open += u32::from(cell.decide.is_open(now));
            if cell.decide.ejected() != 0 {
                let ejected = cell.decide.endpoints().filter(|it| it.ejected.is_some());
                levels.ejected.extend(ejected.map(|it| it.id.0));
            }
        }
        self.measure.close_bucket(&levels);
        self.warm_caches();
        self.events.push(self.now + self.measure.bucket_nanos, Kind::Bucket, 0);
    }

    fn outcome(self, run: &Run, events: u64) -> Outcome {
        let mut present = vec![Vec::new(); self.services.len()];
        for job in &self.jobs.all {
            let is_present = match job.stage {
                Stage::Queued | Stage::Working | Stage::Sharing | Stage::Calling => true,
                Stage::Free | Stage::Sent | Stage::Lost | Stage::Answering | Stage::Dead => false,
            };
            if is_present {
                let instance = &self.instances[job.instance as usize];
                present[instance.service as usize].push(job.arrived);
            }
        }
        let workers: Vec<Option<f64>> = self.worker_means();
        let traces = self.traces.done();
        let mut outcome = self.measure.outcome(self.now, &present);
        for (service, workers) in outcome.services.iter_mut().zip(workers) {
            service.workers_mean = workers;
        }
        outcome.replication = run.replication;
        outcome.events = events;
        outcome.traces = traces;
        outcome.digest = self.digest;
        outcome
    }

    /// Workers of each service, on average over time.
    fn worker_means(&self) -> Vec<Option<f64>> {
        let stations = self.measure.stations.iter().zip(&self.system.parts);
        let mean = |(station, part): (&measure::Station, &crate::system::Part)| {
            let workers = f64::from(part.workload.concurrency?);
            Some(workers * station.instances.mean(self.now, self.measure.since))
        };
        stations.map(mean).collect()
    }

    const fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }
}

/// Cores of the data plane in each zone.
fn workers(system: &System) -> u32 {
    system.scenario().network.workers.max(1)
}

fn services(system: &System, seed: &Rng) -> Vec<Service> {
    let services = system.parts.iter().zip(system.services());
    let service = |(part, name): (&crate::system::Part, &model::ServiceName)| Service {
        behaviour: part.behaviour.clone(),
        rng: seed.child(&format!("service/{name}")),
        places: seed.child(&format!("places/{name}")),
        instances: Vec::new(),
        ring: Vec::new(),
        ready: Vec::new(),
        endpoints: Vec::new(),
        split: Split::default(),
        cells: Vec::new(),
        queue: part.workload.queue.unwrap_or(model::workload::QUEUE_DEFAULT),
        workers: part.workload.concurrency.unwrap_or(u32::MAX).max(1),
    };
    services.map(service).collect()
}
