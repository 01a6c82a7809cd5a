//! Clients over HTTP/2 that take nothing, or send nothing, and what that costs others.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use model::edge::Queue;
use model::service::Protocol;
use telemetry::report::Outcomes;
use tokio::sync::mpsc;

use super::{BIG, Client, Heard, Instance2, Written, nothing, pattern, request, whole};
use crate::harness::{Instance, Plane, Shop};
use crate::wire::{PATIENCE, ok};

/// Windows add up (RFC 9113, section 5.2): what nobody reads of some answers must leave room for the others on the connection
/// that the data plane shares among all clients.
#[test]
fn issue_13_clients_that_read_nothing_do_not_keep_the_answers_of_others() {
    let cart = Instance2::new();
    let mut plane = Plane::new(&Shop::new(&[cart.port]).speaking(Protocol::Http2));
    let lazy = Client::with_window(plane.gateway, 0);
    let answers: Vec<_> = (0..90)
        .map(|_| {
            let answered = lazy.runtime.spawn(lazy.send(request("/big", nothing())));
            lazy.runtime.block_on(answered).unwrap().unwrap()
        })
        .collect();
    let client = Client::new(plane.gateway);
    for _ in 0..3 {
        let (head, body) = client.ask(request("/big", nothing()));
        assert_eq!(head.status, 200);
        assert!(body.to_bytes() == pattern(BIG));
    }
    let mut other = plane.client();
    assert!(other.get("/big").body == pattern(BIG));
    drop((answers, lazy));
    assert_eq!(plane.outcomes(94), Outcomes { ok: 4, cancelled: 90, ..Outcomes::default() });
    drop((client, other));
    plane.end();
}

#[test]
fn issue_13_a_client_that_opens_no_window_gives_its_place_back() {
    for protocol in [Protocol::Http, Protocol::Http2] {
        let (one, two) = (Instance::answering(ok(&"x".repeat(BIG))), Instance2::new());
        let port = if protocol == Protocol::Http { one.port } else { two.port };
        let shop = Shop::new(&[port]).speaking(protocol).policy(|it| {
            it.max_concurrency = Some(1);
            it.queue = Queue { length: 1, wait: PATIENCE };
            it.idle_timeout = Some(Duration::from_millis(100));
        });
        let mut plane = Plane::new(&shop);
        let lazy = Client::with_window(plane.gateway, 0);
        let answered = lazy.runtime.block_on(lazy.send(request("/big", nothing()))).unwrap();
        // Somebody waits for the place meanwhile.
        let client = Client::new(plane.gateway);
        assert_eq!(client.ask(request("/big", nothing())).0.status, 200);
        // It was the client's own doing.
        assert_eq!(plane.outcomes(2), Outcomes { ok: 1, cancelled: 1, ..Outcomes::default() });
        // And it is told.
        let rest = async { tokio::time::timeout(PATIENCE, answered.into_body().collect()).await };
        let rest = lazy.runtime.block_on(rest).unwrap();
        assert!(rest.is_err(), "the answer is whole");
        drop((lazy, client));
        plane.end();
    }
}

#[test]
fn issue_13_uploads_that_no_instance_takes_do_not_keep_others_on_their_connection() {
    let cart = Instance2::new();
    let plane = Plane::new(&Shop::new(&[cart.port]).speaking(Protocol::Http2));
    let client = Client::new(plane.gateway);
    let mut hanging = Vec::new();
    for _ in 0..4 {
        // More than the instance takes on a connection without reading.
        let body = whole(vec![0; 4 << 20]);
        hanging.push(client.runtime.spawn(client.send(request("/hang", body))));
        assert_eq!(cart.heard(), Heard::Asked);
    }
    // The client's connection has room for others. That to the instance has none, which is seen when nothing moves there; what
    // was on its way meanwhile is given up here.
    let mut given_up = 0;
    let body = loop {
        let answered = client.send(request("/echo", whole(pattern(1_000_000))));
        let asking = async { answered.await.unwrap().into_body().collect().await.unwrap() };
        let body = client
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(2), asking).await });
        match body {
            Ok(body) => break body,
            Err(_) => given_up += 1,
        }
        assert!(given_up < 4, "all connections are clogged");
    };
    assert!(body.to_bytes() == pattern(1_000_000));
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    drop(client);
    plane.end();
}

#[test]
fn issue_13_a_body_that_is_too_large_is_refused_by_what_its_head_says() {
    let cart = Instance2::new();
    let mut shop = Shop::new(&[cart.port]).speaking(Protocol::Http2);
    shop.route["max_body"] = serde_json::json!("1KiB");
    let plane = Plane::new(&shop);
    let client = Client::new(plane.gateway);
    let (write, written) = mpsc::unbounded_channel();
    let mut announced = request("/upload", Written(written).boxed());
    announced.headers_mut().insert("content-length", "2000".parse().unwrap());
    // Nothing of it has been sent.
    let (head, _) = client.ask(announced);
    assert_eq!(head.status, 413);
    let (head, _) = client.ask(request("/echo", whole("x")));
    assert_eq!(head.status, 200);
    drop(write);
    drop(client);
    plane.end();
    assert!(cart.heard.try_recv().is_err());
}

#[test]
fn issue_13_a_small_body_is_there_before_an_instance_is_chosen() {
    let cart = Instance2::new();
    let plane = Plane::new(&Shop::new(&[cart.port]).speaking(Protocol::Http2));
    let client = Client::new(plane.gateway);
    let (write, written) = mpsc::unbounded_channel();
    let mut slow = request("/upload", Written(written).boxed());
    slow.headers_mut().insert("content-length", "4".parse().unwrap());
    let answered = client.runtime.spawn(client.send(slow));
    write.send(Some(Frame::data(Bytes::from_static(b"ha")))).unwrap();
    // Others pass it.
    assert_eq!(client.ask(request("/echo", whole("x"))).0.status, 200);
    assert!(cart.heard.try_recv().is_err());
    write.send(Some(Frame::data(Bytes::from_static(b"lf")))).unwrap();
    write.send(None).unwrap();
    assert_eq!((cart.heard(), cart.heard()), (Heard::Asked, Heard::Ended));
    assert_eq!(client.runtime.block_on(answered).unwrap().unwrap().status(), 200);
    drop(client);
    plane.end();
}
