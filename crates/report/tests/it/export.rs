//! Exports, read by the readers they are for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use api::simulation::{Trace, TraceSpan, Traces};
use model::scenario::{Network, Zone};
use model::{Application, Timestamp};
use proptest::prelude::*;
use report::export::{Architecture, dot, graph, graphml, mermaid, otlp, prometheus, zipkin};
use telemetry::metrics::exposition::{self, Format, Item};
use telemetry::otlp::Encoding;
use telemetry::traces::Span;

use crate::{sample, well_formed};

/// Keeps a text for tools and people to look at.
fn keep(name: &str, text: &str) {
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), text).unwrap();
}

/// A request to web that calls cart twice: the first attempt finds nobody.
fn traces() -> Traces {
    let span = |parent, service, times: [u64; 5], outcome: &str| TraceSpan {
        parent,
        edge: service,
        service,
        instance: 1,
        zone: service % 2,
        sent_ns: times[0],
        arrived_ns: times[1],
        began_ns: times[2],
        answered_ns: times[3],
        ended_ns: times[4],
        outcome: outcome.to_owned(),
    };
    Traces {
        application: "shop".to_owned(),
        seed: 7,
        services: vec!["web".to_owned(), "cart".to_owned()],
        zones: vec!["a".to_owned(), "b".to_owned()],
        edges: vec![
            ("outside".to_owned(), "web".to_owned()),
            ("web".to_owned(), "cart".to_owned()),
        ],
        traces: vec![Trace {
            users: "shoppers".to_owned(),
            spans: vec![
                span(None, 0, [0, 1_000_000, 1_000_000, 30_000_000, 31_000_000], "ok"),
                span(
                    Some(0),
                    1,
                    [2_000_000, 2_000_000, 2_000_000, 2_000_000, 5_000_000],
                    "connect-failure",
                ),
                span(Some(0), 1, [6_000_000, 7_000_000, 9_000_000, 20_000_000, 21_000_000], "ok"),
            ],
        }],
    }
}

const EPOCH: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A span in short: kind, service, remote, start after the epoch and length in µs, the place of the parent, whether it is an
/// error.
type Short<'a> = (&'a str, &'a str, &'a str, u64, u64, Option<usize>, bool);

