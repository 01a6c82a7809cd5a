//! A client's connection: one request after the other.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};

use super::exchange::{self, After};
use super::head::Span;
use super::request::{Rejected, RequestHead, Side};
use super::write::{self, Connection, IsHead};
use crate::access::{Record, Visit};
use crate::answer::{Answer, Audience};
use crate::buffer::Buffer;
use crate::connections::Crosses;
use crate::core::Core;
use crate::crossing::Asked;
use crate::deadline::Deadline;
use crate::edge::Edge;
use crate::limits::{AWAKE_MAX, AWAKE_TIME, FINISH_TIME, IDLE_TIME, LINGER_IDLE, LINGER_TIME};
use crate::refused::{Refused, Unread};
use crate::stream::{Agreed, Stream};
use crate::trace::{Sent, TraceContext};
use crate::tunnel;

/// Where a connection came in.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// At the address of an edge.
    Mesh(Rc<Edge>),
    /// At the gateway, where every request finds its own edge.
    Gateway(Crosses),
}

/// A client's connection.
pub(crate) struct Client {
    pub(crate) core: Rc<Core>,
    pub(crate) stream: Stream,
    pub(crate) entry: Entry,
    pub(crate) peer: SocketAddr,
    /// What of it is believed.
    pub(crate) side: Side,
    /// The peer's address, as text.
    pub(crate) address: Box<str>,
    pub(crate) deadline: Deadline,
    /// What is logged of the request that is worked on, until it crosses an edge.
    pub(crate) record: Option<Box<Record>>,
    /// Time in which what is still sent is read after an answer that came early.
    lingers: Duration,
}

/// What one request needs while it is worked on.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// What the client has sent.
    pub(crate) input: Buffer,
    pub(crate) head: RequestHead,
    /// A head on its way to the client.
    pub(crate) out: Vec<u8>,
}

/// What the first bytes of a connection are.
enum Begins {
    Http1,
    Http2,
    Undecided,
}

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection until it ends.
pub(crate) async fn serve(core: Rc<Core>, stream: Stream, entry: Entry, peer: SocketAddr) {
    let deadline = Deadline::new(core.clock, core.clock.now().after(core.front.head_time.get()));
    let address = peer.ip().to_string().into_boxed_str();
    let side = match &entry {
        Entry::Mesh(_) => Side::Mesh,
        Entry::Gateway(_) => core.front.side_of(peer.ip()),
    };
    let (record, lingers) = (None, LINGER_TIME);
    let mut client = Client { core, stream, entry, peer, side, address, deadline, record, lingers };
    loop {
        if client.idle().await.is_err() {
            return;
        }
        let mut work = client.core.work();
        // While nothing is asked, nothing but the client itself is kept in memory.
        let after = Box::pin(client.work(&mut work)).await;
        let input = std::mem::take(&mut work.input);
        client.core.give_work(work);
        match after {
            After::Keep => client.deadline.set(client.core.tick().after(IDLE_TIME)),
            After::Close => {
                client.core.buffers.give(input);
                return Box::pin(client.close()).await;
            }
            After::Reset => return client.stream.reset(),
            After::Linger => return Box::pin(client.linger(input)).await,
            After::Http2 => return Box::pin(crate::h2::connection::serve(client, input)).await,
            After::Tunnel(connected, said) => {
                let Client { core, stream, .. } = client;
                return Box::pin(tunnel::run(core, stream, *connected, [input, said])).await;
            }
        }
    }
}

/// The connection is of no use any more.
pub(crate) struct Ended;

