//! What clients do wrong, and what they may.

use std::sync::mpsc::channel;
use std::time::Duration;

use telemetry::report::Outcomes;

use crate::harness::{Instance, Plane, Shop};
use crate::wire::{Head, Wire, get, ok};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let cart = Instance::new(|mut asked| {
        while let Some((head, body)) = asked.request() {
            let path = head.0.split(' ').nth(1).unwrap();
            asked.wire.send(ok(&format!("{path} {}", body.len())));
        }
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    let post = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let chunked =
        "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    client.send([&get("/a"), post, chunked, &get("/d")].concat());
    for text in ["/a 0", "/b 3", "/c 2", "/d 0"] {
        assert_eq!(client.answer().text(), text);
    }
    assert_eq!(plane.outcomes(4).ok, 4);
    drop(client);
    plane.end();
}

/// RFC 9112, section 2.2; RFC 9110, section 8.6.
#[test]
fn issue_13_an_empty_line_before_a_request_and_a_length_said_twice_are_forgiven() {
    let cart = Instance::echo();
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    let post =
        "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc\r\n";
    client.send(["\r\n", post, &get("/"), "\r\n\r\n", &get("/")].concat());
    assert_eq!(client.answer().text(), "abc");
    assert_eq!(client.answer().text(), "");
    // One is enough.
    let answer = client.answer();
    assert_eq!(plane.found(&answer), "400 malformed-request caller useless");
    assert_eq!(cart.heads()[0].get("content-length"), Some("3"));
    drop(client);
    plane.end();
}

/// It takes ten seconds, because that is how long a head may take. After it nothing has happened for a
/// while, and whoever comes then has ten seconds of its own.
#[test]
fn a_head_has_its_time_and_no_more() {
    let cart = Instance::answering(ok("x"));
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let mut slow = plane.client();
    slow.send("GET / HTTP/1.1\r\nHo");
    let answer = slow.answer();
    assert_eq!(plane.found(&answer), "408 request-timeout caller useless");
    slow.closed();
    let mut later = plane.client();
    later.send("GET / HTTP/1.1\r\nHo");
    // It has read what came when it has told so.
    plane.until(|it| match it {
        telemetry::report::Report::Signals(it) => (it.client_connections == 1).then_some(()),
        _ => None,
    });
    assert_eq!(later.ask("st: a\r\n\r\n").verdict(), "200 -");
    let mut gone = plane.client();
    gone.send("GET / HTTP/1.1\r\nHo");
    gone.end();
    gone.closed();
    drop(later);
    assert_eq!(plane.outcomes(1).ok, 1);
    assert_eq!(cart.heads().len(), 1);
    plane.end();
}

#[test]
fn bodies_of_every_size_arrive() {
    let cart = Instance::echo();
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    for size in [0, 1, 4_096, 4_097, 16_000, 16_384, 65_536, 100_000, 3_000_000] {
        let body: Vec<u8> = (0..size).map(|it: usize| u8::try_from(it % 251).unwrap()).collect();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
        client.send(head);
        client.send(&body);
        assert!(client.answer().body == body, "{size}");
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(9_999) {
            client.send(format!("{:x}\r\n", chunk.len()));
            client.send(chunk);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert!(client.answer().body == body, "{size} in chunks");
    }
    drop(client);
    plane.end();
}

#[test]
fn a_head_as_long_as_may_be_can_have_a_body() {
    let cart = Instance::echo();
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let body = vec![b'x'; 50_000];
    for length in [16_384, 16_383, 16_000, 9_000] {
        let start = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\nX: ";
        let head = format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4));
        assert_eq!(head.len(), length);
        let mut client = plane.client();
        client.send([head.as_bytes(), &body].concat());
        assert!(client.answer().body == body, "{length}");
    }
    plane.end();
}

#[test]
fn a_body_that_is_too_large_is_refused_before_and_while_it_comes() {
    let cart = Instance::echo();
    let mut shop = Shop::new(&[cart.port]);
    shop.route["max_body"] = "100KiB".into();
    let mut plane = Plane::new(&shop);
    let mut client = plane.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 102401\r\n\r\n");
    let answer = client.answer();
    assert_eq!(plane.found(&answer), "413 body-too-large caller useless");
    client.closed();
    assert!(cart.heads().is_empty());
    let mut client = plane.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..11 {
        client.send(format!("2800\r\n{}\r\n", "x".repeat(0x2800)));
    }
    let answer = client.answer();
    assert_eq!(plane.found(&answer), "413 body-too-large caller useless");
    client.closed();
    assert_eq!(plane.outcomes(1).client_error, 1);
    plane.end();
}

