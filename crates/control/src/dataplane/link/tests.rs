//! The task against a data plane that does what a test says.

use std::collections::BTreeMap;

use model::release::Release;
use model::{Application, ApplicationName, ReleaseNumber, Service, ServiceName, Timestamp};
use telemetry::Stores;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use world::routing::Feed;
use world::routing::Patch;
use world::{Event, Recorded};
use world::{GroupNumber, Purpose};

use super::*;
use crate::dataplane::wire::send;
use crate::dataplane::{DataPlane, GatewayOptions, start};
use crate::inbox::News;

/// Time after which a test has failed; nothing here takes a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A world in which things happen, and a data plane that listens.
struct Stage {
    world: World,
    published: watch::Sender<Arc<World>>,
    listener: UnixListener,
    plane: DataPlane,
    task: JoinHandle<()>,
    received: mpsc::Receiver<Input>,
    _folder: TempDir,
}

fn service() -> Service {
    serde_json::from_value(serde_json::json!({
        "source": {"process": {"command": ["true"]}},
        "replicas": 1,
        "stop_grace_period": "1s",
        "restart": {"policy": "always", "backoff": "1s", "max_backoff": "1s", "crash_loop": 5},
    }))
    .unwrap()
}

fn happen(world: &mut World, event: Event) {
    let index = world.index.next();
    world.fold(&Recorded { index, at: Timestamp::EPOCH, event }).unwrap();
}

fn stores(folder: &Path) -> Stores {
    let limits = telemetry::stores::Limits::default();
    Stores::open(&folder.join("telemetry"), limits, Timestamp::EPOCH).unwrap().0
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("proxy.sock")).unwrap();
        let mut world = World::default();
        let definition = Application {
            services: BTreeMap::from([("web".parse().unwrap(), service())]),
            ..Application::empty("shop".parse().unwrap())
        };
        let (application, service_name) = ("shop".parse().unwrap(), "web".parse().unwrap());
        let folder_name = "/".to_owned();
        happen(
            &mut world,
            Event::ApplicationApplied { definition: Arc::new(definition), folder: folder_name },
        );
        let release = Release::plain(ReleaseNumber(1), service(), None, Timestamp::EPOCH);
        let release = Arc::new(release);
        happen(&mut world, Event::ReleaseMade { application, service: service_name, release });
        let (published, worlds) = watch::channel(Arc::new(world.clone()));
        let place = Place {
            settings: Settings {
                gateway: None,
                gateway_tls: None,
                options: GatewayOptions::default(),
                workers: 1,
            },
            folder: folder.path().to_owned(),
            access: crate::open::Access::Writable { earlier_substitute: None },
            program: "/bin/false".into(),
            clock: host::Clock::start(),
            stores: Arc::new(stores(folder.path())),
        };
        let (inbox, received) = mpsc::channel(64);
        let (plane, task) = start(place, worlds, inbox);
        Self { world, published, listener, plane, task, received, _folder: folder }
    }

    fn publish(&mut self, events: impl IntoIterator<Item = Event>) {
        events.into_iter().for_each(|it| happen(&mut self.world, it));
        self.published.send_replace(Arc::new(self.world.clone()));
    }

    async fn accept(&self) -> Proxy {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        let mut proxy = Proxy(stream);
        let (version, pid) = (VERSION.to_owned(), std::process::id());
        let options = Box::default();
        let (gateway, gateway_tls, asked) = (None, None, None);
        proxy
            .say(Report::Hello {
                version,
                pid,
                gateway,
                gateway_tls,
                options,
                asked,
                workers: None,
                is_retired: false,
                counts_elsewhere: true,
            })
            .await;
        proxy
    }
}

struct Proxy(UnixStream);

impl Proxy {
    async fn say(&mut self, report: Report) {
        send(&mut self.0, &report).await.unwrap();
    }

    async fn hear(&mut self) -> Feed {
        within(receive(&mut self.0)).await.unwrap().unwrap()
    }

