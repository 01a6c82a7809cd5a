//! A fleet that lives by the planner: a world of events, folded; what the planner decides, recorded and brought about.
//!
//! It is the loop of `control`'s reconciler: facts are recorded, the planner is asked until it decides nothing more, and
//! what it wants done is done, late. Who can be called follows from the world by `world::routing`, as in
//! production.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::EventView;
use model::instance::{Exit, ProcessId};
use model::release::Release;
use model::scenario::FaultKind;
use model::{Application, InstanceId, ReleaseNumber, ServiceName, Timestamp};
use planner::Effect;
use traffic::Split;
use world::routing::{Backend, Table, backend_key};
use world::{Event, GroupNumber, Purpose, Recorded, World};

use crate::engine::Engine;
use crate::engine::events::Kind;
use crate::engine::instance::Phase;
use crate::engine::measure::nanos;
use crate::engine::pool::NONE;
use crate::outcome::IncidentKind;
use crate::system::System;

/// The calendar's time at the beginning of a run: 2026-01-01.
const EPOCH: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// From a decision to a started process: what a start takes on an idle machine.
const START: Duration = Duration::from_millis(30);
/// From an instance's end to the news of it: its supervisor is its parent, and hears at once.
const NEWS: Duration = Duration::from_millis(5);
/// From the moment an instance answers to the check that sees it: checks are often while it starts.
const CHECK: Duration = Duration::from_millis(100);
/// Where there is no check, an instance is ready when it has not ended by then, as in `control::watch`.
const UNCHECKED_READY_AFTER: Duration = Duration::from_secs(1);
/// How often an instance that is to stop is looked at for requests in flight.
const DRAIN: Duration = Duration::from_millis(100);
/// Plans in a row without anything happening, at most; the planner's own tests hold that it settles in fewer.
const PLANS_MAX: usize = 64;

/// A world, and what is arranged in it.
#[derive(Debug)]
pub(in crate::engine) struct Managed {
    pub(super) world: World,
    begun: BTreeSet<Effect>,
    arranged: Vec<Option<Due>>,
    free: Vec<u32>,
    /// Instances by the name they have in the world.
    ids: BTreeMap<InstanceId, u32>,
    names: BTreeMap<u32, InstanceId>,
    /// What releases do to work: how many times as long it takes, and the share that is good.
    pub(super) effects: BTreeMap<(u32, u32), (f64, f64)>,
    /// Instances that start when their zone is back.
    held: Vec<InstanceId>,
    wakes_at: u64,
    pub(super) backends: BTreeMap<String, Arc<Backend>>,
    pub(super) is_observing: bool,
    /// Everything is brought about at once, as long as the beginning is made.
    pub(super) is_beginning: bool,
}

/// Something that is due.
#[derive(Clone, Debug)]
pub(super) enum Due {
    Wake,
    Fact(Event),
    /// An instance listens from now on.
    Listens(u32),
    /// An instance is to stop, and may have requests in flight.
    Drain {
        id: u32,
        since: u64,
    },
    Observe,
}

/// Whether anything in a scenario happens to instances: otherwise nobody has to look after them.
pub(super) fn is_needed(system: &System) -> bool {
    let mut kinds = system.scenario().faults.iter().map(|it| &it.what);
    kinds.any(|it| {
        matches!(
            it,
            FaultKind::Kill(_)
                | FaultKind::ZoneLost(_)
                | FaultKind::RegionLost(_)
                | FaultKind::Released { .. }
                | FaultKind::Scaled { .. }
        )
    })
}

impl Managed {
    pub(super) fn effect_of(&self, service: u32, release: u32) -> (f64, f64) {
        self.effects.get(&(service, release)).copied().unwrap_or((1.0, 1.0))
    }
}

