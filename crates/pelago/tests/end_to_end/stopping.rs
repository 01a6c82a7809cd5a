//! How instances are stopped: asked first, killed later, and nothing of them is left.

use std::time::Duration;

use model::Timestamp;
use rustix::process::Signal;

use crate::harness::{Site, count, place, processes, signal, until};

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
    until("all of it to run", || (6 <= processes::of(&site.data()).len()).then_some(()));
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

/// A worker that is up when it says so, and has something to do before it ends: it writes down that it did.
const WORKER: &str = "
trap 'sleep 0.3; touch \"$OUT/$PELAGO_INSTANCE\"; exit 0' TERM
touch $TMPDIR/up
while :; do sleep 0.05; done
";

/// Services whose first process is a shell that passes no signal on to its worker, each in another way.
fn behind_shells() -> Site {
    let site = Site::serving();
    site.write("a/worker.sh", WORKER);
    site.write("a/start.sh", "echo starting\nsh worker.sh\necho done\n");
    let trapped = "trap 'echo trapped' TERM\nsh worker.sh\necho done\n";
    site.write("a/trapped.sh", trapped);
    site.write("a/waits.sh", "trap 'wait' TERM\nsetsid sh worker.sh &\nwait\n");
    site.write("out/.keep", "");
    let service = |name: &str, command: &str| {
        format!("  {name}: {{artifact: ./a, command: {command}, liveness: none}}\n")
    };
    site.manifest(&format!(
        "name: shells\ndefaults: {{stop_grace_period: 4s, environment: {{OUT: '{}'}}, \
         healthcheck: {{command: 'test -f ${{TMPDIR}}/up', interval: 50ms, retries: 1}}}}\nservices:\n{}{}{}{}",
        site.app().join("out").display(),
        service("line", "[sh, -c, 'export A=1; sh worker.sh; echo done']"),
        service("script", "sh start.sh"),
        service("trapped", "sh trapped.sh"),
        service("waits", "sh waits.sh"),
    ));
    site
}

/// Which instances' workers have ended as they would.
fn ended_well(site: &Site) -> Vec<String> {
    let entries = std::fs::read_dir(site.app().join("out")).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|it| it != ".keep").collect();
    names.sort();
    names
}

fn workers(number: u32) -> Vec<String> {
    ["line", "script", "trapped", "waits"].map(|it| format!("{it}.{number}")).to_vec()
}

#[test]
fn issue_12_what_is_behind_a_shell_gets_its_time_when_it_is_stopped_and_restarted() {
    let site = behind_shells();
    site.ok(&["up", "--detach"]);
    site.ok(&["restart"]);
    assert_eq!(ended_well(&site), workers(1));
    site.ok(&["down"]);
    let both: Vec<String> =
        workers(1).into_iter().zip(workers(2)).flat_map(|(one, two)| [one, two]).collect();
    assert_eq!(ended_well(&site), both);
    assert_eq!(count(&site.events(), "SIGKILL"), 0);
    site.assert_nothing_left();
}

#[test]
fn issue_12_what_is_behind_a_shell_gets_its_time_when_the_terminal_ends_it() {
    let site = behind_shells();
    let up = site.begin(&["up"]);
    until("all to be ready", || up.out().contains("everything is ready").then_some(()));
    signal(&up.child, Signal::INT);
    up.wait().ok();
    until("them to end", || processes::of(&site.data()).is_empty().then_some(()));
    assert_eq!(ended_well(&site), workers(1));
}

#[test]
fn issue_12_what_is_behind_a_shell_gets_its_time_when_it_is_not_well() {
    let site = Site::serving();
    site.write("a/worker.sh", WORKER);
    site.write("out/.keep", "");
    let out = site.app().join("out");
    site.manifest(&format!(
        "name: shells\nservices:\n  a:\n    artifact: ./a\n    command: [sh, -c, 'sh worker.sh; echo done']\n    \
         environment: {{OUT: '{0}'}}\n    healthcheck: {{command: 'test -f ${{TMPDIR}}/up -a ! -f \
         {0}/sick', interval: 50ms, retries: 1}}\n",
        out.display()
    ));
    site.ok(&["up", "--detach"]);
    site.write("out/sick", "");
    site.text(0, "a.1 ended: killed by SIGTERM");
    assert_eq!(ended_well(&site), ["a.1", "sick"]);
}

