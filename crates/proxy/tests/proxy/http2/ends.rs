//! Requests over HTTP/2 that reach nobody, or somebody else in the end.

use super::*;

#[test]
fn what_http1_could_read_in_two_ways_reaches_nobody() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let inside = plane.inside(&mut shop);
    for (name, values) in [
        ("content-length", &["2", "3"][..]),
        ("content-length", &["+2"]),
        ("host", &["a b"]),
        ("host", &["a\tb"]),
        ("host", &["u@a"]),
        ("host", &["a", "b"]),
    ] {
        let client = Client::new(inside);
        let mut request = request("/", whole("hi"));
        for value in values {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let answered = client.send(request);
        // The connection's own library may refuse it first, and reset the stream.
        if let Ok(answer) = client.runtime.block_on(answered) {
            assert_eq!(answer.status(), 400, "{name}: {values:?}");
            let reason = answer.headers().get("x-pelago-reason").unwrap();
            assert_eq!(reason, "malformed-request");
        }
        assert!(cart.heads().is_empty(), "{name}: {values:?}");
    }
    let client = Client::new(inside);
    let connect = Request::connect("a:1").body(nothing()).unwrap();
    let answer = client.runtime.block_on(client.send(connect)).unwrap();
    assert_eq!(answer.status(), 501);
    assert_eq!(answer.headers().get("x-pelago-reason").unwrap(), "method-not-supported");
    drop(client);
    plane.end();
}

#[test]
fn connections_that_an_instance_ends_lose_nothing() {
    let cart = Instance2::of(3);
    let shop = Shop::new(&[cart.port]).speaking(Protocol::Http2);
    let mut plane = Plane::new(&shop.policy(|it| it.retry.attempts = 0));
    let client = Client::new(plane.gateway);
    for size in 0..100 {
        let (head, body) = client.ask(request("/echo", whole(pattern(size * 500))));
        assert_eq!(head.status, 200, "{head:?}");
        assert!(body.to_bytes() == pattern(size * 500), "{size}");
    }
    assert_eq!(plane.outcomes(100).ok, 100);
    drop(client);
    plane.end();
}

#[test]
fn a_request_is_sent_again_with_its_body() {
    let check = |shop: Shop, path: &str| {
        let mut plane = Plane::new(&shop);
        let client = Client::new(plane.gateway);
        for _ in 0..4 {
            let (head, body) = client.ask(request(path, whole(pattern(50_000))));
            assert_eq!(head.status, 200, "{head:?}");
            assert!(body.to_bytes() == pattern(50_000));
        }
        let mut old = plane.client();
        for _ in 0..2 {
            old.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n"));
            old.send(pattern(9_000));
            assert!(old.answer().body == pattern(9_000));
        }
        assert_eq!(plane.outcomes(6).ok, 6);
        drop((client, old));
        plane.end();
    };
    let (one, two) = (Instance::echo(), Instance2::new());
    check(Shop::new(&[free_port(), one.port]), "/");
    check(Shop::new(&[free_port(), two.port]).speaking(Protocol::Http2), "/echo");
}
