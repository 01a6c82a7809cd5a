//! Properties of the planner on fleets that things go wrong with.

use std::collections::BTreeSet;
use std::time::Duration;

use model::health::{Check, Health, Probe};
use model::restart::RestartPolicy;
use model::rollout::{OnInconclusive, Step as CanaryStep, Strategy as UpdateStrategy};
use model::service::Condition;
use model::units::Share;
use model::{Application, Service, ServiceName};
use proptest::prelude::*;
use world::{ApplicationState, Desired, Event, World};

use crate::commands::{self, At, Together};
use crate::definition::{self, name};
use crate::fleet::{Faults, Fleet};

/// One service as it may be drawn.
#[derive(Clone, Debug)]
struct Drawn {
    replicas: u32,
    policy: RestartPolicy,
    /// Each bit a service before this one.
    depends_on: u8,
    condition: Condition,
    crash_loop: u32,
    is_checked: bool,
    strategy: UpdateStrategy,
    fixed_port: Option<u16>,
    keep_old: Duration,
    has_command: bool,
    /// Whether people have the last word on what is judged good, and on what is judged bad.
    by_hand: (bool, bool),
    on_inconclusive: OnInconclusive,
}

/// What is asked for in between.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    /// Applies the file as it is: with these services, each in this version.
    Apply,
    Change(usize),
    Remove(usize),
    PutBack(usize),
    Scale(usize, u32),
    Restart(usize),
    Stop,
    Kill,
    /// Changes two services, whose releases go as one.
    ChangeTogether(usize, usize),
    Rollback(usize),
    Steer(usize, Wish),
    /// Shares requests between a release and the one before it.
    Share(usize, u32),
    /// The data plane counts requests and errors of the old release and the new one.
    Count(usize, (u64, u64), (u64, u64)),
}

