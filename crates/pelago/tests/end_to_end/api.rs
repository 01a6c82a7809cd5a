//! The HTTP API, over the socket and over TCP.

use std::fs;
use std::io::BufRead as _;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

use host::Clock;
use serde_json::{Value, json};

use crate::harness::http::{self, Request, Response};
use crate::harness::{PROGRAM, Site};

const APP: &str =
    "name: shop\nservices: {a: {command: sleep 1000, healthcheck: {command: 'true'}}}";

fn site() -> Site {
    let site = Site::with(APP);
    site.ok(&["up", "--detach"]);
    site
}

#[test]
fn who_has_the_state_is_told_that_it_has_not_changed() {
    let site = site();
    let first = site.get("/v1/status");
    let etag = first.headers["etag"].clone();
    assert_eq!(etag, format!("\"{}\"", first.ok()["index"]));
    let again = |etag: &str| {
        let headers = [("if-none-match", etag)];
        let request = Request { headers: &headers, ..Request::get("/v1/status") };
        http::ask(&site.socket(), &request).unwrap()
    };
    let unchanged = again(&etag);
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
    assert_eq!(again("\"1\"").status, 200);
    site.ok(&["scale", "a=2"]);
    assert_ne!(again(&etag).ok()["index"], first.json()["index"]);
}