impl Client {
    /// Waits for a request for as long as that is allowed, and not much longer when the process ends.
    async fn idle(&mut self) -> Result<(), Ended> {
        let core = Rc::clone(&self.core);
        let mut finish = std::pin::pin!(core.finish.notified());
        let mut is_ending = core.is_finishing();
        if is_ending {
            self.deadline.set(core.tick().after(FINISH_TIME));
        }
        poll_fn(|context| {
            if self.stream.poll_arrived(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if !is_ending && finish.as_mut().poll(context).is_ready() {
                is_ending = true;
                self.deadline.set(core.tick().after(FINISH_TIME));
            }
            self.deadline.poll(context).map(|()| Err(Ended))
        })
        .await
    }

    /// Waits until there is something to read.
    async fn readable(&mut self) -> Result<(), Ended> {
        poll_fn(|context| {
            if self.stream.poll_readable(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            self.deadline.poll(context).map(|()| Err(Ended))
        })
        .await
    }

    /// Serves requests, until none has come for a while.
    async fn work(&mut self, work: &mut Work) -> After {
        let mut place = Place::First;
        loop {
            if work.input.capacity() == 0 {
                work.input = self.core.buffers.small();
            }
            match self.read_head(work, place).await {
                Ok(Read::Head) => work.head.keep_alive &= !self.core.is_finishing(),
                Ok(Read::Nothing) => return After::Close,
                Ok(Read::Http2) => return After::Http2,
                Err(rejected) => return self.reject(work, rejected).await,
            }
            place = Place::Later;
            let after = exchange::run(self, work).await;
            // Whatever was not handed on to a crossing has been answered.
            drop(self.record.take());
            match after {
                After::Keep if work.input.len() == 0 => {
                    self.core.buffers.give(std::mem::take(&mut work.input));
                    let Some(_awake) = Awake::among(&self.core.awake) else { return After::Keep };
                    self.deadline.set(self.core.now().after(AWAKE_TIME));
                    if self.readable().await.is_err() {
                        return After::Keep;
                    }
                }
                After::Keep => {}
                after => return after,
            }
        }
    }

    /// Reads until a whole head is there.
    async fn read_head(&mut self, work: &mut Work, place: Place) -> Result<Read, Rejected> {
        let (mut is_timed, mut is_trimmed) = (false, false);
        loop {
            // Clients of old end a body with an empty line (RFC 9112, section 2.2).
            if !is_trimmed && work.input.filled().starts_with(b"\r\n") {
                is_trimmed = true;
                work.input.consume(2);
            }
            if 0 < work.input.len() {
                // Its time begins with its first byte.
                if !std::mem::replace(&mut is_timed, true) {
                    self.deadline.set(self.core.now().after(self.core.front.head_time.get()));
                }
                match begins(work.input.filled(), self.stream.agreed()) {
                    Begins::Http2 if place == Place::First => return Ok(Read::Http2),
                    Begins::Undecided if place == Place::First => {}
                    _ => {
                        if work.head.read(work.input.filled(), self.side)? {
                            return Ok(Read::Head);
                        }
                    }
                }
            }
            if work.input.is_full() {
                self.core.buffers.enlarge(&mut work.input);
            }
            match poll_fn(|context| self.poll_input(context, &mut work.input)).await {
                Input::Bytes => {}
                Input::End => return Ok(Read::Nothing),
                Input::Late if work.input.len() == 0 => return Ok(Read::Nothing),
                Input::Late => {
                    return Err(Rejected { status: 408, what: "the head took too long" });
                }
            }
        }
    }

    fn poll_input(&mut self, context: &mut Context<'_>, input: &mut Buffer) -> Poll<Input> {
        match self.stream.poll_fill(context, input) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Input::End),
            Poll::Ready(Ok(_)) => {
                self.core.tick();
                Poll::Ready(Input::Bytes)
            }
            Poll::Pending => self.deadline.poll(context).map(|()| Input::Late),
        }
    }

    /// Answers what is no request, and ends the connection: what follows could be anything.
    async fn reject(&mut self, work: &mut Work, rejected: Rejected) -> After {
        let answer = Answer::of_head(rejected.status, rejected.what, &self.core.front);
        let trace = TraceContext::of(&Sent::default(), &mut self.core.rng.borrow_mut());
        work.out.clear();
        let wording = answer.told(self.audience(&trace), None);
        write::answer(&mut work.out, &wording, Connection::Close, IsHead::No);
        let visit = self.visit("HTTP/1.1", self.peer.ip());
        self.record = visit.and_then(|it| Record::unread(&it));
        let edge = match &self.entry {
            Entry::Mesh(edge) => Some(Rc::clone(edge)),
            Entry::Gateway(_) => None,
        };
        let edge = edge.as_ref().map(|it| &it.name);
        let refused = Refused { trace, edge, answer: &answer, began: self.core.now() };
        self.refused(&refused, &Unread, &work.out);
        // What comes behind a head that is none is no upload.
        self.lingers = LINGER_IDLE;
        match self.write(&work.out).await {
            Ok(()) => After::Linger,
            Err(Ended) => After::Close,
        }
    }

