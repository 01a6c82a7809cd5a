//! The task that owns the world.

mod clock;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::request::Accepted;
use api::{ApiError, ErrorKind};
use host::reserve::Tended;
use model::instance::Exit;
use model::{ApplicationName, InstanceId, ServiceName};
use planner::Effect;
use runtime::Observed;
use runtime::processes::ProcessesError;
use tokio::sync::{mpsc, oneshot, watch};
use world::{Desired, Event, Phase, Purpose, Recorded, World};

use crate::alert;
use crate::calendar::Calendar;
use crate::checkup::Readiness;
use crate::command::{self, Here};
use crate::draft::{Draft, event_of, event_of_rollout, is_fact};
use crate::inbox::{Fact, Heard, Input, News, Sight};
use crate::launch::Launcher;
use crate::outcome;
use crate::parts::Parts;
use crate::storage::{SNAPSHOT_EVERY, StorageError};
use crate::strays;
use crate::sweep;
use crate::watch::{Checks, Watched};

/// Inputs taken in at once, and so made durable together.
const BATCH_MAX: usize = 1_024;
/// Time after which it is tried again to record what could not be.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Plans made in a row without waiting for anything. The planner settles in a few; more is a defect of
/// its, which must not become a busy loop.
const PLANS_MAX: usize = 64;
/// Ended instances after which folders nobody needs are removed.
const SWEEP_EVERY: u32 = 100;

type Key = (ApplicationName, InstanceId);
/// Whoever asked, and the releases that were made for it.
type Answer = (oneshot::Sender<Result<Accepted, ApiError>>, Result<Vec<String>, ApiError>);

/// The owner of the world.
#[derive(Debug)]
pub(crate) struct Reconciler {
    parts: Parts,
    calendar: Calendar,
    world: Arc<World>,
    published: watch::Sender<Arc<World>>,
    /// Effects that are being brought about.
    in_flight: BTreeSet<Effect>,
    /// The tasks of instances.
    tasks: BTreeMap<Key, tokio::task::JoinHandle<()>>,
    /// Facts that could not be recorded yet.
    unrecorded: Vec<Event>,
    snapshot_at: u64,
    ended_since_sweep: u32,
}

impl Reconciler {
    /// `unrecorded` is what has happened already and could not be recorded.
    pub(crate) fn new(
        parts: Parts,
        published: watch::Sender<Arc<World>>,
        unrecorded: Vec<Event>,
    ) -> Self {
        let world = Arc::clone(&published.borrow());
        Self {
            snapshot_at: world.index.0,
            calendar: Calendar::new(parts.clock, world.at),
            parts,
            world,
            published,
            in_flight: BTreeSet::new(),
            tasks: BTreeMap::new(),
            unrecorded,
            ended_since_sweep: SWEEP_EVERY,
        }
    }

    /// Until somebody asks it to end.
    pub(crate) async fn run(mut self, mut received: mpsc::Receiver<Input>) {
        strays::stop(&self.parts.processes, &self.world).await;
        let mut batch = Vec::new();
        loop {
            let wake_in = self.settle().await;
            self.tidy().await;
            batch.clear();
            let wait = received.recv_many(&mut batch, BATCH_MAX);
            let count = match wake_in {
                Some(wake_in) => tokio::time::timeout(wake_in, wait).await.unwrap_or(usize::MAX),
                None => wait.await,
            };
            let ends = batch.iter().any(|it| matches!(it, Input::ShutDown));
            self.take_in(&mut batch).await;
            if ends || count == 0 {
                break;
            }
        }
        if let Err(error) = self.save_snapshot().await {
            tracing::warn!(error = %model::chain(&error), "no snapshot could be saved at the end");
        }
        for task in self.tasks.values() {
            task.abort();
        }
    }

    /// Looks what has become of everything that ran when the control process before this one ended.
    pub(crate) async fn take_over(&mut self) {
        let mut gone = Vec::new();
        let world = Arc::clone(&self.world);
        for (application, id, instance) in world.instances() {
            if instance.phase == Phase::Created {
                continue;
            }
            if instance.phase == Phase::Running
                && let Err(error) = self.parts.processes.recover(application, &id)
            {
                cannot_be_looked_at(application, &id, &error);
            }
            let fact = match self.parts.processes.observe(application, &id) {
                Ok(Observed::Running(_) | Observed::Starting) => {
                    self.watch_again(application, &id, &world);
                    continue;
                }
                // The plan says it again, and only then is it sure that it will not start after all.
                Ok(Observed::NotStarted) if instance.phase != Phase::Running => continue,
                Ok(Observed::Ended(_) | Observed::NotStarted) => {
                    match self.parts.processes.stop(application, &id).await {
                        Ok(Exit::NotStarted(_)) if instance.phase == Phase::Running => {
                            Fact::Exited(Exit::Lost)
                        }
                        Ok(exit) => Fact::Exited(exit),
                        Err(error) => {
                            cannot_be_looked_at(application, &id, &error);
                            self.watch_again(application, &id, &world);
                            continue;
                        }
                    }
                }
                // It is looked at again until it is known.
                Err(error) => {
                    cannot_be_looked_at(application, &id, &error);
                    self.watch_again(application, &id, &world);
                    continue;
                }
            };
            gone.push(Input::Seen(Sight { application: application.clone(), instance: id, fact }));
        }
        self.take_in(&mut gone).await;
    }

