//! Connections that are open when the data plane is replaced: by an upgrade, or since it is told other options.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::harness::http::{Request, ask_tcp};
use crate::harness::{DEADLINE, Site, processes, until};
use crate::telemetry::value;

const ECHO: &str = "
import os, socketserver
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
Server(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
";

const EVENTS: &str = "
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('content-type', 'text/event-stream')
        self.end_headers()
        while self.path == '/events':
            self.wfile.write(b'data: now\\n\\n')
            time.sleep(0.05)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
";

/// A database that somebody keeps a connection to, and a stream of events. `call` and `route` are policies.
fn site(call: &str, route: &str) -> Site {
    let site = Site::with_gateway(&format!(
        "name: shop\nservices:\n  db: {{artifact: ./db, command: python3 main.py, protocol: tcp}}\n  \
         worker: {{artifact: ./db, command: sleep 1000, calls: {{db: {{{call}}}}}}}\n  \
         web: {{artifact: ./web, command: python3 main.py, healthcheck: {{path: /}}, stop_grace_period: 1s}}\n\
         routes: [{{service: web, resilience: {{{route}}}}}]\n"
    ));
    site.write("db/main.py", ECHO);
    site.write("web/main.py", EVENTS);
    site.ok(&["up", "--detach"]);
    site
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// A connection to the database, as the worker's pool has it.
fn pooled(site: &Site) -> TcpStream {
    let told = site.ok(&["exec", "worker", "--", "sh", "-c", "echo $DB_ADDRESS"]).out;
    connect(told.trim())
}

/// Asks the database; whether it has answered.
fn is_answered(pool: &mut TcpStream) -> bool {
    let mut answer = [0];
    pool.write_all(b"x").is_ok() && pool.read_exact(&mut answer).is_ok()
}

fn events(site: &Site) -> BufReader<TcpStream> {
    let mut stream = connect(&site.gateway());
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: shop\r\n\r\n").unwrap();
    BufReader::new(stream)
}

/// Reads a few events; whether they came.
fn go_on(events: &mut BufReader<TcpStream>) -> bool {
    let mut count = 0;
    for line in events.lines() {
        count += usize::from(line.is_ok_and(|it| it.starts_with("data:")));
        if count == 5 {
            return true;
        }
    }
    false
}

/// Another gateway is asked for, so that another data plane takes over.
fn replace(site: &mut Site) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    site.end_control();
    site.gateway_at(&free);
    site.start();
    until("the successor", || (site.gateway() == free).then_some(()));
}

fn draining(site: &Site) -> Vec<Value> {
    site.get("/v1/status").ok()["draining"].as_array().cloned().unwrap_or_default()
}

/// Waits until data planes that were replaced have so many connections, each.
fn until_draining(site: &Site, connections: &[u64]) -> Vec<Value> {
    until("the connections of replaced data planes", || {
        let found = draining(site);
        let counts = found.iter().map(|it| it["client_connections"].as_u64().unwrap());
        counts.eq(connections.iter().copied()).then_some(found)
    })
}

#[test]
fn issue_13_connections_outlive_their_data_plane() {
    let mut site = site("", "");
    let (mut pool, mut stream) = (pooled(&site), events(&site));
    assert!(is_answered(&mut pool) && go_on(&mut stream));

    replace(&mut site);
    assert!(is_answered(&mut pool) && go_on(&mut stream));
    assert_eq!(ask_tcp(&site.gateway(), &Request::get("/")).unwrap().status, 200);
    let first = until_draining(&site, &[2]);
    let shown = site.ok(&["status"]).out;
    assert!(shown.contains("was replaced and goes on for its 2 connections"), "{shown}");

    // One more has nothing to go on for.
    replace(&mut site);
    let second = until_draining(&site, &[2]);
    assert_eq!(second[0]["pid"], first[0]["pid"]);
    assert!(is_answered(&mut pool) && go_on(&mut stream));

    // The next control process finds it.
    site.kill_control();
    site.start();
    until_draining(&site, &[2]);
    assert!(is_answered(&mut pool) && go_on(&mut stream));

    // It follows the table: what is idle is closed for an instance that stops, which does not wait for its grace to end.
    site.ok(&["restart", "db"]);
    assert_eq!(pool.read(&mut [0]).unwrap(), 0);
    site.text(0, "db.2 is ready");
    assert!(is_answered(&mut pooled(&site)));
    assert!(go_on(&mut stream));
    until_draining(&site, &[1]);

    drop(stream);
    until_draining(&site, &[]);
    until("its end", || (processes::data_planes(&site.data()).len() == 1).then_some(()));
}

#[test]
fn issue_13_a_connection_that_may_not_outlive_its_data_plane_is_cut() {
    let mut site = site("drain: 0s", "drain: 1h");
    let edges = site.ok(&["edge"]).out;
    assert!(edges.contains("outlive their data plane by 0s"), "{edges}");
    let (mut pool, mut stream) = (pooled(&site), events(&site));
    assert!(is_answered(&mut pool) && go_on(&mut stream));
    replace(&mut site);
    assert_eq!(pool.read(&mut [0]).unwrap_or(0), 0);
    until_draining(&site, &[1]);
    assert!(go_on(&mut stream));

    // With the last control process that needs them they end.
    site.ok(&["down"]);
    site.end_control();
    until("their end", || processes::data_planes(&site.data()).is_empty().then_some(()));
}

#[test]
fn issue_13_limits_and_metrics_count_what_a_replaced_data_plane_has() {
    let mut site = site("", "max_concurrency: 2");
    let status = |site: &Site| ask_tcp(&site.gateway(), &Request::get("/")).unwrap().status;
    let (mut first, second) = (events(&site), events(&site));
    assert!(go_on(&mut first));
    until("both places to be taken", || (status(&site) == 503).then_some(()));

    replace(&mut site);
    until_draining(&site, &[2]);
    until("both places to be taken", || (status(&site) == 503).then_some(()));
    let in_flight = r#"pelago_requests_in_flight{data_plane="replaced",callee="web"}"#;
    until("what is in flight", || (value(&site, in_flight)? == "2").then_some(()));
    let shown = site.get("/v1/routes").ok();
    assert_eq!(shown["routes"][0]["traffic"]["in_flight"], 2, "{shown}");

    // A place that is free there is free here.
    drop(second);
    until("a place to be free", || (status(&site) == 200).then_some(()));
    assert!(go_on(&mut first));
    let ended = r#"sum(pelago_requests_total{data_plane="replaced",callee="web"})"#;
    until("what has ended", || (value(&site, ended)? == "1").then_some(()));

    // It counts no more when it has ended.
    drop(first);
    until_draining(&site, &[]);
    let gone = r#"pelago_requests_in_flight{data_plane="replaced",callee="web"}"#;
    until("nothing in flight", || (value(&site, gone)? == "0").then_some(()));
    assert_eq!(value(&site, ended).as_deref(), Some("2"));
    assert_eq!(status(&site), 200);

    // The next control process knows nothing of it, and nothing is left standing.
    site.end_control();
    site.start();
    assert_eq!((value(&site, in_flight), value(&site, ended)), (None, None));
}
