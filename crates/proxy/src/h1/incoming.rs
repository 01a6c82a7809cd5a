//! The body of a request while it comes: what is read of it, and whether it comes as it should.

use std::future::poll_fn;
use std::task::{Context, Poll};

use http::HeaderMap;
use model::Instant;

use super::attempt::Attempt;
use super::attempts::Event;
use super::exchange::Exchange;
use crate::answer::Answer;
use crate::bounds::Uploaded;
use crate::h2::trailers;
use crate::limits::HALF_CLOSED_TIME;

/// What came of waiting for a small body.
pub(super) enum Gathered {
    /// It is there, or is not waited for.
    Enough,
    /// This is the answer.
    Refused(Answer),
    /// The client is not there any more.
    Gone,
}

impl Exchange<'_> {
    /// Waits for a body from outside that fits beside its head. A client that sends it slowly then holds neither a place nor an
    /// instance, and what has come whole can be sent to another instance as well.
    pub(super) async fn gather(&mut self) -> Gathered {
        let left = self.body.left().and_then(|it| usize::try_from(it).ok());
        let fits = left.is_some_and(|it| self.checked + it <= self.work.input.capacity());
        // One that asks whether to send it is told by the instance.
        let waits = self.route.is_some() && fits && !self.work.head.expects_continue;
        if self.body.is_done() || !waits {
            return Gathered::Enough;
        }
        poll_fn(|context| {
            self.client.core.tick();
            while !self.body.is_done() {
                let before = self.body.bytes;
                match self.poll_client(context, None) {
                    Some(Event::Rejected(answer)) => return Poll::Ready(Gathered::Refused(answer)),
                    Some(_) => return Poll::Ready(Gathered::Gone),
                    None if self.body.bytes > before => continue,
                    None => {}
                }
                let until = self.upload_until();
                self.client.deadline.set(until);
                return match self.client.deadline.poll(context) {
                    Poll::Ready(()) => Poll::Ready(Gathered::Refused(self.too_slow())),
                    Poll::Pending => Poll::Pending,
                };
            }
            Poll::Ready(Gathered::Enough)
        })
        .await
    }

    /// When a client that has ended its half of the connection is taken to be gone.
    pub(crate) fn gone_at(&self) -> Option<Instant> {
        self.half_closed_at.map(|it| it.after(HALF_CLOSED_TIME))
    }

    /// Notes that the client has taken something of the answer.
    pub(crate) fn has_taken(&mut self) {
        if let Some(at) = &mut self.half_closed_at {
            *at = self.client.core.now();
        }
    }

    /// When more of the body must have come.
    pub(crate) fn upload_until(&self) -> Instant {
        let Self { began, moved_at, .. } = *self;
        self.bounds.until(Uploaded { began, moved_at, bytes: self.body.bytes })
    }

    /// Checks what has come of the body since the last time.
    pub(super) fn check_body(&mut self) -> Result<(), Answer> {
        let malformed = |_| Answer::malformed(400, "the body's chunks are malformed");
        loop {
            let new = self.work.input.filled().get(self.checked..).unwrap_or_default();
            self.checked += self.body.take(new).map_err(malformed)?;
            let new = self.work.input.filled().get(self.checked..).unwrap_or_default();
            match self.body.trailer(new).map_err(malformed)? {
                None => break,
                Some(trailer) if trailer.may_pass => self.checked += trailer.length,
                // Nothing of it has been sent.
                Some(trailer) => self.work.input.cut(self.checked..self.checked + trailer.length),
            }
        }
        let announced = self.body.bytes.saturating_add(self.body.left().unwrap_or(0));
        if self.bounds.bytes_max < announced {
            return Err(Answer::too_large(self.bounds.bytes_max, self.edge.name.hop()));
        }
        Ok(())
    }

    /// The data in what has come of the body from `at` on, without the frame of its chunks. The fields behind it go to
    /// `trailers`.
    pub(crate) fn data_from(&mut self, at: usize, trailers: &mut HeaderMap) -> Vec<u8> {
        let part = self.work.input.filled().get(at..self.checked).unwrap_or_default();
        let mut data = Vec::with_capacity(part.len());
        let mut at = 0;
        while let Some(rest) = part.get(at..).filter(|it| !it.is_empty()) {
            // It has been checked: a second reading of the same bytes finds the same.
            let Ok((taken, span)) = self.unframed.step(rest) else { break };
            data.extend_from_slice(rest.get(span).unwrap_or_default());
            at += taken;
            if taken == 0 {
                let Ok(Some(trailer)) = self.unframed.trailer(rest) else { break };
                trailers::put(trailers, rest.get(..trailer.length).unwrap_or_default());
                at += trailer.length;
            }
        }
        data
    }

    /// Reads what the client sends: more of the body, or that it is gone. `sent` says whether all that
    /// has come of the body was sent, where there is one attempt alone.
    pub(crate) fn poll_client(
        &mut self,
        context: &mut Context<'_>,
        sent: Option<bool>,
    ) -> Option<Event> {
        if self.half_closed_at.is_some() {
            return None;
        }
        if self.work.input.is_full() {
            if self.body.is_done() || sent != Some(true) {
                return None;
            }
            // The body is longer than the buffer. What was sent makes room, and cannot be sent again. The beginning of a field
            // behind the body stays.
            self.work.input.cut(self.work.head.length..self.checked);
            self.client.core.buffers.enlarge(&mut self.work.input);
            self.checked = self.work.head.length;
            self.is_whole = false;
            self.made_room = true;
        }
        if self.client.stream.poll_readable(context).is_pending() {
            return None;
        }
        match self.client.stream.poll_fill(context, &mut self.work.input) {
            // It may still read the answer (RFC 9112, section 9.6).
            Poll::Ready(Ok(0)) if self.body.is_done() => {
                self.half_closed_at = Some(self.client.core.now());
                None
            }
            Poll::Ready(Ok(0) | Err(_)) => Some(Event::Gone),
            Poll::Ready(Ok(_)) if self.body.is_done() => None,
            Poll::Ready(Ok(_)) => {
                self.moved_at = self.client.core.now();
                self.check_body().err().map(Event::Rejected)
            }
            Poll::Pending => None,
        }
    }

    /// Whether there is more of the body to be read as soon as somebody looks. `poll_client` reads nothing
    /// while the buffer is full of what is not sent, so whoever has sent it must look again: nothing else
    /// will wake this task.
    pub(crate) fn has_made_room(&self, attempt: &Attempt) -> bool {
        self.work.input.is_full() && !self.body.is_done() && attempt.is_sent(self.checked)
    }
}
