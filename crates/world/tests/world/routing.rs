//! What the data plane is told of a world.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use model::instance::{Exit, StopReason};
use model::{Application, Service};
use world::Event;
use world::routing::Table;

use crate::words::{
    SHOP, Stage, about, applied, calling, edge_opened, released, service, stop_asked, stopped,
};

/// The table in words: `web: 1:20000` for the endpoints of a service, `web>cart: 22870` for an edge.
#[track_caller]
fn check(stage: &Stage, expected: &[&str]) {
    let table = Table::of(&stage.world);
    assert_eq!(table.index, stage.world.index);
    let mut lines = Vec::new();
    for (key, backend) in &table.backends {
        assert_eq!(key, &format!("{}/{}", backend.application, backend.service));
        let mut line = format!("{}:", backend.service);
        for it in &backend.endpoints {
            write!(line, " {}@{}:{}", it.instance.number, it.release, it.port).unwrap();
        }
        lines.push(line);
    }
    for (key, edge) in &table.edges {
        let (caller, callee) = (&edge.caller, &edge.callee);
        assert_eq!(key, &format!("{}/{caller}>{callee}", edge.application));
        lines.push(format!("{caller}>{callee}: {:?}", edge.policy.timeout));
    }
    lines.extend(table.routes.iter().map(|(name, it)| format!("{name}: {} routes", it.len())));
    assert_eq!(lines, expected);
}

fn patient(callees: &[&str]) -> Service {
    let mut service = calling(callees);
    service.calls.values_mut().for_each(|it| it.timeout *= 5);
    service
}

#[test]
fn only_what_serves_is_an_endpoint() {
    let mut stage = Stage::with(&[("web", service(2)), ("cart", service(1))]);
    stage.run("web.1", 0);
    stage.fold_all([about("web.2").created(1, 1), about("web.2").started()]);
    check(&stage, &["cart:", "web: 1@r1:20000"]);
    stage.fold(about("web.2").ready());
    check(&stage, &["cart:", "web: 1@r1:20000 2@r1:20000"]);
    stage.fold(about("web.1").unready());
    check(&stage, &["cart:", "web: 2@r1:20000"]);
    stage.fold(about("web.2").stopping(StopReason::Superseded));
    check(&stage, &["cart:", "web:"]);
}

#[test]
fn an_edge_lives_as_long_as_somebody_may_use_it() {
    let mut stage = Stage::with(&[("web", calling(&["cart", "ads"])), ("cart", service(1))]);
    stage.fold(edge_opened(SHOP, "web", "cart"));
    stage.run("web.1", 0);
    check(&stage, &["cart:", "web: 1@r1:20000", "web>cart: 1s"]);
    stage.fold(edge_opened(SHOP, "web", "ads"));
    stage.fold(released(SHOP, "web", 2, patient(&["cart"])));
    check(&stage, &["cart:", "web: 1@r1:20000", "web>ads: 1s", "web>cart: 5s"]);
    stage.fold(about("web.1").exited(Exit::Code(0)));
    check(&stage, &["cart:", "web:", "web>cart: 5s"]);
    stage.run("web.2", 0);
    stage.fold(applied(SHOP, &[("cart", service(1))]));
    check(&stage, &["cart:", "web: 2@r2:20000", "web>cart: 5s"]);
    stage.fold(about("web.2").exited(Exit::Code(0)));
    check(&stage, &["cart:"]);
}

#[test]
fn an_application_is_routed_to_until_it_is_stopped() {
    let mut stage = Stage::default();
    let definition = Application {
        services: BTreeMap::from([("web".parse().unwrap(), service(1))]),
        routes: vec![serde_json::from_str(r#"{"path": "/", "service": "web"}"#).unwrap()],
        ..Application::empty(SHOP.parse().unwrap())
    };
    let (definition, folder) = (Arc::new(definition), "/srv".to_owned());
    stage.fold(Event::ApplicationApplied { definition, folder });
    stage.fold(released(SHOP, "web", 1, service(1)));
    check(&stage, &["web:", "shop: 1 routes"]);
    stage.fold(stop_asked(SHOP));
    check(&stage, &["web:", "shop: 1 routes"]);
    stage.fold(stopped(SHOP));
    check(&stage, &[]);
}
