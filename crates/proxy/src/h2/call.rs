//! A request that crosses an edge in HTTP/2's types: from there, or to there.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method, header};
use model::Instant;
use model::service::Protocol;
use traffic::{Next, Outcome};

use crate::answer::{Answer, Failure, Sent};
use crate::bounds::{UploadBounds, Uploaded};
use crate::core::{Core, Lent};
use crate::crossing::{AT_ONCE, Asked, Crossing};
use crate::deadline::Deadline;
use crate::edge::Edge;
use crate::h1::attempt::{Attempt, Kept, Request as Sends};
use crate::h1::attempts::{outcome_of, outcome_of_failure};
use crate::h1::body::Body;
use crate::h1::request::{Method as Kind, Side, cookie};
use crate::h1::write::put;
use crate::h2::answered::{Answered, Peeked, Peeks, http2};
use crate::h2::grpc;
use crate::h2::interim::Interim;
use crate::h2::trailers;
use crate::h2::upload::{Sending, Upload};
use crate::met::Met;
use crate::router::Entry as Route;
use crate::says::Version;
use crate::upstream::Upstream;

/// A request, and where it goes.
pub(crate) struct Call {
    pub(crate) core: Rc<Core>,
    pub(crate) edge: Rc<Edge>,
    pub(crate) route: Option<Rc<Route>>,
    pub(crate) head: Rc<Parts>,
    pub(crate) upload: Upload,
    /// What the body is allowed.
    pub(crate) bounds: UploadBounds,
    /// When the head was there.
    pub(crate) began: Instant,
    /// The client, for the gateway to tell about; nothing in the mesh.
    pub(crate) forwarded: Option<Forwarded>,
    /// Where answers before the answer go.
    pub(crate) interim: Rc<Interim>,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarded {
    /// Who has sent it here.
    pub(crate) peer: IpAddr,
    pub(crate) scheme: &'static str,
    /// What of it is believed.
    pub(crate) side: Side,
    pub(crate) version: Version,
}

/// The host a request is for, as it says.
pub(crate) fn host(head: &Parts) -> &str {
    let header = || head.headers.get(header::HOST).and_then(|it| it.to_str().ok());
    head.uri.authority().map(http::uri::Authority::as_str).or_else(header).unwrap_or_default()
}

/// The head of an answer, and what the rest of it comes from.
pub(crate) enum Got {
    Http1(Box<Attempt>, Box<Pump>),
    Http2(Box<Answered>),
}

impl Asked for Parts {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).map(HeaderValue::as_bytes)
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        let lines = self.headers.get_all(header::COOKIE);
        lines.into_iter().find_map(|it| cookie(it.as_bytes(), name))
    }

    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        self.uri.path()
    }
}

/// What kind of method this is for HTTP/1.1.
pub(crate) fn kind_of(method: &Method) -> Kind {
    Kind::of(method.as_str())
}

type Trying = Pin<Box<dyn Future<Output = Result<Got, (Failure, Sent)>>>>;

/// One attempt under way.
struct Try {
    place: usize,
    trying: Trying,
}