    fn watch_again(&mut self, application: &ApplicationName, id: &InstanceId, world: &World) {
        let Some(instance) = world.instance(application, id) else { return };
        let readiness = if instance.ready { Readiness::Ready } else { Readiness::NotYet };
        let checks = self.checks(application, id);
        let watched = self.watched(application, id);
        let task = tokio::spawn(watched.watch(checks, readiness));
        self.tasks.insert((application.clone(), id.clone()), task);
    }

    /// Turns inputs into events, makes them durable, and answers.
    async fn take_in(&mut self, batch: &mut Vec<Input>) {
        self.follow_clock().await;
        let mut answers: Vec<Answer> = Vec::new();
        let mut draft = Draft::new(&self.world, self.calendar.now());
        for event in std::mem::take(&mut self.unrecorded) {
            draft.add(event);
        }
        for input in batch.drain(..) {
            match input {
                Input::Seen(sight) => {
                    let moved = self.moved_port(&sight, &draft);
                    if let Some(event) = event_of(sight, &draft.world) {
                        draft.add(event);
                        if let Some(moved) = moved {
                            draft.add(moved);
                        }
                    }
                }
                Input::Heard(heard) => {
                    if let Some(event) = event_of_rollout(heard, &draft.world) {
                        draft.add(event);
                    }
                }
                Input::Alarm(alarm) => {
                    for event in alert::events(alarm, &draft.world) {
                        draft.add(event);
                    }
                }
                Input::Wish { command, answer } => {
                    let first_port = self.parts.first_port;
                    let here = Here { world: &draft.world, now: draft.at, first_port };
                    let admitted = command
                        .events(&here)
                        .and_then(|events| self.parts.room.admit(&draft, &events).map(|()| events));
                    let result = admitted.map(|events| {
                        let releases = events.iter().filter_map(release_of).collect();
                        for event in events {
                            draft.add(event);
                        }
                        releases
                    });
                    answers.push((answer, result));
                }
                Input::ShutDown => {}
            }
        }
        let recorded = if draft.events.is_empty() { Ok(()) } else { self.record(draft).await };
        let index = self.world.index.0;
        for (answer, result) in answers {
            let result = match &recorded {
                Ok(()) => result.map(|releases| Accepted { index, releases, baked: Vec::new() }),
                Err(error) => Err(error.clone()),
            };
            // Whoever asked may have gone away.
            let _heard: Result<(), _> = answer.send(result);
        }
    }

    /// Another port for the slot of an instance that has ended because another program has its port.
    fn moved_port(&self, sight: &Sight, draft: &Draft) -> Option<Event> {
        let here = Here { world: &draft.world, now: draft.at, first_port: self.parts.first_port };
        match sight.fact {
            Fact::Exited(_) => command::moved(&here, &sight.application, &sight.instance),
            _ => None,
        }
    }

    /// Makes a draft the world, if it can be made durable. Facts in it that could not are kept.
    async fn record(&mut self, draft: Draft) -> Result<(), ApiError> {
        let facts: Vec<Event> =
            draft.events.iter().map(|it| &it.event).filter(|it| is_fact(it)).cloned().collect();
        let events = match self.append(draft.events).await {
            Ok(events) => events,
            Err(message) => {
                self.unrecorded = self.parts.recording.keeps(facts);
                return Err(ApiError::new(ErrorKind::Unavailable, message));
            }
        };
        let recorded_at = self.parts.clock.now();
        let mut world = World::clone(&self.world);
        for recorded in &events {
            if let Some((url, body)) = alert::message(&recorded.event, &world, recorded.at) {
                tokio::spawn(async move { outcome::post(&url, &body).await });
            }
            if let Err(error) = world.fold(recorded) {
                tracing::error!(%error, "an event does not fit any more");
            }
            self.on_recorded(&recorded.event);
            tracing::debug!(index = %recorded.index, kind = recorded.event.kind(), "recorded");
        }
        self.world = Arc::new(world);
        self.parts.data_plane.recorded(self.world.index, recorded_at);
        self.published.send_replace(Arc::clone(&self.world));
        Ok(())
    }

