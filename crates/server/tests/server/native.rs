//! Questions and answers.

use api::logs::LogPage;
use api::route::{Method, ROUTES};
use serde_json::json;

use crate::client::{Served, TOKEN, request, with};
use crate::pretended::{Pretended, line};

fn apply() -> String {
    json!({"definition": {"name": "shop", "services": {}}, "folder": "/srv/shop"}).to_string()
}

async fn served() -> Served {
    Served::new(Pretended::new()).await
}

#[tokio::test]
async fn every_route_is_there() {
    let served = served().await;
    for route in ROUTES {
        let path = route.path.replace("{application}", "shop").replace("{service}", "web");
        let path = path.replace("{trace}", "00000000000000aa");
        let path = path.replace("{other}", "00000000000000ab");
        let mut path = path.replace("{instance}", "web.1");
        if route.name == "diff" {
            path.push_str("?from=r1&to=r1");
        }
        let status = match (route.method, route.request) {
            (Method::Get, _) => served.open(request("GET", &path)).await.status().as_u16(),
            (Method::Post, Some("Scale")) => served.post(&path, r#"{"replicas": 3}"#).await.status,
            (Method::Post, Some("Steer")) => {
                served.post(&path, r#"{"action": "pause"}"#).await.status
            }
            (Method::Post, Some("Rollback" | "SetTraffic")) => {
                served.post(&path, "{}").await.status
            }
            (Method::Post, Some(_)) => served.post(&path, &apply()).await.status,
            (Method::Post, None) => served.post(&path, "").await.status,
        };
        // Nothing was released that could differ, and nothing was traced.
        let is_missing = ["diff", "trace", "compare_traces"].contains(&route.name);
        let expected = if is_missing { 404 } else { 200 };
        assert_eq!(status, expected, "{} {path}", route.name);
    }
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let served = served().await;
    let first = served.get("/v1/status").await;
    assert_eq!((first.status, first.etag.as_deref()), (200, Some("\"1\"")));
    for known in ["\"1\"", "\"0\", \"1\""] {
        let again = served.ask(with(request("GET", "/v1/status"), "if-none-match", known)).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""));
        assert_eq!(again.etag.as_deref(), Some("\"1\""));
    }
    served.platform.stop_asked();
    let news = served.ask(with(request("GET", "/v1/status"), "if-none-match", "\"1\"")).await;
    assert_eq!((news.status, news.etag.as_deref()), (200, Some("\"2\"")));
}

#[tokio::test]
async fn who_is_behind_is_told_at_once() {
    let served = served().await;
    for path in ["/v1/status?after=0&wait=5m", "/v1/events?after=0&wait=5m"] {
        let answer = served.get(path).await;
        assert_eq!((answer.status, answer.etag.as_deref()), (200, Some("\"1\"")), "{path}");
    }
}

