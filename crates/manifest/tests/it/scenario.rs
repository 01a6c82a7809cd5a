//! Scenarios: every key, every mistake, faults on one line, and users nobody described.

use manifest::ScenarioRead;
use model::scenario::{Door, Load, LoadPart, Scenario};
use model::service::Source;
use model::{Application, ResourceName, ServiceName};

use crate::{environment, text};

fn shop() -> Application {
    manifest::read("shop.yaml", &text("good/shop.yaml"), &environment()).unwrap().application
}

#[track_caller]
fn read(text: &str) -> ScenarioRead {
    let read = manifest::scenario("scenario.yaml", text, &shop());
    read.unwrap_or_else(|it| panic!("{}", it.render(100)))
}

#[test]
fn every_key() {
    let read = read(&text("scenario/all.yaml"));
    assert_eq!(read.warnings.to_string(), "");
    insta::assert_snapshot!(serde_json::to_string_pretty(&read.scenario).unwrap());
    let json = serde_json::to_string(&read.scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&json).unwrap(), read.scenario);
}

#[test]
fn every_mistake() {
    let problems = manifest::scenario("bad.yaml", &text("scenario/bad.yaml"), &shop());
    insta::assert_snapshot!(problems.expect_err("the file is bad").to_string());
}

#[test]
fn services_are_changed_and_added() {
    let application = read(&text("scenario/all.yaml")).application;
    let service = |name: &str| &application.services[&name.parse().unwrap()];
    let behaviour = |name: &str| match &service(name).source {
        Source::Behaviour(workload) => workload.clone(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(
        application.resources.keys().map(ResourceName::as_str).collect::<Vec<_>>(),
        ["cache"]
    );
    let calls =
        |name: &str| service(name).calls.keys().map(ServiceName::as_str).collect::<Vec<_>>();
    assert_eq!(calls("cart"), ["memcached", "shopdb"]);
    assert_eq!(calls("orders"), ["cart", "payments"]);
    let millis = |caller: &str, callee: &str| {
        service(caller).calls[&callee.parse().unwrap()].timeout.as_millis()
    };
    assert_eq!((millis("web", "cart"), millis("orders", "payments")), (900, 3_000));
    assert_eq!(service("cart").replicas, 2);
    // What was not written about a behaviour stays as it was.
    let before = shop();
    let Source::Behaviour(before) = &before.services[&"payments".parse().unwrap()].source else {
        panic!("payments has no behaviour");
    };
    assert_eq!(behaviour("payments").work, before.work);
    assert_eq!(behaviour("payments").errors.to_string(), "1%");
}

#[test]
fn an_empty_scenario_is_one() {
    let scenario = read("").scenario;
    let users = manifest::default_users(&shop(), manifest::RATE_DEFAULT);
    assert_eq!(scenario, Scenario { users, ..Scenario::default() });
}

#[test]
fn users_nobody_described_come_by_the_routes_or_to_whom_nobody_calls() {
    let services = |application: &Application| {
        let users = manifest::default_users(application, 7.0);
        let [users] = users.as_slice() else { panic!("{users:?}") };
        let Load::Open(parts) = &users.load else { panic!("{users:?}") };
        let rates: Vec<_> = parts.iter().map(|it| (it.from, it.to)).collect();
        assert_eq!(rates, [(7.0, 7.0)]);
        assert_eq!(users.door, Door::Gateway);
        users.requests.iter().map(|it| it.service.to_string()).collect::<Vec<_>>().join(" ")
    };
    let mut application = shop();
    assert_eq!(services(&application), "orders web");
    application.routes.clear();
    assert_eq!(services(&application), "web");
    application.services.remove(&"web".parse().unwrap());
    assert_eq!(services(&application), "cart catalog orders");
}

fn parts(load: &str) -> Vec<LoadPart> {
    let text = format!("duration: 24h\nusers: [{{load: {load}, to: web}}]");
    let scenario = read(&text).scenario;
    let Load::Open(parts) = &scenario.users[0].load else { panic!("{scenario:?}") };
    parts.clone()
}

#[test]
fn a_day_is_straight_between_its_hours() {
    let parts = parts("{low: 50/s, high: 150/s, period: 24h, peak: 20h}");
    assert_eq!(parts.len(), 24);
    assert!((parts[20].from, parts[8].from) == (150.0, 50.0));
    let joints = parts.windows(2).map(|it| (it[0].to, it[1].from));
    assert!(joints.into_iter().all(|(end, begin)| (end - begin).abs() < 1e-9));
    let mean = parts.iter().map(|it| f64::midpoint(it.from, it.to)).sum::<f64>() / 24.0;
    assert!((mean - 100.0).abs() < 1e-3, "{mean}");
}

#[test]
fn bursts_come_again() {
    let parts = parts("{base: 10/s, burst: 100/s, every: 1h, for: 5s}");
    assert_eq!(parts.len(), 48);
    let rates: Vec<_> = parts.iter().take(3).map(|it| (it.from, it.lasts.as_secs())).collect();
    assert_eq!(rates, [(10.0, 3_595), (100.0, 5), (10.0, 3_595)]);
}

#[track_caller]
fn check(line: &str, expected: &str) {
    let read = match manifest::fault(line, &shop()) {
        Ok(fault) => serde_json::to_string(&fault).unwrap(),
        Err(problems) => problems.to_string(),
    };
    assert_eq!(read, expected);
}

#[test]
fn faults_on_one_line() {
    check(
        "at 60s for 30s slow cart by 10",
        r#"{"when":{"at":"1m"},"lasts":"30s","what":{"slow":{"victims":{"service":"cart","instances":null},"factor":10.0}}}"#,
    );
    check(
        "every 10m kill any",
        r#"{"when":{"every":"10m"},"what":{"kill":{"service":null,"instances":1}}}"#,
    );
    check(
        "at 1m for 10s partition a,cart from b",
        r#"{"when":{"at":"1m"},"lasts":"10s","what":{"partition":{"from":["a","cart"],"to":["b"]}}}"#,
    );
    check(
        "at 1m for 10s lose zone b",
        r#"{"when":{"at":"1m"},"lasts":"10s","what":{"zone-lost":"b"}}"#,
    );
    check("at 60s kill crat", "fault:1:13: there is no service `crat`; did you mean `cart`?");
    check("at 60s kil cart", "fault:1:8: unknown key `kil`; did you mean `kill`?");
    check("at 60s cart", "fault:1:8: nothing stands behind `cart`; write what it is");
    check(
        "at soon kill cart",
        "fault:1:4: `soon` is not a duration; write for example `250ms`, `5s`, `1m30s`, `72h`",
    );
    check("", "fault:1:1: a fault says when and what; write for example `at 60s kill cart`");
}
