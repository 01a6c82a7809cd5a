//! One attempt: the request on its way to one instance, until the head of the answer is there.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use model::Instant;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;

use super::request::Method;
use super::response::ResponseHead;
use super::write;
use crate::answer::Failure;
use crate::buffer::{Buffer, Buffers};
use crate::connected::Connected;
use crate::limits::{POOLED_FRESH, POOLED_TIME};
use crate::stream::poll_fill;
use crate::upstream::Upstream;

/// One attempt.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Attempt {
    /// Its place in the crossing.
    pub(crate) place: usize,
    pub(crate) upstream: Rc<Upstream>,
    stage: Stage,
    /// Whether the connection was used before: then it may have ended without anybody's fault.
    is_reused: bool,
    is_idempotent: bool,
    /// The head as it is sent.
    out: Vec<u8>,
    written: usize,
    /// Bytes of the body that stand behind the head in `out`.
    joined: usize,
    /// Whether anything was ever sent.
    touched: bool,
    /// Up to where the body in the client's buffer was sent.
    pub(crate) sent: usize,
    body_start: usize,
    /// What the instance has said, and the head in it.
    pub(crate) response: Buffer,
    pub(crate) head: ResponseHead,
    /// Answers before the answer (status 1xx), as a client of HTTP/1.1 reads them.
    pub(crate) interim: Vec<u8>,
    hurries: u8,
}

/// Acknowledgements of one answer that are asked for at once.
const HURRIES_MAX: u8 = 8;
/// Bytes that came at once of which it is asked for, at most: what is held back stands behind a short piece, and a body that
/// comes in long ones needs no help, and would pay for a system call each.
const HURRIED_BYTES_MAX: usize = 4 << 10;

/// Bytes of a body that are copied behind the head, to be sent with it.
pub(crate) const JOINED_BYTES_MAX: usize = 4 << 10;

/// Whether what was sent can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    No,
}

enum Stage {
    Connecting(Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>),
    Open(Connected),
    /// It can be read from, and not written to any more.
    Deaf(Connected),
    Failed,
}

/// What an attempt sends.
pub(crate) struct Request<'a> {
    /// The client's buffer.
    pub(crate) input: &'a [u8],
    /// Up to where the body in it has been checked.
    pub(crate) checked: usize,
    /// Whether all of the body that has come is still there.
    pub(crate) is_whole: bool,
    pub(crate) method: Method,
    pub(crate) buffers: &'a Buffers,
}

impl Attempt {
    /// An attempt that sends `out` and then the body, which begins at `body_start` in the client's buffer.
    pub(crate) fn new(
        place: usize,
        upstream: Rc<Upstream>,
        method: Method,
        out: Vec<u8>,
        body_start: usize,
    ) -> Self {
        let is_idempotent = method.is_idempotent();
        Self {
            place,
            upstream,
            stage: Stage::Failed,
            is_reused: false,
            is_idempotent,
            out,
            written: 0,
            joined: 0,
            touched: false,
            sent: body_start,
            body_start,
            response: Buffer::default(),
            head: ResponseHead::default(),
            interim: Vec::new(),
            hurries: 0,
        }
    }

    /// Acknowledges at once what has come of an answer of which more is to come. Many servers write a head and then a body, and
    /// hold the second back until the first is acknowledged (Nagle, RFC 896), which this side's kernel puts off by 40 ms on a
    /// connection that was used before (RFC 9293, section 3.8.6.3). `came` is what was read last.
    pub(crate) fn hurry(&mut self, came: usize) {
        if self.hurries == HURRIES_MAX || HURRIED_BYTES_MAX < came {
            return;
        }
        self.hurries += 1;
        if let Some(stream) = self.connection() {
            // Where it cannot be asked for, it comes later.
            let _asked_for: rustix::io::Result<()> =
                rustix::net::sockopt::set_tcp_quickack(stream, true);
        }
    }

    /// Takes an open connection, or begins to open one.
    pub(crate) fn start(&mut self, now: Instant) {
        let age = if self.is_idempotent { POOLED_TIME } else { POOLED_FRESH };
        match self.upstream.take(now, age) {
            Some(stream) => {
                self.is_reused = true;
                self.stage = Stage::Open(Connected::taken(stream, Rc::clone(&self.upstream)));
            }
            None => self.connect(),
        }
    }

    fn connect(&mut self) {
        self.is_reused = false;
        self.written = 0;
        self.out.truncate(self.out.len() - std::mem::take(&mut self.joined));
        self.sent = self.body_start;
        self.stage = Stage::Connecting(Box::pin(Upstream::connect(self.upstream.address)));
    }

    /// Whether the instance may have seen anything of the request.
    pub(crate) const fn has_sent(&self) -> bool {
        self.touched
    }

    /// Sends `bytes` too, behind what is sent already. What was sent and is not `kept` is forgotten.
    pub(crate) fn extend(&mut self, bytes: &[u8], kept: Kept) {
        if kept == Kept::No && self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        self.out.extend_from_slice(bytes);
    }

    /// Whether all of the head, and of the body as far as it was checked, is sent.
    pub(crate) const fn is_sent(&self, checked: usize) -> bool {
        self.written == self.out.len() && self.sent == checked
    }

