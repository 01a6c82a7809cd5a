//! What people's tools send and ask: Prometheus' API, Zipkin's, and OTLP.

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use promql::Labels;
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Duration;
use telemetry::logs::{Source, Stream};
use telemetry::metrics::remote::WriteRequest;

use crate::client::{Answer, Served, request, with};
use crate::pretended::Pretended;

async fn served() -> Served {
    Served::new(Pretended::new()).await
}

fn post(path: &str, content_type: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method("POST").uri(path).header("host", "localhost");
    request.header("content-type", content_type).body(Full::new(body.into())).unwrap()
}

async fn ask(served: &Served, path: &str) -> Answer {
    served.ask_collector(request("GET", path)).await
}

/// Samples of `requests_total` a minute apart, up to now: 60 a minute.
async fn write(served: &Served) -> i64 {
    let now = i64::try_from(served.clock.timestamp().as_millis()).unwrap();
    let mut body = WriteRequest::default();
    for job in ["cart", "web"] {
        let labels = Labels::of([("__name__", "requests_total"), ("job", job)]);
        let samples = (0..10)
            .map(|it| (now - 540_000 + it * 60_000, f64::from(i32::try_from(it).unwrap()) * 60.0));
        body.add(&labels, samples);
    }
    let request = post("/api/v1/write", "application/x-protobuf", body.body());
    assert_eq!(served.ask_collector(request).await.status, 204);
    now
}

