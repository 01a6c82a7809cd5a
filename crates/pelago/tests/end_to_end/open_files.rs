//! Few descriptors: what a control process may open is its own affair, and no verdict on what it runs.

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::harness::{Site, until};

/// What this test's process, and so what it starts, may open.
fn allow(current: u64, maximum: Option<u64>) {
    setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum }).unwrap();
}

/// The soft limit of open files of a process.
fn soft_limit(pid: u32) -> String {
    let limits =
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("limits")).unwrap();
    let line = limits.lines().find(|it| it.starts_with("Max open files")).unwrap();
    line.split_ascii_whitespace().nth(3).unwrap().to_owned()
}

fn umask(pid: u32) -> String {
    let status =
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    status.lines().find_map(|it| it.strip_prefix("Umask:")).unwrap().trim().to_owned()
}

/// `select` knows 1024 descriptors, and some programs close all they might have.
#[test]
fn our_processes_take_every_descriptor_and_instances_get_what_is_usual() {
    allow(300, getrlimit(Resource::Nofile).maximum);
    let site = Site::with(
        "
name: usual
services:
  a:
    artifact: ./a
    command: sleep 1000
    healthcheck: {command: /bin/sh check.sh, interval: 50ms}
",
    );
    site.write("a/check.sh", "test $(ulimit -Sn) = 300\n");
    site.ok(&["up", "--detach"]);
    let (pid, _) = site.instance("a");
    assert_eq!(soft_limit(pid), "300");
    assert_eq!(umask(pid), umask(std::process::id()));
    assert_ne!(soft_limit(site.control_pid()), "300");
    assert_eq!(umask(site.control_pid()), "0077");
}

#[test]
fn a_flood_of_connections_stops_no_instance() {
    allow(256, Some(256));
    let mut site = Site::new();
    site.telemetry_at("127.0.0.1:0");
    site.start();
    site.manifest(
        "
name: flooded
services:
  a: {behaviour: {work: 1ms}, replicas: 8, healthcheck: {path: /health, interval: 50ms, timeout: 1s, retries: 1}}
",
    );
    site.ok(&["up", "--detach"]);
    let before = site.index();
    let held: Vec<TcpStream> =
        (0..150).filter_map(|_| TcpStream::connect(site.telemetry()).ok()).collect();
    // As many as there may be are held; what is beyond is closed again.
    let mut byte = [0];
    until("connections to be refused", || {
        let refused = held.iter().filter(|it| {
            it.set_nonblocking(true).unwrap();
            it.peek(&mut byte).is_ok()
        });
        (100 <= refused.count()).then_some(())
    });
    let too_much = site.run(&["scale", "a=500"]);
    assert_eq!(too_much.code, Some(1), "{too_much:?}");
    assert!(too_much.err.contains("256 files open (hard limit of RLIMIT_NOFILE)"), "{too_much:?}");
    site.ok(&["scale", "a=10"]);
    site.until("two more", |it| it["services"][0]["ready"] == 10);
    let lost = site
        .events_after(before)
        .into_iter()
        .filter(|it| it["kind"] == "instance_exited" || it["kind"] == "instance_unready");
    assert_eq!(lost.count(), 0);
    site.ok(&["down"]);
    site.assert_nothing_left();
    drop(held);
}
