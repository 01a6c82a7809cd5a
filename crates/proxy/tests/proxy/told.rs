//! What is said of a request that got no answer of an instance's: to its client, in the log, in the trace.

use std::time::Duration;

use host::Clock;
use model::service::Protocol;
use telemetry::Span;

use crate::front::logged;
use crate::harness::{Instance, Plane, Shop, Start, free_port};
use crate::http2::{Client, nothing, request};
use crate::wire::{Answer, PATIENCE, Wire, get, ok};

impl Plane {
    /// Waits for a span of this trace.
    pub(crate) fn span(&mut self, trace: &str) -> Span {
        let clock = Clock::start();
        loop {
            if let Some(found) = self.spans.iter().find(|it| it.trace == trace) {
                return found.clone();
            }
            let report = self.new_report();
            self.unread.push_back(report);
            let waited = clock.now().since(model::Instant::ZERO);
            assert!(waited < PATIENCE, "no span of {trace} comes");
        }
    }

    /// What an operator finds out about an answer of the gateway's own, by the id that its client was told: status, reason,
    /// fault, and whether to try again. The client was told nothing of the reason and the fault.
    pub(crate) fn found(&mut self, answer: &Answer) -> String {
        let (status, head) = (answer.head.status(), &answer.head);
        let names = ["x-pelago-reason", "x-pelago-fault"];
        assert_eq!(names.map(|it| head.get(it)), [None, None], "{head:?}");
        let span = self.span(head.get("x-request-id").expect("the answer has an id"));
        assert_eq!(span.status, Some(status), "{span:?}");
        let (reason, fault) = (span.error.unwrap(), span.fault.unwrap());
        format!("{status} {reason} {fault} {}", head.get("x-pelago-retry").unwrap())
    }

    /// Asks the gateway once, over a connection of its own, and says what an operator finds out about the answer.
    pub(crate) fn refused(&mut self, path: &str) -> String {
        let answer = self.client().get(path);
        self.found(&answer)
    }
}

/// Issue 13: anybody outside could read how an application is built. All that is said there is a general sentence, an id and
/// whether to try again; by the id an operator finds the reason, also of what no route has seen.
#[test]
fn issue_13_a_client_outside_is_told_an_id_by_which_the_reason_is_found() {
    let mut shop = Shop::new(&[free_port()]);
    shop.route["path"] = "/cart".into();
    shop.route["rate_limit"] = serde_json::json!({"per_second_thousandths": 1, "burst": 2});
    let mut plane = Plane::start(&shop, Start::Logging);
    let long = "x".repeat(9_000);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}{long}\r\n\r\n");
    let asked = [
        (get("/cart"), "502 connect-failure callee safe"),
        (get("/cart/%"), "400 malformed-request caller useless"),
        (get("/other"), "404 no-route caller useless"),
        ("nonsense\r\n\r\n".to_owned(), "400 malformed-request caller useless"),
        (get(&format!("/{long}")), "414 target-too-long caller useless"),
        (head, "431 head-too-large caller useless"),
    ];
    let mut ids = Vec::new();
    let over_http1: Vec<Answer> = asked.iter().map(|it| plane.client().ask(&it.0)).collect();
    for (answer, (_, verdict)) in over_http1.iter().zip(&asked) {
        assert_eq!(plane.found(answer), *verdict);
        let mut names: Vec<_> = answer.head.0.lines().filter_map(|it| it.split_once(':')).collect();
        names.retain(|it| !matches!(it.0, "content-type" | "content-length" | "connection"));
        let names: Vec<_> = names.iter().map(|it| it.0).collect();
        assert_eq!(names, ["x-request-id", "x-pelago-retry"]);
        let id = answer.head.get("x-request-id").unwrap();
        let known = answer.text().replace(id, "ID");
        assert!(!known.contains("cart") && known.ends_with(" (request ID)\n"), "{known}");
        ids.push(id.to_owned());
    }
    let client = Client::new(plane.gateway);
    for (path, reason) in
        [("/cart", "connect-failure"), ("/cart", "rate-limited"), ("/other", "no-route")]
    {
        let (head, body) = client.ask(request(path, nothing()));
        let get = |name| head.headers.get(name).map(|it: &http::HeaderValue| it.to_str().unwrap());
        assert_eq!((get("x-pelago-reason"), get("x-pelago-fault")), (None, None));
        assert!(get("x-pelago-retry").is_some());
        let id = get("x-request-id").unwrap();
        assert_eq!(plane.span(id).error.as_deref(), Some(reason));
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert!(text.ends_with(&format!(" (request {id})\n")) && !text.contains("cart"), "{text}");
        ids.push(id.to_owned());
    }
    drop(client);
    let logged = logged(plane);
    let found: Vec<_> = logged.iter().map(|it| it["trace"].as_str().unwrap()).collect();
    let mut expected = ids.clone();
    expected.sort_unstable();
    let mut sorted = found.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert!(logged.iter().all(|it| it["fault"].is_string() && it["reason"].is_string()));
}

