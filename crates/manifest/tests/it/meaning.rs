//! What the file means: inheritance, defaults, references.

use manifest::Read;
use model::Application;
use model::health::Check;
use model::route::PathParameters;
use model::service::Service;

use crate::{environment, text};

#[track_caller]
fn read(text: &str) -> Read {
    let read = manifest::read("pelago.yaml", text, &environment());
    read.unwrap_or_else(|it| panic!("{}", it.render(100)))
}

#[track_caller]
fn service(text: &str) -> Service {
    let application = read(&format!("name: a\n{text}")).application;
    application.services.values().next().unwrap().clone()
}

/// The plain lines of what is wrong with a file, without its name.
#[track_caller]
fn wrong(text: &str, expected: &[&str]) {
    let problems = manifest::read("f", text, &environment()).err();
    let problems = problems.map(|it| it.to_string()).unwrap_or_default();
    let problems: Vec<_> = problems.lines().map(|it| it.trim_start_matches("f:")).collect();
    assert_eq!(problems, expected);
}

#[test]
fn every_key() {
    let application = read(&text("good/all.yaml")).application;
    insta::assert_snapshot!(serde_json::to_string_pretty(&application).unwrap());
    let json = serde_json::to_string(&application).unwrap();
    assert_eq!(serde_json::from_str::<Application>(&json).unwrap(), application);
}

#[test]
fn the_example_of_the_design() {
    let read = read(&text("good/shop.yaml"));
    assert_eq!(read.application.services.len(), 5);
    assert_eq!(read.warnings.to_string(), "");
}

#[test]
fn liveness_is_milder_than_readiness() {
    let retries = |it: &Option<Check>| it.as_ref().map(|it| it.retries);
    let of = |text: &str| {
        let health = service(text).health;
        (retries(&health.readiness), retries(&health.liveness))
    };
    assert_eq!(of("services: {a: {image: a}}"), (None, None));
    assert_eq!(of("services: {a: {image: a, healthcheck: {tcp: true}}}"), (Some(3), Some(9)));
    assert_eq!(
        of("services: {a: {image: a, healthcheck: {tcp: true}, liveness: {retries: 5}}}"),
        (Some(3), Some(5))
    );
    assert_eq!(
        of("services: {a: {image: a, healthcheck: {tcp: true}, liveness: none}}"),
        (Some(3), None)
    );
    assert_eq!(of("services: {a: {behaviour: {}}}"), (Some(3), Some(9)));
    assert_eq!(of("services: {a: {behaviour: {}, healthcheck: none}}"), (None, None));
    let defaults = "defaults: {healthcheck: {retries: 4}}\n";
    assert_eq!(of(&format!("{defaults}services: {{a: {{image: a}}}}")), (None, None));
    assert_eq!(of(&format!("{defaults}services: {{a: {{behaviour: {{}}}}}}")), (Some(4), Some(12)));
}

#[test]
fn values_of_the_environment_are_put_into_each_other() {
    let service = service(
        "services: {a: {image: a, environment: {A: '${B}!', B: '${C:-x}${PORT}', C: '', D: '${HOME:-$}'}}}",
    );
    let written: Vec<_> = service.environment.values().map(ToString::to_string).collect();
    assert_eq!(written, ["x${PORT}!", "x${PORT}", "", "${HOME:-$}"]);
}

/// They are alike for all routes: through one that kept them, what another is to take would reach the service.
#[test]
fn issue_13_all_routes_see_parameters_of_paths_alike() {
    let text = |defaults: &str, path: &str| {
        format!(
            "name: shop\n{defaults}services:\n  web: {{command: ./web}}\nroutes:\n  - {{service: web}}\n  \
             - {{path: \"{path}\", service: web}}\n"
        )
    };
    let seen = |text: &str| {
        let routes = read(text).application.routes;
        routes.iter().map(|it| it.path_parameters).collect::<Vec<_>>()
    };
    let ignore = "defaults: {path_parameters: ignore}\n";
    assert_eq!(seen(&text(ignore, "/admin")), [PathParameters::Ignore; 2]);
    assert_eq!(seen(&text("", "/admin;x")), [PathParameters::Keep; 2]);
    let message = "`defaults.path_parameters: ignore` leaves out what begins with `;`, so nothing has this path; \
                   remove it from the path";
    wrong(&text(ignore, "/admin;x"), &[&format!("7:12: {message}")]);
}

