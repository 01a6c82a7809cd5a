//! Telemetry of clients that people have: what OpenTelemetry's SDKs and Zipkin's libraries send is found again,
//! by us and by the tools of Prometheus.
//!
//! SDKs run as instances do, told by nothing but the environment that an instance has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::http::{self, Request};
use crate::harness::{Ran, Site, until};

/// A service in whose place clients run.
const SHOP: &str = "
name: shop
services:
  cart: {command: sleep 1000}
";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A script of the clients' folder, and what runs it.
#[track_caller]
fn client(name: &str) -> Vec<String> {
    let root = workspace();
    let (command, script) = if Path::new(name).extension().is_some_and(|it| it == "mjs") {
        // Beside the link are the packages.
        let flags = ["node", "--preserve-symlinks", "--preserve-symlinks-main"];
        (flags.map(str::to_owned).to_vec(), root.join("target/clients-node").join(name))
    } else {
        let python = root.join("target/clients/bin/python");
        assert!(python.exists(), "{} is not there; run scripts/clients first", python.display());
        // The folder of the scripts is left as it is.
        let command = vec![python.display().to_string(), "-B".to_owned()];
        (command, root.join("crates/pelago/tests/clients").join(name))
    };
    assert!(script.exists(), "{} is not there; run scripts/clients first", script.display());
    [command, vec![script.display().to_string()]].concat()
}

/// A program of Debian's Prometheus.
#[track_caller]
fn prometheus(name: &str) -> PathBuf {
    let fetched = workspace().join("target/prometheus/usr/bin").join(name);
    let found = [fetched, Path::new("/usr/bin").join(name)].into_iter().find(|it| it.exists());
    found.unwrap_or_else(|| panic!("{name} is not there; run scripts/prometheus first"))
}

struct Shop {
    site: Site,
    /// Where telemetry is taken in and asked for.
    address: String,
}

impl Shop {
    fn new() -> Self {
        let mut site = Site::new();
        site.telemetry_at("127.0.0.1:0");
        site.start();
        site.manifest(SHOP);
        site.ok(&["up", "--detach"]);
        let told =
            site.ok(&["exec", "cart", "--", "sh", "-c", "echo $OTEL_EXPORTER_OTLP_ENDPOINT"]);
        let address = told.out.trim().strip_prefix("http://").unwrap().to_owned();
        Self { site, address }
    }

    /// Runs a client as an instance of the service; returns what it wrote.
    #[track_caller]
    fn run(&self, name: &str, arguments: &[&str]) -> Vec<String> {
        let script = client(name);
        let script = script.iter().map(String::as_str);
        let command: Vec<&str> = ["exec", "cart", "--"]
            .into_iter()
            .chain(script)
            .chain(arguments.iter().copied())
            .collect();
        let ran = self.site.run(&command);
        assert_eq!(ran.code, Some(0), "{name} {arguments:?}:\n{}", ran.err);
        ran.out.lines().map(str::to_owned).collect()
    }

    /// Asks where telemetry is asked for.
    #[track_caller]
    fn get(&self, target: &str) -> Value {
        http::ask_tcp(&self.address, &Request::get(target)).unwrap().ok()
    }

    /// The spans of a trace in Zipkin's JSON, by their names.
    #[track_caller]
    fn spans(&self, trace: &str) -> Vec<Value> {
        let mut spans = self.get(&format!("/api/v2/trace/{trace}")).as_array().unwrap().clone();
        spans.sort_by_key(|it| it["name"].as_str().unwrap().to_owned());
        spans
    }

    /// A trace of two spans, of which the inner one failed; returns that.
    #[track_caller]
    fn check_trace(&self, trace: &str, service: &str, operation: &str) -> Value {
        let spans = self.spans(trace);
        let [inner, outer] = spans.as_slice() else { panic!("{spans:#?}") };
        assert_eq!(inner["name"], "charge");
        assert_eq!(outer["name"], operation);
        assert_eq!(inner["parentId"], outer["id"]);
        assert_eq!((&inner["kind"], &outer["kind"]), (&"CLIENT".into(), &"SERVER".into()));
        for span in [inner, outer] {
            assert_eq!(span["localEndpoint"]["serviceName"], service, "{span}");
        }
        assert!(inner["tags"]["error"].is_string(), "{inner}");
        let found =
            self.site.get(&format!("/v1/traces?service={service}&errors=true&limit=100")).ok();
        let found = found["traces"].as_array().unwrap();
        assert!(found.iter().any(|it| it["trace"] == trace), "{trace} is not among {found:#?}");
        inner.clone()
    }

