//! What applying a definition would change, as a person reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use api::change::{Values, changes};
use insta::assert_snapshot;
use model::edge::Resilience;
use model::health::{Check, Health, Probe};
use model::service::Source;
use model::{Application, Service};

use crate::stage::{Stage, application, name, needing_db, service};

fn text(stage: &Stage, definition: &Application) -> String {
    text_with(stage, definition, Values::Masked)
}

fn text_with(stage: &Stage, definition: &Application, values: Values) -> String {
    let artifacts = BTreeMap::from([(name("baked"), "0".repeat(64).parse().unwrap())]);
    let state = stage.0.application(&definition.name);
    let mut text = String::new();
    for change in changes(state, definition, &artifacts, values) {
        writeln!(text, "{} {}", change.action, change.service).unwrap();
        change.details.iter().for_each(|it| writeln!(text, "    {it}").unwrap());
    }
    text
}

fn after(changed: Service) -> String {
    after_with(changed, Values::Masked)
}

fn after_with(changed: Service, values: Values) -> String {
    let mut before = service();
    before.environment.insert("LOG_LEVEL".to_owned(), "info".parse().unwrap());
    before.calls.insert(name("db"), Resilience::default());
    let stage = Stage::with(&[("web", before)]);
    text_with(&stage, &application(&[("web", changed)]), values)
}

#[test]
fn nothing() {
    let stage = Stage::with(&[("web", service())]);
    assert_eq!(text(&stage, &application(&[("web", service())])), "");
}

#[test]
fn everything_when_there_is_nothing() {
    let definition = application(&[("db", service()), ("web", needing_db())]);
    assert_snapshot!(text(&Stage::default(), &definition), @"
    create db
        replicas: 1
    create web
        replicas: 1
    ");
}

#[test]
fn removed_scaled_and_created() {
    let stage = Stage::with(&[("old", service()), ("web", service())]);
    let web = Service { replicas: 3, ..service() };
    assert_snapshot!(text(&stage, &application(&[("new", service()), ("web", web)])), @"
    create new
        replicas: 1
    scale web
        replicas: 1 -> 3
    remove old
    ");
}

#[test]
fn started_again() {
    let stage = Stage::with(&[("web", service())]).play("stop, stopped");
    assert_snapshot!(text(&stage, &application(&[("web", service())])), @"start web");
}

#[test]
fn files_that_changed() {
    let stage = Stage::with(&[("baked", service())]);
    assert_snapshot!(text(&stage, &application(&[("baked", service())])), @"
    release baked
        artifact: its files have changed
    ");
}

#[test]
fn a_new_release_says_which_keys_differ() {
    let mut changed = service();
    changed.replicas = 2;
    changed.environment.insert("LOG_LEVEL".to_owned(), "debug".parse().unwrap());
    changed.environment.insert("REGION".to_owned(), "eu".parse().unwrap());
    changed.stop_grace_period = Duration::from_millis(1_500);
    changed.restart.crash_loop = 9;
    let slow = Resilience { timeout: Duration::from_secs(2), ..Resilience::default() };
    changed.calls.insert(name("db"), slow);
    changed.calls.insert(name("mail"), Resilience::default());
    changed.port = Some(8_080);
    changed.owner =
        Some("a very long name of a team that nobody would ever write, and still".to_owned());
    let readiness = Some(Check::new(Probe::Http("/health".to_owned())));
    changed.health = Health { readiness, liveness: None };
    let command = ["python3", "app.py", "--port", "${PORT}"].map(|it| it.parse().unwrap());
    changed.source = Source::Process {
        artifact: Some("./web".to_owned()),
        build: Vec::new(),
        command: command.to_vec(),
    };
    assert_snapshot!(after(changed), @"
    release web
        replicas: 1 -> 2
        calls.db.timeout: 1s -> 2s
        calls.mail: added
        environment.LOG_LEVEL: changed
        environment.REGION: added
        health.readiness: added
        owner: (none) -> a very long name of a team that nobody would ever write, and..
        port: (none) -> 8080
        restart.crash_loop: 5 -> 9
        artifact: (none) -> ./web
        command: changed
        stop_grace_period: 10s -> 1s500ms
    ");
}

#[test]
fn another_kind_of_source() {
    let image = Source::Image { reference: "web:2".to_owned(), command: Vec::new() };
    assert_snapshot!(after(Service { source: image, ..service() }), @"
    release web
        calls.db: removed
        environment.LOG_LEVEL: removed
        image: added
        process: removed
    ");
}

/// Plans are in the logs of builds, and variables hold passwords (issue 12).
#[test]
fn values_of_variables_are_shown_to_whoever_asks_for_them() {
    let mut changed = service();
    changed.environment.insert("LOG_LEVEL".to_owned(), "debug".parse().unwrap());
    changed.environment.insert("PASSWORD".to_owned(), "hunter2".parse().unwrap());
    changed.calls.insert(name("db"), Resilience::default());
    // Variables are put into commands and addresses as well.
    if let Source::Process { command, build, .. } = &mut changed.source {
        command.push("hunter2".parse().unwrap());
        build.push("hunter2".parse().unwrap());
    }
    let check = r#"{"command": ["check", "hunter2"], "interval": "1s", "timeout": "1s", "retries": 1, "start_period": "0s"}"#;
    changed.health.liveness = Some(serde_json::from_str(check).unwrap());
    changed.update.webhook = Some("http://127.0.0.1/hunter2".to_owned());
    assert!(!after(changed.clone()).contains("hunter2"));
    let shown = after_with(changed, Values::Shown);
    assert!(shown.contains("environment.LOG_LEVEL: info -> debug"), "{shown}");
    assert!(shown.contains("environment.PASSWORD: (none) -> hunter2"), "{shown}");
}

#[test]
fn issue_12_what_is_only_said_of_a_service_is_no_release() {
    let mut owned = service();
    owned.owner = Some("team-shop".to_owned());
    owned.update.keep_old = Duration::from_secs(7);
    let stage = Stage::with(&[("web", service())]);
    assert_snapshot!(text(&stage, &application(&[("web", owned)])), @"
    amend web
        owner: (none) -> team-shop
        update.keep_old: 10m -> 7s
    ");
    let mut recreated = service();
    recreated.update.strategy = model::rollout::Strategy::Recreate;
    let text = text(&stage, &application(&[("web", recreated)]));
    assert!(text.starts_with("release web"), "{text}");
}
