//! What the policy of an edge keeps away from instances, and from callers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::edge::{Hedge, Queue};
use model::units::Share;

use telemetry::report::ReleaseSignals;

use crate::harness::{Instance, Plane, Shop};
use crate::wire::{get, ok};

/// An instance that says when it is asked, and answers when it is told to.
fn held() -> (Instance, Receiver<()>, Sender<()>) {
    let (asking, is_asked) = channel();
    let (go, going) = channel();
    let going = Arc::new(Mutex::new(going));
    let cart = Instance::new(move |mut asked| {
        while asked.request().is_some() {
            asking.send(()).unwrap();
            if going.lock().unwrap().recv().is_err() || asked.wire.try_send(ok("x")).is_err() {
                return;
            }
        }
    });
    (cart, is_asked, go)
}

#[test]
fn above_the_limit_requests_are_refused_or_wait() {
    let (cart, is_asked, go) = held();
    let shop = Shop::new(&[cart.port]).policy(|it| {
        it.max_concurrency = Some(1);
        it.queue = Queue { length: 0, wait: Duration::ZERO };
    });
    let mut plane = Plane::new(&shop);
    let mut first = plane.client();
    first.send(get("/"));
    is_asked.recv().unwrap();
    assert_eq!(plane.refused("/"), "503 overloaded policy safe");
    // With a queue the next one waits: for as long as it may, or until there is a place.
    let mut shop =
        shop.policy(|it| it.queue = Queue { length: 1, wait: Duration::from_millis(50) });
    plane.set(&mut shop);
    assert_eq!(plane.refused("/"), "503 queue-timeout policy safe");
    let mut shop = shop.policy(|it| it.queue.wait = Duration::from_secs(20));
    plane.set(&mut shop);
    let mut second = plane.client();
    second.send(get("/"));
    plane.signals(|it| it.queued == 2);
    // The queue is full.
    assert_eq!(plane.refused("/"), "503 overloaded policy safe");
    go.send(()).unwrap();
    assert_eq!(first.answer().text(), "x");
    is_asked.recv().unwrap();
    go.send(()).unwrap();
    assert_eq!(second.answer().text(), "x");
    let refused = plane.signals(|it| it.in_flight == 0 && !it.releases.is_empty()).refused;
    assert_eq!(refused, [("overloaded".to_owned(), 2), ("queue-timeout".to_owned(), 1)]);
    drop((first, second));
    plane.end();
}

#[test]
fn a_limit_that_grows_lets_those_in_who_wait() {
    let (cart, is_asked, go) = held();
    let shop = Shop::new(&[cart.port]).policy(|it| {
        it.max_concurrency = Some(1);
        it.queue = Queue { length: 5, wait: Duration::from_secs(20) };
    });
    let mut plane = Plane::new(&shop);
    let mut clients: Vec<_> = (0..3).map(|_| plane.client()).collect();
    for client in &mut clients {
        client.send(get("/"));
    }
    is_asked.recv().unwrap();
    plane.signals(|it| it.queued == 2);
    let mut shop = shop.policy(|it| it.max_concurrency = Some(3));
    plane.set(&mut shop);
    for _ in 0..2 {
        is_asked.recv().unwrap();
    }
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.answer().text(), "x");
    }
    drop(clients);
    plane.end();
}

#[test]
fn who_waits_is_told_at_once_when_somebody_more_important_takes_its_place() {
    let (cart, is_asked, go) = held();
    let port = crate::harness::free_port();
    let mut shop = Shop::new(&[cart.port]).policy(|it| {
        it.max_concurrency = Some(1);
        it.queue = Queue { length: 1, wait: Duration::from_secs(20) };
    });
    shop.edge = Some(port);
    let plane = Plane::new(&shop);
    let client = || crate::wire::Wire::connect(([127, 0, 0, 1], port).into());
    let mut first = client();
    first.send(get("/"));
    is_asked.recv().unwrap();
    let mut second = client();
    second.send(get("/"));
    let mut third = client();
    third.send("GET / HTTP/1.1\r\nHost: a\r\nX-Pelago-Priority: critical\r\n\r\n");
    assert_eq!(second.answer().verdict(), "503 shed policy safe");
    go.send(()).unwrap();
    is_asked.recv().unwrap();
    go.send(()).unwrap();
    assert_eq!((first.answer().text(), third.answer().text()), ("x", "x"));
    drop((first, second, third));
    plane.end();
}

