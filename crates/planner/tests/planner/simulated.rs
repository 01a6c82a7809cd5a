//! Properties of the planner on fleets that things go wrong with.

use std::collections::BTreeSet;
use std::time::Duration;

use model::health::{Check, Health, Probe};
use model::restart::RestartPolicy;
use model::rollout::Strategy as UpdateStrategy;
use model::service::Condition;
use model::{Application, Service, ServiceName};
use proptest::prelude::*;
use world::{ApplicationState, Desired, World};

use crate::commands;
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
    at_once: bool,
    fixed_port: Option<u16>,
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
    let switches = (any::<bool>(), any::<bool>(), fixed_port);
    (0..4_u32, policy, any::<u8>(), condition, 1..5_u32, switches).prop_map(
        |(replicas, policy, depends_on, condition, crash_loop, switches)| Drawn {
            replicas,
            policy,
            depends_on,
            condition,
            crash_loop,
            is_checked: switches.0,
            at_once: switches.1,
            fixed_port: switches.2,
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
        2 => service.prop_map(Step::Restart),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
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
        if drawn.at_once {
            service.update.strategy = UpdateStrategy::Immediate;
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
            fleet.ask(commands::apply(&fleet.world, &file.read(), fleet.now()));
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
        }
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
            assert_eq!(service.crash_loop_since.filter(|_| !service.removed), None, "{name}");
        } else if service.removed && state.has_live_dependents(name) {
            kept.push(name);
        } else if excused && !waiting.is_empty() {
            stuck.insert(name);
        } else {
            let (slots, instances) = (&service.slots, &service.instances);
            panic!("{name} is not settled: {slots:?} {instances:?}, waits for {waiting:?}");
        }
    }
    assert!(kept.is_empty() || !stuck.is_empty(), "{kept:?} are kept for nobody");
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
