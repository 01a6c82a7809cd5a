//! Pages: well-formed, complete, harmless, and drawn from anything.

use std::fs;
use std::path::Path;

use api::simulation::{Capacity, Comparison, Report, Storm, Sweep};
use report::{Subject, page};

use crate::{sample, well_formed};

/// Draws a page, keeps it for people to look at, and holds it to what every page must be.
#[track_caller]
pub(crate) fn check(name: &str, subject: &Subject<'_>) -> String {
    let html = page(subject);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"));
    fs::write(kept, &html).unwrap();
    if let Err(wrong) = well_formed::check(&html) {
        panic!("{name}: {wrong}");
    }
    assert_eq!(html, page(subject), "the same bytes");
    for word in ["NaN", "inf\"", "Infinity", "http://", "https://", "src=", "url("] {
        assert!(!html.contains(word), "{name} has {word}");
    }
    html
}

#[test]
fn every_subject_has_its_sections_in_order() {
    let (report, capacity, sweep, storm, comparison) = (
        sample::report(),
        sample::capacity(),
        sample::sweep(),
        sample::storm(),
        sample::comparison(),
    );
    let subjects = [
        (
            "report",
            Subject::Report(&report),
            "verdict credibility users timeline critical-path topology services edges origin",
        ),
        ("capacity", Subject::Capacity(&capacity), "verdict credibility load origin"),
        ("sweep", Subject::Sweep(&sweep), "verdict credibility load origin"),
        ("storm", Subject::Storm(&storm), "verdict credibility map origin"),
        (
            "comparison",
            Subject::Comparison(&comparison),
            "verdict credibility differences timeline run-a run-b origin",
        ),
    ];
    for (name, subject, sections) in subjects {
        let html = check(name, &subject);
        let found: Vec<&str> =
            html.split("<section id=\"").skip(1).filter_map(|it| it.split('"').next()).collect();
        assert_eq!(found.join(" "), sections, "{name}");
        assert!(html.contains("pelago sim run pelago.yaml --scenario black-friday.yaml --seed 42"));
    }
}

#[test]
fn answers_that_are_hard_to_draw_are_drawn() {
    for value in [0.0, -1.0, 1e-12, 1.0, 1e18, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]
    {
        for count in [0, 1, 2, 5_000] {
            let report = sample::with(value, count);
            check("hard-report", &Subject::Report(&report));
            let comparison = Comparison { a: report.clone(), b: report, ..sample::comparison() };
            check("hard-comparison", &Subject::Comparison(&comparison));
        }
        let mut capacity = sample::capacity();
        for point in &mut capacity.points {
            (point.offered.value, point.goodput.value) = (value, value);
            point.latency.p99_ms.value = value;
        }
        (capacity.meets, capacity.misses) = (Some(value), Some(value));
        check("hard-capacity", &Subject::Capacity(&capacity));
        capacity.points.truncate(1);
        check("hard-capacity", &Subject::Capacity(&capacity));
        let mut storm = sample::storm();
        storm.loads = vec![value];
        storm.cells.truncate(1);
        storm.cells[0].load = value;
        storm.cells[0].recovery_s = Some(sample::found(value));
        check("hard-storm", &Subject::Storm(&storm));
    }
    check("empty-report", &Subject::Report(&Report::default()));
    check("empty-capacity", &Subject::Capacity(&Capacity::default()));
    check("empty-sweep", &Subject::Sweep(&Sweep::default()));
    check("empty-storm", &Subject::Storm(&Storm::default()));
    check("empty-comparison", &Subject::Comparison(&Comparison::default()));
}

#[test]
fn text_from_outside_does_nothing() {
    let evil = "<script>alert('\"&')</script>\u{1}";
    let mut report = sample::report();
    let evil_text = || evil.to_owned();
    report.origin.application = evil_text();
    report.origin.command = evil_text();
    report.origin.version = evil_text();
    report.origin.model = evil_text();
    report.origin.digest = evil_text();
    report.origin.warm_up_by = evil_text();
    report.verdict.summary = evil_text();
    report.users[0].name = evil_text();
    report.services[0].name = evil_text();
    report.edges[0].callee = evil_text();
    report.edges[1].caller = evil_text();
    report.critical_path[0].name = evil_text();
    report.incidents[0].what = evil_text();
    report.incidents[1].kind = evil_text();
    report.verdict.objectives[0].objective = evil_text();
    report.verdict.objectives[1].state = evil_text();
    report.verdict.bottleneck = Some(evil.to_owned());
    report.edges[0].refused = vec![(evil.to_owned(), sample::found(1.0))];
    report.users[0].success.refused = Some(evil.to_owned());
    report.users[0].success.half_width = None;
    report.credibility.violations = vec![evil.to_owned()];
    let html = check("evil-report", &Subject::Report(&report));
    assert_eq!(html.matches("<script>").count(), 1, "its own only");
    let mut storm = sample::storm();
    evil.clone_into(&mut storm.trigger);
    evil.clone_into(&mut storm.cells[0].state);
    check("evil-storm", &Subject::Storm(&storm));
    let mut sweep = sample::sweep();
    evil.clone_into(&mut sweep.parameter);
    evil.clone_into(&mut sweep.points[0].0);
    check("evil-sweep", &Subject::Sweep(&sweep));
    let mut comparison = sample::comparison();
    evil.clone_into(&mut comparison.differences[0].what);
    evil.clone_into(&mut comparison.differences[0].unit);
    check("evil-comparison", &Subject::Comparison(&comparison));
}

#[test]
fn hundreds_of_services_are_drawn_in_part() {
    let mut report = sample::report();
    let (service, edge) = (report.services[0].clone(), report.edges[1].clone());
    for at in 0..300 {
        let name = format!("service-{at}");
        report
            .services
            .push(api::simulation::ServiceReport { name: name.clone(), ..service.clone() });
        let caller = format!("service-{}", at / 3);
        report.edges.push(api::simulation::EdgeReport { caller, callee: name, ..edge.clone() });
    }
    let html = check("large-report", &Subject::Report(&report));
    assert!(html.contains("229 more are in the tables"));
}