#[tokio::test]
async fn who_is_not_behind_waits_for_news() {
    for path in ["/v1/status?after=1&wait=5m", "/v1/events?after=1&wait=5m"] {
        let served = served().await;
        let news = async {
            served.platform.is_waited_for().await;
            served.platform.stop_asked();
        };
        let (answer, ()) = tokio::join!(served.get(path), news);
        assert_eq!((answer.status, answer.etag.as_deref()), (200, Some("\"2\"")), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_so() {
    let served = served().await;
    let status = served.get("/v1/status?after=1&wait=5m").await;
    assert_eq!((status.status, status.etag.as_deref()), (200, Some("\"1\"")));
    let events = served.get("/v1/events?after=1&wait=5m").await;
    assert_eq!((events.status, events.text.as_str()), (200, "[]"));
    let at_once = served.get("/v1/status?after=1").await;
    assert_eq!((at_once.status, at_once.etag.as_deref()), (200, Some("\"1\"")));
}

#[tokio::test]
async fn who_waits_when_the_server_ends_is_answered() {
    let served = served().await;
    let end = async {
        served.platform.is_waited_for().await;
        served.stop.send_replace(true);
    };
    let (answer, ()) = tokio::join!(served.get("/v1/status?after=1&wait=5m"), end);
    assert_eq!(answer.status, 200);
    served.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_said_with_its_name() {
    let served = served().await;
    for (path, part) in [
        ("/v1/status?application=Shop!", "application: "),
        ("/v1/status?at=yesterday", "at: `yesterday` is no point in the past"),
        ("/v1/status?at=@x", "at: "),
        ("/v1/status?after=x", "after: "),
        ("/v1/status?after=1&wait=30", "wait: `30` has no unit"),
        ("/v1/status?sort=up", "unknown field `sort`"),
        ("/v1/events?limit=-1", "limit: "),
        ("/v1/events?service=a/b", "service: "),
        ("/v1/events?latest=perhaps", "latest: "),
        ("/v1/events/stream?after=x", "after: "),
        ("/v1/applications/shop/logs?since=now", "since: `now` is no time"),
        ("/v1/applications/shop/logs?tail=all", "tail: "),
        ("/v1/applications/%ff/logs", "UTF-8"),
        ("/v1/applications/Shop!/logs", "application: "),
        ("/v1/applications/shop/instances/web/exec", "instance: "),
    ] {
        served.get(path).await.assert_error(400, "invalid", part);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_with_its_place() {
    let served = served().await;
    let scale = "/v1/applications/shop/services/web/scale";
    for (path, body, part) in [
        (scale, "{", "EOF"),
        (scale, "{}", "replicas"),
        (scale, r#"{"replicas": -1}"#, "replicas: "),
        (scale, r#"{"replicas": 1, "now": true}"#, "unknown field `now`"),
        (
            "/v1/applications",
            r#"{"definition": {"name": "A!"}, "folder": "/"}"#,
            "definition.name: ",
        ),
        ("/v1/plan", "[]", "invalid"),
    ] {
        served.post(path, body).await.assert_error(400, "invalid", part);
    }
    let without_type = served.ask(request("POST", scale)).await;
    without_type.assert_error(400, "invalid", "Content-Type");
    let too_large = format!(r#"{{"folder": "{}"}}"#, "x".repeat(17 << 20));
    served.post("/v1/plan", &too_large).await.assert_error(413, "too_large", "limit");
}

#[tokio::test]
async fn what_is_not_there_is_said_as_json() {
    let served = served().await;
    served.get("/v1/nothing").await.assert_error(404, "not_found", "/openapi.json");
    served.get("/").await.assert_error(404, "not_found", "/openapi.json");
    served.post("/v1/status", "").await.assert_error(405, "invalid", "/openapi.json");
    let status = served.get("/v1/status?application=blog").await;
    status.assert_error(404, "not_found", "there is no application `blog`");
    let stop = served.post("/v1/applications/blog/stop", "").await;
    stop.assert_error(404, "not_found", "there is no application `blog`");
    served.get("/v1/status?at=@9").await.assert_error(410, "gone", "@9 was let go");
}

#[tokio::test]
async fn on_a_port_the_token_must_be_shown() {
    let served = served().await;
    let status = || request("GET", "/v1/status");
    let bearer = |it: &str| with(status(), "authorization", &format!("Bearer {it}"));
    assert_eq!(served.ask_port(bearer(TOKEN)).await.status, 200);
    let refused = served.ask_port(status()).await;
    refused.assert_error(401, "unauthorized", "Authorization: Bearer");
    served.ask_port(bearer("guess")).await.assert_error(401, "unauthorized", "token");
    let rebound = with(bearer(TOKEN), "host", "evil.example");
    served.ask_port(rebound).await.assert_error(401, "unauthorized", "127.0.0.1");
    // Whoever does not know the token learns not even which paths there are.
    let unknown = served.ask_port(request("GET", "/v1/nothing")).await;
    unknown.assert_error(401, "unauthorized", "token");
    assert_eq!(served.ask_port(request("GET", "/health")).await.status, 200);
}

fn page(lines: &[&str], next: &str) -> LogPage {
    LogPage { lines: lines.iter().map(|it| line(it)).collect(), next: next.to_owned() }
}

#[tokio::test]
async fn a_page_of_logs_that_only_passed_over_old_lines_is_not_the_end() {
    let served = served().await;
    *served.platform.0.pages.lock().unwrap() =
        vec![page(&[], "a"), page(&[], "b"), page(&["new"], "c")];
    let answer = served.get("/v1/applications/shop/logs?since=2026-11-22T14:32:00Z&tail=5").await;
    assert_eq!(answer.json()["lines"][0]["text"], "new");
    assert_eq!(answer.json()["next"], "c");
    let queries = served.platform.0.log_queries.lock().unwrap();
    let asked: Vec<_> = queries.iter().map(|it| (it.tail, it.cursor.as_deref())).collect();
    assert_eq!(asked, [(Some(5), None), (None, Some("a")), (None, Some("b"))]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_logs_in_vain_may_go_on_from_there() {
    let served = served().await;
    *served.platform.0.pages.lock().unwrap() = vec![page(&[], "a")];
    let answer = served.get("/v1/applications/shop/logs?wait=10s").await;
    assert_eq!((answer.status, &answer.json()["next"]), (200, &json!("a")));
}
