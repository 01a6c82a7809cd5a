//! An answer on its way from an instance to the client.
//!
//! On the usual path bytes are passed on as they are, from the buffer they were read into. Where the client
//! must be told otherwise where the body ends, or wants it compressed, it is taken apart and written anew.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use model::Instant;
use model::route::HeaderEdits;
use tokio::io::AsyncWrite as _;
use traffic::Outcome;

use super::attempt::{Attempt, JOINED_BYTES_MAX};
use super::attempts::outcome_of;
use super::body::Body;
use super::exchange::{After, Ends, Exchange, Tunnelled, connection};
use super::head::{Framing, values};
use super::request::Method;
use super::rewriter::Rewriter;
use super::write::{self, Backward, NO_EDITS, Told};
use crate::answer::{Answer, Failure, Sent};
use crate::bounds::{Extent, Patience};
use crate::buffer::SMALL_BYTES;
use crate::crossing::{Crossing, End};
use crate::gateway::{self, Coding};
use crate::says::Version;

/// An answer on its way.
struct Relay {
    attempt: Box<Attempt>,
    body: Body,
    /// The head, and what is written anew of the body, on its way to the client.
    out: Vec<u8>,
    written: usize,
    /// Which part of the instance's buffer is to be passed on as it is.
    from: usize,
    to: usize,
    rewriter: Option<Rewriter>,
    bytes_out: u64,
    /// Bytes that were read last.
    came: usize,
}

/// How it ended.
enum Ended {
    /// All of it was passed on.
    Whole,
    /// The instance ended it too early, or went on with garbage.
    CutShort,
    /// The client is gone.
    Gone,
    /// The caller's time is over.
    Late,
    /// The instance has said nothing for longer than it may.
    Idle,
    /// The client has taken nothing for longer than it may.
    Stalled,
}

/// Passes on the answer whose head an attempt has.
pub(crate) async fn run(
    exchange: &mut Exchange<'_>,
    mut crossing: Crossing,
    mut attempt: Box<Attempt>,
) -> After {
    let head = &attempt.head;
    let status = head.status;
    let is_tunnel = status == 101
        || (exchange.work.head.method == Method::Connect && (200..300).contains(&status));
    if is_tunnel {
        return tunnel(exchange, crossing, attempt).await;
    }
    let framing = head.framing.get();
    let coding = gateway::coding(exchange, &attempt);
    let compress = coding == Coding::Gzip;
    let told = match framing {
        // Old clients do not know what chunks are, not even of an answer that has none (RFC 9112, section 6.1).
        Framing::None if exchange.work.head.is_http10 && head.is_chunked() => Told::Close,
        Framing::None => Told::Same,
        _ if exchange.work.head.is_http10 && (framing == Framing::Chunked || compress) => {
            Told::Close
        }
        Framing::UntilClose if exchange.work.head.is_http10 => Told::Close,
        Framing::UntilClose => Told::Chunked,
        _ if compress => Told::Chunked,
        _ => Told::Same,
    };
    // Whoever refuses a request before all of it has come reads no more of it, and nothing can follow what is not read.
    let is_early = !exchange.body.is_done() && (status >= 400 || !attempt.head.keep_alive);
    let goes_on = exchange.work.head.keep_alive && told != Told::Close && !is_early;
    let ends = if goes_on { Ends::No } else { Ends::Yes };
    let out = write_head(exchange, &attempt, told, ends, coding);
    let rewriter = (told != Told::Same).then(|| Rewriter::new(told, coding));
    let from = attempt.head.length;
    let body = Body::new(framing);
    if body.left().is_none_or(|it| SMALL_BYTES as u64 * 2 < it) {
        exchange.client.core.buffers.enlarge(&mut attempt.response);
    }
    let to = from;
    let came = attempt.response.len();
    let mut relay =
        Relay { attempt, body, out, written: 0, from, to, rewriter, bytes_out: 0, came };
    // What came with the head. Of an answer that is none nothing has been passed on yet.
    if relay.take().is_err() {
        drop(relay);
        let answer = garbage(exchange, "its body is malformed");
        return exchange.fail(crossing, &answer, Outcome::Reset).await;
    }
    let ended = relay.pass(exchange, &crossing).await;
    crossing.bytes_in = exchange.body.bytes;
    crossing.bytes_out = relay.bytes_out;
    relay.finish(exchange, crossing, &ended, ends)
}

