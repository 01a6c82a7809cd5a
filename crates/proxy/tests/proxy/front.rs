//! What the gateway is told beside where it listens: to log, and to expect PROXY protocol headers.

use model::service::Protocol;
use serde_json::Value;

use crate::harness::{Instance, Plane, Shop, Start};
use crate::http2::{Client, nothing, request};
use crate::streams::{self, Serves, Streams, head};
use crate::wire::{get, ok};

/// The lines of a data plane that has ended, and so has written them all.
pub(crate) fn logged(plane: Plane) -> Vec<Value> {
    let folder = std::sync::Arc::clone(&plane.folder);
    plane.end();
    let text = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    text.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
}

/// What differs between the ways a request may end: status, reason, bytes in and out, attempts.
fn ends(lines: &[Value]) -> Vec<String> {
    const NAMES: [&str; 5] = ["status", "reason", "bytes_in", "bytes_out", "attempts"];
    let one = |line: &Value| NAMES.map(|name| line[name].to_string().replace('"', "")).join(" ");
    lines.iter().map(one).collect()
}

#[test]
fn the_address_in_the_header_is_the_clients() {
    let cart = Instance::answering(ok("x"));
    let plane = Plane::start(&Shop::new(&[cart.port]), Start::BehindBalancer);
    let mut client = plane.client();
    let header = "PROXY TCP6 2001:db8::7 ::1 4711 80\r\n";
    assert_eq!(client.ask([header, &get("/")].concat()).verdict(), "200 -");
    assert_eq!(client.get("/").verdict(), "200 -");
    let mut local = plane.client();
    local.send("PROXY UNKN");
    assert_eq!(local.ask(["OWN\r\n", &get("/")].concat()).verdict(), "200 -");
    drop((client, local));
    let from: Vec<_> =
        cart.heads().iter().map(|it| it.get("x-forwarded-for").unwrap().to_owned()).collect();
    assert_eq!(from, ["2001:db8::7", "2001:db8::7", "127.0.0.1"]);
    let clients: Vec<_> = logged(plane).iter().map(|it| it["client"].clone()).collect();
    assert_eq!(clients, from);
}

#[test]
fn clients_are_told_apart_by_the_address_in_the_header() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]);
    shop.route["rate_limit"] =
        serde_json::json!({"per_second_thousandths": 1, "burst": 1, "key": "client-address"});
    let plane = Plane::start(&shop, Start::BehindBalancer);
    let ask = |address: &str| {
        let header = format!("PROXY TCP4 {address} 192.0.2.1 4711 80\r\n");
        plane.client().ask([header, get("/")].concat()).head.status()
    };
    assert_eq!(["192.0.2.7", "192.0.2.8", "192.0.2.7"].map(ask), [200, 200, 429]);
    assert_eq!(ends(&logged(plane))[2], "429 rate-limited 0 83 0");
}

/// RFC 7239 and what proxies do: whoever connects can write what he likes before the address that the last trusted proxy has
/// seen itself.
#[test]
fn issue_13_the_client_is_the_last_that_is_no_trusted_proxy() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]);
    shop.route["rate_limit"] =
        serde_json::json!({"per_second_thousandths": 1, "burst": 1, "key": "client-address"});
    let plane = Plane::start(&shop, Start::BehindProxy);
    let over_http2 = Client::new(plane.gateway);
    let mut told = Vec::new();
    for (chain, expected, client) in [
        ("6.6.6.6, 192.0.2.7", 200, "192.0.2.7"),
        ("7.7.7.7, 192.0.2.7, 127.0.0.1", 429, "192.0.2.7"),
        ("192.0.2.8:4711", 200, "192.0.2.8"),
        ("[2001:db8::1]:80", 200, "2001:db8::1"),
        ("192.0.2.9, unknown", 200, "127.0.0.1"),
    ] {
        let asking = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {chain}\r\n\r\n");
        assert_eq!(plane.client().ask(asking).head.status(), expected, "{chain}");
        told.push(client);
    }
    // Over HTTP/2 as well: the address is known by now.
    let mut asking = request("/", nothing());
    asking.headers_mut().insert("x-forwarded-for", "5.5.5.5, 192.0.2.8".parse().unwrap());
    assert_eq!(over_http2.ask(asking).0.status, 429);
    told.push("192.0.2.8");
    drop(over_http2);
    let first = cart.heads()[0].get("x-forwarded-for").unwrap().to_owned();
    assert_eq!(first, "6.6.6.6, 192.0.2.7, 127.0.0.1");
    let clients: Vec<_> = logged(plane).iter().map(|it| it["client"].clone()).collect();
    assert_eq!(clients, told);
}

