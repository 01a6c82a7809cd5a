//! Events with few words.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::edge::Resilience;
use model::health::Health;
use model::instance::{Exit, ProcessId, StopReason};
use model::release::Release;
use model::restart::{Restart, RestartPolicy};
use model::service::{Condition, Limits, Source};
use model::units::Share;
use model::{
    Application, ApplicationName, InstanceId, ReleaseNumber, Service, ServiceName, Timestamp,
};
use world::rollout::{Outcome, Thresholds, Verdict};
use world::routing::ReleaseShare;
use world::{Event, GroupNumber, NamedPort, Purpose, Recorded, Traffic, World};

pub(crate) const SHOP: &str = "shop";

pub(crate) fn service(replicas: u32) -> Service {
    Service {
        source: Source::Process { artifact: None, build: Vec::new(), command: Vec::new() },
        release_command: Vec::new(),
        environment: BTreeMap::new(),
        port: None,
        ports: BTreeMap::new(),
        protocol: model::service::Protocol::Http,
        replicas,
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

pub(crate) fn needing(dependency: &str, condition: Condition) -> Service {
    let depends_on = BTreeMap::from([(dependency.parse().unwrap(), condition)]);
    Service { depends_on, ..service(1) }
}

pub(crate) fn job(replicas: u32) -> Service {
    let restart = Restart { policy: RestartPolicy::OnFailure, ..Restart::default() };
    Service { restart, ..service(replicas) }
}

pub(crate) fn applied(name: &str, services: &[(&str, Service)]) -> Event {
    let services = services.iter().map(|(name, it)| (name.parse().unwrap(), it.clone()));
    Event::ApplicationApplied {
        definition: Arc::new(Application {
            services: services.collect(),
            ..Application::empty(name.parse().unwrap())
        }),
        folder: "/srv".to_owned(),
    }
}

pub(crate) fn released(application: &str, name: &str, number: u32, service: Service) -> Event {
    let number = ReleaseNumber(number);
    let release = Release::plain(number, service, None, Timestamp::EPOCH);
    let service = name.parse().unwrap();
    Event::ReleaseMade {
        application: application.parse().unwrap(),
        service,
        release: Arc::new(release),
    }
}

fn place(application: &str, service: &str) -> (ApplicationName, ServiceName) {
    (application.parse().unwrap(), service.parse().unwrap())
}

pub(crate) fn port(application: &str, service: &str, slot: u32) -> Event {
    let (application, service) = place(application, service);
    let port = 20_000 + u16::try_from(slot).unwrap();
    Event::PortAssigned { group: GroupNumber::default(), application, service, slot, port }
}

pub(crate) fn spare_port(application: &str, service: &str, slot: u32) -> Event {
    let (application, service) = place(application, service);
    let port = 21_000 + u16::try_from(slot).unwrap();
    Event::SparePortAssigned { group: GroupNumber::default(), application, service, slot, port }
}

/// A further port, with the one for whoever takes over.
pub(crate) fn named_port(application: &str, service: &str, name: &str, port: u16) -> Event {
    let (application, service) = place(application, service);
    let (name, ports) = (name.parse().unwrap(), NamedPort { port, spare: Some(port + 1) });
    let group = GroupNumber::default();
    Event::NamedPortAssigned { application, service, group, slot: 0, name, ports }
}

/// The port of an edge is told from the names, so that every edge has its own.
pub(crate) fn edge_opened(application: &str, caller: &str, callee: &str) -> Event {
    let sum: u16 = [caller, callee].concat().bytes().map(u16::from).sum();
    Event::EdgeOpened {
        group: None,
        application: application.parse().unwrap(),
        caller: caller.parse().unwrap(),
        callee: callee.parse().unwrap(),
        port: 22_000 + sum,
    }
}

pub(crate) fn calling(callees: &[&str]) -> Service {
    let calls = callees.iter().map(|it| (it.parse().unwrap(), Resilience::default()));
    Service { calls: calls.collect(), ..service(1) }
}

pub(crate) fn scaled(application: &str, service: &str, replicas: u32) -> Event {
    let (application, service) = place(application, service);
    Event::ServiceScaled { application, service, replicas }
}

pub(crate) fn restart(application: &str, service: &str) -> Event {
    let (application, service) = place(application, service);
    Event::RestartAsked { application, service }
}

pub(crate) fn looping(application: &str, service: &str) -> Event {
    let (application, service) = place(application, service);
    Event::CrashLoopDeclared { application, service, failures: 5 }
}

pub(crate) fn cleared(application: &str, service: &str) -> Event {
    let (application, service) = place(application, service);
    Event::CrashLoopCleared { application, service }
}

/// A release that nothing runs yet, and a group for it with a port.
pub(crate) fn baked(application: &str, name: &str, number: u32, group: u32) -> [Event; 3] {
    let (application, service) = place(application, name);
    let release = Release::plain(ReleaseNumber(number), self::service(1), None, Timestamp::EPOCH);
    let (release, group) = (Arc::new(release), GroupNumber(group));
    let port = 23_000 + u16::try_from(group.0).unwrap();
    let at = |application: &ApplicationName| (application.clone(), service.clone());
    let ((a, b), (c, d)) = (at(&application), at(&application));
    [
        Event::ReleaseBaked { application: a, service: b, release },
        Event::GroupOpened { application: c, service: d, group, release: ReleaseNumber(number) },
        Event::PortAssigned { application, service, group, slot: 0, port },
    ]
}

/// A rollout between two releases, as written in JSON: its kind, its group, and the rest.
pub(crate) fn rollout(
    application: &str,
    service: &str,
    (from, to): (u32, u32),
    text: &str,
) -> Event {
    let (application, service) = place(application, service);
    let plan = format!(
        r#"{{"from": {from}, "to": {to}, "update": {{"steps": [{{"weight": "10%"}}],
            "keep_old": "1h", "auto_promote": true, "auto_revert": true, "analysis": {{"alpha":
            "1%", "max_ratio": 1.25, "max_duration": "30m", "on_inconclusive": "hold"}},
            {text}"#
    );
    Event::RolloutStarted {
        application,
        service,
        rollout: Arc::new(serde_json::from_str(&plan).unwrap()),
    }
}

/// What happens to the rollout of a service, by the name of the event; anything else rejects it.
pub(crate) fn rolled(application: &str, service: &str, what: &str) -> Event {
    let (application, service) = place(application, service);
    let (by, step) = (None, 0);
    let reason = || what.to_owned();
    match what {
        "begun" => Event::RolloutStepBegun { application, service, step: 1 },
        "moved" => Event::RolloutTrafficMoved { application, service, step },
        "moved all" => Event::RolloutTrafficMoved { application, service, step: 1 },
        "frozen" => {
            let thresholds = Thresholds { latency_us: [1, 2, 3, 4, 5], requests: 200 };
            Event::RolloutBaselineFrozen { application, service, thresholds }
        }
        "passed" => {
            let (verdict, reason) = (Verdict::Pass, reason());
            Event::RolloutJudged { application, service, verdict, reason }
        }
        "paused" => Event::RolloutPaused { application, service, by },
        "resumed" => Event::RolloutResumed { application, service, by },
        "promoted" => Event::RolloutPromoted { application, service, by },
        "told" => Event::RolloutTold { application, service, failure: None },
        "completed" => Event::RolloutEnded { application, service, outcome: Outcome::Completed },
        _ => {
            let outcome = Outcome::Rejected { reason: reason() };
            Event::RolloutEnded { application, service, outcome }
        }
    }
}

/// Shares of releases, in percent.
pub(crate) fn shared(application: &str, service: &str, shares: &[(u32, u32)]) -> Event {
    let (application, service) = place(application, service);
    let share = |(release, percent): &(u32, u32)| ReleaseShare {
        release: ReleaseNumber(*release),
        weight: Share::from_percent(*percent),
    };
    let traffic = Traffic { shares: shares.iter().map(share).collect(), ..Traffic::default() };
    Event::TrafficSet { application, service, traffic }
}

pub(crate) fn stop_asked(application: &str) -> Event {
    Event::StopAsked { application: application.parse().unwrap() }
}

pub(crate) fn stopped(application: &str) -> Event {
    Event::ApplicationStopped { application: application.parse().unwrap() }
}

/// Something about the instance `id` of an application.
pub(crate) struct About<'a>(pub(crate) &'a str, pub(crate) &'a str);

impl About<'_> {
    fn place(&self) -> (ApplicationName, InstanceId) {
        (self.0.parse().unwrap(), self.1.parse().unwrap())
    }

    pub(crate) fn created(&self, slot: u32, release: u32) -> Event {
        let (application, instance) = self.place();
        let release = ReleaseNumber(release);
        Event::InstanceCreated {
            group: GroupNumber::default(),
            purpose: Purpose::Serve,
            application,
            instance,
            slot,
            release,
            port: 20_000,
        }
    }

    /// In a group other than the first.
    pub(crate) fn created_in(&self, group: u32, release: u32, purpose: Purpose) -> Event {
        let (application, instance) = self.place();
        let (group, release) = (GroupNumber(group), ReleaseNumber(release));
        let port = 23_000 + u16::try_from(group.0).unwrap();
        Event::InstanceCreated { application, instance, group, purpose, slot: 0, release, port }
    }

    pub(crate) fn started(&self) -> Event {
        let (application, instance) = self.place();
        let process = ProcessId { pid: instance.number, started_ticks: 7 };
        Event::InstanceStarted { application, instance, process }
    }

    pub(crate) fn ready(&self) -> Event {
        let (application, instance) = self.place();
        Event::InstanceReady { application, instance }
    }

    pub(crate) fn unready(&self) -> Event {
        let (application, instance) = self.place();
        Event::InstanceUnready { application, instance, reason: "refused".to_owned() }
    }

    pub(crate) fn dead(&self) -> Event {
        let (application, instance) = self.place();
        Event::LivenessFailed { application, instance, reason: "refused".to_owned() }
    }

    pub(crate) fn stopping(&self, reason: StopReason) -> Event {
        let (application, instance) = self.place();
        Event::InstanceStopping { application, instance, reason }
    }

    pub(crate) fn exited(&self, exit: Exit) -> Event {
        let (application, instance) = self.place();
        Event::InstanceExited { application, instance, exit }
    }
}

pub(crate) fn about(instance: &str) -> About<'_> {
    About(SHOP, instance)
}