fn seconds_of(ms: i64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

#[tokio::test]
async fn prometheus_clients_find_what_was_written() {
    let served = served().await;
    let now = write(&served).await;
    let seconds = seconds_of(now);
    let form = format!("query=sum(rate(requests_total%5B5m%5D))&time={seconds}");
    let answer = served
        .ask_collector(post("/api/v1/query", "application/x-www-form-urlencoded", form))
        .await;
    let result = &answer.json()["data"]["result"];
    assert_eq!(result[0]["value"][1], "2", "{result}");
    let range = format!(
        "/api/v1/query_range?query=requests_total{{job=\"cart\"}}&start={}&end={seconds}&step=60",
        seconds_of(now - 540_000)
    );
    let answer =
        ask(&served, &range.replace('{', "%7B").replace('}', "%7D").replace('"', "%22")).await;
    assert_eq!(answer.json()["data"]["result"][0]["values"].as_array().unwrap().len(), 10);
    let check = |answer: Answer, expected: Value| assert_eq!(answer.json()["data"], expected);
    check(ask(&served, "/api/v1/labels").await, json!(["__name__", "job"]));
    check(ask(&served, "/api/v1/label/job/values").await, json!(["cart", "web"]));
    check(ask(&served, "/api/v1/label/job/values?limit=1").await, json!(["cart"]));
    check(
        ask(&served, "/api/v1/series?match[]=requests_total%7Bjob=%22web%22%7D").await,
        json!([{"__name__": "requests_total", "job": "web"}]),
    );
    assert_eq!(ask(&served, "/api/v1/status/buildinfo").await.json()["data"]["version"], "3.0.0");
    let federated = ask(&served, "/federate?match[]=%7Bjob=%22web%22%7D").await;
    assert_eq!(federated.text, format!("requests_total{{job=\"web\"}} 540 {now}\n"));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_in_prometheus_words() {
    let served = served().await;
    let check = async |path: &str, status: u16, kind: &str, message: &str| {
        let answer = ask(&served, path).await;
        let body = answer.json();
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(
            (body["status"].as_str(), body["errorType"].as_str()),
            (Some("error"), Some(kind))
        );
        assert!(body["error"].as_str().unwrap().contains(message), "{body}");
    };
    check("/api/v1/query?query=sum(", 400, "bad_data", "invalid parameter \"query\"").await;
    check("/api/v1/query?query=up&time=soon", 400, "bad_data", "valid timestamp").await;
    check("/api/v1/query_range?query=up&start=1&end=2", 400, "bad_data", "\"step\"").await;
    check("/api/v1/query_range?query=up&start=2&end=1&step=1", 400, "bad_data", "\"end\"").await;
    check(
        "/api/v1/query_range?query=up&start=0&end=100000&step=1",
        400,
        "bad_data",
        "maximum resolution",
    )
    .await;
    check("/api/v1/series", 400, "bad_data", "no match[] parameter").await;
    let answer =
        served.ask_collector(post("/api/v1/write", "application/x-protobuf", "no snappy")).await;
    assert_eq!(
        (answer.status, answer.text),
        (400, "the message is not compressed with snappy".to_owned())
    );
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn zipkin_spans_come_back_as_traces() {
    let served = served().await;
    let now_us = served.clock.timestamp().as_millis() * 1_000;
    let spans = json!([
        {"traceId": "00000000000000aa", "id": "aa", "name": "get /", "kind": "SERVER", "timestamp": now_us,
         "duration": 5_000, "localEndpoint": {"serviceName": "web"}, "tags": {"http.path": "/"}},
        {"traceId": "00000000000000aa", "id": "ab", "parentId": "aa", "name": "get /cart", "kind": "CLIENT",
         "timestamp": now_us + 1_000, "duration": 3_000, "localEndpoint": {"serviceName": "web"},
         "remoteEndpoint": {"serviceName": "cart"}, "tags": {"error": "timeout"}},
    ]);
    let mut request = post("/api/v2/spans", "application/json", gzip(spans.to_string().as_bytes()));
    request = with(request, "content-encoding", "gzip");
    assert_eq!(served.ask_collector(request).await.status, 202);
    let check = async |path: &str, expected: Value| {
        assert_eq!(ask(&served, path).await.json(), expected, "{path}");
    };
    check("/api/v2/services", json!(["web"])).await;
    check("/zipkin/api/v2/spans?serviceName=web", json!(["get /", "get /cart"])).await;
    check("/api/v2/remoteServices?serviceName=web", json!(["cart"])).await;
    let found =
        ask(&served, "/zipkin/api/v2/traces?serviceName=web&annotationQuery=error").await.json();
    assert_eq!(
        (found[0].as_array().unwrap().len(), &found[0][0]["traceId"]),
        (2, &json!("00000000000000aa"))
    );
    let trace = ask(&served, "/api/v2/trace/00000000000000aa").await.json();
    assert_eq!(trace[1]["tags"]["error"], "timeout");
    assert_eq!(ask(&served, "/api/v2/trace/00000000000000bb").await.status, 404);
    assert_eq!(ask(&served, "/api/v2/trace/x").await.status, 400);
    // And by the native API, on the socket.
    let view = served.get("/v1/traces/00000000000000aa").await.json();
    assert_eq!(
        (&view["summary"]["errors"], &view["spans"][1]["critical_ms"]),
        (&json!(1), &json!(3.0))
    );
    let list = served.get("/v1/traces?errors=true").await.json();
    assert_eq!(list["traces"][0]["service"], "web");
    let bad = served.ask_collector(post("/api/v2/spans", "application/json", "[{}]")).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn otlp_comes_in_as_json() {
    let served = served().await;
    let now_ns = (served.clock.timestamp().as_millis() * 1_000_000).to_string();
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]});
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let spans = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [{
        "traceId": trace, "spanId": "00f067aa0ba902b7", "name": "checkout", "kind": 2,
        "startTimeUnixNano": now_ns, "endTimeUnixNano": now_ns}]}]}]});
    let logs = json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [{
        "timeUnixNano": now_ns, "severityNumber": 17, "body": {"stringValue": "stock is gone"},
        "traceId": trace}]}]}]});
    let metrics = json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [{
        "name": "orders", "sum": {"aggregationTemporality": 2, "isMonotonic": true,
        "dataPoints": [{"timeUnixNano": now_ns, "asInt": "7"}]}}]}]}]});
    for (path, body) in [("/v1/traces", spans), ("/v1/logs", logs), ("/v1/metrics", metrics)] {
        let answer = served.ask_collector(post(path, "application/json", body.to_string())).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{path}");
    }
    let view = served.get(&format!("/v1/traces/{trace}")).await.json();
    assert_eq!(
        (&view["spans"][0]["service"], &view["spans"][0]["operation"]),
        (&json!("cart"), &json!("checkout"))
    );
    let records =
        served.get(&format!("/v1/records?trace={trace}&query=gone&severity=error")).await.json();
    assert_eq!(records["records"][0]["text"], "stock is gone");
    let answer = ask(&served, "/api/v1/query?query=orders_total").await.json();
    assert_eq!(answer["data"]["result"][0]["value"][1], "7", "{answer}");
    let stranger = served.ask_collector(post("/v1/traces", "text/plain", "x")).await;
    assert_eq!(stranger.status, 415);
    let status = served.get("/v1/telemetry").await.json();
    let accepted: Vec<_> =
        status["signals"].as_array().unwrap().iter().map(|it| &it["accepted"]).collect();
    assert_eq!(accepted.len(), 3, "{status}");
    assert!(accepted.iter().all(|it| it.as_u64().is_some_and(|it| 0 < it)), "{status}");
}

