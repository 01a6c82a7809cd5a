//! Pages of what really was simulated.

use std::time::Duration;

use model::Timestamp;
use report::Subject;
use report::export::{Architecture, dot, graphml, otlp, prometheus, zipkin};
use simulator::questions::{self, CapacityOptions, Options, StormOptions};
use simulator::run::Go;
use simulator::system::System;
use telemetry::metrics::exposition::{self, Format};
use telemetry::otlp::Encoding;

use crate::{page, well_formed};

/// A well-known architecture in its own scenario, for a short time.
fn system(name: &str, seconds: u64) -> System {
    let read = library::find(name).unwrap().read().unwrap();
    let mut scenario = read.scenario;
    scenario.duration = Duration::from_secs(seconds);
    System::new(&read.application, &scenario).unwrap()
}

fn options(what: &str) -> Options {
    let command = format!("pelago sim {what} --seed 1");
    Options {
        replications: 3,
        threads: 2,
        command,
        version: "0.1.0".to_owned(),
        ..Options::default()
    }
}

#[test]
fn every_question_has_a_page() {
    let system = system("lamp", 20);
    let tell = |_: questions::Progress<'_>| Go::On;
    let answer = questions::run(&system, &options("run lamp"), &tell).unwrap();
    let html = page::check("simulated-report", &Subject::Report(&answer.report));
    assert!(html.contains("<section id=\"critical-path\">"), "where time goes");

    let search = CapacityOptions { precision: 0.1, ..CapacityOptions::default() };
    let capacity = questions::capacity(&system, search, &options("capacity lamp"), &tell).unwrap();
    page::check("simulated-capacity", &Subject::Capacity(&capacity));

    let shocks = StormOptions {
        loads: vec![0.5, 1.0, 2.0],
        sizes: vec![Duration::from_secs(2)],
        before: Duration::from_secs(5),
        after: Duration::from_secs(10),
        ..StormOptions::default()
    };
    let storm = questions::storm(&system, &shocks, &options("storm lamp"), &tell).unwrap();
    page::check("simulated-storm", &Subject::Storm(&storm));

    let comparison =
        questions::compare((&system, &system), &options("compare a b"), &tell).unwrap();
    let html = page::check("simulated-comparison", &Subject::Comparison(&comparison));
    assert!(!html.contains("better</span>"), "a variant is as good as itself");
}

#[test]
fn a_large_architecture_is_exported() {
    let system = system("train-ticket", 20);
    let tell = |_: questions::Progress<'_>| Go::On;
    let options = Options { replications: 1, ..options("run train-ticket") };
    let answer = questions::run(&system, &options, &tell).unwrap();
    page::check("simulated-train-ticket", &Subject::Report(&answer.report));
    let at = Timestamp::from_millis(1_700_000_000_000);
    let spans = telemetry::zipkin::read_json(zipkin(&answer.traces, at).as_bytes()).unwrap();
    let received = otlp(&answer.traces, at);
    let received = telemetry::otlp::traces::read(received.as_bytes(), Encoding::Json).unwrap();
    assert!(1_000 < spans.len(), "{}", spans.len());
    assert_eq!(spans.len(), received.spans.len());
    exposition::read(&prometheus(&answer.report), Format::Text, &mut |_| Ok(())).unwrap();
    let (application, network) = (system.application(), &system.scenario().network);
    let architecture = Architecture { application, network, report: Some(&answer.report), at };
    well_formed::check(&graphml(&architecture)).unwrap();
    assert!(dot(&architecture).contains("p99"));
}
