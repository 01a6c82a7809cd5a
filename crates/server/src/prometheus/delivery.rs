//! Delivers an answer in pieces, so that a long one is never in memory as a whole.
//!
//! It is written twice: first to find out how long it is, so that one that is too long is refused and
//! not cut off, and that the response says its length; then piece by piece, as fast as the client takes
//! them. A short one is written once. Refuses to wait for a client that takes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use telemetry::Stores;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::answer::Refused;
use crate::stream::Received;

/// Bytes of an answer, at most: a page that draws more is of no use.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Bytes from which on a piece is sent.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for the client.
const PIECES_WAITING: usize = 2;
/// Time in which a client takes a piece, or gets no more. One that reads nothing would keep others from asking.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether somebody still waits for an answer: a client that leaves ends what it has asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Held while somebody waits.
#[derive(Debug)]
struct Waiting(Wanted);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// What an answer is written to. Whoever writes calls [`Pieces::next`] after each part of some hundred bytes or more.
#[derive(Debug)]
pub(super) struct Pieces {
    /// What is not yet a piece.
    pub(super) text: String,
    /// Bytes that were pieces.
    bytes: usize,
    /// Where they go; none while they are only counted.
    to: Option<mpsc::Sender<Bytes>>,
}

impl Pieces {
    pub(super) fn counting() -> Self {
        Self { text: String::new(), bytes: 0, to: None }
    }

    fn sending(to: mpsc::Sender<Bytes>) -> Self {
        Self { text: String::new(), bytes: 0, to: Some(to) }
    }

    /// Ends a piece where it is long enough.
    pub(super) fn next(&mut self) -> Result<(), Refused> {
        if self.text.len() < PIECE_BYTES {
            return Ok(());
        }
        self.bytes += self.text.len();
        match &self.to {
            None => self.text.clear(),
            Some(to) => send(to, Bytes::from(std::mem::take(&mut self.text)))?,
        }
        if self.bytes <= ANSWER_BYTES_MAX {
            return Ok(());
        }
        let most = ANSWER_BYTES_MAX >> 20;
        Err(Refused::execution(format!(
            "the answer is longer than {most} MiB; ask for fewer series, a longer step, or an aggregation"
        )))
    }
}

fn send(to: &mpsc::Sender<Bytes>, piece: Bytes) -> Result<(), Refused> {
    let sent = Handle::current().block_on(tokio::time::timeout(PIECE_TIMEOUT, to.send(piece)));
    match sent {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Refused::canceled()),
    }
}

