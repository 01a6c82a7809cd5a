//! What is refused over one version of HTTP is refused over the other.

use host::Clock;
use http::{HeaderName, HeaderValue};
use model::service::Protocol;

use crate::frames::{Came, Frames};
use crate::harness::{Instance, Plane, Shop, Start};
use crate::streams::{Serves, Streams, head, request};
use crate::wire::ok;

/// RFC 9110, section 4.2, and RFC 3986, section 2: a target has the same length and the same bytes over both.
#[test]
fn issue_13_targets_are_alike_over_both_versions() {
    let cart = Instance::answering(ok("x"));
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let (long, longer, longest) = (8 << 10, (8 << 10) + 1, 20 << 10);
    let path = |length: usize| format!("/{}", "x".repeat(length - 1));
    for (target, status) in [
        (path(long), 200),
        (path(longer), 414),
        ("/a?{}|\\^`'=".to_owned(), 200),
        ("/{}|\\^".to_owned(), 200),
        ("/%c3%a4;x=y".to_owned(), 200),
        ("/\u{e4}".to_owned(), 400),
        ("/<x>".to_owned(), 400),
        ("/`".to_owned(), 400),
        ("/\"".to_owned(), 400),
        ("/?\"".to_owned(), 400),
        ("/?<".to_owned(), 400),
        ("/ x".to_owned(), 505),
        ("/\u{7f}".to_owned(), 400),
        ("/\t".to_owned(), 400),
    ] {
        let told = plane.client().ask(format!("GET {target} HTTP/1.1\r\nHost: shop\r\n\r\n"));
        assert_eq!(told.head.status(), status, "{target}");
        let came = Frames::connect(plane.gateway).ask_with(&[(":path", target.as_bytes())]);
        match came {
            // What no URI has is malformed (RFC 9113, section 8.1.1).
            Came::Reset(1) => assert!(status == 400 || status == 505, "{target}"),
            came => assert_eq!(came, Came::Status(status), "{target}"),
        }
    }
    let longest = path(longest);
    let told = plane.client().ask(format!("GET {longest} HTTP/1.1\r\nHost: shop\r\n\r\n"));
    assert_eq!(told.head.status(), 414);
    // Its library counts the head before it looks at it.
    let came = Frames::connect(plane.gateway).ask_with(&[(":path", longest.as_bytes())]);
    assert_eq!(came, Came::Status(431));
    plane.end();
}

/// RFC 9110, section 5.4: a head has as many headers, and as many bytes, over both.
#[test]
fn issue_13_heads_are_alike_over_both_versions() {
    let cart = Instance::answering(ok("x"));
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let streams = Streams::new(plane.gateway);
    // The host is one of them.
    for (count, size, status) in
        [(98, 1, 200), (101, 1, 431), (1, 16_000, 200), (1, 16_400, 431), (90, 200, 431)]
    {
        let value = "x".repeat(size);
        let lines: Vec<_> = (0..count).map(|it| format!("x{it}: {value}\r\n")).collect();
        let lines = lines.concat();
        let told = plane.client().ask(format!("GET / HTTP/1.1\r\nHost: shop\r\n{lines}\r\n"));
        assert_eq!(told.head.status(), status, "{count} of {size}");
        let mut request = request("GET", "/", &[]);
        for it in 0..count {
            let name: HeaderName = format!("x{it}").parse().unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(&value).unwrap());
        }
        let told = streams.ask(request);
        assert_eq!(told.status, status, "{count} of {size}");
        // What is far too large is refused by the protocol's library, which says no more.
        if let Some(id) = told.get("x-request-id") {
            assert_eq!(plane.span(id).error.unwrap(), "head-too-large", "{count} of {size}");
        }
    }
    // Cookies that come in pieces are one header (RFC 9113, section 8.2.3).
    let crumbs = vec![("cookie", "a=b"); 200];
    assert_eq!(streams.ask(request("GET", "/", &crumbs)).status, 200);
    drop(streams);
    plane.end();
}

