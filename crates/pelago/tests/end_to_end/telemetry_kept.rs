//! Telemetry that came before the control process was killed is there after it; and nobody's flood drowns the
//! others.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::Site;
use crate::harness::http::{self, Request};

/// Requests of each signal that are sent before the kill.
const SENT: usize = 300;

/// MiB that the control process may need while one service floods it, in a debug build: what it needs anyhow, the
/// request that is read, and what stores keep in memory.
const FLOODED_MIB_MAX: u64 = 512;

/// One span, one log record and one data point of `cart` that say this number.
fn requests(number: usize) -> [(&'static str, String); 3] {
    let trace = format!("{:032x}", number + 1);
    let resource =
        r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]}"#;
    // A failure, so that no budget has it left out.
    let span = format!(
        r#"{{"traceId":"{trace}","spanId":"{:016x}","name":"n","startTimeUnixNano":"1000","endTimeUnixNano":"2000","status":{{"code":2}}}}"#,
        number + 1
    );
    let record = format!(r#"{{"body":{{"stringValue":"number n{number}"}}}}"#);
    let point = format!(
        r#"{{"asInt":{number},"attributes":[{{"key":"number","value":{{"intValue":{number}}}}}]}}"#
    );
    [
        (
            "/v1/traces",
            format!(r#"{{"resourceSpans":[{{{resource},"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#),
        ),
        (
            "/v1/logs",
            format!(
                r#"{{"resourceLogs":[{{{resource},"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#
            ),
        ),
        (
            "/v1/metrics",
            format!(
                r#"{{"resourceMetrics":[{{{resource},"scopeMetrics":[{{"metrics":[{{"name":"numbers","gauge":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
            ),
        ),
    ]
}

/// Sends a request, which must be taken in; returns the answer.
fn send(address: &str, target: &str, body: &str) -> String {
    let headers = [("content-type", "application/json")];
    let request = Request { headers: &headers, ..Request::post(target, body) };
    let answer = http::ask_tcp(address, &request).unwrap();
    assert_eq!(answer.status, 200, "{target}: {}", answer.body);
    answer.body
}

/// Sends a request all of which must be kept.
fn post(address: &str, target: &str, body: &str) {
    assert_eq!(send(address, target, body), "{}", "{target} {body}");
}

/// Resident bytes of a process, in MiB.
fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1_024
}

fn numbers<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<usize> {
    texts.filter_map(|it| it.parse().ok()).collect()
}