    /// The values of an instant query, by their labels but for those of the target.
    #[track_caller]
    fn values(&self, query: &str) -> Vec<(String, String)> {
        let escaped = query.bytes().map(|it| format!("%{it:02x}")).collect::<Vec<_>>().concat();
        let answer = self.get(&format!("/api/v1/query?query={escaped}"));
        let value = |it: &Value| {
            let labels = it["metric"].as_object().unwrap().iter();
            let labels =
                labels.filter(|it| !["__name__", "job", "instance"].contains(&it.0.as_str()));
            let labels: Vec<_> =
                labels.map(|it| format!("{}={}", it.0, it.1.as_str().unwrap())).collect();
            (labels.join(","), it["value"][1].as_str().unwrap().to_owned())
        };
        answer["data"]["result"].as_array().unwrap().iter().map(value).collect()
    }

    #[track_caller]
    fn check_values(&self, query: &str, expected: &[(&str, &str)]) {
        let found = self.values(query);
        let found: Vec<_> = found.iter().map(|it| (it.0.as_str(), it.1.as_str())).collect();
        assert_eq!(found, expected, "{query}");
    }

    #[track_caller]
    fn promtool(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(prometheus("promtool"));
        command.args(arguments).stdin(Stdio::null());
        self.site.spawn(&mut command).wait().ok()
    }
}

fn check_sdk_for_python(protocol: &str) {
    let shop = Shop::new();
    let said = shop.run("otel_client.py", &[protocol]);
    let [trace] = said.as_slice() else { panic!("{said:?}") };
    let inner = shop.check_trace(trace, "cart", "checkout");
    assert_eq!(inner["remoteEndpoint"]["serviceName"], "payments", "{inner}");
    let job = r#"job="shop/cart""#;
    shop.check_values(&format!("orders_placed_total{{{job}}}"), &[("currency_code=EUR", "3")]);
    shop.check_values(&format!("carts_open{{{job}}}"), &[("", "-2")]);
    shop.check_values(&format!("memory_used_bytes{{{job}}}"), &[("pool=heap", "42")]);
    shop.check_values(
        &format!("checkout_duration_seconds_bucket{{{job}}}"),
        &[("le=+Inf", "3"), ("le=0.1", "1"), ("le=1", "2")],
    );
    shop.check_values("checkout_duration_seconds_sum", &[("", "5.55")]);
    shop.check_values("payment_size_EUR_count", &[("", "3")]);
    // Boundaries are at most 9 % apart, and half of the values are at 3 or below.
    let median = shop.values("histogram_quantile(0.5, payment_size_EUR_bucket)");
    let median: f64 = median[0].1.parse().unwrap();
    assert!((2.75..3.27).contains(&median), "{median}");
    let about = shop.get("/api/v1/metadata?metric=checkout_duration_seconds");
    assert_eq!(about["data"]["checkout_duration_seconds"][0]["type"], "histogram");
    let exemplars = shop.get(
        "/api/v1/query_exemplars?query=checkout_duration_seconds_bucket&start=0&end=9999999999",
    );
    let first = &exemplars["data"][0]["exemplars"][0];
    assert_eq!(first["labels"]["trace_id"], trace.as_str(), "{exemplars}");

    let records = shop.site.get(&format!("/v1/records?trace={trace}&order=oldest")).ok();
    let records = records["records"].as_array().unwrap();
    let said: Vec<_> =
        records.iter().map(|it| (it["text"].as_str(), it["severity"].as_str())).collect();
    assert_eq!(
        said,
        [(Some("order o-4711 placed"), Some("info")), (Some("checkout failed"), Some("error")),]
    );
    assert_eq!(records[0]["service"], "cart");
    let found = shop.site.get("/v1/records?query=order.id%3Do-4711").ok();
    assert_eq!(found["records"].as_array().unwrap().len(), 1, "{found:#}");
}

#[test]
fn opentelemetry_for_python_over_http() {
    check_sdk_for_python("http");
}

#[test]
fn opentelemetry_for_python_over_grpc() {
    check_sdk_for_python("grpc");
}