#[test]
fn a_body_that_is_none_ends_the_request() {
    let (told, tell) = channel();
    let cart = Instance::new(move |mut asked| {
        let head = asked.head().unwrap();
        assert_eq!(head.get("transfer-encoding"), Some("chunked"));
        assert!(asked.wire.chunks().is_none());
        told.send(()).unwrap();
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    plane.signals(|it| it.in_flight == 1);
    client.send("nonsense\r\n");
    let answer = client.answer();
    assert_eq!(plane.found(&answer), "400 malformed-request caller useless");
    client.closed();
    tell.recv().unwrap();
    assert_eq!(plane.outcomes(1).client_error, 1);
    plane.end();
}

#[test]
fn a_body_that_stalls_ends_the_request_when_its_callers_time_is_over() {
    let cart = Instance::new(|mut asked| {
        asked.head();
        asked.wire.rest();
    });
    let mut shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let mut client = Wire::connect(plane.inside(&mut shop));
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nX-Pelago-Timeout-Ms: 200\r\nContent-Length: 9\r\n\r\n";
    client.send(format!("{head}half"));
    assert_eq!(client.answer().verdict(), "408 request-timeout caller useless");
    client.closed();
    assert_eq!(plane.outcomes(1).client_error, 1);
    plane.end();
}

#[test]
fn a_client_that_goes_away_ends_its_request() {
    let (told, tell) = channel();
    let cart = Instance::new(move |mut asked| {
        asked.request();
        told.send(false).unwrap();
        asked.wire.closed();
        told.send(true).unwrap();
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    for reset in [false, true] {
        let mut client = plane.client();
        client.send(get("/"));
        assert!(!tell.recv().unwrap());
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        assert!(tell.recv().unwrap());
    }
    let cancelled = plane.outcomes(2);
    assert_eq!(cancelled, Outcomes { cancelled: 2, ..Outcomes::default() });
    plane.end();
}

#[test]
fn a_client_that_goes_away_during_an_answer_ends_it() {
    let (told, tell) = channel();
    let cart = Instance::new(move |mut asked| {
        asked.request();
        asked.wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while asked.wire.try_send(format!("1000\r\n{}\r\n", "x".repeat(0x1000))).is_ok() {}
        told.send(()).unwrap();
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    client.send(get("/"));
    client.head().unwrap();
    client.exact(100_000);
    drop(client);
    tell.recv().unwrap();
    assert_eq!(plane.outcomes(1), Outcomes { cancelled: 1, ..Outcomes::default() });
    plane.end();
}

#[test]
fn old_clients_keep_their_connection_if_they_ask_for_it() {
    let cart = Instance::answering(ok("x"));
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    for _ in 0..2 {
        let answer = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!((answer.text(), answer.head.get("connection")), ("x", Some("keep-alive")));
    }
    let answer = client.ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((answer.text(), answer.head.get("connection")), ("x", Some("close")));
    client.closed();
    // Chunks are taken apart for them.
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let cart = Instance::answering(chunked);
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    let answer = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!((answer.text(), answer.head.get("transfer-encoding")), ("hi", None));
    plane.end();
}

#[test]
fn an_absolute_target_says_what_host_is_meant() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]);
    shop.route["host"] = "shop.localhost".into();
    let mut plane = Plane::new(&shop);
    let mut client = plane.client();
    let absolute = "GET http://shop.localhost/a?b HTTP/1.1\r\nHost: other\r\n\r\n";
    assert_eq!(client.ask(absolute).text(), "x");
    let other = "GET http://other/a HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
    let answer = client.ask(other);
    assert_eq!(plane.found(&answer), "404 no-route caller useless");
    let heads = cart.heads();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].0.starts_with("GET /a?b HTTP/1.1\r\nhost: shop.localhost\r\n"));
    drop(client);
    plane.end();
}

#[test]
fn what_a_caller_says_about_time_holds() {
    let cart = Instance::new(|mut asked| {
        let (head, _) = asked.request().unwrap();
        let left: u64 = head.get("x-pelago-timeout-ms").unwrap().parse().unwrap();
        assert!((1..=300).contains(&left), "{left}");
        asked.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        asked.wire.closed();
    });
    let mut shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let mut client = Wire::connect(plane.inside(&mut shop));
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Pelago-Timeout-Ms: 300\r\n\r\n");
    assert_eq!(client.head().unwrap().status(), 200);
    // The answer has begun: all that can be done is to end it.
    assert_eq!(client.rest(), b"half");
    assert_eq!(plane.outcomes(1).timeout, 1);
    let silent = Instance::new(|mut asked| {
        asked.request();
        asked.wire.rest();
    });
    let mut shop = Shop::new(&[silent.port]).policy(|it| it.timeout = Duration::from_mins(1));
    let mut plane = Plane::new(&shop);
    let inside = plane.inside(&mut shop);
    let hurried = "GET / HTTP/1.1\r\nHost: a\r\nX-Pelago-Timeout-Ms: 50\r\n\r\n";
    let answer = Wire::connect(inside).ask(hurried);
    assert_eq!(answer.verdict(), "504 timeout callee unsafe");
    let expected = "timeout: cart gave no answer within the 50ms that its caller had left";
    assert!(answer.text().starts_with(expected), "{}", answer.text());
    let late = "GET / HTTP/1.1\r\nHost: a\r\nX-Pelago-Timeout-Ms: 0\r\n\r\n";
    assert_eq!(Wire::connect(inside).ask(late).verdict(), "504 deadline-passed caller safe");
    assert_eq!(plane.outcomes(1).timeout, 1, "a callee that hangs two hops in is to blame");
    // A time that a client chose blames nobody, however many hops it comes from.
    let theirs = hurried.replace("\r\n\r\n", "\r\nX-Pelago-Timeout-By: client\r\n\r\n");
    assert_eq!(Wire::connect(inside).ask(&theirs).verdict(), "504 timeout caller unsafe");
    let outcomes = plane.outcomes(2);
    assert_eq!((outcomes.timeout, outcomes.cancelled), (1, 1));
    plane.end();
}

/// A client that sends all of a large body before it reads gets the answer that came before its end (RFC 9112, section
/// 9.6), of an instance and of ours.
#[test]
fn issue_13_an_early_answer_arrives() {
    let refusing = Instance::new(|mut asked| {
        asked.head();
        asked.wire.send(
            "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig",
        );
    });
    let mut shop = Shop::new(&[refusing.port]);
    let of_instance = Plane::new(&shop);
    shop.route["max_body"] = "1KiB".into();
    let own = Plane::new(&shop);
    let body = vec![b'x'; 16 << 20];
    for plane in [&of_instance, &own] {
        for _ in 0..10 {
            let mut client = plane.client();
            let length = body.len();
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
            client.send(&body);
            let answer = client.answer();
            assert_eq!(answer.head.status(), 413);
            assert_eq!(answer.head.get("connection"), Some("close"));
            client.closed();
        }
    }
    of_instance.end();
    own.end();
}

/// Whoever is outside says nothing in the platform's name, neither to the data plane nor to instances.
#[test]
fn issue_13_headers_of_the_platform_are_not_believed_from_outside() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let lines = "X-Pelago-Timeout-Ms: 0\r\nx_pelago_timeout_ms: 0\r\nX-Pelago-Timeout-By: client\r\n\
                 x-pelago-priority: high\r\nX-Pelago-Instance: other\r\nx-kept: 1\r\n";
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    assert_eq!(plane.client().ask(&request).text(), "x");
    let own = |head: &Head| -> Vec<String> {
        let lines = head.0.lines().skip(1).map(str::to_ascii_lowercase);
        lines.filter(|it| it.starts_with("x-") || it.starts_with("x_")).collect()
    };
    let found = own(&cart.heads()[0]);
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(
        found.contains(&"x-kept: 1".to_owned())
            && !found.contains(&"x-pelago-timeout-ms: 0".to_owned())
    );
    assert!(
        found
            .iter()
            .all(|it| !it.contains("priority") && !it.contains("instance") && !it.contains('_'))
    );
    // Inside, what a caller passes on is passed on.
    let inside = plane.inside(&mut shop);
    let request = request.replace("X-Pelago-Timeout-Ms: 0", "X-Pelago-Timeout-Ms: 900");
    assert_eq!(Wire::connect(inside).ask(&request).text(), "x");
    let found = own(&cart.heads()[1]);
    assert!(found.contains(&"x-pelago-priority: high".to_owned()), "{found:?}");
    assert!(found.contains(&"x-pelago-timeout-by: client".to_owned()), "{found:?}");
    plane.end();
}
