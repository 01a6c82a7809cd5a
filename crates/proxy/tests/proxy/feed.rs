//! What the data plane is fed, and that requests do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use host::Clock;
use telemetry::report::{Report, Signals};
use world::routing::Feed;

use crate::harness::{Instance, Plane, Shop, Start, free_port, instance, listener};
use crate::wire::{PATIENCE, Wire, get, ok};

/// Clients that ask all the time, each over one connection for as long as that is kept.
struct Load {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<u64>>,
}

impl Load {
    fn new(count: usize, address: std::net::SocketAddr) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let client = |_| {
            let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
            thread::spawn(move || {
                let (mut wire, mut count) = (Wire::connect(address), 0);
                while !is_over.load(Ordering::Relaxed) {
                    let answer = wire.get("/");
                    assert_eq!(answer.verdict(), "200 -");
                    count += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                    if answer.head.get("connection") == Some("close") {
                        wire = Wire::connect(address);
                    }
                }
                count
            })
        };
        let threads = (0..count).map(client).collect();
        Self { is_over, answered, threads }
    }

    /// Waits until so many more were answered.
    fn pass(&self, count: u64) {
        let until = self.answered.load(Ordering::Relaxed) + count;
        while self.answered.load(Ordering::Relaxed) < until {
            assert!(self.threads.iter().all(|it| !it.is_finished()), "a request has failed");
            thread::yield_now();
        }
    }

    /// Ends it: the requests that were answered, none of which has failed.
    fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|it| it.join().unwrap()).sum()
    }
}

#[test]
fn tables_change_under_load_and_no_request_notices() {
    let carts: Vec<_> = (0..4).map(|_| Instance::answering(ok("x"))).collect();
    let mut shop = Shop::new(&[carts[0].port]);
    let mut plane = Plane::start(&shop, Start::TwoWorkers);
    let load = Load::new(8, plane.gateway);
    let clock = Clock::start();
    for round in 0..200_u32 {
        // One comes under a new number, one goes, and every now and then all are others.
        let place = round as usize % carts.len();
        shop.instances.insert(round + 2, carts[place].port);
        while 3 < shop.instances.len() || (round % 7 == 0 && 1 < shop.instances.len()) {
            shop.instances.pop_first();
        }
        plane.set(&mut shop);
        // A hundred a second.
        while clock.now().as_nanos() < u64::from(round) * 10_000_000 {
            thread::yield_now();
        }
    }
    let count = load.end();
    assert!(200 < count, "{count}");
    assert_eq!(plane.outcomes(count).ok, count);
    plane.end();
}

#[test]
fn an_edge_is_listened_on_while_it_is_declared() {
    let cart = Instance::answering(ok("x"));
    let port = free_port();
    let mut shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let address = ([127, 0, 0, 1], port).into();
    assert!(std::net::TcpStream::connect(address).is_err());
    shop.edge = Some(port);
    plane.set(&mut shop);
    let mut client = Wire::connect(address);
    assert_eq!(client.get("/").text(), "x");
    // It is declared no more: who is connected is told so, and nobody else gets in.
    shop.edge = None;
    plane.set(&mut shop);
    assert_eq!(client.get("/").verdict(), "502 edge-gone caller safe");
    client.closed();
    while std::net::TcpStream::connect(address).is_ok() {}
    shop.edge = Some(port);
    plane.set(&mut shop);
    let mut client = loop {
        // At the latest when it is tried again.
        if let Ok(stream) = std::net::TcpStream::connect(address) {
            break Wire::of(stream);
        }
        plane.report();
    };
    assert_eq!(client.get("/").text(), "x");
    // An address somebody else has is told, and taken when it is free.
    let taken = listener();
    let other = taken.local_addr().unwrap();
    shop.edge = Some(other.port());
    plane.set(&mut shop);
    let failed = |it: &Report| match it {
        Report::ListenFailed { edge, .. } => Some(edge.clone()),
        _ => None,
    };
    assert_eq!(plane.until(failed), "shop/web>cart");
    drop(taken);
    let mut client = loop {
        if let Ok(stream) = std::net::TcpStream::connect(other) {
            break Wire::of(stream);
        }
        plane.report();
    };
    assert_eq!(client.get("/").text(), "x");
    drop(client);
    plane.end();
}

