//! A fleet in virtual time: it does what the planner says, late, badly, or twice, and tells what came
//! of it.

use std::collections::{BTreeMap, BTreeSet};

use model::instance::{Exit, ProcessId};
use model::restart::RestartPolicy;
use model::{ApplicationName, Index, InstanceId, Rng, Timestamp};
use planner::{Effect, Plan};
use world::{Desired, Event, Phase, Purpose, Recorded, World};

use crate::rules::Rules;
use crate::{reached, rollouts};

/// Plans in a row without anything happening, at most. A start takes two; what is stopped, created and
/// judged in one go takes a few more.
const PLANS_MAX: usize = 8;
/// Happenings until a fleet without faults must have come to rest.
const STEPS_MAX: usize = 20_000;

/// Milliseconds that clocks of fleets begin at: some years, so that they can be set back.
const START_MILLIS: u64 = 300_000_000_000;

/// Whether things go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faults {
    On,
    Off,
}

#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) world: World,
    pub(crate) history: Vec<Recorded>,
    pub(crate) faults: Faults,
    millis: u64,
    /// By how much the clock was set so far.
    set_ms: i64,
    rng: Rng,
    rules: Rules,
    /// What will happen, by time and then in the order it was arranged.
    arranged: BTreeMap<(u64, u64), Event>,
    arrangements: u64,
    /// Effects this control process has begun; the next one knows nothing of them.
    begun: BTreeSet<Effect>,
    /// Effects that were brought about: to do so again changes nothing.
    done: BTreeSet<Effect>,
}