/// What somebody says of a rollout.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Pause,
    Resume,
    Promote,
    Abort,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let policy = prop_oneof![
        4 => Just(RestartPolicy::Always),
        1 => Just(RestartPolicy::OnFailure),
        1 => Just(RestartPolicy::Never),
    ];
    let condition = prop_oneof![
        Just(Condition::ServiceStarted),
        Just(Condition::ServiceHealthy),
        Just(Condition::ServiceCompletedSuccessfully),
    ];
    let fixed_port = prop_oneof![4 => Just(None), 1 => (9_000..9_100_u16).prop_map(Some)];
    let strategy = prop_oneof![
        Just(UpdateStrategy::Canary),
        Just(UpdateStrategy::Bluegreen),
        Just(UpdateStrategy::Rolling),
        Just(UpdateStrategy::Immediate),
        Just(UpdateStrategy::Recreate),
    ];
    let on_inconclusive = prop_oneof![
        Just(OnInconclusive::Hold),
        Just(OnInconclusive::Promote),
        Just(OnInconclusive::Revert),
    ];
    let keep_old = prop_oneof![Just(0), Just(10), Just(600)].prop_map(Duration::from_secs);
    let by_hand = (prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let update = (strategy, keep_old, prop::bool::weighted(0.2), by_hand, on_inconclusive);
    let rest = (any::<bool>(), fixed_port, update);
    (0..4_u32, policy, any::<u8>(), condition, 1..5_u32, rest).prop_map(
        |(replicas, policy, depends_on, condition, crash_loop, rest)| {
            let (is_checked, fixed_port, update) = rest;
            let (strategy, keep_old, has_command, by_hand, on_inconclusive) = update;
            Drawn {
                replicas,
                policy,
                depends_on,
                condition,
                crash_loop,
                is_checked,
                strategy,
                fixed_port,
                keep_old,
                has_command,
                by_hand,
                on_inconclusive,
            }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let service = 0..5_usize;
    prop_oneof![
        8 => (1..20_000_u64).prop_map(Step::Wait),
        2 => (1..300_u64).prop_map(Step::Wait),
        2 => Just(Step::Apply),
        2 => service.clone().prop_map(Step::Change),
        1 => service.clone().prop_map(Step::Remove),
        1 => service.clone().prop_map(Step::PutBack),
        3 => (service.clone(), 0..5_u32).prop_map(|(service, count)| Step::Scale(service, count)),
        2 => service.clone().prop_map(Step::Restart),
        1 => (service.clone(), service.clone()).prop_map(|(a, b)| Step::ChangeTogether(a, b)),
        2 => service.clone().prop_map(Step::Rollback),
        4 => (service.clone(), wish()).prop_map(|(service, wish)| Step::Steer(service, wish)),
        1 => (service.clone(), prop_oneof![Just(0), 1..100_u32])
            .prop_map(|(service, percent)| Step::Share(service, percent)),
        6 => (service, 0..2_000_u64, 0..4_u64, 0..2_000_u64, prop_oneof![Just(0), 0..40_u64])
            .prop_map(|(service, old, old_bad, new, new_bad)| {
                Step::Count(service, (old, old_bad.min(old)), (new, new_bad.min(new)))
            }),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        1 => Just(Wish::Pause),
        2 => Just(Wish::Resume),
        4 => Just(Wish::Promote),
        1 => Just(Wish::Abort),
    ]
}

/// The file as it is written at one time.
struct File {
    drawn: Vec<Drawn>,
    present: Vec<bool>,
    versions: Vec<u32>,
}

fn service_name(number: usize) -> ServiceName {
    name(&format!("s{number}"))
}

impl File {
    fn new(drawn: Vec<Drawn>) -> Self {
        let count = drawn.len();
        Self { drawn, present: vec![true; count], versions: vec![0; count] }
    }

    fn read(&self) -> Application {
        let present = (0..self.drawn.len()).filter(|it| self.present[*it]);
        definition::application(present.map(|it| (service_name(it), self.service(it))).collect())
    }

    fn service(&self, number: usize) -> Service {
        let drawn = &self.drawn[number];
        let mut service = definition::service();
        service.replicas = drawn.replicas;
        service.restart.policy = drawn.policy;
        service.restart.crash_loop = drawn.crash_loop;
        service.owner = Some(format!("version {}", self.versions[number]));
        // Every other version has its port fixed, so that a service goes from one kind to the other.
        if self.versions[number].is_multiple_of(2) {
            service.port = drawn.fixed_port;
        }
        // Of every three versions one has no further port.
        if !self.versions[number].is_multiple_of(3) {
            service.ports.insert(name("admin"), None);
        }
        service.update.strategy = drawn.strategy;
        let step =
            |percent| CanaryStep { weight: Share::from_percent(percent), ..CanaryStep::default() };
        if drawn.strategy == UpdateStrategy::Canary {
            service.update.steps = vec![step(10), step(50)];
        }
        service.update.keep_old = drawn.keep_old;
        service.update.auto_promote = !drawn.by_hand.0;
        service.update.auto_revert = !drawn.by_hand.1;
        service.update.analysis.on_inconclusive = drawn.on_inconclusive;
        service.update.analysis.max_duration = Duration::from_mins(2);
        if self.versions[number].is_multiple_of(3) {
            service.update.webhook = Some("http://127.0.0.1:1/".to_owned());
        }
        if drawn.has_command {
            service.release_command = vec!["migrate".parse().unwrap()];
        }
        if drawn.is_checked {
            service.health = Health {
                readiness: Some(Check {
                    interval: Duration::from_secs(1),
                    start_period: Duration::from_secs(2),
                    ..Check::new(Probe::Tcp)
                }),
                liveness: None,
            };
        }
        for dependency in (0..number).filter(|it| self.present[*it]) {
            // Every other version depends on other services than the one before it.
            let depends_on = drawn.depends_on.rotate_left(self.versions[number]);
            if depends_on >> dependency & 1 == 1 {
                // What never ends cannot be waited for: the manifest refuses that.
                let never_ends = self.drawn[dependency].policy == RestartPolicy::Always;
                let condition = match drawn.condition {
                    Condition::ServiceCompletedSuccessfully if never_ends => {
                        Condition::ServiceHealthy
                    }
                    other => other,
                };
                service.depends_on.insert(service_name(dependency), condition);
            }
        }
        service
    }

    fn play(&mut self, fleet: &mut Fleet, step: &Step) {
        let count = self.drawn.len();
        let apply = |file: &Self, fleet: &mut Fleet| {
            let at = At { now: fleet.now(), together: Together::No };
            fleet.ask(commands::deploy(&fleet.world, &file.read(), &at));
        };
        match step {
            Step::Wait(millis) => fleet.advance(*millis),
            Step::Apply => apply(self, fleet),
            Step::Change(number) => {
                self.versions[number % count] += 1;
                apply(self, fleet);
            }
            Step::Remove(number) => {
                self.present[number % count] = false;
                apply(self, fleet);
            }
            Step::PutBack(number) => {
                self.present[number % count] = true;
                apply(self, fleet);
            }
            Step::Scale(number, replicas) => {
                let number = number % count;
                if is_running(&fleet.world) && self.present[number] {
                    let name = service_name(number);
                    fleet.ask(commands::scale(&fleet.world, name.as_str(), *replicas));
                }
            }
            Step::Restart(number) => {
                let number = number % count;
                if is_running(&fleet.world) && self.present[number] {
                    fleet.ask(commands::restart(service_name(number).as_str()));
                }
            }
            Step::Stop => fleet.ask(commands::stop()),
            Step::Kill => fleet.control_is_killed(),
            Step::ChangeTogether(one, other) => {
                self.versions[one % count] += 1;
                self.versions[other % count] += 1;
                let at = At { now: fleet.now(), together: Together::Yes };
                fleet.ask(commands::deploy(&fleet.world, &self.read(), &at));
            }
            Step::Rollback(number)
            | Step::Steer(number, _)
            | Step::Share(number, _)
            | Step::Count(number, ..) => {
                let number = number % count;
                if is_running(&fleet.world) && self.present[number] {
                    let events = wished(&fleet.world, service_name(number).as_str(), step);
                    fleet.ask(events);
                }
            }
        }
    }
}

/// The events of a wish that fits, as `control` makes them.
fn wished(world: &World, service: &str, step: &Step) -> Vec<Event> {
    let of = &state(world).services[&name(service)];
    let rollout = of.active_rollout();
    let (application, named) = (name("shop"), name(service));
    match step {
        Step::Rollback(_) => commands::roll_back(world, service),
        Step::Count(_, old, new) => {
            commands::observed(world, service, (*old, *new)).into_iter().collect()
        }
        Step::Share(_, percent) => {
            let definition = &of.current_release().unwrap().service;
            let single =
                definition.port.is_some() || definition.restart.policy != RestartPolicy::Always;
            let Some(before) = of.previous.last().filter(|_| rollout.is_none() && !single) else {
                return Vec::new();
            };
            let shares = [(before.0, 100 - percent), (of.current().0, *percent)];
            let shares: Vec<_> = shares.into_iter().filter(|it| 0 < it.1).collect();
            let is_one = shares.first().map(|it| it.0) == shares.get(1).map(|it| it.0);
            if is_one { Vec::new() } else { commands::share(world, service, &shares) }
        }
        Step::Steer(_, wish) if rollout.is_some() => vec![match wish {
            Wish::Pause => Event::RolloutPaused { application, service: named, by: None },
            Wish::Resume => Event::RolloutResumed { application, service: named, by: None },
            Wish::Promote => Event::RolloutPromoted { application, service: named, by: None },
            Wish::Abort => commands::abort(service, "aborted by hand"),
        }],
        _ => Vec::new(),
    }
}

fn is_running(world: &World) -> bool {
    state(world).desired == Desired::Running
}

fn state(world: &World) -> &ApplicationState {
    world.application(&name("shop")).unwrap()
}

/// Everything is there, but for what waits for a job that has failed for good, and what the old
/// releases of that still need.
fn assert_settled(state: &ApplicationState) {
    let mut stuck: BTreeSet<&ServiceName> = BTreeSet::new();
    let mut kept = Vec::new();
    // Dependencies have smaller numbers, and so come first.
    for (name, service) in &state.services {
        let waiting = state.waiting_for(name);
        let excused = waiting.iter().all(|it| {
            let dependency = &state.services[&it.dependency];
            let failed = dependency.is_settled() && !dependency.is_completed();
            failed || stuck.contains(&it.dependency)
        });
        if service.is_settled() {
            let main = service.main_group().unwrap();
            assert_eq!(main.crash_loop_since.filter(|_| !service.removed), None, "{name}");
        } else if service.removed && state.has_live_dependents(name) {
            kept.push(name);
        } else if excused && !waiting.is_empty()
            || service.commands.values().any(|it| !it.is_success())
        {
            // A release command that failed is not run again by itself.
            stuck.insert(name);
        } else {
            let (groups, instances) = (&service.groups, &service.instances);
            panic!("{name} is not settled: {groups:?} {instances:?}, waits for {waiting:?}");
        }
    }
    // A release that was not replaced in the end may need what is described no more.
    let is_behind = state.services.iter().any(|(name, it)| {
        let defined = state.definition.services.get(name);
        let current = &it.current_release().unwrap().service;
        defined.is_some_and(|it| it.depends_on != current.depends_on)
    });
    assert!(kept.is_empty() || !stuck.is_empty() || is_behind, "{kept:?} are kept for nobody");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_happens_it_settles_as_asked(
        services in prop::collection::vec(drawn(), 1..6),
        steps in prop::collection::vec(step(), 0..40),
        seed in any::<u64>(),
    ) {
        let mut file = File::new(services);
        let mut fleet = Fleet::new(seed);
        fleet.ask(commands::apply(&fleet.world, &file.read(), fleet.now()));
        for step in &steps {
            file.play(&mut fleet, step);
        }
        fleet.come_to_rest();
        let is_running = is_running(&fleet.world);
        if is_running {
            assert_settled(state(&fleet.world));
        } else {
            assert_eq!(state(&fleet.world).desired, Desired::Stopped);
        }
        // Everything ends when it is told to, also with faults.
        fleet.faults = Faults::On;
        fleet.ask(commands::stop());
        fleet.come_to_rest();
        assert_eq!(state(&fleet.world).desired, Desired::Stopped);
        assert_eq!(fleet.world.instances().count(), 0);
        // And the world is its history.
        let mut again = World::default();
        for recorded in &fleet.history {
            again.fold(recorded).unwrap();
        }
        assert_eq!(again, fleet.world);
    }
}
