//! gRPC's own words, and times that callers set over HTTP/2.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use model::service::Protocol;
use telemetry::report::Outcomes;

use super::{AnyBody, Client, Heard, Instance2, nothing, request, whole};
use crate::harness::{Instance, Plane, Shop, free_port};
use crate::wire::ok;

fn grpc(path: &str, timeout: Option<&str>) -> Request<AnyBody> {
    let mut request = request(path, whole(&b"\0\0\0\0\x01x"[..]));
    let headers = request.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    headers.insert("te", "trailers".parse().unwrap());
    if let Some(timeout) = timeout {
        headers.insert("grpc-timeout", timeout.parse().unwrap());
    }
    request
}

#[test]
fn grpc_is_answered_in_its_own_words() {
    let check = |plane: &mut Plane, request, status: &str, reason: &str| {
        let client = Client::new(plane.gateway);
        let (head, body) = client.ask(request);
        let get = |name| head.headers.get(name).map(|it: &http::HeaderValue| it.to_str().unwrap());
        assert_eq!((head.status.as_u16(), get("grpc-status")), (200, Some(status)), "{head:?}");
        assert_eq!(get("content-type"), Some("application/grpc"));
        let general = match status {
            "4" => "no answer came from the service in time",
            _ => "the service cannot take the request now; try again later",
        };
        let general = if reason == "connect-failure" {
            "no answer could be had from the service"
        } else {
            general
        };
        assert_eq!(get("grpc-message"), Some(general));
        assert_eq!((get("x-pelago-reason"), get("x-pelago-fault")), (None, None));
        let span = plane.span(get("x-request-id").unwrap());
        assert_eq!(span.error.as_deref(), Some(reason));
        if status == "4" {
            // Its client chose the time, and so it is not the callee's failure.
            assert_eq!(span.fault.as_deref(), Some("caller"));
            assert_eq!(span.limit.map(|it| it.name).as_deref(), Some("caller-timeout"));
        }
        assert!(body.to_bytes().is_empty());
    };
    let nobody = Shop::new(&[]).speaking(Protocol::Grpc);
    let mut plane = Plane::new(&nobody);
    check(&mut plane, grpc("/shop.Cart/0", None), "14", "no-instance");
    plane.end();
    let mut plane = Plane::new(&Shop::new(&[free_port()]).speaking(Protocol::Grpc));
    check(&mut plane, grpc("/shop.Cart/0", None), "14", "connect-failure");
    assert_eq!(plane.outcomes(1).failed, 1);
    plane.end();
    let cart = Instance2::new();
    let shop = Shop::new(&[cart.port]).speaking(Protocol::Grpc);
    let mut plane = Plane::new(&shop.policy(|it| it.timeout = Duration::from_mins(1)));
    check(&mut plane, grpc("/hang", Some("50m")), "4", "timeout");
    assert_eq!((cart.heard(), cart.heard()), (Heard::Asked, Heard::Dropped));
    // It was the client's own time.
    assert_eq!(plane.outcomes(1).cancelled, 1);
    // What is left of the time is told.
    let client = Client::new(plane.gateway);
    let (_, body) = client.ask(grpc("/headers", Some("5S")));
    let headers = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    let left = headers.lines().find_map(|it| it.strip_prefix("grpc-timeout: ")).unwrap();
    let left: u32 = left.strip_suffix('m').unwrap().parse().unwrap();
    assert!((4_000..=5_000).contains(&left), "{left}");
    drop(client);
    plane.end();
}

/// Milliseconds that an instance is told it has.
fn told_ms(headers: &str) -> u64 {
    let line = headers.lines().find_map(|it| it.strip_prefix("x-pelago-timeout-ms: "));
    line.unwrap().parse().unwrap()
}