fn write_head(
    exchange: &mut Exchange<'_>,
    attempt: &Attempt,
    told: Told,
    ends: Ends,
    coding: Coding,
) -> Vec<u8> {
    let mut more = match &exchange.route {
        Some(route) => gateway::more_headers(&route.route, &exchange.work.view(), coding),
        None => Vec::new(),
    };
    if exchange.route.is_some() && exchange.client.core.front.says.via {
        write::put(&mut more, format_args!("via: {}\r\n", Version::Http11.via()));
    }
    let edits = exchange.route.as_ref().map_or(&NO_EDITS, |it| &it.route.response_headers);
    let edits = match coding {
        Coding::Identity => Cow::Borrowed(edits),
        Coding::Gzip => Cow::Owned(recoded(edits, attempt)),
    };
    let connection = connection(exchange.work, ends);
    let side = exchange.client.side;
    let back = Backward { told, side, connection, edits: &edits, more: &more };
    let mut out = std::mem::take(&mut exchange.work.out);
    out.clear();
    if !exchange.work.head.is_http10 {
        // What came before the answer, and has not been passed on.
        out.extend_from_slice(&attempt.interim);
    }
    write::response(&mut out, attempt.response.filled(), &attempt.head, &back);
    out
}

/// The route's changes to headers, and what compression makes of them: ranges of what came are not ranges of what goes.
fn recoded(edits: &HeaderEdits, attempt: &Attempt) -> HeaderEdits {
    let mut edits = edits.clone();
    edits.remove.push("accept-ranges".to_owned());
    let is_set = edits.set.iter().any(|(name, _)| name == "etag");
    if !is_set && let Some(etag) = values(attempt.said(), "etag").next().and_then(gateway::weakened)
    {
        edits.set.push(("etag".to_owned(), etag));
    }
    edits
}

fn garbage(exchange: &Exchange<'_>, what: &'static str) -> Answer {
    let callee = exchange.edge.name.callee.as_str();
    Answer::failed(&Failure::Garbage(what), callee, Sent::Perhaps)
}

/// Becomes a tunnel, if client and instance agreed on one.
async fn tunnel(
    exchange: &mut Exchange<'_>,
    crossing: Crossing,
    mut attempt: Box<Attempt>,
) -> After {
    let agreed = exchange.work.head.upgrade.is_some() || attempt.head.status != 101;
    let connected = attempt.take_connected().filter(|_| agreed);
    let Some(connected) = connected else {
        let answer = garbage(exchange, "it switches protocols, which nobody asked for");
        return exchange.fail(crossing, &answer, Outcome::Reset).await;
    };
    let out = write_head(exchange, &attempt, Told::Same, Ends::No, Coding::Identity);
    let written = exchange.client.write(&out).await;
    exchange.work.out = out;
    if written.is_err() {
        exchange.end(crossing, Outcome::Cancelled, None, Some("client-gone"));
        return After::Close;
    }
    let status = attempt.head.status;
    let mut said = std::mem::take(&mut attempt.response);
    said.consume(attempt.head.length);
    exchange.work.input.consume(exchange.checked);
    let tunnelled = Tunnelled { connected, crossing: Some(crossing), status };
    After::Tunnel(Box::new(tunnelled), said)
}

impl Relay {
    async fn pass(&mut self, exchange: &mut Exchange<'_>, crossing: &Crossing) -> Ended {
        let patience = self.patience(exchange);
        let limits = Limits { hard: crossing.caller_deadline(), patience };
        exchange.client.deadline.set(self.until(exchange.client.core.now(), limits));
        poll_fn(|context| self.poll_pass(context, exchange, limits)).await
    }

    /// How long the answer may stand still.
    fn patience(&self, exchange: &Exchange<'_>) -> Patience {
        let extent = match self.body.left() {
            Some(_) => Extent::Told,
            None => Extent::Open,
        };
        exchange.edge.patience(extent)
    }

    /// How long it is waited, for whoever is to do something.
    fn until(&self, now: Instant, Limits { hard, patience }: Limits) -> Instant {
        let patience = if self.is_passed() { patience.instance } else { patience.client };
        let until = now.after(patience);
        hard.map_or(until, |it| it.min(until))
    }

    /// Takes what has come into the instance's buffer.
    fn take(&mut self) -> Result<(), super::chunked::Malformed> {
        loop {
            let new = self.attempt.response.filled().get(self.to..).unwrap_or_default();
            self.to += match &mut self.rewriter {
                None => self.body.take(new)?,
                Some(_) => self.rewrite()?,
            };
            if self.rewriter.is_some() {
                self.from = self.to;
            }
            let rest = self.attempt.response.filled().get(self.to..).unwrap_or_default();
            let Some(trailer) = self.body.trailer(rest)? else { break };
            let line = self.to..self.to + trailer.length;
            match &mut self.rewriter {
                _ if !trailer.may_pass => {
                    self.attempt.response.cut(line);
                    continue;
                }
                None => {}
                Some(rewriter) => {
                    rewriter.trailer(rest.get(..trailer.length).unwrap_or_default());
                    self.from = line.end;
                }
            }
            self.to = line.end;
        }
        if self.body.is_done()
            && let Some(rewriter) = &mut self.rewriter
        {
            rewriter.end(&mut self.out);
        }
        Ok(())
    }