impl Engine<'_> {
    pub(super) fn begin_managed(&mut self) {
        self.fleet.managed = Some(Box::new(Managed {
            world: World::default(),
            begun: BTreeSet::new(),
            arranged: Vec::new(),
            free: Vec::new(),
            ids: BTreeMap::new(),
            names: BTreeMap::new(),
            effects: BTreeMap::new(),
            held: Vec::new(),
            wakes_at: u64::MAX,
            backends: BTreeMap::new(),
            is_observing: false,
            is_beginning: true,
        }));
        let definition = Arc::new(self.system.application().clone());
        self.record(Event::ApplicationApplied {
            definition: Arc::clone(&definition),
            folder: "/".to_owned(),
        });
        for (name, service) in &definition.services {
            let release = Release::plain(ReleaseNumber(1), service.clone(), None, EPOCH);
            self.record(Event::ReleaseMade {
                application: definition.name.clone(),
                service: name.clone(),
                release: Arc::new(release),
            });
            self.give_ports(&definition, (name, GroupNumber::default()), service.replicas);
        }
        self.settle();
        if let Some(managed) = &mut self.fleet.managed {
            managed.is_beginning = false;
        }
        self.settle();
    }

    pub(super) fn timestamp(&self) -> Timestamp {
        EPOCH.after(Duration::from_nanos(self.now))
    }

    /// Slots need ports to have instances; which ones means nothing here.
    pub(super) fn give_ports(
        &mut self,
        definition: &Application,
        (name, group): (&ServiceName, GroupNumber),
        replicas: u32,
    ) {
        for slot in 0..replicas {
            let state = self.world().service(&definition.name, name);
            let has = state.and_then(|it| it.groups.get(&group)?.slots.get(&slot)).is_some();
            if has {
                continue;
            }
            let (application, service) = (definition.name.clone(), name.clone());
            let (port, spare) = (1, 2);
            self.record(Event::PortAssigned {
                application: application.clone(),
                service: service.clone(),
                group,
                slot,
                port,
            });
            self.record(Event::SparePortAssigned {
                application,
                service,
                group,
                slot,
                port: spare,
            });
        }
    }

    pub(super) fn world(&self) -> &World {
        // There is a world wherever this is called; an empty one decides nothing.
        static NONE: std::sync::LazyLock<World> = std::sync::LazyLock::new(World::default);
        self.fleet.managed.as_deref().map_or(&NONE, |it| &it.world)
    }

    /// Records what happened or was decided.
    pub(super) fn record(&mut self, event: Event) {
        let at = self.timestamp();
        let Some(managed) = &mut self.fleet.managed else { return };
        let recorded = Recorded { index: managed.world.index.next(), at, event };
        if let Err(error) = managed.world.fold(&recorded) {
            let problem = format!("an event does not fit the world: {error}");
            return self.measure.violations.push(problem);
        }
        if !managed.is_beginning
            && let Some(kind) = worth_telling(&recorded.event)
        {
            self.measure.incident(self.now, kind, EventView::of(&recorded).text);
        }
        match recorded.event {
            Event::InstanceCreated { instance, slot, release, .. } => {
                if let Some(service) = self.system.place(&instance.service) {
                    let service = u32::try_from(service).unwrap_or(NONE);
                    let id = self.add_instance(service, instance.number, slot);
                    self.instances[id as usize].release = release.0;
                    self.afflict(id);
                    if let Some(managed) = &mut self.fleet.managed {
                        managed.ids.insert(instance.clone(), id);
                        managed.names.insert(id, instance);
                    }
                }
            }
            Event::InstanceReady { instance, .. } => {
                let id = self.fleet.managed.as_ref().and_then(|it| it.ids.get(&instance).copied());
                let is_beginning = self.fleet.managed.as_ref().is_some_and(|it| it.is_beginning);
                if let Some(id) = id {
                    match self.instances[id as usize].phase {
                        Phase::Listening => self.set_ready(id),
                        Phase::Starting if is_beginning => self.set_ready(id),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn arrange(&mut self, after: Duration, due: Due) {
        let Some(managed) = &mut self.fleet.managed else { return };
        let place = managed.free.pop().unwrap_or_else(|| {
            managed.arranged.push(None);
            u32::try_from(managed.arranged.len() - 1).unwrap_or(NONE)
        });
        managed.arranged[place as usize] = Some(due);
        self.events.push(self.now.saturating_add(nanos(after)), Kind::Fleet, place);
    }

    /// Something is due.
    pub(in crate::engine) fn fleet_is_due(&mut self, of: u32) {
        let Some(managed) = &mut self.fleet.managed else { return };
        let Some(due) = managed.arranged[of as usize].take() else { return };
        managed.free.push(of);
        match due {
            Due::Wake => {
                if managed.wakes_at == self.now {
                    managed.wakes_at = u64::MAX;
                    self.settle();
                }
            }
            Due::Fact(event) => {
                if is_news(&managed.world, &event) {
                    self.record(event);
                    self.settle();
                }
            }
            Due::Listens(id) => {
                let application = &self.system.application().name;
                let world = &managed.world;
                let name = managed.names.get(&id);
                let instance = name.and_then(|it| world.instance(application, it));
                let is_ready = instance.is_some_and(|it| it.ready);
                if self.instances[id as usize].phase == Phase::Starting {
                    self.instances[id as usize].phase = Phase::Listening;
                    if is_ready {
                        self.set_ready(id);
                    }
                }
            }
            Due::Drain { id, since } => self.drain(id, since),
            Due::Observe => self.observe(),
        }
    }

    /// Asks the planner until it decides nothing more, does what it wants done, and tells callers who is there.
    pub(super) fn settle(&mut self) {
        for _ in 0..PLANS_MAX {
            let plan = planner::plan(self.world(), self.timestamp());
            if !plan.record.is_empty() {
                for event in plan.record {
                    self.record(event);
                }
                continue;
            }
            let mut has_begun = false;
            for effect in plan.effects {
                has_begun |= self.begin_effect(effect);
            }
            if has_begun {
                continue;
            }
            if let Some(wake_in) = plan.wake_in {
                self.wake(wake_in);
            }
            break;
        }
        self.publish();
        self.watch_rollouts();
    }

    fn wake(&mut self, after: Duration) {
        let at = self.now.saturating_add(nanos(after.max(Duration::from_millis(1))));
        let Some(managed) = &mut self.fleet.managed else { return };
        if managed.wakes_at != at {
            managed.wakes_at = at;
            self.arrange(Duration::from_nanos(at - self.now), Due::Wake);
        }
    }

    /// Begins an effect, once. Whether that changed the world at once.
    fn begin_effect(&mut self, effect: Effect) -> bool {
        let Some(managed) = &mut self.fleet.managed else { return false };
        if !managed.begun.insert(effect.clone()) {
            return false;
        }
        match effect {
            Effect::Launch { instance, .. } => self.launch(instance),
            Effect::Stop { instance, .. } => {
                if let Some(id) = managed.ids.get(&instance).copied() {
                    self.drain(id, self.now);
                }
                false
            }
            Effect::Tell { application, service } => {
                // Another outcome may have to be told of later.
                managed.begun.retain(|it| !matches!(it, Effect::Tell { .. }));
                self.record(Event::RolloutTold { application, service, failure: None });
                true
            }
        }
    }

    fn launch(&mut self, instance: InstanceId) -> bool {
        let application = self.system.application().name.clone();
        let Some(managed) = &self.fleet.managed else { return false };
        let Some(id) = managed.ids.get(&instance).copied() else { return false };
        let process = ProcessId { pid: id, started_ticks: 0 };
        let (name, of) = (application.clone(), instance.clone());
        let started = Event::InstanceStarted { application: name, instance: of, process };
        let (name, of) = (application, instance.clone());
        let ready = Event::InstanceReady { application: name.clone(), instance: of.clone() };
        let place = self.instances[id as usize].service as usize;
        let is_command = self
            .world()
            .instance(&name, &instance)
            .is_some_and(|it| it.purpose == Purpose::ReleaseCommand);
        if is_command {
            let exit =
                Event::InstanceExited { application: name, instance: of, exit: Exit::Code(0) };
            self.arrange(START, Due::Fact(started));
            self.arrange(START * 2, Due::Fact(exit));
            return false;
        }
        if managed.is_beginning {
            self.record(started);
            self.record(ready);
            return true;
        }
        if self.faults.is_lost(u32::from(self.instances[id as usize].zone)) {
            if let Some(managed) = &mut self.fleet.managed {
                managed.held.push(instance);
            }
            return false;
        }
        let startup = START + self.system.parts[place].workload.startup;
        let services = &self.system.application().services;
        let is_checked =
            services.get(&instance.service).is_some_and(|it| it.health.readiness.is_some());
        let ready_after = if is_checked { startup + CHECK } else { START + UNCHECKED_READY_AFTER };
        self.arrange(START, Due::Fact(started));
        self.arrange(startup, Due::Listens(id));
        self.arrange(ready_after, Due::Fact(ready));
        false
    }

    /// An instance that is to stop does so when nothing is in flight any more, or its time is up.
    fn drain(&mut self, id: u32, since: u64) {
        let instance = &self.instances[id as usize];
        if instance.phase == Phase::Gone {
            return;
        }
        let service = instance.service as usize;
        self.set_unready(id, Phase::Leaving);
        let grace = self
            .system
            .application()
            .services
            .get(&self.system.services()[service])
            .map_or(Duration::ZERO, |it| it.stop_grace_period);
        let is_over = nanos(grace) <= self.now - since;
        if self.is_idle(id) || is_over {
            self.set_unready(id, Phase::Gone);
            self.end_jobs(id, service);
            self.exited(id, Exit::Code(0));
        } else {
            self.arrange(DRAIN, Due::Drain { id, since });
        }
    }

    fn is_idle(&self, id: u32) -> bool {
        use crate::engine::pool::Stage;
        let is_at_it = |it: &crate::engine::pool::Job| {
            it.instance == id
                && !matches!(it.stage, Stage::Free | Stage::Dead | Stage::Answering | Stage::Lost)
        };
        !self.jobs.all.iter().any(is_at_it)
    }

    /// An instance has died, and the news of it is on its way.
    pub(super) fn died(&mut self, id: u32) {
        self.exited(id, Exit::Signal(9));
    }

    fn exited(&mut self, id: u32, exit: Exit) {
        let application = self.system.application().name.clone();
        let Some(managed) = &self.fleet.managed else { return };
        let Some(instance) = managed.names.get(&id).cloned() else { return };
        self.arrange(NEWS, Due::Fact(Event::InstanceExited { application, instance, exit }));
    }

    /// Zones may be there again: what waited for them starts.
    pub(in crate::engine) fn zones_are_back(&mut self) {
        let Some(managed) = &mut self.fleet.managed else { return };
        for instance in std::mem::take(&mut managed.held) {
            self.launch(instance);
        }
    }

    /// Tells callers which instances are there, as production does.
    fn publish(&mut self) {
        let Some(managed) = &mut self.fleet.managed else { return };
        let table = Table::of(&managed.world);
        let application = &self.system.application().name;
        let mut changed = Vec::new();
        for (place, name) in self.system.services().iter().enumerate() {
            let key = backend_key(application, name);
            let Some(backend) = table.backends.get(&key) else { continue };
            if managed.backends.get(&key) == Some(backend) {
                continue;
            }
            managed.backends.insert(key, Arc::clone(backend));
            let instances = backend.endpoints.iter();
            let ids = instances.filter_map(|it| managed.ids.get(&it.instance).copied());
            changed.push((place, ids.collect::<Vec<u32>>(), backend));
        }
        for (place, ids, backend) in changed {
            let shares = backend.split.iter().map(|it| (it.release, it.weight)).collect();
            self.services[place].endpoints = ids.into_iter().map(|id| self.endpoint(id)).collect();
            self.services[place].split = Split { shares };
            if let Some(comparison) = self.fleet.comparisons.of.get_mut(&place)
                && comparison.trial != backend.trial
            {
                comparison.trial.clone_from(&backend.trial);
                (comparison.old, comparison.new) = Default::default();
            }
            self.tell_callers(place);
        }
    }
}

/// Whether an event still says something, as `control` finds out before it records it.
fn is_news(world: &World, event: &Event) -> bool {
    let (Some(application), Some(id)) = (event.application(), event.instance()) else {
        return true;
    };
    let Some(it) = world.instance(application, id) else { return false };
    match event {
        Event::InstanceStarted { .. } => it.process.is_none(),
        Event::InstanceReady { .. } => it.phase == world::Phase::Running && !it.ready,
        _ => true,
    }
}

/// What people want to hear of.
const fn worth_telling(event: &Event) -> Option<IncidentKind> {
    match event {
        Event::RolloutStarted { .. }
        | Event::RolloutStepBegun { .. }
        | Event::RolloutTrafficMoved { .. }
        | Event::RolloutBaselineFrozen { .. }
        | Event::RolloutJudged { .. }
        | Event::RolloutEnded { .. }
        | Event::ReleaseRetired { .. } => Some(IncidentKind::Rollout),
        Event::InstanceReady { .. }
        | Event::InstanceExited { .. }
        | Event::ServiceScaled { .. }
        | Event::CrashLoopDeclared { .. } => Some(IncidentKind::Fleet),
        _ => None,
    }
}