#[track_caller]
fn check(spans: &[Span], expected: &[Short<'_>]) {
    let place = |id: u64| spans.iter().position(|it| it.id == id);
    let found: Vec<_> = spans
        .iter()
        .map(|it| {
            let start = it.start_us - EPOCH.as_millis() * 1_000;
            let parent = it.parent.map(|it| place(it).unwrap());
            let kind = it.kind.name();
            let is_error = it.is_error || it.tag("error").is_some();
            (kind, it.service.as_str(), it.remote.as_str(), start, it.duration_us, parent, is_error)
        })
        .collect();
    assert_eq!(found, expected);
    assert!(spans.iter().all(|it| it.trace == spans[0].trace && it.trace != 0));
}

#[test]
fn spans_are_those_the_mesh_and_the_services_would_tell() {
    let text = zipkin(&traces(), EPOCH);
    keep("traces.zipkin.json", &text);
    check(
        &telemetry::zipkin::read_json(text.as_bytes()).unwrap(),
        &[
            ("client", "gateway", "web", 0, 31_000, None, false),
            ("server", "web", "gateway", 1_000, 29_000, Some(0), false),
            ("client", "web", "cart", 2_000, 3_000, Some(1), true),
            ("client", "web", "cart", 6_000, 15_000, Some(1), false),
            ("server", "cart", "web", 7_000, 13_000, Some(3), false),
        ],
    );
    let text = otlp(&traces(), EPOCH);
    keep("traces.otlp.json", &text);
    let received = telemetry::otlp::traces::read(text.as_bytes(), Encoding::Json).unwrap();
    assert_eq!(received.rejected, telemetry::otlp::Rejected::default());
    check(
        &received.spans,
        &[
            ("server", "cart", "", 7_000, 13_000, Some(4), false),
            ("client", "gateway", "web", 0, 31_000, None, false),
            ("server", "web", "", 1_000, 29_000, Some(1), false),
            ("client", "web", "cart", 2_000, 3_000, Some(2), true),
            ("client", "web", "cart", 6_000, 15_000, Some(2), false),
        ],
    );
    assert_eq!(received.spans[0].events, [(EPOCH.as_millis() * 1_000 + 9_000, "began".to_owned())]);
    assert_eq!(received.spans[0].tag("service.instance.id"), Some("cart.1"));
}

#[test]
fn a_span_is_written_so() {
    let text = zipkin(&traces(), EPOCH);
    let expected = concat!(
        r#"[{"traceId":"TRACE","id":"ID","kind":"CLIENT","name":"web","timestamp":1700000000000000,"#,
        r#""duration":31000,"localEndpoint":{"serviceName":"gateway"},"remoteEndpoint":{"serviceName":"web"},"#,
        r#""tags":{"pelago.application":"shop","pelago.instance":"web.1","pelago.outcome":"ok","#,
        r#""pelago.simulated":"true","pelago.users":"shoppers"}},"#
    );
    let first = text.lines().next().unwrap();
    let (trace, id) = (&first[13..45], &first[53..69]);
    assert_eq!(first.replace(trace, "TRACE").replace(id, "ID"), expected);
    assert_eq!(zipkin(&Traces::default(), EPOCH), "[]\n");
    assert_eq!(otlp(&Traces::default(), EPOCH), "{\"resourceSpans\":[]}\n");
}

proptest! {
    #[test]
    fn ids_are_unique_and_every_parent_is_there(
        seed in any::<u64>(),
        traces in proptest::collection::vec(
            proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..4, any::<[u32; 5]>(), any::<bool>()), 1..12),
            0..4,
        ),
    ) {
        let traces = Traces {
            seed,
            services: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            traces: traces
                .iter()
                .map(|spans| Trace {
                    users: "users".to_owned(),
                    spans: spans
                        .iter()
                        .enumerate()
                        .map(|(at, (parent, service, times, is_good))| TraceSpan {
                            parent: (0 < at).then(|| parent.index(at.max(1))),
                            service: *service,
                            sent_ns: times[0].into(),
                            arrived_ns: times[1].into(),
                            began_ns: times[2].into(),
                            answered_ns: times[3].into(),
                            ended_ns: times[4].into(),
                            outcome: if *is_good { "ok" } else { "timeout" }.to_owned(),
                            ..TraceSpan::default()
                        })
                        .collect(),
                })
                .collect(),
            ..Traces::default()
        };
        let spans = telemetry::zipkin::read_json(zipkin(&traces, EPOCH).as_bytes()).unwrap();
        let ids: BTreeSet<u64> = spans.iter().map(|it| it.id).collect();
        prop_assert_eq!(ids.len(), spans.len());
        let received =
            telemetry::otlp::traces::read(otlp(&traces, EPOCH).as_bytes(), Encoding::Json).unwrap();
        prop_assert_eq!(received.spans.len(), spans.len());
        for span in &received.spans {
            prop_assert!(ids.contains(&span.id));
        }
    }
}

#[test]
fn metrics_have_the_names_of_the_platforms_own() {
    let mut report = sample::report();
    "a \"quoted\\name\"\n".clone_into(&mut report.services[0].name);
    report.services[1].waiting.value = f64::NAN;
    let text = prometheus(&report);
    keep("report.prom", &text);
    let mut samples = Vec::new();
    exposition::read(&text, Format::Text, &mut |item| {
        if let Item::Sample(sample) = item {
            samples.push((sample.series, sample.value));
        }
        Ok(())
    })
    .unwrap();
    let value = |series: &str| samples.iter().find(|it| it.0 == series).map(|it| it.1);
    let orders = r#"{application="shop",caller="orders",callee="payments""#;
    // 22 calls a second for the 280 seconds that were counted, of which 6.1 % failed.
    assert_eq!(value(&format!("pelago_requests_total{orders},outcome=\"ok\"}}")), Some(5_784.0));
    assert_eq!(value(&format!("pelago_requests_total{orders},outcome=\"failed\"}}")), Some(376.0));
    assert_eq!(value(&format!("pelago_retries_total{orders}}}")), Some(1_232.0));
    let refused = format!("pelago_refused_requests_total{orders},reason=\"circuit-open\"}}");
    assert_eq!(value(&refused), Some(112.0));
    assert_eq!(
        value(&format!("pelago_request_duration_seconds{orders},quantile=\"0.99\"}}")),
        Some(0.066)
    );
    assert_eq!(value(&format!("pelago_request_duration_seconds_count{orders}}}")), Some(6_160.0));
    let quoted =
        r#"pelago_service_ready_instances{application="shop",service="a \"quoted\\name\"\n"}"#;
    assert_eq!(value(quoted), Some(3.0));
    assert!(!text.contains("NaN"));
    assert_eq!(prometheus(&api::simulation::Report::default()).lines().count(), 3);
}

