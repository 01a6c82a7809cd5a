//! Releases side by side under load: every way for one to take over, and every way back, loses nothing.

use serde_json::Value;

use crate::harness::{Ran, Running, Site, count, place, texts, until};

/// A service that answers well, and how releases of it take over.
fn shop(update: &str) -> Site {
    behaving("{work: 1ms}", update)
}

/// A service that behaves so.
fn behaving(behaviour: &str, update: &str) -> Site {
    let site = Site::with_gateway(&manifest(behaviour, update));
    site.ok(&["up", "--detach"]);
    site
}

fn manifest(behaviour: &str, update: &str) -> String {
    format!(
        "
name: shop
services:
  web: {{behaviour: {behaviour}, replicas: 2, update: {update}}}
routes: [{{service: web}}]
"
    )
}

/// A canary that is soon judged, and tolerates what a machine that does other things besides makes of latencies.
const CANARY: &str = "{strategy: canary, steps: [{weight: 25%}, {weight: 50%}], keep_old: 1m, \
    analysis: {warm_up: 0s, max_ratio: 4, pass_ratio: 8, tolerated_errors: 5%}}";

/// A canary that tolerates as little as people get without asking.
const STRICT: &str = "{strategy: canary, steps: [{weight: 25%}, {weight: 50%}], keep_old: 1m, \
    analysis: {warm_up: 0s}}";

/// Load on the gateway for so long, from the moment it is measured.
fn load(site: &Site, duration: &str) -> Running {
    let url = format!("http://{}/", site.gateway());
    let load = ["--format", "json", "load", &url, "--rate", "200/s", "--duration", duration];
    let load = site.begin(&load);
    // Latencies are compared with those of a few hundred requests before.
    until("requests that are measured", || {
        let routes = site.get("/v1/routes").ok();
        let seen = routes["routes"][0]["traffic"]["requests_ever"].as_u64();
        seen.filter(|it| 300 < *it)
    });
    load
}

#[track_caller]
fn assert_nothing_lost(load: Running) {
    let report = load.wait().ok().json();
    assert_eq!(report["errors"], serde_json::json!({}), "{report:#}");
    assert_eq!(report["statuses"].as_object().unwrap().keys().collect::<Vec<_>>(), ["200"]);
}

/// The last rollout of a service.
fn rollout(site: &Site, service: &str) -> Value {
    let rollouts = site.get(&format!("/v1/rollouts?service={service}")).ok();
    rollouts[0].clone()
}

/// What a service's release is and what became of each before, the newest first: `r2 serving`.
fn releases(site: &Site) -> Vec<String> {
    let releases = site.get("/v1/applications/shop/releases?service=web").ok();
    let line = |it: &Value| {
        format!("{} {}", it["release"].as_str().unwrap(), it["state"].as_str().unwrap())
    };
    releases.as_array().unwrap().iter().map(line).collect()
}

#[test]
fn a_canary_takes_over_step_by_step_and_back_at_once() {
    let site = shop(CANARY);
    let load = load(&site, "32s");
    let deployed = site.ok(&["deploy", "web", "--force", "-m", "the same"]);
    let lines: Vec<&str> = deployed.out.lines().collect();
    assert_eq!(lines.last(), Some(&"web@r2 completed: r2 has all the traffic"), "{lines:#?}");
    assert!(lines.contains(&"web@r2 taking 25%"), "{lines:#?}");
    assert_eq!(releases(&site), ["r2 serving", "r1 warm"]);
    let events = site.events();
    assert_eq!(count(&events, "the new release of web passed"), 2);
    assert!(
        place(&events, "web is compared with latencies")
            < place(&events, "the new release of web passed")
    );
    // One event a verdict for people; what is counted every second only for whoever asks.
    let counts = |it: &Ran| it.lines().iter().filter(|it| it["kind"] == "rollout_observed").count();
    assert_eq!(counts(&site.json(&["events", "-n", "10000"])), 0);
    assert!(2 < counts(&site.json(&["events", "-n", "10000", "--counts"])));
    site.ok(&["rollback", "web"]);
    assert_eq!(releases(&site)[1], "r1 serving");
    site.ok(&["scale", "web=3"]);
    assert_nothing_lost(load);
    site.ok(&["down"]);
    site.assert_nothing_left();
}

