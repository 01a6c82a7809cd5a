//! What requests ask for, over both versions of HTTP.

use model::service::Protocol;

use crate::frames::{Came, Frames};
use crate::harness::{Instance, Plane, Shop};
use crate::streams::{Serves, Streams, head, request};
use crate::wire::ok;

/// An instance of HTTP/2 that says for what it was asked.
fn says() -> Serves {
    Serves::new(|request, mut reply| {
        Box::pin(async move {
            let target = request.uri().path_and_query().unwrap().as_str().to_owned();
            let host = request.uri().authority().map_or("-", |it| it.as_str()).to_owned();
            let headers =
                [("x-target", target.as_str()), ("x-host", host.as_str()), ("content-length", "0")];
            reply.send_response(head(200, &headers), true).unwrap();
        })
    })
}

/// RFC 9113, section 8.3.1: a path begins with a slash, or is an asterisk for OPTIONS.
#[test]
fn issue_13_what_is_no_path_is_refused_over_http2() {
    let cart = Instance::answering(ok("x"));
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = Frames::connect(plane.gateway);
    // 1 is PROTOCOL_ERROR.
    for (path, came) in [
        (&b"*"[..], Came::Status(400)),
        (b"?x", Came::Status(400)),
        (b"x", Came::Reset(1)),
        (b"http://shop/", Came::Reset(1)),
        (b"", Came::Reset(1)),
        (b"/", Came::Status(200)),
    ] {
        assert_eq!(client.ask_with(&[(":path", path)]), came, "{path:?}");
    }
    let no_path: [(&str, &[u8]); 3] =
        [(":method", b"GET"), (":scheme", b"http"), (":authority", b"shop")];
    assert_eq!(client.ask(&no_path), Came::Reset(1));
    let options: [(&str, &[u8]); 2] = [(":method", b"OPTIONS"), (":path", b"*")];
    assert_eq!(client.ask_with(&options), Came::Status(200));
    assert_eq!(cart.heads().len(), 2);
    drop(client);
    plane.end();
}

/// RFC 9110, section 9.3.7: whoever has the root of a host answers for all of it, whatever its route rewrites.
#[test]
fn issue_13_options_of_the_server_itself_pass_over_every_pair_of_versions() {
    let (one, two) = (Instance::answering(ok("x")), says());
    for (port, protocol) in [(one.port, Protocol::Http), (two.port, Protocol::Http2)] {
        let mut shop = Shop::new(&[port]).speaking(protocol);
        shop.route = serde_json::json!({"path": "/", "service": "cart", "rewrite": "/new"});
        let plane = Plane::new(&shop);
        let streams = Streams::new(plane.gateway);
        let mut frames = Frames::connect(plane.gateway);
        let mut client = plane.client();
        let told = client.ask("OPTIONS * HTTP/1.1\r\nHost: shop\r\n\r\n");
        assert_eq!(told.verdict(), "200 -");
        // The last proxy writes it so (RFC 9112, section 3.2.4).
        let absolute = client.ask("OPTIONS http://shop HTTP/1.1\r\nHost: a\r\n\r\n");
        let options: [(&str, &[u8]); 2] = [(":method", b"OPTIONS"), (":path", b"*")];
        assert_eq!(frames.ask_with(&options), Came::Status(200));
        if protocol == Protocol::Http {
            for seen in one.heads() {
                assert!(seen.0.starts_with("OPTIONS * HTTP/1.1\r\nhost: shop\r\n"), "{}", seen.0);
            }
            assert_eq!(one.heads().len(), 3);
        } else {
            for told in [told, absolute] {
                assert_eq!(
                    (told.head.get("x-target"), told.head.get("x-host")),
                    (Some("*"), Some("shop"))
                );
            }
        }
        assert_eq!(streams.ask(request("GET", "/a", &[])).status, 200);
        drop((client, streams, frames));
        plane.end();
    }
}

/// RFC 9110, section 4.2.3, and RFC 9112, section 3.2.2.
#[test]
fn issue_13_an_absolute_target_without_a_path_is_the_root() {
    let (one, two) = (Instance::answering(ok("x")), says());
    for (port, protocol) in [(one.port, Protocol::Http), (two.port, Protocol::Http2)] {
        let plane = Plane::new(&Shop::new(&[port]).speaking(protocol));
        let mut client = plane.client();
        let plain = client.ask("GET http://shop HTTP/1.1\r\nHost: a\r\n\r\n");
        let query = client.ask("GET http://shop?x HTTP/1.1\r\nHost: a\r\n\r\n");
        if protocol == Protocol::Http {
            let lines: Vec<_> =
                one.heads().iter().map(|it| it.0.lines().next().unwrap().to_owned()).collect();
            assert_eq!(lines, ["GET / HTTP/1.1", "GET /?x HTTP/1.1"]);
        } else {
            assert_eq!(plain.head.get("x-target"), Some("/"));
            assert_eq!(query.head.get("x-target"), Some("/?x"));
        }
        drop(client);
        plane.end();
    }
}

/// RFC 3986, section 3.3: to many servers `/admin;x` is `/admin`. Where routes see it so, nothing leads around them, and what is
/// passed on is what came.
#[test]
fn issue_13_a_parameter_leads_around_no_route_that_ignores_it() {
    let cart = Instance::answering(ok("x"));
    for (parameters, is_matched) in [("ignore", true), ("keep", false)] {
        let mut shop = Shop::new(&[cart.port]);
        shop.route =
            serde_json::json!({"path": "/admin", "service": "cart", "path_parameters": parameters});
        let plane = Plane::new(&shop);
        let streams = Streams::new(plane.gateway);
        for path in ["/admin;x", "/;y/admin", "/public/..;/admin"] {
            let status = if is_matched { 200 } else { 404 };
            assert_eq!(plane.client().get(path).head.status(), status, "{path}");
            assert_eq!(streams.ask(request("GET", path, &[])).status, status, "{path}");
            if is_matched {
                let seen = cart.heads().pop().unwrap();
                assert!(seen.0.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{}", seen.0);
            }
        }
        drop(streams);
        plane.end();
    }
}
