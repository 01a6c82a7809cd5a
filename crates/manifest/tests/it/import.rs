//! Files of others: what they become, and what is said of what does not come along.

use std::fmt::Write as _;

use manifest::import::{Growth, Imported, compose, compose_beside, procfile, spigo, spigo_grown};
use manifest::{Beside, Kind, Problems, detect};
use model::service::Source;
use model::workload::Replication;

use crate::beside::Texts;
use crate::{data, environment, text};

/// The file that was made, and what was left out of it.
#[track_caller]
fn told(imported: Result<Imported, Problems>) -> String {
    let imported = imported.unwrap_or_else(|it| panic!("{}", it.render(100)));
    let (variables, files) = (environment(), files());
    let beside = Beside { environment: &variables, files: &files };
    let again = manifest::read_beside("pelago.yaml", &imported.yaml, &beside).unwrap();
    assert_eq!(again.application, imported.application);
    let mut told = imported.yaml.clone();
    if let Some(text) = &imported.scenario {
        let read = manifest::scenario("scenario.yaml", text, &imported.application).unwrap();
        assert_eq!(read.warnings.to_string(), "");
        write!(told, "\nscenario:\n{text}").unwrap();
    }
    told.push_str("\nleft out:\n");
    for it in &imported.left_out {
        writeln!(told, "{}:{} {}: {}", it.place.line, it.place.column, it.key, it.why).unwrap();
    }
    if !imported.warnings.is_empty() {
        writeln!(told, "\n{}", imported.warnings).unwrap();
    }
    told
}

/// What stands beside the files of these tests.
fn files() -> Texts {
    Texts([(".env", "DEBUG=no\nLATER=1\n")].into())
}

#[test]
fn compose_file() {
    let text = text("compose.yaml");
    assert_eq!(detect("stack.yml", &text), Kind::Compose);
    let (variables, files) = (environment(), files());
    let beside = Beside { environment: &variables, files: &files };
    insta::assert_snapshot!(told(compose_beside("shop/compose.yaml", &text, &beside)));
}

#[test]
fn bad_compose_file() {
    let text = text("bad/compose.yaml");
    let problems = compose("compose.yaml", &text, &environment()).unwrap_err();
    insta::assert_snapshot!(problems.to_string());
}

#[test]
fn procfile_of_a_folder() {
    let text = text("Procfile");
    insta::assert_snapshot!(told(procfile("shop/Procfile", &text, &environment())));
    let bad = procfile("Procfile", "web\nweb: a\nweb: b\n", &environment()).unwrap_err();
    insta::assert_snapshot!("bad_procfile", bad.to_string());
}

#[test]
fn netflix() {
    let text = text("spigo/netflix_arch.json");
    insta::assert_snapshot!(told(spigo("netflix_arch.json", &text, &environment())));
}

/// What spigo itself never gets to run.
#[test]
fn netflix_in_six_regions_at_ten_times_its_size() {
    let text = text("spigo/netflix_arch.json");
    let growth = Growth { regions: Some(6), scale_percent: 1_000 };
    let imported = spigo_grown("netflix_arch.json", &text, &environment(), growth).unwrap();
    let services = &imported.application.services;
    let service = |name: &str| &services[&name.parse().unwrap()];
    let replicas = ["home", "www-elb", "www"].map(|it| service(it).replicas);
    assert_eq!(replicas, [540, 6, 1]);
    assert_eq!(services.values().map(|it| it.replicas).sum::<u32>(), 5_654);
    let Source::Behaviour(ring) = &service("cassSubscriber").source else { panic!("it has code") };
    assert_eq!(ring.replication, Some(Replication { factor: 18, read: 1, write: 1 }));
    let scenario = imported.scenario.unwrap();
    let read = manifest::scenario("scenario.yaml", &scenario, &imported.application).unwrap();
    assert_eq!((read.scenario.network.zones.len(), read.scenario.network.links.len()), (18, 15));

    let growth = Growth { regions: Some(7), scale_percent: 100 };
    let problems = spigo_grown("n", &text, &environment(), growth).unwrap_err();
    let first = problems.list()[0].to_string();
    assert_eq!(first, "services[0].regions: 7 are more than spigo knows; write at most 6");
}

#[test]
fn every_architecture_of_spigo() {
    for entry in std::fs::read_dir(data("spigo")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with("_arch.json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(detect(name, &text), Kind::Spigo);
        assert_eq!(detect("x.json", &text), Kind::Spigo, "{name}");
        drop(told(spigo(name, &text, &environment())));
    }
}

#[test]
fn refused_architectures() {
    let mut told = String::new();
    for name in ["testBadPackage", "testDuplicate", "testMissingDep"] {
        let file = format!("{name}.json");
        let text = text(&format!("spigo/{file}"));
        let problems = spigo(&file, &text, &environment()).unwrap_err();
        writeln!(told, "{problems}").unwrap();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn kinds() {
    for (name, text, kind) in [
        ("pelago.yaml", "", Kind::Pelago),
        ("dir/compose.yaml", "", Kind::Compose),
        ("docker-compose.prod.yml", "", Kind::Compose),
        ("Procfile", "", Kind::Procfile),
        ("Procfile.dev", "", Kind::Procfile),
        ("a_arch.json", "", Kind::Spigo),
        ("app.yaml", "name: a\nservices: {web: {command: x}}\n", Kind::Pelago),
        ("app.yaml", "services: {web: {image: x, ports: [80]}}\n", Kind::Compose),
        ("app.yaml", "version: '3'\nservices: {web: {image: x}}\n", Kind::Compose),
        ("app.json", "{\"arch\": \"a\", \"services\": []}", Kind::Spigo),
        ("app.yaml", "[", Kind::Pelago),
        // A mistake in a file of ours does not make it another's.
        ("app.yaml", "services: {web: {command: x, port: 80, ports: [80]}}\n", Kind::Pelago),
        ("app.yaml", "name: a\nservices: [{name: web, command: x}]\n", Kind::Pelago),
        ("app.yaml", "services: [{name: web, package: elb}]\n", Kind::Spigo),
    ] {
        assert_eq!(detect(name, text), kind, "{name}");
    }
}

#[test]
fn nothing_that_could_come_along() {
    for (text, expected) in [
        (
            "services:\n  a: {build: .}\n  b:\n",
            "c:2:3: no service can come along: what each runs is said in its Dockerfile only; add \
             `command` to them",
        ),
        ("services: {}\n", "c:1:1: a Compose file has `services`, and this one has none"),
        ("", "c:1:1: a Compose file has `services`, and this one has none"),
    ] {
        assert_eq!(compose("c", text, &environment()).unwrap_err().to_string(), expected);
    }
    let arch = spigo("a", "{}", &environment()).unwrap_err().to_string();
    assert_eq!(
        arch,
        "a:1:1: a spigo architecture has a list of `services`, and this file has none"
    );
}
