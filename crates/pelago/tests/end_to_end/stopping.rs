//! How instances are stopped: asked first, killed later, and nothing of them is left.

use std::time::Duration;

use model::Timestamp;

use crate::harness::{Site, count, place, processes, until};

/// When an event happened.
fn at(event: &serde_json::Value) -> Timestamp {
    Timestamp::parse(event["at"].as_str().unwrap()).unwrap()
}

/// A service whose script is ready when it has written the file `up` into its temporary folder.
fn site(script: &str, grace: &str) -> Site {
    let site = Site::with(&format!(
        "
name: halt
services:
  a:
    artifact: ./a
    command: /bin/sh main.sh
    stop_grace_period: {grace}
    healthcheck: {{command: 'test -f ${{TMPDIR}}/up'}}
    restart: 'no'
"
    ));
    site.write("a/main.sh", script);
    site.ok(&["up", "--detach"]);
    site
}

#[test]
fn an_instance_gets_time_to_say_goodbye() {
    let script = "trap 'echo goodbye; exit 0' TERM\ntouch $TMPDIR/up\nsleep 1000 &\nwait\n";
    let site = site(script, "30s");
    let before = site.index();
    site.ok(&["down"]);
    let events = site.events_after(before);
    let (told, ended) = (place(&events, "told to stop"), place(&events, "ended: exit code 0"));
    assert!(at(&events[ended]).since(at(&events[told])) < Duration::from_secs(20));
    assert!(site.ok(&["-a", "halt", "logs"]).out.contains("goodbye"));
    site.assert_nothing_left();
}

#[test]
fn one_that_does_not_listen_is_killed_with_all_its_children() {
    let script = "
trap '' TERM
sh -c 'trap \"\" TERM; touch $TMPDIR/one; while :; do sleep 1; done' &
setsid sh -c 'trap \"\" TERM; touch $TMPDIR/two; while :; do sleep 1; done' &
while ! test -f $TMPDIR/one || ! test -f $TMPDIR/two; do sleep 0.01; done
touch $TMPDIR/up
while :; do sleep 1; done
";
    let site = site(script, "300ms");
    assert!(6 <= processes::of(&site.data()).len());
    let before = site.index();
    site.ok(&["down"]);
    let events = site.events_after(before);
    let told = place(&events, "told to stop");
    let ended = place(&events, "ended: killed by SIGKILL");
    assert!(Duration::from_millis(295) <= at(&events[ended]).since(at(&events[told])));
    site.assert_nothing_left();
}

#[test]
fn what_an_instance_leaves_behind_when_it_ends_is_killed() {
    let site = Site::with(
        "name: halt\nservices: {a: {artifact: ./a, command: /bin/sh main.sh, restart: on-failure}}",
    );
    site.write("a/main.sh", "sleep 1000 &\nsetsid sleep 1000 &\necho done\n");
    site.ok(&["up", "--detach"]);
    assert_eq!(site.service("a")["state"], "completed");
    until("its children to end", || processes::of(&site.data()).is_empty().then_some(()));
    assert_eq!(count(&site.events(), "a.1 started as process"), 1);
}

#[test]
fn a_control_process_that_ends_leaves_everything_running() {
    let mut site = Site::with("name: halt\nservices: {a: {behaviour: {work: 1ms}, replicas: 2}}");
    site.ok(&["up", "--detach"]);
    let before = processes::leaders(&site.data());
    assert_eq!(before.len(), 2);
    site.end_control();
    assert!(!site.socket().exists());
    assert_eq!(processes::leaders(&site.data()), before);
    site.start();
    let index = site.index();
    assert_eq!(processes::leaders(&site.data()), before);
    let events = site.events();
    assert_eq!(events.last().unwrap()["index"], index);
    assert_eq!(place(&events[1..], "control 0.1.0 started"), events.len() - 2);
}