#[test]
fn blue_and_green_change_places_and_the_old_one_goes_in_the_end() {
    let site = shop("{strategy: bluegreen, keep_old: 1s}");
    let load = load(&site, "18s");
    site.ok(&["deploy", "web", "--force"]);
    let index = site.index();
    assert_eq!(releases(&site)[0], "r2 serving");
    site.text(index, "is kept warm no longer");
    site.text(index, "web.2 ended");
    assert_eq!(releases(&site), ["r2 serving", "r1 retired"]);
    assert_nothing_lost(load);
    // What is not there any more is started again first.
    let back = site.ok(&["rollback", "web"]);
    assert!(back.out.contains("web@r1 completed"), "{back:?}");
    assert_eq!(releases(&site), ["r2 retired", "r1 serving"]);
}

#[test]
fn rolling_replaces_one_after_the_other_and_back() {
    let site = shop("{strategy: rolling}");
    let load = load(&site, "18s");
    site.ok(&["deploy", "web", "--force"]);
    assert_eq!(releases(&site), ["r2 serving", "r1 retired"]);
    site.ok(&["rollback", "web"]);
    assert_eq!(releases(&site), ["r2 retired", "r1 serving"]);
    assert_nothing_lost(load);
}

#[test]
fn a_rollback_in_the_middle_ends_it_at_once() {
    let site = shop(CANARY);
    let load = load(&site, "9s");
    site.ok(&["deploy", "web", "--force", "--detach"]);
    site.text(0, "takes the traffic of step 1");
    let back = site.ok(&["rollback", "web"]);
    assert!(back.out.starts_with("web@r2 aborted: rolled back"), "{back:?}");
    assert_eq!(releases(&site)[1], "r1 serving");
    site.text(0, "told to stop: its release is retired");
    assert_nothing_lost(load);
}

/// Deploys what a file says now, which must not go well, and returns what was said.
#[track_caller]
fn rejected(site: &Site, behaviour: &str, update: &str) -> String {
    site.manifest(&manifest(behaviour, update));
    let deployed = site.run(&["deploy", "web"]);
    assert_eq!(deployed.code, Some(1), "{deployed:?}");
    assert_eq!(site.service("web")["release"], "r1", "{deployed:?}");
    let view = rollout(site, "web");
    assert_eq!(view["state"], "rejected", "{view:#}");
    deployed.err
}

#[test]
fn a_release_that_fails_five_in_a_hundred_is_rejected_with_evidence() {
    let site = shop(STRICT);
    let load = load(&site, "14s");
    let said = rejected(&site, "{work: 1ms, errors: 5%}", STRICT);
    assert!(said.contains("web@r2 was rejected: requests "), "{said}");
    assert!(said.contains("requests got an error from it; r1 has all the traffic again"), "{said}");
    assert!(said.contains("GET /: "), "{said}");
    assert!(said.contains("(server-error) from web.3"), "{said}");
    let report = load.wait().ok().json();
    let failed = report["statuses"]["500"].as_u64().unwrap();
    let harmed = rollout(&site, "web")["harmed"].as_u64().unwrap();
    // What ended while traffic was moved back is not counted any more.
    assert!((1..=60).contains(&failed) && harmed <= failed, "{failed} {harmed}");
}

#[test]
fn a_release_that_is_slower_at_the_tail_only_is_rejected() {
    let site = behaving("{work: {p50: 2ms, p99: 10ms}}", STRICT);
    let load = load(&site, "20s");
    site.manifest(&manifest("{work: {p50: 2ms, p99: 25ms}}", STRICT));
    let deployed = site.run(&["deploy", "web"]);
    assert_eq!(deployed.code, Some(1), "{deployed:?}");
    assert!(deployed.err.contains("rejected: requests are slower than"), "{deployed:?}");
    assert_nothing_lost(load);
}

