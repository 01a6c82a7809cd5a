//! Releases without load: what they are, what people do with them, and what is left of them.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use crate::harness::http::{Request, ask_tcp};
use crate::harness::webhook::receive;
use crate::harness::{Site, count, place, processes, texts, until};

/// A service whose canaries wait for somebody, since nobody asks anything.
const WAITING: &str = "
name: shop
services:
  web:
    behaviour: {work: 1ms}
    update: {strategy: canary, steps: [{weight: 10%}, {weight: 50%}], keep_old: 1h, analysis: {warm_up: 0s}}
routes: [{service: web}]
";

fn waiting() -> Site {
    let site = Site::with_gateway(WAITING);
    site.ok(&["up", "--detach"]);
    site
}

#[test]
fn a_rollout_is_paused_resumed_promoted_and_aborted() {
    let site = waiting();
    let nothing = site.run(&["rollout", "pause", "web"]);
    assert!(nothing.err.contains("no rollout of web is in progress"), "{nothing:?}");
    let nowhere = site.run(&["rollback", "web"]);
    assert!(nowhere.err.contains("web has had no release before r1"), "{nowhere:?}");
    site.ok(&["deploy", "web", "--force", "--detach"]);
    site.text(0, "takes the traffic of step 1");
    let paused = site.ok(&["rollout", "pause", "web"]);
    assert!(paused.out.starts_with("web@r2 paused at 10%"), "{paused:?}");
    site.ok(&["rollout", "resume", "web"]);
    site.ok(&["rollout", "promote", "web"]);
    site.text(0, "takes the traffic of step 2");
    let table = site.ok(&["rollout"]).out;
    assert!(table.contains("web      r1    r2  50%    running"), "{table}");
    let index = site.index();
    let watched = site.begin(&["rollout", "watch", "web"]);
    site.ok(&["rollout", "abort", "web"]);
    let watched = watched.wait();
    assert_eq!(watched.code, Some(1), "{watched:?}");
    assert!(watched.out.contains("web@r2 aborted: aborted by hand"), "{watched:?}");
    site.text(index, "told to stop: its release is retired");
    assert_eq!(site.service("web")["release"], "r1");
}

#[test]
fn what_is_described_is_released_once() {
    let site = waiting();
    let same = site.ok(&["deploy"]);
    assert!(same.err.contains("nothing has changed"), "{same:?}");
    site.manifest(&WAITING.replace("work: 1ms", "work: 2ms"));
    site.ok(&["deploy", "--detach"]);
    // What is being rolled out is what is described.
    assert!(site.ok(&["deploy"]).err.contains("nothing has changed"));
    site.ok(&["up", "--detach"]);
    // Another description takes its place, and the first one ends it.
    site.manifest(&WAITING.replace("work: 1ms", "work: 3ms"));
    site.ok(&["deploy", "--detach"]);
    site.manifest(WAITING);
    site.ok(&["up", "--detach"]);
    let events = site.events();
    assert_eq!(count(&events, "is rolled out over r1"), 2, "{:#?}", texts(&events));
    assert_eq!(count(&events, "aborted: r3 takes its place"), 1);
    assert_eq!(count(&events, "aborted: what is described is r1 again"), 1);
    let diff = site.ok(&["diff", "web@r1", "r3"]);
    assert!(diff.out.contains("web@r1 -> web@r3"), "{diff:?}");
    assert!(diff.out.contains("2ms") || diff.out.contains("3ms"), "{diff:?}");
    let unknown = site.run(&["diff", "web@r1", "r9"]);
    assert!(unknown.err.contains("web has no release r9 any more; there are r1, r2, r3"));
}