    /// Appends to the journal. What a full disk refuses is tried once more with the room that was kept for it.
    async fn append(&mut self, events: Vec<Recorded>) -> Result<Vec<Recorded>, String> {
        let mut appended = self.parts.storage.append(events.clone()).await;
        if appended.as_ref().is_err_and(StorageError::is_full)
            && matches!(self.parts.reserve.give_up(), Ok(Tended::GivenUp))
        {
            tracing::warn!("the disk is full; the reserve is given up");
            appended = self.parts.storage.append(events).await;
        }
        match appended {
            Ok(events) => {
                if let Some(since) = self.parts.recording.journal_works() {
                    tracing::warn!(%since, "what happens can be recorded again");
                }
                Ok(events)
            }
            Err(error) => {
                let message = model::chain(&error);
                if self.parts.recording.journal_fails(self.calendar.now(), &message) {
                    tracing::error!(error = %message, "nothing can be recorded; what runs goes on");
                }
                Err(message)
            }
        }
    }

    /// What is known to have come about need not be brought about.
    fn on_recorded(&mut self, event: &Event) {
        if let Event::ApplicationRemoved { .. } = event {
            // Its artifacts may be nobody's now.
            self.ended_since_sweep = SWEEP_EVERY;
            return;
        }
        if let Event::RolloutTold { application, service, .. } = event {
            let (application, service) = (application.clone(), service.clone());
            self.in_flight.remove(&Effect::Tell { application, service });
            return;
        }
        let (Some(application), Some(instance)) = (event.application(), event.instance()) else {
            return;
        };
        let (application, instance) = (application.clone(), instance.clone());
        let launch =
            Effect::Launch { application: application.clone(), instance: instance.clone() };
        match event {
            Event::InstanceStarted { .. } => {
                self.in_flight.remove(&launch);
            }
            Event::InstanceExited { .. } => {
                self.in_flight.remove(&launch);
                self.in_flight.remove(&Effect::Stop {
                    application: application.clone(),
                    instance: instance.clone(),
                });
                // One that still waits to be started must not be once it is forgotten.
                if let Some(task) = self.tasks.remove(&(application, instance)) {
                    task.abort();
                }
                self.ended_since_sweep += 1;
            }
            _ => {}
        }
    }

    /// Plans, records what was decided and begins what follows, until nothing more does. Returns when to
    /// plan again at the latest.
    async fn settle(&mut self) -> Option<Duration> {
        if !self.unrecorded.is_empty() {
            return Some(RETRY_AFTER);
        }
        self.follow_clock().await;
        for _ in 0..PLANS_MAX {
            let plan = planner::plan(&self.world, self.calendar.now());
            if plan.record.is_empty() {
                for effect in plan.effects {
                    self.begin(effect);
                }
                return plan.wake_in;
            }
            let mut draft = Draft::new(&self.world, self.calendar.now());
            plan.record.into_iter().for_each(|it| draft.add(it));
            if self.record(draft).await.is_err() {
                return Some(RETRY_AFTER);
            }
        }
        tracing::error!(
            plans = PLANS_MAX,
            "the planner does not settle; waiting before the next plan"
        );
        Some(RETRY_AFTER)
    }

    /// Begins to bring an effect about, unless that has begun.
    fn begin(&mut self, effect: Effect) {
        if !self.in_flight.insert(effect.clone()) {
            return;
        }
        match effect {
            Effect::Launch { application, instance } => self.launch(&application, &instance),
            Effect::Stop { application, instance } => self.stop(&application, &instance),
            Effect::Tell { application, service } => self.tell(application, service),
        }
    }

    /// Posts how a rollout ended to whoever wants to know.
    fn tell(&self, application: ApplicationName, service: ServiceName) {
        let state = self.world.service(&application, &service);
        let posted = state.and_then(|it| outcome::message(&application, &service, it));
        let inbox = self.parts.inbox.clone();
        tokio::spawn(async move {
            let failure = match posted {
                Some((url, body)) => outcome::post(&url, &body).await.err(),
                None => None,
            };
            let news = News::Told(failure);
            // When the control process ends, the next one tells.
            drop(inbox.send(Input::Heard(Heard { application, service, news })).await);
        });
    }