#[test]
fn opentelemetry_for_node_in_four_encodings() {
    let shop = Shop::new();
    let traces = shop.run("otel_client.mjs", &[]);
    assert_eq!(traces.len(), 4);
    for (trace, encoding) in traces.iter().zip(["json", "protobuf", "grpc", "zipkin"]) {
        let inner = shop.check_trace(trace, "cart", &format!("checkout {encoding}"));
        // To Zipkin, this exporter says it in a tag only.
        let remote = if encoding == "zipkin" { Value::Null } else { "payments".into() };
        assert_eq!(inner["remoteEndpoint"]["serviceName"], remote, "{inner}");
    }
    shop.check_values("orders_node_total", &[("currency_code=EUR", "5")]);
    let found = shop.site.get("/v1/records?query=stock%20left%3D3&severity=warn").ok();
    assert_eq!(found["records"][0]["text"], "stock is low", "{found:#}");
    assert_eq!(found["records"][0]["severity"], "warn");
}

#[test]
fn py_zipkin_in_three_encodings() {
    let shop = Shop::new();
    let endpoint = format!("http://{}/api/v2/spans", shop.address);
    let traces = shop.run("zipkin_client.py", &[&endpoint]);
    assert_eq!(traces.len(), 3);
    for (trace, encoding) in traces.iter().zip(["v2_json", "v2_proto3", "v1_json"]) {
        let inner = shop.check_trace(trace, "frontend", &format!("get {encoding}"));
        assert_eq!(inner["remoteEndpoint"]["serviceName"], "payments", "{inner}");
    }
    let links = shop.get("/api/v2/dependencies?endTs=9999999999999&lookback=9999999999999");
    assert_eq!(links[0]["parent"], "frontend", "{links}");
    assert_eq!((&links[0]["child"], &links[0]["callCount"]), (&"payments".into(), &3.into()));
}

#[test]
fn zipkin_for_node() {
    let shop = Shop::new();
    let endpoint = format!("http://{}/api/v2/spans", shop.address);
    let traces = shop.run("zipkin_client.mjs", &[&endpoint]);
    let inner = shop.check_trace(&traces[0], "frontend", "get");
    assert_eq!(inner["remoteEndpoint"]["serviceName"], "payments", "{inner}");
}

#[test]
fn tools_of_prometheus_ask() {
    let shop = Shop::new();
    shop.run("otel_client.py", &["http"]);
    shop.run("prometheus_client.py", &[&shop.address]);
    let url = format!("http://{}", shop.address);
    let one = shop.promtool(&["query", "instant", &url, "orders_placed_total * 2"]).out;
    assert!(one.contains("currency_code=\"EUR\"") && one.contains("=> 6 @"), "{one}");
    let range = shop.promtool(&["query", "range", "--step=1s", &url, "orders_placed_total"]).out;
    assert!(range.contains("3 @["), "{range}");
    let series = shop.promtool(&["query", "series", "--match=orders_placed_total", &url]).out;
    assert!(
        series.contains("instance=\"cart.") && series.contains("job=\"shop/cart\""),
        "{series}"
    );
    let values = shop.promtool(&["query", "labels", &url, "currency_code"]).out;
    assert_eq!(values, "EUR\n");
}

/// Debian's Prometheus reads what we say of ourselves, and writes all it has to us.
#[test]
fn prometheus_scrapes_and_writes() {
    let shop = Shop::new();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    let address = &shop.address;
    fs::write(
        &config,
        format!(
            "
global: {{scrape_interval: 1s, scrape_timeout: 1s, external_labels: {{from: prometheus}}}}
scrape_configs: [{{job_name: pelago, static_configs: [{{targets: ['{address}']}}]}}]
remote_write: [{{url: 'http://{address}/api/v1/write', queue_config: {{batch_send_deadline: 1s}}}}]
"
        ),
    )
    .unwrap();
    shop.promtool(&["check", "config", &config.display().to_string()]);
    let mut command = Command::new(prometheus("prometheus"));
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .args(["--web.listen-address=127.0.0.1:0", "--log.level=warn"])
        .args(["--web.console.templates=.", "--web.console.libraries=."])
        .stdin(Stdio::null());
    let _running = shop.site.spawn(&mut command);
    until("what Prometheus writes", || {
        let found = shop.values(r#"up{job="pelago", from="prometheus"}"#);
        found.first().map(|it| it.1 == "1").filter(|it| *it)
    });
    // What it scraped was ours.
    until("what Prometheus scraped", || {
        let found =
            shop.values(r#"count({job="pelago", from="prometheus", __name__=~"pelago_.+"})"#);
        found.first().cloned()
    });
}
