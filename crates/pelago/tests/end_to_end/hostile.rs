//! Names, attributes and lines of others that are escape sequences: whatever shows them, a terminal does nothing.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::http::{Request, ask_tcp};
use crate::harness::{Site, until, wait};

/// A colour that is none of ours, a bell, a title, C1, a right-to-left override.
const EVIL: &str = "\u{1b}[45mEVIL\u{7}\u{1b}]0;t\u{7}\u{9b}45m\u{202e}";
const TRACE: &str = "11111111111111111111111111111111";

/// It says the same with a line over another, to be looked for by a word, and as a record with fields.
const PROGRAM: &str = r"
import json, time
evil = '\x1b[45mEVIL\x07\x1b]0;t\x07\x9b45m\u202e'
while True:
    print('said ' + evil + '\r over', flush=True)
    print(json.dumps({'level': 'info', 'msg': 'record ' + evil, 'k' + evil: 'v' + evil}), flush=True)
    time.sleep(1)
";

/// Commands that end only when they are interrupted.
const GO_ON: [&str; 2] = ["logs -f a --tail 2", "up"];

/// What a terminal would act on, of what is in `text`.
fn acting(text: &str) -> Vec<&'static str> {
    let all = ["\u{1b}[45m", "\u{7}", "\u{1b}]", "\u{9b}", "\u{202e}", "\r over"];
    all.into_iter().filter(|it| text.contains(it)).collect()
}

/// What a command shows on a terminal of its own: until it ends, or has shown what is waited for and goes on.
fn on_terminal(site: &Site, arguments: &str, shown: &str) -> String {
    let pelago = site.command(&[]);
    let words = std::iter::once(pelago.get_program()).chain(pelago.get_args());
    let words: Vec<_> = words.map(|it| it.to_string_lossy()).collect();
    // In place of the shell, so that it ends with its terminal.
    let words = format!("exec {} {arguments}", words.join(" "));
    let mut command = Command::new("script");
    command.args(["-qec", &words, "/dev/null"]).env_clear().stdin(Stdio::null());
    command.envs(pelago.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.env("TERM", "xterm-256color").current_dir(site.app());
    let mut running = site.spawn(&mut command);
    if GO_ON.contains(&arguments) {
        until(shown, || running.out().contains(shown).then_some(()));
    } else {
        wait(&mut running.child);
    }
    running.out()
}

fn send(site: &Site, path: &str, body: &serde_json::Value) {
    let (address, body) = (site.telemetry(), body.to_string());
    let answer = ask_tcp(&address, &Request::post(path, &body)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Spans, records and samples whose names and attributes are hostile.
fn send_telemetry(site: &Site) {
    let with = |name: &str| format!("{name} {EVIL}");
    let attribute = json!({"key": with("k"), "value": {"stringValue": with("v")}});
    let resource = json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": with("svc")}},
        {"key": "service.namespace", "value": {"stringValue": "ansi"}}
    ]});
    let now_ns = u128::from(host::Clock::start().timestamp().as_millis()) * 1_000_000;
    let at = now_ns.to_string();
    let span = json!({
        "traceId": TRACE, "spanId": "2222222222222222", "name": with("op"), "kind": 2,
        "startTimeUnixNano": at, "endTimeUnixNano": (now_ns + 700_000_000).to_string(),
        "status": {"code": 2, "message": with("bad")}, "attributes": [attribute]
    });
    let spans =
        json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]});
    send(site, "/v1/traces", &spans);
    let record = json!({
        "timeUnixNano": at, "severityText": with("E"), "body": {"stringValue": with("otlp")},
        "attributes": [attribute]
    });
    let logs =
        json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]});
    send(site, "/v1/logs", &logs);
    let point = json!({"timeUnixNano": at, "asDouble": 1.0, "attributes": [attribute]});
    let metric = json!({"name": "evil_m", "gauge": {"dataPoints": [point]}});
    let metrics = json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]});
    send(site, "/v1/metrics", &metrics);
}

fn site() -> Site {
    let mut site = Site::new();
    site.gateway_at("127.0.0.1:0");
    site.telemetry_at("127.0.0.1:0");
    site.start();
    site.write("main.py", PROGRAM);
    site.manifest(
        "
name: ansi
services:
  a: {artifact: ./main.py, command: python3 main.py, environment: {PYTHONIOENCODING: utf-8}}
  web: {behaviour: {work: 1ms}}
routes: [{path: /, service: web}]
",
    );
    site.ok(&["up", "--detach"]);
    let note = format!("note{EVIL}\nsecond line");
    site.ok(&["deploy", "web", "--force", "--detach", "-m", &note]);
    send_telemetry(&site);
    let agent = [("user-agent", "x\u{9b}45m")];
    let request = Request { headers: &agent, ..Request::get("/a%1b%5b45mX") };
    // Whether it is answered does not matter.
    drop(ask_tcp(&site.gateway(), &request));
    for query in ["said", "record", "otlp"] {
        until(query, || site.ok(&["logs", "--search", query]).out.contains("EVIL").then_some(()));
    }
    until("spans", || site.ok(&["trace", "--errors"]).out.contains("EVIL").then_some(()));
    site
}

#[test]
fn issue_12_a_terminal_does_nothing_that_others_want() {
    let site = site();
    // What is to be shown of others, where something has to be.
    for (arguments, shown) in [
        ("logs a --tail 4", "said"),
        ("logs a --tail 4 --format json", "said"),
        ("logs --search said", "said"),
        ("logs --search record", "record"),
        ("logs --search otlp", "otlp"),
        ("logs -f a --tail 2", "EVIL"),
        ("trace --errors -n 5", "op"),
        ("trace --errors -n 5 --format json", "op"),
        (&format!("trace {TRACE}"), "EVIL"),
        (&format!("trace {TRACE} --logs"), "otlp"),
        ("metrics evil_m", "EVIL"),
        ("metrics --now evil_m", "EVIL"),
        ("metrics --now evil_m --format json", "EVIL"),
        ("metrics", "evil_m"),
        ("releases web", "note"),
        ("releases web --format json", "note"),
        ("events -n 40", ""),
        ("rollout", ""),
        ("status", ""),
        ("graph", ""),
        ("ps", ""),
        ("top --once", ""),
        ("doctor", ""),
        ("up", "EVIL"),
    ] {
        let out = on_terminal(&site, arguments, shown);
        assert_eq!(acting(&out), Vec::<&str>::new(), "{arguments}: {out:?}");
        assert!(out.contains(shown) && !out.is_empty(), "{arguments}: {out:?}");
        // Of a text with several lines none stands for itself.
        assert!(!out.contains("\nsecond line"), "{arguments}: {out:?}");
    }
    let log = std::fs::read_to_string(site.log()).unwrap();
    assert_eq!(acting(&log), Vec::<&str>::new());
}

#[test]
fn issue_12_raw_lines_go_to_files_only() {
    let site = site();
    let out = on_terminal(&site, "logs a --raw", "");
    assert!(out.contains("leave out --raw") && acting(&out).is_empty(), "{out:?}");
    let ran = site.ok(&["logs", "a", "--raw"]);
    assert!(ran.out.contains(&format!("said {EVIL}\r over\n")), "{:?}", ran.out);
    let ran = site.ok(&["logs", "--search", "otlp", "--raw"]);
    assert!(ran.out.contains(&format!("otlp {EVIL}")), "{:?}", ran.out);
    assert_eq!(acting(&site.ok(&["logs", "a"]).out), Vec::<&str>::new());
}
