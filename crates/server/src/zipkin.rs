//! Zipkin's HTTP API: spans in, and what its page and its clients ask for.
//!
//! Source: <https://zipkin.io/zipkin-api/>.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use telemetry::traces::span::read_trace_hex;
use telemetry::{Stores, traces, zipkin};

use crate::Measured;
use crate::body::{self, BODY_BYTES_MAX};

/// Traces that are asked for by their ids at once, at most.
const TRACES_MAX: usize = 1_000;
/// Milliseconds dependencies are told of if nobody says.
const LOOKBACK_DEFAULT_MS: u64 = 86_400_000;

/// Zipkin's routes, also where its page looks for them.
pub(crate) fn routes(measured: Measured) -> Router {
    let mut router = Router::new()
        .route("/api/v2/spans", get(operations).post(receive))
        .route("/zipkin/api/v2/spans", get(operations))
        .route("/api/v1/spans", post(receive_v1))
        .route("/zipkin/config.json", get(config));
    for prefix in ["/api/v2", "/zipkin/api/v2"] {
        let path = |name: &str| format!("{prefix}/{name}");
        router = router
            .route(&path("services"), get(services))
            .route(&path("remoteServices"), get(remote_services))
            .route(&path("traces"), get(search))
            .route(&path("trace/{id}"), get(trace))
            .route(&path("traceMany"), get(trace_many))
            .route(&path("dependencies"), get(dependencies))
            .route(&path("autocompleteKeys"), get(tag_keys))
            .route(&path("autocompleteValues"), get(tag_values));
    }
    router.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(measured)
}

async fn receive(State(measured): State<Measured>, headers: HeaderMap, body: Bytes) -> Response {
    let is_protobuf = body::content_type(&headers).starts_with("application/x-protobuf");
    let read = if is_protobuf { zipkin::read_protobuf } else { zipkin::read_json };
    take_in(measured, headers, body, read).await
}

