//! `up --watch`: what is built, what is said of a broken edit, and what is left when it ends.

use std::fs;

use rustix::process::Signal;

use crate::harness::{Site, signal, until};

const TWO: &str = "
name: edit
services:
  a: {artifact: ./a, command: /bin/sh main.sh}
  b: {artifact: ./b, command: /bin/sh main.sh, build: /bin/sh build.sh}
";

/// Every run of the build adds a line to a file beside the folder of the application.
fn site() -> Site {
    let site = Site::serving();
    site.manifest(TWO);
    site.write("a/main.sh", "echo a one; exec sleep 1000");
    site.write("b/main.sh", "echo b one; exec sleep 1000");
    site.write("build.sh", "echo built >> ../builds");
    site
}

fn builds(site: &Site) -> usize {
    fs::read_to_string(site.app().join("../builds")).unwrap_or_default().lines().count()
}

#[test]
fn issue_12_only_what_changed_is_built_and_a_broken_edit_is_said() {
    let site = site();
    let up = site.begin(&["up", "--watch"]);
    until("both", || (up.out().contains("a one") && up.out().contains("b one")).then_some(()));
    until("the watch", || up.err().contains("watching for changes").then_some(()));
    assert_eq!(builds(&site), 1);

    site.write("a/main.sh", "echo a two; exec sleep 1000");
    until("the second", || up.out().contains("a two").then_some(()));
    assert_eq!(builds(&site), 1);

    // One edit back is the second, also before it has been watched for long.
    site.until("it to serve", |it| it["services"][0]["state"] == "ready");
    site.write("a/main.sh", "echo a broken; exit 3");
    until("the rejection", || {
        let said = up.err();
        let is_said = said.contains("a@r3 was rejected") && said.contains("r2 serves on");
        is_said.then_some(())
    });
    let web = site.service("a");
    assert_eq!((&web["release"], &web["ready"]), (&"r2".into(), &1.into()));

    site.write("b/main.sh", "echo b two; exec sleep 1000");
    until("the other", || up.out().contains("b two").then_some(()));
    assert_eq!(builds(&site), 2);
    signal(&up.child, Signal::TERM);
    up.wait().ok();
    site.assert_nothing_left();
}

#[test]
fn issue_12_what_ran_before_is_not_stopped() {
    let site = site();
    site.ok(&["up", "--detach"]);
    for arguments in [&["up", "--watch"][..], &["up"]] {
        let up = site.begin(arguments);
        let hint = "the application ran before, and goes on after Ctrl-C";
        until("the hint", || (up.err().contains(hint) || up.out().contains(hint)).then_some(()));
        signal(&up.child, Signal::TERM);
        let up = up.wait().ok();
        assert!(up.err.contains("edit ran before, and goes on"), "{up:?}");
        assert_eq!(site.application()["state"], "running");
    }
}

/// Lines that come all the time hide no edit, nor does a start that takes long.
#[test]
fn issue_12_no_edit_is_missed() {
    let site = Site::serving();
    let go = site.app().join("../go");
    site.manifest(&format!(
        "name: edit\nservices:\n  a:\n    artifact: ./a\n    command: /bin/sh main.sh\n    healthcheck: {{command: test \
         -f {}, interval: 50ms}}\n",
        go.display()
    ));
    let program = |word: &str| format!("while :; do echo {word}; sleep 0.02; done\n");
    site.write("a/main.sh", &program("one"));
    let up = site.begin(&["up", "--watch"]);
    site.text(0, "a.1 started");
    site.write("a/main.sh", &program("two"));
    fs::write(&go, "").unwrap();
    until("the edit made meanwhile", || up.out().contains("two").then_some(()));
    for word in ["three", "four"] {
        site.write("a/main.sh", &program(word));
        until("an edit", || up.out().contains(word).then_some(()));
    }
    signal(&up.child, Signal::TERM);
    up.wait().ok();
    site.assert_nothing_left();
}

/// Whoever begins with a mistake mends it, and need not begin again.
#[test]
fn issue_12_what_does_not_start_is_watched_as_well() {
    let site = Site::serving();
    site.manifest("name: edit\nservices: {a: {artifact: ./a, command: /bin/sh main.sh, restart: {backoff: 10ms, max_backoff: 10ms}}}\n");
    site.write("a/main.sh", "echo broken; exit 3");
    let up = site.begin(&["up", "--watch"]);
    until("what is wrong", || up.err().contains("watching for changes").then_some(()));
    assert!(up.err().contains("a is"), "{}", up.err());
    site.write("a/main.sh", "echo mended; exec sleep 1000");
    until("what was mended", || up.out().contains("mended").then_some(()));
    signal(&up.child, Signal::TERM);
    up.wait().ok();
    site.assert_nothing_left();
}
