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
