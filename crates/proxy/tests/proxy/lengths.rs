//! How long a body is, and whether there is one, over every pair of protocols.

use bytes::Bytes;
use model::service::Protocol;

use crate::harness::{Instance, Plane, Shop};
use crate::streams::{Serves, Streams, collected, head, request};

/// RFC 9110, section 8.6: a length is written in one way, whoever wrote it and to whomever.
#[test]
fn issue_13_a_length_is_written_in_one_way_to_both_sides() {
    let one = Instance::answering(
        "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length:  0005 \r\nB: 2\r\n\r\nhello",
    );
    let two = Serves::new(|request, mut reply| {
        Box::pin(async move {
            let length = request.headers()["content-length"].clone();
            collected(&mut request.into_body()).await.unwrap();
            let headers = [("content-length", "0005"), ("x-length", length.to_str().unwrap())];
            let mut answer = reply.send_response(head(200, &headers), false).unwrap();
            answer.send_data(Bytes::from_static(b"hello"), true).unwrap();
        })
    });
    for (port, protocol) in [(one.port, Protocol::Http), (two.port, Protocol::Http2)] {
        let plane = Plane::new(&Shop::new(&[port]).speaking(protocol));
        let mut client = plane.client();
        let told = client
            .ask("POST / HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length:\t02 \r\nZ: 1\r\n\r\nhi");
        assert!(told.head.0.contains("ontent-length: 5\r\n"), "{}", told.head.0);
        assert_eq!(told.text(), "hello");
        let streams = Streams::new(plane.gateway);
        let told2 = streams.try_ask(request("POST", "/", &[("content-length", "02")]), "hi", None);
        let told2 = told2.unwrap();
        assert_eq!((told2.get("content-length"), told2.text()), (Some("5"), "hello"));
        // Said twice alike, it is said once.
        let twice = request("POST", "/", &[("content-length", "2"), ("content-length", "2")]);
        assert_eq!(streams.try_ask(twice, "hi", None).unwrap().status, 200);
        if protocol == Protocol::Http {
            for seen in one.heads() {
                assert!(seen.0.contains("content-length: 2\r\n"), "{}", seen.0);
            }
        } else {
            let lengths = (told.head.get("x-length"), told2.get("x-length"));
            assert_eq!(lengths, (Some("2"), Some("2")));
        }
        drop((client, streams));
        plane.end();
    }
}

/// Answers that have no body, whatever their instances say: a path, its status, and whether its length is passed on.
const BARE: [(&str, &str, u16, bool); 3] =
    [("GET", "/204", 204, false), ("GET", "/304", 304, true), ("HEAD", "/200", 200, true)];

/// An instance of HTTP/1.1 that sends a body with every answer, also where there is none.
fn bodies(framing: &'static str) -> Instance {
    Instance::new(move |mut asked| {
        while let Some(head) = asked.head() {
            let status = head.0.split(['/', ' ']).nth(2).unwrap();
            if asked.wire.try_send(format!("HTTP/1.1 {status} x\r\n{framing}hello")).is_err() {
                return;
            }
        }
    })
}

/// RFC 9110, sections 8.6, 15.3.5 and 15.4.5; RFC 9112, section 6.3: what has no body has none, and nobody waits for one.
#[test]
fn issue_13_answers_without_a_body_have_none_whatever_an_instance_sends() {
    let one = bodies("Content-Length: 5\r\n\r\n");
    let two = Serves::new(|request, mut reply| {
        Box::pin(async move {
            let status = request.uri().path().trim_start_matches('/').parse().unwrap();
            let told = head(status, &[("content-length", "5")]);
            let mut answer = reply.send_response(told, false).unwrap();
            drop(answer.send_data(Bytes::from_static(b"he"), false));
            // It never ends.
            std::future::poll_fn(|context| answer.poll_reset(context)).await.unwrap();
        })
    });
    for (port, protocol) in [(one.port, Protocol::Http), (two.port, Protocol::Http2)] {
        let mut plane = Plane::new(&Shop::new(&[port]).speaking(protocol));
        let mut client = plane.client();
        let streams = Streams::new(plane.gateway);
        for (method, path, status, has_length) in BARE {
            client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let told = client.head().unwrap();
            assert_eq!(told.status(), status, "{}", told.0);
            assert_eq!(told.get("content-length"), has_length.then_some("5"), "{}", told.0);
            assert_eq!(told.get("transfer-encoding"), None, "{}", told.0);
            let told = streams.ask(request(method, path, &[]));
            assert_eq!((told.status, told.text()), (status, ""));
            assert_eq!(told.get("content-length"), has_length.then_some("5"), "{path}");
        }
        drop((client, streams));
        assert_eq!(plane.outcomes(6).ok, 6);
        plane.end();
    }
}

/// RFC 9112, section 6.1: neither 204 nor 1xx has a transfer coding, and whoever announces one is not asked again over the same
/// connection, where its body may follow. Clients of HTTP/1.0 know none.
#[test]
fn issue_13_nothing_is_said_of_chunks_that_cannot_be() {
    let cart = bodies("Transfer-Encoding: chunked\r\n\r\n");
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    for (method, path, is_said) in
        [("GET", "/204", false), ("GET", "/304", true), ("HEAD", "/200", true)]
    {
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let told = client.head().unwrap();
        assert_eq!(told.get("transfer-encoding"), is_said.then_some("chunked"), "{}", told.0);
        let mut old = plane.client();
        old.send(format!("{method} {path} HTTP/1.0\r\n\r\n"));
        let told = old.head().unwrap();
        assert_eq!(told.get("transfer-encoding"), None, "{}", told.0);
    }
    drop(client);
    plane.end();
}

/// RFC 9110, section 9.3.2: an answer to HEAD has no body, also one of the data plane's own.
#[test]
fn issue_13_an_answer_of_our_own_to_head_has_no_body() {
    let mut shop = Shop::new(&[]);
    shop.route = serde_json::json!({"path": "/x", "service": "cart"});
    let plane = Plane::new(&shop);
    let streams = Streams::new(plane.gateway);
    for path in ["/", "/x"] {
        let get = streams.ask(request("GET", path, &[]));
        let told = streams.ask(request("HEAD", path, &[]));
        assert_eq!((told.status, told.text()), (get.status, ""));
        assert_eq!(told.get("content-length"), Some(get.body.len().to_string().as_str()));
    }
    drop(streams);
    plane.end();
}