    async fn hear_patch(&mut self) -> Patch {
        match self.hear().await {
            Feed::Patch(patch) => patch,
            other => panic!("{other:?}"),
        }
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap()
}

async fn until(stage: &Stage, is_so: impl Fn(&crate::dataplane::Observed) -> bool) {
    within(async {
        while !stage.plane.read(&is_so) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn life() -> [Event; 4] {
    let application = || "shop".parse().unwrap();
    let instance = || "web.1".parse().unwrap();
    [
        Event::PortAssigned {
            group: GroupNumber::default(),
            application: application(),
            service: "web".parse().unwrap(),
            slot: 0,
            port: 20_000,
        },
        Event::InstanceCreated {
            group: GroupNumber::default(),
            purpose: Purpose::Serve,
            application: application(),
            instance: instance(),
            slot: 0,
            release: ReleaseNumber(1),
            port: 20_000,
        },
        Event::InstanceStarted {
            application: application(),
            instance: instance(),
            process: ProcessId { pid: 7, started_ticks: 7 },
        },
        Event::InstanceReady { application: application(), instance: instance() },
    ]
}

fn stopping() -> Event {
    Event::InstanceStopping {
        application: "shop".parse().unwrap(),
        instance: "web.1".parse().unwrap(),
        reason: model::instance::StopReason::Superseded,
    }
}

/// The endpoints of the one service in a patch.
fn ports(patch: &Patch) -> Vec<u16> {
    let backend = patch.backends["shop/web"].as_ref().unwrap();
    backend.endpoints.iter().map(|it| it.port).collect()
}

#[tokio::test]
async fn the_whole_table_first_and_then_what_changes() {
    let mut stage = Stage::new();
    let mut proxy = stage.accept().await;
    assert_eq!(proxy.hear().await, Feed::Table(Table::of(&stage.world)));
    let [port, created, started, ready] = life();
    // Nothing of the table is different.
    stage.publish([port, created, started]);
    stage.publish([ready]);
    let patch = proxy.hear_patch().await;
    assert_eq!((patch.index, ports(&patch)), (Index(6), vec![20_000]));

    drop(proxy);
    let mut proxy = stage.accept().await;
    assert_eq!(proxy.hear().await, Feed::Table(Table::of(&stage.world)));
    drop(stage.published);
    within(stage.task).await.unwrap();
}

#[tokio::test]
async fn an_instance_is_drained_after_the_table_without_it() {
    let mut stage = Stage::new();
    stage.publish(life());
    let mut proxy = stage.accept().await;
    assert!(matches!(proxy.hear().await, Feed::Table(_)));
    until(&stage, |it| it.is_connected).await;

    stage.publish([stopping()]);
    let (application, instance) = ("shop".parse().unwrap(), "web.1".parse().unwrap());
    let plane = stage.plane.clone();
    let drained = tokio::spawn(async move {
        plane.drain(&application, &instance, PATIENCE).await;
    });
    assert!(ports(&proxy.hear_patch().await).is_empty());
    let Feed::Drain { application, instance } = proxy.hear().await else { panic!("no drain") };
    assert!(!drained.is_finished());
    proxy.say(Report::Drained { application, instance }).await;
    within(drained).await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_a_data_plane_that_is_gone_or_does_not_answer() {
    let stage = Stage::new();
    let (application, instance) = ("shop".parse().unwrap(), "web.1".parse().unwrap());
    within(stage.plane.drain(&application, &instance, Duration::MAX)).await;

    let mut proxy = stage.accept().await;
    until(&stage, |it| it.is_connected).await;
    within(stage.plane.drain(&application, &instance, Duration::from_millis(1))).await;

    let plane = stage.plane.clone();
    let drained = tokio::spawn(async move {
        plane.drain(&application, &instance, Duration::from_hours(24)).await;
    });
    let mut drains = 0;
    while drains < 2 {
        drains += usize::from(matches!(proxy.hear().await, Feed::Drain { .. }));
    }
    drop(proxy);
    within(drained).await.unwrap();
}

#[tokio::test]
async fn what_it_says_is_remembered() {
    let stage = Stage::new();
    let mut proxy = stage.accept().await;
    proxy.say(Report::Applied { index: Index(2) }).await;
    let edge = "shop/web>cart".to_owned();
    proxy.say(Report::ListenFailed { edge: edge.clone(), reason: "in use".to_owned() }).await;
    until(&stage, |it| it.failures.contains_key(&edge) && it.applied == Index(2)).await;
}

fn hello(version: &str, gateway: Option<SocketAddr>) -> Hello {
    let options = GatewayOptions::default();
    let (version, gateway_tls, asked) = (version.to_owned(), None, None);
    Hello {
        version,
        pid: 7,
        gateway,
        gateway_tls,
        options,
        asked,
        workers: Some(1),
        counts_elsewhere: true,
    }
}

#[track_caller]
fn check(version: &str, gateway: Option<&str>, wanted: Option<&str>, expected: &str) {
    let address = |it: Option<&str>| it.map(|it| it.parse().unwrap());
    let options = GatewayOptions::default();
    let settings = Settings { gateway: address(wanted), gateway_tls: None, options, workers: 1 };
    let hello = hello(version, address(gateway));
    let fate = if needs_replacement(&hello, &settings) { "replaced" } else { "kept" };
    assert_eq!(fate, expected, "{version} {gateway:?} {wanted:?}");
}

#[test]
fn which_data_plane_is_replaced() {
    let (here, there) = (Some("127.0.0.1:8080"), Some("127.0.0.1:8081"));
    check(VERSION, here, here, "kept");
    check(VERSION, None, here, "kept");
    check(VERSION, None, None, "kept");
    check(VERSION, here, Some("127.0.0.1:0"), "kept");
    check(VERSION, here, there, "replaced");
    check(VERSION, here, None, "replaced");
    check("0.0.0", here, here, "replaced");
    let options = GatewayOptions { proxy_protocol: true, ..GatewayOptions::default() };
    let settings = Settings { gateway: None, gateway_tls: None, options, workers: 1 };
    assert!(needs_replacement(&hello(VERSION, None), &settings));
    // Issue 12: another number of workers was said, and stayed as it was.
    let options = GatewayOptions::default();
    let settings = Settings { gateway: None, gateway_tls: None, options, workers: 2 };
    assert!(needs_replacement(&hello(VERSION, None), &settings));
    assert!(!needs_replacement(&Hello { workers: None, ..hello(VERSION, None) }, &settings));
}

#[track_caller]
fn check_asked(asked: Option<&str>, wanted: Option<&str>, expected: &str) {
    let address = |it: Option<&str>| it.map(|it| it.parse().unwrap());
    let options = GatewayOptions::default();
    let settings = Settings { gateway: address(wanted), gateway_tls: None, options, workers: 1 };
    let asked = Some(GatewayAddresses { plain: address(asked), tls: None });
    // Another program has the address, whichever it was told.
    let hello = Hello { asked, ..hello(VERSION, None) };
    let fate = if needs_replacement(&hello, &settings) { "replaced" } else { "kept" };
    assert_eq!(fate, expected, "{asked:?} {wanted:?}");
}

#[test]
fn a_data_plane_that_waits_for_its_address_is_replaced_only_where_it_waits_for_another() {
    let (here, there) = (Some("127.0.0.1:8080"), Some("127.0.0.1:8081"));
    check_asked(here, here, "kept");
    check_asked(here, there, "replaced");
    check_asked(None, there, "replaced");
    check_asked(here, None, "replaced");
    check_asked(None, None, "kept");
}

/// A canary of r2 that takes the traffic of its first step.
fn canary() -> Vec<Event> {
    let application: ApplicationName = "shop".parse().unwrap();
    let service_name: ServiceName = "web".parse().unwrap();
    let of = |event: fn(ApplicationName, ServiceName) -> Event| {
        event(application.clone(), service_name.clone())
    };
    vec![
        of(|application, service_name| Event::ReleaseBaked {
            application,
            service: service_name,
            release: Arc::new(Release::plain(ReleaseNumber(2), service(), None, Timestamp::EPOCH)),
        }),
        of(|application, service| Event::GroupOpened {
            application,
            service,
            group: GroupNumber(1),
            release: ReleaseNumber(2),
        }),
        of(|application, service| Event::RolloutStarted {
            application,
            service,
            rollout: Arc::new(
                serde_json::from_value(serde_json::json!({
                    "kind": "deploy", "from": 1, "to": 2, "group": 1, "update": {
                        "strategy": "canary", "steps": [{"weight": "5%"}], "keep_old": "0s",
                        "auto_promote": true, "auto_revert": true,
                        "analysis": {"alpha": "1%", "max_ratio": 1.25, "max_duration": "1m",
                            "on_inconclusive": "hold"},
                    },
                }))
                .unwrap(),
            ),
        }),
        of(|application, service| Event::RolloutTrafficMoved { application, service, step: 0 }),
    ]
}

/// What came over a route: comparisons with an epoch, and requests that took a millisecond.
fn measured(route: &str, epoch: u64, requests: u64) -> telemetry::EdgeSignals {
    let counts = |requests, errors| {
        serde_json::json!({
            "requests": requests, "errors": errors, "slow": [0, 0, 0, 0, 0], "harmed": errors,
        })
    };
    let mut latency = telemetry::Histogram::default();
    (0..requests).for_each(|_| latency.record(1_000));
    let release = telemetry::report::ReleaseSignals {
        release: Some(ReleaseNumber(1)),
        first_attempt_latency: latency,
        ..telemetry::report::ReleaseSignals::default()
    };
    serde_json::from_value(serde_json::json!({
        "edge": {"application": "shop", "caller": {"route": route}, "callee": "web"},
        "refused": [], "queued": 0, "releases": [release], "instances": [], "open": false,
        "in_flight": 0, "limit": null,
        "trial": {"epoch": epoch, "old": counts(requests, 1), "new": counts(7, 2)},
    }))
    .unwrap()
}

#[tokio::test]
async fn what_rollouts_want_to_know_is_told_once() {
    let mut stage = Stage::new();
    let mut proxy = stage.accept().await;
    stage.publish(canary());
    let epoch = stage.world.index.0;
    let say = |second: u64, edges| {
        let at = Timestamp::from_millis(second * 1_000);
        Report::Signals(telemetry::Signals { at, edges, ..telemetry::Signals::default() })
    };
    // Fewer requests than latencies can be read from; and counts of another epoch say nothing.
    proxy.say(say(1, vec![measured("a/", epoch, 10), measured("b/", epoch - 1, 10)])).await;
    proxy.say(say(2, vec![measured("a/", epoch, 300), measured("b/", epoch, 20)])).await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let Some(Input::Heard(told)) = within(stage.received.recv()).await else { panic!() };
        heard.push(match told.news {
            News::Counted(it) => {
                let (old, new) = (it.old, it.new);
                format!("{} {} {} {}", old.requests, old.errors, new.requests, new.harmed)
            }
            News::Baseline(it) => format!("{} of {}", it.latency_us[0] / 100, it.requests),
            News::Told(_) => panic!(),
        });
    }
    assert_eq!(heard, ["10 1 7 2", "320 2 14 4", "20 of 300"]);
}