enum Event {
    Got(usize, Got),
    Failed(usize, Failure, Sent),
    Hedge,
    Timeout(Failure),
    /// No more of the body has come, by this limit.
    Stalled(Met<'static>),
    Gone,
}

/// Why there is no answer of an instance.
pub(crate) enum Refused {
    /// This is the answer in its place.
    With(Answer, Outcome),
    /// Nobody waits for one.
    Gone,
}

impl Call {
    /// Attempts, until one has the head of an answer or no more are to be made.
    pub(crate) async fn run(&self, crossing: &mut Crossing) -> Result<(usize, Got), Refused> {
        let mut tries: Vec<Try> = Vec::with_capacity(1);
        let mut last: Option<Refused> = None;
        let mut wait = Some(Duration::ZERO);
        if !self.upload.is_done() {
            crossing.awaits_body();
        }
        loop {
            if let Some(after) = wait.take() {
                self.pause(after).await?;
                match self.start(crossing) {
                    Ok(attempt) => tries.push(attempt),
                    Err(refused) => return Err(last.unwrap_or(refused)),
                }
            }
            let event = self.next(crossing, &mut tries).await;
            let (place, failure, sent) = match event {
                Event::Gone => return Err(self.broken()),
                Event::Stalled(met) => {
                    let answer = Answer::too_slow(met.at(self.edge.name.hop()));
                    return Err(Refused::With(answer, Outcome::ClientError));
                }
                Event::Hedge => {
                    let place = crossing.hedge();
                    tries.extend(place.and_then(|it| self.attempt(crossing, it)));
                    continue;
                }
                Event::Got(at, got) => {
                    let place = tries.swap_remove(at).place;
                    let next = crossing.answered(place, got.outcome());
                    match next {
                        Next::Retry { after, .. } if self.upload.is_whole() && tries.is_empty() => {
                            crossing.released(place);
                            wait = Some(after);
                            continue;
                        }
                        _ => {}
                    }
                    for other in &tries {
                        crossing.released(other.place);
                    }
                    return Ok((place, got));
                }
                Event::Failed(at, failure, sent) => (tries.swap_remove(at).place, failure, sent),
                Event::Timeout(failure) => (tries.swap_remove(0).place, failure, Sent::Perhaps),
            };
            let outcome = outcome_of_failure(&failure, sent);
            let next = crossing.answered(place, outcome);
            crossing.released(place);
            if !tries.is_empty() {
                continue;
            }
            let answer = crossing.failed(&failure, sent);
            match next {
                Next::Retry { after, .. } if self.upload.is_whole() => {
                    wait = Some(after);
                    last = Some(Refused::With(answer, outcome));
                }
                _ => return Err(Refused::With(answer, outcome)),
            }
        }
    }

    fn broken(&self) -> Refused {
        match self.upload.broken() {
            Some(crate::h2::upload::Broken::TooLarge) => {
                let answer = Answer::too_large(self.bounds.bytes_max, self.edge.name.hop());
                Refused::With(answer, Outcome::ClientError)
            }
            _ => Refused::Gone,
        }
    }

    async fn pause(&self, after: Duration) -> Result<(), Refused> {
        if !after.is_zero() {
            let clock = self.core.clock;
            Deadline::new(clock, self.core.now().after(after)).passed().await;
            self.core.tick();
        }
        Ok(())
    }

    fn start(&self, crossing: &mut Crossing) -> Result<Try, Refused> {
        let refuse = |refusal: traffic::Refusal| {
            let answer = self.edge.refused(&refusal, self.core.now());
            Refused::With(answer, Outcome::GatewayError)
        };
        let place = crossing.attempt().map_err(refuse)?;
        self.attempt(crossing, place).ok_or_else(|| refuse(traffic::Refusal::NoInstance))
    }

    fn attempt(&self, crossing: &Crossing, place: usize) -> Option<Try> {
        let upstream = Rc::clone(crossing.upstream(place)?);
        let left = crossing.time_left(self.core.now());
        let trying: Trying = match self.edge.protocol() {
            Protocol::Http | Protocol::Tcp => {
                let out = self.http1_head(crossing, left);
                let (core, interim) = (Rc::clone(&self.core), Rc::clone(&self.interim));
                Box::pin(http1(core, self.first(upstream, out), Box::new(self.pump()), interim))
            }
            Protocol::Http2 | Protocol::Grpc => {
                let request = self.http2_request(crossing, left)?;
                let may_repeat = self.edge.repeats_calls() && self.upload.is_whole();
                let calls = grpc::is_grpc(&self.head.headers) && may_repeat;
                let peeks = if calls { Peeks::Yes } else { Peeks::No };
                let (core, interim) = (Rc::clone(&self.core), Rc::clone(&self.interim));
                Box::pin(http2(core, upstream, request, (self.upload.send(), peeks), interim))
            }
        };
        Some(Try { place, trying })
    }