/// A service that gives its call a minute has a minute, and not the second that nobody asked for; where a timeout is written,
/// or the client is outside, that is all there is.
#[test]
fn issue_13_a_callers_own_deadline_counts_where_no_timeout_is_written() {
    let cart = Instance2::new();
    let shop = Shop::new(&[cart.port]).speaking(Protocol::Grpc);
    let mut shop = shop.policy(|it| it.timeout = Duration::from_secs(10));
    let mut plane = Plane::new(&shop);
    let inside = plane.inside(&mut shop);
    let over_http2 = |address| {
        let (_, body) = Client::new(address).ask(grpc("/headers", Some("60S")));
        told_ms(str::from_utf8(&body.to_bytes()).unwrap())
    };
    let over_http1 = |address| {
        let lines = "Content-Type: application/grpc\r\ngrpc-timeout: 60S\r\nContent-Length: 0";
        let call = format!("POST /headers HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        told_ms(crate::wire::Wire::connect(address).ask(call).text())
    };
    for told in [over_http2(inside), over_http1(inside)] {
        assert!((40_000..=60_000).contains(&told), "{told}");
    }
    for told in [over_http2(plane.gateway), over_http1(plane.gateway)] {
        assert!(told <= 10_000, "{told}");
    }
    let mut written = shop.policy(|it| it.timeout_is_written = true);
    plane.set(&mut written);
    for told in [over_http2(inside), over_http1(inside)] {
        assert!(told <= 10_000, "{told}");
    }
    plane.end();
}

/// Over HTTP/2 as over HTTP/1.1: what is said from outside in the platform's name, and gRPC's deadline where nothing is
/// gRPC, is nothing.
#[test]
fn issue_13_times_from_outside_are_those_of_grpc() {
    let cart = Instance2::new();
    let plane = Plane::new(&Shop::new(&[cart.port]).speaking(Protocol::Http2));
    let client = Client::new(plane.gateway);
    let mut request = request("/headers", nothing());
    for (name, value) in [
        ("x-pelago-timeout-ms", "0"),
        ("x_pelago_timeout_ms", "0"),
        ("x-pelago-priority", "high"),
        ("grpc-timeout", "1n"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let (head, body) = client.ask(request);
    assert_eq!(head.status, 200);
    let told = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    assert!(
        told.contains("x-pelago-timeout-ms: ") && !told.contains("x-pelago-timeout-ms: 0"),
        "{told}"
    );
    assert!(!told.contains("priority") && !told.contains("x_pelago"), "{told}");
    drop(client);
    plane.end();
}

#[test]
fn a_grpc_status_counts_though_it_comes_last() {
    let cart = Instance2::new();
    let mut plane = Plane::new(&Shop::new(&[cart.port]).speaking(Protocol::Grpc));
    let client = Client::new(plane.gateway);
    for status in ["0", "5", "13"] {
        let (head, body) = client.ask(grpc(&format!("/shop.Cart/{status}"), None));
        assert_eq!(head.status, 200);
        let end = body.trailers().unwrap();
        assert_eq!(end.get("grpc-status").unwrap(), status);
    }
    let outcomes = plane.outcomes(3);
    assert_eq!(
        outcomes,
        Outcomes { ok: 1, client_error: 1, server_error: 1, ..Outcomes::default() }
    );
    drop(client);
    plane.end();
}

/// gRPC's servers say that they are busy in trailers behind an empty head as well as in the head itself.
#[test]
fn issue_13_a_call_that_failed_behind_an_empty_head_is_tried_again() {
    let cart = Instance2::new();
    let shop = Shop::new(&[cart.port]).speaking(Protocol::Grpc);
    let mut plane = Plane::new(&shop.policy(|it| it.retry.non_idempotent = true));
    let client = Client::new(plane.gateway);
    let (head, body) = client.ask(grpc("/busy", None));
    assert_eq!(head.status, 200);
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes().len(), 6);
    let signals = plane.signals(|it| it.releases.iter().any(|it| it.outcomes.total() == 1));
    assert_eq!((signals.releases[0].outcomes.ok, signals.releases[0].retries), (1, 1));
    drop(client);
    plane.end();
}

#[test]
fn a_callers_time_ends_an_answer_over_http2() {
    let cart = Instance::new(|mut asked| {
        asked.request();
        asked.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        asked.wire.closed();
    });
    let mut shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let client = Client::new(plane.inside(&mut shop));
    let mut request = request("/", nothing());
    request.headers_mut().insert("x-pelago-timeout-ms", "200".parse().unwrap());
    let answered = client.send(request);
    let body =
        client.runtime.block_on(async { answered.await.unwrap().into_body().collect().await });
    assert!(body.is_err());
    assert_eq!(plane.outcomes(1).timeout, 1);
    drop(client);
    plane.end();
    // It is no fault of the connection's.
    let cart = Instance::answering(ok("x"));
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let client = Client::new(plane.gateway);
    assert_eq!(client.ask(self::request("/", nothing())).1.to_bytes(), "x");
    drop(client);
    plane.end();
}

/// gRPC's path is `/package.Service/Method`: a route takes a service, or one method of it, and nothing else.
#[test]
fn issue_13_routes_take_services_and_methods_of_grpc() {
    let cart = Instance2::new();
    let mut shop = Shop::new(&[cart.port]).speaking(Protocol::Grpc);
    shop.route["path"] = "/shop.Cart".into();
    let mut plane = Plane::new(&shop);
    let client = Client::new(plane.gateway);
    let status = |path| {
        let (head, body) = client.ask(grpc(path, None));
        let end = body.trailers().unwrap_or(&head.headers);
        end["grpc-status"].to_str().unwrap().to_owned()
    };
    assert_eq!(["/shop.Cart/5", "/shop.Carts/5", "/shop/5"].map(status), ["5", "12", "12"]);
    shop.route["path"] = "/shop.Cart/5".into();
    plane.set(&mut shop);
    assert_eq!(["/shop.Cart/5", "/shop.Cart/6"].map(status), ["5", "12"]);
    drop(client);
    let found = plane.until(|report| match report {
        telemetry::report::Report::Signals(it) => it.spans.first().map(|it| it.is_grpc),
        _ => None,
    });
    assert!(found);
    plane.end();
}
