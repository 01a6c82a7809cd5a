//! OTLP, as OpenTelemetry's SDKs and collectors speak it: over HTTP in protobuf and JSON, and over gRPC.
//!
//! A call of gRPC is one request and one answer in frames of their own, over HTTP/2; that needs no more of gRPC than stands
//! here. Answers are as the specification wants them: 400 where it is no use to send again, 503 where it is.
//!
//! Sources: <https://opentelemetry.io/docs/specs/otlp/>, <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use model::Timestamp;
use telemetry::otlp::{self, Encoding, Rejected, Signal, answer};
use telemetry::{Stores, metrics};

use crate::Measured;
use crate::body::{self, BODY_BYTES_MAX};

/// Bytes before a message of gRPC: whether it is compressed, and its length.
const FRAME_BYTES: usize = 5;
/// gRPC's numbers for what may become of a call.
const INVALID_ARGUMENT: u8 = 3;
const UNIMPLEMENTED: u8 = 12;
const UNAVAILABLE: u8 = 14;

/// Routes of the three signals.
pub(crate) fn routes(measured: Measured) -> Router {
    let http = |signal| post(move |state, headers, body| over_http(state, headers, body, signal));
    let grpc = |signal| post(move |state, headers, body| over_grpc(state, headers, body, signal));
    let service = |name: &str| format!("/opentelemetry.proto.collector.{name}/Export");
    Router::new()
        .route("/v1/traces", http(Signal::Traces))
        .route("/v1/metrics", http(Signal::Metrics))
        .route("/v1/logs", http(Signal::Logs))
        // Where Prometheus itself takes it in.
        .route("/api/v1/otlp/v1/metrics", http(Signal::Metrics))
        .route(&service("trace.v1.TraceService"), grpc(Signal::Traces))
        .route(&service("metrics.v1.MetricsService"), grpc(Signal::Metrics))
        .route(&service("logs.v1.LogsService"), grpc(Signal::Logs))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(measured)
}

/// Why a request was not taken in.
enum NotTaken {
    /// It cannot be read: to send it again is no use.
    Wrong(String),
    /// It could not be kept now.
    Unavailable(String),
}

/// Takes in a request, beside everything else.
async fn take_in(
    measured: Measured,
    body: Bytes,
    signal: Signal,
    encoding: Encoding,
) -> Result<Vec<u8>, NotTaken> {
    let now = measured.clock.timestamp();
    let taken = tokio::task::spawn_blocking(move || -> Result<Rejected, NotTaken> {
        let stores: Arc<Stores> = measured.stores;
        let wrong = |error: otlp::OtlpError| NotTaken::Wrong(error.to_string());
        match signal {
            Signal::Traces => {
                let received = otlp::traces::read(&body, encoding).map_err(wrong)?;
                keep_spans(&stores, received, now)
            }
            Signal::Metrics => {
                let received = otlp::metrics::read(&body, encoding, now).map_err(wrong)?;
                keep_points(&stores, received, now)
            }
            Signal::Logs => {
                let received = otlp::logs::read(&body, encoding, now).map_err(wrong)?;
                Ok(keep_records(&stores, received, now))
            }
        }
    });
    let rejected = taken.await.map_err(|error| NotTaken::Unavailable(error.to_string()))??;
    Ok(answer(signal, encoding, &rejected))
}

fn keep_spans(
    stores: &Stores,
    received: otlp::traces::Received,
    now: Timestamp,
) -> Result<Rejected, NotTaken> {
    let mut rejected = received.rejected;
    let appended = stores.traces.append(received.spans, now);
    let appended = appended.map_err(|it| NotTaken::Unavailable(model::chain(&it)))?;
    rejected.add(appended.refused, || "more spans came than there is room for".to_owned());
    Ok(rejected)
}