#[test]
fn a_long_poll_ends_with_news_or_when_its_time_is_over() {
    let site = site();
    let index = site.index();
    let clock = Clock::start();
    let start = clock.now();
    let target = format!("/v1/status?after={index}&wait=300ms");
    assert_eq!(site.get(&target).ok()["index"], index);
    assert!(Duration::from_millis(300) <= clock.now().since(start));
    let (socket, target) = (site.socket(), format!("/v1/status?after={index}&wait=5m"));
    let waiting = thread::spawn(move || http::ask(&socket, &Request::get(&target)).unwrap());
    let scaled = site.post("/v1/applications/shop/services/a/scale", r#"{"replicas": 2}"#).ok();
    let news = waiting.join().unwrap().ok();
    assert!(index < news["index"].as_u64().unwrap());
    // What is acknowledged can be read at once.
    assert!(scaled["index"].as_u64().unwrap() <= site.index());
    // One that waits does not keep the control process from ending.
    let (socket, target) = (site.socket(), "/v1/status?after=100000&wait=5m");
    let waiting = thread::spawn(move || http::ask(&socket, &Request::get(target)));
    let mut site = site;
    site.end_control();
    // Answered or cut, but over.
    drop(waiting.join().unwrap());
}

/// Reads server-sent events until `count` of them have come: their ids, kinds and data.
fn read_stream(site: &Site, request: &Request<'_>, count: usize) -> Vec<(u64, String, Value)> {
    let mut stream = http::open_stream(&site.socket(), request);
    let (mut id, mut kind, mut found) = (0, String::new(), Vec::new());
    let mut line = String::new();
    while found.len() < count {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the stream ended: {found:?}");
        // Lines of chunked encoding begin with none of these.
        match line.trim_end().split_once(": ") {
            Some(("id", text)) => id = text.parse().unwrap(),
            Some(("event", text)) => text.clone_into(&mut kind),
            Some(("data", text)) => {
                found.push((id, kind.clone(), serde_json::from_str(text).unwrap()));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn events_are_streamed_and_a_stream_goes_on_where_it_was_left() {
    let site = site();
    let all = site.events();
    let streamed = read_stream(&site, &Request::get("/v1/events/stream?after=0"), all.len());
    for ((id, kind, data), event) in streamed.iter().zip(&all) {
        assert_eq!((&json!(id), &json!(kind)), (&event["index"], &event["kind"]));
        assert_eq!(data, event);
    }
    let headers = [("last-event-id", "4")];
    let request = Request { headers: &headers, ..Request::get("/v1/events/stream") };
    assert_eq!(read_stream(&site, &request, 1)[0].2, all[4]);
    thread::scope(|scope| {
        let target = format!("/v1/events/stream?after={}", site.index());
        let site = &site;
        let live = scope.spawn(move || read_stream(site, &Request::get(&target), 1));
        site.ok(&["restart", "a"]);
        assert_eq!(live.join().unwrap()[0].1, "restart_asked");
    });
}

struct Tcp {
    address: String,
    token: String,
}

impl Tcp {
    fn of(site: &Site) -> Self {
        let read = |name: &str| fs::read_to_string(site.data().join(name)).unwrap();
        Self { address: read("address"), token: format!("Bearer {}", read("token")) }
    }

    fn get(&self, target: &str, headers: &[(&str, &str)]) -> Response {
        let request = Request { headers, ..Request::get(target) };
        http::ask_tcp(&self.address, &request).unwrap()
    }
}

#[test]
fn a_port_wants_a_token_and_a_name_of_this_machine() {
    let site = Site::listening();
    let tcp = Tcp::of(&site);
    let refused = tcp.get("/v1/status", &[]);
    assert_eq!((refused.status, &refused.json()["kind"]), (401, &"unauthorized".into()));
    assert_eq!(tcp.get("/v1/status", &[("authorization", "Bearer no")]).status, 401);
    let token = ("authorization", tcp.token.as_str());
    assert_eq!(tcp.get("/v1/status", &[token]).status, 200);
    assert_eq!(tcp.get("/v1/status", &[token, ("host", "evil.example")]).status, 401);
    assert_eq!(tcp.get("/v1/status", &[token, ("host", "localhost:1")]).status, 200);
    assert_eq!(tcp.get("/health", &[]).status, 200);
    assert_eq!(tcp.get("/health", &[("host", "evil.example")]).status, 401);
    for (name, mode) in [("token", 0o600), ("pelago.sock", 0o600), ("", 0o700)] {
        let found = fs::metadata(site.data().join(name)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
}

#[test]
fn a_token_stays_when_control_is_started_again() {
    let mut site = Site::listening();
    let first = Tcp::of(&site).token;
    site.kill_control();
    site.start();
    let second = Tcp::of(&site);
    assert_eq!(second.token, first);
    assert_eq!(second.get("/v1/status", &[("authorization", &first)]).status, 200);
}

#[test]
fn every_route_in_the_document_answers() {
    let site = site();
    let document = site.get("/openapi.json").ok();
    let paths = document["paths"].as_object().unwrap();
    assert!(14 <= paths.len(), "{paths:?}");
    let mut last = None;
    // In the order of their names: `restart` comes after what is asked of the first instance.
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            let target = path
                .replace("{application}", "shop")
                .replace("{service}", "a")
                .replace("{instance}", "a.1")
                .replace("{trace}", "none")
                .replace("{other}", "none");
            assert!(!target.contains('{'), "{target}");
            assert!(operation["responses"].is_object(), "{path}");
            if path.ends_with("/shutdown") {
                last = Some(target);
            } else if path.ends_with("/stream") {
                drop(http::open_stream(&site.socket(), &Request::get(&target)));
            } else if path.ends_with("/stop") {
                // Below, when no route needs the application any more.
            } else {
                let body = if method == "post" { "{}" } else { "" };
                let method = method.to_uppercase();
                let request = Request { method: &method, body, ..Request::get(&target) };
                let response = http::ask(&site.socket(), &request).unwrap();
                // Some want a body, or a rollout in progress; that is an answer too.
                let fine = [200, 400, 409, 422].contains(&response.status);
                assert!(fine, "{method} {target}: {response:?}");
            }
        }
    }
    assert_eq!(site.post("/v1/applications/shop/stop", "").status, 200);
    assert_eq!(site.post(&last.unwrap(), "").status, 200);
}

#[test]
fn what_cannot_be_answered_is_said_so_in_json() {
    let site = site();
    for (target, status, kind) in [
        ("/v1/nothing", 404, "not_found"),
        ("/v1/status?application=nobody", 404, "not_found"),
        ("/v1/status?color=red", 400, "invalid"),
        ("/v1/status?at=noon", 400, "invalid"),
        ("/v1/status?at=@99999", 404, "not_found"),
        ("/v1/events?wait=long", 400, "invalid"),
        ("/v1/applications/shop/logs?cursor=x", 400, "invalid"),
    ] {
        let response = site.get(target);
        assert_eq!(response.status, status, "{target}: {response:?}");
        assert_eq!(response.json()["kind"], kind, "{target}");
        assert!(!response.json()["message"].as_str().unwrap().is_empty());
    }
    let version = std::process::Command::new(PROGRAM).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let health = site.get("/health").ok();
    assert_eq!(version.trim(), format!("pelago {}", health["version"].as_str().unwrap()));
}
