//! What stands behind a body (RFC 9110, section 6.5), over every pair of versions.

use bytes::Bytes;
use http::HeaderMap;
use model::service::Protocol;

use crate::harness::{Instance, Plane, Shop};
use crate::streams::{Serves, Streams, collected, head, request};

/// Fields behind a body: one that may stand there, and others that say what only a head may.
const FIELDS: [(&str, &str); 6] = [
    ("host", "evil"),
    ("x-sum", "1"),
    ("content-type", "x/y"),
    ("authorization", "x"),
    ("x-pelago-priority", "critical"),
    ("x-forwarded-for", "1.1.1.1"),
];

fn lines() -> String {
    FIELDS.map(|(name, value)| format!("{name}: {value}\r\n")).concat()
}

fn map() -> HeaderMap {
    FIELDS.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// What there is, in a line.
fn said(trailers: Option<&HeaderMap>) -> String {
    let each = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("{name}: {}", value.to_str().unwrap())
    };
    trailers.into_iter().flatten().map(each).collect::<Vec<_>>().join(", ")
}

/// An instance of HTTP/1.1 that says what stood behind the body, in front of its own body and behind it.
fn one() -> Instance {
    Instance::new(|mut asked| {
        while asked.head().is_some() {
            let (body, seen) = asked.wire.chunks().unwrap();
            let body =
                format!("{}{}", String::from_utf8(body).unwrap(), seen.join(", ").to_lowercase());
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            // The fields come in parts, of which none is a line.
            let text = format!("{head}{:x}\r\n{body}\r\n0\r\n{}\r\n", body.len(), lines());
            for part in text.as_bytes().chunks(7) {
                asked.wire.send(part);
            }
        }
    })
}

/// The same over HTTP/2.
fn two() -> Serves {
    Serves::new(|request, mut reply| {
        Box::pin(async move {
            let mut stream = request.into_body();
            let mut body = collected(&mut stream).await.unwrap();
            let seen = stream.trailers().await.unwrap();
            body.extend_from_slice(said(seen.as_ref()).as_bytes());
            let mut answer = reply.send_response(head(200, &[]), false).unwrap();
            answer.send_data(Bytes::from(body), false).unwrap();
            answer.send_trailers(map()).unwrap();
        })
    })
}

/// RFC 9110, section 6.5.1: fields cross between versions, but for those that mean something only in a head.
#[test]
fn issue_13_fields_behind_a_body_cross_between_versions_and_are_filtered() {
    let (one, two) = (one(), two());
    for (port, protocol) in [(one.port, Protocol::Http), (two.port, Protocol::Http2)] {
        let plane = Plane::new(&Shop::new(&[port]).speaking(protocol));
        let mut client = plane.client();
        for te in ["TE: trailers\r\n", ""] {
            let head =
                format!("POST / HTTP/1.1\r\nHost: a\r\n{te}Transfer-Encoding: chunked\r\n\r\n");
            let text = format!("{head}3\r\nhi \r\n0\r\n{}\r\n", lines());
            for part in text.as_bytes().chunks(7) {
                client.send(part);
            }
            assert_eq!(client.head().unwrap().status(), 200);
            let (body, trailers) = client.chunks().unwrap();
            assert_eq!(String::from_utf8(body).unwrap(), "hi x-sum: 1");
            // Over HTTP/1.1 they are passed on as they come; from HTTP/2 they are made, for whoever takes them.
            let is_told = protocol == Protocol::Http || !te.is_empty();
            assert_eq!(
                trailers,
                if is_told { &["x-sum: 1"][..] } else { &[] },
                "{protocol:?} {te}"
            );
        }
        let streams = Streams::new(plane.gateway);
        let told = streams.try_ask(request("POST", "/", &[("te", "trailers")]), "hi ", Some(map()));
        let told = told.unwrap();
        assert_eq!(
            (told.text(), said(told.trailers.as_ref()).as_str()),
            ("hi x-sum: 1", "x-sum: 1")
        );
        drop((client, streams));
        plane.end();
    }
}

/// A buffer that is full of a body makes room for the fields behind it, also if one has come in part.
#[test]
fn issue_13_a_long_body_has_fields_behind_it() {
    let (one, two) = (one(), two());
    for (port, protocol) in [(one.port, Protocol::Http), (two.port, Protocol::Http2)] {
        let plane = Plane::new(&Shop::new(&[port]).speaking(protocol));
        let mut client = plane.client();
        for size in [16_200, 65_300, 200_000] {
            let head =
                "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n";
            let long = "x".repeat(3_000);
            let body = "y".repeat(size);
            let fields =
                format!("A: {long}\r\nContent-Language: {long}\r\nB: {long}\r\n{}", lines());
            let text = format!("{head}{size:x}\r\n{body}\r\n0\r\n{fields}\r\n");
            let mut writing = client.twin();
            let writer = std::thread::spawn(move || writing.send(text));
            assert_eq!(client.head().unwrap().status(), 200);
            let (seen, trailers) = client.chunks().unwrap();
            assert_eq!(
                String::from_utf8(seen).unwrap(),
                format!("{body}a: {long}, b: {long}, x-sum: 1")
            );
            assert_eq!(trailers, ["x-sum: 1"]);
            writer.join().unwrap();
        }
        drop(client);
        plane.end();
    }
}