fn keep_points(
    stores: &Stores,
    received: otlp::metrics::Received,
    now: Timestamp,
) -> Result<Rejected, NotTaken> {
    let mut rejected = received.rejected;
    for about in received.metadata {
        stores.metrics.describe(&about.name, |it| {
            about.kind.clone_into(&mut it.kind);
            it.help = about.help;
            it.unit = about.unit;
        });
    }
    for exemplar in received.exemplars {
        stores.metrics.exemplars.push(exemplar);
    }
    // Whoever sends is told apart by its job, so that one sender's flood is counted as its own.
    let first = received.points.first();
    let job = first.and_then(|it| it.labels.iter().find(|it| it.0 == "job"));
    let origin = job.map_or_else(|| "otlp".to_owned(), |it| format!("otlp: {}", it.1));
    let mut appender = stores.metrics.append(&origin, now);
    for point in &received.points {
        appender.point(point);
    }
    let appended = appender.finish();
    let appended = appended.map_err(|it| NotTaken::Unavailable(it.to_string()))?;
    let why = appended.refusal.map_or("", metrics::Refusal::as_str);
    rejected.add(appended.refused, || format!("points were refused for `{why}`"));
    Ok(rejected)
}

fn keep_records(stores: &Stores, received: otlp::logs::Received, now: Timestamp) -> Rejected {
    let mut rejected = received.rejected;
    let appended = stores.logs.append(&received.records, now);
    for (why, count) in appended.refused {
        rejected.add(count as u64, || format!("records were refused for `{why}`"));
    }
    rejected
}

async fn over_http(
    State(measured): State<Measured>,
    headers: HeaderMap,
    body: Bytes,
    signal: Signal,
) -> Response<Body> {
    let Some(encoding) = Encoding::of_content_type(body::content_type(&headers)) else {
        let message = "send application/x-protobuf or application/json\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    };
    let body = match body::plain(&headers, body) {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    match take_in(measured, body, signal, encoding).await {
        Ok(answer) => ([(CONTENT_TYPE, encoding.content_type())], answer).into_response(),
        Err(NotTaken::Wrong(message)) => (StatusCode::BAD_REQUEST, message).into_response(),
        Err(NotTaken::Unavailable(message)) => {
            (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
        }
    }
}

async fn over_grpc(
    State(measured): State<Measured>,
    headers: HeaderMap,
    body: Bytes,
    signal: Signal,
) -> Response<Body> {
    let message = match unframed(&headers, body) {
        Ok(message) => message,
        Err((status, message)) => return failed(status, &message),
    };
    match take_in(measured, message, signal, Encoding::Protobuf).await {
        Ok(answer) => succeeded(&answer),
        Err(NotTaken::Wrong(message)) => failed(INVALID_ARGUMENT, &message),
        Err(NotTaken::Unavailable(message)) => failed(UNAVAILABLE, &message),
    }
}

/// The one message of a call.
fn unframed(headers: &HeaderMap, mut body: Bytes) -> Result<Bytes, (u8, String)> {
    let torn = || (INVALID_ARGUMENT, "the message is not whole".to_owned());
    let head: [u8; FRAME_BYTES] = *body.first_chunk().ok_or_else(torn)?;
    let [compressed, length @ ..] = head;
    let message = body.split_off(FRAME_BYTES);
    if message.len() != u32::from_be_bytes(length) as usize {
        return Err(torn());
    }
    if compressed == 0 {
        return Ok(message);
    }
    match headers.get("grpc-encoding").map(HeaderValue::as_bytes) {
        Some(b"gzip") => {
            body::gunzip(&message).map(Bytes::from).map_err(|it| (INVALID_ARGUMENT, it.1))
        }
        _ => Err((UNIMPLEMENTED, "only gzip is understood".to_owned())),
    }
}

fn succeeded(message: &[u8]) -> Response<Body> {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(frame)).with_trailers(async { Some(Ok(trailers)) });
    ([(CONTENT_TYPE, GRPC)], Body::new(body)).into_response()
}

/// An answer without a message: its status stands in its head.
fn failed(status: u8, message: &str) -> Response<Body> {
    let mut response = ([(CONTENT_TYPE, GRPC)], Body::empty()).into_response();
    let headers = response.headers_mut();
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(status)));
    // Only what may stand in a header as it is; others are escaped.
    let escaped: String = message
        .bytes()
        .map(|it| match it {
            b' '..=b'~' if it != b'%' => char::from(it).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    if let Ok(message) = HeaderValue::from_str(&escaped) {
        headers.insert(GRPC_MESSAGE, message);
    }
    response
}

const GRPC: &str = "application/grpc";
const GRPC_STATUS: axum::http::HeaderName = axum::http::HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: axum::http::HeaderName = axum::http::HeaderName::from_static("grpc-message");
