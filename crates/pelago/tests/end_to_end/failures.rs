//! Services that do not start, and how it is told.

use std::time::Duration;

use model::Timestamp;

use crate::harness::{Site, count, place};

#[test]
fn a_crash_loop_is_told_with_its_last_words_and_ends_with_a_better_release() {
    let site = Site::with(
        "
name: loop
services:
  a:
    artifact: ./a
    command: /bin/sh main.sh
    restart: {backoff: 60ms, max_backoff: 1s, crash_loop: 4}
",
    );
    site.write("a/main.sh", "echo cannot open shop.db >&2\nexit 3\n");
    let up = site.run(&["up", "--detach"]);
    assert_eq!(up.code, Some(1), "{up:?}");
    for part in ["a is crash-looping: exit code 3", "| cannot open shop.db", "tried again"] {
        assert!(up.err.contains(part), "no `{part}` in {up:?}");
    }
    let events = site.events();
    place(&events, "a is crash-looping: 4 failed starts in a row");
    let at = |part: &str| {
        let event = &events[place(&events, part)];
        Timestamp::parse(event["at"].as_str().unwrap()).unwrap()
    };
    for (number, pause_ms) in [(1, 60), (2, 120), (3, 240)] {
        let end = at(&format!("a.{number} ended"));
        let next = at(&format!("a.{} should run", number + 1));
        let least = Duration::from_millis(pause_ms);
        assert!(least <= next.since(end), "the pause after {number} failures is too short");
    }
    assert_eq!(site.application()["state"], "failing");
    let doctor = site.run(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.out.contains("crash-looping: loop/a"), "{doctor:?}");
    // What is stopped does not crash.
    site.ok(&["down"]);
    let doctor = site.run(&["doctor"]);
    assert!(doctor.out.contains("none crash-looping"), "{doctor:?}");

    site.write("a/main.sh", "exec sleep 1000\n");
    site.ok(&["up", "--detach"]);
    assert_eq!(site.service("a")["release"], "r2");
    assert_eq!(site.application()["state"], "running");
}

#[test]
fn a_job_is_done_once_and_what_waits_for_it_starts_then() {
    let site = Site::with(
        "
name: jobs
services:
  migrate:
    artifact: ./migrate
    command: /bin/sh main.sh
    restart: {policy: on-failure, backoff: 20ms}
  web:
    command: sleep 1000
    depends_on: {migrate: {condition: service_completed_successfully}}
",
    );
    // It fails the first time, and the second time it does not.
    site.write("migrate/main.sh", "test -f $HOME/tried && exit 0\ntouch $HOME/tried\nexit 1\n");
    site.ok(&["up", "--detach"]);
    let events = site.events();
    // One that ends at once may not have been seen to start.
    let again = place(&events, "migrate.2 should run");
    assert!(place(&events, "migrate.1 ended: exit code 1") < again);
    assert!(place(&events, "migrate.2 ended: exit code 0") < place(&events, "web.1 should run"));
    assert_eq!(count(&events, "web.1 should run"), 1);
    assert_eq!(site.service("migrate")["state"], "completed");
    site.ok(&["restart", "web"]);
    assert_eq!(count(&site.events(), "migrate.3"), 0);
}

#[test]
fn a_job_that_fails_for_good_is_told() {
    let site = Site::with(
        "name: jobs\nservices: {a: {artifact: ./a, command: /bin/sh main.sh, restart: 'no'}}",
    );
    site.write("a/main.sh", "echo no luck\nexit 7\n");
    let up = site.run(&["up", "--detach"]);
    assert_eq!(up.code, Some(1), "{up:?}");
    assert!(up.err.contains("a is failed: exit code 7"), "{up:?}");
    assert!(up.err.contains("no luck"), "{up:?}");
    assert_eq!(count(&site.events(), "a.1 started as process"), 1);
}

#[track_caller]
fn check_cannot_start(command: &str, reason: &str) {
    let site = Site::with(&format!(
        "
name: wrong
services:
  a:
    artifact: ./a
    command: {command}
    restart: {{backoff: 10ms, crash_loop: 2}}
"
    ));
    site.write("a/data.txt", "");
    let up = site.run(&["up", "--detach"]);
    assert_eq!(up.code, Some(1), "{up:?}");
    assert!(up.err.contains(reason), "no `{reason}` in {up:?}");
    let events = site.events();
    place(&events, &format!("a.1 ended: could not be started: {reason}"));
    assert_eq!(count(&events, "is ready"), 0);
}

#[test]
fn a_program_that_is_not_there_is_named() {
    check_cannot_start("./no-such-program", "the program `./no-such-program` was not found");
    check_cannot_start("no-such-program", "the program `no-such-program` was not found");
}

#[test]
fn a_program_that_may_not_be_run_is_named() {
    check_cannot_start("./data.txt", "the program `./data.txt` may not be run");
}

#[test]
fn up_does_not_wait_for_ever() {
    let site = Site::with(
        "name: slow\nservices: {a: {command: sleep 1000, healthcheck: {command: 'false'}}}",
    );
    let up = site.run(&["up", "--detach", "--timeout", "500ms"]);
    assert_eq!(up.code, Some(1), "{up:?}");
    assert!(up.err.contains("slow was not ready within 500ms"), "{up:?}");
    assert!(up.err.contains("a is starting"), "{up:?}");
}

#[test]
fn an_artifact_that_is_not_there_is_named_and_nothing_changes() {
    let site = Site::with("name: gone\nservices: {a: {artifact: ./nothing, command: ./run}}");
    let up = site.run(&["up", "--detach"]);
    assert_eq!(up.code, Some(1), "{up:?}");
    assert!(up.err.contains("service `a`: the artifact"), "{up:?}");
    assert!(up.err.contains("does not exist"), "{up:?}");
    assert_eq!(site.events().len(), 1);
}

#[test]
fn a_port_that_another_program_has_taken_is_given_up() {
    let site = Site::with("name: zoo\nservices: {a: {behaviour: {work: 1ms}}}");
    site.ok(&["up", "--detach"]);
    let url = site.service("a")["instances"][0]["url"].as_str().unwrap().to_owned();
    site.ok(&["down"]);
    let address = url.strip_prefix("http://").unwrap();
    let _taken = std::net::TcpListener::bind(address).unwrap();
    site.ok(&["up", "--detach"]);
    let now = site.service("a")["instances"][0]["url"].as_str().unwrap().to_owned();
    assert_ne!(now, url);
    place(&site.events(), "is in use by another program");
}

#[test]
fn issue_12_what_up_refuses_is_no_valid_file() {
    let site = Site::serving();
    for (services, part) in [
        ("{a: {image: 'example/a:1'}}", "is the image example/a:1"),
        ("{a: {artifact: ./gone, command: ./run}}", "./gone"),
        (
            "{a: {behaviour: {work: 1ms}, depends_on: {db: {condition: service_healthy}}}}\nresources: {db: {type: redis}}",
            "resource `db`",
        ),
        (
            "{a: {artifact: ., command: ./run, data: d}, b: {artifact: ., command: ./run, data: d}}",
            "each for itself",
        ),
        ("{a: {artifact: ., command: ./run, data: d, replicas: 2}}", "one instance"),
        ("{a: {artifact: /dev/zero, command: ./run}}", "/dev/zero"),
    ] {
        site.manifest(&format!("name: not\nservices: {services}\n"));
        for command in [&["validate"][..], &["up", "--detach"]] {
            let refused = site.run(command);
            assert_ne!(refused.code, Some(0), "{services} {command:?}");
            assert!(refused.err.contains(part), "{services} {command:?}: {refused:?}");
        }
    }
}