#[test]
fn a_route_takes_only_so_many_requests() {
    let cart = Instance::answering(ok("x"));
    let mut shop = Shop::new(&[cart.port]);
    shop.route["rate_limit"] = serde_json::json!({"per_second_thousandths": 1, "burst": 2});
    let mut plane = Plane::new(&shop);
    let mut client = plane.client();
    for _ in 0..2 {
        assert_eq!(client.get("/").verdict(), "200 -");
    }
    let answer = client.get("/");
    assert_eq!(plane.found(&answer), "429 rate-limited caller safe");
    let after: u32 = answer.head.get("retry-after").unwrap().parse().unwrap();
    assert!((990..=1_000).contains(&after), "{after}");
    assert_eq!(cart.heads().len(), 2);
    drop(client);
    plane.end();
}

#[test]
fn an_instance_that_fails_is_left_alone_and_comes_back() {
    let is_well = Arc::new(Mutex::new(false));
    let well = Arc::clone(&is_well);
    let sick = Instance::new(move |mut asked| {
        while asked.request().is_some() {
            let answer = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned();
            let answer = if *well.lock().unwrap() { ok("sick") } else { answer };
            asked.wire.send(answer);
        }
    });
    let good = Instance::answering(ok("good"));
    let shop = Shop::new(&[sick.port, good.port]).policy(|it| {
        it.circuit_breaker.consecutive_errors = 3;
        it.circuit_breaker.open_for = Duration::from_millis(1_500);
    });
    let mut plane = Plane::new(&shop);
    let mut client = plane.client();
    while sick.heads().len() < 3 {
        client.get("/");
    }
    let ejected = plane.signals(|it| it.instances.iter().any(|it| it.ejected));
    let reason = ejected.instances.iter().find_map(|it| it.reason.clone());
    assert_eq!(reason.as_deref(), Some("consecutive-errors"));
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "good");
    }
    *is_well.lock().unwrap() = true;
    while client.get("/").text() != "sick" {}
    assert_eq!(sick.heads().len(), 4);
    plane.signals(|it| it.instances.iter().all(|it| !it.ejected));
    drop(client);
    plane.end();
}

#[test]
fn a_slow_request_is_sent_to_another_instance_and_the_first_is_given_up() {
    let (closed, is_closed) = channel();
    let hangs = Arc::new(AtomicBool::new(true));
    let cart = || {
        let (hangs, closed) = (Arc::clone(&hangs), closed.clone());
        Instance::new(move |mut asked| {
            while let Some((head, _)) = asked.request() {
                // Whoever is asked first hangs.
                if head.0.starts_with("GET /slow ") && hangs.swap(false, Ordering::SeqCst) {
                    asked.wire.closed();
                    closed.send(()).unwrap();
                    return;
                }
                if asked.wire.try_send(ok("x")).is_err() {
                    return;
                }
            }
        })
    };
    let (one, two) = (cart(), cart());
    let shop = Shop::new(&[one.port, two.port]).policy(|it| {
        it.hedge = Some(Hedge { after: Share::from_percent(50), budget: Share::from_percent(50) });
    });
    let mut plane = Plane::new(&shop);
    let mut client = plane.client();
    for _ in 0..200 {
        client.get("/");
    }
    assert_eq!(client.get("/slow").text(), "x");
    is_closed.recv().unwrap();
    let ok = |it: &ReleaseSignals| it.outcomes.ok == 201;
    let signals = plane.signals(|it| it.in_flight == 0 && it.releases.iter().any(ok));
    assert!(1 <= signals.releases[0].hedges, "{signals:?}");
    assert!(signals.instances.iter().all(|it| it.in_flight == 0));
    drop(client);
    plane.end();
}