#[tokio::test]
async fn what_was_refused_is_told() {
    let served = served().await;
    let now = served.clock.timestamp();
    let spans: Vec<Value> = (1..=10_500)
        .map(|it| {
            json!({"traceId": format!("{it:016x}"), "id": "1", "name": "n", "duration": 100,
                   "localEndpoint": {"serviceName": "flood"}})
        })
        .collect();
    let body = Value::from(spans).to_string();
    let sent = served.ask_collector(post("/api/v2/spans", "application/json", body)).await;
    assert_eq!(sent.status, 202);
    // Quiet traces are decided upon: ten seconds of a thousand spans each were saved up.
    served.stores.traces.tick(now.after(Duration::from_secs(10))).unwrap();
    let [application, service, instance] = ["shop", "cart", "cart.1"].map(str::to_owned);
    let source = Source { application, service, instance, stream: Stream::Stdout };
    served.stores.logs.unread(&source, 7, now);
    let refused = served.get("/v1/telemetry").await.json()["refused"].clone();
    let expected = json!([
        {"signal": "traces", "origin": "flood", "reason": "budget", "count": 500},
        {"signal": "logs", "origin": "shop/cart", "reason": "unread", "count": 7},
    ]);
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let served = served().await;
    let check = async |name: &'static str, value: &str, status: u16| {
        let request = with(request("GET", "/api/v1/labels"), name, value);
        assert_eq!(served.ask_collector(request).await.status, status, "{name}: {value}");
    };
    check("host", "evil.example", 403).await;
    check("host", "127.0.0.1:4318", 200).await;
    check("origin", "https://evil.example", 403).await;
    check("origin", "http://localhost:3000", 200).await;
    assert_eq!(ask(&served, "/").await.status, 200);
}

/// Issue 12: an image's address in any page was a question.
#[tokio::test]
async fn issue_12_what_other_pages_embed_is_refused() {
    let served = served().await;
    let check = async |site: &str, mode: &str, dest: &str, status: u16| {
        let mut request = request("GET", "/api/v1/query?query=up");
        for (name, value) in [("site", site), ("mode", mode), ("dest", dest)] {
            let name = match name {
                "site" => "sec-fetch-site",
                "mode" => "sec-fetch-mode",
                _ => "sec-fetch-dest",
            };
            request = with(request, name, value);
        }
        assert_eq!(served.ask_collector(request).await.status, status, "{site} {mode} {dest}");
    };
    check("cross-site", "no-cors", "image", 403).await;
    check("same-site", "no-cors", "script", 403).await;
    check("cross-site", "navigate", "iframe", 403).await;
    check("cross-site", "navigate", "document", 200).await;
    check("same-origin", "cors", "empty", 200).await;
    check("none", "navigate", "document", 200).await;
}
