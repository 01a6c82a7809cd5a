//! Who is in charge of a data folder, by which options, and what becomes of one that is stopped.

use std::fs;
use std::net::TcpListener;

use rustix::process::Signal;

use crate::harness::http::{self, Request};
use crate::harness::{Site, owner, processes, until};

const APPLICATION: &str = "name: one
services: {a: {behaviour: {work: 1ms}}}
routes: [{service: a}]
";

/// A port of loopback nobody has.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[track_caller]
fn assert_serves(gateway: &str) {
    until("the gateway to serve", || {
        let answer = http::ask_tcp(gateway, &Request::get("/")).ok()?;
        (answer.status == 200).then_some(())
    });
}

#[test]
fn issue_12_a_command_does_not_move_the_gateway() {
    let mut site = Site::new();
    let gateway = free_address();
    site.gateway_at(&gateway);
    site.start();
    site.manifest(APPLICATION);
    site.ok(&["up", "--detach"]);
    assert_serves(&gateway);
    site.kill_control();

    // Whoever types a command may have any environment.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    site.gateway_at(&taken.local_addr().unwrap().to_string());
    site.ok(&["status"]);
    assert_eq!(site.gateway(), gateway);
    assert_serves(&gateway);
    let stand_in = owner(&site.data()).unwrap();

    // A service manager's own process takes over from what the command started.
    site.gateway_at(&gateway);
    site.start();
    until("the folder to change hands", || {
        (owner(&site.data()) == Some(site.control_pid())).then_some(())
    });
    assert_ne!(stand_in, site.control_pid());
    assert_serves(&gateway);
}

/// A control process that has been shut down has its lock until it is gone.
#[test]
fn a_command_waits_for_the_control_process_that_is_ending() {
    let site = Site::new();
    fs::create_dir(site.data()).unwrap();
    let ending = fs::File::open(site.data()).unwrap();
    ending.lock().unwrap();
    let command = site.begin(&["ps"]);
    until("the lock to be found taken", || {
        let log = fs::read_to_string(site.data().join("serve.log")).ok()?;
        log.contains("another control process has the folder").then_some(())
    });
    drop(ending);
    command.wait().ok();
    site.ok(&["shutdown"]);
}

#[test]
fn issue_12_options_are_shown_and_stay() {
    let mut site = Site::new();
    site.serve = vec!["--telemetry-age", "3d"];
    site.start();
    site.serve = Vec::new();
    site.end_control();
    site.start();
    let findings = site.get("/v1/doctor").ok();
    let options = findings.as_array().unwrap().iter().find(|it| it["subject"] == "options");
    let detail = options.unwrap()["detail"].as_str().unwrap();
    assert!(detail.contains("telemetry-age 3d"), "{detail}");
}

#[test]
fn issue_12_a_gateway_gets_its_address_as_soon_as_it_is_free() {
    let mut site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = taken.local_addr().unwrap().to_string();
    site.gateway_at(&gateway);
    site.start();
    site.manifest(APPLICATION);
    site.ok(&["up", "--detach"]);
    let detail = site.data_plane();
    let expected = format!("the gateway cannot listen at {gateway}, which another program has");
    assert!(detail.contains(&expected), "{detail}");
    drop(taken);
    assert_serves(&gateway);
    until("the checkup to say so", || {
        site.data_plane().ends_with(&format!("gateway at {gateway}")).then_some(())
    });
}

#[test]
fn issue_12_a_second_control_process_touches_nothing() {
    let mut site = Site::new();
    site.telemetry_at("127.0.0.1:0");
    site.listen_at("127.0.0.1:0");
    site.start();
    let read = |name: &str| fs::read_to_string(site.data().join(name)).unwrap();
    let before = [read("telemetry.address"), read("address"), read("options.json"), read("lock")];
    let second = site.run(&["serve", "--listen", "127.0.0.1:0", "--telemetry", "127.0.0.1:0"]);
    assert!(second.code != Some(0));
    let expected = format!("another pelago (process {})", site.control_pid());
    assert!(second.err.contains(&expected), "{}", second.err);
    let after = [read("telemetry.address"), read("address"), read("options.json"), read("lock")];
    assert_eq!(after, before);
    // What is measured is written to files that are still in the folder.
    let open = fs::read_dir(format!("/proc/{}/fd", site.control_pid())).unwrap();
    let open = open.filter_map(|it| fs::read_link(it.unwrap().path()).ok());
    let lost: Vec<_> = open.filter(|it| it.to_string_lossy().ends_with("(deleted)")).collect();
    assert_eq!(lost, [] as [std::path::PathBuf; 0]);
}

#[test]
fn issue_12_a_control_process_that_is_stopped_is_told_of() {
    let site = Site::with(APPLICATION);
    site.ok(&["up", "--detach"]);
    let control = site.control_pid();
    site.signal_control(Signal::STOP);
    let asked = site.run(&["status"]);
    site.signal_control(Signal::CONT);
    assert!(asked.code != Some(0));
    let expected = format!("the control process (process {control}) has not answered for 10s");
    assert!(asked.err.contains(&expected), "{}", asked.err);
    site.ok(&["status"]);
}

#[test]
fn issue_12_a_data_plane_that_is_stopped_is_replaced() {
    let site = Site::with_gateway(APPLICATION);
    site.ok(&["up", "--detach"]);
    let gateway = site.gateway();
    assert_serves(&gateway);
    let [plane] = processes::data_planes(&site.data())[..] else { panic!() };
    host::process::signal(plane, Signal::STOP).unwrap();
    until("the checkup to say so", || {
        let findings = site.get("/v1/doctor").ok();
        let bad = findings
            .as_array()?
            .iter()
            .any(|it| it["subject"] == "data plane" && it["verdict"] == "bad");
        bad.then_some(())
    });
    until("another one", || {
        let planes = processes::data_planes(&site.data());
        (!planes.contains(&plane) && !planes.is_empty()).then_some(())
    });
    assert_serves(&site.gateway());
}
