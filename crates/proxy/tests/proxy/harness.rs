//! A data plane to be tested, and instances behind it.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use host::Clock;
use model::edge::{Resilience, Retry};
use model::route::Route;
use model::service::Protocol;
use model::{Index, InstanceId, ReleaseNumber, Timestamp};
use proxy::{AccessLog, GatewayOptions, Options, RunError, Says, Sockets, run_until};
use telemetry::Span;
use telemetry::report::{EdgeSignals, Outcomes, Report, Signals};
use tokio::sync::oneshot;
use world::routing::{Backend, Edge, Endpoint, Feed, Table, backend_key, edge_key};

use crate::wire::{Head, PATIENCE, Wire};

/// What a data plane is fed: `web` calls `cart`, and so does everybody outside.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    pub(crate) policy: Resilience,
    pub(crate) protocol: Protocol,
    /// Instances by number, with their ports.
    pub(crate) instances: BTreeMap<u32, u16>,
    /// Where `web` finds `cart`.
    pub(crate) edge: Option<u16>,
    /// The route to `cart`, without its policy.
    pub(crate) route: serde_json::Value,
    pub(crate) index: u64,
}

impl Shop {
    /// A shop with these instances, whose requests are tried again at once.
    pub(crate) fn new(ports: &[u16]) -> Self {
        let retry = Retry { backoff: std::time::Duration::ZERO, ..Retry::default() };
        let mut policy = Resilience { retry, ..Resilience::default() };
        policy.timeout = PATIENCE;
        policy.balance.policy = model::edge::BalancePolicy::RoundRobin;
        Self {
            policy,
            protocol: Protocol::Http,
            instances: (1..).zip(ports.iter().copied()).collect(),
            edge: None,
            route: serde_json::json!({"path": "/", "service": "cart"}),
            index: 1,
        }
    }

    pub(crate) fn policy(mut self, change: impl FnOnce(&mut Resilience)) -> Self {
        change(&mut self.policy);
        self
    }

    pub(crate) fn speaking(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    pub(crate) fn table(&self) -> Table {
        let application: model::ApplicationName = "shop".parse().unwrap();
        let (web, cart): (model::ServiceName, model::ServiceName) =
            ("web".parse().unwrap(), "cart".parse().unwrap());
        let endpoints = self.instances.iter().map(|(number, port)| Endpoint {
            instance: instance(*number),
            release: ReleaseNumber(1),
            port: *port,
            ready_at: Timestamp::EPOCH,
        });
        let backend = Backend {
            application: application.clone(),
            service: cart.clone(),
            protocol: self.protocol,
            endpoints: endpoints.collect(),
            split: Vec::new(),
            sticky: None,
            matches: Vec::new(),
            trial: None,
        };
        let mut route: Route = serde_json::from_value(self.route.clone()).unwrap();
        route.resilience = self.policy.clone();
        let edge = self.edge.map(|port| Edge {
            application: application.clone(),
            caller: web.clone(),
            callee: cart.clone(),
            port,
            policy: self.policy.clone(),
            prefers: None,
        });
        let key = edge_key(&application, &web, &cart);
        Table {
            index: Index(self.index),
            backends: [(backend_key(&application, &cart), Arc::new(backend))].into(),
            edges: edge.into_iter().map(|it| (key.clone(), Arc::new(it))).collect(),
            routes: [(application, Arc::from([route]))].into(),
        }
    }
}

/// The name of an instance of `cart`.
pub(crate) fn instance(number: u32) -> InstanceId {
    format!("cart.{number}").parse().unwrap()
}

/// A running data plane.
pub(crate) struct Plane {
    pub(crate) folder: Arc<tempfile::TempDir>,
    pub(crate) gateway: SocketAddr,
    pub(crate) gateway_tls: Option<SocketAddr>,
    feed: UnixStream,
    /// Reports that were looked through for spans and are still to be read.
    pub(crate) unread: VecDeque<Report>,
    pub(crate) spans: Vec<Span>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
}

/// How a data plane is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Usual,
    TwoWorkers,
    WithTls,
    /// With an access log in the folder.
    Logging,
    /// The same, and PROXY protocol headers are expected.
    BehindBalancer,
    /// Behind a proxy that is trusted, and saying what it can of itself.
    Saying,
    /// Heads may be as large as can be allowed, and take a second.
    LargeHeads,
    /// With an access log, and whoever connects from this machine is a proxy that is trusted.
    BehindProxy,
}

/// What the gateway is told beside where it listens.
fn front(start: Start, folder: &Path) -> GatewayOptions {
    let has_log = matches!(start, Start::Logging | Start::BehindBalancer | Start::BehindProxy);
    let log = AccessLog { file: folder.join("access.log"), sample: model::units::Share::ALL };
    GatewayOptions {
        access_log: has_log.then_some(log),
        proxy_protocol: start == Start::BehindBalancer,
        decision_log: None,
        trusted_proxies: if matches!(start, Start::BehindProxy | Start::Saying) {
            "127.0.0.1"
        } else {
            "none"
        }
        .parse()
        .unwrap(),
        says: Says { forwarded: start == Start::Saying, via: start == Start::Saying },
        head_size: if start == Start::LargeHeads { "48KiB" } else { "16KiB" }.parse().unwrap(),
        head_time: if start == Start::LargeHeads { "1s" } else { "10s" }.parse().unwrap(),
    }
}