/// Asks with one header of this size over HTTP/1.1 and HTTP/2; the instance answers with the same. The statuses, and how much came back.
fn ask_with(plane: &Plane, size: usize) -> [(u16, usize); 2] {
    let value = "x".repeat(size);
    let first = plane.client().ask(format!("GET / HTTP/1.1\r\nHost: shop\r\nx: {value}\r\n\r\n"));
    let streams = Streams::new(plane.gateway);
    let second = streams.ask(request("GET", "/", &[("x", &value)]));
    let length = |it: Option<&str>| it.map_or(0, str::len);
    [(first.head.status(), length(first.head.get("x"))), (second.status, length(second.get("x")))]
}

#[test]
fn issue_13_heads_may_be_as_large_and_as_slow_as_the_options_say() {
    let echo = Instance::new(|mut asked| {
        while let Some(request) = asked.request() {
            let value = request.0.get("x").unwrap_or_default().to_owned();
            asked.wire.send(format!("HTTP/1.1 200 OK\r\nx: {value}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let mut plane = Plane::start(&Shop::new(&[echo.port]), Start::LargeHeads);
    assert_eq!(ask_with(&plane, 40_000), [(200, 40_000); 2]);
    assert_eq!(ask_with(&plane, 50_000), [(431, 0); 2]);
    // Behind a head, more than fits into the buffer with it.
    let (value, body) = ("x".repeat(40_000), "y".repeat(100_000));
    let post = format!(
        "POST / HTTP/1.1\r\nHost: shop\r\nx: {value}\r\nContent-Length: 100000\r\n\r\n{body}"
    );
    assert_eq!(plane.client().ask(&post).head.get("x").map(str::len), Some(40_000));
    let long = format!("/{}", "x".repeat(20_000));
    let told = plane.client().ask(format!("GET {long} HTTP/1.1\r\nHost: shop\r\n\r\n"));
    assert_eq!(told.head.status(), 200);
    // Half a head.
    let mut slow = plane.client();
    let clock = Clock::start();
    let began = clock.now();
    slow.send("GET / HTTP/1.1\r\n");
    let told = slow.answer();
    assert!(std::time::Duration::from_secs(1) <= clock.now().since(began));
    assert_eq!(plane.found(&told), "408 request-timeout caller useless");
    let limit = plane.span(told.head.get("x-request-id").unwrap()).limit.unwrap();
    assert_eq!((limit.value.as_str(), limit.key.as_deref()), ("1s", Some("--head-timeout")));
    plane.end();
}

#[test]
fn issue_13_answers_may_have_heads_as_large_as_the_options_say_over_http2() {
    let large = Serves::new(|_, mut reply| {
        Box::pin(async move {
            let told = head(200, &[("x", &"x".repeat(40_000)), ("content-length", "0")]);
            reply.send_response(told, true).unwrap();
        })
    });
    for (start, status, length) in [(Start::LargeHeads, 200, 40_000), (Start::Usual, 502, 0)] {
        let shop = Shop::new(&[large.port]).speaking(Protocol::Http2);
        let plane = Plane::start(&shop, start);
        let told = plane.client().get("/");
        assert_eq!(told.head.status(), status);
        assert_eq!(told.head.get("x").map_or(0, str::len), length);
        plane.end();
    }
}

/// RFC 9113, section 8.2.1, and RFC 9110, section 5.5: which bytes a header has.
#[test]
fn issue_13_headers_have_the_same_bytes_over_both_versions() {
    let cart = Instance::answering(ok("x"));
    let plane = Plane::new(&Shop::new(&[cart.port]));
    for (name, value, status) in [
        ("x", &b"a\tb"[..], 200),
        ("x", "\u{e4}".as_bytes(), 200),
        ("x!#$%&'*+-.^_`|~", b"", 200),
        ("x", b"a\0b", 400),
        ("x", b"a\x7fb", 400),
        ("x", b"a\rb", 400),
        ("x", b"a\x01", 400),
        ("x y", b"1", 400),
        ("x(", b"1", 400),
        ("\u{e4}", b"1", 400),
    ] {
        let mut client = plane.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: shop\r\n{name}: "));
        client.send(value);
        let told = client.ask("\r\n\r\n");
        assert_eq!(told.head.status(), status, "{name} {value:?}");
        let came = Frames::connect(plane.gateway).ask_with(&[(name, value)]);
        // The protocol's library gives up the connection, as RFC 9113, section 5.4.1, lets it.
        let expected = if status == 200 { Came::Status(200) } else { Came::GoAway };
        assert_eq!(came, expected, "{name} {value:?}");
    }
    // These are malformed by what they are, not by their bytes; the stream alone ends, and the connection goes on.
    let mut client = Frames::connect(plane.gateway);
    for (name, value, came) in [
        ("x", &b" a"[..], Came::Status(400)),
        ("x", b"a\t", Came::Status(400)),
        ("connection", b"close", Came::Reset(1)),
        ("te", b"gzip", Came::Reset(1)),
        ("x", b"a", Came::Status(200)),
    ] {
        assert_eq!(client.ask_with(&[(name, value)]), came, "{name} {value:?}");
    }
    drop(client);
    plane.end();
}

/// An instance's head is as long as it may be over HTTP/1.1, and no longer.
#[test]
fn issue_13_heads_of_instances_are_alike_over_both_versions() {
    let two = Serves::new(|request, mut reply| {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let (count, size) = path.strip_prefix('/').and_then(|it| it.split_once('x')).unwrap();
            let mut told = head(200, &[("content-length", "0")]);
            for it in 0..count.parse::<usize>().unwrap() {
                let value = "x".repeat(size.parse().unwrap()).parse().unwrap();
                told.headers_mut().insert(format!("x{it}").parse::<HeaderName>().unwrap(), value);
            }
            reply.send_response(told, true).unwrap();
        })
    });
    let one = Instance::new(|mut asked| {
        while let Some(head) = asked.head() {
            let path = head.0.split(' ').nth(1).unwrap();
            let (count, size) = path.strip_prefix('/').and_then(|it| it.split_once('x')).unwrap();
            let value = "x".repeat(size.parse().unwrap());
            let count = count.parse::<usize>().unwrap();
            let lines: Vec<_> = (0..count).map(|it| format!("x{it}: {value}\r\n")).collect();
            let lines = lines.concat();
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n");
            if asked.wire.try_send(text).is_err() {
                return;
            }
        }
    });
    for (port, protocol) in [(one.port, Protocol::Http), (two.port, Protocol::Http2)] {
        let shop = Shop::new(&[port]).speaking(protocol).policy(|it| it.retry.attempts = 0);
        let mut plane = Plane::new(&shop);
        let bad = "502 bad-answer callee unsafe";
        for (path, verdict) in [
            ("/98x1", "200 -"),
            ("/120x1", bad),
            ("/1x16000", "200 -"),
            ("/1x16500", bad),
            ("/9x9000", bad),
        ] {
            let told = if verdict == bad { plane.refused(path) } else { plane.get(path) };
            assert_eq!(told, verdict, "{protocol:?} {path}");
        }
        plane.end();
    }
}

/// RFC 9110, section 2.5, and RFC 9112, section 2.3: a later HTTP/1 is served as HTTP/1.1, and answered as that.
#[test]
fn issue_13_a_later_minor_version_is_served() {
    let cart = Instance::answering("HTTP/1.2 200 OK\r\nContent-Length: 1\r\n\r\nx");
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    for _ in 0..2 {
        let told = client.ask("GET / HTTP/1.2\r\nHost: a\r\n\r\n");
        assert_eq!((told.text(), told.head.0.lines().next()), ("x", Some("HTTP/1.1 200 OK")));
    }
    assert!(cart.heads().iter().all(|it| it.0.starts_with("GET / HTTP/1.1\r\n")));
    let told = client.ask("GET / HTTP/2.0\r\nHost: a\r\n\r\n");
    assert_eq!(plane.found(&told), "505 version-not-supported caller useless");
    client.closed();
    plane.end();
}

/// RFC 9112, section 7.1: zeros in front of a chunk's size are read, up to sixteen digits.
#[test]
fn issue_13_sizes_of_chunks_may_have_zeros_in_front() {
    let cart = Instance::echo();
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = plane.client();
    let told = client.ask(format!("{head}0000000000000002\r\nhi\r\n0000000000000000\r\n\r\n"));
    assert_eq!(told.text(), "hi");
    let told = client.ask(format!("{head}00000000000000002\r\nhi\r\n0\r\n\r\n"));
    assert_eq!(told.head.status(), 400);
    client.closed();
    plane.end();
}
