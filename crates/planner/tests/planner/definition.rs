//! Small applications for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use model::edge::Resilience;
use model::health::{Check, Health, Probe};
use model::restart::{Restart, RestartPolicy};
use model::rollout::{OnInconclusive, Step, Strategy, Update};
use model::service::{Condition, Limits, Source};
use model::units::parse_duration;
use model::{Application, Service, ServiceName};

pub(crate) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A service without anything special.
pub(crate) fn service() -> Service {
    Service {
        source: Source::Process { artifact: None, build: Vec::new(), command: Vec::new() },
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
        stop_signal: model::stopping::StopSignal::default(),
        data: None,
        stop_grace_period: Duration::from_secs(10),
        restart: Restart::default(),
        limits: Limits::default(),
        update: Update { keep_old: Duration::ZERO, ..Update::default() },
        metrics: None,
        owner: None,
    }
}

pub(crate) fn application(services: BTreeMap<ServiceName, Service>) -> Application {
    Application { services, ..Application::empty(name("shop")) }
}

/// Reads one service a line: `web replicas=2 check needs=db:healthy policy=no canary=5%:50%`.
pub(crate) fn read(text: &str) -> Application {
    let lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
    application(lines.map(read_line).collect())
}

fn read_line(line: &str) -> (ServiceName, Service) {
    let mut words = line.split_whitespace();
    let mut service = service();
    let service_name = name(words.next().unwrap());
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "replicas" => service.replicas = value.parse().unwrap(),
            "check" => service.health = checked(),
            "needs" => {
                let (dependency, condition) = value.split_once(':').unwrap();
                service.depends_on.insert(name(dependency), condition_of(condition));
            }
            "policy" => {
                service.restart.policy = match value {
                    "always" => RestartPolicy::Always,
                    "on-failure" => RestartPolicy::OnFailure,
                    "no" => RestartPolicy::Never,
                    other => panic!("policy {other}"),
                };
            }
            "crash_loop" => service.restart.crash_loop = value.parse().unwrap(),
            "immediate" => service.update.strategy = Strategy::Immediate,
            "recreate" => service.update.strategy = Strategy::Recreate,
            "bluegreen" => service.update.strategy = Strategy::Bluegreen,
            "canary" => {
                service.update.strategy = Strategy::Canary;
                service.update.steps = value.split(':').map(step).collect();
            }
            "keep_old" => service.update.keep_old = parse_duration(value).unwrap(),
            "max_duration" => {
                service.update.analysis.max_duration = parse_duration(value).unwrap();
            }
            "on_inconclusive" => {
                service.update.analysis.on_inconclusive = match value {
                    "promote" => OnInconclusive::Promote,
                    "revert" => OnInconclusive::Revert,
                    other => panic!("on_inconclusive {other}"),
                };
            }
            "promoted_by_hand" => service.update.auto_promote = false,
            "reverted_by_hand" => service.update.auto_revert = false,
            "webhook" => service.update.webhook = Some("http://127.0.0.1:1/".to_owned()),
            "migrates" => service.release_command = vec!["migrate".parse().unwrap()],
            "calls" => {
                service.calls.insert(name(value), Resilience::default());
            }
            "port" => service.port = Some(value.parse().unwrap()),
            "owner" => service.owner = Some(value.to_owned()),
            other => panic!("{other} in {line}"),
        }
    }
    (service_name, service)
}

/// A step of a canary in which the judge has the only word.
fn step(weight: &str) -> Step {
    Step { weight: weight.parse().unwrap(), ..Step::default() }
}

/// A readiness check that gives five seconds: two of start period, three tries of one second.
pub(crate) fn checked() -> Health {
    let check = Check {
        interval: Duration::from_secs(1),
        start_period: Duration::from_secs(2),
        ..Check::new(Probe::Tcp)
    };
    Health { readiness: Some(check), liveness: None }
}

fn condition_of(text: &str) -> Condition {
    match text {
        "started" => Condition::ServiceStarted,
        "healthy" => Condition::ServiceHealthy,
        "completed" => Condition::ServiceCompletedSuccessfully,
        other => panic!("condition {other}"),
    }
}
