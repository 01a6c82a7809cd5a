//! What it costs to make the world again, decoding and folding a million events, and to make a routing
//! table of it.
//!
//! `cargo bench -p world`. The events are those of forty services that start, become ready, are
//! unready for a while, and end, over and over, as JSON as the journal keeps it.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::edge::Resilience;
use model::health::{Check, Health, Probe};
use model::instance::{Exit, ProcessId};
use model::release::Release;
use model::restart::Restart;
use model::service::{Limits, Source};
use model::template::Template;
use model::{
    Application, ApplicationName, Index, InstanceId, ReleaseNumber, Service, ServiceName, Timestamp,
};
use world::routing::Table;
use world::{Event, Recorded, World};
use world::{GroupNumber, Purpose};

/// Events decoded and folded.
const EVENTS: usize = 1_000_000;
/// Services of the application, and instances of each.
const SERVICES: u32 = 40;
const REPLICAS: u32 = 3;
/// Services of the large application that a routing table is made of, and instances of each.
const LARGE_SERVICES: u32 = 100;
const LARGE_REPLICAS: u32 = 10;
/// Tables made of it.
const TABLES: u32 = 1_000;
/// What is left for this of the three seconds in which a control process should be back, after
/// 0.45 s for reading the journal.
const BUDGET: Duration = Duration::from_millis(2_300);

fn main() {
    let bodies = bodies();
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    println!("{} events, {:.0} bytes each", bodies.len(), bytes as f64 / bodies.len() as f64);

    let begun = Instant::now();
    let decoded: Vec<Event> = bodies.iter().map(|it| Event::decode(it).unwrap()).collect();
    report("decode", begun.elapsed(), bodies.len());

    let begun = Instant::now();
    let mut world = World::default();
    for (at, event) in decoded.into_iter().enumerate() {
        fold(&mut world, at, event);
    }
    report("fold", begun.elapsed(), bodies.len());

    let begun = Instant::now();
    let mut again = World::default();
    for (at, body) in bodies.iter().enumerate() {
        fold(&mut again, at, Event::decode(body).unwrap());
    }
    let took = begun.elapsed();
    report("decode and fold", took, bodies.len());
    assert_eq!(world, again);
    let verdict = if took < BUDGET { "within" } else { "beyond" };
    println!("{verdict} the budget of {BUDGET:?}");
    tables();
}

/// Makes tables of a large application, and patches between them.
fn tables() {
    let world = large();
    let mut before = Table::of(&world);
    let begun = Instant::now();
    for _ in 0..TABLES {
        before = Table::of(&world);
    }
    let took = begun.elapsed() / TABLES;
    let endpoints: usize = before.backends.values().map(|it| it.endpoints.len()).sum();
    println!("table of {endpoints} endpoints and {} edges: {took:?}", before.edges.len());

    let later = Table::of(&world);
    let begun = Instant::now();
    for _ in 0..TABLES {
        assert!(before.patch_to(&later).is_empty());
    }
    println!("patch between two: {:?}", begun.elapsed() / TABLES);
}

/// A hundred services of ten instances that serve, each of which calls five others.
fn large() -> World {
    let mut world = World::default();
    let names = || (0..LARGE_SERVICES).map(service_name);
    let definition = Arc::new(Application {
        services: (0..LARGE_SERVICES)
            .map(|it| (service_name(it), service(it, LARGE_SERVICES)))
            .collect(),
        ..empty_application()
    });
    let mut events = vec![Event::ApplicationApplied { definition, folder: "/srv/shop".to_owned() }];
    for (number, name) in (0..).zip(names()) {
        events.push(release(number, LARGE_SERVICES, 1));
        events.extend((1..=5).map(|it| Event::EdgeOpened {
            group: None,
            application: application(),
            caller: name.clone(),
            callee: service_name((number + it) % LARGE_SERVICES),
            port: 1_000 + u16::try_from(number * 5 + it).unwrap(),
        }));
        for slot in 0..LARGE_REPLICAS {
            events.push(Event::PortAssigned {
                group: GroupNumber::default(),
                application: application(),
                service: name.clone(),
                slot,
                port: port(number, slot),
            });
            let [created, started, ready, ..] = life(number, slot, 0);
            events.extend([created, started, ready]);
        }
    }
    for (at, event) in events.into_iter().enumerate() {
        fold(&mut world, at, event);
    }
    world
}

fn report(what: &str, took: Duration, events: usize) {
    let rate = events as f64 / took.as_secs_f64();
    println!("{what:<16} {:>6.3} s, {rate:>10.0} events/s", took.as_secs_f64());
}