/// A world and its time.
#[derive(Default)]
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) seconds: u64,
}

impl Stage {
    /// The shop with these services, each in its first release and with its ports.
    pub(crate) fn with(services: &[(&str, Service)]) -> Self {
        let mut stage = Self::default();
        stage.fold(applied(SHOP, services));
        for (name, service) in services {
            stage.fold(released(SHOP, name, 1, service.clone()));
            (0..service.replicas).for_each(|slot| stage.fold(port(SHOP, name, slot)));
        }
        stage
    }

    pub(crate) fn fold(&mut self, event: Event) {
        let (index, at) = (self.world.index.next(), Timestamp::from_millis(self.seconds * 1_000));
        self.world.fold(&Recorded { index, at, event }).unwrap();
    }

    pub(crate) fn fold_all(&mut self, events: impl IntoIterator<Item = Event>) {
        events.into_iter().for_each(|it| self.fold(it));
    }

    /// Creates, starts and makes ready, in the release that is current.
    pub(crate) fn run(&mut self, instance: &str, slot: u32) {
        let it = about(instance);
        let service: ServiceName = instance.split('.').next().unwrap().parse().unwrap();
        let release = self.service(service.as_str()).current().0;
        self.fold_all([it.created(slot, release), it.started(), it.ready()]);
    }

    pub(crate) fn service(&self, name: &str) -> &world::ServiceState {
        self.world.service(&SHOP.parse().unwrap(), &name.parse().unwrap()).unwrap()
    }

    pub(crate) fn shop(&self) -> &world::ApplicationState {
        self.world.application(&SHOP.parse().unwrap()).unwrap()
    }

    pub(crate) fn instance(&self, id: &str) -> &world::Instance {
        self.world.instance(&SHOP.parse().unwrap(), &id.parse().unwrap()).unwrap()
    }
}
