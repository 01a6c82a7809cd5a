//! A shop of one or two services, and what happens to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::health::Health;
use model::instance::{Exit, ProcessId, StopReason};
use model::release::Release;
use model::restart::{Restart, RestartPolicy};
use model::service::{Condition, Limits, Source};
use model::{Application, InstanceId, ReleaseNumber, Service, ServiceName, Timestamp};
use world::{Event, Recorded, World};
use world::{GroupNumber, Purpose};

pub(crate) fn service() -> Service {
    let command = ["python3", "app.py"].map(|it| it.parse().unwrap()).to_vec();
    Service {
        source: Source::Process { artifact: None, build: Vec::new(), command },
        release_command: Vec::new(),
        environment: BTreeMap::new(),
        port: None,
        ports: BTreeMap::new(),
        protocol: model::service::Protocol::Http,
        replicas: 1,
        depends_on: BTreeMap::new(),
        uses: BTreeMap::new(),
        calls: BTreeMap::new(),
        health: Health::default(),
        stop_grace_period: Duration::from_secs(10),
        stop_signal: model::stopping::StopSignal::default(),
        data: None,
        restart: Restart::default(),
        limits: Limits::default(),
        update: model::rollout::Update::default(),
        metrics: None,
        owner: None,
    }
}

pub(crate) fn job(policy: RestartPolicy) -> Service {
    Service { restart: Restart { policy, ..Restart::default() }, ..service() }
}

pub(crate) fn of_two() -> Service {
    Service { replicas: 2, ..service() }
}

pub(crate) fn needing_db() -> Service {
    let depends_on = BTreeMap::from([(name("db"), Condition::ServiceHealthy)]);
    Service { depends_on, ..service() }
}

pub(crate) fn calling(callees: &[&str]) -> Service {
    let calls = callees.iter().map(|it| (name(it), model::edge::Resilience::default()));
    Service { calls: calls.collect(), ..service() }
}

pub(crate) fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

pub(crate) fn application(services: &[(&str, Service)]) -> Application {
    Application {
        services: services.iter().map(|(it, service)| (name(it), service.clone())).collect(),
        ..Application::empty("shop".parse().unwrap())
    }
}

#[derive(Default)]
pub(crate) struct Stage(pub(crate) World);

impl Stage {
    pub(crate) fn with(services: &[(&str, Service)]) -> Self {
        let mut stage = Self::default();
        stage.apply(services);
        for (at, (name, service)) in services.iter().enumerate() {
            stage.release(name, 1, service);
            for slot in 0..service.replicas {
                let port = 20_000 + u16::try_from(at * 100).unwrap() + u16::try_from(slot).unwrap();
                let (application, service) = ("shop".parse().unwrap(), self::name(name));
                stage.fold(Event::PortAssigned {
                    group: GroupNumber::default(),
                    application,
                    service,
                    slot,
                    port,
                });
            }
        }
        stage
    }

    pub(crate) fn apply(&mut self, services: &[(&str, Service)]) {
        let definition = Arc::new(application(services));
        self.fold(Event::ApplicationApplied { definition, folder: "/srv/shop".to_owned() });
    }

    /// Applies `routes` (JSON) beside the services, and gives every declared call a port, from 21000.
    pub(crate) fn routed(services: &[(&str, Service)], routes: &str) -> Self {
        let mut stage = Self::with(services);
        let mut definition = application(services);
        definition.routes = serde_json::from_str(routes).unwrap();
        let (definition, folder) = (Arc::new(definition), "/srv/shop".to_owned());
        stage.fold(Event::ApplicationApplied { definition, folder });
        let calls =
            services.iter().flat_map(|(caller, it)| it.calls.keys().map(move |it| (caller, it)));
        for ((caller, callee), port) in calls.zip(21_000..) {
            let (application, callee) = ("shop".parse().unwrap(), callee.clone());
            stage.fold(Event::EdgeOpened {
                group: None,
                application,
                caller: name(caller),
                callee,
                port,
            });
        }
        stage
    }

    pub(crate) fn release(&mut self, service: &str, number: u32, meant: &Service) {
        let release = Release::plain(ReleaseNumber(number), meant.clone(), None, Timestamp::EPOCH);
        let (application, service) = ("shop".parse().unwrap(), name(service));
        self.fold(Event::ReleaseMade { application, service, release: Arc::new(release) });
    }

    pub(crate) fn fold(&mut self, event: Event) {
        let index = self.0.index.next();
        let at = Timestamp::from_millis(1_795_327_200_000 + index.0 * 1_000);
        self.0.fold(&Recorded { index, at, event }).unwrap();
    }

    /// `created web.1`, `started`, `ready`, `unready`, `stopping`, `never-ready`, `exit web.1 0`,
    /// `looping web`, `restart web`, `scale web 3`, `stop`, `stopped`; several with commas between.
    pub(crate) fn play(mut self, script: &str) -> Self {
        script.split(',').for_each(|it| self.step(it.trim()));
        self
    }

    fn step(&mut self, text: &str) {
        let words: Vec<&str> = text.split(' ').collect();
        let application = "shop".parse().unwrap();
        let id = || words[1].parse::<InstanceId>().unwrap();
        let event = match words[0] {
            "" => return,
            "created" => {
                let instance = id();
                let state = self.0.service(&application, &instance.service).unwrap();
                let taken = |slot: &u32| state.main_side().unwrap().in_slot(*slot).next().is_some();
                let slot = (0..state.replicas).find(|it| !taken(it)).unwrap();
                let (release, port) =
                    (state.current(), state.main_group().unwrap().slots[&slot].port);
                Event::InstanceCreated {
                    group: GroupNumber::default(),
                    purpose: Purpose::Serve,
                    application,
                    instance,
                    slot,
                    release,
                    port,
                }
            }
            "started" => {
                let process = ProcessId { pid: 4_711, started_ticks: 1 };
                Event::InstanceStarted { application, instance: id(), process }
            }
            "ready" => Event::InstanceReady { application, instance: id() },
            "unready" => {
                let reason = "status 503".to_owned();
                Event::InstanceUnready { application, instance: id(), reason }
            }
            "stopping" => {
                let reason = StopReason::RestartAsked;
                Event::InstanceStopping { application, instance: id(), reason }
            }
            "never-ready" => {
                let reason = StopReason::NeverReady;
                Event::InstanceStopping { application, instance: id(), reason }
            }
            "exit" => {
                let exit = Exit::Code(words[2].parse().unwrap());
                Event::InstanceExited { application, instance: id(), exit }
            }
            "looping" => {
                Event::CrashLoopDeclared { application, service: name(words[1]), failures: 5 }
            }
            "restart" => Event::RestartAsked { application, service: name(words[1]) },
            "scale" => {
                let replicas = words[2].parse().unwrap();
                Event::ServiceScaled { application, service: name(words[1]), replicas }
            }
            "stop" => Event::StopAsked { application },
            "stopped" => Event::ApplicationStopped { application },
            other => panic!("{other}"),
        };
        self.fold(event);
    }
}
