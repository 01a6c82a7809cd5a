//! The data plane under a control process: what is fed to it, and what is lost when something is replaced,
//! killed or stopped. That is nothing.

use std::fs;

use serde_json::Value;

use crate::harness::http::{Request, ask_tcp};
use crate::harness::{Running, Site, place, processes, until};

const SHOP: &str = "
name: shop
services:
  web: {behaviour: {work: 1ms, calls: [catalog]}, replicas: 2}
  catalog: {behaviour: {work: 1ms}, replicas: 2}
routes: [{service: web}]
";

fn shop() -> Site {
    let site = Site::with_gateway(SHOP);
    site.ok(&["up", "--detach"]);
    site
}

/// Load on the gateway that goes on while something happens.
fn load(site: &Site) -> Running {
    load_on(site, &format!("http://{}/", site.gateway()))
}

fn load_on(site: &Site, url: &str) -> Running {
    let load = ["--format", "json", "load", url, "--rate", "100/s", "--duration", "4s"];
    let load = site.begin(&load);
    until("a call that the data plane has counted", || {
        let edges = site.get("/v1/edges").ok();
        let counted = edges["edges"][0]["traffic"]["requests_ever"].as_u64()?;
        (0 < counted).then_some(())
    });
    load
}

#[track_caller]
fn assert_nothing_lost(load: Running) {
    let ran = load.wait().ok();
    let report = ran.json();
    assert_eq!(report["errors"], serde_json::json!({}), "{report:#}");
    assert_eq!(report["statuses"].as_object().unwrap().keys().collect::<Vec<_>>(), ["200"]);
    assert!(300 < report["answered"].as_u64().unwrap(), "{report:#}");
}

/// A request through the gateway.
fn ask(site: &Site) -> Value {
    ask_tcp(&site.gateway(), &Request::get("/")).unwrap().ok()
}

#[test]
fn requests_cross_the_gateway_and_the_declared_edge() {
    let site = shop();
    let answer = ask(&site);
    assert_eq!(answer["service"], "web", "{answer}");
    assert_eq!(answer["calls"][0]["status"], 200, "{answer}");
    let edge = site.ok(&["exec", "web", "--", "sh", "-c", "echo $CATALOG_URL"]).out;
    let direct = site.service("catalog")["instances"][0]["url"].as_str().unwrap().to_owned();
    assert_ne!(edge.trim(), direct);
    until("a change that was followed", || {
        site.data_plane().contains("follows within").then_some(())
    });
    site.ok(&["down"]);
    site.assert_nothing_left();
}

#[test]
fn replacing_every_instance_loses_nothing() {
    let site = shop();
    let load = load(&site);
    site.ok(&["restart"]);
    assert_nothing_lost(load);
    for service in ["web", "catalog"] {
        let id = site.instance(service).1;
        assert_eq!(id, format!("{service}.3"));
    }
}

#[test]
fn killing_control_loses_nothing_and_the_next_one_finds_the_data_plane() {
    let mut site = shop();
    let before = processes::data_planes(&site.data());
    assert_eq!(before.len(), 1);
    let load = load(&site);
    site.kill_control();
    site.start();
    site.ok(&["restart", "catalog"]);
    assert_nothing_lost(load);
    assert_eq!(processes::data_planes(&site.data()), before);
}

#[test]
fn a_data_plane_that_was_killed_is_started_again() {
    let site = shop();
    let before = processes::data_planes(&site.data());
    before.iter().copied().for_each(processes::kill);
    until("another data plane", || {
        let planes = processes::data_planes(&site.data());
        (!planes.is_empty() && planes != before).then_some(())
    });
    assert_eq!(ask(&site)["calls"][0]["status"], 200);
    let after = processes::data_planes(&site.data());
    assert_eq!((after.len(), after == before), (1, false));
}

/// Another gateway is asked for: another data plane takes over, with the addresses of calls.
#[test]
fn a_data_plane_hands_over_to_its_successor_and_loses_nothing() {
    let mut site = shop();
    let before = processes::data_planes(&site.data());
    let edge = site.ok(&["exec", "web", "--", "sh", "-c", "echo $CATALOG_URL"]).out;
    ask(&site);
    let load = load_on(&site, edge.trim());
    // Where neither instances nor outgoing connections have their ports.
    let free = (28_000..32_000).find(|it| std::net::TcpListener::bind(("127.0.0.1", *it)).is_ok());
    let gateway = format!("127.0.0.1:{}", free.unwrap());
    site.kill_control();
    site.gateway_at(&gateway);
    site.start();
    until("the successor", || (site.gateway() == gateway).then_some(()));
    assert_eq!(ask(&site)["calls"][0]["status"], 200);
    assert_nothing_lost(load);
    let after = processes::data_planes(&site.data());
    assert!(after.iter().any(|it| !before.contains(it)), "{after:?}");
}

