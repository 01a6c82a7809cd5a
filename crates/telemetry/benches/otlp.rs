//! What reading OTLP costs: log records and data points a second, in both encodings.
//!
//! `cargo bench -p telemetry --bench otlp`. One thread reads the same request again and again: 512 log records
//! with five attributes, as SDKs send them at once, or a hundred counters and twenty histograms of fifteen
//! buckets.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

use model::Timestamp;
use telemetry::otlp::{Encoding, logs, metrics};
use telemetry::protobuf::{put_bytes, put_fixed64, put_number};

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const NOW_NS: u64 = NOW.as_millis() * 1_000_000;
/// Seconds for which each is measured.
const MEASURED_S: f64 = 2.0;
const RECORDS: usize = 512;
const COUNTERS: usize = 100;
const HISTOGRAMS: usize = 20;
const BOUNDS: [f64; 15] =
    [0.0, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

fn main() {
    let bodies = [("protobuf", Encoding::Protobuf), ("JSON", Encoding::Json)];
    for (name, encoding) in bodies {
        let body = match encoding {
            Encoding::Protobuf => logs_in_protobuf(),
            Encoding::Json => logs_in_json().into_bytes(),
        };
        let read = || logs::read(&body, encoding, NOW).unwrap().records.len();
        report(&format!("log records, {name}"), body.len(), &read);
    }
    for (name, encoding) in bodies {
        let body = match encoding {
            Encoding::Protobuf => metrics_in_protobuf(),
            Encoding::Json => metrics_in_json().into_bytes(),
        };
        let read = || metrics::read(&body, encoding, NOW).unwrap().points.len();
        report(&format!("samples, {name}"), body.len(), &read);
    }
}

fn report(what: &str, bytes: usize, read: &dyn Fn() -> usize) {
    let count = read();
    let (begun, mut times) = (processor_seconds(), 0);
    while processor_seconds() - begun < MEASURED_S {
        assert_eq!(read(), count);
        times += 1;
    }
    let seconds = (processor_seconds() - begun) / f64::from(times);
    println!(
        "{what:<22} {:>9.0}/s, {:>4.0} MB/s, {:>4.0} bytes each",
        count as f64 / seconds,
        bytes as f64 / 1e6 / seconds,
        bytes as f64 / count as f64
    );
}

/// Seconds that this thread had a processor: other programs of a shared machine take none of them.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn message(number: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    fill(&mut inner);
    put_bytes(out, number, &inner);
}

fn attribute(number: u32, out: &mut Vec<u8>, key: &str, value: &str) {
    message(number, out, |it| {
        put_bytes(it, 1, key.as_bytes());
        message(2, it, |it| put_bytes(it, 1, value.as_bytes()));
    });
}

/// A request: the resource, and what fills the one scope.
fn request(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    message(1, &mut out, |it| {
        message(1, it, |it| {
            attribute(1, it, "service.namespace", "shop");
            attribute(1, it, "service.name", "cart");
            attribute(1, it, "service.instance.id", "cart.1");
            attribute(1, it, "host.name", "a");
        });
        message(2, it, |it| {
            message(1, it, |it| put_bytes(it, 1, b"shop.cart"));
            fill(it);
        });
    });
    out
}

const RESOURCE: &str = r#""resource":{"attributes":[{"key":"service.namespace","value":{"stringValue":"shop"}},{"key":"service.name","value":{"stringValue":"cart"}},{"key":"service.instance.id","value":{"stringValue":"cart.1"}}]}"#;

fn logs_in_protobuf() -> Vec<u8> {
    request(|out| {
        for number in 0..RECORDS {
            message(2, out, |it| {
                put_fixed64(it, 1, NOW_NS);
                put_fixed64(it, 11, NOW_NS);
                put_number(it, 2, 9);
                put_bytes(it, 3, b"INFO");
                message(5, it, |it| put_bytes(it, 1, text(number).as_bytes()));
                for (key, value) in attributes(number) {
                    attribute(6, it, key, &value);
                }
                put_bytes(it, 9, &(number as u128 + 1).to_be_bytes());
                put_bytes(it, 10, &(number as u64 + 1).to_be_bytes());
            });
        }
    })
}

