//! Whether the services fit together: circles, ports, and conditions nobody can meet.

use std::collections::BTreeMap;

use model::name::ServiceName;
use model::restart::RestartPolicy;
use model::service::{Condition, Service, Source};
use model::units::Share;

use crate::problem::Findings;
use crate::yaml::At;

pub(super) type Services = BTreeMap<ServiceName, Service>;

/// Checks all services together. `at` is where they are written.
pub(super) fn check(services: &Services, at: At<'_>, findings: &mut Findings) {
    dependency_circles(services, at, findings);
    call_circles(services, at, findings);
    conditions(services, at, findings);
    ports(services, at, findings);
}

fn dependency_circles(services: &Services, at: At<'_>, findings: &mut Findings) {
    let next = |name: &ServiceName| -> Vec<&ServiceName> {
        services.get(name).into_iter().flat_map(|it| it.depends_on.keys()).collect()
    };
    for circle in circles(services, next) {
        let place = place_of(at, &circle, |at, next| at.key("depends_on").named(next));
        let message = format!(
            "these wait for each other and would never start: {}; remove one of the dependencies",
            arrows(&circle)
        );
        findings.error(place, message);
    }
}

/// Synthetic services that call each other with certainty would never answer.
pub(super) fn call_circles(services: &Services, at: At<'_>, findings: &mut Findings) {
    let next = |name: &ServiceName| -> Vec<&ServiceName> {
        let Some(Source::Behaviour(workload)) = services.get(name).map(|it| &it.source) else {
            return Vec::new();
        };
        let calls = workload.steps.iter().flat_map(|it| &it.parallel);
        let certain = calls.filter(|it| it.probability == Share::ALL);
        // What stands behind a cache is called only sometimes; the cache always.
        certain.map(|it| it.cache.as_ref().map_or(&it.service, |it| &it.service)).collect()
    };
    for circle in circles(services, next) {
        let place = place_of(at, &circle, |at, _| at.key("behaviour").named("calls"));
        let message = format!(
            "a request would go in circles for ever: {}; give one of the calls a `probability` \
             below 100%",
            arrows(&circle)
        );
        findings.error(place, message);
    }
}

fn place_of(
    at: At<'_>,
    circle: &[&ServiceName],
    place: impl Fn(At<'_>, &str) -> crate::problem::Place,
) -> crate::problem::Place {
    match circle {
        [first, second, ..] => place(at.key(first.as_str()), second.as_str()),
        _ => at.place,
    }
}

fn arrows(circle: &[&ServiceName]) -> String {
    let names: Vec<_> = circle.iter().map(|it| it.as_str()).collect();
    names.join(" -> ")
}

/// One circle for each service that closes one, the first service repeated at the end. Every node and
/// edge is visited once.
fn circles<'a>(
    services: &'a Services,
    next: impl Fn(&ServiceName) -> Vec<&'a ServiceName>,
) -> Vec<Vec<&'a ServiceName>> {
    let mut finished = std::collections::BTreeSet::new();
    let mut found = Vec::new();
    for start in services.keys() {
        let mut path: Vec<(&ServiceName, std::vec::IntoIter<&ServiceName>)> = Vec::new();
        if !finished.contains(start) {
            path.push((start, next(start).into_iter()));
        }
        while let Some((node, rest)) = path.last_mut() {
            let node = *node;
            let Some(to) = rest.next() else {
                finished.insert(node);
                path.pop();
                continue;
            };
            if let Some(from) = path.iter().position(|(it, _)| *it == to) {
                let circle = path.iter().skip(from).map(|(it, _)| *it).chain([to]);
                found.push(circle.collect());
            } else if !finished.contains(to) {
                path.push((to, next(to).into_iter()));
            }
        }
    }
    found
}

fn conditions(services: &Services, at: At<'_>, findings: &mut Findings) {
    for (name, service) in services {
        for (dependency, condition) in &service.depends_on {
            let Some(other) = services.get(dependency) else { continue };
            let place = at.key(name.as_str()).key("depends_on").named(dependency.as_str());
            match condition {
                Condition::ServiceCompletedSuccessfully
                    if other.restart.policy == RestartPolicy::Always =>
                {
                    let message = format!(
                        "`{dependency}` never completes, since it is always restarted; give it \
                         `restart: on-failure`"
                    );
                    findings.error(place, message);
                }
                Condition::ServiceHealthy if other.health.readiness.is_none() => {
                    let message = format!(
                        "`{dependency}` has no healthcheck, so it is ready when it has run for a second; give \
                         it one"
                    );
                    findings.warn(place, message);
                }
                Condition::ServiceHealthy if other.replicas == 0 => {
                    let message =
                        format!("`{dependency}` has 0 replicas, so it counts as ready at once");
                    findings.warn(place, message);
                }
                _ => {}
            }
        }
    }
}

/// Ports on the machine itself; a container has its own.
fn ports(services: &Services, at: At<'_>, findings: &mut Findings) {
    let mut taken: BTreeMap<u16, &ServiceName> = BTreeMap::new();
    for (name, service) in services {
        if matches!(service.source, Source::Image { .. }) {
            continue;
        }
        let at = at.key(name.as_str());
        let first = service.port.map(|port| (port, at.key("port").place, "remove `port`"));
        let further = service.ports.iter().filter_map(|(name, port)| {
            let place = at.key("ports").key(name.as_str()).place;
            Some(((*port)?, place, "write `any`"))
        });
        for (port, place, remedy) in first.into_iter().chain(further) {
            if 1 < service.replicas {
                let message = format!(
                    "{} instances of `{name}` cannot all listen on port {port}; {remedy}, and each is \
                     given one",
                    service.replicas
                );
                findings.error(place, message);
            }
            if let Some(other) = taken.get(&port) {
                let message = format!(
                    "port {port} is taken by `{other}`; choose another, or {remedy} to be given one"
                );
                findings.error(place, message);
            }
            taken.entry(port).or_insert(name);
        }
    }
}