#[test]
fn without_a_control_process_everything_goes_on() {
    let cart = Instance::answering(ok("x"));
    let shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let load = Load::new(4, plane.gateway);
    load.pass(100);
    plane.disconnect();
    load.pass(100);
    let count = load.end();
    // Whoever comes next is told everything, what it feeds is applied though nothing has changed.
    plane.reconnect();
    plane.feed(&Feed::Table(shop.table()));
    plane.applied(shop.index);
    assert_eq!(plane.outcomes(count).ok, count);
    // Also when nothing has happened since.
    plane.reconnect();
    plane.feed(&Feed::Table(shop.table()));
    let first = plane.until(|it| match it {
        Report::Signals(Signals { edges, .. }) => Some(edges.clone()),
        _ => None,
    });
    assert_eq!(first[0].releases[0].outcomes.ok, count);
    plane.end();
}

#[test]
fn issue_13_limits_count_what_is_in_flight_elsewhere() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]).policy(|it| it.max_concurrency = Some(2));
    let mut plane = Plane::start(&shop, Start::TwoWorkers);
    let elsewhere =
        |count: u32| Feed::Elsewhere(Arc::new([("shop/*/>cart".to_owned(), count)].into()));
    // Each worker has two places, and counts a half of it.
    for (count, status) in [(4, 503), (2, 200), (5, 503), (0, 200), (4, 503)] {
        plane.feed(&elsewhere(count));
        plane.set(&mut shop);
        assert_eq!(plane.client().get("/").head.status(), status, "{count} elsewhere");
    }
    // Nobody would say that it has ended when nobody feeds it.
    plane.reconnect();
    plane.feed(&Feed::Table(shop.table()));
    plane.applied(shop.index);
    assert_eq!(plane.client().get("/").head.status(), 200);
    plane.end();
}

#[test]
fn an_instance_is_drained_when_its_last_request_is_over() {
    let (asking, is_asked) = channel();
    let (go, going) = channel::<()>();
    let going = std::sync::Mutex::new(going);
    let old = Instance::new(move |mut asked| {
        asked.request();
        asked.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
        asking.send(()).unwrap();
        going.lock().unwrap().recv().unwrap();
        asked.wire.send("lf");
    });
    let new = Instance::answering(ok("new"));
    let mut shop = Shop::new(&[old.port]);
    let mut plane = Plane::start(&shop, Start::TwoWorkers);
    let mut client = plane.client();
    client.send(get("/"));
    is_asked.recv().unwrap();
    shop.instances = [(2, new.port)].into();
    plane.set(&mut shop);
    let drain = Feed::Drain { application: "shop".parse().unwrap(), instance: instance(1) };
    // To ask twice is to ask once.
    plane.feed(&drain);
    plane.feed(&drain);
    assert_eq!(plane.client().get("/").text(), "new");
    plane.until(|it| match it {
        Report::Drained { .. } => panic!("it has a request in flight"),
        Report::Signals(it) => it.edges.first().map(drop),
        _ => None,
    });
    go.send(()).unwrap();
    assert_eq!(client.answer().text(), "half");
    let drained = |it: &Report| match it {
        Report::Drained { instance, .. } => Some(instance.clone()),
        _ => None,
    };
    assert_eq!(plane.until(drained), instance(1));
    // One that nobody has heard of has none either.
    plane.feed(&Feed::Drain { application: "shop".parse().unwrap(), instance: instance(9) });
    assert_eq!(plane.until(drained), instance(9));
    drop(client);
    plane.end();
}

#[test]
fn a_successor_takes_over_under_load() {
    let cart = Instance::answering(ok("x"));
    let port = free_port();
    let mut shop = Shop::new(&[cart.port]);
    shop.edge = Some(port);
    let first = Plane::new(&shop);
    let load = [Load::new(4, first.gateway), Load::new(4, ([127, 0, 0, 1], port).into())];
    for one in &load {
        one.pass(100);
    }
    let mut second = first.successor();
    assert_eq!(second.gateway, first.gateway);
    second.feed(&Feed::Table(shop.table()));
    second.applied(shop.index);
    first.ended();
    for one in &load {
        one.pass(100);
    }
    let counts = load.map(Load::end);
    assert!(counts.iter().all(|it| 200 <= *it), "{counts:?}");
    second.end();
}