#[test]
fn issue_13_nobody_else_says_who_it_is() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]);
    shop.route["rate_limit"] =
        serde_json::json!({"per_second_thousandths": 1, "burst": 1, "key": "client-address"});
    let plane = Plane::start(&shop, Start::Logging);
    let over_http2 = Client::new(plane.gateway);
    let mut asking = request("/", nothing());
    for name in ["x-forwarded-for", "forwarded", "x-real-ip", "x_forwarded_for", "true-client-ip"] {
        asking.headers_mut().insert(name, "192.0.2.7".parse().unwrap());
    }
    assert_eq!(over_http2.ask(asking).0.status, 200);
    let asking = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.8\r\n\r\n";
    assert_eq!(plane.client().ask(asking).head.status(), 429);
    drop(over_http2);
    let head = cart.heads().remove(0);
    let found = ["x-forwarded-for", "forwarded", "x-real-ip", "x_forwarded_for", "true-client-ip"]
        .map(|it| head.get(it));
    assert_eq!(found, [Some("127.0.0.1"), None, None, None, None]);
    let clients: Vec<_> = logged(plane).iter().map(|it| it["client"].clone()).collect();
    assert_eq!(clients, ["127.0.0.1", "127.0.0.1"]);
}

/// RFC 7239 and RFC 9110, section 7.6.3: each adds itself behind those that were there, in both directions and both versions.
#[test]
fn issue_13_the_gateway_says_where_it_stands_if_it_is_asked_to() {
    let values = |text: &str, name: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|it| it.split_once(": "));
        let named = lines.filter(|it| it.0.eq_ignore_ascii_case(name));
        named.map(|it| it.1.to_owned()).collect()
    };
    let one = Instance::answering("HTTP/1.1 200 OK\r\nVia: 1.1 app\r\nContent-Length: 0\r\n\r\n");
    let two = Serves::new(|request, mut reply| {
        Box::pin(async move {
            // What it was told goes back in the body.
            let lines = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
            let body: Vec<String> = lines.collect();
            let mut stream = reply.send_response(head(200, &[("via", "2.0 app")]), false).unwrap();
            stream.send_data(body.concat().into(), true).unwrap();
        })
    });
    let asking =
        "GET / HTTP/1.1\r\nHost: shop\r\nForwarded: for=192.0.2.7\r\nVia: 1.0 nginx\r\n\r\n";
    let told = [("forwarded", "for=192.0.2.7"), ("via", "1.0 nginx")];
    let forwarded = ["for=192.0.2.7", "for=127.0.0.1;proto=http;host=\"shop\""];
    let plane = Plane::start(&Shop::new(&[one.port]), Start::Saying);
    let answer = plane.client().ask(asking);
    assert_eq!(values(&answer.head.0, "via"), ["1.1 app", "1.1 pelago"]);
    let streams = Streams::new(plane.gateway);
    let answer = streams.ask(streams::request("GET", "/", &told));
    let via: Vec<_> = answer.headers.get_all("via").iter().collect();
    assert_eq!(via, ["1.1 app", "1.1 pelago"]);
    for (head, via) in one.heads().iter().zip(["1.1 pelago", "2.0 pelago"]) {
        assert_eq!(values(&head.0, "forwarded"), forwarded);
        assert_eq!(values(&head.0, "via"), ["1.0 nginx", via]);
    }
    drop(streams);
    plane.end();
    let plane = Plane::start(&Shop::new(&[two.port]).speaking(Protocol::Http2), Start::Saying);
    let answer = plane.client().ask(asking);
    assert_eq!(values(&answer.head.0, "via"), ["2.0 app", "2.0 pelago"]);
    assert_eq!(values(answer.text(), "forwarded"), forwarded);
    assert_eq!(values(answer.text(), "via"), ["1.0 nginx", "1.1 pelago"]);
    let streams = Streams::new(plane.gateway);
    let answer = streams.ask(streams::request("GET", "/", &told));
    assert_eq!(values(answer.text(), "forwarded"), forwarded);
    assert_eq!(values(answer.text(), "via"), ["1.0 nginx", "2.0 pelago"]);
    drop(streams);
    plane.end();
    // Nobody else is told, and what is not trusted is taken off.
    let plane = Plane::start(&Shop::new(&[two.port]).speaking(Protocol::Http2), Start::Usual);
    let answer = plane.client().ask(asking);
    assert!(values(answer.text(), "forwarded").is_empty());
    assert_eq!(values(&answer.head.0, "via"), ["2.0 app"]);
    plane.end();
}

