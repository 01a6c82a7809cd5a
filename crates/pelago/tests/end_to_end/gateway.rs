//! What the gateway is told beside where it listens: to log requests, and to believe a load balancer.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::http::{Request, ask_tcp};
use crate::harness::{DEADLINE, Site, until};

const SHOP: &str = "
name: shop
services: {web: {behaviour: {work: 1ms}}}
routes:
  - {host: localhost, path: /shop, service: web}
  - {host: localhost, path: /old, redirect: {to: /shop}}
";

/// A site whose gateway is told this, and logs to the file that is returned.
fn shop(serve: &[&'static str]) -> (Site, PathBuf) {
    let mut site = Site::new();
    site.serve = serve.to_vec();
    site.gateway_at("127.0.0.1:0");
    site.start();
    site.manifest(SHOP);
    site.ok(&["up", "--detach"]);
    // It is relative to where the control process runs.
    let log = site.app().join("access.log");
    (site, log)
}

/// Sends bytes and hands out the connection.
fn send(address: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// Everything that is answered to these bytes, until the connection ends.
fn answer(address: &str, bytes: &[u8]) -> String {
    let mut answer = Vec::new();
    let mut stream = send(address, bytes);
    // A connection that is closed while there is something to read in it ends with a reset.
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// The lines that are logged, once there are so many.
#[track_caller]
fn lines(log: &Path, count: usize) -> Vec<Value> {
    until("the access log", || {
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<Value> =
            text.lines().filter_map(|it| serde_json::from_str(it).ok()).collect();
        (count <= lines.len()).then_some(lines)
    })
}

#[track_caller]
fn check(line: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(line.get(name).unwrap_or(&Value::Null), value, "{name} of {line:#}");
    }
}

/// A request over HTTP/2 that is known to be understood: the preface, no settings, and one frame of
/// headers from the static table (RFC 7541, appendix A) with the host `localhost`.
fn http2_get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x41, 9];
    block.extend_from_slice(b"localhost");
    block.extend([0x04, u8::try_from(path.len()).unwrap()]);
    block.extend_from_slice(path.as_bytes());
    let length = u8::try_from(block.len()).unwrap();
    let frames = [&[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, length, 1, 5, 0, 0, 0, 1][..], &block];
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frames.concat()].concat()
}

#[test]
fn requests_at_the_gateway_are_logged() {
    let (site, log) = shop(&["--access-log", "access.log"]);
    let gateway = site.gateway();
    let headers = [("user-agent", "test/1"), ("traceparent", TRACEPARENT)];
    let request = Request { headers: &headers, ..Request::post("/shop/1?secret=2", "12345") };
    let body = ask_tcp(&gateway, &request).unwrap().body;
    ask_tcp(&gateway, &Request::get("/old")).unwrap();
    ask_tcp(&gateway, &Request::get("/nowhere?secret=2")).unwrap();
    answer(&gateway, b"nonsense\r\n\r\n");
    let open = ["/shop", "/else"].map(|path| send(&gateway, &http2_get(path)));
    let lines = lines(&log, 6);
    drop(open);
    let paths = ["/shop/1", "/old", "/nowhere", "", "/else", "/shop"];
    let [shop, redirected, lost, nonsense, http2_lost, http2] = paths.map(|path| {
        let found = lines.iter().find(|it| it["path"].as_str().unwrap_or_default() == path);
        found.unwrap_or_else(|| panic!("no {path} in {lines:#?}"))
    });
    check(
        shop,
        &json!({
            "client": "127.0.0.1", "method": "POST", "host": "localhost", "path": "/shop/1",
            "status": 200, "bytes_in": 5, "bytes_out": body.len(), "application": "shop",
            "route": "localhost/shop", "service": "web", "release": 1, "instance": "web.1",
            "attempts": 1, "trace": "4bf92f3577b34da6a3ce929d0e0e4736", "protocol": "HTTP/1.1",
            "tls": false, "reason": null, "user_agent": "test/1",
        }),
    );
    assert!(1.0 <= shop["duration_ms"].as_f64().unwrap(), "{shop}");
    check(redirected, &json!({"status": 307, "reason": "redirect", "route": "localhost/old"}));
    check(lost, &json!({"status": 404, "reason": "no-route", "route": null, "instance": null}));
    check(nonsense, &json!({"status": 400, "reason": "malformed-request", "method": null}));
    check(http2_lost, &json!({"status": 404, "reason": "no-route", "protocol": "HTTP/2"}));
    let of_http2 = json!({"status": 200, "protocol": "HTTP/2", "service": "web", "attempts": 1});
    check(http2, &of_http2);
    assert!(!fs::read_to_string(&log).unwrap().contains("secret"));
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[test]
fn a_log_that_was_moved_away_is_begun_anew_and_a_sample_has_all_that_failed() {
    let (site, log) = shop(&["--access-log", "access.log", "--access-log-sample", "0%"]);
    let ask = |path: &str| ask_tcp(&site.gateway(), &Request::get(path)).unwrap().status;
    assert_eq!((ask("/shop"), ask("/nowhere")), (200, 404));
    check(&lines(&log, 1)[0], &json!({"status": 404}));
    fs::rename(&log, log.with_extension("old")).unwrap();
    until("the new log", || log.exists().then_some(()));
    assert_eq!((ask("/shop"), ask("/elsewhere")), (200, 404));
    check(&lines(&log, 1)[0], &json!({"path": "/elsewhere"}));
}

#[test]
fn a_load_balancer_says_whose_connection_it_passes_on() {
    let (mut site, log) = shop(&["--proxy-protocol", "--access-log", "access.log"]);
    let request = b"GET /shop HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let gateway = site.gateway();
    let with = |header: &[u8]| answer(&gateway, &[header, request].concat());
    assert_eq!(with(b""), "");
    assert_eq!(with(b"PROXY TCP4 192.0.2.300 192.0.2.1 4711 80\r\n"), "");
    let text = with(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n");
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    let binary = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0d\xb8"[..], &[0; 32]].concat();
    let binary = with(&binary);
    assert!(binary.starts_with("HTTP/1.1 200 "), "{binary}");
    with(b"PROXY UNKNOWN\r\n");
    let lines = lines(&log, 3);
    let clients: Vec<_> = lines.iter().map(|it| it["client"].as_str().unwrap()).collect();
    assert_eq!(clients, ["192.0.2.7", "2001:db8::", "127.0.0.1"]);
    // Whoever takes it back gets another data plane, which believes nobody.
    site.kill_control();
    site.serve = vec!["--proxy-protocol=false"];
    site.start();
    let plain = until("a data plane that believes nobody", || {
        Some(answer(&site.gateway(), request)).filter(|it| !it.is_empty())
    });
    assert!(plain.starts_with("HTTP/1.1 200 "), "{plain}");
}