    /// Writes the data in what has come anew. Returns how much of it was taken.
    fn rewrite(&mut self) -> Result<usize, super::chunked::Malformed> {
        let Some(rewriter) = &mut self.rewriter else { return Ok(0) };
        let new = self.attempt.response.filled().get(self.to..).unwrap_or_default();
        let mut at = 0;
        while at < new.len() && !self.body.is_done() {
            let rest = new.get(at..).unwrap_or_default();
            let (taken, data) = self.body.step(rest)?;
            if taken == 0 {
                break;
            }
            let data = rest.get(data).unwrap_or_default();
            rewriter.data(&mut self.out, data);
            self.bytes_out += data.len() as u64;
            at += taken;
        }
        Ok(at)
    }

    fn poll_pass(
        &mut self,
        context: &mut Context<'_>,
        exchange: &mut Exchange<'_>,
        limits: Limits,
    ) -> Poll<Ended> {
        let mut moved = false;
        let (uploaded, before) = (exchange.body.bytes, exchange.half_closed_at);
        exchange.client.core.tick();
        loop {
            match self.poll_write(context, exchange) {
                Poll::Ready(Ok(count)) => moved |= 0 < count,
                Poll::Ready(Err(())) => return Poll::Ready(Ended::Gone),
                Poll::Pending => {}
            }
            let is_passed = self.is_passed();
            if is_passed && self.body.is_done() {
                let stream = Pin::new(&mut exchange.client.stream);
                match stream.poll_flush(context) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Ended::Whole),
                    Poll::Ready(Err(_)) => return Poll::Ready(Ended::Gone),
                    Poll::Pending => break,
                }
            }
            if !self.poll_upload(context, exchange) {
                return Poll::Ready(Ended::Gone);
            }
            if !is_passed {
                break;
            }
            match self.poll_more(context) {
                Poll::Ready(Ok(())) => moved = true,
                Poll::Ready(Err(())) => return Poll::Ready(Ended::CutShort),
                Poll::Pending => {
                    self.attempt.hurry(self.came);
                    let stream = Pin::new(&mut exchange.client.stream);
                    if matches!(stream.poll_flush(context), Poll::Ready(Err(_))) {
                        return Poll::Ready(Ended::Gone);
                    }
                    break;
                }
            }
        }
        // Both directions may be in use.
        let now = exchange.client.core.now();
        if moved || exchange.body.bytes != uploaded || exchange.half_closed_at != before {
            if moved {
                exchange.has_taken();
            }
            let until = self.until(now, limits);
            let gone_at = exchange.gone_at();
            exchange.client.deadline.set(gone_at.map_or(until, |it| it.min(until)));
        }
        exchange.client.deadline.poll(context).map(|()| {
            let now = exchange.client.core.tick();
            if exchange.gone_at().is_some_and(|it| it <= now) {
                Ended::Gone
            } else if limits.hard.is_some_and(|it| it <= now) {
                Ended::Late
            } else if self.is_passed() {
                Ended::Idle
            } else {
                Ended::Stalled
            }
        })
    }

    fn is_passed(&self) -> bool {
        self.written == self.out.len() && self.from == self.to
    }

    /// Writes what there is to the client.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Poll<Result<usize, ()>> {
        let mut moved = 0;
        if self.written == 0 && !self.out.is_empty() {
            let body = self.attempt.response.filled().get(self.from..self.to).unwrap_or_default();
            if !body.is_empty() && body.len() <= JOINED_BYTES_MAX {
                self.out.extend_from_slice(body);
                self.bytes_out += body.len() as u64;
                self.from = self.to;
            }
        }
        loop {
            let head = self.out.get(self.written..).unwrap_or_default();
            let body = self.attempt.response.filled().get(self.from..self.to).unwrap_or_default();
            let stream = Pin::new(&mut exchange.client.stream);
            let written = match (head, body) {
                ([], []) => return Poll::Ready(Ok(moved)),
                (head, []) => stream.poll_write(context, head),
                ([], body) => stream.poll_write(context, body),
                (head, body) => {
                    stream.poll_write_vectored(context, &[IoSlice::new(head), IoSlice::new(body)])
                }
            };
            match written {
                Poll::Ready(Ok(count)) if 0 < count => {
                    let of_head = count.min(head.len());
                    self.written += of_head;
                    self.from += count - of_head;
                    self.bytes_out += (count - of_head) as u64;
                    moved += count;
                }
                Poll::Ready(_) => return Poll::Ready(Err(())),
                Poll::Pending if 0 < moved => return Poll::Ready(Ok(moved)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Goes on with the request's body, which may outlast the head of the answer, and notices when the
    /// client goes away. False if it has.
    fn poll_upload(&mut self, context: &mut Context<'_>, exchange: &mut Exchange<'_>) -> bool {
        loop {
            let before = exchange.body.bytes;
            let sent = Some(self.attempt.is_sent(exchange.checked));
            if exchange.poll_client(context, sent).is_some() {
                return false;
            }
            if std::mem::take(&mut exchange.made_room) {
                self.attempt.sent = exchange.work.head.length;
            }
            let input = exchange.work.input.filled();
            // What the instance takes no more is not sent, and is no reason not to hear it out.
            drop(self.attempt.poll_send(context, input, exchange.checked));
            if exchange.body.bytes == before && !exchange.has_made_room(&self.attempt) {
                return true;
            }
        }
    }

    /// Reads more of the answer.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ()>> {
        self.out.clear();
        self.written = 0;
        let attempt = &mut *self.attempt;
        let mut response = std::mem::take(&mut attempt.response);
        // The beginning of a field behind the body stays.
        response.consume(self.to);
        (self.from, self.to) = (0, 0);
        let read = match attempt.connection() {
            Some(stream) => crate::stream::poll_fill(stream, context, &mut response),
            None => Poll::Ready(Ok(0)),
        };
        attempt.response = response;
        match read {
            Poll::Ready(Ok(0)) if self.body.may_end() => {
                self.body = Body::new(Framing::None);
                if let Some(rewriter) = &mut self.rewriter {
                    rewriter.end(&mut self.out);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(())),
            Poll::Ready(Ok(count)) => {
                self.came = count;
                Poll::Ready(self.take().map_err(|_| ()))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// What follows from how it ended.
    fn finish(
        mut self,
        exchange: &mut Exchange<'_>,
        crossing: Crossing,
        ended: &Ended,
        ends: Ends,
    ) -> After {
        let status = self.attempt.head.status;
        let by_close = self.rewriter.as_ref().is_some_and(Rewriter::ends_by_close);
        let is_sent = exchange.body.is_done() && self.attempt.is_sent(exchange.checked);
        let nothing_more = self.to == self.attempt.response.len();
        let reusable = self.attempt.head.keep_alive && is_sent && nothing_more;
        if reusable
            && matches!(ended, Ended::Whole)
            && self.attempt.is_open()
            && let Some(connected) = self.attempt.take_connected()
        {
            connected.keep(exchange.client.core.now());
        }
        exchange.client.core.buffers.give(std::mem::take(&mut self.attempt.response));
        exchange.work.out = std::mem::take(&mut self.out);
        let (outcome, error) = match ended {
            Ended::Whole => (outcome_of(status), (500 <= status).then_some("server-error")),
            Ended::CutShort => (Outcome::Reset, Some("cut-short")),
            Ended::Gone => (Outcome::Cancelled, Some("client-gone")),
            Ended::Late => (Outcome::Timeout, Some("timeout")),
            // What a limit of ours cuts is no failure of the callee's.
            Ended::Idle => (Outcome::Cancelled, Some("idle-timeout")),
            Ended::Stalled => (Outcome::Cancelled, Some("client-stalled")),
        };
        let limit = error.and_then(|it| crossing.cut_by(it, self.patience(exchange)));
        let end = End::of(outcome, Some(status), error).by(limit.as_ref());
        crossing.finish(&exchange.work.view(), &end);
        match ended {
            Ended::Whole if !exchange.body.is_done() => After::Linger,
            Ended::Whole => {
                exchange.work.input.consume(exchange.checked);
                if ends == Ends::No { After::Keep } else { After::Close }
            }
            Ended::CutShort | Ended::Late | Ended::Idle if by_close => After::Reset,
            // What is missing can only be told by ending the connection.
            Ended::CutShort | Ended::Gone | Ended::Late | Ended::Idle | Ended::Stalled => {
                After::Close
            }
        }
    }
}

/// For how long an answer may be under way.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// When its caller stops waiting.
    hard: Option<Instant>,
    patience: Patience,
}