/// Which releases answer requests with these headers.
fn answers(site: &Site, headers: &[(&str, &str)], times: usize) -> Vec<String> {
    let gateway = site.gateway();
    let instances = site.service("web")["instances"].clone();
    let release_of = |id: &Value| {
        let found = instances.as_array().unwrap().iter().find(|it| it["id"] == *id);
        found.unwrap()["release"].as_str().unwrap().to_owned()
    };
    let mut found: Vec<String> = (0..times)
        .map(|_| {
            let request = Request { headers, ..Request::get("/") };
            release_of(&ask_tcp(&gateway, &request).unwrap().ok()["instance"])
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn traffic_is_shared_by_hand_for_as_long_as_wanted() {
    let mut site = waiting();
    site.ok(&["deploy", "web", "--force", "--detach"]);
    let busy = site.run(&["traffic", "set", "web", "r1"]);
    assert!(busy.err.contains("r2 is being rolled out; end that first"), "{busy:?}");
    site.ok(&["rollout", "abort", "web"]);
    for (shares, why) in [
        (&["r1=90%"][..], "the shares are 90% together, and must be 100%"),
        (&["r1=50%", "r7=50%"], "web has no release r7; `pelago releases web` lists"),
        (&["r1=50%", "r1=50%"], "r1 is named twice"),
    ] {
        let refused = site.run(&[&["traffic", "set", "web"][..], shares].concat());
        assert!(refused.err.contains(why), "{refused:?}");
    }
    site.ok(&[
        "traffic",
        "set",
        "web",
        "r1=50%",
        "r2=50%",
        "--header",
        "x-new=1:r2",
        "--cookie",
        "old:r1",
    ]);
    let both = ["r1".to_owned(), "r2".to_owned()];
    assert_eq!(answers(&site, &[], 60), both);
    assert_eq!(answers(&site, &[("x-new", "1")], 20), ["r2"]);
    assert_eq!(answers(&site, &[("cookie", "a=b; old=x")], 20), ["r1"]);
    site.kill_control();
    site.start();
    assert_eq!(answers(&site, &[], 60), both);
    let refused = site.run(&["deploy", "web", "--force"]);
    assert!(refused.err.contains("give one of them everything first"), "{refused:?}");
    site.ok(&["traffic", "set", "web", "r2"]);
    assert_eq!(answers(&site, &[], 20), ["r2"]);
    let listed = site.ok(&["releases"]).out;
    assert!(listed.contains("web@r2   serving") && listed.contains("web@r1   warm"), "{listed}");
    site.ok(&["rollback", "web"]);
    assert_eq!(answers(&site, &[], 20), ["r1"]);
}

fn with_command(command: &str, strategy: &str) -> String {
    format!(
        "
name: shop
services:
  web:
    behaviour: {{work: 1ms}}
    release_command: /bin/sh -c '{command}'
    environment: {{A: b}}
    update: {{strategy: {strategy}}}
"
    )
}

#[test]
fn a_release_command_runs_once_before_everything() {
    let site = Site::serving();
    let ran = site.app().join("ran");
    let say = format!("echo $$PELAGO_RELEASE $$A >> {}", ran.display());
    site.write(
        "pelago.yaml",
        &with_command(&say, "rolling").replace("behaviour: {work: 1ms}", "command: sleep 1000"),
    );
    site.ok(&["up", "--detach"]);
    assert_eq!(fs::read_to_string(&ran).unwrap(), "r1 b\n");
    site.ok(&["scale", "web=2"]);
    for (strategy, expected) in [("bluegreen", "r1 b\nr2 b\n"), ("rolling", "r1 b\nr2 b\nr3 b\n")] {
        site.ok(&["deploy", "web", "--force", "--strategy", strategy, "--detach"]);
        site.event(site.index() - 1, "the command", |_| {
            fs::read_to_string(&ran).unwrap() == expected
        });
        site.text(site.index() - 5, "takes the traffic");
        site.ok(&["rollout", "abort", "web"]);
    }
    // It failed: nothing of the release is started, and nothing of the old one stopped.
    let failing = with_command("echo no such table; exit 4", "rolling");
    site.write("pelago.yaml", &failing.replace("behaviour: {work: 1ms}", "command: sleep 1000"));
    for strategy in ["canary", "rolling"] {
        let index = site.index();
        let failed = site.run(&["deploy", "web", "--strategy", strategy]);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        assert!(failed.err.contains("its release command failed: exit code 4"), "{failed:?}");
        assert!(failed.err.contains("no such table"), "{failed:?}");
        assert_eq!(count(&site.events_after(index), "takes the traffic"), 0);
        assert_eq!(site.service("web")["release"], "r1");
    }
}

#[test]
fn a_first_release_whose_command_fails_does_not_start() {
    let site = Site::with(
        &with_command("exit 4", "rolling").replace("behaviour: {work: 1ms}", "command: sleep 1000"),
    );
    let failed = site.run(&["up", "--detach"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(
        failed.err.contains("web is failed: its release command failed: exit code 4"),
        "{failed:?}"
    );
    site.manifest(
        &with_command("exit 0", "rolling").replace("behaviour: {work: 1ms}", "command: sleep 1000"),
    );
    site.ok(&["up", "--detach"]);
}

#[test]
fn a_webhook_is_told_the_outcome_also_by_the_next_control_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("webhook: 'http://{}/hook'", listener.local_addr().unwrap());
    let mut site = Site::with_gateway(&WAITING.replace("keep_old: 1h", &url));
    site.ok(&["up", "--detach"]);
    for round in 2..4 {
        site.ok(&["deploy", "web", "--force", "--detach"]);
        site.ok(&["rollout", "abort", "web"]);
        if round == 3 {
            // Whether it was told already or not, it is told again rather than never.
            site.kill_control();
            site.start();
        }
        let told = receive(&listener);
        assert_eq!(told["outcome"], "aborted", "{told}");
        assert_eq!(told["to"], format!("r{round}"), "{told}");
        assert_eq!(told["text"], format!("shop: web@r{round} was aborted: aborted by hand"));
        if round == 2 {
            site.text(0, "the webhook of web was told");
        }
    }
}

#[test]
fn services_that_are_deployed_as_one_go_in_the_order_of_their_calls() {
    let manifest = "
name: shop
defaults: {update: {strategy: canary, steps: [{weight: 50%}], analysis: {warm_up: 0s}}}
services:
  web: {behaviour: {work: 1ms, calls: [cart]}}
  cart: {behaviour: {work: 1ms, calls: [store]}}
  store: {behaviour: {work: 1ms}}
routes: [{service: web}]
";
    let site = Site::with_gateway(manifest);
    site.ok(&["up", "--detach"]);
    site.ok(&["deploy", "web", "cart", "store", "--together", "--force", "--detach"]);
    site.text(0, "the rollout of web takes the traffic of step 1");
    let events = site.events();
    let moved = |service: &str| {
        place(&events, &format!("the rollout of {service} takes the traffic of step 1"))
    };
    assert!(
        moved("store") < moved("cart") && moved("cart") < moved("web"),
        "{:#?}",
        texts(&events)
    );
    // Callers wait for those they call.
    site.ok(&["rollout", "promote", "web"]);
    site.ok(&["rollout", "promote", "cart"]);
    assert_eq!(count(&site.events(), "begins step 2"), 0);
    site.ok(&["rollout", "promote", "store"]);
    site.text(0, "the rollout of web takes the traffic of step 2");
    // One falls, and all fall.
    site.ok(&["rollout", "abort", "cart"]);
    site.text(0, "the new release of web was rejected: cart@r2, which it goes with, was aborted");
    site.text(0, "the new release of store was rejected: ");
    site.until("the old releases", |it| {
        it["services"].as_array().unwrap().iter().all(|it| it["release"] == "r1")
    });
}

#[test]
fn many_deploys_leave_nothing() {
    let site = Site::with(
        "
name: shop
services: {web: {artifact: ./app, command: sleep 1000, update: {strategy: bluegreen, keep_old: 0s}}}
",
    );
    site.write("app/version", "0");
    site.ok(&["up", "--detach"]);
    for round in 0..40 {
        site.write("app/version", &round.to_string());
        let strategy = ["bluegreen", "rolling", "canary", "immediate"][round % 4];
        site.ok(&["deploy", "web", "--strategy", strategy, "--detach"]);
    }
    site.ok(&["rollout", "abort", "web"]);
    site.until("the first release alone", |it| {
        it["services"][0]["instances"].as_array().is_some_and(|it| it.len() == 1)
            && it["services"][0]["release"] == "r1"
    });
    until("one instance", || (processes::leaders(&site.data()).len() == 1).then_some(()));
    let listed = site.get("/v1/applications/shop/releases").ok();
    assert!(listed.as_array().unwrap().len() <= 21, "{listed:#}");
    site.ok(&["down"]);
    site.assert_nothing_left();
}

#[test]
fn what_is_watched_is_replaced_when_it_changes() {
    let site = Site::serving();
    site.manifest(
        "
name: shop
services:
  web: {artifact: ./web, command: /bin/sh main.sh}
  mail: {artifact: ./mail, build: /bin/sh build.sh, command: cat letter}
",
    );
    site.write("web/main.sh", "echo one; exec sleep 1000");
    site.write("build.sh", "mkdir -p mail; cp letter.txt mail/letter; sleep 0.1");
    site.write("letter.txt", "dear ada\n");
    site.write(
        "pelago.yaml",
        &fs::read_to_string(site.app().join("pelago.yaml"))
            .unwrap()
            .replace("cat letter", "/bin/sh -c 'cat letter; exec sleep 1000'"),
    );
    let up = site.begin(&["up", "--watch"]);
    until("the first", || up.out().contains("dear ada").then_some(()));
    until("web", || up.out().contains("one").then_some(()));
    site.write("web/main.sh", "echo two; exec sleep 1000");
    until("the second", || up.out().contains("two").then_some(()));
    site.write("letter.txt", "dear bob\n");
    until("the second letter", || up.out().contains("dear bob").then_some(()));
    assert_eq!(site.service("web")["release"], "r2");
    assert_eq!(site.service("mail")["release"], "r2");
    crate::harness::signal(&up.child, rustix::process::Signal::TERM);
    up.wait().ok();
    site.assert_nothing_left();
}
