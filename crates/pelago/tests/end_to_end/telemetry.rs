//! What the platform measures by itself: scraped metrics, rules and alerts, logs joined with traces, and metrics sent on.

use std::net::TcpListener;

use crate::harness::http::{Request, ask_tcp};
use crate::harness::webhook::receive;
use crate::harness::{Site, until};

/// A service in Python that counts its requests, exposes the count, and says which trace each belongs to.
const PROGRAM: &str = r"
import http.server, os
count = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global count
        if self.path == '/metrics':
            body = f'# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total {count}\n'
        else:
            if self.path == '/order':
                count += 1
                print('order made traceparent', self.headers.get('traceparent'), flush=True)
            body = 'ok'
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
";

const RULES: &str = r#"
groups:
  - name: orders
    interval: 1s
    rules:
      - {record: orders, expr: sum(orders_total)}
      - alert: Ordered
        expr: orders > 0 and orders < 3
        labels: {severity: page}
        annotations: {summary: "{{ $value }} ordered"}
"#;

pub(crate) fn shop(more: &str) -> Site {
    let mut site = Site::new();
    site.gateway_at("127.0.0.1:0");
    site.telemetry_at("127.0.0.1:0");
    site.write("main.py", PROGRAM);
    site.write("rules.yml", RULES);
    site.manifest(&format!(
        "
name: shop
services:
  cart: {{artifact: ./main.py, command: python3 main.py, metrics: {{interval: 1s}}, healthcheck: {{path: /, interval: 100ms}}}}
routes: [{{service: cart}}]
{more}
"
    ));
    site
}

pub(crate) fn order(site: &Site) {
    let answer = ask_tcp(&site.gateway(), &Request::get("/order")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// The value of an expression now, if it has one.
pub(crate) fn value(site: &Site, expression: &str) -> Option<String> {
    let escaped = |it: u8| match it {
        b'a'..=b'z' | b'_' | b'0'..=b'9' => char::from(it).to_string(),
        other => format!("%{other:02X}"),
    };
    let expression: String = expression.bytes().map(escaped).collect();
    let answer = site.get(&format!("/api/v1/query?query={expression}")).ok();
    Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
}

#[test]
fn an_alert_fires_once_is_told_and_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = listener.local_addr().unwrap();
    let mut site =
        shop(&format!("rules: {{files: [rules.yml], webhook: 'http://{webhook}/alerts'}}"));
    site.start();
    site.ok(&["up", "--detach"]);
    until("a scrape", || value(&site, "orders_total"));
    order(&site);
    let told = receive(&listener);
    assert_eq!(told["status"], "firing", "{told}");
    assert_eq!(
        (&told["alertname"], &told["labels"]["severity"]),
        (&"Ordered".into(), &"page".into())
    );
    assert_eq!(told["text"], "shop: Ordered fires: 1 ordered");
    let alert = site.application()["alerts"][0].clone();
    assert_eq!((&alert["name"], &alert["text"]), (&"Ordered".into(), &"1 ordered".into()));
    let status = site.ok(&["status"]).out;
    assert!(status.contains("alert Ordered since"), "{status}");
    assert_eq!(value(&site, "ALERTS").as_deref(), Some("1"));

    // Another control process knows that it fires, and says nothing anew.
    site.kill_control();
    site.start();
    until("another evaluation", || {
        let groups = site.get("/api/v1/rules").ok();
        let alerts = groups["data"]["groups"][0]["rules"][1]["alerts"].as_array()?.len();
        (alerts == 1).then_some(())
    });
    order(&site);
    order(&site);
    let told = receive(&listener);
    assert_eq!(
        (&told["status"], &told["text"]),
        (&"resolved".into(), &"shop: Ordered has ended: 1 ordered".into())
    );
    until("its end", || site.application()["alerts"].as_array()?.is_empty().then_some(()));
    let events = site.events();
    let about =
        |part: &str| events.iter().filter(|it| it["text"].as_str().unwrap().contains(part)).count();
    assert_eq!((about("alert Ordered fires"), about("alert Ordered has ended")), (1, 1));
}

/// Issue 12: a counter that begins with what came first shows no rise, so a rule on errors missed a release's first burst.
#[test]
fn issue_12_a_release_that_nobody_has_asked_yet_is_counted_from_zero() {
    let mut site = shop("");
    site.start();
    site.ok(&["up", "--detach"]);
    until("a count of nothing", || {
        let count = value(&site, "sum by (release) (pelago_requests_total{callee=\"cart\"})")?;
        (count == "0").then_some(())
    });
}

#[test]
fn rules_that_cannot_be_read_are_refused_with_their_place() {
    let mut site = shop("rules: [rules.yml]");
    site.write("rules.yml", "groups:\n  - name: a\n    rules:\n      - {alert: A, expr: 'sum('}\n");
    site.start();
    let refused = site.run(&["up", "--detach"]);
    assert!(refused.err.contains("rules.yml:4:"), "{}", refused.err);
    site.write("rules.yml", RULES);
    site.ok(&["up", "--detach"]);
}

#[test]
fn a_request_is_followed_from_its_trace_to_the_lines_said_meanwhile() {
    let mut site = shop("");
    site.start();
    site.ok(&["up", "--detach"]);
    order(&site);
    let trace = until("its trace", || {
        let found = site.get("/v1/traces?service=gateway").ok();
        Some(found["traces"][0]["trace"].as_str()?.to_owned())
    });
    let waterfall = site.ok(&["trace", &trace]).out;
    assert!(waterfall.contains("gateway → cart  GET /order"), "{waterfall}");
    let line = until("its line", || {
        let found = site.ok(&["logs", "--trace", &trace]).out;
        found.contains("order made").then_some(found)
    });
    assert!(line.contains("cart.1 |"), "{line}");
    let exemplars = "pelago_request_duration_seconds_bucket";
    let found =
        site.get(&format!("/api/v1/query_exemplars?query={exemplars}&start=0&end=9999999999")).ok();
    assert_eq!(found["data"][0]["exemplars"][0]["labels"]["trace_id"], trace, "{found}");
}

#[test]
fn metrics_are_sent_on_and_nothing_is_lost_while_nobody_takes_them() {
    let mut other = Site::new();
    other.telemetry_at("127.0.0.1:0");
    other.start();
    let address = other.telemetry();
    let mut site = shop("");
    site.serve = vec!["--remote-write", String::leak(format!("http://{address}/api/v1/write"))];
    site.start();
    site.ok(&["up", "--detach"]);
    until("what was sent on", || value(&other, "count_over_time(orders_total[1m])"));
    // Nobody is there for a while; what is sent later has no gap.
    other.end_control();
    order(&site);
    until("a scrape", || value(&site, "orders_total").filter(|it| it == "1"));
    other.telemetry_at(&address);
    other.start();
    until("the rest", || value(&other, "orders_total").filter(|it| it == "1"));
    let of =
        |site: &Site, expression: &str| value(site, expression).unwrap().parse::<f64>().unwrap();
    let taken = of(&other, "timestamp(orders_total)")
        - of(&other, "min_over_time(timestamp(orders_total)[2m:1s])");
    assert!(of(&other, "count_over_time(orders_total[2m])") + 1.0 > taken.round(), "{taken}");
}