#[test]
fn issue_12_a_first_process_that_ends_unasked_leaves_its_rest_time_and_no_requests() {
    let site = Site::serving();
    // The rest goes on answering, as far as the check can tell, until it is let go.
    let worker = "
trap 'while ! test -f $OUT/go; do sleep 0.02; done; touch $OUT/$PELAGO_INSTANCE; exit 0' TERM
touch $TMPDIR/up
while :; do sleep 0.05; done
";
    site.write("a/worker.sh", worker);
    site.write("out/.keep", "");
    let out = site.app().join("out");
    site.manifest(&format!(
        "name: shells\nservices:\n  a:\n    artifact: ./a\n    command: [sh, -c, 'sh worker.sh & while \
         ! test -f {0}/end; do sleep 0.02; done; exit 3']\n    environment: {{OUT: '{0}'}}\n    \
         healthcheck: {{command: 'test -f ${{TMPDIR}}/up', interval: 50ms}}\n    restart: {{backoff: 10ms}}\n",
        out.display()
    ));
    site.ok(&["up", "--detach"]);
    let before = site.index();
    site.write("out/end", "");
    site.text(before, "a.1 is not ready: its first process has ended");
    let service = site.service("a");
    assert_eq!(
        (&service["ready"], &service["instances"][0]["state"]),
        (&0.into(), &"unready".into())
    );
    assert_eq!(count(&site.events(), "a.1 ended"), 0);
    site.write("out/go", "");
    site.text(before, "a.1 ended: exit code 3");
    assert!(ended_well(&site).contains(&"a.1".to_owned()));
    std::fs::remove_file(out.join("end")).unwrap();
    site.text(before, "a.2 is ready");
}

#[test]
fn issue_12_what_does_not_end_after_its_first_process_is_killed_when_grace_is_over() {
    let site = Site::serving();
    let stubborn = "trap \"\" TERM; touch $TMPDIR/up; while :; do sleep 1; done";
    site.write(
        "a/main.sh",
        &format!("sh -c '{stubborn}' &\nwhile ! test -f $TMPDIR/up; do :; done\n"),
    );
    site.manifest(
        "name: shells\nservices: {a: {artifact: ./a, command: sh main.sh, restart: 'no', stop_grace_period: 600ms}}",
    );
    site.ok(&["up", "--detach"]);
    let events = site.events();
    let (started, ended) =
        (place(&events, "a.1 started"), place(&events, "a.1 ended: exit code 0"));
    // Grace began with its end, a little before the start was recorded.
    assert!(Duration::from_millis(400) <= at(&events[ended]).since(at(&events[started])));
    until("its children to end", || processes::of(&site.data()).is_empty().then_some(()));
}

#[test]
fn issue_12_an_instance_whose_supervisor_is_stopped_ends_all_the_same() {
    let site = site("trap 'exit 0' TERM\ntouch $TMPDIR/up\nwhile :; do sleep 0.1; done\n", "300ms");
    let found = processes::of(&site.data());
    let supervisor = found.iter().find(|it| it.role == processes::Role::Supervisor).unwrap();
    host::process::signal(supervisor.id, Signal::STOP).unwrap();
    let before = site.index();
    site.ok(&["down"]);
    let events = site.events_after(before);
    place(&events, "a.1 ended: killed by SIGKILL");
    site.assert_nothing_left();
}

#[test]
fn issue_12_whoever_stops_what_somebody_starts_again_is_told() {
    let site = site("trap '' TERM\ntouch $TMPDIR/up\nwhile :; do sleep 0.1; done\n", "2s");
    let before = site.index();
    let down = site.begin(&["down"]);
    site.text(before, "told to stop");
    let up = site.begin(&["up", "--detach"]);
    let down = down.wait();
    assert_eq!(down.code, Some(1), "{down:?}");
    assert!(down.err.contains("halt was started again by somebody else"), "{down:?}");
    up.wait().ok();
}