impl Plane {
    /// A data plane with one worker that routes for `shop`.
    pub(crate) fn new(shop: &Shop) -> Self {
        Self::start(shop, Start::Usual)
    }

    pub(crate) fn start(shop: &Shop, start: Start) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let options = Options {
            front: front(start, folder.path()),
            socket: folder.path().join("socket"),
            gateway: Some(anywhere),
            gateway_tls: (start == Start::WithTls).then_some(anywhere),
            tls_folder: (start == Start::WithTls).then(|| folder.path().join("tls")),
            workers: if start == Start::TwoWorkers { 2 } else { 1 },
            sockets: Sockets::New,
            seed: 1,
            clock: Clock::start(),
        };
        let mut plane = Self::run(folder, options);
        plane.feed(&Feed::Table(shop.table()));
        plane.applied(shop.index);
        plane
    }

    fn run(folder: Arc<tempfile::TempDir>, options: Options) -> Self {
        let (end, ended) = oneshot::channel();
        let socket = options.socket.clone();
        let before = mark(&socket);
        let thread = thread::spawn(move || {
            run_until(&options, async {
                // Whoever drops the other half wants it to end, too.
                drop(ended.await);
            })
        });
        let mut feed = loop {
            assert!(!thread.is_finished(), "it does not start: {:?}", thread.join());
            // A successor makes a socket of its own in place of the one that is there.
            if mark(&socket) != before
                && let Ok(feed) = UnixStream::connect(&socket)
            {
                break feed;
            }
            thread::yield_now();
        };
        feed.set_read_timeout(Some(PATIENCE)).unwrap();
        let (gateway, gateway_tls) = hello(&mut feed);
        let gateway = gateway.unwrap();
        let (unread, spans) = (VecDeque::new(), Vec::new());
        let (end, thread) = (Some(end), Some(thread));
        Self { folder, gateway, gateway_tls, feed, unread, spans, end, thread }
    }

    /// A data plane that takes over from this one.
    pub(crate) fn successor(&self) -> Self {
        self.successor_at(self.gateway)
    }

    /// The same, with a gateway that is told to listen elsewhere.
    pub(crate) fn successor_at(&self, gateway: SocketAddr) -> Self {
        let options = Options {
            front: GatewayOptions::default(),
            socket: self.socket(),
            gateway: Some(gateway),
            gateway_tls: None,
            tls_folder: None,
            workers: 1,
            sockets: Sockets::TakenOver,
            seed: 2,
            clock: Clock::start(),
        };
        Self::run(Arc::clone(&self.folder), options)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Another control process comes in place of the one before.
    pub(crate) fn reconnect(&mut self) {
        self.feed = UnixStream::connect(self.socket()).unwrap();
        self.feed.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(hello(&mut self.feed).0, Some(self.gateway));
    }

    /// The control process is gone.
    pub(crate) fn disconnect(&mut self) {
        self.feed.shutdown(std::net::Shutdown::Both).unwrap();
    }

    pub(crate) fn feed(&mut self, feed: &Feed) {
        self.try_feed(feed).unwrap();
    }

    /// Feeds what may find nobody there.
    pub(crate) fn try_feed(&mut self, feed: &Feed) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(feed).unwrap();
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        self.feed.write_all(&[&length[..], &bytes].concat())
    }

    /// Feeds another table and waits until it is routed by.
    pub(crate) fn set(&mut self, shop: &mut Shop) {
        shop.index += 1;
        self.feed(&Feed::Table(shop.table()));
        self.applied(shop.index);
    }

    pub(crate) fn applied(&mut self, index: u64) {
        self.until(|it| matches!(it, Report::Applied { index: it } if it.0 == index).then_some(()));
    }

    pub(crate) fn report(&mut self) -> Report {
        self.unread.pop_front().unwrap_or_else(|| self.new_report())
    }

    /// The same, past those that were looked through.
    pub(crate) fn new_report(&mut self) -> Report {
        let report = report(&mut self.feed);
        if let Report::Signals(signals) = &report {
            self.spans.extend(signals.spans.iter().cloned());
        }
        report
    }

    /// Waits for a report that says what is wanted.
    pub(crate) fn until<T>(&mut self, mut wanted: impl FnMut(&Report) -> Option<T>) -> T {
        let clock = Clock::start();
        loop {
            let report = self.report();
            if let Some(found) = wanted(&report) {
                return found;
            }
            let waited = clock.now().since(model::Instant::ZERO);
            assert!(waited < PATIENCE, "last there was {report:?}");
        }
    }

    /// Waits for signals of the one edge there is that are as wanted.
    pub(crate) fn signals(&mut self, wanted: impl Fn(&EdgeSignals) -> bool) -> EdgeSignals {
        self.until(|report| match report {
            Report::Signals(Signals { edges, .. }) => edges.iter().find(|it| wanted(it)).cloned(),
            _ => None,
        })
    }

    /// Waits until so many requests have ended, and says how.
    pub(crate) fn outcomes(&mut self, count: u64) -> Outcomes {
        let all = |it: &EdgeSignals| {
            it.releases.iter().fold(Outcomes::default(), |sum, it| Outcomes {
                ok: sum.ok + it.outcomes.ok,
                client_error: sum.client_error + it.outcomes.client_error,
                server_error: sum.server_error + it.outcomes.server_error,
                failed: sum.failed + it.outcomes.failed,
                timeout: sum.timeout + it.outcomes.timeout,
                cancelled: sum.cancelled + it.outcomes.cancelled,
            })
        };
        let signals = self.signals(|it| all(it).total() == count && it.in_flight == 0);
        assert!(signals.instances.iter().all(|it| it.in_flight == 0), "{signals:?}");
        all(&signals)
    }

    /// Where `web` finds `cart`, on a port that is added to the shop's table.
    pub(crate) fn inside(&mut self, shop: &mut Shop) -> SocketAddr {
        let port = free_port();
        shop.edge = Some(port);
        self.set(shop);
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// A client of the gateway.
    pub(crate) fn client(&self) -> Wire {
        Wire::connect(self.gateway)
    }

    /// Asks once, over a connection of its own.
    pub(crate) fn get(&self, path: &str) -> String {
        self.client().get(path).verdict()
    }

    /// Ends it, and waits until it has.
    pub(crate) fn end(mut self) {
        self.end_now();
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(mut self) {
        let ended = self.thread.take().unwrap().join().unwrap();
        ended.unwrap();
    }

    fn end_now(&mut self) {
        if let (Some(end), Some(thread)) = (self.end.take(), self.thread.take()) {
            drop(end);
            thread.join().unwrap().unwrap();
        }
    }
}

/// What tells a socket from another at the same path: numbers of files are used again.
fn mark(path: &Path) -> Option<(u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|it| (it.ino(), it.ctime(), it.ctime_nsec()))
}

