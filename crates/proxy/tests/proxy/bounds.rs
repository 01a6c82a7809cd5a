//! How large and how slow bodies may be.

use std::sync::mpsc::channel;
use std::time::Duration;

use model::service::Protocol;
use model::units::Bytes;
use telemetry::report::Outcomes;

use crate::harness::{Instance, Plane, Shop};
use crate::streams::{Serves, Streams, collected, head, request};
use crate::wire::{Wire, ok};

#[test]
fn issue_13_a_service_may_send_more_than_a_client_outside() {
    let cart = Instance::new(|mut asked| {
        while let Some((_, body)) = asked.request() {
            asked.wire.send(ok(&body.len().to_string()));
        }
    });
    let mut shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let size = (64 << 20) + 1;
    let post = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
    let answer = plane.client().ask(&post);
    assert_eq!(plane.found(&answer), "413 body-too-large caller useless");
    let inside = plane.inside(&mut shop);
    let send = |address| {
        let mut client = Wire::connect(address);
        let mut writing = client.twin();
        let head = post.clone();
        let writer = std::thread::spawn(move || {
            writing.send(head);
            // Who is refused hears it before all is sent.
            drop(writing.try_send(vec![0; size]));
        });
        let answer = client.answer();
        writer.join().unwrap();
        answer
    };
    assert_eq!(send(inside).text(), size.to_string());
    // Where the call says so, that is all.
    let mut shop = shop.policy(|it| it.max_body = Some(Bytes(1 << 20)));
    plane.set(&mut shop);
    let refused = send(inside);
    assert_eq!(refused.verdict(), "413 body-too-large caller useless");
    assert!(refused.text().contains("1MiB"), "{}", refused.text());
    plane.end();
}

#[test]
fn issue_13_an_answer_that_stands_still_is_cut_by_a_limit_and_by_nobodys_fault() {
    let cart = Instance::new(|mut asked| {
        while asked.request().is_some() {
            asked.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        }
    });
    let shop =
        Shop::new(&[cart.port]).policy(|it| it.idle_timeout = Some(Duration::from_millis(50)));
    let mut plane = Plane::new(&shop);
    let mut client = plane.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head().unwrap();
    client.rest();
    assert_eq!(plane.outcomes(1), Outcomes { cancelled: 1, ..Outcomes::default() });
    plane.end();
}

#[test]
fn issue_13_a_body_that_trickles_holds_no_instance() {
    let (asked_for, is_asked) = channel();
    let cart = Instance::new(move |mut asked| {
        while asked.request().is_some() {
            asked_for.send(()).unwrap();
            asked.wire.send(ok("x"));
        }
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    // It fits beside its head, and nobody is asked before it is there.
    let mut slow = plane.client();
    slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha");
    assert_eq!(plane.get("/"), "200 -");
    is_asked.recv().unwrap();
    assert!(is_asked.try_recv().is_err());
    slow.send("lf");
    assert_eq!(slow.answer().text(), "x");
    is_asked.recv().unwrap();
    // One that does not come is given up after five seconds.
    let mut slower = plane.client();
    slower.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha");
    let answer = slower.answer();
    assert_eq!(plane.found(&answer), "408 request-timeout caller useless");
    assert!(is_asked.try_recv().is_err());
    plane.end();
}

/// Uploads to an instance, over HTTP/1.1 and over HTTP/2, that take longer than the timeout: which the answer to another request,
/// that came later and hangs, tells. What the service has then been sent whole, it may still take its time for.
fn check_long_uploads(shop: &Shop) {
    let timeout = Duration::from_secs(1);
    let mut plane = Plane::new(&shop.clone().policy(|it| it.timeout = timeout));
    let mut first = plane.client();
    first.send(
        "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    );
    let streams = Streams::new(plane.gateway);
    let (second, mut body) = streams.begin(request("POST", "/upload", &[]));
    body.send_data("hello".into(), false).unwrap();
    assert_eq!(plane.client().get("/hang").head.status(), 504);
    first.send("0\r\n\r\n");
    body.send_data("".into(), true).unwrap();
    assert_eq!(first.answer().text(), "all");
    assert_eq!(streams.told(second).unwrap().text(), "all");
    drop(streams);
    assert_eq!(plane.outcomes(3), Outcomes { ok: 2, timeout: 1, ..Outcomes::default() });
    plane.end();
}

#[test]
fn issue_13_the_time_for_an_answer_begins_when_a_long_upload_has_come() {
    let one = Instance::new(|mut asked| {
        while let Some((head, body)) = asked.request() {
            if head.0.contains("/hang") {
                asked.wire.rest();
                return;
            }
            assert_eq!(body, b"hello");
            asked.wire.send(ok("all"));
        }
    });
    check_long_uploads(&Shop::new(&[one.port]));
    let two = Serves::new(|request, mut reply| {
        Box::pin(async move {
            if request.uri().path() == "/hang" {
                return std::future::pending().await;
            }
            assert_eq!(collected(&mut request.into_body()).await.unwrap(), b"hello");
            let mut stream = reply.send_response(head(200, &[]), false).unwrap();
            stream.send_data("all".into(), true).unwrap();
        })
    });
    check_long_uploads(&Shop::new(&[two.port]).speaking(Protocol::Http2));
}
