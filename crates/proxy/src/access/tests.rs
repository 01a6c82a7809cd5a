//! What is logged, and what is not.

use std::sync::mpsc::{Receiver, sync_channel};

use host::Clock;
use model::Rng;
use model::route::Route;
use serde_json::{Value, json};

use super::*;
use crate::front::Front;
use crate::router::Router;

struct Request<'a> {
    path: &'a str,
    user_agent: Option<&'a str>,
}

impl Asked for Request<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.user_agent.filter(|_| name == "user-agent").map(str::as_bytes)
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn method(&self) -> &'static str {
        "GET"
    }

    fn path(&self) -> &str {
        self.path
    }
}

fn core(sample: Share) -> (Rc<Core>, Receiver<Vec<u8>>) {
    let (lines, received) = sync_channel(1_000);
    let logger = Logger { lines, dropped: Arc::default(), sample };
    let front = Front { access_log: Some(logger), ..Front::default() };
    let (told, _) = tokio::sync::mpsc::unbounded_channel();
    (Rc::new(Core::new(Clock::start(), Rng::new(1), 0, told, front)), received)
}

fn visit(core: &Rc<Core>) -> Visit<'_> {
    Visit { core, client: [192, 0, 2, 7].into(), protocol: "HTTP/1.1", is_tls: false }
}

fn begin(core: &Rc<Core>, request: &Request<'_>) -> Box<Record> {
    Record::begin(&visit(core), "shop.localhost", request).unwrap()
}

const PLAIN: Request<'_> = Request { path: "/x", user_agent: Some("curl/8") };

fn crossed() -> Crossed {
    Crossed { bytes_in: 3, bytes_out: 5, last: None, attempts: 2, trace: 0xabc }
}

/// How a request ended.
const fn answered(status: u16, error: Option<&str>) -> End<'_> {
    End::of(traffic::Outcome::Ok, Some(status), error)
}

/// The line, without what differs from run to run.
#[track_caller]
fn check(lines: &Receiver<Vec<u8>>, expected: &Value) {
    let line = lines.try_recv().unwrap();
    assert_eq!(line.iter().position(|it| *it == b'\n'), Some(line.len() - 1));
    let mut line: Value = serde_json::from_slice(&line).unwrap();
    let fields = line.as_object_mut().unwrap();
    assert!(Timestamp::parse(fields.remove("time").unwrap().as_str().unwrap()).is_some());
    assert!(0.0 <= fields.remove("duration_ms").unwrap().as_f64().unwrap());
    assert_eq!(line, *expected);
    assert!(lines.try_recv().is_err(), "a request is logged once");
}

#[test]
fn a_request_that_crossed() {
    let (core, lines) = core(Share::ALL);
    let route: Route =
        serde_json::from_value(json!({"host": "shop.localhost", "path": "/x", "service": "web"}))
            .unwrap();
    let routes = [("shop".parse().unwrap(), Arc::from([route]))].into();
    let at = crate::edge::Beginning { now: Instant::ZERO, rng: &Rng::new(1), log: None };
    let router = Router::new(&routes, &Router::default(), &at);
    let mut record = begin(&core, &PLAIN);
    record.routed(&router.find(b"shop.localhost", &PLAIN).unwrap().unwrap());
    record.crossed(crossed(), &answered(201, None));
    drop(record);
    check(
        &lines,
        &json!({
            "client": "192.0.2.7", "method": "GET", "host": "shop.localhost", "path": "/x",
            "status": 201, "bytes_in": 3, "bytes_out": 5, "application": "shop",
            "route": "shop.localhost/x", "service": "web", "attempts": 2,
            "trace": "00000000000000000000000000000abc", "protocol": "HTTP/1.1", "tls": false,
            "user_agent": "curl/8",
        }),
    );
}

#[test]
fn answers_of_the_gateway_itself() {
    let (core, lines) = core(Share::ZERO);
    let mut record = begin(&core, &PLAIN);
    record.own(404, "no-route", 7);
    drop(record);
    let mut expected = json!({
        "client": "192.0.2.7", "method": "GET", "host": "shop.localhost", "path": "/x",
        "status": 404, "bytes_in": 0, "bytes_out": 7, "attempts": 0, "protocol": "HTTP/1.1",
        "tls": false, "user_agent": "curl/8", "reason": "no-route",
    });
    check(&lines, &expected);
    // One in an instance's place stays what it is.
    let mut record = begin(&core, &PLAIN);
    record.own(200, "no-instance", 0);
    record
        .crossed(Crossed { bytes_in: 0, bytes_out: 0, ..crossed() }, &answered(503, Some("other")));
    drop(record);
    for (name, value) in [
        ("status", json!(200)),
        ("bytes_out", json!(0)),
        ("attempts", json!(2)),
        ("trace", json!("00000000000000000000000000000abc")),
        ("reason", json!("no-instance")),
    ] {
        expected[name] = value;
    }
    check(&lines, &expected);
    let mut record = Record::unread(&visit(&core)).unwrap();
    record.own(400, "malformed-request", 0);
    drop(record);
    check(
        &lines,
        &json!({
            "client": "192.0.2.7", "status": 400, "bytes_in": 0, "bytes_out": 0, "attempts": 0,
            "protocol": "HTTP/1.1", "tls": false, "reason": "malformed-request",
        }),
    );
}

#[test]
fn a_client_that_did_not_wait() {
    let (core, lines) = core(Share::ZERO);
    drop(begin(&core, &PLAIN));
    let line: Value = serde_json::from_slice(&lines.try_recv().unwrap()).unwrap();
    assert_eq!((line["reason"].as_str(), line.get("status")), (Some("client-gone"), None));
}

#[test]
fn what_is_long_is_cut_and_what_is_odd_is_quoted() {
    let (core, lines) = core(Share::ALL);
    let path = format!("/{}", "\u{e4}".repeat(PATH_BYTES_MAX));
    let agent = "\"\n\u{7}".repeat(AGENT_BYTES_MAX);
    drop(begin(&core, &Request { path: &path, user_agent: Some(&agent) }));
    let line = lines.try_recv().unwrap();
    let line: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line["path"].as_str().unwrap().len(), PATH_BYTES_MAX - 1);
    assert_eq!(line["user_agent"].as_str().unwrap().len(), AGENT_BYTES_MAX);
}

#[test]
fn a_sample_leaves_out_what_is_good() {
    for (sample, expected) in [(Share::ZERO, 0..1), (Share::from_percent(10), 60..150)] {
        let (core, lines) = core(sample);
        for _ in 0..1_000 {
            begin(&core, &PLAIN).crossed(crossed(), &answered(404, None));
        }
        assert!(expected.contains(&lines.try_iter().count()));
        begin(&core, &PLAIN).crossed(crossed(), &answered(500, Some("server-error")));
        assert_eq!(lines.try_iter().count(), 1);
        let mut record = begin(&core, &PLAIN);
        record.crossed(crossed(), &answered(200, None));
        assert!(!record.is_notable(Duration::ZERO) && record.is_notable(SLOW));
    }
}

#[test]
fn without_a_log_there_is_no_record() {
    let (told, _) = tokio::sync::mpsc::unbounded_channel();
    let core = Rc::new(Core::new(Clock::start(), Rng::new(1), 0, told, Front::default()));
    assert!(Record::begin(&visit(&core), "", &PLAIN).is_none());
    assert!(Record::unread(&visit(&core)).is_none());
}