fn hello(feed: &mut UnixStream) -> (Option<SocketAddr>, Option<SocketAddr>) {
    match report(feed) {
        Report::Hello { gateway, gateway_tls, .. } => (gateway, gateway_tls),
        other => panic!("{other:?} comes before hello"),
    }
}

fn report(feed: &mut UnixStream) -> Report {
    let mut length = [0; 4];
    feed.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    feed.read_exact(&mut bytes).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// A port nobody listens on.
pub(crate) fn free_port() -> u16 {
    listener().local_addr().unwrap().port()
}

pub(crate) fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// An instance: every connection has a thread.
pub(crate) struct Instance {
    pub(crate) port: u16,
    heads: Arc<Mutex<Vec<Head>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A connection to an instance.
pub(crate) struct Asked {
    pub(crate) wire: Wire,
    /// Which connection it is, from 0.
    pub(crate) number: usize,
    heads: Arc<Mutex<Vec<Head>>>,
}

impl Asked {
    /// The head of the next request; nothing if there is none.
    pub(crate) fn head(&mut self) -> Option<Head> {
        let head = self.wire.head()?;
        self.heads.lock().unwrap().push(head.clone());
        Some(head)
    }

    /// The next request with its body.
    pub(crate) fn request(&mut self) -> Option<(Head, Vec<u8>)> {
        let head = self.head()?;
        let body = self.wire.body(&head);
        Some((head, body))
    }
}

impl Instance {
    /// One that does this with each connection.
    pub(crate) fn new(serve: impl Fn(Asked) + Send + Sync + 'static) -> Self {
        let listener = listener();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (seen, over) = (Arc::clone(&heads), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let serve = Arc::new(serve);
            for number in 0.. {
                let (stream, _) = listener.accept().unwrap();
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let asked = Asked { wire: Wire::of(stream), number, heads: Arc::clone(&seen) };
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(asked));
            }
        });
        Self { port, heads, is_over, thread: Some(thread) }
    }

    /// One that answers every request with `answer`.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |mut asked| {
            while asked.request().is_some() {
                if asked.wire.try_send(&answer).is_err() {
                    return;
                }
            }
        })
    }

    /// One that answers every head with `answer`, and reads no body.
    pub(crate) fn answering_heads(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |mut asked| {
            while asked.head().is_some() {
                if asked.wire.try_send(&answer).is_err() {
                    return;
                }
            }
        })
    }

    /// One that answers with the body it is sent.
    pub(crate) fn echo() -> Self {
        Self::new(|mut asked| {
            while let Some((_, body)) = asked.request() {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                if asked.wire.try_send([head.as_bytes(), &body].concat()).is_err() {
                    return;
                }
            }
        })
    }

    /// The heads of the requests it has seen.
    pub(crate) fn heads(&self) -> Vec<Head> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // It looks whether it is over when somebody comes.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
