//! What instances send what they measure to, and what people's tools ask: one port for all of it.
//!
//! There is no token here: SDKs and dashboards have no place for one. Whoever reaches loopback may send and ask, as with
//! any collector on a developer's machine; pages of other sites may not, since a browser says whose they are.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use telemetry::Stores;

use crate::guard::{is_for_another_site, is_this_machine};

/// What is answered at this port.
pub(crate) fn routes(dialects: Router, stores: Arc<Stores>) -> Router {
    Router::new()
        .route("/", get(page))
        .merge(dialects)
        .layer(middleware::from_fn_with_state(stores, room))
        .layer(middleware::from_fn(check))
}

/// What stands at the root: clients look there whether somebody is home.
async fn page() -> Html<&'static str> {
    Html(
        "<!doctype html><title>Pelago</title><h1>Pelago's telemetry</h1>\
         <p>Prometheus' API is at <code>/api/v1</code>, Zipkin's at <code>/api/v2</code>; OTLP is \
         taken in at <code>/v1/traces</code>, <code>/v1/metrics</code>, <code>/v1/logs</code> and over gRPC. The platform's \
         own metrics are at <a href=\"/metrics\">/metrics</a>.</p>",
    )
}

/// Nothing more is taken in while the disk is almost full; senders try again later.
async fn room(State(stores): State<Arc<Stores>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Questions may be posted too.
    let is_question = path.starts_with("/api/v1/") && !path.ends_with("/write");
    if stores.has_room() || request.method() != Method::POST || is_question {
        return next.run(request).await;
    }
    let message = "the disk is almost full; make room, or try again later\n";
    (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
}

async fn check(request: Request, next: Next) -> Response {
    if is_from_here(&request) {
        return next.run(request).await;
    }
    let message = "pages of other sites have no business here; ask 127.0.0.1\n";
    (StatusCode::FORBIDDEN, message).into_response()
}

fn is_from_here(request: &Request) -> bool {
    let header = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
    // A name that is none of this machine's would be a page of another site that had its name point here.
    let is_host = header(HOST).is_none_or(is_this_machine);
    let is_origin = |it: &str| it.split_once("://").is_some_and(|it| is_this_machine(it.1));
    // Images and forms of other pages say no origin, or none that can be read.
    is_host && header(ORIGIN).map_or(!is_for_another_site(request), is_origin)
}