    fn first(&self, upstream: Rc<Upstream>, out: Vec<u8>) -> Box<Attempt> {
        let mut attempt = Attempt::new(0, upstream, kind_of(&self.head.method), out, 0);
        attempt.head.limits = self.core.front.heads;
        attempt.start(self.core.now());
        Box::new(attempt)
    }

    fn pump(&self) -> Pump {
        Pump {
            sending: self.upload.send(),
            upload: self.upload.clone(),
            is_chunked: self.is_chunked(),
            is_done: self.upload.is_done() && self.upload.bytes() == 0,
            kind: kind_of(&self.head.method),
        }
    }

    /// Whether HTTP/1.1 needs chunks to say where the body ends.
    pub(crate) fn is_chunked(&self) -> bool {
        let is_empty = self.upload.is_done() && self.upload.bytes() == 0;
        !is_empty && !self.head.headers.contains_key(header::CONTENT_LENGTH)
    }

    /// Waits until something happens to one of the attempts.
    async fn next(&self, crossing: &mut Crossing, tries: &mut [Try]) -> Event {
        let mut uploaded =
            Uploaded { began: self.began, moved_at: self.core.now(), bytes: self.upload.bytes() };
        let mut deadline = self.core.deadline(self.bounds.until(uploaded));
        poll_fn(|context| {
            let now = self.core.tick();
            for (at, attempt) in tries.iter_mut().enumerate() {
                match attempt.trying.as_mut().poll(context) {
                    Poll::Ready(Ok(got)) => return Poll::Ready(Event::Got(at, got)),
                    // What its client broke off is no failure of the instance's.
                    Poll::Ready(Err(_)) if self.upload.broken().is_some() => {
                        return Poll::Ready(Event::Gone);
                    }
                    Poll::Ready(Err((failure, sent))) => {
                        return Poll::Ready(Event::Failed(at, failure, sent));
                    }
                    Poll::Pending => {}
                }
            }
            let is_done = self.upload.poll_end(context).is_ready();
            if is_done {
                crossing.came();
            }
            if uploaded.bytes != self.upload.bytes() {
                uploaded = Uploaded { moved_at: now, bytes: self.upload.bytes(), ..uploaded };
            }
            if self.upload.broken().is_some() {
                return Poll::Ready(Event::Gone);
            }
            let stalled = (!is_done).then_some(uploaded);
            self.poll_deadline(context, crossing, tries.len(), (&mut deadline, stalled))
        })
        .await
    }

