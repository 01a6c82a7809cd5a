//! Up and down, as people do it.

use std::fs;

use rustix::process::Signal;

use crate::harness::http::get_url;
use crate::harness::{Site, count, place, processes, signal, until};

const SHOP: &str = "
name: shop
services:
  web:
    behaviour: {work: 1ms, calls: [cart]}
    depends_on: {cart: {condition: service_healthy}}
  cart:
    behaviour: {work: 1ms, calls: [store], startup: 50ms}
    replicas: 2
    depends_on: {store: {condition: service_started}}
  store:
    behaviour: {work: 1ms}
";

#[test]
fn an_application_comes_up_in_order_works_and_goes_down_in_reverse() {
    let site = Site::with(SHOP);
    let up = site.json(&["up", "--detach"]).json();
    assert_eq!(up["applications"][0]["state"], "running");

    let events = site.events();
    assert!(place(&events, "store.1 started") < place(&events, "cart.1 should run"));
    assert!(place(&events, "cart.1 is ready") < place(&events, "web.1 should run"));
    assert!(place(&events, "cart.2 is ready") < place(&events, "web.1 should run"));

    let ps = site.json(&["ps"]).json();
    let services = ps["applications"][0]["services"].as_array().unwrap();
    let ready: Vec<_> =
        services.iter().map(|it| (it["name"].clone(), it["ready"].clone())).collect();
    let pair = |name: &str, ready: u64| (name.into(), ready.into());
    assert_eq!(ready, [pair("cart", 2), pair("store", 1), pair("web", 1)]);
    assert_eq!(site.json(&["status"]).json()["applications"], ps["applications"]);
    assert!(site.ok(&["ps"]).out.contains("web.1"));

    let url = site.service("web")["instances"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(get_url(&url, "/").unwrap().status, 200);

    let before = site.index();
    let down = site.json(&["down"]).json();
    assert_eq!(down["applications"][0]["state"], "stopped");
    let events = site.events_after(before);
    assert!(place(&events, "web.1 ended") < place(&events, "cart.1 told to stop"));
    assert!(place(&events, "cart.1 ended") < place(&events, "store.1 told to stop"));
    assert!(place(&events, "cart.2 ended") < place(&events, "store.1 told to stop"));
    assert_eq!(count(&events, "exit code 0"), 4);
    assert_eq!(place(&events, "shop has stopped"), events.len() - 1);
    site.assert_nothing_left();
    assert!(get_url(&url, "/").is_err());
}

#[test]
fn up_starts_a_control_process_where_there_is_none_and_shutdown_ends_it() {
    let site = Site::new();
    site.manifest("name: solo\nservices: {a: {command: sleep 1000}}");
    site.ok(&["up", "--detach"]);
    assert_eq!(processes::leaders(&site.data()).len(), 1);
    let ended = site.ok(&["shutdown"]);
    assert!(ended.err.contains("instances go on"), "{ended:?}");
    let socket = site.socket();
    until("the socket to go", || (!socket.exists()).then_some(()));
    assert_eq!(processes::leaders(&site.data()).len(), 1, "it outlives control");
    site.ok(&["down"]);
    site.assert_nothing_left();
}

#[test]
fn up_shows_logs_until_it_is_interrupted_and_stops_the_application_then() {
    let site = Site::serving();
    site.manifest(
        "name: talk\nservices: {a: {artifact: ./a, command: /bin/sh main.sh, environment: {WORD: hello}}}",
    );
    site.write("a/main.sh", "echo $WORD from $PELAGO_INSTANCE\nexec sleep 1000\n");
    let up = site.begin(&["up"]);
    until("the log line", || up.out().contains("hello from a.1").then_some(()));
    signal(&up.child, Signal::INT);
    let ran = up.wait().ok();
    assert!(ran.out.contains("everything is ready"), "{ran:?}");
    assert_eq!(site.application()["state"], "stopped");
    site.assert_nothing_left();
}

#[test]
fn two_applications_keep_apart() {
    let site = Site::serving();
    for name in ["one", "two"] {
        fs::create_dir(site.app().join(name)).unwrap();
        let text = format!("name: {name}\nservices: {{a: {{behaviour: {{work: 1ms}}}}}}");
        site.write(&format!("{name}/pelago.yaml"), &text);
        site.ok(&["up", "--detach", name]);
    }
    let which = site.run(&["restart"]);
    assert_eq!(which.code, Some(1));
    assert!(which.err.contains("one, two"), "{which:?}");
    site.ok(&["-a", "one", "down"]);
    let status = site.json(&["-a", "two", "status"]).json();
    assert_eq!(status["applications"][0]["state"], "running");
    assert_eq!(processes::leaders(&site.data()).len(), 1);
    let missing = site.run(&["-a", "three", "down"]);
    assert!(missing.err.contains("no application `three`"), "{missing:?}");
}

/// Issue 12: `.env` beside a Procfile was not read.
#[test]
fn a_procfile_has_the_variables_beside_it() {
    let site = Site::serving();
    site.write(".env", "TAG=from-dotenv\n");
    site.write("Procfile", "web: echo \"tag=$TAG\"; exec sleep 1000\n");
    site.ok(&["up", "--detach"]);
    assert!(site.ok(&["logs", "web"]).out.contains("tag=from-dotenv"));
    site.ok(&["down"]);
    site.assert_nothing_left();
}

#[test]
fn issue_12_what_was_stopped_starts_without_its_file_and_can_be_removed() {
    let site = Site::with("name: one\nservices: {a: {behaviour: {work: 1ms}, replicas: 2}}");
    site.ok(&["up", "--detach"]);
    let refused = site.run(&["remove"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.err.contains("one has not stopped; stop it first"), "{refused:?}");
    site.ok(&["down"]);
    fs::remove_file(site.app().join("pelago.yaml")).unwrap();
    site.ok(&["-a", "one", "start"]);
    let application = site.application();
    assert_eq!(
        (&application["state"], &application["services"][0]["ready"]),
        (&"running".into(), &2.into())
    );

    site.ok(&["-a", "one", "down"]);
    let folder = site.data().join("instances/one");
    assert!(folder.exists());
    site.ok(&["-a", "one", "remove"]);
    assert!(!folder.exists());
    assert_eq!(site.get("/v1/status").ok()["applications"], serde_json::json!([]));
    // It begins anew, with numbers that were used before.
    site.manifest("name: one\nservices: {a: {behaviour: {work: 1ms}}}");
    site.ok(&["up", "--detach"]);
    assert_eq!(site.instance("a").1, "a.1");
}

/// Issue 12: what was left out of an artifact, and how large it is, was not to be seen.
#[test]
fn what_is_baked_is_said() {
    let site = Site::with(
        "name: di\nservices:\n  a: {artifact: ./app, command: [sh, -c, 'find . -type f; exec sleep 1000']}\n",
    );
    for path in ["app/client.js", "app/lib/client.js"] {
        site.write(path, "12345");
    }
    site.write("app/.dockerignore", "client.js\n");
    let up = site.ok(&["up", "--detach"]);
    let said = "baked a from ./app: 2 files, 15 B; left out: client.js (.dockerignore)";
    assert!(up.err.contains(said), "{}", up.err);
    assert!(site.ok(&["logs", "a"]).out.contains("./lib/client.js"));
    assert!(!site.ok(&["up", "--detach"]).err.contains("baked"), "nothing is new");
    site.ok(&["down"]);
    site.assert_nothing_left();
}

/// Who stops an application right after a release has taken over gets that release again.
#[test]
fn issue_12_what_serves_when_it_is_stopped_is_started_again() {
    let site = Site::serving();
    let describe = |word: &str, strategy: &str| {
        site.manifest(&format!(
            "name: shop\nservices: {{a: {{command: sleep 1000, environment: {{WORD: {word}}}, update: {{strategy: {strategy}}}, \
             healthcheck: {{command: 'true'}}}}}}\n"
        ));
    };
    describe("one", "rolling");
    site.ok(&["up", "--detach"]);
    for (release, strategy) in [("r2", "rolling"), ("r3", "bluegreen"), ("r4", "immediate")] {
        describe(release, strategy);
        site.ok(&["up", "--detach"]);
        site.ok(&["down"]);
        site.ok(&["start"]);
        assert_eq!(site.service("a")["release"], release);
    }
    site.ok(&["down"]);
    site.assert_nothing_left();
}

/// Issue 12: the old instance was ended first, and nothing could take its place.
#[test]
fn issue_12_what_could_not_start_again_is_not_ended() {
    let site = Site::serving();
    site.write("a/run.sh", "exec sleep 1000\n");
    site.manifest("name: one\nservices: {a: {artifact: ./a, command: sh run.sh}}\n");
    site.ok(&["up", "--detach"]);
    let before = site.instance("a");
    fs::remove_dir_all(site.data().join("artifacts").join("releases")).unwrap();
    let refused = site.run(&["restart", "a"]);
    assert!(refused.code == Some(1) && refused.err.contains("the files of a@r1"), "{refused:?}");
    assert_eq!(site.instance("a"), before);
    site.ok(&["deploy", "a", "--force"]);
    assert_eq!(site.service("a")["ready"], 1);
}