fn application(web: u32, cart: u32) -> Application {
    let restart = r#"{"policy": "always", "backoff": "1s", "max_backoff": "1s", "crash_loop": 5}"#;
    let resilience = serde_json::to_string(&model::edge::Resilience::default()).unwrap();
    let service = |replicas, calls: &str| {
        format!(
            r#"{{"source": {{"process": {{"command": ["true"]}}}}, "replicas": {replicas}, "calls": {{{calls}}},
                "stop_grace_period": "1s", "restart": {restart}}}"#
        )
    };
    let text = format!(
        r#"{{"name": "shop", "services": {{"web": {}, "cart": {}}}, "routes": [{{"path": "/", "service": "web"}}]}}"#,
        service(web, &format!("\"cart\": {resilience}")),
        service(cart, "")
    );
    serde_json::from_str(&text).unwrap()
}

fn network() -> Network {
    let zone = |name: &str| Zone { name: name.to_owned(), region: "us-east-1".to_owned() };
    Network { zones: vec![zone("zoneA"), zone("zone B")], ..Network::default() }
}

#[test]
fn graphs_are_as_spigo_writes_them() {
    let (application, network) = (application(1, 2), network());
    let architecture =
        Architecture { application: &application, network: &network, report: None, at: EPOCH };
    let text = graph(&architecture);
    keep("shop.json", &text);
    let at = "2023-11-14T22:13:20.000Z";
    let node = |name: &str, package: &str, number: u32| {
        format!(
            r#"{{"node":"{name}","package":"{package}","timestamp":"{at}","metadata":"IP/10.0.0.{number}"}}"#
        )
    };
    let edge = |number: u32, from: &str, to: &str| {
        format!(r#"{{"edge":"e{number}","source":"{from}","target":"{to}","timestamp":"{at}"}}"#)
    };
    let (www, web) = ("shop.*.*.www00", "shop.us-east-1.zoneA.web00");
    let (cart, other) = ("shop.us-east-1.zoneA.cart00", "shop.us-east-1.zone-B.cart01");
    let expected = [
        format!(r#"{{"arch":"shop","version":"spigo-0.4","args":"","date":"{at}","graph":["#),
        node(www, "denominator", 0) + ",",
        node(cart, "store", 1) + ",",
        node(other, "store", 2) + ",",
        node(web, "karyon", 3) + ",",
        edge(1, www, web) + ",",
        edge(2, web, cart) + ",",
        edge(3, web, other),
        "]}".to_owned(),
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    serde_json::from_str::<serde_json::Value>(&text).unwrap();

    let text = graphml(&architecture);
    keep("shop.graphml", &text);
    well_formed::check(&text).unwrap();
    for part in [
        r#"<node id="shop.us-east-1.zoneA.web00"><data key="service">web</data><data key="package">karyon</data>"#,
        r#"<edge id="e3" source="shop.us-east-1.zoneA.web00" target="shop.us-east-1.zone-B.cart01"/>"#,
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn graphs_too_large_to_draw_have_an_edge_for_each_caller() {
    let network = Network::default();
    let edges = |web, cart| {
        let application = application(web, cart);
        let architecture =
            Architecture { application: &application, network: &network, report: None, at: EPOCH };
        graph(&architecture).matches("\"edge\":").count()
    };
    // One more for each instance of web: the way in.
    assert_eq!(edges(100, 100), 100 + 10_000);
    assert_eq!(edges(101, 100), 101 + 101);
    assert_eq!(edges(2, 0), 2);
}

#[test]
fn diagrams_say_what_crossed() {
    let (application, network) = (application(3, 2), network());
    let mut report = sample::report();
    report.services.retain(|it| it.name == "web" || it.name == "cart");
    report.edges.retain(|it| it.callee == "web" || it.callee == "cart");
    let mut architecture =
        Architecture { application: &application, network: &network, report: None, at: EPOCH };
    let plain = mermaid(&architecture);
    assert_eq!(
        plain,
        "flowchart LR\n  subgraph a0[\"shop\"]\n    s0[\"cart 2/2\"]\n    s1[\"web 3/3\"]\n  end\n  \
         r2([\"*/\"])\n  r2 --> s1\n  s1 --> s0\n"
    );
    architecture.report = Some(&report);
    let text = dot(&architecture);
    keep("shop.dot", &text);
    for part in [
        r#""*/" -> "shop/web" [label="120.0/s 100.0% p99 66.0ms"];"#,
        r#""shop/web" -> "shop/cart" [label="64.0/s 99.9% p99 66.0ms"];"#,
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(mermaid(&architecture).contains(r#"s1 -->|"64.0/s 99.9% p99 66.0ms"| s0"#));
}