    fn poll_deadline(
        &self,
        context: &mut Context<'_>,
        crossing: &Crossing,
        count: usize,
        (deadline, uploaded): (&mut Lent, Option<Uploaded>),
    ) -> Poll<Event> {
        // While the body is still coming, the client is slow, not the callee.
        let caller = crossing.caller_deadline();
        let total = match uploaded.map(|it| self.bounds.until(it)) {
            Some(stalled) => caller.map_or(stalled, |it| it.min(stalled)),
            None => crossing.deadline(),
        };
        let is_done = uploaded.is_none();
        let attempt = if is_done { total.min(crossing.attempt_deadline()) } else { total };
        let may_hedge = is_done && count < AT_ONCE && self.upload.is_whole();
        let hedge = if may_hedge { crossing.hedge_at() } else { None };
        deadline.set(hedge.map_or(attempt, |it| it.min(attempt)));
        std::task::ready!(deadline.poll(context));
        let now = self.core.tick();
        let stalled = uploaded.filter(|_| total <= now).map(|uploaded| {
            let callers = crossing.callers_limit().filter(|_| caller.is_some_and(|it| it <= now));
            callers.unwrap_or_else(|| self.bounds.met(uploaded))
        });
        Poll::Ready(if let Some(met) = stalled {
            Event::Stalled(met)
        } else if total <= now {
            Event::Timeout(Failure::Timeout)
        } else if attempt <= now {
            Event::Timeout(Failure::AttemptTimeout)
        } else {
            Event::Hedge
        })
    }
}

/// What sends the body behind the head over HTTP/1.1.
pub(crate) struct Pump {
    sending: Sending,
    upload: Upload,
    is_chunked: bool,
    is_done: bool,
    kind: Kind,
}

impl Pump {
    /// Gives the attempt more to send, as far as there is more. False if the body is broken.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, attempt: &mut Attempt) -> Poll<bool> {
        while !self.is_done && attempt.is_sent(0) {
            let kept = if self.upload.is_whole() { Kept::Yes } else { Kept::No };
            match std::task::ready!(self.sending.poll_data(context)) {
                Some(Ok(data)) if self.is_chunked => {
                    let mut chunk = Vec::with_capacity(data.len() + 16);
                    put(&mut chunk, format_args!("{:x}\r\n", data.len()));
                    chunk.extend_from_slice(&data);
                    chunk.extend_from_slice(b"\r\n");
                    attempt.extend(&chunk, kept);
                }
                Some(Ok(data)) => attempt.extend(&data, kept),
                Some(Err(_)) => return Poll::Ready(false),
                None => {
                    self.is_done = true;
                    if self.is_chunked {
                        let mut end = Vec::new();
                        trailers::write_end(&mut end, self.sending.trailers().as_ref());
                        attempt.extend(&end, kept);
                    }
                }
            }
            // What goes now need not be asked for again.
            if attempt.poll_send(context, &[], 0).is_err() {
                self.is_done = true;
            }
        }
        Poll::Ready(true)
    }

    /// Whether all was sent.
    pub(crate) const fn is_done(&self, attempt: &Attempt) -> bool {
        self.is_done && attempt.is_sent(0)
    }
}

async fn http1(
    core: Rc<Core>,
    mut attempt: Box<Attempt>,
    mut pump: Box<Pump>,
    interim: Rc<Interim>,
) -> Result<Got, (Failure, Sent)> {
    let done = poll_fn(|context| {
        loop {
            let request = Sends {
                input: &[],
                checked: 0,
                is_whole: pump.upload.is_whole(),
                method: pump.kind,
                buffers: &core.buffers,
            };
            let answered = attempt.poll_head(context, &request);
            if !attempt.interim.is_empty() {
                let limits = attempt.head.limits;
                interim.http1(&mut attempt.interim, limits);
            }
            if answered.is_ready() {
                return answered;
            }
            let before = attempt.is_sent(0);
            match pump.poll(context, &mut attempt) {
                Poll::Ready(false) => return Poll::Ready(Err(Failure::Reset)),
                Poll::Ready(true) if before && !attempt.is_sent(0) => {}
                _ => return Poll::Pending,
            }
        }
    })
    .await;
    match done {
        Ok(()) if attempt.head.status == 101 => {
            Err((Failure::Garbage("it switches protocols, which nobody asked for"), Sent::Perhaps))
        }
        Ok(()) => Ok(Got::Http1(attempt, pump)),
        Err(failure) => {
            let sent = if attempt.has_sent() { Sent::Perhaps } else { Sent::No };
            Err((failure, sent))
        }
    }
}

impl Got {
    /// Whether the head is all of the answer.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Http1(attempt, _) => Body::new(attempt.head.framing.get()).is_done(),
            Self::Http2(answer) => {
                matches!(answer.next, Peeked::Nothing) && answer.response.body().is_end_stream()
            }
        }
    }

    /// What the head says the request came to.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Http1(attempt, _) => outcome_of(attempt.head.status),
            Self::Http2(answer) => {
                let response = &answer.response;
                let by_status = outcome_of(response.status().as_u16());
                let behind = match &answer.next {
                    Peeked::End(Some(trailers)) => grpc::outcome(trailers),
                    _ => None,
                };
                grpc::outcome(response.headers())
                    .or(behind)
                    .filter(|_| by_status == Outcome::Ok)
                    .unwrap_or(by_status)
            }
        }
    }
}
