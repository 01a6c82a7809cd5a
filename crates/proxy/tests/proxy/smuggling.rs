//! Requests that two servers might read differently: none of them reaches an instance.

use std::net::SocketAddr;

use crate::harness::{Instance, Plane, Shop};
use crate::wire::{Wire, get, ok};

/// What every case tries to have taken for a request of its own.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

/// The gateway and the address of a call, and whose fault each says that it was.
fn entrances(plane: &mut Plane, shop: &mut Shop) -> [(SocketAddr, Option<&'static str>); 2] {
    let inside = plane.inside(shop);
    [(plane.gateway, None), (inside, Some("caller"))]
}

/// Sends `text` with a hidden request behind it. Whatever is answered, the instance sees at most the first
/// request, and nothing more is answered on this connection.
#[track_caller]
fn check(entrances: &[(SocketAddr, Option<&str>)], cart: &Instance, text: &str, status: u16) {
    let before = cart.heads().len();
    for &(address, fault) in entrances {
        let mut client = Wire::connect(address);
        client.send(format!("{text}{HIDDEN}"));
        let answer = client.answer();
        assert_eq!(answer.head.status(), status, "{text:?}");
        assert_eq!(answer.head.get("x-pelago-fault"), fault, "{text:?}");
        assert_eq!(answer.head.get("x-pelago-retry"), Some("useless"), "{text:?}");
        assert_eq!(answer.head.get("connection"), Some("close"), "{text:?}");
        client.closed();
    }
    assert_eq!(cart.heads().len(), before, "{text:?}");
}

#[test]
fn what_could_be_read_in_two_ways_reaches_nobody() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let entrances = entrances(&mut plane, &mut shop);
    for (headers, status) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
        ("Content-Length: 5\r\nContent-Length: 6", 400),
        ("Content-Length: 5, 5", 400),
        ("Content-Length: +5", 400),
        ("Content-Length: 0x5", 400),
        ("Content-Length:", 400),
        ("Content-Length: 99999999999999999999", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: identity", 501),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, identity", 501),
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding: \u{b}chunked", 400),
        ("Transfer-Encoding : chunked", 400),
        ("Transfer-Encoding\t: chunked", 400),
        ("Content-Length : 5", 400),
        ("X: a\nTransfer-Encoding: chunked", 400),
        ("X: a\r\n Transfer-Encoding: chunked", 400),
        ("Host: b", 400),
        ("X\0: y", 400),
        ("X: y\0", 400),
        ("X: a\rY: b", 400),
        (": y", 400),
        ("no colon", 400),
    ] {
        check(
            &entrances,
            &cart,
            &format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n"),
            status,
        );
    }
    for (text, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 505),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET http://?b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ] {
        check(&entrances, &cart, text, status);
    }
    plane.end();
}

#[test]
fn chunks_that_could_be_read_in_two_ways_end_the_connection() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let entrances = entrances(&mut plane, &mut shop);
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "0\r\n x: y\r\n\r\n",
        "0\n\n",
    ] {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&entrances, &cart, &format!("{head}{body}"), 400);
    }
    plane.end();
}

#[test]
fn a_body_is_never_the_next_request() {
    let cart = Instance::answering(ok("x"));
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    // Each hides a request in its body: it belongs there, and the one behind it is seen.
    let length = format!("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", HIDDEN.len());
    client.send([&length, HIDDEN, &get("/2")].concat());
    let chunked = "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{chunked}{:x}\r\n{HIDDEN}\r\n0\r\n\r\n{}", HIDDEN.len(), get("/4")));
    // What `connection` names cannot take the body's length away.
    let named = "Connection: content-length, transfer-encoding, host\r\n";
    let length =
        format!("POST /5 HTTP/1.1\r\nHost: a\r\n{named}Content-Length: {}\r\n\r\n", HIDDEN.len());
    client.send([&length, HIDDEN, &get("/6")].concat());
    for _ in 0..6 {
        assert_eq!(client.answer().text(), "x");
    }
    let heads = cart.heads();
    let paths: Vec<_> = heads.iter().map(|it| it.0.split(' ').nth(1).unwrap()).collect();
    assert_eq!(paths, ["/1", "/2", "/3", "/4", "/5", "/6"]);
    drop(client);
    plane.end();
}
