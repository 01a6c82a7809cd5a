//! Two releases of `cart` that are compared: instance 1 runs release 1, instance 2 runs release 2.

use std::sync::Arc;
use std::sync::mpsc::channel;

use model::edge::RequestKey;
use model::rollout::Counts;
use model::units::Share;
use model::{Index, ReleaseNumber};
use telemetry::report::{EdgeSignals, TrialSignals};
use world::routing::{Backend, Feed, ReleaseShare, Table, Trial};

use crate::harness::{Instance, Plane, Shop, free_port};
use crate::http2::{self, Client};
use crate::wire::{Wire, ok};

const OLD: ReleaseNumber = ReleaseNumber(1);
const NEW: ReleaseNumber = ReleaseNumber(2);
const FAILED: &str = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
/// Everything takes longer than the first, and nothing takes as long as the others.
const THRESHOLDS_US: [u64; 5] = [0, 1 << 40, 1 << 41, 1 << 42, 1 << 43];

/// The table of `shop` with both releases under trial, `new_percent` of requests for the new one; by the
/// number of instances if that is absent.
fn compared(shop: &Shop, epoch: u64, new_percent: Option<u32>) -> Table {
    let mut table = shop.table();
    change(&mut table, |it| {
        for endpoint in &mut it.endpoints {
            endpoint.release = ReleaseNumber(endpoint.instance.number);
        }
        let share =
            |release, percent| ReleaseShare { release, weight: Share::from_percent(percent) };
        let shares = new_percent.map(|it| [share(OLD, 100 - it), share(NEW, it)]);
        it.split = shares.into_iter().flatten().collect();
        it.split.retain(|it| it.weight != Share::ZERO);
        it.trial = Some(Trial {
            epoch: Index(epoch),
            old: OLD,
            new: NEW,
            thresholds_us: Some(THRESHOLDS_US),
        });
    });
    table
}

fn change(table: &mut Table, change: impl FnOnce(&mut Backend)) {
    let backend = table.backends.get_mut("shop/cart").unwrap();
    change(Arc::make_mut(backend));
}

fn feed(plane: &mut Plane, shop: &mut Shop, mut table: Table) {
    shop.index += 1;
    table.index = Index(shop.index);
    plane.feed(&Feed::Table(table));
    plane.applied(shop.index);
}

/// What is known when so many requests have ended.
fn ended(plane: &mut Plane, count: u64) -> EdgeSignals {
    plane.signals(|it| {
        let ended: u64 = it.releases.iter().map(|it| it.outcomes.total()).sum();
        ended == count && it.in_flight == 0
    })
}

/// What so many first attempts came to, all of them well.
fn well(requests: usize) -> Counts {
    let requests = requests as u64;
    Counts { requests, errors: 0, slow: [requests, 0, 0, 0, 0], harmed: 0 }
}

/// The same, all of them badly.
fn badly(requests: usize, harmed: usize) -> Counts {
    Counts { errors: requests as u64, harmed: harmed as u64, ..well(requests) }
}

#[track_caller]
fn check(signals: &EdgeSignals, epoch: u64, old: Counts, new: Counts) {
    assert_eq!(signals.trial, Some(TrialSignals { epoch: Index(epoch), old, new }));
}

#[test]
fn what_becomes_of_a_share_is_counted_to_the_request() {
    let (old, new) = (Instance::answering(ok("old")), Instance::answering(FAILED));
    let mut shop = Shop::new(&[old.port, new.port]);
    let mut plane = Plane::start(&shop, crate::harness::Start::TwoWorkers);
    let table = compared(&shop, 7, Some(10));
    feed(&mut plane, &mut shop, table);
    for _ in 0..300 {
        plane.client().get("/");
    }
    let (at_old, at_new) = (old.heads().len(), new.heads().len());
    assert_eq!(at_old + at_new, 300);
    // Five standard errors are 26.
    assert!((4..=56).contains(&at_new), "{at_new}");
    check(&ended(&mut plane, 300), 7, well(at_old), badly(at_new, at_new));
    plane.end();
}

