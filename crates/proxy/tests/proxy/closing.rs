//! How connections end: by halves, and by resets.

use std::io::ErrorKind;
use std::sync::mpsc::channel;

use model::service::Protocol;

use crate::harness::{Instance, Plane, Shop};
use crate::streams::{Serves, head};
use crate::wire::{get, ok};

/// RFC 9112, section 9.6: a client that has sent its requests and ends its half of the connection still reads the answers.
#[test]
fn issue_13_a_client_that_has_said_all_is_answered() {
    let (go, going) = channel::<()>();
    let going = std::sync::Mutex::new(going);
    let one = Instance::new(move |mut asked| {
        while asked.request().is_some() {
            going.lock().unwrap().recv().unwrap();
            let body = "x".repeat(200_000);
            asked.wire.send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                body.len()
            ));
            asked.wire.send(format!("{body}\r\n"));
            going.lock().unwrap().recv().unwrap();
            asked.wire.send("0\r\n\r\n");
        }
    });
    let mut plane = Plane::new(&Shop::new(&[one.port]));
    let mut client = plane.client();
    client.send([get("/1"), get("/2")].concat());
    client.end();
    // It has looked at the end by now.
    plane.signals(|it| it.in_flight == 1);
    for _ in 0..4 {
        go.send(()).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(client.answer().body.len(), 200_000);
    }
    client.closed();
    assert_eq!(plane.outcomes(2).ok, 2);
    plane.end();
    // And where the instance speaks HTTP/2.
    let two = Serves::new(|_, mut reply| {
        Box::pin(async move {
            reply.send_response(head(200, &[("content-length", "0")]), true).unwrap();
        })
    });
    let plane = Plane::new(&Shop::new(&[two.port]).speaking(Protocol::Http2));
    let mut client = plane.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    client.end();
    assert_eq!(client.answer().verdict(), "200 -");
    client.closed();
    plane.end();
}

/// A request that is not whole is none.
#[test]
fn issue_13_a_client_that_ends_within_a_body_is_gone() {
    let cart = Instance::answering(ok("x"));
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    for part in ["Content-Length: 5\r\n\r\nhell", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"] {
        let mut client = plane.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{part}"));
        client.end();
        client.closed();
    }
    plane.signals(|it| it.in_flight == 0);
    plane.end();
}

/// RFC 9293, section 3.10.7: who was reset has lost something, and whoever is at the other end of a tunnel is told so.
#[test]
fn issue_13_a_reset_in_a_tunnel_is_a_reset() {
    for protocol in [Protocol::Http, Protocol::Tcp] {
        for by_client in [true, false] {
            let (tell, told) = channel();
            let cart = Instance::new(move |mut asked| {
                if protocol == Protocol::Http {
                    asked.head().unwrap();
                    asked
                        .wire
                        .send("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
                }
                assert_eq!(asked.wire.exact(2), b"hi");
                asked.wire.send("ho");
                if by_client {
                    tell.send(asked.wire.end_of()).unwrap();
                } else {
                    asked.wire.exact(1);
                    asked.wire.reset();
                }
            });
            let mut shop = Shop::new(&[cart.port]).speaking(protocol);
            let mut plane = Plane::new(&shop);
            let inside = plane.inside(&mut shop);
            let mut client = crate::wire::Wire::connect(inside);
            if protocol == Protocol::Http {
                client.send(
                    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n",
                );
                assert_eq!(client.head().unwrap().status(), 101);
            }
            client.send("hi");
            assert_eq!(client.exact(2), b"ho");
            if by_client {
                client.reset();
                assert_eq!(told.recv().unwrap(), Some(ErrorKind::ConnectionReset), "{protocol:?}");
            } else {
                client.send("x");
                assert_eq!(client.end_of(), Some(ErrorKind::ConnectionReset), "{protocol:?}");
            }
            plane.end();
        }
    }
}

/// RFC 9112, section 8: an answer that ends with its connection is whole if that ends in order. One that was cut short is not.
#[test]
fn issue_13_an_answer_that_is_cut_short_never_looks_whole() {
    let one = Instance::new(|mut asked| {
        asked.head().unwrap();
        asked.wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    });
    let seen = std::sync::Arc::new(tokio::sync::Notify::new());
    let is_seen = std::sync::Arc::clone(&seen);
    let two = Serves::new(move |_, mut reply| {
        let is_seen = std::sync::Arc::clone(&is_seen);
        Box::pin(async move {
            let mut answer = reply.send_response(head(200, &[]), false).unwrap();
            answer.send_data(bytes::Bytes::from_static(b"half"), false).unwrap();
            is_seen.notified().await;
            answer.send_reset(h2::Reason::INTERNAL_ERROR);
        })
    });
    for (port, protocol) in [(one.port, Protocol::Http), (two.port, Protocol::Http2)] {
        let plane = Plane::new(&Shop::new(&[port]).speaking(protocol));
        let mut old = plane.client();
        old.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(old.head().unwrap().status(), 200);
        seen.notify_one();
        assert_eq!(old.end_of(), Some(ErrorKind::ConnectionReset), "{protocol:?}");
        plane.end();
    }
}