#[test]
fn what_is_known_is_put_in() {
    let service = service(
        "config: {a: {b: 5}, price: $5}\nservices: {a: {command: 'x ${config.a.b} ${config.price} \
         ${env.HOME} ${env.NONE:-d} ${env.EMPTY:-e}'}}",
    );
    let json = serde_json::to_value(&service.source).unwrap();
    let words = ["x", "5", "$$5", "/home/ada", "d", "e"];
    assert_eq!(json["process"]["command"], serde_json::json!(words));
}

#[test]
fn resources_that_are_referred_to_are_used() {
    let service = service(
        "resources: {db: {type: postgres}}\nservices: {a: {image: a, command: '${resources.db.url}'}}",
    );
    assert_eq!(serde_json::to_value(&service.uses).unwrap()["db"], "service_healthy");
}

#[test]
fn calls_of_a_behaviour_are_edges() {
    let text = "name: a\ndefaults: {resilience: {timeout: 5s}}\nservices:\n  a: {behaviour: {calls: \
                [b]}}\n  b: {image: b}\n";
    let application = read(text).application;
    let edge = application.services.values().next().unwrap().calls.values().next().unwrap();
    assert_eq!(edge.timeout.as_secs(), 5);
}

#[test]
fn a_container_has_its_own_ports() {
    read("name: a\nservices: {a: {image: a, port: 80, replicas: 3}, b: {image: b, port: 80}}\n");
}

#[test]
fn nothing_and_no_mapping() {
    let remedy = "begin with `name: shop`, then `services:`";
    wrong("", &[&format!("1:1: the file is empty; {remedy}")]);
    wrong("# nothing\n", &[&format!("1:1: the file is empty; {remedy}")]);
    wrong("- a\n", &[&format!("1:1: the file is a list; {remedy}")]);
    wrong("a", &[&format!("1:1: the file is a text; {remedy}")]);
    wrong("name: a\nservices: {}\n", &["2:1: `services` has no service; add one"]);
    wrong(
        "services: {a: {image: a}}\n",
        &["1:1: the file has no `name`; add for example `name: shop`"],
    );
}

#[test]
fn values_that_grow_are_refused() {
    let mut text =
        String::from("name: a\nservices: {a: {image: a, environment: {V0: xxxxxxxxxxxxxxxx");
    for at in 1..30 {
        let before = at - 1;
        text = format!("{text}, V{at}: '${{V{before}}}${{V{before}}}'");
    }
    text.push_str("}}}\n");
    let problems = manifest::read("f", &text, &environment()).unwrap_err().to_string();
    assert!(problems.contains("more than 131072 bytes"), "{problems}");
}

/// Files as large as they may be, with as many mistakes as fit, are answered without delay: nothing here
/// is quadratic in more than one list.
#[test]
fn large_files_are_answered() {
    let many = |count: usize, item: &dyn Fn(usize) -> String| {
        (0..count).map(item).collect::<Vec<_>>().join("\n")
    };
    let services =
        many(1_900, &|at| format!("  service-{at}: {{image: a, calls: [servixe-{at}]}}"));
    let one = many(1_900, &|at| format!("      servixe-{at}: {{timeout: 5}}"));
    let variables = many(1_900, &|at| format!("    V{at}: ${{config.long}}"));
    let long = "x".repeat(60_000);
    for text in [
        format!("name: a\nservices:\n{services}\n"),
        format!("name: a\nservices:\n  a:\n    image: a\n    calls:\n{one}\n"),
        format!(
            "name: a\nconfig: {{long: {long}}}\ndefaults:\n  environment:\n{variables}\nservices:\n\
             {services}\n"
        ),
    ] {
        let problems = manifest::read("f", &text, &environment()).unwrap_err();
        assert_eq!(problems.list().len(), 100);
    }
}

#[test]
fn problems_are_bounded_and_sorted() {
    let mut text = String::from("name: a\nservices:\n");
    for at in 0..300 {
        text = format!("{text}  s{at}: {{imag: x}}\n");
    }
    let problems = manifest::read("f", &text, &environment()).unwrap_err();
    assert_eq!((problems.list().len(), problems.left_off()), (100, 200));
    assert!(problems.list().is_sorted());
    assert!(problems.to_string().ends_with("f: 200 more; mend these first"));
}

#[test]
fn a_report_shows_the_lines() {
    let text = "name: shop\nservices:\n  web: {image: a, replica: 3}\n";
    let problems = manifest::read("pelago.yaml", text, &environment()).unwrap_err();
    insta::assert_snapshot!(problems.render(80));
    insta::assert_snapshot!("report_as_json", serde_json::to_string_pretty(&problems).unwrap());
}