/// In place there are no shares: the balance gives each release what its instances get, and another try may be
/// at the other release.
#[test]
fn a_release_answers_for_first_attempts_whoever_answers_in_the_end() {
    let old = Instance::answering(ok("old"));
    let new = Instance::new(|mut asked| drop(asked.request()));
    let mut shop = Shop::new(&[old.port, new.port]).policy(|it| {
        it.circuit_breaker.consecutive_errors = 1_000;
        it.retry.budget = Share::ALL;
    });
    let mut plane = Plane::new(&shop);
    let table = compared(&shop, 7, None);
    feed(&mut plane, &mut shop, table);
    for _ in 0..8 {
        assert_eq!(plane.client().get("/").text(), "old");
    }
    let at_new = new.heads().len();
    assert!((1..8).contains(&at_new), "{at_new}");
    let signals = ended(&mut plane, 8);
    check(&signals, 7, well(8 - at_new), badly(at_new, 0));
    let failed = signals.releases.iter().map(|it| (it.release, it.first_attempts.failed));
    let mut failed: Vec<_> = failed.collect();
    failed.sort_unstable();
    assert_eq!(failed, [(Some(OLD), 0), (Some(NEW), at_new as u64)]);
    plane.end();
}

#[test]
fn what_asks_for_a_release_is_not_compared() {
    let (old, new) = (Instance::answering(ok("old")), Instance::answering(ok("new")));
    let mut shop = Shop::new(&[old.port, new.port]);
    let mut plane = Plane::new(&shop);
    let mut table = compared(&shop, 7, Some(0));
    change(&mut table, |it| {
        let matches = r#"[{"header": {"name": "x-beta", "value": "1"}, "release": 2},
            {"cookie": {"name": "beta", "value": "yes"}, "release": 2},
            {"cookie": {"name": "any"}, "release": 2}]"#;
        it.matches = serde_json::from_str(matches).unwrap();
    });
    feed(&mut plane, &mut shop, table);
    let asked = [
        ("X-Beta: 1", "new"),
        ("X-Beta: 2", "old"),
        ("Cookie: a=1; beta=yes", "new"),
        ("Cookie: beta=yes; b=2", "new"),
        ("Cookie: beta=no; xbeta=yes", "old"),
        ("Cookie: Beta=yes", "old"),
        ("Cookie: any=thing", "new"),
        ("Cookie: any=", "new"),
        ("Cookie: many=1", "old"),
    ];
    for (header, release) in asked {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n");
        assert_eq!(plane.client().ask(request).text(), release, "{header}");
    }
    check(&ended(&mut plane, 9), 7, well(4), Counts::default());
    plane.end();
}

/// There a client may write each cookie into a line of its own (RFC 9113, section 8.2.3).
#[test]
fn cookies_of_http2_are_matched() {
    let (old, new) = (Instance::answering(ok("old")), Instance::answering(ok("new")));
    let mut shop = Shop::new(&[old.port, new.port]);
    let mut plane = Plane::new(&shop);
    let mut table = compared(&shop, 7, Some(0));
    change(&mut table, |it| {
        let matches = r#"[{"cookie": {"name": "beta", "value": "yes"}, "release": 2}]"#;
        it.matches = serde_json::from_str(matches).unwrap();
    });
    feed(&mut plane, &mut shop, table);
    let client = Client::new(plane.gateway);
    for (cookies, release) in [
        (&["a=1", "beta=yes"][..], "new"),
        (&["a=1; beta=yes"], "new"),
        (&["a=1", "beta=no"], "old"),
        (&[], "old"),
    ] {
        let mut request = http2::request("/", http2::nothing());
        for cookie in cookies {
            request.headers_mut().append("cookie", cookie.parse().unwrap());
        }
        let (_, body) = client.ask(request);
        assert_eq!(body.to_bytes(), release, "{cookies:?}");
    }
    check(&ended(&mut plane, 4), 7, well(2), Counts::default());
    drop(client);
    plane.end();
}

#[test]
fn a_release_is_preferred_until_it_is_ejected_and_not_compared_for_it() {
    let old = Instance::answering(ok("old"));
    let new = Instance::answering(FAILED);
    let mut shop = Shop::new(&[old.port, new.port]);
    shop.policy.circuit_breaker.consecutive_errors = 3;
    let port = free_port();
    shop.edge = Some(port);
    let mut plane = Plane::new(&shop);
    let mut table = compared(&shop, 7, Some(0));
    Arc::make_mut(table.edges.get_mut("shop/web>cart").unwrap()).prefers = Some(NEW);
    feed(&mut plane, &mut shop, table);
    let address = (std::net::Ipv4Addr::LOCALHOST, port).into();
    for number in 0..9 {
        let status = Wire::connect(address).get("/").head.status();
        assert_eq!(status, if number < 3 { 500 } else { 200 }, "{number}");
    }
    check(&ended(&mut plane, 9), 7, well(6), Counts::default());
    plane.end();
}