/// Whoever ends a platform on which nothing runs leaves nothing behind; what runs keeps its data plane.
#[test]
fn the_data_plane_ends_with_the_last_control_process_that_needs_it() {
    let mut site = shop();
    site.end_control();
    assert_eq!(processes::data_planes(&site.data()).len(), 1);
    site.start();
    site.ok(&["down"]);
    site.data_plane();
    site.end_control();
    until("the data plane to end", || {
        processes::data_planes(&site.data()).is_empty().then_some(())
    });
}

#[test]
fn a_release_that_is_never_ready_takes_nothing_away() {
    let file =
        |work: &str| format!("name: shop\nservices: {{web: {work}}}\nroutes: [{{service: web}}]\n");
    let site = Site::with_gateway(&file("{behaviour: {work: 1ms}}"));
    site.ok(&["up", "--detach"]);
    site.manifest(&file("{command: sleep 1000, healthcheck: {tcp: true, start_period: 0s, interval: 1s, retries: 1}, restart: {crash_loop: 1}}"));
    let before = site.index();
    let ran = site.run(&["up", "--detach"]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    site.text(before, "web is crash-looping");
    assert_eq!(ask(&site)["instance"], "web.1");
    let events = site.events_after(before);
    assert!(!events.iter().any(|it| it["text"].as_str().unwrap().starts_with("web.1 ")));
}

/// An instance is told to stop when what it has begun is done.
#[test]
fn requests_in_flight_end_before_their_instance_does() {
    let site = Site::with_gateway(
        "name: shop\nservices: {web: {behaviour: {work: 2s}, calls: {}}}\ndefaults: {resilience: {timeout: 30s}}\nroutes: [{service: web}]\n",
    );
    site.ok(&["up", "--detach"]);
    let gateway = site.gateway();
    let asked = std::thread::spawn(move || ask_tcp(&gateway, &Request::get("/")).unwrap());
    until("the request to be in flight", || {
        let edges = site.get("/v1/routes").ok();
        let flying = edges.to_string().contains("\"in_flight\":1");
        flying.then_some(())
    });
    let before = site.index();
    site.ok(&["restart", "web"]);
    let answer = asked.join().unwrap();
    assert_eq!(answer.ok()["instance"], "web.1");
    site.text(before, "web.1 ended: exit code 0");
    place(&site.events_after(before), "web.1 told to stop: restart asked for");
}

#[test]
fn two_control_processes_may_want_the_same_gateway() {
    let site = shop();
    let mut other = Site::new();
    other.gateway_at(&site.gateway());
    other.start();
    let detail = other.data_plane();
    assert!(detail.contains("which another program has"), "{detail}");
    assert!(fs::read_to_string(other.log()).unwrap().contains("the gateway cannot listen there"));
    assert_eq!(ask(&site)["service"], "web");
}

#[test]
fn issue_12_whoever_connects_while_a_data_plane_is_started_again_is_not_refused() {
    let site = shop();
    let gateway = site.gateway();
    // The first may die before its sockets are kept; nothing tells when they are.
    until("an answer of the next data plane to one who connected before it was there", || {
        let [plane] = processes::data_planes(&site.data())[..] else { return None };
        host::process::signal(plane, rustix::process::Signal::KILL).unwrap();
        until("its end", || (!processes::is_alive(plane)).then_some(()));
        let answer = ask_tcp(&gateway, &Request::get("/")).ok()?;
        (answer.status == 200).then_some(())
    });
}

/// What keeps copies of the sockets of calls lets go of those of calls that are no more: nobody else could listen there.
#[test]
fn issue_12_calls_that_come_back_are_answered() {
    let site = shop();
    let address = site.ok(&["exec", "web", "--", "sh", "-c", "echo $CATALOG_ADDRESS"]).out;
    let port = address.trim().rsplit_once(':').unwrap().1.parse().unwrap();
    until("copies of the sockets", || processes::holds(site.control_pid(), port).then_some(()));
    let check = || {
        until("an answer by way of the call", || {
            let answer = ask_tcp(&site.gateway(), &Request::get("/")).ok()?;
            let is_answered = answer.status == 200 && answer.json()["calls"][0]["status"] == 200;
            is_answered.then_some(())
        });
    };
    for again in [&["up", "--detach"][..], &["start"]] {
        site.ok(&["down"]);
        site.ok(again);
        check();
    }
    site.manifest(&SHOP.replace(", calls: [catalog]", ""));
    site.ok(&["up", "--detach"]);
    site.manifest(SHOP);
    site.ok(&["up", "--detach"]);
    check();
    let doctor = site.run(&["doctor"]).out;
    assert!(!doctor.contains("cannot be listened on"), "{doctor}");
}