#[test]
fn an_address_that_is_taken_is_had_as_soon_as_it_is_free() {
    let cart = Instance::answering(ok("x"));
    let shop = Shop::new(&[cart.port]);
    let first = Plane::new(&shop);
    let taken = listener();
    let wanted = taken.local_addr().unwrap();
    let mut second = first.successor_at(wanted);
    // Until then the address before goes on.
    assert_eq!(second.gateway, first.gateway);
    second.feed(&Feed::Table(shop.table()));
    second.applied(shop.index);
    first.ended();
    assert_eq!(second.client().get("/").text(), "x");
    drop(taken);
    second.gateway = second.until(|it| match it {
        Report::Hello { gateway, asked, .. } => {
            assert_eq!(asked.unwrap().plain, Some(wanted));
            *gateway
        }
        _ => None,
    });
    assert_eq!(second.gateway, wanted);
    assert_eq!(second.client().get("/").text(), "x");
    second.end();
}

#[test]
fn a_policy_that_changes_keeps_what_was_counted() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let mut client = plane.client();
    client.get("/");
    shop.policy.timeout = Duration::from_secs(9);
    plane.set(&mut shop);
    client.get("/");
    assert_eq!(plane.outcomes(2).ok, 2);
    drop(client);
    plane.end();
}

#[test]
fn an_instance_may_come_back_at_another_port() {
    let (one, two) = (Instance::answering(ok("one")), Instance::answering(ok("two")));
    let mut shop = Shop::new(&[one.port]);
    let mut plane = Plane::new(&shop);
    let mut client = plane.client();
    assert_eq!(client.get("/").text(), "one");
    shop.instances = [(1, two.port)].into();
    plane.set(&mut shop);
    assert_eq!(client.get("/").text(), "two");
    drop(client);
    plane.end();
}

#[test]
fn whoever_hands_over_finishes_what_it_has() {
    let (asking, is_asked) = channel();
    let (go, going) = channel::<()>();
    let going = std::sync::Mutex::new(going);
    let cart = Instance::new(move |mut asked| {
        asked.request();
        asking.send(()).unwrap();
        going.lock().unwrap().recv().unwrap();
        asked.wire.send(ok("x"));
        asked.wire.closed();
    });
    let shop = Shop::new(&[cart.port]);
    let mut first = Plane::start(&shop, Start::TwoWorkers);
    let (mut client, mut idle) = (first.client(), first.client());
    client.send(get("/"));
    is_asked.recv().unwrap();
    first.until(|it| match it {
        Report::Signals(it) => (it.client_connections == 2).then_some(()),
        _ => None,
    });
    let mut second = first.successor();
    second.feed(&Feed::Table(shop.table()));
    second.applied(shop.index);
    // The new one serves, while the old one has a request to finish.
    let mut other = second.client();
    other.send(get("/"));
    is_asked.recv().unwrap();
    for _ in 0..2 {
        go.send(()).unwrap();
    }
    let answer = client.answer();
    // Who is served is told to come again elsewhere, who asks nothing is let go.
    assert_eq!((answer.text(), answer.head.get("connection")), ("x", Some("close")));
    client.closed();
    idle.closed();
    first.ended();
    assert_eq!(other.answer().text(), "x");
    drop(other);
    second.end();
}

/// It takes five seconds, because that is how long a report is offered.
#[test]
fn a_control_process_that_does_not_listen_is_not_waited_for() {
    let cart = Instance::answering(ok("x"));
    let shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    let load = Load::new(2, plane.gateway);
    // Each asks for a report, and none is read: in the end there is no room for more.
    let drain = Feed::Drain { application: "shop".parse().unwrap(), instance: instance(9) };
    while plane.try_feed(&drain).is_ok() {}
    load.pass(100);
    plane.reconnect();
    plane.feed(&Feed::Table(shop.table()));
    plane.applied(shop.index);
    let count = load.end();
    assert_eq!(plane.outcomes(count).ok, count);
    plane.end();
}

/// Whoever removes its socket does not hide it for good.
#[test]
fn issue_12_a_socket_that_was_removed_is_made_again() {
    let cart = Instance::answering(ok("x"));
    let shop = Shop::new(&[cart.port]);
    let mut plane = Plane::new(&shop);
    plane.disconnect();
    std::fs::remove_file(plane.socket()).unwrap();
    let clock = Clock::start();
    while !plane.socket().exists() {
        assert!(clock.now().since(model::Instant::ZERO) < PATIENCE, "it hides");
        thread::yield_now();
    }
    plane.reconnect();
    plane.feed(&Feed::Table(shop.table()));
    plane.applied(shop.index);
    plane.end();
}
