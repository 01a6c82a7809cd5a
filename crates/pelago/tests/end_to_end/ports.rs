//! Ports beside the first, and ports that cannot be had yet.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::harness::{Site, count, until};

/// A server that listens on two ports, and ends where it cannot have both.
const SERVER: &str = "
import os, socket, sys, threading
def serve(port):
    listener = socket.socket()
    listener.bind(('127.0.0.1', port))
    listener.listen()
    kept = []
    while True:
        # Whoever connects closes first, so that the port does not linger.
        kept.append(listener.accept())
first, second = [int(os.environ[it]) for it in ('PORT', sys.argv[1])]
threading.Thread(target=serve, args=(second,), daemon=True).start()
print('second', second, flush=True)
serve(first)
";

fn manifest(word: &str, strategy: &str) -> String {
    format!(
        "
name: zoo
services:
  a:
    artifact: ./a
    command: python3 main.py PORT_ADMIN
    ports: {{admin: any}}
    environment: {{WORD: {word}}}
    healthcheck: {{tcp: true, interval: 1s}}
    update: {{strategy: {strategy}, keep_old: 0s}}
"
    )
}

/// Issue 12: with a second port that is fixed, `restart` and `up` could not replace anything.
#[test]
fn a_second_port_lets_another_instance_take_over() {
    let site = Site::with(&manifest("one", "rolling"));
    site.write("a/main.py", SERVER);
    site.ok(&["up", "--detach"]);
    let before = site.index();
    site.ok(&["restart", "a"]);
    site.manifest(&manifest("two", "rolling"));
    site.ok(&["up", "--detach"]);
    site.manifest(&manifest("three", "bluegreen"));
    site.ok(&["deploy", "a"]);
    let events = site.events_after(before);
    assert!(2 < count(&events, "is ready"));
    // One that cannot have its ports ends by itself.
    assert_eq!(count(&events, "ended: "), count(&events, "ended: killed by SIGTERM"));
    let told = site.ok(&["logs", "a"]).out;
    let ports: BTreeSet<&str> = told.lines().filter_map(|it| it.split("second ").nth(1)).collect();
    assert!(2 < ports.len(), "the main group has two, the one beside it others: {told}");
    site.ok(&["down"]);
    site.assert_nothing_left();
}

/// Closes a connection from the server's end, so that the port lingers, until it is told to let go of it.
const LINGERING: &str = "
import socket, struct, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
client = socket.create_connection(listener.getsockname())
accepted = listener.accept()[0]
accepted.close()
print(listener.getsockname()[1], flush=True)
listener.close()
sys.stdin.readline()
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
client.close()
";

/// Issue 12: a fixed port that the system remembers a server on made `up` fail.
#[test]
fn a_fixed_port_that_lingers_is_waited_for() {
    let mut python = Command::new("python3")
        .args(["-c", LINGERING])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(python.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let port = port.trim();
    let site = Site::with(&format!(
        "
name: zoo
services:
  a:
    artifact: ./a
    command: python3 main.py PORT_OTHER
    port: {port}
    ports: {{other: any}}
    healthcheck: {{tcp: true, interval: 1s}}
    restart: {{crash_loop: 1}}
"
    ));
    site.write("a/main.py", SERVER);
    let up = site.begin(&["up", "--detach"]);
    until("the port to be waited for", || {
        let log = std::fs::read_to_string(site.log()).unwrap_or_default();
        log.contains("is waited for").then_some(())
    });
    assert_eq!(count(&site.events(), "a.1 started"), 0);
    python.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert!(python.wait().unwrap().success());
    up.wait().ok();
    assert_eq!(count(&site.events(), "a.1 is ready"), 1);
    site.ok(&["down"]);
    site.assert_nothing_left();
}

/// A program that has an instance's fixed port would answer its checks, and get its requests.
#[test]
fn issue_12_a_stranger_at_a_fixed_port_is_no_instance() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let port = address.port();
    let site = Site::with(&format!(
        "name: zoo\nservices:\n  a: {{artifact: ./a, command: python3 main.py PORT_OTHER, port: {port}, ports: {{other: any}}, \
         healthcheck: {{tcp: true}}, restart: {{backoff: 50ms, max_backoff: 50ms}}}}\n"
    ));
    site.write("a/main.py", SERVER);
    site.ok(&["up", "--detach"]);
    site.ok(&["down"]);
    let stranger = until("the port", || std::net::TcpListener::bind(address).ok());
    let again = site.run(&["up", "--detach"]);
    let reason = format!("port {port} is in use by another program");
    assert!(again.code == Some(1) && again.err.contains(&reason), "{again:?}");
    assert_eq!(count(&site.events(), "is ready"), 1, "the first time");
    drop(stranger);
    site.until("it to run", |it| it["state"] == "running");
    site.ok(&["down"]);
    site.assert_nothing_left();
}

/// The port that the next instance is given may be somebody else's by then: that is no instance either.
#[test]
fn issue_12_a_stranger_at_the_next_port_takes_nothing_over() {
    let site = Site::with(
        "name: zoo\nservices:\n  a: {artifact: ./a, command: python3 main.py PORT_OTHER, ports: {other: any}, healthcheck: {tcp: \
         true}, restart: {backoff: 50ms, max_backoff: 50ms}}\n",
    );
    site.write("a/main.py", SERVER);
    site.ok(&["up", "--detach"]);
    let (pid, _) = site.instance("a");
    let spare = site.events().iter().find_map(|it| {
        let text = it["text"].as_str()?;
        text.strip_prefix("a slot 0 got spare port ")?.parse::<u16>().ok()
    });
    let stranger = std::net::TcpListener::bind(("127.0.0.1", spare.unwrap())).unwrap();
    let restart = site.begin(&["restart", "a"]);
    site.text(0, "is in use by another program");
    assert_eq!(site.instance("a").0, pid, "what serves goes on");
    drop(stranger);
    site.text(0, "a.2 ended");
    until("another to take over", || (site.instance("a").0 != pid).then_some(()));
    // Whether it waited for that or gave up before is its own affair.
    restart.wait();
    site.ok(&["down"]);
    site.assert_nothing_left();
}
