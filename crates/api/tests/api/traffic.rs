//! Declared calls and routes, with what crossed them.

use std::time::Duration;

use api::edge::EdgesView;
use api::gateway::RoutesView;
use api::traffic::{Caller, EdgeTraffic, Latency, ReleaseTraffic, Traffic};
use model::{InstanceId, ReleaseNumber};

use crate::stage::{Stage, calling, name, service};

/// An edge over which `requests` went within ten seconds, `bad` of them in vain.
pub(crate) fn crossed(caller: Caller, callee: &str, requests: u64, bad: u64) -> EdgeTraffic {
    let release = Some(ReleaseNumber(1));
    let latency = Latency { p99: Some(Duration::from_millis(12)), ..Latency::default() };
    EdgeTraffic {
        application: "shop".parse().unwrap(),
        caller,
        callee: name(callee),
        requests_ever: requests,
        refused: Vec::new(),
        releases: vec![ReleaseTraffic { release, requests, bad, ..ReleaseTraffic::default() }],
        latency,
        in_flight: 0,
        limit: None,
        open: false,
        ejected: Vec::<api::traffic::Ejected>::new(),
    }
}

pub(crate) fn traffic(edges: Vec<EdgeTraffic>) -> Traffic {
    let gateway = vec!["http://127.0.0.1:8080".to_owned()];
    Traffic { connected: true, window: Duration::from_secs(10), gateway, edges }
}

pub(crate) fn by_service(caller: &str) -> Caller {
    Caller::Service(name(caller))
}

fn shop() -> Stage {
    let services = [
        ("cart", service()),
        ("orders", calling(&["cart"])),
        ("web", calling(&["cart", "orders"])),
    ];
    let routes = r#"[
        {"host": "shop.localhost", "path": "/api", "service": "orders", "strip_prefix": true},
        {"path": "/", "service": "web"},
        {"host": "old.localhost", "path": "/", "maintenance": "soon"}
    ]"#;
    Stage::routed(&services, routes)
}

#[test]
fn every_declared_call_is_there_and_has_an_address() {
    let traffic = traffic(vec![crossed(by_service("web"), "cart", 120, 3)]);
    let view = EdgesView::of(&shop().0, &traffic, None);
    let shown = view.edges.iter().map(|it| {
        let figures =
            it.traffic.as_ref().map(|it| (it.total.rate, it.total.success, it.total.p99_ms));
        (it.caller.as_str(), it.callee.as_str(), it.address.as_deref(), figures)
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            ("orders", "cart", Some("127.0.0.1:21000"), None),
            ("web", "cart", Some("127.0.0.1:21001"), Some((12.0, Some(0.975), Some(12.0)))),
            ("web", "orders", Some("127.0.0.1:21002"), None),
        ]
    );
}

#[test]
fn a_call_without_an_address_is_said_to_have_none() {
    let services = [("cart", service()), ("web", calling(&["cart"]))];
    let view = EdgesView::of(&Stage::with(&services).0, &Traffic::default(), None);
    assert_eq!((view.edges[0].caller.as_str(), view.edges[0].address.as_deref()), ("web", None));
    assert!(!view.connected);
}

#[test]
fn routes_are_in_the_order_written() {
    let route = Caller::Route("shop.localhost/api".to_owned());
    let view = RoutesView::of(&shop().0, &traffic(vec![crossed(route, "orders", 50, 0)]), None);
    let shown = view.routes.iter().map(|it| {
        let rate = it.traffic.as_ref().map(|it| it.total.rate);
        (it.host.as_str(), it.path.as_str(), it.target.as_str(), it.urls[0].as_str(), rate)
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            ("shop.localhost", "/api", "orders", "http://shop.localhost:8080/api", Some(5.0)),
            ("*", "/", "web", "http://127.0.0.1:8080/", None),
            ("old.localhost", "/", "maintenance page", "http://old.localhost:8080/", None),
        ]
    );
}

#[test]
fn what_has_been_stopped_or_is_not_asked_for_is_left_out() {
    let blog = "blog".parse().unwrap();
    assert_eq!(EdgesView::of(&shop().0, &traffic(Vec::new()), Some(&blog)).edges, []);
    let stopped = shop().play("stop, stopped");
    assert_eq!(EdgesView::of(&stopped.0, &traffic(Vec::new()), None).edges, []);
    assert_eq!(RoutesView::of(&stopped.0, &traffic(Vec::new()), None).routes, []);
}

#[test]
fn an_instance_that_is_left_alone_is_named() {
    let mut edge = crossed(by_service("web"), "cart", 1, 1);
    let instance: InstanceId = "cart.1".parse().unwrap();
    let reason = Some("5 errors in a row".to_owned());
    edge.ejected = vec![api::traffic::Ejected { instance, reason }];
    let view = EdgesView::of(&shop().0, &traffic(vec![edge]), None);
    let ejected = view.edges[1].traffic.as_ref().map(|it| it.breaker.ejected[0].instance.clone());
    assert_eq!(ejected.as_deref(), Some("cart.1"));
}
