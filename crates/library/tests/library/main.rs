//! Every architecture is read, and is what it says it is.
#![cfg(test)]

use std::collections::BTreeSet;

use behaviour::{Behaviour, Sampler};
use library::{Offered, WebScale, all, find};
use model::scenario::Load;
use model::service::{REPLICAS_MAX, Source};
use model::{Application, ServiceName};

#[test]
fn all_are_read_without_a_warning() {
    for architecture in all() {
        let name = architecture.name;
        let environment = std::collections::BTreeMap::new();
        let read = manifest::read(name, architecture.manifest, &environment);
        let read = read.unwrap_or_else(|it| panic!("{}", it.render(100)));
        assert_eq!(read.warnings.to_string(), "", "{name}");
        assert_eq!(read.application.name.as_str(), name);
        assert_eq!(read.application.problems(), [""; 0], "{name}");
        let scenario = architecture.read().unwrap_or_else(|it| panic!("{}", it.render(100)));
        assert_eq!(scenario.warnings.to_string(), "", "{name}");
        assert!(!scenario.scenario.objective.latency.is_empty(), "{name}");
        for (service, meant) in &scenario.application.services {
            let Source::Behaviour(workload) = &meant.source else { panic!("{service} has code") };
            Behaviour::new(workload).unwrap();
        }
    }
}

#[test]
fn names_are_unique_and_found() {
    let names: BTreeSet<_> = all().iter().map(|it| it.name).collect();
    assert_eq!(names.len(), all().len());
    assert_eq!(find("netflix").map(|it| it.title), Some("Netflix OSS"));
    assert_eq!(find("nothing"), None);
}

fn application(name: &str) -> Application {
    find(name).unwrap().read().unwrap().application
}

/// Services, edges and instances of an architecture.
#[track_caller]
fn check(name: &str, expected: (usize, usize, u32)) {
    let services = application(name).services;
    let edges = services.values().map(|it| it.calls.len()).sum();
    let instances = services.values().map(|it| it.replicas).sum();
    assert_eq!((services.len(), edges, instances), expected, "{name}");
}

#[test]
fn they_have_their_size() {
    check("train-ticket", (68, 113, 90));
    check("netflix", (21, 28, 99));
    check("migration-0", (4, 3, 13));
    check("migration-9", (8, 8, 148));
}

/// What the front page of the reference asks for: thirteen calls with nine products.
#[test]
fn the_home_page_makes_thirteen_calls() {
    let services = application("online-boutique").services;
    let Source::Behaviour(home) = &services[&"home".parse().unwrap()].source else { panic!() };
    let calls = home.steps.iter().flat_map(|it| &it.parallel).map(|it| it.times);
    assert_eq!(calls.sum::<u32>(), 13);
}

/// How busy each service would be at the scenario's highest load, the busiest first, with hits as they are meant.
fn busy(name: &str) -> Vec<(f64, ServiceName)> {
    let read = find(name).unwrap().read().unwrap();
    let mut rates = std::collections::BTreeMap::<ServiceName, f64>::new();
    let mut waiting = Vec::new();
    for users in &read.scenario.users {
        let rate = match &users.load {
            Load::Open(parts) => parts.iter().map(|it| it.from.max(it.to)).fold(0.0, f64::max),
            Load::Closed { users, think } => {
                f64::from(*users) / Sampler::new(think).mean().as_secs_f64()
            }
        };
        let all: u32 = users.requests.iter().map(|it| it.weight).sum();
        for entry in &users.requests {
            waiting.push((entry.service.clone(), rate * f64::from(entry.weight) / f64::from(all)));
        }
    }
    while let Some((service, rate)) = waiting.pop() {
        // A circle ends where hardly anything goes round.
        if rate < 0.01 {
            continue;
        }
        *rates.entry(service.clone()).or_default() += rate;
        let Source::Behaviour(workload) = &read.application.services[&service].source else {
            panic!("{service} has code");
        };
        for call in workload.steps.iter().flat_map(|it| &it.parallel) {
            let made = rate * call.probability.as_fraction() * f64::from(call.times);
            let missed = match &call.cache {
                Some(cache) => {
                    waiting.push((cache.service.clone(), made));
                    made * (1.0 - cache.hit_ratio.as_fraction())
                }
                None => made,
            };
            waiting.push((call.service.clone(), missed));
        }
    }
    let mut busy = Vec::new();
    for (service, rate) in rates {
        let meant = &read.application.services[&service];
        let Source::Behaviour(workload) = &meant.source else { panic!("{service} has code") };
        let Some(workers) = workload.concurrency else { continue };
        let copies = workload.replication.map_or(1.0, |it| f64::from(it.factor));
        let work = Sampler::new(&workload.work).mean().as_secs_f64() * copies;
        busy.push((rate * work / f64::from(meant.replicas * workers), service));
    }
    busy.sort_by(|a, b| b.0.total_cmp(&a.0));
    busy
}

#[test]
fn no_service_is_overloaded_from_the_start() {
    for architecture in all() {
        let busy = busy(architecture.name);
        let (most, service) = &busy[0];
        assert!(*most < 0.8, "{}: {service} is busy {most:.2}", architecture.name);
    }
}

#[test]
fn a_large_one_is_generated() {
    let wanted = WebScale::default();
    let generated = wanted.generate().unwrap();
    let again = wanted.generate().unwrap();
    assert_eq!(generated.application, again.application);
    assert_eq!(generated.scenario, again.scenario);
    let services = &generated.application.services;
    let instances: u32 = services.values().map(|it| it.replicas).sum();
    assert!((99_000..=101_000).contains(&instances), "{instances}");
    assert!(services.values().any(|it| REPLICAS_MAX < it.replicas));
    assert_eq!(services.len(), 300);
    let entries = generated.scenario.users[0].requests.len();
    assert_eq!(entries, 117);
    for service in services.values() {
        let Source::Behaviour(workload) = &service.source else { panic!("it has code") };
        Behaviour::new(workload).unwrap();
    }
    let rate = |it: &WebScale| match &it.generate().unwrap().scenario.users[0].load {
        Load::Open(parts) => parts[0].from,
        other @ Load::Closed { .. } => panic!("{other:?}"),
    };
    assert!((rate(&wanted) - 1_000.0).abs() < 1e-9);
    let half = rate(&WebScale { offered: Offered::Busiest(0.5), ..wanted });
    let full = rate(&WebScale { offered: Offered::Busiest(1.0), ..wanted });
    assert!(100_000.0 < half && (full / half - 2.0).abs() < 1e-9, "{half} {full}");
    let other = WebScale { seed: 2, ..wanted }.generate().unwrap();
    assert_ne!(generated.application, other.application);
}
