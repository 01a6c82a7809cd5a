//! Where the body of an answer comes from: an instance that speaks HTTP/1.1, or one that speaks HTTP/2.

use std::io;
use std::task::{Context, Poll, ready};

use ::h2::RecvStream;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Frame;

use crate::core::Core;
use crate::h1::attempt::Attempt;
use crate::h1::body::Body;
use crate::h1::chunked::Malformed;
use crate::h2::answered::{Answered, Peeked};
use crate::h2::call::Pump;
use crate::h2::trailers;
use crate::h2::uplink::Uplink;
use crate::stream::poll_fill;

/// A body that came to no good end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cut {
    /// The instance ended it too early.
    #[error("the answer was cut short")]
    Short,
    /// It took too long.
    #[error("the answer took too long")]
    Late,
}

/// An answer over HTTP/1.1, with what is still sent of its request.
pub(crate) struct Http1 {
    attempt: Box<Attempt>,
    pump: Box<Pump>,
    body: Body,
    from: usize,
    /// Bytes that were read last.
    came: usize,
    /// What has come behind the body.
    trailers: HeaderMap,
}

/// An answer over HTTP/2, with what is still sent of its request.
pub(crate) struct Http2 {
    stream: RecvStream,
    uplink: Uplink,
    next: Peeked,
    is_at_trailers: bool,
}

impl Http2 {
    /// The rest of an answer. Its uplink holds the stream's place for as long as it is under way.
    pub(crate) fn new(answer: Answered) -> Self {
        let Answered { response, uplink, next } = answer;
        Self { stream: response.into_body(), uplink, next, is_at_trailers: false }
    }

    /// Whether nothing of the body is to come, as far as the head says.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.next, Peeked::Nothing) && self.stream.is_end_stream()
    }

    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ::h2::Error>>> {
        self.uplink.poll(context);
        match std::mem::take(&mut self.next) {
            Peeked::Nothing => {}
            Peeked::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
            Peeked::End(trailers) => {
                self.is_at_trailers = true;
                let trailers = trailers.and_then(trailers::passing);
                return Poll::Ready(trailers.map(|it| Ok(Frame::trailers(it))));
            }
        }
        if !self.is_at_trailers {
            if let Some(data) = ready!(self.stream.poll_data(context)) {
                return Poll::Ready(Some(data.and_then(|data| {
                    self.stream.flow_control().release_capacity(data.len())?;
                    Ok(Frame::data(data))
                })));
            }
            self.is_at_trailers = true;
        }
        let trailers = ready!(self.stream.poll_trailers(context));
        let trailers = trailers.map(|it| it.and_then(trailers::passing));
        Poll::Ready(trailers.transpose().map(|it| it.map(Frame::trailers)))
    }
}

impl Http1 {
    /// The rest of an answer whose head an attempt has.
    pub(crate) fn new(attempt: Box<Attempt>, pump: Box<Pump>) -> Self {
        let body = Body::new(attempt.head.framing.get());
        let (from, came) = (attempt.head.length, attempt.response.len());
        Self { attempt, pump, body, from, came, trailers: HeaderMap::new() }
    }

    /// Whether nothing of the body is to come.
    pub(super) const fn is_over(&self) -> bool {
        self.body.is_done()
    }

    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        core: &Core,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        // What the instance does not take is no reason not to hear it out.
        let _more: Poll<bool> = self.pump.poll(context, &mut self.attempt);
        drop(self.attempt.poll_send(context, &[], 0));
        loop {
            match self.step() {
                Err(Malformed) => return Poll::Ready(Some(Err(Cut::Short))),
                Ok(Some(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(None) if self.body.is_done() => {
                    let trailers = trailers::passing(std::mem::take(&mut self.trailers));
                    return Poll::Ready(trailers.map(|it| Ok(Frame::trailers(it))));
                }
                Ok(None) => {}
            }
            match ready!(self.poll_more(context, core)) {
                Ok(0) if self.body.may_end() => return Poll::Ready(None),
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(Cut::Short))),
                Ok(count) => self.came = count,
            }
        }
    }

    /// The next data in what has come; nothing if there is none yet.
    fn step(&mut self) -> Result<Option<Bytes>, Malformed> {
        while !self.body.is_done() {
            let new = self.attempt.response.filled().get(self.from..).unwrap_or_default();
            if new.is_empty() {
                break;
            }
            let (taken, data) = self.body.step(new)?;
            let data = Bytes::copy_from_slice(new.get(data).unwrap_or_default());
            self.from += taken;
            if !data.is_empty() {
                return Ok(Some(data));
            }
            if taken == 0 {
                let Some(trailer) = self.body.trailer(new)? else { break };
                trailers::put(&mut self.trailers, new.get(..trailer.length).unwrap_or_default());
                self.from += trailer.length;
            }
        }
        Ok(None)
    }

    fn poll_more(&mut self, context: &mut Context<'_>, core: &Core) -> Poll<io::Result<usize>> {
        let mut response = std::mem::take(&mut self.attempt.response);
        // The beginning of a field behind the body stays.
        response.consume(self.from);
        self.from = 0;
        if response.capacity() == 0 {
            response = core.buffers.small();
        }
        let read = match self.attempt.connection() {
            Some(stream) => poll_fill(stream, context, &mut response),
            None => Poll::Ready(Ok(0)),
        };
        self.attempt.response = response;
        if read.is_pending() {
            self.attempt.hurry(self.came);
        }
        read
    }

    /// Keeps the connection for the next request, if it can take one.
    pub(super) fn keep(mut self, core: &Core) {
        let is_clean = self.from == self.attempt.response.len() && self.body.is_done();
        let is_sent = self.pump.is_done(&self.attempt);
        if is_clean
            && is_sent
            && self.attempt.head.keep_alive
            && self.attempt.is_open()
            && let Some(connected) = self.attempt.take_connected()
        {
            connected.keep(core.now());
        }
        core.buffers.give(std::mem::take(&mut self.attempt.response));
    }
}
