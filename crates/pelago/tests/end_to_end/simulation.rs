//! `pelago sim`, with files, options and answers as people meet them. No control process is there, or is started.

use std::fs;

use serde_json::Value;

use crate::harness::{Ran, Site};

const SHOP: &str = "
name: shop
services:
  web:
    behaviour: {work: {mean: 2ms}, concurrency: 8, calls: [cart]}
  cart:
    replicas: 2
    behaviour: {work: {mean: 10ms}, concurrency: 1}
";

const SCENARIO: &str = "
duration: 40s
warm_up: 5s
users:
  - {name: people, load: 60/s, to: web}
objective: {success: 99%, p99: 300ms}
";

fn shop() -> Site {
    let site = Site::new();
    site.manifest(SHOP);
    site
}

fn answer(site: &Site, arguments: &[&str]) -> Value {
    site.ok(&[arguments, &["--format", "json"]].concat()).json()
}

fn failed(ran: &Ran) -> bool {
    ran.code != Some(0)
}

#[test]
fn a_report_is_the_same_on_one_thread_and_on_two() {
    let site = shop();
    site.write("scenario.yaml", SCENARIO);
    let run = |threads| {
        let arguments = ["sim", "run", "--threads", threads, "--format", "json"];
        site.ok(&arguments).out
    };
    let report = run("1");
    assert_eq!(report, run("2"));
    assert_eq!(report, run("2"));
    let report: Value = serde_json::from_str(&report).unwrap();
    // The scenario beside the file is what it is put through.
    assert_eq!(report["users"][0]["name"], "people");
    assert_eq!(report["origin"]["warm_up_by"], "given");
    assert_eq!(report["origin"]["command"], "pelago sim run --replications 10 --seed 1");
    assert_eq!(report["verdict"]["meets"], true);
    assert_eq!(report["verdict"]["bottleneck"], "cart");
    let busy = report["verdict"]["utilisation"]["value"].as_f64().unwrap();
    assert!((busy - 0.3).abs() < 0.02, "{busy}");
    // And no control process was needed.
    assert!(!site.socket().exists());
}

#[test]
fn what_is_set_counts_for_one_question_only() {
    let site = shop();
    site.write("scenario.yaml", SCENARIO);
    let busy = |arguments: &[&str]| {
        let report = answer(&site, &[&["sim", "run", "--replications", "2"], arguments].concat());
        report["verdict"]["utilisation"]["value"].as_f64().unwrap()
    };
    let check = |arguments: &[&str], expected: f64| {
        let found = busy(arguments);
        assert!((found - expected).abs() < 0.04, "{arguments:?}: {found}");
    };
    check(&["--set", "services.cart.replicas=3"], 0.2);
    check(&["--set", "services.cart.behaviour.work.mean=5ms"], 0.15);
    check(&["--load", "120/s"], 0.6);
    check(&["--users", "60", "--think", "1s", "--set", "duration=60s"], 0.3);
    check(&[], 0.3);
    let ran = site.run(&["sim", "run", "--set", "services.crat.replicas=3"]);
    assert!(failed(&ran));
    assert!(ran.err.contains("there is no service `crat` in pelago.yaml"), "{}", ran.err);
}

#[test]
fn capacity_has_two_ends_and_a_name_for_what_gives_way() {
    let site = shop();
    site.write("scenario.yaml", SCENARIO);
    let found = answer(&site, &["sim", "capacity", "--replications", "4"]);
    let (meets, misses) = (found["meets"].as_f64().unwrap(), found["misses"].as_f64().unwrap());
    // Two workers of 100 requests a second each.
    assert!(100.0 < meets && meets < misses && misses < 210.0, "{meets} {misses}");
    assert!(misses < meets * 1.05, "{meets} {misses}");
    assert!(found["bottleneck"].as_str().unwrap().starts_with("cart"), "{}", found["bottleneck"]);
    let check = |rate| site.run(&["sim", "capacity", "--replications", "2", "--check", rate]);
    assert!(!failed(&check("50/s")));
    assert!(failed(&check("5000/s")));
}

