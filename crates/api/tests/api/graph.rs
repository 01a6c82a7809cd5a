//! The architecture in each of its forms.

use api::graph::GraphView;
use api::traffic::{Caller, Traffic};

use crate::stage::{Stage, calling, service};
use crate::traffic::{by_service, crossed, traffic};

fn shop() -> Stage {
    let services = [
        ("cart", calling(&["catalog"])),
        ("catalog", service()),
        ("orders", calling(&["cart"])),
        ("report", calling(&["orders"])),
        ("web", calling(&["cart", "orders"])),
    ];
    let routes = r#"[
        {"host": "shop.localhost", "path": "/", "service": "web"},
        {"host": "shop.localhost", "path": "/", "methods": ["POST"], "service": "web"},
        {"path": "/orders", "service": "orders"}
    ]"#;
    Stage::routed(&services, routes).play("created cart.1, started cart.1, ready cart.1")
}

fn in_use() -> Traffic {
    traffic(vec![
        crossed(Caller::Route("shop.localhost/".to_owned()), "web", 1_234, 1),
        crossed(by_service("web"), "cart", 300, 0),
        crossed(by_service("cart"), "catalog", 40, 10),
    ])
}

#[test]
fn an_outline_shows_calls_where_they_are_first_met() {
    let graph = GraphView::of(&shop().0, &in_use(), None);
    insta::assert_snapshot!(graph.text(), @"
    shop
    shop.localhost/
    └─ web 0/1  123.4/s 99.9% p99 12.0ms
       ├─ cart 1/1  30.0/s 100.0% p99 12.0ms
       │  └─ catalog 0/1  4.0/s 75.0% p99 12.0ms
       └─ orders 0/1  never used
          └─ cart 1/1  never used  ↑
    POST shop.localhost/
    └─ web 0/1  never used  ↑
    */orders
    └─ orders 0/1  never used  ↑
    not reached from outside
       report 0/1
       └─ orders 0/1  never used  ↑
    ");
}

#[test]
fn without_a_data_plane_nothing_is_said_about_use() {
    let graph = GraphView::of(&shop().0, &Traffic::default(), None);
    insta::assert_snapshot!(graph.text(), @"
    shop
    shop.localhost/
    └─ web 0/1
       ├─ cart 1/1
       │  └─ catalog 0/1
       └─ orders 0/1
          └─ cart 1/1  ↑
    POST shop.localhost/
    └─ web 0/1  ↑
    */orders
    └─ orders 0/1  ↑
    not reached from outside
       report 0/1
       └─ orders 0/1  ↑
    ");
}

#[test]
fn circles_end() {
    let services =
        [("a", calling(&["b"])), ("b", calling(&["a"])), ("c", service()), ("d", calling(&["c"]))];
    let graph = GraphView::of(&Stage::routed(&services, "[]").0, &Traffic::default(), None);
    insta::assert_snapshot!(graph.text(), @"
    shop
    not reached from outside
       d 0/1
       └─ c 0/1
       a 0/1
       └─ b 0/1
          └─ a 0/1  ↑
    ");
}

#[test]
fn graphviz() {
    let graph = GraphView::of(&shop().0, &in_use(), None);
    insta::assert_snapshot!(graph.dot(), @r#"
    digraph pelago {
      rankdir=LR;
      node [shape=box];
      subgraph cluster_0 {
        label="shop";
        "shop/cart" [label="cart\n1/1"];
        "shop/catalog" [label="catalog\n0/1", color=red];
        "shop/orders" [label="orders\n0/1", color=red];
        "shop/report" [label="report\n0/1", color=red];
        "shop/web" [label="web\n0/1", color=red];
      }
      "shop.localhost/" [label="shop.localhost/", shape=oval];
      "POST shop.localhost/" [label="POST shop.localhost/", shape=oval];
      "*/orders" [label="*/orders", shape=oval];
      "shop.localhost/" -> "shop/web" [label="123.4/s 99.9% p99 12.0ms"];
      "POST shop.localhost/" -> "shop/web" [label="never used", style=dashed];
      "*/orders" -> "shop/orders" [label="never used", style=dashed];
      "shop/cart" -> "shop/catalog" [label="4.0/s 75.0% p99 12.0ms"];
      "shop/orders" -> "shop/cart" [label="never used", style=dashed];
      "shop/report" -> "shop/orders" [label="never used", style=dashed];
      "shop/web" -> "shop/cart" [label="30.0/s 100.0% p99 12.0ms"];
      "shop/web" -> "shop/orders" [label="never used", style=dashed];
    }
    "#);
}

#[test]
fn mermaid() {
    let graph = GraphView::of(&shop().0, &in_use(), None);
    insta::assert_snapshot!(graph.mermaid(), @r#"
    flowchart LR
      subgraph a0["shop"]
        s0["cart 1/1"]
        s1["catalog 0/1"]
        s2["orders 0/1"]
        s3["report 0/1"]
        s4["web 0/1"]
      end
      r5(["shop.localhost/"])
      r6(["POST shop.localhost/"])
      r7(["*/orders"])
      r5 -->|"123.4/s 99.9% p99 12.0ms"| s4
      r6 -.->|"never used"| s4
      r7 -.->|"never used"| s2
      s0 -->|"4.0/s 75.0% p99 12.0ms"| s1
      s2 -.->|"never used"| s0
      s3 -.->|"never used"| s2
      s4 -->|"30.0/s 100.0% p99 12.0ms"| s0
      s4 -.->|"never used"| s2
    "#);
}
