//! One listener: how many connections it holds, and how long they may be silent.
//!
//! Whoever reaches a port can open connections, and each costs a descriptor of the process that looks after instances.
//! So there is a limit to them, those beyond it are told so, and one whose request does not come is closed.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware;
use axum::serve::Listener;
use hyper::body::{Frame, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::stopped;

/// One of so many descriptors is for the connections of each listener; `control` counts with it.
const SHARE: u64 = 16;
/// Connections a listener holds, at least and at most. A thousand services with an SDK each are a thousand.
const CONNECTIONS: (u64, u64) = (8, 4_096);
/// Time a client may take to send a request's head, also the next one on the same connection.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// Time a client may take to send a request's body, once its head is there. The largest that is taken, 32 MiB, needs half a
/// MiB a second, and whoever sends comes from this machine.
const BODY_TIME: Duration = Duration::from_mins(1);
/// Time a client that is refused may take to read why.
const REFUSAL_TIME: Duration = Duration::from_millis(100);
/// Bytes with which HTTP/2 begins (RFC 9113, 3.4); until they are there, it is not known which version is spoken.
const PREFACE_BYTES: usize = 24;

/// Connections a listener of this process may hold.
pub(crate) fn connections_max(open_files: Option<u64>) -> usize {
    let (least, most) = CONNECTIONS;
    let count = open_files.map_or(most, |it| (it / SHARE).clamp(least, most));
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Serves until `stop` becomes true and what was begun has ended.
pub(crate) async fn serve<L: Listener>(
    mut listener: L,
    routes: Router,
    connections_max: usize,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let routes = routes.layer(middleware::map_request(hurried));
    let permits = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    let mut end = pin!(stopped(stop.clone()));
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            refuse(stream, connections_max).await;
            continue;
        };
        let connection = connection(stream, routes.clone(), stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Says why there is no room, if the client takes it in at once.
async fn refuse(mut stream: impl AsyncWrite + Unpin, connections_max: usize) {
    let words = format!(
        "{connections_max} connections are open, as many as there may be; try again later\n"
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{words}",
        words.len()
    );
    // Whoever does not listen is not told.
    drop(tokio::time::timeout(REFUSAL_TIME, stream.write_all(answer.as_bytes())).await);
}

async fn connection<S>(stream: S, routes: Router, stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    // One that sends its preface and no more answers no ping either.
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(HEAD_TIME).keep_alive_timeout(HEAD_TIME);
    let service = TowerToHyperService::new(routes);
    let stream = TokioIo::new(Beginning::new(stream));
    let mut served = pin!(builder.serve_connection(stream, service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopped(stop) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

/// A request whose body is waited for only so long.
async fn hurried(request: Request) -> Request {
    request.map(|body| if body.is_end_stream() { body } else { Body::new(Hurried::new(body)) })
}

/// A body that has to be there in time, whole: a byte now and then would hold its connection, and what is read of it.
struct Hurried {
    body: Body,
    deadline: Pin<Box<Sleep>>,
}

impl Hurried {
    #[expect(clippy::disallowed_methods, reason = "a client that dawdles is given up in time")]
    fn new(body: Body) -> Self {
        Self { body, deadline: Box::pin(tokio::time::sleep(BODY_TIME)) }
    }
}

impl HttpBody for Hurried {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let read = Pin::new(&mut self.body).poll_frame(context);
        if read.is_pending() && self.deadline.as_mut().poll(context).is_ready() {
            let seconds = BODY_TIME.as_secs();
            let why = format!("the body did not come within {seconds} s; send it at once");
            return Poll::Ready(Some(Err(axum::Error::new(why))));
        }
        read
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose first bytes are waited for only so long.
struct Beginning<S> {
    stream: S,
    deadline: Option<Pin<Box<Sleep>>>,
    read: usize,
}

impl<S> Beginning<S> {
    #[expect(clippy::disallowed_methods, reason = "a client that says nothing is given up in time")]
    fn new(stream: S) -> Self {
        Self { stream, deadline: Some(Box::pin(tokio::time::sleep(HEAD_TIME))), read: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Beginning<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        self.read = self.read.saturating_add(into.filled().len() - before);
        if PREFACE_BYTES <= self.read {
            self.deadline = None;
        }
        if read.is_pending()
            && let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Beginning<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Whoever is answered has asked.
        self.deadline = None;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.deadline = None;
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
