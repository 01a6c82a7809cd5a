//! Instances and supervisors that are killed, and how it is told.

use model::instance::ProcessId;

use crate::harness::processes::{self, Role};
use crate::harness::{Site, place, until};

/// A shell that leaves a child in its own process group and one in a session of its own.
const FAMILY: &str = "sleep 1000 &\nsetsid sleep 1000 &\nexec sleep 1000\n";

fn family() -> Site {
    let site = Site::with("name: kin\nservices: {a: {artifact: ./a, command: /bin/sh main.sh}}");
    site.write("a/main.sh", FAMILY);
    site.ok(&["up", "--detach"]);
    let data = site.data();
    until("the whole family", || (processes::of(&data).len() == 4).then_some(()));
    site
}

fn supervisor(site: &Site) -> ProcessId {
    let found = processes::of(&site.data());
    found.iter().find(|it| it.role == Role::Supervisor).unwrap().id
}

/// Every process there is, for what must be gone.
fn all(site: &Site) -> Vec<ProcessId> {
    processes::of(&site.data()).iter().map(|it| it.id).collect()
}

fn wait_until_gone(processes: &[ProcessId]) {
    until("processes to end", || {
        (!processes.iter().any(|it| processes::is_alive(*it))).then_some(())
    });
}

#[test]
fn a_killed_instance_is_replaced_on_its_port() {
    let site = Site::with("name: one\nservices: {a: {behaviour: {work: 1ms}}}");
    site.ok(&["up", "--detach"]);
    let (before, url) = (site.index(), site.service("a")["instances"][0]["url"].clone());
    let (pid, id) = site.instance("a");
    assert_eq!(id, "a.1");
    processes::kill(processes::identify(pid).unwrap());
    site.text(before, "a.2 is ready");
    let events = site.events_after(before);
    assert_eq!(place(&events, "a.1 ended: killed by SIGKILL"), 0);
    assert_eq!(place(&events, "a.2 should run r1"), 1);
    let service = site.service("a");
    assert_eq!(service["instances"][0]["url"], url);
    assert_eq!(service["state"], "ready");
    assert_eq!(service["ended"][0]["exit"], "killed by SIGKILL");
}

#[test]
fn what_a_killed_instance_started_ends_with_it() {
    let site = family();
    let before = site.index();
    let mut all = all(&site);
    let (pid, _) = site.instance("a");
    processes::kill(processes::identify(pid).unwrap());
    site.text(before, "a.2 is ready");
    all.retain(|it| it.pid != site.control_pid());
    wait_until_gone(&all);
    site.ok(&["down"]);
    site.assert_nothing_left();
}

#[test]
fn a_killed_supervisor_takes_its_instance_with_it() {
    let site = family();
    let before = site.index();
    let all = all(&site);
    processes::kill(supervisor(&site));
    site.text(before, "a.2 is ready");
    let events = site.events_after(before);
    assert_eq!(place(&events, "a.1 ended: gone without a trace"), 0);
    wait_until_gone(&all);
    site.ok(&["down"]);
    site.assert_nothing_left();
}

#[test]
fn everything_killed_at_once_comes_back() {
    let site = Site::with("name: many\nservices: {a: {behaviour: {work: 1ms}, replicas: 5}}");
    site.ok(&["up", "--detach"]);
    let all = all(&site);
    for process in &all {
        processes::kill(*process);
    }
    site.until("five new instances", |it| {
        let service = &it["services"][0];
        let ids = service["instances"].as_array().unwrap().iter();
        let new = |id: &str| id.trim_start_matches("a.").parse::<u32>().unwrap() > 5;
        it["state"] == "running" && ids.clone().all(|it| new(it["id"].as_str().unwrap()))
    });
    assert_eq!(processes::leaders(&site.data()).len(), 5);
    site.ok(&["down"]);
    site.assert_nothing_left();
}

/// Issue 12: control could not find the data plane, and started another beside it that could not have the gateway.
#[test]
fn issue_12_a_data_plane_that_lost_its_socket_is_found_again() {
    let mut site = family();
    for in_its_place in ["nothing", "a folder"] {
        let before = processes::data_planes(&site.data());
        assert_eq!(before.len(), 1);
        site.kill_control();
        let socket = site.data().join("proxy.sock");
        std::fs::remove_file(&socket).unwrap();
        if in_its_place == "a folder" {
            std::fs::create_dir(&socket).unwrap();
        }
        site.start();
        site.ok(&["restart", "a"]);
        assert_eq!(processes::data_planes(&site.data()), before, "{in_its_place}");
    }
}