    fn launch(&mut self, application: &ApplicationName, id: &InstanceId) {
        let spec = match Launcher::find(&self.parts.machine, &self.world, application, id) {
            Some(launcher) => {
                let cgroup = self.parts.processes.cgroup(application, id);
                launcher.spec(&self.parts.folders(&launcher), cgroup).map(Box::new)
            }
            None => Err("its release is not known any more".to_owned()),
        };
        let checks = self.checks(application, id);
        let task = tokio::spawn(self.watched(application, id).launch(spec, checks));
        self.tasks.insert((application.clone(), id.clone()), task);
    }

    /// Requests that are in flight end first. The world without the instance is published already, so that
    /// no further ones come.
    fn stop(&self, application: &ApplicationName, id: &InstanceId) {
        let watched = self.watched(application, id);
        let (data_plane, drain) = (self.parts.data_plane.clone(), self.drain_time(application, id));
        tokio::spawn(async move {
            if let Some(limit) = drain {
                data_plane.drain(&watched.application, &watched.instance, limit).await;
            }
            watched.stop().await;
        });
    }

    /// How long an instance that should stop may go on with what it has begun. One that has failed gets no
    /// time: what waits for it is better told at once.
    fn drain_time(&self, application: &ApplicationName, id: &InstanceId) -> Option<Duration> {
        let service = self.world.service(application, &id.service)?;
        let instance = service.instances.get(&id.number)?;
        match instance.phase {
            Phase::Stopping { reason, .. } if reason.is_failure() => None,
            _ => Some(service.releases.get(&instance.release)?.service.stop_grace_period),
        }
    }

    fn watched(&self, application: &ApplicationName, id: &InstanceId) -> Watched {
        Watched {
            application: application.clone(),
            instance: id.clone(),
            processes: self.parts.processes.clone(),
            clock: self.parts.clock,
            inbox: self.parts.inbox.clone(),
            recording: self.parts.recording.clone(),
            room: self.parts.room.clone(),
        }
    }

    /// The checks of an instance. One that cannot be prepared is left out, and said so.
    fn checks(&self, application: &ApplicationName, id: &InstanceId) -> Checks {
        let found = Launcher::find(&self.parts.machine, &self.world, application, id);
        let serves = |it: &Launcher<'_>| it.instance.purpose == Purpose::Serve;
        let Some(launcher) = found.filter(serves) else { return Checks::default() };
        let folders = self.parts.folders(&launcher);
        let health = launcher.release.service.health.clone();
        let prepare = |check: &Option<model::health::Check>| {
            let check = check.as_ref()?;
            match launcher.check(check, &folders) {
                Ok(prepared) => Some(prepared),
                Err(reason) => {
                    tracing::error!(%application, instance = %id, %reason, "a check cannot be tried");
                    None
                }
            }
        };
        let (readiness, liveness) = (prepare(&health.readiness), prepare(&health.liveness));
        let fixed_ports: Vec<u16> = launcher.release.service.fixed_ports().collect();
        let mut own_ports = fixed_ports.clone();
        // A program that listens nowhere is not kept from starting by whoever listens at a port it was given.
        if health.asks_its_port() && !own_ports.contains(&launcher.instance.port) {
            own_ports.push(launcher.instance.port);
        }
        Checks { health, readiness, liveness, fixed_ports, own_ports }
    }

    /// Saves a snapshot when many events have come since the last, and removes what nobody needs.
    async fn tidy(&mut self) {
        if SNAPSHOT_EVERY <= self.world.index.0 - self.snapshot_at
            && let Err(error) = self.save_snapshot().await
        {
            tracing::warn!(error = %model::chain(&error), "no snapshot could be saved");
        }
        let idle = self.world.applications.values().all(|it| it.desired != Desired::Stopping);
        if SWEEP_EVERY <= self.ended_since_sweep && idle {
            self.ended_since_sweep = 0;
            sweep::sweep(&self.parts, &self.world).await;
        }
    }

    async fn save_snapshot(&mut self) -> Result<(), StorageError> {
        self.snapshot_at = self.world.index.0;
        let (storage, world) = (self.parts.storage.clone(), Arc::clone(&self.world));
        let now = self.calendar.now();
        let saved = tokio::task::spawn_blocking(move || storage.snapshot(&world, now)).await;
        saved.unwrap_or_else(|error| {
            tracing::warn!(%error, "saving a snapshot ended early");
            Ok(())
        })
    }
}

/// The release that an event makes, by its name.
fn release_of(event: &Event) -> Option<String> {
    match event {
        Event::ReleaseMade { service, release, .. }
        | Event::ReleaseBaked { service, release, .. } => {
            Some(format!("{service}@{}", release.number))
        }
        _ => None,
    }
}

fn cannot_be_looked_at(application: &ApplicationName, id: &InstanceId, error: &ProcessesError) {
    let error = model::chain(error);
    tracing::error!(%application, instance = %id, %error, "an instance cannot be looked at");
}