#[test]
fn whoever_sends_no_header_is_not_served() {
    let cart = Instance::answering(ok("x"));
    let plane = Plane::start(&Shop::new(&[cart.port]), Start::BehindBalancer);
    for begin in [&get("/"), "PROXY TCP4 1.2.3.4 1.2.3.4 x 1\r\n", "\r\n\r\n\0\r\nQUIT\n\u{1}"] {
        let mut client = plane.client();
        client.send(begin);
        client.closed();
    }
    assert!(cart.heads().is_empty());
    plane.end();
}

#[test]
fn every_end_of_a_request_is_logged() {
    let cart = Instance::new(|mut asked| {
        while let Some((head, _)) = asked.request() {
            match head.0.split(' ').nth(1).unwrap() {
                "/bad" => asked.wire.send("HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"),
                "/chunks" => asked.wire.send(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                ),
                "/short" => {
                    asked.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
                    return;
                }
                "/reset" => return,
                "/up" => {
                    asked.wire.send("HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
                    let said = asked.wire.exact(4);
                    asked.wire.send([&said[..], b"more"].concat());
                    return;
                }
                "/never" => {
                    asked.wire.closed();
                    return;
                }
                _ => asked.wire.send(ok("hello")),
            }
        }
    });
    let plane = Plane::start(&Shop::new(&[cart.port]), Start::Logging);
    let mut client = plane.client();
    client.get("/");
    client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    client.get("/bad");
    client.get("/chunks");
    client.ask("POST /reset HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    let mut short = plane.client();
    short.send(get("/short"));
    short.rest();
    let mut upgraded = plane.client();
    upgraded.send("GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    upgraded.head().unwrap();
    upgraded.send("ping");
    assert_eq!(upgraded.exact(8), b"pingmore");
    upgraded.end();
    upgraded.closed();
    plane.client().ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let mut gone = plane.client();
    gone.send(get("/never"));
    while cart.heads().last().is_none_or(|it| !it.0.contains("/never")) {
        std::thread::yield_now();
    }
    gone.end();
    gone.closed();
    drop(client);
    let mut ends = ends(&logged(plane));
    // They are connections of their own.
    ends.sort();
    insta::assert_snapshot!(ends.join("\n"), @"
    101 null 4 8 1
    200 cut-short 0 4 1
    200 null 0 13 1
    200 null 0 5 1
    200 null 3 5 1
    400 malformed-request 0 68 0
    500 server-error 0 2 1
    502 reset 1 83 1
    null client-gone 0 0 1
    ");
}