fn fold(world: &mut World, at: usize, event: Event) {
    let index = Index(at as u64 + 1);
    let at = Timestamp::from_millis(1_795_327_200_000 + at as u64 * 7);
    world.fold(&Recorded { index, at, event }).unwrap();
}

fn service_name(number: u32) -> ServiceName {
    format!("service-{number}").parse().unwrap()
}

fn application() -> ApplicationName {
    "online-boutique".parse().unwrap()
}

fn empty_application() -> Application {
    Application::empty(application())
}

/// A service that calls five others of `count`.
fn service(number: u32, count: u32) -> Service {
    let template = |text: &str| text.parse::<Template>().unwrap();
    let callees = (1..=5).map(|it| service_name((number + it) % count));
    Service {
        source: Source::Process {
            artifact: Some(format!("./services/{number}")),
            build: Vec::new(),
            command: ["./bin/server", "--port", "${PORT}"].map(template).to_vec(),
        },
        release_command: Vec::new(),
        environment: BTreeMap::from([("LOG_LEVEL".to_owned(), template("info"))]),
        port: None,
        ports: BTreeMap::new(),
        protocol: model::service::Protocol::Http,
        replicas: REPLICAS,
        depends_on: BTreeMap::new(),
        uses: BTreeMap::new(),
        calls: callees.map(|it| (it, Resilience::default())).collect(),
        health: Health {
            readiness: Some(Check::new(Probe::Http("/health".to_owned()))),
            liveness: None,
        },
        stop_grace_period: Duration::from_secs(10),
        stop_signal: model::stopping::StopSignal::default(),
        data: None,
        restart: Restart::default(),
        limits: Limits::default(),
        update: model::rollout::Update::default(),
        metrics: None,
        owner: None,
    }
}

/// The journal's bodies: the application, and then life and death of its instances; now and then a
/// release.
fn bodies() -> Vec<Vec<u8>> {
    let definition = Arc::new(Application {
        services: (0..SERVICES).map(|it| (service_name(it), service(it, SERVICES))).collect(),
        ..empty_application()
    });
    let mut events = vec![Event::ApplicationApplied { definition, folder: "/srv/shop".to_owned() }];
    for number in 0..SERVICES {
        events.push(release(number, SERVICES, 1));
        events.extend((0..REPLICAS).map(|slot| Event::PortAssigned {
            group: GroupNumber::default(),
            application: application(),
            service: service_name(number),
            slot,
            port: port(number, slot),
        }));
    }
    let mut round = 0;
    while events.len() < EVENTS {
        for number in 0..SERVICES {
            if round % 50 == 49 {
                events.push(release(number, SERVICES, round / 50 + 2));
            }
            for slot in 0..REPLICAS {
                events.extend(life(number, slot, round));
            }
        }
        round += 1;
    }
    events.truncate(EVENTS);
    events.iter().map(|it| it.encode().unwrap()).collect()
}

fn port(number: u32, slot: u32) -> u16 {
    u16::try_from(20_000 + number * 100 + slot).unwrap()
}

fn release(service_number: u32, count: u32, number: u32) -> Event {
    Event::ReleaseMade {
        application: application(),
        service: service_name(service_number),
        release: Arc::new(Release::plain(
            ReleaseNumber(number),
            service(service_number, count),
            None,
            Timestamp::from_millis(1_795_327_200_000),
        )),
    }
}

/// What happens to one instance.
fn life(service: u32, slot: u32, round: u32) -> [Event; 6] {
    let instance =
        || InstanceId { service: service_name(service), number: round * REPLICAS + slot + 1 };
    let release = ReleaseNumber((round + 1) / 50 + 1);
    let process = ProcessId { pid: 4_000_000 + service, started_ticks: u64::from(round) * 991 };
    let reason = "GET http://127.0.0.1:20000/health: connection refused".to_owned();
    [
        Event::InstanceCreated {
            group: GroupNumber::default(),
            purpose: Purpose::Serve,
            application: application(),
            instance: instance(),
            slot,
            release,
            port: port(service, slot),
        },
        Event::InstanceStarted { application: application(), instance: instance(), process },
        Event::InstanceReady { application: application(), instance: instance() },
        Event::InstanceUnready { application: application(), instance: instance(), reason },
        Event::InstanceReady { application: application(), instance: instance() },
        Event::InstanceExited {
            application: application(),
            instance: instance(),
            exit: Exit::Signal(9),
        },
    ]
}
