//! Calls of gRPC by clients that speak HTTP/1.1.

use std::time::Duration;

use super::*;
use crate::wire::Wire;

/// A call, with these header lines.
fn call(path: &str, lines: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n{lines}Content-Length: 0\r\n\r\n"
    )
}

/// gRPC's PROTOCOL-HTTP2.md, Responses; RFC 9110, sections 6.5.1 and 10.1.4. The status was lost, so that a call that had failed
/// looked like one that had not.
#[test]
fn issue_13_clients_of_http1_see_what_a_call_came_to() {
    let cart = Instance2::new();
    let mut shop = Shop::new(&[cart.port]).speaking(Protocol::Grpc);
    let mut plane = Plane::new(&shop);
    let inside = plane.inside(&mut shop);
    for address in [plane.gateway, inside] {
        let mut client = Wire::connect(address);
        client.send(call("/shop.Cart/5", "TE: trailers\r\n"));
        assert_eq!(client.head().unwrap().get("transfer-encoding"), Some("chunked"));
        let (body, trailers) = client.chunks().unwrap();
        assert_eq!((body.len(), trailers), (6, vec!["grpc-status: 5".to_owned()]));
        // Who does not say that it reads them is sent none.
        client.send(call("/shop.Cart/5", ""));
        client.head().unwrap();
        assert_eq!(client.chunks().unwrap().1, Vec::<String>::new());
        // What comes behind an empty head is in it.
        let answer = client.ask(call("/empty/7", ""));
        assert_eq!(answer.head.get("grpc-status"), Some("7"));
        assert_eq!((answer.head.get("content-length"), answer.text()), (Some("0"), ""));
    }
    plane.end();
}

#[test]
fn issue_13_clients_of_http1_are_answered_in_the_words_of_grpc() {
    let cart = Instance2::new();
    let shop = Shop::new(&[cart.port]).speaking(Protocol::Grpc);
    let mut plane = Plane::new(&shop.policy(|it| it.timeout = Duration::from_mins(1)));
    let mut client = plane.client();
    // The client's own time counts over HTTP/1.1 as well.
    let answer = client.ask(call("/hang", "grpc-timeout: 50m\r\n"));
    let head = &answer.head;
    let named = ["content-type", "content-length", "grpc-status", "grpc-message"];
    assert_eq!(
        (head.status(), named.map(|it| head.get(it).unwrap())),
        (200, ["application/grpc", "0", "4", "no answer came from the service in time"])
    );
    assert_eq!(plane.span(head.get("x-request-id").unwrap()).error.as_deref(), Some("timeout"));
    plane.end();
    let mut shop = Shop::new(&[]).speaking(Protocol::Grpc);
    let mut plane = Plane::new(&shop);
    let inside = plane.inside(&mut shop);
    let answer = Wire::connect(inside).ask(call("/shop.Cart/0", ""));
    assert_eq!((answer.head.status(), answer.head.get("grpc-status")), (200, Some("14")));
    assert_eq!(answer.head.why(), "no-instance callee safe");
    let message = answer.head.get("grpc-message").unwrap();
    assert!(message.starts_with("no instance of cart"), "{message}");
    plane.end();
}
