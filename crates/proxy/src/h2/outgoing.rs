//! An answer's body on its way, in the types of HTTP/2.

use std::cell::{Cell, RefCell};
use std::io::Write as _;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::request::Parts;
use hyper::body::{Body as HttpBody, Frame};
use model::Instant;
use traffic::Outcome;

use crate::bounds::Patience;
use crate::core::{Core, Lent};
use crate::crossing::{Crossing, End};
use crate::h1::attempt::Attempt;
use crate::h1::attempts::outcome_of;
use crate::h2::call::Pump;
use crate::h2::grpc;
use crate::h2::source::{Cut, Http1, Http2};
use crate::h2::upload::Upload;

/// The body of an answer.
pub(crate) enum Outgoing {
    /// One of our own.
    Own(Option<Bytes>),
    /// One of an instance's.
    Passed(Rc<Watched>),
}

/// The body of an instance's answer, and the request it answers.
pub(crate) struct Passed {
    core: Rc<Core>,
    source: Source,
    crossing: Option<Crossing>,
    head: Rc<Parts>,
    upload: Upload,
    status: u16,
    outcome: Outcome,
    gzip: Option<GzEncoder<Vec<u8>>>,
    deadline: Lent,
    hard: Option<Instant>,
    patience: Patience,
    /// Since when it is the client's turn to take something, if it is.
    offered_at: Option<Instant>,
    /// By which its connection knows that it is under way.
    active: Option<Rc<()>>,
    /// Whoever waits for the client to take more, and is to be told when it is cut.
    waiting: Option<Waker>,
}

/// An answer that is looked at from outside as well: the body of one whose client takes nothing is not asked for more.
pub(crate) struct Watched {
    passed: RefCell<Passed>,
    core: Rc<Core>,
    place: Cell<Option<usize>>,
}

enum Source {
    Http1(Box<Http1>),
    Http2(Box<Http2>),
    Ended,
    /// Ended before its time.
    Cut,
}

impl Passed {
    pub(crate) fn new(
        core: &Rc<Core>,
        crossing: Crossing,
        head: &Rc<Parts>,
        upload: &Upload,
        (status, outcome, patience): (u16, Outcome, Patience),
    ) -> Self {
        let hard = crossing.caller_deadline();
        let now = core.now();
        let silent = now.after(patience.instance);
        let until = hard.map_or(silent, |it| it.min(silent));
        Self {
            source: Source::Ended,
            hard,
            patience,
            offered_at: Some(now),
            active: None,
            waiting: None,
            crossing: Some(crossing),
            head: Rc::clone(head),
            upload: upload.clone(),
            status,
            outcome,
            gzip: None,
            deadline: core.deadline(until),
            core: Rc::clone(core),
        }
    }

    /// From HTTP/1.1.
    pub(crate) fn http1(mut self, attempt: Box<Attempt>, pump: Box<Pump>) -> Self {
        self.source = Source::Http1(Box::new(Http1::new(attempt, pump)));
        self
    }

    /// From HTTP/2.
    pub(crate) fn http2(mut self, http2: Http2) -> Self {
        self.source = Source::Http2(Box::new(http2));
        self
    }

    /// Compressed on its way.
    pub(crate) fn compressed(mut self) -> Self {
        self.gzip = Some(GzEncoder::new(Vec::new(), Compression::new(1)));
        self
    }

    /// On its way from now on, or over already, if the head was all of the answer. Then the head must say so: to gRPC, an
    /// empty body behind a head that has the status is a broken protocol.
    pub(crate) fn begun(mut self) -> Outgoing {
        let core = Rc::clone(&self.core);
        let is_over = self.source.is_over();
        if is_over {
            self.end();
        }
        let watched = Watched { passed: RefCell::new(self), place: Cell::new(None), core };
        let watched = Rc::new(watched);
        if !is_over {
            watched.place.set(Some(watched.core.answers.add(&watched)));
        }
        Outgoing::Passed(watched)
    }

    fn is_over(&self) -> bool {
        matches!(self.source, Source::Ended) && self.gzip.is_none()
    }

    /// The instance has said everything.
    fn end(&mut self) {
        let ended = std::mem::replace(&mut self.source, Source::Ended);
        if let Source::Http1(http1) = ended {
            http1.keep(&self.core);
        }
        let outcome = self.outcome;
        let is_bad = matches!(outcome, Outcome::ServerError | Outcome::GatewayError);
        self.finish(outcome, is_bad.then_some("server-error"));
    }

    fn finish(&mut self, outcome: Outcome, error: Option<&str>) {
        if let Some(mut crossing) = self.crossing.take() {
            crossing.bytes_in = self.upload.bytes();
            let limit = error.and_then(|it| crossing.cut_by(it, self.patience));
            let end = End::of(outcome, Some(self.status), error).by(limit.as_ref());
            crossing.finish(&*self.head, &end);
        }
    }