#[test]
fn variants_are_compared_with_the_same_luck() {
    let site = shop();
    site.write("scenario.yaml", SCENARIO);
    let found = answer(&site, &["sim", "compare", ".", "--with", "services.cart.replicas=4"]);
    let of = |what: &str| {
        let all = found["differences"].as_array().unwrap();
        all.iter().find(|it| it["what"] == what).unwrap().clone()
    };
    assert_eq!(of("mean")["differs"], true);
    assert!(of("mean")["difference"]["value"].as_f64().unwrap() < 0.0);
    assert_eq!(of("goodput")["differs"], false);
    let same = site.run(&["sim", "compare", "."]);
    assert!(failed(&same) && same.err.contains("say what is different"), "{}", same.err);
}

#[test]
fn a_sweep_and_a_storm_have_an_answer_for_every_cell() {
    let site = shop();
    site.write("scenario.yaml", SCENARIO);
    let replicas =
        ["sim", "sweep", ".", "services.cart.replicas", "1", "2", "4", "--replications", "2"];
    let found = answer(&site, &replicas);
    let points = found["points"].as_array().unwrap();
    let p99 = |it: &Value| it[1]["latency"]["p99_ms"]["value"].as_f64().unwrap();
    assert_eq!(points.len(), 3);
    assert!(points.is_sorted_by(|a, b| p99(b) < p99(a)), "{points:?}");
    let storm = [
        "sim",
        "storm",
        "--loads",
        "0.5,1",
        "--sizes",
        "1s,3s",
        "--before",
        "5s",
        "--after",
        "20s",
        "--replications",
        "2",
        "--trigger",
        "slow cart by 5",
    ];
    let found = answer(&site, &storm);
    assert_eq!(found["cells"].as_array().unwrap().len(), 4);
    assert_eq!(found["cells"][0]["state"], "stable");
}

#[test]
fn faults_are_marked_and_mistakes_explained() {
    let site = shop();
    site.write("scenario.yaml", SCENARIO);
    let fault = ["sim", "run", "--replications", "2", "--fault", "at 10s for 10s slow cart by 3"];
    let ran = site.ok(&fault);
    assert!(ran.out.contains("▲ "), "{}", ran.out);
    assert!(ran.out.contains("again: pelago sim run --fault 'at 10s for 10s slow cart by 3'"));
    let check = |arguments: &[&str], expected: &str| {
        let ran = site.run(&[&["sim", "run"], arguments].concat());
        assert!(failed(&ran) && ran.err.contains(expected), "{}", ran.err);
    };
    check(&["--fault", "at 10s slow crat by 3"], "did you mean `cart`?");
    check(&["nothing"], "`pelago sim list` lists those");
    check(&["--load", "5"], "--load: `5` has no unit; write `5/s`");
    check(&["--duration", "4s"], "the warm-up is as long as the run");
    check(&["--set", "objective.success=5"], "write a percentage such as `20%`");
    site.write("scenario.yaml", "users: [{load: 5/s, to: wbe}]\n");
    check(&[], "did you mean `web`?");
    site.write("scenario.yaml", "");
    site.manifest("name: shop\nservices: {web: {command: 'true'}}\n");
    check(&[], "nothing is known of how `web` behaves");
}