/// Instances of a release that is rolled out together with its callee call at an address of their own; what is
/// counted there and at the usual one is told as one.
#[test]
fn two_addresses_of_one_call_are_told_as_one() {
    let (old, new) = (Instance::answering(ok("old")), Instance::answering(ok("new")));
    let mut shop = Shop::new(&[old.port, new.port]);
    let (port, own_port) = (free_port(), free_port());
    shop.edge = Some(port);
    let mut plane = Plane::new(&shop);
    let mut table = compared(&shop, 7, Some(0));
    let mut own = Arc::clone(&table.edges["shop/web>cart"]);
    Arc::make_mut(&mut own).prefers = Some(NEW);
    Arc::make_mut(&mut own).port = own_port;
    table.edges.insert("shop/web#1>cart".to_owned(), own);
    feed(&mut plane, &mut shop, table);
    let mut asked = 0;
    for (port, text, count) in [(port, "old", 3), (own_port, "new", 2), (port, "old", 1)] {
        let address = (std::net::Ipv4Addr::LOCALHOST, port).into();
        for _ in 0..count {
            assert_eq!(Wire::connect(address).get("/").text(), text);
        }
        asked += count;
        // Only one of the two has changed, and the other still counts.
        let signals = ended(&mut plane, asked);
        let of_old = if asked == 6 { 4 } else { 3 };
        check(&signals, 7, well(of_old), Counts::default());
    }
    plane.end();
}

#[test]
fn what_was_begun_in_another_epoch_is_not_counted() {
    let (asked, has_asked) = channel();
    let (go, may_go) = channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let old = Instance::new(move |mut it| {
        while it.request().is_some() {
            asked.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
            it.wire.send(FAILED);
        }
    });
    let mut shop = Shop::new(&[old.port, free_port()]);
    let mut plane = Plane::new(&shop);
    let table = compared(&shop, 7, Some(0));
    feed(&mut plane, &mut shop, table);
    let mut client = plane.client();
    client.send(crate::wire::get("/"));
    has_asked.recv().unwrap();
    let table = compared(&shop, 8, Some(0));
    feed(&mut plane, &mut shop, table);
    go.send(()).unwrap();
    assert_eq!(client.answer().verdict(), "500 -");
    check(&ended(&mut plane, 1), 8, Counts::default(), Counts::default());
    go.send(()).unwrap();
    assert_eq!(client.get("/").verdict(), "500 -");
    check(&ended(&mut plane, 2), 8, badly(1, 1), Counts::default());
    drop(client);
    plane.end();
}

#[test]
fn who_is_told_apart_meets_something_bad_once() {
    let (old, new) = (Instance::answering(FAILED), Instance::answering(FAILED));
    let mut shop = Shop::new(&[old.port, new.port]);
    let mut plane = Plane::new(&shop);
    let mut table = compared(&shop, 7, Some(50));
    change(&mut table, |it| it.sticky = Some(RequestKey::Header("x-user".parse().unwrap())));
    feed(&mut plane, &mut shop, table);
    for number in 0..20 {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-User: {}\r\n\r\n", number % 4);
        plane.client().ask(request);
    }
    let trial = ended(&mut plane, 20).trial.unwrap();
    let both = trial.old.plus(&trial.new);
    let once = Counts { requests: 20, errors: 4, slow: [4, 0, 0, 0, 0], harmed: 20 };
    assert_eq!(both, once);
    // Five requests of each user, all at one release.
    assert_eq!(trial.new.requests, 5 * trial.new.errors);
    plane.end();
}

#[test]
fn nothing_is_compared_while_a_release_cannot_get_its_share() {
    let old = Instance::answering(FAILED);
    let mut shop = Shop::new(&[old.port]);
    let mut plane = Plane::new(&shop);
    let table = compared(&shop, 7, Some(50));
    feed(&mut plane, &mut shop, table);
    plane.get("/");
    check(&ended(&mut plane, 1), 7, Counts::default(), Counts::default());
    plane.end();
}