/// A client that goes on with a trace of its own finds its answer there; and what is refused inside is found as well.
#[test]
fn issue_13_the_id_is_that_of_the_clients_trace() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]).speaking(Protocol::Http);
    shop.route["path"] = "/cart".into();
    shop.route["max_body"] = "1B".into();
    shop.policy.max_body = Some(model::units::Bytes(1));
    let mut plane = Plane::new(&shop);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let post = |path: &str, trace: &str| {
        let parent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-00");
        format!("POST {path} HTTP/1.1\r\nHost: a\r\n{parent}\r\nContent-Length: 2\r\n\r\nhi")
    };
    let answer = plane.client().ask(post("/other", trace));
    assert_eq!(answer.head.get("x-request-id"), Some(trace));
    assert_eq!(plane.found(&answer), "404 no-route caller useless");
    let span = plane.span(trace);
    assert_eq!((span.edge, span.path.as_str()), (None, "/other"));
    let inside = plane.inside(&mut shop);
    let other = "00000000000000000000000000000abc";
    let answer = Wire::connect(inside).ask(post("/", other));
    assert_eq!(answer.verdict(), "413 body-too-large caller useless");
    let span = plane.span(other);
    assert_eq!((span.error.as_deref(), span.status), (Some("body-too-large"), Some(413)));
    assert_eq!(span.edge.unwrap().callee.as_str(), "cart");
    plane.end();
}

/// The limit that a log's line or a trace names.
fn limit(line: &serde_json::Value) -> String {
    ["limit", "limit_value", "limit_key", "hop"]
        .map(|it| line[it].as_str().unwrap_or("-"))
        .join(" ")
}

/// Issue 13: which limit it was, what it allows, by which key and where, could be read in one sentence inside alone.
#[test]
fn issue_13_answers_inside_the_log_and_the_trace_name_the_limit() {
    let cart = Instance::new(|mut asked| {
        while let Some((head, _)) = asked.request() {
            if head.0.starts_with("GET /half ") {
                asked.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            } else {
                asked.wire.closed();
                return;
            }
        }
    });
    let mut shop = Shop::new(&[cart.port]).policy(|it| {
        it.timeout = Duration::from_millis(200);
        it.idle_timeout = Some(Duration::from_millis(50));
        it.max_body = Some(model::units::Bytes(1));
    });
    let mut plane = Plane::start(&shop, Start::Logging);
    let inside = plane.inside(&mut shop);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let expected = "body-size 1B max_body the call from web to cart";
    let names = ["x-pelago-limit", "x-pelago-limit-value", "x-pelago-limit-key", "x-pelago-hop"];
    let answer = Wire::connect(inside).ask(post);
    assert_eq!(names.map(|it| answer.head.get(it).unwrap()).join(" "), expected);
    let over_http2 = Client::new(inside);
    let (head, _) = over_http2.ask(request("/", crate::http2::whole("hi")));
    assert_eq!(names.map(|it| head.headers[it].to_str().unwrap()).join(" "), expected);
    drop(over_http2);
    // Outside, nothing of it is said, and all of it is found.
    let refused = plane.client().ask(post);
    assert_eq!(names.map(|it| refused.head.get(it)), [None; 4]);
    let late = plane.client().get("/");
    assert_eq!(names.map(|it| late.head.get(it)), [None; 4]);
    let span = plane.span(late.head.get("x-request-id").unwrap()).limit.unwrap();
    assert_eq!((span.name.as_str(), span.hop.as_str()), ("timeout", "the route */"));
    let mut cut = plane.client();
    cut.send(get("/half"));
    cut.head().unwrap();
    cut.rest();
    drop(cut);
    let found: Vec<_> = logged(plane).iter().map(limit).collect();
    assert_eq!(
        found,
        [
            "body-size 1B max_body the route */",
            "timeout 200ms timeout the route */",
            "answer-silence 50ms idle_timeout the route */",
        ]
    );
}

/// A service that passes on what the mesh told it would tell everybody.
#[test]
fn issue_13_what_the_platform_says_to_services_does_not_pass_the_gateway() {
    let own = "x-pelago-reason: no-instance\r\nX-Pelago-Hop: the call from web to cart\r\nx_pelago_limit: a\r\n";
    let web = Instance::answering(format!(
        "HTTP/1.1 503 No\r\nA: 1\r\n{own}B: 2\r\nContent-Length: 0\r\n\r\n"
    ));
    let mut shop = Shop::new(&[web.port]).policy(|it| it.retry.attempts = 0);
    let mut plane = Plane::new(&shop);
    let inside = plane.inside(&mut shop);
    let names = ["a", "x-pelago-reason", "x-pelago-hop", "x_pelago_limit", "b"];
    let answer = plane.client().get("/");
    assert_eq!(names.map(|it| answer.head.get(it)), [Some("1"), None, None, None, Some("2")]);
    let client = Client::new(plane.gateway);
    let (head, _) = client.ask(request("/", nothing()));
    let found = names.map(|it| head.headers.contains_key(it));
    assert_eq!(found, [true, false, false, false, true]);
    let answer = Wire::connect(inside).get("/");
    assert_eq!(answer.head.get("x-pelago-reason"), Some("no-instance"));
    drop(client);
    plane.end();
}