impl Shared {
    /// Responds with what `write` makes of what `find` finds. Both read files or take long, so they run beside
    /// everything else, until the last piece is taken; when as much runs already, they wait.
    pub(super) async fn deliver<T>(
        &self,
        content_type: &'static str,
        find: impl FnOnce(&Stores, &Wanted) -> Result<T, Refused> + Send + 'static,
        write: impl Fn(&T, &mut Pieces) -> Result<(), Refused> + Send + 'static,
    ) -> Result<Response, Refused> {
        let wanted = Wanted(Arc::new(AtomicBool::new(true)));
        let _waiting = Waiting(wanted.clone());
        let permit = Arc::clone(&self.queries).acquire_owned().await;
        let stores = Arc::clone(&self.stores);
        let deliveries = Arc::clone(&self.deliveries);
        let (begins, begun) = oneshot::channel();
        let (to, received) = mpsc::channel(PIECES_WAITING);
        let delivered = tokio::task::spawn_blocking(move || {
            let found = find(&stores, &wanted)?;
            let mut pieces = Pieces::counting();
            write(&found, &mut pieces)?;
            // A client that reads slowly keeps what was found in memory, and nobody from asking.
            let _place = match pieces.bytes {
                0 => None,
                _ => Some(deliveries.try_acquire_owned().map_err(|_| Refused::busy())?),
            };
            drop(permit);
            // From here on, who leaves is seen by the piece that is not taken.
            let _left: Result<(), usize> = begins.send(pieces.bytes + pieces.text.len());
            if pieces.bytes > 0 {
                pieces = Pieces::sending(to.clone());
                write(&found, &mut pieces)?;
            }
            send(&to, Bytes::from(pieces.text))
        });
        match begun.await {
            Ok(bytes) => {
                let length = bytes.to_string();
                let headers = [(CONTENT_TYPE, content_type), (CONTENT_LENGTH, &length)];
                Ok((headers, Body::from_stream(Received(received))).into_response())
            }
            Err(_) => Err(match delivered.await {
                Ok(delivered) => delivered.err().unwrap_or_else(Refused::canceled),
                Err(error) => Refused::internal(error.to_string()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use host::Clock;
    use http_body_util::BodyExt as _;

    /// A line that is no piece by itself.
    const LINE: usize = 1_000;

    fn shared(folder: &std::path::Path) -> Shared {
        let (clock, limits) = (Clock::start(), telemetry::stores::Limits::default());
        let (stores, _damage) = Stores::open(folder, limits, clock.timestamp()).unwrap();
        Shared::new(Arc::new(stores), clock)
    }

    /// Responds with so many lines.
    async fn lines(shared: &Shared, count: usize) -> Response {
        let write = move |(): &(), pieces: &mut Pieces| {
            for line in 0..count {
                pieces
                    .text
                    .extend(std::iter::repeat_n(if line % 2 == 0 { 'a' } else { 'b' }, LINE));
                pieces.next()?;
            }
            Ok(())
        };
        shared.deliver("text/plain", |_, _| Ok(()), write).await.into_response()
    }

    #[tokio::test]
    async fn issue_12_answers_come_in_pieces_and_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path());
        for count in [0, 1, 10_000] {
            let response = lines(&shared, count).await;
            assert_eq!(response.headers()[CONTENT_LENGTH], (count * LINE).to_string());
            let (mut body, mut bytes, mut pieces) = (response.into_body(), Vec::new(), 0);
            while let Some(frame) = body.frame().await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(piece.len() < PIECE_BYTES + LINE);
                bytes.extend_from_slice(&piece);
                pieces += 1;
            }
            assert_eq!(bytes.len(), count * LINE);
            let is_right = |(at, it): (usize, &u8)| *it == [b'a', b'b'][at / LINE % 2];
            assert!(bytes.iter().enumerate().all(is_right), "each once, and in order");
            assert_eq!(pieces, count * LINE / (PIECE_BYTES.next_multiple_of(LINE)) + 1);
        }
        let response = lines(&shared, ANSWER_BYTES_MAX / LINE + 1_000).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&text).contains("longer than 64 MiB"), "{text:?}");
    }

    #[tokio::test]
    async fn issue_12_clients_that_leave_in_the_middle_keep_nobody_from_asking() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path());
        for _ in 0..3 * super::super::QUERIES_MAX {
            let mut response = lines(&shared, 3_000).await;
            // Those who left are noticed with the piece that is not taken.
            while response.status() != StatusCode::OK {
                tokio::task::yield_now().await;
                response = lines(&shared, 3_000).await;
            }
            let mut body = response.into_body();
            assert!(!body.frame().await.unwrap().unwrap().into_data().unwrap().is_empty());
        }
        assert_eq!(lines(&shared, 1).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn issue_12_clients_that_do_not_read_keep_nobody_from_asking() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path());
        let mut unread = Vec::new();
        for _ in 0..super::super::DELIVERIES_MAX {
            unread.push(lines(&shared, 3_000).await);
        }
        for _ in 0..2 * super::super::QUERIES_MAX {
            assert_eq!(lines(&shared, 1).await.status(), StatusCode::OK);
        }
        assert_eq!(lines(&shared, 3_000).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        // Once one is read there is room for another.
        let read = unread.pop().unwrap().into_body().collect().await.unwrap();
        assert_eq!(read.to_bytes().len(), 3_000 * LINE);
        drop(unread);
        while lines(&shared, 3_000).await.status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn issue_12_work_that_nobody_waits_for_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path());
        let (ended, end) = std::sync::mpsc::channel();
        let find = move |_: &Stores, wanted: &Wanted| {
            while wanted.is() {
                std::thread::yield_now();
            }
            ended.send(()).unwrap();
            Ok(())
        };
        let work = shared.deliver("text/plain", find, |(), _| Ok(()));
        tokio::select! {
            biased;
            worked = work => panic!("{worked:?}"),
            () = std::future::ready(()) => {}
        }
        end.recv().unwrap();
    }
}
