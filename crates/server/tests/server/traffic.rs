//! Questions about what crosses the edges.

use api::spans::{SpanChoice, SpanQuery};

use crate::client::Served;
use crate::pretended::Pretended;

async fn served() -> Served {
    Served::new(Pretended::new()).await
}

#[tokio::test]
async fn figures_come_with_their_window() {
    let served = served().await;
    let edges = served.get("/v1/edges?application=shop").await.json();
    assert_eq!(edges, serde_json::json!({"connected": true, "window_s": 10.0, "edges": []}));
    let routes = served.get("/v1/routes").await.json();
    assert_eq!(routes["addresses"][0], "http://127.0.0.1:8080");
}

#[tokio::test]
async fn a_graph_has_many_forms() {
    let served = served().await;
    for (format, begins) in [
        ("", "{\"connected\":true"),
        ("?format=json", "{\"connected\":true"),
        ("?format=text", ""),
        ("?format=dot", "digraph pelago {"),
        ("?format=mermaid", "flowchart LR"),
    ] {
        let answer = served.get(&format!("/v1/graph{format}")).await;
        assert_eq!(answer.status, 200, "{format}");
        assert!(answer.text.starts_with(begins), "{format}: {}", answer.text);
    }
    let unknown = served.get("/v1/graph?format=png").await;
    unknown.assert_error(400, "invalid", "format: `png` is not known");
}

#[tokio::test]
async fn spans_are_asked_for_as_said() {
    let served = served().await;
    served.get("/v1/spans").await;
    served.get("/v1/spans?application=shop&service=cart&errors=true&limit=5").await;
    let asked = served.platform.0.span_queries.lock().unwrap();
    let all = SpanQuery { limit: 100, ..SpanQuery::default() };
    let failed = SpanQuery {
        application: Some("shop".parse().unwrap()),
        service: Some("cart".parse().unwrap()),
        choice: SpanChoice::Failed,
        limit: 5,
    };
    assert_eq!(*asked, [all, failed]);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_name() {
    let served = served().await;
    for path in ["/v1/edges", "/v1/routes", "/v1/graph", "/v1/spans"] {
        let unknown = served.get(&format!("{path}?application=blog")).await;
        unknown.assert_error(404, "not_found", "there is no application `blog`");
        let wrong = served.get(&format!("{path}?application=Shop!")).await;
        wrong.assert_error(400, "invalid", "application: ");
    }
    served.get("/v1/spans?limit=all").await.assert_error(400, "invalid", "limit: ");
    served.get("/v1/spans?errors=some").await.assert_error(400, "invalid", "errors: ");
}
