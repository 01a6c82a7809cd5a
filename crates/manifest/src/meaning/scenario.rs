//! A scenario as meant, and the application as it is in it.

use std::collections::BTreeMap;
use std::time::Duration;

use model::application::Application;
use model::edge::Resilience;
use model::name::{ResourceName, ServiceName};
use model::scenario::{
    Abandoned, DURATION_DEFAULT, Deadlines, Fault, LatencyObjective, Network, Objective, Scenario,
};
use model::service::{Service, Source};
use model::units::Share;
use model::workload::Workload;

use super::defaults::REPLICAS;
use super::fault::Meeting;
use super::{Reader, graph};
use crate::problem::Findings;
use crate::scenario::{RATE_DEFAULT, default_users};
use crate::spec::{
    AbandonedSpec, CallsSpec, ChangeSpec, DeadlinesSpec, FaultSpec, ObjectiveSpec, ScenarioSpec,
};
use crate::yaml::At;

/// The application as it is in a scenario, and the scenario.
pub(crate) fn scenario(
    spec: &ScenarioSpec,
    at: At<'_>,
    application: &Application,
    findings: &mut Findings,
) -> (Application, Scenario) {
    let environment = BTreeMap::new();
    let mut reader = reader(application, &environment, findings);
    reader.services.extend(at.key("services").keys());
    reader.resources.retain(|it| !at.key("services").has(it));
    let application = reader.changed(application, spec, at.key("services"));
    graph::call_circles(&application.services, at.key("services"), reader.findings);
    let duration =
        spec.duration.and_then(|it| reader.positive(it.0, "duration", at.key("duration").place));
    let duration = duration.unwrap_or(DURATION_DEFAULT);
    let users = match &spec.users {
        Some(users) => reader.users(users, at.key("users"), (&application, duration)),
        None => default_users(&application, RATE_DEFAULT),
    };
    let network = match &spec.network {
        Some(network) => reader.network(network, at.key("network")),
        None => Network::default(),
    };
    let objective = spec.objective.map(objective);
    let meeting = Meeting { application: &application, network: Some(&network), duration };
    let scenario = Scenario {
        duration,
        warm_up: reader.warm_up(spec, duration, at.key("warm_up")),
        users,
        faults: reader.faults(
            spec.faults.as_deref().unwrap_or_default(),
            at.key("faults"),
            &meeting,
        ),
        network: network.clone(),
        objective: objective.unwrap_or_default(),
        abandoned: match spec.abandoned {
            None | Some(AbandonedSpec::Cancelled) => Abandoned::Cancelled,
            Some(AbandonedSpec::Skipped) => Abandoned::Skipped,
            Some(AbandonedSpec::WorkedOn) => Abandoned::WorkedOn,
        },
        deadlines: match spec.deadlines {
            None | Some(DeadlinesSpec::Local) => Deadlines::Local,
            Some(DeadlinesSpec::Propagated) => Deadlines::Propagated,
        },
    };
    (application, scenario)
}

/// One fault, for whoever writes it without a scenario around it.
pub(crate) fn fault(
    spec: &FaultSpec,
    at: At<'_>,
    application: &Application,
    findings: &mut Findings,
) -> Option<Fault> {
    let environment = BTreeMap::new();
    let meeting = Meeting { application, network: None, duration: Duration::MAX };
    reader(application, &environment, findings).fault(spec, at, &meeting)
}

/// What is known while a scenario is read: what the application has.
fn reader<'a>(
    application: &'a Application,
    environment: &'a BTreeMap<String, String>,
    findings: &'a mut Findings,
) -> Reader<'a> {
    Reader {
        environment,
        files: &crate::beside::NoFiles,
        config: BTreeMap::new(),
        services: application.services.keys().map(ServiceName::as_str).collect(),
        resources: application.resources.keys().map(ResourceName::as_str).collect(),
        tcp: std::collections::BTreeSet::new(),
        budget: 0,
        findings,
    }
}

fn objective(spec: ObjectiveSpec) -> Objective {
    let ObjectiveSpec { success, p50, p90, p95, p99, p999 } = spec;
    let otherwise = Objective::default();
    let percent = Share::from_percent;
    let quantiles = [
        (percent(50), p50),
        (percent(90), p90),
        (percent(95), p95),
        (percent(99), p99),
        (Share::from_millionths(999_000), p999),
    ];
    let asked = quantiles
        .into_iter()
        .filter_map(|(quantile, within)| Some(LatencyObjective { quantile, within: within?.0 }));
    let latency: Vec<_> = asked.collect();
    Objective {
        success: success.map_or(otherwise.success, |it| it.0),
        latency: if latency.is_empty() { otherwise.latency } else { latency },
    }
}

