//! Answers before the answer (RFC 9110, section 15.2), and what clients wait for (section 10.1.1), over every pair of protocols.

use std::sync::mpsc::channel;

use bytes::Bytes;
use h2::Reason;
use model::service::Protocol;
use telemetry::report::Outcomes;

use crate::harness::{Instance, Plane, Shop};
use crate::streams::{Serves, Streams, collected, head, request};
use crate::wire::{get, ok};

/// An instance of HTTP/1.1 that hints before it answers, with headers that are between it and its neighbour alone.
fn hints() -> Instance {
    let early = "HTTP/1.1 103 Early Hints\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
                 Content-Length: 0\r\nLink: </a>\r\n\r\n";
    Instance::answering(format!("{early}{}", ok("late")))
}

/// The same over HTTP/2.
fn hints2() -> Serves {
    Serves::new(|_, mut reply| {
        Box::pin(async move {
            reply.send_informational(head(103, &[("link", "</a>")])).unwrap();
            reply.send_informational(head(110, &[("x", "y")])).unwrap();
            let mut body = reply.send_response(head(200, &[]), false).unwrap();
            body.send_data(Bytes::from_static(b"late"), true).unwrap();
        })
    })
}

/// RFC 9110, section 7.6.1: no relay passes on what is between two parties alone.
#[test]
fn issue_13_answers_before_the_answer_lose_what_is_between_two_parties_alone() {
    let cart = hints();
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    for _ in 0..2 {
        client.send(get("/"));
        let early = client.head().unwrap();
        assert_eq!(early.0, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        assert_eq!(client.answer().text(), "late");
    }
    drop(client);
    plane.end();
}

/// RFC 9113, section 8.1: an answer may be preceded by others.
#[test]
fn issue_13_answers_before_the_answer_are_passed_on_over_http2() {
    let (one, two) = (hints(), hints2());
    for (port, protocol) in [(one.port, Protocol::Http), (two.port, Protocol::Http2)] {
        let plane = Plane::new(&Shop::new(&[port]).speaking(protocol));
        let client = Streams::new(plane.gateway);
        let told = client.ask(request("GET", "/", &[]));
        assert_eq!((told.status, told.text()), (200, "late"));
        let early = &told.early[0];
        assert_eq!(
            (early.status().as_u16(), &early.headers()["link"]),
            (103, &"</a>".parse().unwrap())
        );
        assert_eq!(early.headers().len(), 1, "{early:?}");
        assert_eq!(told.early.len(), if protocol == Protocol::Http { 1 } else { 2 });
        drop(client);
        plane.end();
    }
    // And back to HTTP/1.1, whose old clients do not know of them.
    let plane = Plane::new(&Shop::new(&[two.port]).speaking(Protocol::Http2));
    let mut client = plane.client();
    client.send(get("/"));
    assert_eq!(client.head().unwrap().0, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    assert_eq!(client.head().unwrap().status(), 110);
    assert_eq!(client.answer().text(), "late");
    assert_eq!(plane.client().ask("GET / HTTP/1.0\r\n\r\n").verdict(), "200 -");
    drop(client);
    plane.end();
}

/// RFC 9110, section 10.1.1: whoever waits is told by the instance whether to go on; where the instance speaks HTTP/2 by the
/// data plane, as few of those say so.
#[test]
fn issue_13_a_client_of_http2_that_waits_is_told_whether_to_go_on() {
    let one = Instance::new(|mut asked| {
        while let Some(head) = asked.head() {
            assert_eq!(head.get("expect"), Some("100-continue"));
            asked.wire.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = asked.wire.body(&head);
            asked.wire.send(ok(str::from_utf8(&body).unwrap()));
        }
    });
    let two = Serves::new(|request, mut reply| {
        Box::pin(async move {
            assert!(!request.headers().contains_key("expect"));
            let body = collected(&mut request.into_body()).await.unwrap();
            let mut answer = reply.send_response(head(200, &[]), false).unwrap();
            answer.send_data(Bytes::from(body), true).unwrap();
        })
    });
    for (port, protocol) in [(one.port, Protocol::Http), (two.port, Protocol::Http2)] {
        let mut plane = Plane::new(&Shop::new(&[port]).speaking(protocol));
        let client = Streams::new(plane.gateway);
        // One whose length is told would be read whole before an instance is chosen.
        for headers in [
            &[("expect", "100-continue"), ("content-length", "5")][..],
            &[("expect", "100-continue")],
        ] {
            let (mut answer, mut body) = client.begin(request("POST", "/", headers));
            assert_eq!(client.early(&mut answer).unwrap().status(), 100);
            body.send_data(Bytes::from_static(b"hello"), true).unwrap();
            let told = client.told(answer).unwrap();
            assert_eq!((told.status, told.text(), told.early.len()), (200, "hello", 0));
        }
        let other = client.ask(request("POST", "/", &[("expect", "a-miracle")]));
        assert_eq!(other.status, 417);
        let span = plane.span(other.get("x-request-id").unwrap());
        assert_eq!(span.error.as_deref(), Some("expectation-failed"));
        drop(client);
        plane.end();
    }
    // An instance that refuses does so before the body was sent.
    let refusing = Instance::answering_heads("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    let plane = Plane::new(&Shop::new(&[refusing.port]));
    let client = Streams::new(plane.gateway);
    let headers = [("expect", "100-continue"), ("content-length", "5")];
    let (answer, _body) = client.begin(request("POST", "/", &headers));
    let told = client.told(answer).unwrap();
    assert_eq!((told.status, told.early.len()), (403, 0));
    drop(client);
    plane.end();
}

/// RFC 9113, section 8.1: a request that its client cancels is not a whole one, whatever of it has come.
#[test]
fn issue_13_a_request_that_is_cancelled_never_looks_whole() {
    for reason in [Reason::CANCEL, Reason::NO_ERROR] {
        let (tell, told) = channel();
        let cart = Instance::new(move |mut asked| {
            asked.head().unwrap();
            asked.wire.exact(b"4\r\nhalf\r\n".len());
            tell.send(None).unwrap();
            tell.send(Some(asked.wire.rest())).unwrap();
        });
        let mut plane = Plane::new(&Shop::new(&[cart.port]));
        let client = Streams::new(plane.gateway);
        let (_answer, mut body) = client.begin(request("POST", "/", &[]));
        body.send_data(Bytes::from_static(b"half"), false).unwrap();
        assert_eq!(told.recv().unwrap(), None);
        body.send_reset(reason);
        assert_eq!(told.recv().unwrap(), Some(Vec::new()), "{reason:?}");
        assert_eq!(plane.outcomes(1), Outcomes { cancelled: 1, ..Outcomes::default() });
        drop(client);
        plane.end();
    }
}