fn logs_in_json() -> String {
    let record = |number: usize| {
        let pair =
            |(key, value)| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
        let pairs: Vec<_> = attributes(number).into_iter().map(pair).collect();
        format!(
            r#"{{"timeUnixNano":"{NOW_NS}","observedTimeUnixNano":"{NOW_NS}","severityNumber":9,"severityText":"INFO","body":{{"stringValue":"{}"}},"attributes":[{}],"traceId":"{:032x}","spanId":"{:016x}"}}"#,
            text(number),
            pairs.join(","),
            number + 1,
            number + 1
        )
    };
    let records: Vec<_> = (0..RECORDS).map(record).collect();
    format!(
        r#"{{"resourceLogs":[{{{RESOURCE},"scopeLogs":[{{"scope":{{"name":"shop.cart"}},"logRecords":[{}]}}]}}]}}"#,
        records.join(",")
    )
}

fn text(number: usize) -> String {
    format!("item {number} added to the cart of user {}", number * 7 % 100)
}

fn attributes(number: usize) -> [(&'static str, String); 5] {
    [
        ("user.id", (number * 7 % 100).to_string()),
        ("order.id", format!("o-{number}")),
        ("http.route", "/api/cart/{id}".to_owned()),
        ("code.file.path", "/app/shop/cart/handlers.py".to_owned()),
        ("code.line.number", "217".to_owned()),
    ]
}

fn metrics_in_protobuf() -> Vec<u8> {
    request(|out| {
        message(2, out, |it| {
            put_bytes(it, 1, b"http.requests");
            message(7, it, |it| {
                put_number(it, 2, 2);
                put_number(it, 3, 1);
                for number in 0..COUNTERS {
                    message(1, it, |it| {
                        put_fixed64(it, 3, NOW_NS);
                        put_fixed64(it, 6, number as u64);
                        attribute(7, it, "http.route", &format!("/api/{number}"));
                        attribute(7, it, "http.response.status_code", "200");
                    });
                }
            });
        });
        message(2, out, |it| {
            put_bytes(it, 1, b"http.server.request.duration");
            put_bytes(it, 3, b"s");
            message(9, it, |it| {
                put_number(it, 2, 2);
                for number in 0..HISTOGRAMS {
                    message(1, it, |it| {
                        put_fixed64(it, 3, NOW_NS);
                        put_fixed64(it, 4, 16);
                        put_fixed64(it, 5, 7_f64.to_bits());
                        let counts: Vec<u8> =
                            [1_u64; 16].iter().flat_map(|it| it.to_le_bytes()).collect();
                        put_bytes(it, 6, &counts);
                        let bounds: Vec<u8> =
                            BOUNDS.iter().flat_map(|it| it.to_le_bytes()).collect();
                        put_bytes(it, 7, &bounds);
                        attribute(9, it, "http.route", &format!("/api/{number}"));
                        attribute(9, it, "http.response.status_code", "200");
                    });
                }
            });
        });
    })
}

fn metrics_in_json() -> String {
    let attributes = |number: usize| {
        format!(
            r#""attributes":[{{"key":"http.route","value":{{"stringValue":"/api/{number}"}}}},{{"key":"http.response.status_code","value":{{"stringValue":"200"}}}}]"#
        )
    };
    let counter =
        |it: usize| format!(r#"{{"timeUnixNano":"{NOW_NS}","asInt":"{it}",{}}}"#, attributes(it));
    let counts = ["\"1\""; 16].join(",");
    let bounds = BOUNDS.map(|it| it.to_string()).join(",");
    let histogram = |it: usize| {
        format!(
            r#"{{"timeUnixNano":"{NOW_NS}","count":"16","sum":7,"bucketCounts":[{counts}],"explicitBounds":[{bounds}],{}}}"#,
            attributes(it)
        )
    };
    let counters: Vec<_> = (0..COUNTERS).map(counter).collect();
    let histograms: Vec<_> = (0..HISTOGRAMS).map(histogram).collect();
    format!(
        r#"{{"resourceMetrics":[{{{RESOURCE},"scopeMetrics":[{{"metrics":[{{"name":"http.requests","sum":{{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{}]}}}},{{"name":"http.server.request.duration","unit":"s","histogram":{{"aggregationTemporality":2,"dataPoints":[{}]}}}}]}}]}}]}}"#,
        counters.join(","),
        histograms.join(",")
    )
}