    /// How this client speaks to the gateway, if that is whom it speaks to.
    pub(crate) fn visit(&self, protocol: &'static str, client: IpAddr) -> Option<Visit<'_>> {
        let Self { core, stream, entry, .. } = self;
        let visit = Visit { core, client, protocol, is_tls: stream.is_tls() };
        matches!(entry, Entry::Gateway(_)).then_some(visit)
    }

    /// Whom a request comes from: the peer, or whoever the proxies say that are trusted.
    pub(crate) fn origin(&self, work: &Work) -> IpAddr {
        let peer = self.peer.ip();
        if self.side != Side::Proxied {
            return peer;
        }
        let input = work.input.filled();
        let lines = work.head.forwarded_for.iter().filter_map(|it| input.get(it.clone()));
        self.core.front.origin(peer, lines)
    }

    /// The request's part of a trace: that of its caller, or one that begins here.
    pub(crate) fn trace(&self, work: &Work) -> TraceContext {
        let (head, input) = (&work.head, work.input.filled());
        let part = |it: &Option<Span>| it.clone().and_then(|it| input.get(it));
        let sent = Sent {
            traceparent: part(&head.traceparent),
            b3: part(&head.b3),
            b3_parts: [&head.b3_parts[0], &head.b3_parts[1], &head.b3_parts[2]].map(part),
        };
        TraceContext::of(&sent, &mut self.core.rng.borrow_mut())
    }

    /// Whom an answer to a request of this trace is for.
    pub(crate) const fn audience(&self, trace: &TraceContext) -> Audience {
        match self.entry {
            Entry::Mesh(_) => Audience::Mesh,
            Entry::Gateway(_) => Audience::Outside(trace.trace),
        }
    }

    /// Notes for the log and the trace that `out` is answered in an instance's place.
    pub(crate) fn refused(&mut self, refused: &Refused<'_>, asked: &impl Asked, out: &[u8]) {
        refused.remember(&self.core, asked);
        if let Some(record) = &mut self.record {
            record.refused(refused.answer, refused.trace.trace, write::body_length(out));
        }
    }

    /// Notes for the log that `out` is answered, which is the gateway's own.
    pub(crate) fn note(&mut self, out: &[u8], status: u16, reason: &str) {
        if let Some(record) = &mut self.record {
            record.own(status, reason, write::body_length(out));
        }
    }

    /// Writes all of `bytes`.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let mut written = 0;
        self.deadline.set(self.core.now().after(crate::limits::STALL_TIME));
        poll_fn(|context| {
            while let Some(left) = bytes.get(written..).filter(|it| !it.is_empty()) {
                let pinned = std::pin::Pin::new(&mut self.stream);
                match pinned.poll_write(context, left) {
                    Poll::Ready(Ok(count)) if 0 < count => written += count,
                    Poll::Ready(_) => return Poll::Ready(Err(Ended)),
                    Poll::Pending => {
                        ready!(self.deadline.poll(context));
                        return Poll::Ready(Err(Ended));
                    }
                }
            }
            std::pin::Pin::new(&mut self.stream).poll_flush(context).map_err(|_| Ended)
        })
        .await
    }

    async fn close(mut self) {
        // Whoever does not take the goodbye in time does not get one.
        self.deadline.set(self.core.tick().after(Duration::from_secs(1)));
        let Self { stream, deadline, .. } = &mut self;
        tokio::select! {
            _ = stream.shutdown() => {}
            () = deadline.passed() => {}
        }
    }

    /// Reads on for a while, so that the answer is not lost to a reset: the client may still be sending.
    async fn linger(mut self, mut input: Buffer) {
        let until = self.core.tick().after(self.lingers);
        self.deadline.set(self.core.now().after(LINGER_IDLE));
        let Self { stream, deadline, .. } = &mut self;
        tokio::select! {
            _ = stream.shutdown() => {}
            () = deadline.passed() => return,
        }
        loop {
            input.truncate(0);
            match poll_fn(|context| self.poll_input(context, &mut input)).await {
                Input::Bytes => self.deadline.set(self.core.now().after(LINGER_IDLE).min(until)),
                Input::End | Input::Late => break,
            }
        }
        self.core.buffers.give(input);
    }
}

/// Which head of a busy connection is read: only the first may turn out to be HTTP/2's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Later,
}

/// A connection that waits for its next request with all it needs in memory; only so many may.
struct Awake(Rc<Cell<u32>>);

impl Awake {
    fn among(awake: &Rc<Cell<u32>>) -> Option<Self> {
        let count = awake.get();
        (count < AWAKE_MAX).then(|| {
            awake.set(count + 1);
            Self(Rc::clone(awake))
        })
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

enum Read {
    Head,
    Nothing,
    Http2,
}

enum Input {
    Bytes,
    End,
    Late,
}

/// What was agreed on by TLS (ALPN, RFC 7301) is spoken, whatever bytes a connection begins with: a preface of HTTP/2 is no
/// request of HTTP/1.1, and a request is no preface.
fn begins(bytes: &[u8], agreed: Agreed) -> Begins {
    match agreed {
        Agreed::Nothing => {}
        Agreed::Http1 => return Begins::Http1,
        Agreed::Http2 => return Begins::Http2,
    }
    let common = bytes.len().min(PREFACE.len());
    if bytes.get(..common) != PREFACE.get(..common) {
        Begins::Http1
    } else if common == PREFACE.len() {
        Begins::Http2
    } else {
        Begins::Undecided
    }
}
