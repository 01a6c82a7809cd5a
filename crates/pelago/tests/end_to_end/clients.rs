//! Clients that people have, through the gateway and over a declared edge, to services that know nothing of
//! Pelago.
//!
//! What a client does, and what must come of it, is said by its script in `tests/clients`; `scripts/clients`
//! installs what the scripts need. A client that is not installed fails its test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::Site;

/// The host of the route that clients name; another route takes those who name none.
const HOST: &str = "server.localhost";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A script, or the server's program.
fn script(name: &str) -> String {
    workspace().join("crates/pelago/tests/clients").join(name).display().to_string()
}

#[track_caller]
fn python() -> String {
    let path = workspace().join("target/clients/bin/python");
    assert!(path.exists(), "{} is not there; run scripts/clients first", path.display());
    path.display().to_string()
}

/// A server of the clients' folder that runs, behind a gateway and behind an edge.
fn serving(server: &str, protocol: &str) -> Site {
    let mut site = Site::new();
    site.gateway_at("127.0.0.1:0");
    site.gateway_tls_at("127.0.0.1:0");
    site.start();
    site.manifest(&format!(
        "
name: clients
services:
  server:
    command: {} {}
    protocol: {protocol}
    healthcheck: {{tcp: true, interval: 1s}}
  caller: {{command: sleep 1000, calls: {{server: {{timeout: 20s}}}}}}
routes:
  - {{host: {HOST}, service: server, resilience: {{timeout: 20s}}}}
  - {{service: server, resilience: {{timeout: 20s}}}}
",
        python(),
        script(server)
    ));
    site.ok(&["up", "--detach"]);
    site
}

/// Where the caller finds the server.
fn edge(site: &Site) -> String {
    let url = site.ok(&["exec", "caller", "--", "sh", "-c", "echo $SERVER_URL"]).out;
    url.trim().split_once("://").unwrap().1.to_owned()
}

/// Where the gateway listens for `scheme`.
#[track_caller]
fn gateway(site: &Site, scheme: &str) -> String {
    let addresses = site.json(&["route"]).json()["addresses"].clone();
    let found = addresses.as_array().unwrap().iter().filter_map(|it| it.as_str());
    let found = found.filter_map(|it| it.split_once("://")).find(|it| it.0 == scheme);
    found.unwrap_or_else(|| panic!("no {scheme} in {addresses}")).1.to_owned()
}

/// Runs a client's script, which says on its error output what was not as it should be.
#[track_caller]
fn run(site: &Site, program: &str, name: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.arg(script(name)).args(arguments).stdin(Stdio::null());
    let ran = site.spawn(&mut command).wait();
    assert_eq!(ran.code, Some(0), "{name} {arguments:?}:\n{}", ran.err);
}

/// Runs a client through the gateway, with and without a host of its own, and over the edge.
#[track_caller]
fn check(site: &Site, program: &str, name: &str) {
    let gateway = gateway(site, "http");
    run(site, program, name, &[&gateway, "--host", HOST]);
    run(site, program, name, &[&gateway]);
    run(site, program, name, &[&edge(site)]);
}

/// The arguments of a client that speaks TLS: where, and who is to be trusted.
fn tls(site: &Site) -> [String; 5] {
    let authority = site.data().join("tls/authority.crt").display().to_string();
    [gateway(site, "https"), "--host".into(), HOST.into(), "--authority".into(), authority]
}

#[test]
fn python_requests() {
    check(&serving("http_server.py", "http"), &python(), "requests_client.py");
}

#[test]
fn python_httpx_in_both_versions_of_http() {
    check(&serving("http_server.py", "http"), &python(), "httpx_client.py");
}

#[test]
fn fetch_of_node() {
    check(&serving("http_server.py", "http"), "node", "fetch_client.mjs");
}

#[test]
fn grpc_in_all_four_kinds_of_calls() {
    check(&serving("grpc_server.py", "grpc"), &python(), "grpc_client.py");
}

#[test]
fn python_websockets() {
    check(&serving("websocket_server.py", "http"), &python(), "websockets_client.py");
}

#[test]
fn curl_in_clear_and_with_tls() {
    let site = serving("http_server.py", "http");
    check(&site, &python(), "curl_client.py");
    let tls = tls(&site);
    run(&site, &python(), "curl_client.py", &tls.each_ref().map(String::as_str));
}

#[test]
fn a_page_in_chromium_in_clear_and_with_tls() {
    let site = serving("http_server.py", "http");
    check(&site, &python(), "chromium_client.py");
    let tls = tls(&site);
    run(&site, &python(), "chromium_client.py", &tls.each_ref().map(String::as_str));
}
