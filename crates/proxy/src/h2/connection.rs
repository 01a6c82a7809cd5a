//! A client's connection that speaks HTTP/2, and the streams on it.
//!
//! Streams are used as the protocol's own library gives them, as towards instances (`pool`): a layer above it has no word
//! for answers before the answer, and takes a request whose client cancels it for one that is whole.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, UNIX_EPOCH};

use ::h2::server::{Builder, Connection, SendResponse};
use ::h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use hyper::body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::Buffer;
use crate::core::Core;
use crate::deadline::Deadline;
use crate::h1::client::Client;
use crate::h1::head::is_hop_by_hop;
use crate::h2::fields;
use crate::h2::interim::Interim;
use crate::h2::outgoing::Outgoing;
use crate::h2::server::Handler;
use crate::limits::IDLE_TIME;
use crate::stream::Stream;

/// Requests a client may have on one connection, as Envoy and nginx (128) allow.
const STREAMS_MAX: u32 = 128;
/// Bytes a client may send on a stream before they are taken, as nginx's `http2_body_preread_size`.
const STREAM_WINDOW: u32 = 64 << 10;
/// Bytes it may send on a connection: as many as its streams may have. With less, a few uploads that no instance takes would
/// keep all others.
const CONNECTION_WINDOW: u32 = STREAMS_MAX * STREAM_WINDOW;
/// Time a client has to answer a ping, as gRPC's and hyper's keepalive timeout. One that does not is gone.
const PONG_TIME: Duration = Duration::from_secs(20);

/// A stream with what was read of it already.
struct Rewound {
    read: Buffer,
    at: usize,
    stream: Stream,
}

impl AsyncRead for Rewound {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let left = this.read.filled().get(this.at..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(left.get(..count).unwrap_or_default());
        this.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Serves a connection that speaks HTTP/2, of which `input` was read already.
pub(crate) async fn serve(client: Client, input: Buffer) {
    let Client { core, stream, entry, peer, side, .. } = client;
    let scheme = if stream.is_tls() { "https" } else { "http" };
    let handler = Rc::new(Handler { core: Rc::clone(&core), entry, peer, side, scheme });
    let io = Rewound { read: input, at: 0, stream };
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(32 << 10)
        .max_header_list_size(core.front.heads.list_bytes());
    let mut late = Deadline::new(core.clock, core.clock.now().after(core.front.head_time.get()));
    let shaken = tokio::select! {
        shaken = builder.handshake::<_, Bytes>(io) => shaken,
        () = late.passed() => return,
    };
    if let Ok(connection) = shaken {
        streams(&core, connection, &handler).await;
    }
}

/// Answers streams until there are no more.
async fn streams(
    core: &Rc<Core>,
    mut connection: Connection<Rewound, Bytes>,
    handler: &Rc<Handler>,
) {
    let active = Rc::new(());
    let mut pings = connection.ping_pong().map(Pings::new);
    let mut idle = Deadline::new(core.clock, core.clock.now().after(IDLE_TIME));
    let mut is_ending = core.is_finishing();
    if is_ending {
        connection.graceful_shutdown();
    }
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                // Whoever breaks the protocol, or is gone, is told nothing more.
                let Some(Ok((request, reply))) = accepted else { return };
                let (handler, active) = (Rc::clone(handler), Rc::clone(&active));
                // It ends with its connection.
                drop(tokio::task::spawn_local(answer(handler, request, reply, active)));
            }
            () = core.finish.notified(), if !is_ending => {
                is_ending = true;
                connection.graceful_shutdown();
            }
            () = idle.passed() => {
                if Rc::strong_count(&active) == 1 {
                    if is_ending {
                        return;
                    }
                    is_ending = true;
                    connection.graceful_shutdown();
                }
                let Some(after) = pings.as_mut().map_or(Some(IDLE_TIME), Pings::next) else { return };
                idle.set(core.clock.now().after(after));
            }
        }
    }
}

/// Finds out whether a client that says nothing is still there.
struct Pings {
    pings: PingPong,
    is_asked: bool,
}