#[test]
fn answers_are_written_for_other_tools() {
    let site = shop();
    site.write("scenario.yaml", SCENARIO);
    let mut arguments = vec!["sim", "run", "--replications", "2", "--html", "report.html"];
    let exports = [
        "zipkin=spans.json",
        "otlp=otlp.json",
        "prometheus=metrics.txt",
        "graph=graph.json",
        "graphml=graph.graphml",
        "dot=graph.dot",
        "mermaid=graph.mmd",
    ];
    arguments.extend(exports.iter().flat_map(|it| ["--export", it]));
    let first = site.ok(&arguments).out;
    let read = |name: &str| fs::read_to_string(site.app().join(name)).unwrap();
    let spans: Value = serde_json::from_str(&read("spans.json")).unwrap();
    let spans = spans.as_array().unwrap();
    assert!(spans.iter().any(|it| it["remoteEndpoint"]["serviceName"] == "cart"), "{spans:?}");
    // The epoch is the beginning of the year, in microseconds, and the run takes 40 seconds.
    let at = |it: &Value| it["timestamp"].as_u64().unwrap();
    let run = 1_767_225_600_000_000..1_767_225_640_000_000;
    assert!(spans.iter().all(|it| run.contains(&at(it))));
    let otlp: Value = serde_json::from_str(&read("otlp.json")).unwrap();
    assert!(otlp["resourceSpans"].is_array());
    assert!(read("metrics.txt").contains("pelago_requests_total{application=\"shop\""));
    let graph: Value = serde_json::from_str(&read("graph.json")).unwrap();
    assert_eq!(graph["arch"], "shop");
    assert!(read("graph.graphml").contains("<graphml"));
    assert!(read("graph.dot").contains("digraph") && read("graph.mmd").contains("cart"));
    assert!(read("report.html").contains("</html>"));
    // What is written beside changes nothing about what is found.
    assert_eq!(site.ok(&["sim", "run", "--replications", "2"]).out, first);
    let wrong = site.run(&["sim", "run", "--export", "csv=x"]);
    assert!(failed(&wrong) && wrong.err.contains("forms are zipkin, otlp"), "{}", wrong.err);
}

#[test]
fn what_a_spigo_file_says_of_its_world_is_played() {
    let site = Site::new();
    site.write(
        "lamp_arch.json",
        r#"{"arch": "lamp", "version": "arch-0.0", "victim": "web", "services": [
            {"name": "db", "package": "store", "count": 2, "regions": 1, "dependencies": []},
            {"name": "web", "package": "monolith", "count": 3, "regions": 1, "dependencies": ["db"]},
            {"name": "www", "package": "denominator", "count": 0, "regions": 0, "dependencies": ["web"]}]}"#,
    );
    let arguments = ["sim", "run", "lamp_arch.json", "--replications", "2", "--duration", "60s"];
    let report = answer(&site, &arguments);
    assert_eq!(report["origin"]["application"], "lamp");
    assert_eq!(report["credibility"]["violations"].as_array().unwrap().len(), 0);
}

#[test]
fn an_objective_that_is_missed_fails_a_check() {
    let site = shop();
    site.write("scenario.yaml", SCENARIO);
    let run =
        |load| failed(&site.run(&["sim", "run", "--replications", "2", "--check", "--load", load]));
    assert!(!run("20/s"));
    assert!(run("400/s"));
}

#[test]
fn what_is_built_in_is_listed_shown_and_played() {
    let site = Site::new();
    let list = site.ok(&["sim", "list"]).out;
    for name in ["netflix", "online-boutique", "train-ticket"] {
        assert!(list.contains(name), "{list}");
    }
    let file = site.ok(&["sim", "show", "sock-shop"]).out;
    fs::write(site.app().join("pelago.yaml"), file).unwrap();
    site.ok(&["validate"]);
    let short = ["--duration", "5s", "--replications", "2", "--load", "100/s"];
    let report = answer(&site, &[&["sim", "run", "sock-shop"], short.as_slice()].concat());
    assert_eq!(report["origin"]["application"], "sock-shop");
    assert_eq!(report["credibility"]["violations"].as_array().unwrap().len(), 0);
}

