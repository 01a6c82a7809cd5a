//! Events as they happen, as server-sent events (WHATWG HTML, section 9.2).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use api::request::EventQuery;
use api::{EventView, Platform};
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_core::Stream;
use model::Index;
use tokio::sync::{mpsc, watch};

/// Chunks that may wait for a slow reader; then its own task waits, and nobody else.
const CHUNKS_WAITING: usize = 16;
/// Events in one chunk, at most.
const EVENTS_PER_CHUNK: usize = 500;
/// Time after which a comment shows that the connection is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What somebody else hands over, as a stream.
pub(crate) struct Received(pub(crate) mpsc::Receiver<Bytes>);

impl Stream for Received {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|it| it.map(Ok))
    }
}

/// A response that goes on for as long as somebody reads it.
pub(crate) fn respond<P: Platform>(
    platform: P,
    query: EventQuery,
    stop: watch::Receiver<bool>,
) -> Response {
    let (chunks, received) = mpsc::channel(CHUNKS_WAITING);
    tokio::spawn(feed(platform, query, stop, chunks));
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(Received(received))).into_response()
}

async fn feed<P: Platform>(
    platform: P,
    mut query: EventQuery,
    mut stop: watch::Receiver<bool>,
    chunks: mpsc::Sender<Bytes>,
) {
    query.limit = EVENTS_PER_CHUNK;
    loop {
        let world = platform.world();
        let chunk = match platform.events(query.clone()).await {
            Ok(events) if events.is_empty() => {
                query.after = query.after.max(world.index);
                let changed = tokio::time::timeout(HEARTBEAT, platform.changed(query.after));
                let heartbeat = tokio::select! {
                    changed = changed => changed.is_err(),
                    () = chunks.closed() => return,
                    _ = stop.wait_for(|it| *it) => return,
                };
                if !heartbeat {
                    continue;
                }
                Bytes::from_static(b": alive\n\n")
            }
            Ok(events) => {
                query.after = events.last().map_or(query.after, |it| it.index);
                Bytes::from(events.iter().map(|it| format(&EventView::of(it))).collect::<String>())
            }
            Err(error) => {
                let text = serde_json::to_string(&error).unwrap_or_default();
                // The connection ends with this, whether it is heard or not.
                drop(chunks.send(Bytes::from(format!("event: error\ndata: {text}\n\n"))).await);
                return;
            }
        };
        let sent = tokio::select! {
            sent = chunks.send(chunk) => sent,
            _ = stop.wait_for(|it| *it) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

fn format(event: &EventView) -> String {
    let text = serde_json::to_string(event).unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {text}\n\n", event.index, event.kind)
}

/// The last event a reader that comes back has seen: `Last-Event-ID`.
pub(crate) fn last_seen(headers: &axum::http::HeaderMap) -> Option<Index> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok().map(Index)
}
