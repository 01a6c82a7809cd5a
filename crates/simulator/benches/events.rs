//! How many events a second one core plays, of models whose peers' figures stand in `BENCHMARKS.md`.
//!
//! `cargo bench -p simulator` prints each model's events per second, its set-up, and its memory.
#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::Application;
use model::edge::{Resilience, Retry};
use model::route::Priority;
use model::scenario::{Door, Entry, Load, LoadPart, Scenario, Users};
use model::units::Bytes;
use simulator::{Go, Run, System, run};

fn application(services: &str) -> Application {
    let text = format!("name: bench\nservices:\n{services}");
    match manifest::read("bench.yaml", &text, &BTreeMap::new()) {
        Ok(read) => read.application,
        Err(problems) => panic!("{problems:?}"),
    }
}

fn users(service: &str, rate: f64, door: Door) -> Users {
    let part = LoadPart { from: rate, to: rate, lasts: Duration::from_secs(1) };
    let policy = Resilience {
        timeout: Duration::from_secs(5),
        retry: Retry { attempts: 1, ..Retry::default() },
        ..Resilience::default()
    };
    let entry = Entry {
        service: service.parse().unwrap(),
        weight: 1,
        request: Bytes(0),
        priority: Priority::Normal,
        resilience: Box::new(policy),
    };
    Users {
        name: "users".to_owned(),
        load: Load::Open(vec![part]),
        requests: vec![entry],
        door,
        again: None,
    }
}

/// Processor time of this thread until now, in seconds: others on the machine take none of it.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: f64 = text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(f64::NAN);
    nanos / 1e9
}

/// Resident memory now, in MiB.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0.0);
    pages * 4_096.0 / 1_048_576.0
}

fn measure(name: &str, application: &Application, scenario: &Scenario) {
    let (began, busy) = (Instant::now(), processor());
    let system = System::new(application, scenario).unwrap();
    let compiled = began.elapsed();
    let mut first = None;
    let it = Run { seed: 1, replication: 0, load: 1.0, warm_up: None, traces: 0 };
    let outcome = run(&system, &it, &mut |_| {
        first.get_or_insert_with(|| began.elapsed());
        Go::On
    })
    .unwrap();
    let (took, busy) = (began.elapsed().as_secs_f64(), processor() - busy);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    let users = &outcome.users[0];
    println!("{name}: compiled in {compiled:.1?}, first events after {first:.1?}");
    println!(
        "{name}: {:.2} M events/s ({} events, {} requests, {:.1} s virtual in {busy:.2} s of a core, {took:.2} s, {:.4} failed, p99 {:?}, {:.0} MiB)",
        outcome.events as f64 / busy / 1e6,
        outcome.events,
        users.succeeded + users.failed,
        outcome.counted.as_secs_f64(),
        users.failed as f64 / users.offered.max(1) as f64,
        users.latency.quantile(0.99).unwrap_or_default(),
        resident(),
    );
}

/// A tree of services, each of which calls `fan` others at once, down to a depth.
fn tree(fan: u32, depth: u32, instances: u32) -> String {
    let mut text = String::new();
    let mut level = vec!["s".to_owned()];
    for below in (0..=depth).rev() {
        let mut next = Vec::new();
        for name in &level {
            let children: Vec<String> = (0..fan).map(|it| format!("{name}{it}")).collect();
            let calls = if below == 0 {
                String::new()
            } else {
                format!(", calls: [{{parallel: [{}]}}]", children.join(", "))
            };
            let behaviour = format!("{{work: {{mean: 1ms}}, concurrency: 16{calls}}}");
            let service = format!("{{replicas: {instances}, behaviour: {behaviour}}}");
            text.extend([format!("  {name}: {service}\n")]);
            if below != 0 {
                next.extend(children);
            }
        }
        level = next;
    }
    text
}

fn main() {
    let only = std::env::args().nth(1).filter(|it| it != "--bench");
    let is_asked = |name: &str| only.as_deref().is_none_or(|it| name.contains(it));
    let seconds =
        |duration| Scenario { duration: Duration::from_secs(duration), ..Scenario::default() };
    if is_asked("m/m/1") {
        let application =
            application("  s: {behaviour: {work: {mean: 1ms}, concurrency: 1, queue: 100000}}\n");
        let load = Scenario { users: vec![users("s", 800.0, Door::Direct)], ..seconds(20_000) };
        measure("m/m/1", &application, &load);
    }
    if is_asked("edge") {
        let application =
            application("  s: {replicas: 10, behaviour: {work: {mean: 1ms}, concurrency: 4}}\n");
        let mut load =
            Scenario { users: vec![users("s", 20_000.0, Door::Gateway)], ..seconds(200) };
        load.network.within_zone = Duration::from_micros(250);
        measure("one edge, 10 instances", &application, &load);
    }
    if is_asked("tree") {
        // 31 services of 32 instances.
        let application = application(&tree(2, 4, 32));
        let mut load = Scenario { users: vec![users("s", 4_000.0, Door::Gateway)], ..seconds(60) };
        load.network.within_zone = Duration::from_micros(250);
        measure("tree of 31 services, 992 instances", &application, &load);
    }
    if is_asked("boutique") {
        let boutique = library::find("online-boutique").unwrap().read().unwrap();
        let mut scenario = boutique.scenario;
        let part = LoadPart { from: 1_000.0, to: 1_000.0, lasts: Duration::from_secs(1) };
        scenario.users[0].load = Load::Open(vec![part]);
        scenario.duration = Duration::from_hours(1);
        measure("an hour of online boutique at 1000/s", &boutique.application, &scenario);
    }
    if is_asked("web-scale") {
        let generated = library::WebScale::default().generate().unwrap();
        let mut scenario = generated.scenario;
        scenario.duration = Duration::from_mins(1);
        measure("web-scale, 300 services, 100 000 instances", &generated.application, &scenario);
        // One zone: each of the others has balancers of its own, who know every instance.
        scenario.network.zones.truncate(1);
        measure("the same in one zone", &generated.application, &scenario);
    }
}