impl Reader<'_> {
    fn warm_up(&mut self, spec: &ScenarioSpec, duration: Duration, at: At<'_>) -> Option<Duration> {
        let warm_up = spec.warm_up?.0;
        if duration <= warm_up {
            let message = format!(
                "nothing would be counted: `warm_up` is as long as `duration`, {}; write less",
                super::defaults::duration(duration)
            );
            self.findings.error(at.place, message);
        }
        Some(warm_up)
    }

    /// The application with what the scenario says about its services.
    fn changed(&mut self, before: &Application, spec: &ScenarioSpec, at: At<'_>) -> Application {
        let mut application = before.clone();
        for (name, change) in spec.services.iter().flatten() {
            // A name that is none was reported with the structure.
            let Ok(known) = name.parse::<ServiceName>() else { continue };
            let at = At { place: at.named(name), ..at.key(name) };
            let service = match before.services.get(&known) {
                Some(service) => self.change(service.clone(), (name, change), at),
                None => self.addition((name, change), at),
            };
            // What stands in for a resource takes its name.
            application.resources.retain(|it, _| it.as_str() != name);
            application.services.insert(known, service);
        }
        for (name, service) in &mut application.services {
            let missing = implied(service);
            let missing = missing.into_iter().filter(|it| it != name);
            for callee in missing {
                service.calls.entry(callee).or_default();
            }
        }
        application
    }

    /// A service that is not in the application's file.
    fn addition(&mut self, (name, change): (&str, &ChangeSpec), at: At<'_>) -> Service {
        if !at.has("behaviour") {
            let message = format!(
                "the application has no service `{name}`; write its `behaviour` if it is to be added"
            );
            self.findings.error(at.place, message);
        }
        let service = Service::synthetic(Workload::default(), REPLICAS);
        self.change(service, (name, change), at)
    }

    fn change(
        &mut self,
        mut service: Service,
        (name, change): (&str, &ChangeSpec),
        at: At<'_>,
    ) -> Service {
        let ChangeSpec { behaviour, replicas, resilience, calls } = change;
        if let Some(spec) = behaviour {
            let base = match &service.source {
                Source::Behaviour(workload) => workload.clone(),
                Source::Process { .. } | Source::Image { .. } => Workload::default(),
            };
            let read = self.workload(name, (&base, spec), at.key("behaviour"));
            service.source = Source::Behaviour(read.meant);
            for callee in implied(&service) {
                service.calls.entry(callee).or_default();
            }
        }
        service.replicas = replicas.unwrap_or(service.replicas);
        if let Some(calls) = calls {
            self.changed_calls(&mut service, (name, calls), at.key("calls"));
        }
        if let Some(spec) = resilience {
            for policy in service.calls.values_mut() {
                *policy = self.resilience(policy, spec, at.key("resilience"));
            }
        }
        service
    }

    fn changed_calls(
        &mut self,
        service: &mut Service,
        (name, calls): (&str, &CallsSpec),
        at: At<'_>,
    ) {
        match calls {
            CallsSpec::List(names) => {
                for (index, callee) in names.iter().enumerate() {
                    if let Some(callee) = self.callee(name, callee, at.item(index).place) {
                        service.calls.entry(callee).or_default();
                    }
                }
            }
            CallsSpec::Map(map) => {
                for (callee, spec) in map {
                    let Some(known) = self.callee(name, callee, at.named(callee)) else { continue };
                    let policy: &mut Resilience = service.calls.entry(known).or_default();
                    if let Some(spec) = spec {
                        *policy = self.resilience(policy, spec, at.key(callee));
                    }
                }
            }
        }
    }
}

/// The services a behaviour calls, caches among them.
fn implied(service: &Service) -> Vec<ServiceName> {
    let Source::Behaviour(workload) = &service.source else { return Vec::new() };
    let calls = workload.steps.iter().flat_map(|it| &it.parallel);
    let names = calls.flat_map(|it| {
        let cache = it.cache.as_ref().map(|it| it.service.clone());
        std::iter::once(it.service.clone()).chain(cache)
    });
    names.collect()
}