impl Fleet {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            world: World::default(),
            history: Vec::new(),
            faults: Faults::On,
            millis: START_MILLIS,
            set_ms: 0,
            rng: Rng::new(seed),
            rules: Rules::default(),
            arranged: BTreeMap::new(),
            arrangements: 0,
            begun: BTreeSet::new(),
            done: BTreeSet::new(),
        }
    }

    pub(crate) const fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis)
    }

    /// The machine's clock is set while all goes on: nothing is decided, done or waited for otherwise than if it had
    /// not been.
    fn clock_is_set(&mut self, by_ms: i64) {
        let before = self.plan();
        self.set_ms += by_ms;
        self.millis = self.millis.saturating_add_signed(by_ms);
        let moved = |((at, order), event): ((u64, u64), Event)| {
            ((at.saturating_add_signed(by_ms), order), event)
        };
        self.arranged = std::mem::take(&mut self.arranged).into_iter().map(moved).collect();
        self.record(Event::ClockSet { by_ms });
        assert_eq!(self.plan(), before, "it feels that the clock was set by {by_ms} ms");
    }

    /// Something is asked for.
    pub(crate) fn ask(&mut self, events: Vec<Event>) {
        for event in events {
            self.rules.on_fact(&self.world, &event, self.now());
            self.record(event);
        }
        self.settle();
    }

    /// Lets `millis` go by, with everything that happens in them.
    pub(crate) fn advance(&mut self, millis: u64) {
        let (until, set_ms) = (self.millis + millis, self.set_ms);
        let until = |it: &Self| until.saturating_add_signed(it.set_ms - set_ms);
        let mut steps = 0;
        while let Some(next) = self.next().filter(|it| *it <= until(self)) {
            steps += 1;
            assert!(steps < STEPS_MAX, "something goes on for ever");
            self.happen(next);
        }
        self.millis = until(self);
        self.settle();
    }

    /// Goes on without faults until nothing happens any more.
    pub(crate) fn come_to_rest(&mut self) {
        self.faults = Faults::Off;
        self.control_is_killed();
        for _ in 0..STEPS_MAX {
            self.promote();
            let Some(next) = self.next() else { return };
            self.happen(next);
        }
        panic!("it does not come to rest");
    }

    /// Somebody lets every rollout go on that waits for a person.
    fn promote(&mut self) {
        let mut events = Vec::new();
        for (application, state) in &self.world.applications {
            let running = state.desired == Desired::Running;
            for (name, service) in state.services.iter().filter(|_| running) {
                let Some(rollout) = service.active_rollout() else { continue };
                let (application, service) = (application.clone(), name.clone());
                if rollout.paused_since.is_some() {
                    events.push(Event::RolloutResumed { application, service, by: None });
                } else if !rollout.promote_asked {
                    events.push(Event::RolloutPromoted { application, service, by: None });
                }
            }
        }
        if !events.is_empty() {
            self.ask(events);
        }
    }

    /// The control process is killed, and the next one knows only what was recorded.
    pub(crate) fn control_is_killed(&mut self) {
        let text = serde_json::to_vec(&self.world).unwrap();
        let read: World = serde_json::from_slice(&text).unwrap();
        assert_eq!(read, self.world);
        assert_eq!(planner::plan(&read, self.now()), planner::plan(&self.world, self.now()));
        self.world = read;
        self.begun.clear();
        self.settle();
    }

    /// When something happens next, or the planner wants to be asked again.
    fn next(&self) -> Option<u64> {
        let plan = self.plan();
        assert!(plan.record.is_empty(), "it had settled: {:?}", plan.record);
        let wake_in = plan.wake_in.map(|it| {
            assert!(!it.is_zero(), "it wants to be asked at once, and decides nothing");
            self.millis + u64::try_from(it.as_nanos().div_ceil(1_000_000)).unwrap()
        });
        let arranged = self.arranged.keys().next().map(|(at, _)| *at);
        wake_in.into_iter().chain(arranged).min()
    }

    fn happen(&mut self, at: u64) {
        self.millis = self.millis.max(at);
        if self.chance(0.02) {
            let steps_ms = [70_000, 3_600_000, 86_400_000, 31_536_000_000];
            let by_ms = steps_ms[usize::try_from(self.rng.next_u64() % 4).unwrap()];
            let is_back = START_MILLIS / 2 < self.millis && self.rng.happens(0.5);
            self.clock_is_set(if is_back { -by_ms } else { by_ms });
        }
        while let Some(entry) = self.arranged.first_entry() {
            if self.millis < entry.key().0 {
                break;
            }
            let event = entry.remove();
            if is_news(&self.world, &event) {
                self.rules.on_fact(&self.world, &event, self.now());
                self.record(event);
            }
        }
        self.settle();
    }

    fn record(&mut self, event: Event) {
        let recorded = Recorded { index: self.world.index.next(), at: self.now(), event };
        self.world.fold(&recorded).unwrap();
        self.history.push(recorded);
        self.world.applications.values().for_each(|it| rollouts::assert_state(it));
        reached::assert_reached(&self.world);
    }

    fn plan(&self) -> Plan {
        let plan = planner::plan(&self.world, self.now());
        assert_eq!(plan, planner::plan(&self.world, self.now()), "the same state, another answer");
        plan
    }

    fn settle(&mut self) {
        let mut seen = Vec::new();
        for _ in 0..PLANS_MAX {
            let plan = self.plan();
            self.assert_effects_named(&plan);
            if plan.record.is_empty() {
                plan.effects.into_iter().for_each(|it| self.begin(it));
                return;
            }
            for event in plan.record {
                self.rules.on_decision(&self.world, &event, self.now());
                self.rules.on_fact(&self.world, &event, self.now());
                self.record(event);
            }
            let state = World { index: Index::ZERO, at: Timestamp::EPOCH, ..self.world.clone() };
            assert!(!seen.contains(&state), "it goes in a circle: {:?}", self.history.last());
            seen.push(state);
        }
        panic!("it does not settle: {:?}", self.history.last_chunk::<6>());
    }

    /// Every effect that has not come about is named by every plan.
    fn assert_effects_named(&self, plan: &Plan) {
        let mut expected = Vec::new();
        for (application, instance, it) in self.world.instances() {
            let application = application.clone();
            match it.phase {
                Phase::Created => expected.push(Effect::Launch { application, instance }),
                Phase::Stopping { .. } => expected.push(Effect::Stop { application, instance }),
                Phase::Running => {}
            }
        }
        for (application, state) in &self.world.applications {
            for (service, it) in &state.services {
                if it.rollout.as_ref().is_some_and(|it| it.outcome.is_some() && !it.told) {
                    let (application, service) = (application.clone(), service.clone());
                    expected.push(Effect::Tell { application, service });
                }
            }
        }
        assert_eq!(plan.effects, expected);
    }

    fn chance(&mut self, share: f64) -> bool {
        self.faults == Faults::On && self.rng.happens(share)
    }

    fn begin(&mut self, effect: Effect) {
        if !self.begun.insert(effect.clone()) {
            return;
        }
        // The control process is killed between the decision and the deed.
        if self.chance(0.05) {
            return;
        }
        let is_new = self.done.insert(effect.clone());
        match effect {
            Effect::Launch { application, instance } if is_new => {
                self.launch(&application, &instance);
            }
            Effect::Stop { application, instance } if is_new => self.stop(application, instance),
            Effect::Tell { application, service } => {
                // There may be many outcomes to tell of, one after another.
                self.begun.retain(|it| !matches!(it, Effect::Tell { .. }));
                self.done.retain(|it| !matches!(it, Effect::Tell { .. }));
                let told = Event::RolloutTold { application, service, failure: None };
                self.arrange(100, told);
            }
            // It was done before, and what came of it has happened or is arranged.
            _ => {}
        }
    }

    fn arrange(&mut self, in_millis: u64, event: Event) {
        self.arrangements += 1;
        self.arranged.insert((self.millis + in_millis, self.arrangements), event);
    }

    fn launch(&mut self, application: &ApplicationName, instance: &InstanceId) {
        let stop = Effect::Stop { application: application.clone(), instance: instance.clone() };
        if self.done.contains(&stop) {
            return;
        }
        let exited = |exit| Event::InstanceExited {
            application: application.clone(),
            instance: instance.clone(),
            exit,
        };
        let start = 1 + self.rng.below(200);
        if self.chance(0.15) {
            let reason = "no such file".to_owned();
            return self.arrange(start, exited(Exit::NotStarted(reason)));
        }
        let process = ProcessId { pid: instance.number, started_ticks: start };
        let (name, id) = (application.clone(), instance.clone());
        self.arrange(start, Event::InstanceStarted { application: name, instance: id, process });
        let service = self.world.service(application, &instance.service).unwrap();
        let it = &service.instances[&instance.number];
        let is_command = it.purpose == Purpose::ReleaseCommand;
        let service = &service.releases[&it.release].service;
        let is_job = is_command || service.restart.policy != RestartPolicy::Always;
        let is_checked = service.health.readiness.is_some() && !is_command;
        let ready = if is_checked { self.rng.below(3_000) } else { 0 };
        // Without a check, it is ready as soon as it runs.
        if !is_checked || !self.chance(0.1) {
            let (application, instance) = (application.clone(), instance.clone());
            self.arrange(start + ready, Event::InstanceReady { application, instance });
        }
        if is_job {
            let code = i32::from(self.chance(0.4));
            let end = start + self.rng.below(15_000);
            self.arrange(end, exited(Exit::Code(code)));
        }
        if !is_command {
            self.trouble(application, instance, start);
        }
    }

    /// What may go wrong with an instance that runs.
    fn trouble(&mut self, application: &ApplicationName, instance: &InstanceId, start: u64) {
        let (name, id) = (application.clone(), instance.clone());
        if self.chance(0.4) {
            let exit = if self.chance(0.5) { Exit::Signal(9) } else { Exit::Code(1) };
            let end = start + self.rng.below(25_000);
            let event = Event::InstanceExited { application: name, instance: id, exit };
            return self.arrange(end, event);
        }
        let reason = "no answer".to_owned();
        let (dies, falters) = (self.chance(0.1), self.chance(0.1));
        if dies {
            let at = start + self.rng.below(30_000);
            let event = Event::LivenessFailed { application: name, instance: id, reason };
            self.arrange(at, event);
        } else if falters {
            let at = start + self.rng.below(20_000);
            let again = at + 1 + self.rng.below(5_000);
            let (application, instance) = (name.clone(), id.clone());
            self.arrange(again, Event::InstanceReady { application, instance });
            self.arrange(at, Event::InstanceUnready { application: name, instance: id, reason });
        }
    }

    fn stop(&mut self, application: ApplicationName, instance: InstanceId) {
        let launch =
            Effect::Launch { application: application.clone(), instance: instance.clone() };
        let (delay, exit) = if !self.done.contains(&launch) {
            (1, Exit::NotStarted("it was told to stop".to_owned()))
        } else if self.chance(0.2) {
            (10_000, Exit::Signal(9))
        } else {
            (250 + self.rng.below(3_000), Exit::Code(0))
        };
        self.arrange(delay, Event::InstanceExited { application, instance, exit });
    }
}

/// Whether an event still says something, as `control` finds out before it records it.
fn is_news(world: &World, event: &Event) -> bool {
    if let Event::RolloutTold { application, service, .. } = event {
        let rollout = world.service(application, service).and_then(|it| it.rollout.as_ref());
        return rollout.is_some_and(|it| it.outcome.is_some() && !it.told);
    }
    let (Some(application), Some(id)) = (event.application(), event.instance()) else {
        return true;
    };
    let Some(it) = world.instance(application, id) else { return false };
    match event {
        Event::InstanceStarted { .. } => it.process.is_none(),
        Event::InstanceReady { .. } => it.phase == Phase::Running && !it.ready,
        Event::InstanceUnready { .. } => it.ready,
        Event::LivenessFailed { .. } => it.process.is_some() && !it.liveness_failed,
        _ => true,
    }
}
