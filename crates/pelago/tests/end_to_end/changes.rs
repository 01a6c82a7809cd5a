//! Changing what runs: releases, numbers, restarts, and what stays as it was.

use serde_json::Value;

use crate::harness::{Site, count, place, processes, texts};

fn sleepers(word: &str, replicas: u32) -> String {
    format!(
        "
name: zoo
services:
  a:
    artifact: ./a
    command: /bin/sh main.sh
    environment: {{WORD: {word}}}
    replicas: {replicas}
    healthcheck: {{command: 'true', interval: 1s}}
"
    )
}

fn zoo(replicas: u32) -> Site {
    let site = Site::with(&sleepers("one", replicas));
    site.write("a/main.sh", "cat word.txt\nexec sleep 1000\n");
    site.write("a/word.txt", "first\n");
    site.ok(&["up", "--detach"]);
    site
}

/// The fewest instances that were ready at once, from these events on.
fn fewest_ready(before: u32, events: &[Value]) -> u32 {
    let mut ready = before;
    let mut fewest = before;
    for event in events {
        match event["kind"].as_str().unwrap() {
            "instance_ready" => ready += 1,
            "instance_stopping" => ready -= 1,
            _ => {}
        }
        fewest = fewest.min(ready);
    }
    fewest
}

#[test]
fn the_number_of_instances_follows_what_is_asked() {
    let site = zoo(1);
    let first = site.service("a")["instances"][0].clone();
    site.ok(&["scale", "a=4"]);
    let instances = site.service("a")["instances"].clone();
    assert_eq!(instances.as_array().unwrap().len(), 4);
    assert_eq!(instances[0], first, "what ran goes on");
    assert_eq!(processes::leaders(&site.data()).len(), 4);
    let before = site.index();
    site.ok(&["scale", "a=2"]);
    assert_eq!(count(&site.events_after(before), "told to stop: scaled down"), 2);
    assert_eq!(processes::leaders(&site.data()).len(), 2);
    site.ok(&["scale", "a=0"]);
    assert_eq!(site.service("a")["state"], "stopped");
    site.assert_nothing_left();
    for (wish, reason) in
        [("b=1", "no service or instance `b`"), ("a", "how many"), ("a=5000", "1000")]
    {
        let ran = site.run(&["scale", wish]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.contains(reason), "{ran:?}");
    }
}

#[test]
fn a_restart_replaces_one_after_the_other() {
    let site = zoo(3);
    let before = site.index();
    site.ok(&["restart", "a"]);
    let events = site.events_after(before);
    assert_eq!(count(&events, "told to stop: restart asked for"), 3, "{:#?}", texts(&events));
    assert_eq!(count(&events, "should run"), 3);
    assert_eq!(fewest_ready(3, &events), 3, "{:#?}", texts(&events));
    assert_eq!(site.service("a")["release"], "r1");
}

#[test]
fn a_new_environment_is_a_new_release() {
    let site = zoo(2);
    site.manifest(&sleepers("two", 2));
    let plan = site.ok(&["plan"]).out;
    assert!(plan.contains("~ release a"), "{plan}");
    assert!(plan.contains("environment.WORD: changed"), "{plan}");
    assert!(site.ok(&["plan", "--show-values"]).out.contains("environment.WORD: one -> two"));
    let before = site.index();
    site.ok(&["up", "--detach"]);
    let events = site.events_after(before);
    place(&events, "a@r2 baked");
    assert_eq!(count(&events, "told to stop: superseded by a newer release"), 2);
    assert_eq!(fewest_ready(2, &events), 2, "{:#?}", texts(&events));
    let environment = site.ok(&["exec", "a", "--", "sh", "-c", "echo $WORD $PELAGO_RELEASE"]);
    assert_eq!(environment.out, "two r2\n");
    assert!(site.ok(&["plan"]).out.contains("zoo: nothing would change"));
    let before = site.index();
    site.ok(&["up", "--detach"]);
    let kinds: Vec<Value> = site.events_after(before).iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(kinds, ["application_applied"]);
}

#[test]
fn a_service_that_is_taken_out_is_stopped() {
    let site =
        Site::with("name: zoo\nservices: {a: {command: sleep 1000}, b: {command: sleep 1000}}");
    site.ok(&["up", "--detach"]);
    site.manifest("name: zoo\nservices: {a: {command: sleep 1000}}");
    assert!(site.ok(&["plan"]).out.contains("- remove b"));
    let before = site.index();
    site.ok(&["up", "--detach"]);
    let events = site.events_after(before);
    place(&events, "b.1 told to stop: service removed");
    assert_eq!(count(&events, "a.1"), 0);
    assert_eq!(processes::leaders(&site.data()).keys().collect::<Vec<_>>(), ["a.1"]);
    // Its numbers are not used again when it comes back.
    site.manifest("name: zoo\nservices: {a: {command: sleep 1000}, b: {command: sleep 1000}}");
    site.ok(&["up", "--detach"]);
    assert_eq!(site.instance("b").1, "b.2");
}

#[test]
fn a_release_does_not_change_when_its_files_do() {
    let site = zoo(1);
    let words = |instance: &str| site.json(&["logs", instance]).lines()[0]["text"].clone();
    assert_eq!(words("a.1"), "first");
    site.write("a/word.txt", "second\n");
    site.ok(&["restart", "a"]);
    assert_eq!(words("a.2"), "first");
    assert_eq!(site.service("a")["release"], "r1");
    assert!(site.ok(&["plan"]).out.contains("artifact: its files have changed"));
    site.ok(&["up", "--detach"]);
    assert_eq!(words("a.3"), "second");
    assert_eq!(site.service("a")["release"], "r2");
}

#[test]
fn a_command_runs_as_the_instance_would() {
    let site = zoo(1);
    let script = "echo $PORT $PELAGO_INSTANCE; cat word.txt; pwd; exit 5";
    let ran = site.run(&["exec", "a", "sh", "-c", script]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    let port = site.service("a")["instances"][0]["url"].as_str().unwrap().to_owned();
    let port = port.rsplit_once(':').unwrap().1;
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[..2], [format!("{port} a.1").as_str(), "first"]);
    assert!(lines[2].contains("/artifacts/releases/"), "{ran:?}");
    let missing = site.run(&["exec", "b", "true"]);
    assert!(missing.err.contains("no running instance of `b`"), "{missing:?}");
}

#[test]
fn what_is_stopped_can_be_started_again() {
    let site = zoo(2);
    site.ok(&["down"]);
    assert!(site.ok(&["plan"]).out.contains("+ start a"));
    let refused = site.run(&["-a", "zoo", "scale", "a=3"]);
    assert!(refused.err.contains("zoo does not run; start it with `pelago up`"), "{refused:?}");
    site.ok(&["up", "--detach"]);
    assert_eq!(site.service("a")["release"], "r1");
    assert_eq!(site.instance("a").1, "a.3");
}
