//! A request's body on its way to an instance, kept as long as it may have to be sent again.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use ::h2::RecvStream;
use bytes::Bytes;
use http::HeaderMap;
use model::Instant;

use super::pipe::Reader;
use super::trailers;
use crate::answer::Answer;
use crate::bounds::{UploadBounds, Uploaded};
use crate::core::Core;
use crate::edge::Edge;

/// Bytes of a body that are kept for another attempt.
pub(crate) const KEPT_BYTES_MAX: usize = 64 << 10;

/// A body that comes once and may be sent several times.
#[derive(Clone, Debug)]
pub(crate) struct Upload(Rc<RefCell<Shared>>);

#[derive(Debug)]
struct Shared {
    source: Source,
    kept: VecDeque<Bytes>,
    /// Parts that were sent and are kept no more.
    gone: usize,
    kept_bytes: usize,
    /// Whether all that has come is still kept.
    is_whole: bool,
    trailers: Option<HeaderMap>,
    end: Option<Result<(), Broken>>,
    bytes: u64,
    bytes_max: u64,
    waiting: Vec<Waker>,
}

/// Where a body comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// An HTTP/2 stream.
    Stream(RecvStream),
    /// Somebody who reads it elsewhere.
    Pipe(Reader),
}

/// Why a body came to no good end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// The client is gone.
    #[error("the client went away")]
    Gone,
    /// It is longer than allowed.
    #[error("the body is too large")]
    TooLarge,
}

impl Upload {
    pub(crate) fn new(source: Source, bytes_max: u64) -> Self {
        let ended = match &source {
            Source::Stream(stream) => stream.is_end_stream(),
            Source::Pipe(_) => false,
        };
        Self(Rc::new(RefCell::new(Shared {
            source,
            kept: VecDeque::new(),
            gone: 0,
            kept_bytes: 0,
            is_whole: true,
            trailers: None,
            end: ended.then_some(Ok(())),
            bytes: 0,
            bytes_max,
            waiting: Vec::new(),
        })))
    }

    /// Whether it can be sent from its beginning.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.borrow().is_whole
    }

    /// Whether all of it has come.
    pub(crate) fn is_done(&self) -> bool {
        self.0.borrow().end.is_some()
    }

    /// How it came to no good end, if it did.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.0.borrow().end.and_then(Result::err)
    }

    /// Bytes that have come.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.borrow().bytes
    }

    /// A sending of it from its beginning.
    pub(crate) fn send(&self) -> Sending {
        Sending { upload: self.clone(), next: 0 }
    }

    /// Waits until all of it is there, if it comes as fast as its bounds want. One whose client is gone is there, too: whoever
    /// sends it finds that out.
    pub(crate) async fn gather(
        &self,
        core: &Rc<Core>,
        (bounds, began): (UploadBounds, Instant),
        edge: &Edge,
    ) -> Result<(), Answer> {
        let mut uploaded = Uploaded { began, moved_at: began, bytes: 0 };
        let mut deadline = core.deadline(bounds.until(uploaded));
        poll_fn(|context| {
            let now = core.tick();
            if self.poll_end(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if uploaded.bytes != self.bytes() {
                uploaded = Uploaded { moved_at: now, bytes: self.bytes(), ..uploaded };
                deadline.set(bounds.until(uploaded));
            }
            deadline
                .poll(context)
                .map(|()| Err(Answer::too_slow(bounds.met(uploaded).at(edge.name.hop()))))
        })
        .await
    }

    /// Reads on as long as there is something, and says whether the end has come.
    pub(crate) fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.0.borrow_mut();
        while shared.end.is_none() && shared.kept_bytes < KEPT_BYTES_MAX {
            if shared.poll_source(context).is_pending() {
                break;
            }
        }
        if shared.end.is_some() {
            return Poll::Ready(());
        }
        shared.wait(context);
        Poll::Pending
    }
}

impl Shared {
    /// A part of the body. What is too much to keep is kept no more: nobody else will want it.
    fn part(&mut self, number: usize) -> Option<Bytes> {
        let data = self.kept.get(number.checked_sub(self.gone)?)?.clone();
        if KEPT_BYTES_MAX < self.kept_bytes {
            self.is_whole = false;
        }
        while !self.is_whole && self.gone <= number {
            let sent = self.kept.pop_front()?;
            self.kept_bytes = self.kept_bytes.saturating_sub(sent.len());
            self.gone += 1;
        }
        Some(data)
    }

    /// Whoever reads on next wakes this task: the source itself knows only the one that asked last.
    fn wait(&mut self, context: &Context<'_>) {
        if !self.waiting.iter().any(|it| it.will_wake(context.waker())) {
            self.waiting.push(context.waker().clone());
        }
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let next = match &mut self.source {
            Source::Stream(stream) => match ready!(stream.poll_data(context)) {
                // Whoever cancels a request has not sent all of it, whatever the reason for it.
                Some(data) => Some(data.map_err(|_| Broken::Gone).inspect(|data| {
                    // An error here is one of the stream's, which comes again.
                    drop(stream.flow_control().release_capacity(data.len()));
                })),
                None => match ready!(stream.poll_trailers(context)) {
                    Ok(trailers) => {
                        self.trailers = trailers.and_then(trailers::passing);
                        None
                    }
                    Err(_) => Some(Err(Broken::Gone)),
                },
            },
            Source::Pipe(reader) => {
                let part = ready!(reader.poll_part(context));
                if part.is_none() {
                    self.trailers = trailers::passing(reader.trailers());
                }
                part
            }
        };
        match next {
            None => self.end = Some(Ok(())),
            Some(Err(broken)) => self.end = Some(Err(broken)),
            Some(Ok(data)) => {
                self.bytes += data.len() as u64;
                if self.bytes_max < self.bytes {
                    self.end = Some(Err(Broken::TooLarge));
                } else if !data.is_empty() {
                    self.kept_bytes += data.len();
                    self.kept.push_back(data);
                }
            }
        }
        if let Source::Stream(stream) = &self.source
            && self.end.is_none()
            && stream.is_end_stream()
        {
            self.end = Some(Ok(()));
        }
        self.waiting.drain(..).for_each(Waker::wake);
        Poll::Ready(())
    }
}

/// One sending of a body.
#[derive(Debug)]
pub(crate) struct Sending {
    upload: Upload,
    next: usize,
}

impl Sending {
    /// Whether all of it was sent.
    pub(crate) fn is_sent(&self) -> bool {
        let shared = self.upload.0.borrow();
        shared.end == Some(Ok(())) && self.next == shared.gone + shared.kept.len()
    }

    /// Whether there is nothing more to send, not even trailers.
    pub(crate) fn is_end(&self) -> bool {
        self.is_sent() && self.upload.0.borrow().trailers.is_none()
    }

    /// What comes behind the body.
    pub(crate) fn trailers(&self) -> Option<HeaderMap> {
        self.upload.0.borrow().trailers.clone()
    }

    /// The next part; nothing at its end.
    pub(crate) fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        let mut shared = self.upload.0.borrow_mut();
        loop {
            if let Some(data) = shared.part(self.next) {
                self.next += 1;
                return Poll::Ready(Some(Ok(data)));
            }
            match shared.end {
                Some(Ok(())) => return Poll::Ready(None),
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                None => {}
            }
            if shared.poll_source(context).is_pending() {
                shared.wait(context);
                return Poll::Pending;
            }
        }
    }
}