/// A flaky service behind an edge with everything an edge can do.
const FLAKY: &str = "
name: shop
defaults:
  resilience:
    timeout: 300ms
    retry: {attempts: 2, backoff: 2ms, budget: 50%, on: [connect-failure, reset, server-error, gateway-error, attempt-timeout], attempt_timeout: 60ms}
    circuit_breaker: {consecutive_errors: 3, open_for: 200ms}
    max_concurrency: 6
    queue: {length: 10, wait: 30ms}
    hedge: {after: 90%, budget: 20%}
services:
  web:
    behaviour: {work: {mean: 1ms}, calls: [{parallel: [cart, ads]}]}
  cart: {replicas: 3, behaviour: {work: {p50: 5ms, p99: 80ms}, errors: 20%}}
  ads: {replicas: 2, behaviour: {work: {mean: 10ms}, concurrency: 2, queue: 2}}
routes:
  - {path: /, service: web}
";

/// What the data plane decided under load is decided again, draw for draw.
#[test]
fn logged_decisions_are_decided_again() {
    let mut site = Site::new();
    site.manifest(FLAKY);
    site.gateway_at("127.0.0.1:0");
    site.serve = vec!["--decision-log", "decisions"];
    site.start();
    site.ok(&["up", "--detach"]);
    let url = format!("http://{}/", site.gateway());
    site.ok(&["load", &url, "--rate", "300/s", "--duration", "3s"]);
    let logs: Vec<_> = fs::read_dir(site.app().join("decisions")).unwrap().flatten().collect();
    assert_eq!(logs.len(), 1);
    let path = logs[0].path();
    let path = path.to_str().unwrap();
    // It is written by and by, and the data plane goes on.
    let words = ["go ", "retry after", "refuse ", "hedge at", "give up", "wait "];
    let text = crate::harness::until("everything an edge can decide", || {
        let text = fs::read_to_string(path).unwrap();
        let is_met = words.iter().all(|it| text.contains(it)) && 5_000 < text.lines().count();
        is_met.then_some(text)
    });
    let replayed = answer(&site, &["sim", "replay", path]);
    assert_eq!(replayed["differences"], serde_json::json!([]));
    assert!(3 <= replayed["edges"].as_u64().unwrap(), "{replayed}");
    assert!(5_000 < replayed["decisions"].as_u64().unwrap(), "{replayed}");
    // One decision that was another is found.
    let place = text.find("\"decision\":\"retry after ").unwrap();
    let (before, after) = text.split_at(place);
    let after = after.rsplit_once('\n').unwrap().0;
    let changed = after.replacen("retry after ", "retry after 1", 1);
    site.write("changed.jsonl", &format!("{before}{changed}\n"));
    let ran = site.run(&["sim", "replay", "changed.jsonl"]);
    assert!(failed(&ran) && ran.out.contains("1 edges decided otherwise"), "{}", ran.out);
}

/// What is simulated runs: a store behind a cache is called where it is not declared otherwise.
#[test]
fn a_behaviour_with_a_cache_runs_live() {
    let calls = "calls: [{service: db, cache: {service: memory, hit_ratio: 50%}}]";
    let site = Site::with_gateway(&format!(
        "name: shop\nservices:\n  web: {{behaviour: {{{calls}}}}}\n  memory: {{behaviour: {{}}}}\n  db: {{behaviour: \
         {{}}}}\nroutes: [{{path: /, service: web}}]\n"
    ));
    site.ok(&["up", "--detach"]);
    let url = format!("http://{}/", site.gateway());
    let load = answer(&site, &["load", &url, "--rate", "100/s", "--duration", "1s"]);
    assert_eq!(load["statuses"]["200"], load["offered"], "{load}");
    let simulated = answer(&site, &["sim", "run", "--duration", "20s", "--replications", "2"]);
    let edges = simulated["edges"].as_array().unwrap();
    let to = |callee: &str| edges.iter().any(|it| it["callee"] == callee && it["caller"] == "web");
    assert!(to("memory") && to("db"), "{edges:?}");
}