async fn receive_v1(State(measured): State<Measured>, headers: HeaderMap, body: Bytes) -> Response {
    if body::content_type(&headers).starts_with("application/x-thrift") {
        let message = "Thrift is not understood; send version 2, or JSON\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    }
    take_in(measured, headers, body, zipkin::read_v1_json).await
}

type Read = fn(&[u8]) -> Result<Vec<traces::Span>, zipkin::ReadError>;

async fn take_in(measured: Measured, headers: HeaderMap, body: Bytes, read: Read) -> Response {
    let now = measured.clock.timestamp();
    let taken = tokio::task::spawn_blocking(move || {
        let body = body::plain(&headers, body)?;
        let spans = read(&body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        let appended = measured.stores.traces.append(spans, now);
        appended.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
    });
    match taken.await {
        Ok(Ok(appended)) if appended.refused == 0 => StatusCode::ACCEPTED.into_response(),
        Ok(Ok(appended)) => {
            let message =
                format!("{} spans were refused: there is no room for them\n", appended.refused);
            (StatusCode::TOO_MANY_REQUESTS, message).into_response()
        }
        Ok(Err(refused)) => refused.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Runs a question, which reads files, beside everything else, and answers with JSON.
async fn answer(
    measured: Measured,
    ask: impl FnOnce(&Stores) -> Result<Vec<u8>, (StatusCode, String)> + Send + 'static,
) -> Response {
    let stores = Arc::clone(&measured.stores);
    match tokio::task::spawn_blocking(move || ask(&stores)).await {
        Ok(Ok(json)) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Ok(Err(refused)) => refused.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The parameters of a query, in their order.
fn parameters(query: Option<&str>) -> Vec<(String, String)> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn parameter(query: Option<&str>, name: &str) -> String {
    let found = parameters(query).into_iter().find(|it| it.0 == name);
    found.map(|it| it.1).unwrap_or_default()
}

async fn services(State(measured): State<Measured>) -> Response {
    answer(measured, |stores| Ok(zipkin::write_names(&stores.traces.services()))).await
}

async fn operations(State(measured): State<Measured>, RawQuery(query): RawQuery) -> Response {
    let service = parameter(query.as_deref(), "serviceName");
    answer(measured, move |stores| Ok(zipkin::write_names(&stores.traces.operations(&service))))
        .await
}

async fn remote_services(State(measured): State<Measured>, RawQuery(query): RawQuery) -> Response {
    let service = parameter(query.as_deref(), "serviceName");
    answer(measured, move |stores| {
        Ok(zipkin::write_names(&stores.traces.remote_services(&service)))
    })
    .await
}

async fn tag_keys(State(measured): State<Measured>) -> Response {
    answer(measured, |stores| Ok(zipkin::write_names(&stores.traces.tag_keys()))).await
}

async fn tag_values(State(measured): State<Measured>, RawQuery(query): RawQuery) -> Response {
    let key = parameter(query.as_deref(), "key");
    answer(measured, move |stores| Ok(zipkin::write_names(&stores.traces.tag_values(&key)))).await
}

async fn search(State(measured): State<Measured>, RawQuery(query): RawQuery) -> Response {
    let now = measured.clock.timestamp();
    let parameters = parameters(query.as_deref());
    answer(measured, move |stores| {
        let pairs = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let query = zipkin::read_query(pairs, now);
        let query = query.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        let found = stores.traces.search(&query).traces;
        let traces: Vec<_> = found.into_iter().map(|it| it.1).collect();
        Ok(zipkin::write_traces(&traces))
    })
    .await
}

fn id(text: &str) -> Result<u128, (StatusCode, String)> {
    let wrong = || (StatusCode::BAD_REQUEST, format!("{text} is no id of a trace\n"));
    read_trace_hex(text).ok_or_else(wrong)
}

async fn trace(State(measured): State<Measured>, Path(text): Path<String>) -> Response {
    answer(measured, move |stores| {
        let spans = stores.traces.trace(id(&text)?);
        if spans.is_empty() {
            return Err((StatusCode::NOT_FOUND, format!("{text} not found\n")));
        }
        Ok(zipkin::write_trace(&spans))
    })
    .await
}

async fn trace_many(State(measured): State<Measured>, RawQuery(query): RawQuery) -> Response {
    let ids = parameter(query.as_deref(), "traceIds");
    answer(measured, move |stores| {
        let ids: Result<Vec<_>, _> = ids.split(',').take(TRACES_MAX).map(id).collect();
        let traces = ids?.into_iter().map(|it| stores.traces.trace(it));
        let traces: Vec<_> = traces.filter(|it| !it.is_empty()).collect();
        Ok(zipkin::write_traces(&traces))
    })
    .await
}

async fn dependencies(State(measured): State<Measured>, RawQuery(query): RawQuery) -> Response {
    let now = measured.clock.timestamp();
    let number = |name, otherwise| match parameter(query.as_deref(), name).as_str() {
        "" => Ok(otherwise),
        text => {
            let wrong =
                |_error| (StatusCode::BAD_REQUEST, format!("{name}: `{text}` is no number\n"));
            text.parse::<u64>().map_err(wrong)
        }
    };
    let until_ms = number("endTs", now.as_millis());
    let lookback_ms = number("lookback", LOOKBACK_DEFAULT_MS);
    answer(measured, move |stores| {
        let (until_ms, lookback_ms) = (until_ms?, lookback_ms?);
        let (from_us, until_us) = (
            until_ms.saturating_sub(lookback_ms).saturating_mul(1_000),
            until_ms.saturating_mul(1_000),
        );
        Ok(zipkin::write_dependencies(&stores.traces.dependencies(from_us, until_us)))
    })
    .await
}

/// What Zipkin's page wants to know before it begins.
async fn config() -> Response {
    axum::Json(serde_json::json!({
        "environment": "pelago",
        "queryLimit": 10,
        "defaultLookback": 900_000,
        "searchEnabled": true,
        "logsUrl": null,
        "supportUrl": null,
        "archivePostUrl": null,
        "archiveUrl": null,
        "dependency": {"enabled": true, "lowErrorRate": 0.5, "highErrorRate": 0.75},
    }))
    .into_response()
}