impl Pings {
    const fn new(pings: PingPong) -> Self {
        Self { pings, is_asked: false }
    }

    /// Asks, or looks for the answer. Returns when to do so again; nothing if the client is gone.
    fn next(&mut self) -> Option<Duration> {
        if self.is_asked {
            let mut context = Context::from_waker(std::task::Waker::noop());
            let Poll::Ready(Ok(_)) = self.pings.poll_pong(&mut context) else { return None };
            self.is_asked = false;
            return Some(IDLE_TIME);
        }
        self.is_asked = self.pings.send_ping(Ping::opaque()).is_ok();
        Some(if self.is_asked { PONG_TIME } else { IDLE_TIME })
    }
}

/// Answers one stream.
async fn answer(
    handler: Rc<Handler>,
    request: Request<RecvStream>,
    mut reply: SendResponse<Bytes>,
    active: Rc<()>,
) {
    let interim = Rc::new(Interim::default());
    let (head, body) = request.into_parts();
    let answered = {
        let mut handling = pin!(handler.handle(head, body, &interim));
        poll_fn(|context| {
            let answered = handling.as_mut().poll(context);
            for response in interim.take() {
                // A client that is gone is noticed below.
                drop(reply.send_informational(response));
            }
            match answered {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                // It wants no answer any more.
                Poll::Pending => reply.poll_reset(context).map(|_| None),
            }
        })
        .await
    };
    let Some(response) = answered else { return };
    response.body().hold(active);
    let (mut head, body) = response.into_parts();
    complete(&handler.core, &mut head.headers);
    let is_over = body.is_end_stream();
    match reply.send_response(Response::from_parts(head, ()), is_over) {
        Ok(stream) if !is_over => {
            let mut downlink = Downlink { stream, body, part: Bytes::new() };
            poll_fn(|context| downlink.poll(context)).await;
        }
        Ok(_) => {}
        Err(_) => reply.send_reset(Reason::INTERNAL_ERROR),
    }
}

/// What every answer has and has not: a route's changes may say something about the connection, which HTTP/2 does not know
/// (RFC 9113, section 8.2.2), and an answer without a date gets one (RFC 9110, section 6.6.1).
fn complete(core: &Core, headers: &mut HeaderMap) {
    fields::remove(headers, is_hop_by_hop);
    if !headers.contains_key(header::DATE) {
        let since = Duration::from_millis(core.clock.timestamp().as_millis());
        let date = httpdate::fmt_http_date(UNIX_EPOCH + since);
        if let Ok(date) = HeaderValue::try_from(date) {
            headers.insert(header::DATE, date);
        }
    }
}

/// The body of an answer on its way over a stream.
struct Downlink {
    stream: SendStream<Bytes>,
    body: Outgoing,
    /// A part that waits for room.
    part: Bytes,
}

impl Downlink {
    /// Sends as much as there is and goes, until all is sent or the client wants no more.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.stream.poll_reset(context).is_ready() {
                return Poll::Ready(());
            }
            if !self.part.is_empty() {
                if ready!(self.poll_part(context)).is_none() {
                    return Poll::Ready(());
                }
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.stream.reserve_capacity(data.len());
                        self.part = data;
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            drop(self.stream.send_trailers(trailers));
                        }
                        return Poll::Ready(());
                    }
                },
                Some(Err(_)) => {
                    self.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(());
                }
                None => {
                    drop(self.stream.send_data(Bytes::new(), true));
                    return Poll::Ready(());
                }
            }
        }
    }

    /// Sends what there is room for. Nothing if the client takes no more, or has taken nothing for too long: it is told then.
    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        while self.stream.capacity() == 0 {
            match self.stream.poll_capacity(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending => {
                    ready!(self.body.poll_cut(context));
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(None);
                }
            }
        }
        let part = self.part.split_to(self.stream.capacity().min(self.part.len()));
        let is_last = self.part.is_empty() && self.body.is_end_stream();
        if self.stream.send_data(part, is_last).is_err() || is_last {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(()))
    }
}