    /// Sends what is to be sent, and reads until the head of the answer is there.
    pub(crate) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        request: &Request<'_>,
    ) -> Poll<Result<(), Failure>> {
        loop {
            let failed = match ready!(self.poll_once(context, request)) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(failed) => failed,
            };
            // A connection that was used before may have been closed while the request was on its way.
            // That says nothing about the instance, and where nothing can happen twice, nobody need know.
            let harmless = self.is_idempotent || !self.has_sent();
            let is_stale = matches!(failed, Failure::Reset) && self.is_reused;
            if is_stale && harmless && request.is_whole && self.response.len() == 0 {
                self.connect();
                continue;
            }
            self.stage = Stage::Failed;
            return Poll::Ready(Err(failed));
        }
    }

    fn poll_once(
        &mut self,
        context: &mut Context<'_>,
        request: &Request<'_>,
    ) -> Poll<Result<(), Failure>> {
        if let Stage::Connecting(connecting) = &mut self.stage {
            match ready!(connecting.as_mut().poll(context)) {
                Ok(stream) => {
                    let connected = Connected::opened(stream, Rc::clone(&self.upstream));
                    self.stage = Stage::Open(connected);
                }
                Err(error) => return Poll::Ready(Err(Failure::Connect(error))),
            }
        }
        if self.poll_send(context, request.input, request.checked).is_err() {
            self.hear_out();
        }
        self.poll_receive(context, request)
    }

    /// Goes on reading what an instance that takes no more has to say: perhaps an answer.
    fn hear_out(&mut self) {
        if let Stage::Open(connected) = std::mem::replace(&mut self.stage, Stage::Failed) {
            self.stage = Stage::Deaf(connected);
        }
    }

    /// Sends as much as goes. What is left is sent when the socket takes more.
    pub(crate) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        input: &[u8],
        checked: usize,
    ) -> io::Result<()> {
        let Stage::Open(connected) = &mut self.stage else { return Ok(()) };
        let Some(stream) = connected.stream() else { return Ok(()) };
        if self.written == 0 && !self.out.is_empty() {
            // A short body goes with the head: one simple system call is cheaper than gathering.
            let body = input.get(self.sent..checked).unwrap_or_default();
            if !body.is_empty() && body.len() <= JOINED_BYTES_MAX && self.sent == self.body_start {
                self.joined = body.len();
                self.out.extend_from_slice(body);
                self.sent = checked;
            }
        }
        loop {
            let head = self.out.get(self.written..).unwrap_or_default();
            let body = input.get(self.sent..checked).unwrap_or_default();
            let sent = match (head, body) {
                ([], []) => return Ok(()),
                (head, []) => Pin::new(&mut *stream).poll_write(context, head),
                ([], body) => Pin::new(&mut *stream).poll_write(context, body),
                (head, body) => {
                    let parts = [IoSlice::new(head), IoSlice::new(body)];
                    Pin::new(&mut *stream).poll_write_vectored(context, &parts)
                }
            };
            match sent {
                Poll::Ready(Ok(count)) => {
                    let of_head = count.min(head.len());
                    self.touched = true;
                    self.written += of_head;
                    self.sent += count - of_head;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        request: &Request<'_>,
    ) -> Poll<Result<(), Failure>> {
        let (Stage::Open(connected) | Stage::Deaf(connected)) = &mut self.stage else {
            return Poll::Ready(Err(Failure::Reset));
        };
        let Some(stream) = connected.stream() else { return Poll::Ready(Err(Failure::Reset)) };
        loop {
            if self.response.capacity() == 0 {
                if ready!(stream.poll_read_ready(context)).is_err() {
                    return Poll::Ready(Err(Failure::Reset));
                }
                self.response = request.buffers.small();
            }
            if self.response.is_full() {
                request.buffers.enlarge(&mut self.response);
            }
            match poll_fill(stream, context, &mut self.response) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Failure::Reset)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    if 0 < self.response.len() {
                        self.hurry(self.response.len());
                    }
                    return Poll::Pending;
                }
            }
            loop {
                match self.head.read(self.response.filled(), request.method) {
                    Ok(true) if self.head.status < 200 && self.head.status != 101 => {
                        write::interim(&mut self.interim, self.response.filled(), &self.head);
                        if self.head.limits.bytes() < self.interim.len() {
                            let what = "it goes on with answers before the answer";
                            return Poll::Ready(Err(Failure::Garbage(what)));
                        }
                        self.response.consume(self.head.length);
                        if self.response.len() == 0 {
                            break;
                        }
                    }
                    Ok(true) => return Poll::Ready(Ok(())),
                    Ok(false) => break,
                    Err(garbage) => return Poll::Ready(Err(Failure::Garbage(garbage.0))),
                }
            }
        }
    }

    /// The head of the answer, as it came.
    pub(crate) fn said(&self) -> &[u8] {
        self.response.filled().get(..self.head.length).unwrap_or_default()
    }

    /// The connection, while there is one.
    pub(crate) const fn connection(&mut self) -> Option<&mut TcpStream> {
        match &mut self.stage {
            Stage::Open(connected) | Stage::Deaf(connected) => connected.stream(),
            Stage::Connecting(_) | Stage::Failed => None,
        }
    }

    /// Hands out the connection for another use.
    pub(crate) fn take_connected(&mut self) -> Option<Connected> {
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Open(connected) | Stage::Deaf(connected) => Some(connected),
            Stage::Connecting(_) | Stage::Failed => None,
        }
    }

    /// Whether the connection can take another request when this one is over.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }
}