    fn poll_source(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.source {
            Source::Ended => Poll::Ready(None),
            Source::Cut => Poll::Ready(Some(Err(Cut::Late))),
            Source::Http2(http2) => {
                let frame = ready!(http2.poll(context));
                Poll::Ready(frame.map(|it| it.map_err(|_| Cut::Short)))
            }
            Source::Http1(http1) => http1.poll(context, &self.core),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let now = self.core.tick();
        // Whoever asks has taken what came before.
        self.offered_at = None;
        let next = self.poll_frame(context);
        if next.is_ready() {
            self.offered_at = Some(now);
        }
        next
    }

    /// Ends it if its client has taken nothing for too long, or if its time is over.
    fn look(&mut self, now: Instant) {
        let Some(offered_at) = self.offered_at else { return };
        if self.crossing.is_none() {
            return;
        }
        if self.hard.is_some_and(|it| it <= now) {
            self.cut(Outcome::Timeout, "timeout");
        } else if offered_at.after(self.patience.client) <= now {
            self.cut(Outcome::Cancelled, "client-stalled");
        }
    }

    /// Ends it before its time, so that it holds neither its place nor its instance, nor keeps its connection open.
    fn cut(&mut self, outcome: Outcome, error: &'static str) {
        self.finish(outcome, Some(error));
        self.source = Source::Cut;
        self.active = None;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Ready when it was ended before its time.
    fn poll_cut(&mut self, context: &Context<'_>) -> Poll<()> {
        if matches!(self.source, Source::Cut) {
            return Poll::Ready(());
        }
        self.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            let Poll::Ready(next) = self.poll_source(context) else {
                ready!(self.deadline.poll(context));
                if self.hard.is_some_and(|it| it <= self.core.now()) {
                    self.cut(Outcome::Timeout, "timeout");
                } else {
                    // What a limit of ours cuts is no failure of the callee's.
                    self.cut(Outcome::Cancelled, "idle-timeout");
                }
                return Poll::Ready(Some(Err(Cut::Late)));
            };
            let silent = self.core.now().after(self.patience.instance);
            self.deadline.set(self.hard.map_or(silent, |it| it.min(silent)));
            match next {
                Some(Ok(frame)) => {
                    let is_last = frame.is_trailers();
                    match self.pass(frame) {
                        // What is compressed has an end of its own, which must come before them.
                        Some(_) if is_last && self.gzip.is_some() => {}
                        Some(frame) => {
                            if is_last {
                                // Nobody asks for more behind trailers.
                                self.end();
                            }
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        None => {}
                    }
                }
                Some(Err(cut)) => {
                    if !matches!(self.source, Source::Cut) {
                        self.cut(Outcome::Reset, "cut-short");
                    }
                    return Poll::Ready(Some(Err(cut)));
                }
                None => {
                    self.end();
                    let rest = self.gzip.take().map(|it| it.finish().unwrap_or_default());
                    return Poll::Ready(rest.map(|it| Ok(Frame::data(Bytes::from(it)))));
                }
            }
        }
    }

    /// A frame as it is passed on; nothing if it has become part of the next.
    fn pass(&mut self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        if let Some(trailers) = frame.trailers_ref()
            && let Some(outcome) = grpc::outcome(trailers)
            && outcome_of(self.status) == Outcome::Ok
        {
            self.outcome = outcome;
        }
        let Some(data) = frame.data_ref() else { return Some(frame) };
        if let Some(crossing) = &mut self.crossing {
            crossing.bytes_out += data.len() as u64;
        }
        let Some(gzip) = &mut self.gzip else { return Some(frame) };
        if data.is_empty() {
            return None;
        }
        // Writing to memory cannot fail.
        drop(gzip.write_all(data).and_then(|()| gzip.flush()));
        let compressed = std::mem::take(gzip.get_mut());
        (!compressed.is_empty()).then(|| Frame::data(Bytes::from(compressed)))
    }
}

impl Source {
    /// Whether nothing of the body is to come, as far as the head says.
    fn is_over(&self) -> bool {
        match self {
            Self::Http1(http1) => http1.is_over(),
            Self::Http2(http2) => http2.is_over(),
            Self::Ended => true,
            Self::Cut => false,
        }
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Own(body) => Poll::Ready(body.take().map(|it| Ok(Frame::data(it)))),
            Self::Passed(watched) => watched.passed.borrow_mut().poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_none(),
            Self::Passed(watched) => watched.passed.borrow().is_over(),
        }
    }
}

impl Outgoing {
    /// Ready when a limit has ended it, also while the client takes nothing.
    pub(crate) fn poll_cut(&self, context: &Context<'_>) -> Poll<()> {
        match self {
            Self::Own(_) => Poll::Pending,
            Self::Passed(watched) => watched.passed.borrow_mut().poll_cut(context),
        }
    }

    /// Keeps `active` for as long as there is something to be sent.
    pub(crate) fn hold(&self, active: Rc<()>) {
        if let Self::Passed(watched) = self {
            watched.passed.borrow_mut().active = Some(active);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(place) = self.place.get() {
            self.core.answers.remove(place);
        }
    }
}

/// Answers that are on their way over HTTP/2 on one worker.
#[derive(Default)]
pub(crate) struct Answers {
    places: RefCell<Vec<Option<Weak<Watched>>>>,
    free: RefCell<Vec<usize>>,
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Answers").finish_non_exhaustive()
    }
}

impl Answers {
    fn add(&self, watched: &Rc<Watched>) -> usize {
        let mut places = self.places.borrow_mut();
        let weak = Some(Rc::downgrade(watched));
        let free = self.free.borrow_mut().pop();
        if let Some((place, free)) = free.and_then(|it| Some((it, places.get_mut(it)?))) {
            *free = weak;
            return place;
        }
        places.push(weak);
        places.len() - 1
    }

    fn remove(&self, place: usize) {
        if let Some(free) = self.places.borrow_mut().get_mut(place) {
            *free = None;
        }
        self.free.borrow_mut().push(place);
    }

    /// Ends those whose client has taken nothing for too long.
    pub(crate) fn look(&self, now: Instant) {
        // What is ended here may remove others.
        let watched: Vec<Rc<Watched>> =
            self.places.borrow().iter().flatten().filter_map(Weak::upgrade).collect();
        for it in watched {
            it.passed.borrow_mut().look(now);
        }
    }
}