fn list<'a>(view: &'a Value, name: &str) -> &'a [Value] {
    view[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A control process, and where telemetry of it is taken in.
fn collecting() -> (Site, String) {
    let mut site = Site::new();
    site.telemetry_at("127.0.0.1:0");
    site.start();
    let address = site.telemetry();
    (site, address)
}

#[test]
fn what_was_answered_for_is_there_after_a_kill() {
    let (mut site, address) = collecting();
    for number in 0..SENT {
        for (target, body) in requests(number) {
            post(&address, target, &body);
        }
    }
    site.kill_control();
    site.start();

    let mut records = BTreeSet::new();
    let mut next = Some(String::new());
    while let Some(cursor) = next {
        let page =
            site.get(&format!("/v1/records?query=number&limit=5000&order=oldest{cursor}")).ok();
        let texts = list(&page, "records").iter().filter_map(|it| it["text"].as_str());
        records.extend(numbers(texts.filter_map(|it| it.strip_prefix("number n"))));
        next = page["next"].as_str().map(|it| format!("&cursor={it}"));
    }
    assert_eq!(records, (0..SENT).collect());
    let query = "count_values(%22number%22,numbers)";
    let samples = site.get(&format!("/api/v1/query?query={query}")).ok();
    let samples = list(&samples["data"], "result").iter();
    let samples = numbers(samples.filter_map(|it| it["metric"]["number"].as_str()));
    assert_eq!(samples, (0..SENT).collect());
    let is_there = |it: &usize| site.get(&format!("/v1/traces/{:032x}", it + 1)).status == 200;
    assert_eq!((0..SENT).filter(is_there).count(), SENT);
}

/// A service that sends far too much, in requests of eight megabytes, and another one.
struct Flood {
    site: Site,
    address: String,
    /// What was answered last.
    answer: String,
}

impl Flood {
    /// Sends until three requests were refused, or this many were sent.
    fn new(most: usize, request: &dyn Fn(usize) -> (&'static str, String)) -> Self {
        let (site, address) = collecting();
        let (mut answer, mut refused) = (String::new(), 0);
        // How much is too much depends on how fast it comes.
        for number in 0..most {
            let (target, body) = request(number);
            assert!((7 << 20) < body.len(), "{}", body.len());
            answer = send(&address, target, &body);
            refused += u32::from(answer.contains("rejected"));
            if refused == 3 {
                break;
            }
        }
        Self { site, address, answer }
    }

    /// What was too much is said to who sent it, and shown.
    fn check_refused(&self, signal: &str) {
        assert!(self.answer.contains("rejected"), "{}", self.answer);
        assert!(self.answer.contains("errorMessage"), "{}", self.answer);
        let view = self.site.get("/v1/telemetry").ok();
        let is_loud =
            |it: &&Value| it["signal"] == signal && it["origin"].to_string().contains("loud");
        let found = list(&view, "refused").iter().find(is_loud);
        let found = found.unwrap_or_else(|| panic!("{view:#}"));
        assert!(1_000 < found["count"].as_u64().unwrap(), "{found}");
    }

    /// Nobody else is refused anything, what it sends is found, and memory is bounded.
    fn check_others(&self) {
        for (target, body) in requests(7) {
            post(&self.address, target, &body);
        }
        let records = self.site.get("/v1/records?query=n7&service=cart").ok();
        assert_eq!(list(&records, "records").len(), 1);
        assert_eq!(self.site.get(&format!("/v1/traces/{:032x}", 8)).status, 200);
        let samples = self.site.get("/api/v1/query?query=numbers%7Bnumber=%227%22%7D").ok();
        assert_eq!(list(&samples["data"], "result").len(), 1);
        let resident = resident_mib(self.site.control_pid());
        assert!(resident < FLOODED_MIB_MAX, "{resident} MiB");
    }
}

/// A resource of the service that floods.
const LOUD: &str =
    r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"loud"}}]}"#;

#[test]
fn a_flood_of_log_records() {
    let flood = Flood::new(24, &|_| {
        let text = "the same again and again; ".repeat(160);
        let records = vec![format!(r#"{{"body":{{"stringValue":"{text}"}}}}"#); 1_900].join(",");
        let scope = format!(r#"{{"logRecords":[{records}]}}"#);
        ("/v1/logs", format!(r#"{{"resourceLogs":[{{{LOUD},"scopeLogs":[{scope}]}}]}}"#))
    });
    flood.check_refused("logs");
    flood.check_others();
}

/// Spans are refused only where they come faster than segments are written; here it is enough that nobody suffers.
#[test]
fn a_flood_of_spans() {
    let flood = Flood::new(12, &|request| {
        let name = "the same again and again; ".repeat(10);
        let span = |it: usize| {
            // None of these traces ends, and each failed: all of it has to be kept until it is known.
            let id = request * 100_000 + it + 1;
            format!(
                r#"{{"traceId":"{id:031x}f","spanId":"{id:016x}","name":"{name}","startTimeUnixNano":"1000","endTimeUnixNano":"2000","status":{{"code":2}}}}"#
            )
        };
        let spans = (0..19_000).map(span).collect::<Vec<_>>().join(",");
        let scope = format!(r#"{{"spans":[{spans}]}}"#);
        ("/v1/traces", format!(r#"{{"resourceSpans":[{{{LOUD},"scopeSpans":[{scope}]}}]}}"#))
    });
    flood.check_others();
}

#[test]
fn a_bomb_of_labels() {
    let flood = Flood::new(24, &|request| {
        let long = "the same again and again; ".repeat(12);
        let point = |it: usize| {
            let value = format!("{} {it} {long}", request * 100_000);
            format!(
                r#"{{"asInt":1,"attributes":[{{"key":"user","value":{{"stringValue":"{value}"}}}}]}}"#
            )
        };
        let points = (0..19_000).map(point).collect::<Vec<_>>().join(",");
        let metric = format!(r#"{{"name":"bomb","gauge":{{"dataPoints":[{points}]}}}}"#);
        let scope = format!(r#"{{"metrics":[{metric}]}}"#);
        ("/v1/metrics", format!(r#"{{"resourceMetrics":[{{{LOUD},"scopeMetrics":[{scope}]}}]}}"#))
    });
    flood.check_refused("metrics");
    flood.check_others();
}