#[test]
fn a_release_that_does_not_stay_up_is_rejected_before_any_traffic() {
    let site = shop(CANARY);
    for (command, why) in [
        (
            "/bin/sh -c 'exit 3'",
            "its instances failed 2 times since the rollout began, the last time: exit code 3",
        ),
        ("/bin/sh -c 'kill -9 $$$$'", "the last time: killed by SIGKILL"),
    ] {
        site.manifest(&format!(
            "
name: shop
services:
  web: {{command: \"{command}\", replicas: 2, update: {CANARY}, restart: {{backoff: 10ms}}}}
routes: [{{service: web}}]
"
        ));
        let deployed = site.run(&["deploy", "web"]);
        assert_eq!(deployed.code, Some(1), "{deployed:?}");
        assert!(deployed.err.contains(why), "{deployed:?}");
        assert!(deployed.err.contains("no caller got an error from it"), "{deployed:?}");
        assert_eq!(site.service("web")["release"], "r1");
    }
    assert_eq!(count(&site.events(), "takes the traffic"), 0);
}

#[test]
fn a_release_that_is_never_healthy_is_rejected_whatever_the_strategy() {
    let health = "healthcheck: {path: /health, interval: 50ms, start_period: 100ms, retries: 2}";
    for strategy in ["canary", "rolling", "bluegreen", "immediate"] {
        let site = shop("{}");
        site.manifest(&format!(
            "
name: shop
services:
  web: {{command: sleep 1000, replicas: 2, {health}, restart: {{backoff: 10ms}}}}
routes: [{{service: web}}]
"
        ));
        let deployed = site.run(&["deploy", "web", "--strategy", strategy]);
        assert_eq!(deployed.code, Some(1), "{deployed:?}");
        assert!(deployed.err.contains("not ready within its start period"), "{deployed:?}");
        site.until("the old release", |it| {
            it["state"] == "running" && it["services"][0]["release"] == "r1"
        });
    }
}

#[test]
fn control_killed_in_every_phase_goes_on_from_where_it_was() {
    let mut site = shop(CANARY);
    let load = load(&site, "38s");
    let deploy = site.begin(&["deploy", "web", "--force"]);
    let phases = [
        "is rolled out over r1",
        "should run r2",
        "takes the traffic of step 1",
        "the new release of web failed 0 of",
        "the new release of web passed",
        "begins step 2",
        "takes the traffic of step 2",
        "the new release of web passed",
        "begins step 3",
        "takes the traffic of step 3",
    ];
    // Its wish has been answered; one whose answer is lost with the control process is not made again.
    until("the rollout it follows", || (!deploy.out().is_empty()).then_some(()));
    let mut index = 0;
    for phase in phases {
        index = site.text(index, phase)["index"].as_u64().unwrap();
        site.kill_control();
        site.start();
    }
    let deployed = deploy.wait();
    assert_eq!(deployed.code, Some(0), "{deployed:?}");
    assert_nothing_lost(load);
    let events = site.events();
    assert_eq!(count(&events, "is rolled out over"), 1, "{:#?}", texts(&events));
    for (step, begun) in [(2, "begins step 2"), (3, "begins step 3")] {
        assert_eq!(count(&events, begun), 1);
        let before = &events[..place(&events, begun)];
        assert_eq!(
            count(before, "the new release of web passed"),
            step - 1,
            "{:#?}",
            texts(&events)
        );
    }
    assert_eq!(releases(&site), ["r2 serving", "r1 warm"]);
}

/// How long a bad release goes on answering after somebody asked for the one before.
#[test]
fn a_rollback_takes_effect_at_once() {
    let site = shop(CANARY);
    let load = load(&site, "20s");
    site.ok(&["deploy", "web", "--force", "--strategy", "bluegreen"]);
    let before = site.index();
    site.ok(&["rollback", "web"]);
    let events = site.events_after(before);
    // One wish, one decision after the other, without waiting for anything.
    assert!(
        place(&events, "gets its traffic back") < place(&events, "takes the traffic of step 1")
    );
    assert!(place(&events, "takes the traffic of step 1") < place(&events, "was completed"));
    assert_eq!(count(&events, "should run"), 0, "nothing had to be started: {:#?}", texts(&events));
    assert_nothing_lost(load);
}

#[test]
fn a_release_that_leaks_until_it_is_killed_is_rejected() {
    let site = shop("{}");
    let findings = site.json(&["doctor"]).json();
    let groups = findings.as_array().unwrap().iter().find(|it| it["subject"] == "control groups");
    if groups.unwrap()["verdict"] != "good" {
        // Nothing limits memory here, and nobody is killed for it.
        return;
    }
    site.write("leak/main.sh", "sleep 0.2\ntail /dev/zero\n");
    site.manifest(
        "
name: shop
services:
  web:
    artifact: ./leak
    command: /bin/sh main.sh
    limits: {memory: 32MiB}
    replicas: 2
    restart: {backoff: 10ms}
    update: {strategy: bluegreen}
routes: [{service: web}]
",
    );
    let deployed = site.run(&["deploy", "web"]);
    assert_eq!(deployed.code, Some(1), "{deployed:?}");
    let why = "the last time: killed for using more memory than its limit";
    assert!(deployed.err.contains(why), "{deployed:?}");
    assert_eq!(site.service("web")["release"], "r1");
}
