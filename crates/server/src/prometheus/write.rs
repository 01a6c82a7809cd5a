//! Remote write: another Prometheus, or an agent, sends what it has scraped.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use telemetry::metrics::remote;

use super::Shared;

/// Answers as the protocol wants it: 4xx is never tried again, 5xx is.
pub(super) async fn write(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let content_type =
        headers.get("content-type").and_then(|it| it.to_str().ok()).unwrap_or_default();
    if content_type.contains("io.prometheus.write.v2") {
        let message = "only the first version of remote write is understood; leave `protobuf_message` at its default";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    }
    let origin = match headers.get("user-agent").and_then(|it| it.to_str().ok()) {
        Some(agent) => format!("remote write: {}", agent.split('/').next().unwrap_or_default()),
        None => "remote write".to_owned(),
    };
    let now = shared.clock.timestamp();
    let stores = shared.stores;
    let written = tokio::task::spawn_blocking(move || {
        let mut appender = stores.metrics.append(&origin, now);
        let read = remote::write(&body, &mut appender, &stores.metrics);
        (read, appender.finish())
    });
    match written.await {
        Ok((Ok(()), Ok(appended))) => match appended.refusal {
            None => StatusCode::NO_CONTENT.into_response(),
            // The others are kept; it would be no use to send these again.
            Some(refusal) => {
                let message = format!(
                    "{} of {} samples were refused, the last one for `{}`\n",
                    appended.refused,
                    appended.refused + appended.accepted,
                    refusal.as_str()
                );
                (StatusCode::BAD_REQUEST, message).into_response()
            }
        },
        Ok((Err(error), _)) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        Ok((_, Err(error))) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
