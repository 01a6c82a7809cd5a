//! A request's body on its way over a stream of HTTP/2.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ::h2::{Reason, SendStream};
use bytes::Bytes;

use crate::h2::pool::{Place, Waiting};
use crate::h2::upload::Sending;

/// A body on its way.
#[derive(Debug)]
pub(crate) struct Uplink {
    stream: SendStream<Bytes>,
    sending: Sending,
    /// A part that waits for room.
    part: Bytes,
    is_done: bool,
    /// Where it is sent.
    place: Rc<Place>,
    waiting: Option<Waiting>,
}

impl Uplink {
    /// A body that follows its head, which said whether there is one.
    pub(crate) fn new(stream: SendStream<Bytes>, sending: Sending, place: &Rc<Place>) -> Self {
        let is_done = sending.is_end();
        let place = Rc::clone(place);
        Self { stream, sending, part: Bytes::new(), is_done, place, waiting: None }
    }

    /// Whether all was sent, or will never be.
    pub(crate) const fn is_done(&self) -> bool {
        self.is_done && self.part.is_empty()
    }

    /// Sends as much as there is and goes. What the instance does not take is no reason not to hear it out.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) {
        while !self.is_done {
            match self.poll_once(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => self.is_done = true,
                Poll::Pending => return,
            }
        }
        self.waiting = None;
    }

    fn poll_once(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ::h2::Error>> {
        if !self.part.is_empty() {
            return self.poll_part(context);
        }
        match ready!(self.sending.poll_data(context)) {
            Some(Ok(part)) => {
                self.part = part;
                Poll::Ready(Ok(()))
            }
            Some(Err(_)) => {
                self.is_done = true;
                self.stream.send_reset(Reason::CANCEL);
                Poll::Ready(Ok(()))
            }
            None => {
                self.is_done = true;
                Poll::Ready(match self.sending.trailers() {
                    Some(trailers) => self.stream.send_trailers(trailers),
                    None => self.stream.send_data(Bytes::new(), true),
                })
            }
        }
    }

    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ::h2::Error>> {
        self.stream.reserve_capacity(self.part.len());
        while self.stream.capacity() == 0 {
            let Poll::Ready(room) = self.stream.poll_capacity(context) else {
                self.waiting.get_or_insert_with(|| self.place.wait());
                return Poll::Pending;
            };
            match room {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => {
                    self.is_done = true;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        if self.waiting.take().is_some() {
            self.place.moved();
        }
        let count = self.stream.capacity().min(self.part.len());
        let part = self.part.split_to(count);
        self.is_done = self.part.is_empty() && self.sending.is_end();
        Poll::Ready(self.stream.send_data(part, self.is_done))
    }
}
