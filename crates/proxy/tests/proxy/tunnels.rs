//! Connections whose bytes pass as they come: raw ones, and those that were upgraded.

use std::time::Duration;

use model::service::Protocol;
use telemetry::Span;
use telemetry::report::{EdgeSignals, Report, Signals};

use crate::harness::{Instance, Plane, Shop, free_port};
use crate::wire::Wire;

/// Silence after which they are closed here.
const IDLE: Duration = Duration::from_secs(2);

/// Holds a connection until it is closed for its silence. It counts as a connection that ended well; its life is no latency.
/// Returns its spans.
fn check(plane: &mut Plane, client: &mut Wire) -> Vec<Span> {
    client.send("ping");
    assert_eq!(client.exact(4), b"pong");
    client.closed();
    let ended = |it: &EdgeSignals| it.releases.iter().any(|it| it.outcomes.ok == 1);
    let (edge, spans) = plane.until(|report| match report {
        Report::Signals(Signals { edges, spans, .. }) => {
            let edge = edges.iter().find(|it| ended(it) && it.in_flight == 0)?;
            Some((edge.clone(), spans.clone()))
        }
        _ => None,
    });
    let release = &edge.releases[0];
    assert_eq!((release.outcomes.total(), release.latency.count()), (1, 1));
    let longest = Duration::from_micros(release.latency.quantile(1.0));
    assert!(longest < IDLE, "{longest:?}");
    spans
}

#[test]
fn issue_13_a_raw_connection_ends_after_its_idle_timeout_and_its_life_is_no_latency() {
    let database = Instance::new(|mut asked| {
        if asked.wire.exact(4) == b"ping" {
            asked.wire.send("pong");
            asked.wire.rest();
        }
    });
    let port = free_port();
    let shop = Shop::new(&[database.port]).speaking(Protocol::Tcp);
    let mut shop = shop.policy(|it| it.idle_timeout = Some(IDLE));
    shop.edge = Some(port);
    let mut plane = Plane::new(&shop);
    let mut client = Wire::connect(([127, 0, 0, 1], port).into());
    let spans = check(&mut plane, &mut client);
    assert_eq!(spans, [], "a connection says nothing of the trace it is part of");
    plane.end();
}

#[test]
fn issue_13_an_upgraded_connection_ends_after_its_idle_timeout_and_its_life_is_no_latency() {
    let chat = Instance::new(|mut asked| {
        if asked.head().is_some() {
            asked.wire.send("HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
            assert_eq!(asked.wire.exact(4), b"ping");
            asked.wire.send("pong");
            asked.wire.rest();
        }
    });
    let shop = Shop::new(&[chat.port]).policy(|it| it.idle_timeout = Some(IDLE));
    let mut plane = Plane::new(&shop);
    let mut client = plane.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(client.head().unwrap().status(), 101);
    let spans = check(&mut plane, &mut client);
    let durations: Vec<_> =
        spans.iter().map(|it| Duration::from_micros(it.duration_us) < IDLE).collect();
    assert_eq!(durations, [true]);
    plane.end();
}
