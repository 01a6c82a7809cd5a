//! The head phase of an exchange: attempts, until one has the head of an answer.
//!
//! There is one attempt at a time, or two if the policy hedges. While they are under way the rest of the
//! request's body goes on being read, and a client that goes away ends them all.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use model::Instant;
use tokio::io::AsyncWrite as _;
use traffic::{Next, Outcome, Refusal};

use super::attempt::{Attempt, Request};
use super::client::Entry;
use super::exchange::Exchange;
use super::request::Method;
use super::write::{self, Forwarded, NO_EDITS, Onward};
use crate::answer::{Answer, Failure, Sent};
use crate::crossing::{AT_ONCE, Crossing};
use crate::router::rewritten;

/// How the head phase ended.
pub(crate) enum Answered {
    /// This attempt has the head of an answer.
    Head(Box<Attempt>),
    /// There will be none.
    Failed(Answer, Outcome),
    /// The client is not there any more.
    Gone,
    /// The request's body is none.
    Rejected(Answer),
}

/// What happened in the head phase.
pub(crate) enum Event {
    Head(usize),
    Failed(usize, Failure),
    Hedge,
    Gone,
    Rejected(Answer),
}

/// What follows from how one attempt ended.
enum Verdict {
    /// Nothing: another is under way.
    Wait,
    /// There is to be another after this time. Without one, this is how it ended.
    Again(Duration, Answered),
    /// It has ended so.
    Enough(Answered),
}

impl Exchange<'_> {
    /// Attempts, until one has the head of an answer or no more are to be made.
    pub(crate) async fn head_phase(&mut self, crossing: &mut Crossing) -> Answered {
        let mut attempts: Vec<Attempt> = Vec::with_capacity(1);
        let mut last = None;
        if !self.body.is_done() {
            crossing.awaits_body();
        }
        loop {
            if attempts.is_empty() {
                match self.attempt(crossing) {
                    Ok(attempt) => attempts.push(attempt),
                    // What the attempt before came to says more than that there is no other.
                    Err(refusal) => {
                        return last.unwrap_or_else(|| {
                            Answered::Failed(self.refusal(&refusal), Outcome::GatewayError)
                        });
                    }
                }
            }
            let event =
                poll_fn(|context| self.poll_attempts(context, crossing, &mut attempts)).await;
            let verdict = match event {
                Event::Gone => return Answered::Gone,
                Event::Rejected(answer) => return Answered::Rejected(answer),
                Event::Hedge => {
                    if let Some(place) = crossing.hedge() {
                        attempts.extend(self.begin(crossing, place));
                    }
                    continue;
                }
                Event::Head(at) => self.answered(crossing, &mut attempts, at),
                Event::Failed(at, failure) => self.failed(crossing, &mut attempts, at, &failure),
            };
            match verdict {
                Verdict::Enough(answered) => return answered,
                Verdict::Wait => {}
                Verdict::Again(after, answered) => {
                    if let Err(answered) = self.pause(after).await {
                        return answered;
                    }
                    last = Some(answered);
                }
            }
        }
    }

    /// An attempt has the head of an answer: what came first counts, also beside a hedge, unless it is
    /// an answer that another attempt may better.
    fn answered(&self, crossing: &mut Crossing, attempts: &mut Vec<Attempt>, at: usize) -> Verdict {
        let attempt = attempts.swap_remove(at);
        let outcome = outcome_of(attempt.head.status);
        match crossing.answered(attempt.place, outcome) {
            Next::Retry { after, .. } if self.is_whole && attempts.is_empty() => {
                crossing.released(attempt.place);
                let failure = Failure::Status(attempt.head.status);
                let callee = self.edge.name.callee.as_str();
                let answer = Answer::failed(&failure, callee, Sent::Perhaps);
                Verdict::Again(after, Answered::Failed(answer, outcome))
            }
            _ => {
                for other in attempts.drain(..) {
                    crossing.released(other.place);
                }
                Verdict::Enough(Answered::Head(Box::new(attempt)))
            }
        }
    }

    /// An attempt has failed.
    fn failed(
        &mut self,
        crossing: &mut Crossing,
        attempts: &mut Vec<Attempt>,
        at: usize,
        failure: &Failure,
    ) -> Verdict {
        let attempt = attempts.swap_remove(at);
        let sent = if attempt.has_sent() { Sent::Perhaps } else { Sent::No };
        let outcome = outcome_of_failure(failure, sent);
        let next = crossing.answered(attempt.place, outcome);
        crossing.released(attempt.place);
        if !attempts.is_empty() {
            return Verdict::Wait;
        }
        if sent == Sent::Perhaps {
            self.sent = sent;
        }
        let answer = crossing.failed(failure, self.sent);
        let answered = Answered::Failed(answer, outcome);
        match next {
            Next::Retry { after, .. } if self.is_whole => Verdict::Again(after, answered),
            _ => Verdict::Enough(answered),
        }
    }

    fn attempt(&mut self, crossing: &mut Crossing) -> Result<Attempt, Refusal> {
        let place = crossing.attempt()?;
        self.begin(crossing, place).ok_or(Refusal::NoInstance)
    }

    /// Begins to send the request to the instance that was chosen.
    fn begin(&self, crossing: &Crossing, place: usize) -> Option<Attempt> {
        let upstream = Rc::clone(crossing.upstream(place)?);
        let now = self.client.core.now();
        let forwarded = match self.client.entry {
            Entry::Mesh(_) => None,
            Entry::Gateway(_) => Some(Forwarded {
                client: &self.client.address,
                is_tls: self.client.stream.is_tls(),
                says: self.client.core.front.says,
            }),
        };
        let head = &self.work.head;
        let input = self.work.input.filled();
        let target = self.route.as_ref().and_then(|it| {
            rewritten(&it.route, str::from_utf8(&head.target_in(input)).unwrap_or_default())
        });
        let onward = Onward {
            trace: &crossing.trace,
            time_left: crossing.time_left(now),
            host: self.edge.name.callee.as_str(),
            forwarded,
            target: target.as_deref(),
            edits: self.route.as_ref().map_or(&NO_EDITS, |it| &it.route.request_headers),
        };
        let mut out = Vec::with_capacity(head.length + 256);
        write::request(&mut out, input, head, &onward);
        // A tunnel is not to be opened twice.
        let method = if head.upgrade.is_some() { Method::Other } else { head.method };
        let mut attempt = Attempt::new(place, upstream, method, out, head.length);
        attempt.head.limits = head.limits;
        attempt.start(now);
        Some(attempt)
    }

    /// Waits before the next attempt; not longer than there is a client.
    async fn pause(&mut self, after: Duration) -> Result<(), Answered> {
        if after.is_zero() {
            return Ok(());
        }
        self.client.deadline.set(self.client.core.now().after(after));
        poll_fn(|context| match self.poll_client(context, None) {
            Some(Event::Gone) => Poll::Ready(Err(Answered::Gone)),
            Some(Event::Rejected(answer)) => Poll::Ready(Err(Answered::Rejected(answer))),
            _ => self.client.deadline.poll(context).map(Ok),
        })
        .await
        .map(|()| {
            self.client.core.tick();
        })
    }

    fn poll_attempts(
        &mut self,
        context: &mut Context<'_>,
        crossing: &mut Crossing,
        attempts: &mut [Attempt],
    ) -> Poll<Event> {
        self.client.core.tick();
        loop {
            let sent = match attempts {
                [only] => Some(only.is_sent(self.checked)),
                _ => None,
            };
            let before = self.body.bytes;
            if let Some(event) = self.poll_client(context, sent) {
                return Poll::Ready(event);
            }
            if std::mem::take(&mut self.made_room)
                && let [only] = &mut *attempts
            {
                only.sent = self.work.head.length;
            }
            for (at, attempt) in attempts.iter_mut().enumerate() {
                let request = Request {
                    input: self.work.input.filled(),
                    checked: self.checked,
                    is_whole: self.is_whole,
                    method: self.work.head.method,
                    buffers: &self.client.core.buffers,
                };
                match attempt.poll_head(context, &request) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Event::Head(at)),
                    Poll::Ready(Err(failure)) => return Poll::Ready(Event::Failed(at, failure)),
                    Poll::Pending => {}
                }
                if !self.pass_interim(context, attempt) {
                    return Poll::Ready(Event::Gone);
                }
            }
            let is_to_go_on = matches!(attempts, [only] if self.has_made_room(only));
            if self.body.bytes == before && !is_to_go_on {
                break;
            }
        }
        self.poll_deadlines(context, crossing, attempts)
    }

    /// Sends the client what comes before the answer. False if it is gone.
    fn pass_interim(&mut self, context: &mut Context<'_>, attempt: &mut Attempt) -> bool {
        if attempt.interim.is_empty() {
            return true;
        }
        if self.work.head.is_http10 {
            attempt.interim.clear();
            return true;
        }
        let stream = Pin::new(&mut self.client.stream);
        match stream.poll_write(context, &attempt.interim) {
            Poll::Ready(Ok(count)) => {
                attempt.interim.drain(..count);
                let stream = Pin::new(&mut self.client.stream);
                stream.poll_flush(context).is_pending() || attempt.interim.is_empty()
            }
            Poll::Ready(Err(_)) => false,
            Poll::Pending => true,
        }
    }

    fn poll_deadlines(
        &mut self,
        context: &mut Context<'_>,
        crossing: &mut Crossing,
        attempts: &[Attempt],
    ) -> Poll<Event> {
        if self.body.is_done() {
            crossing.came();
        }
        let is_alone = attempts.len() < AT_ONCE && self.is_whole && self.body.is_done();
        let hedge = if is_alone { crossing.hedge_at() } else { None };
        let total = self.patience(crossing);
        let attempt = total.min(crossing.attempt_deadline().max(crossing.began()));
        let attempt = if self.body.is_done() { attempt } else { total };
        let wanted = hedge.map_or(attempt, |it| it.min(attempt));
        let gone_at = self.gone_at();
        let wanted = gone_at.map_or(wanted, |it| it.min(wanted));
        self.client.deadline.set(wanted);
        if self.client.deadline.poll(context).is_pending() {
            return Poll::Pending;
        }
        let now = self.client.core.tick();
        let is_sent = attempts.iter().all(|it| it.is_sent(self.checked));
        Poll::Ready(if gone_at.is_some_and(|it| it <= now) {
            Event::Gone
        } else if total <= now && !self.body.is_done() && is_sent {
            let is_callers = crossing.caller_deadline().is_some_and(|it| it <= now);
            let callers = crossing.callers_limit().filter(|_| is_callers);
            let callers = callers.map(|it| Answer::too_slow(it.at(self.edge.name.hop())));
            Event::Rejected(callers.unwrap_or_else(|| self.too_slow()))
        } else if total <= now {
            Event::Failed(0, Failure::Timeout)
        } else if attempt <= now {
            Event::Failed(0, Failure::AttemptTimeout)
        } else {
            Event::Hedge
        })
    }

    /// When to give up waiting for an answer. While the body is still coming, the client is slow, not
    /// the callee.
    fn patience(&self, crossing: &Crossing) -> Instant {
        if self.body.is_done() {
            return crossing.deadline();
        }
        let stall = self.upload_until();
        crossing.caller_deadline().map_or(stall, |it| it.min(stall))
    }
}

/// What an answer's status means.
pub(crate) const fn outcome_of(status: u16) -> Outcome {
    match status {
        429 => Outcome::TooManyRequests,
        400..=499 => Outcome::ClientError,
        502..=504 => Outcome::GatewayError,
        500.. => Outcome::ServerError,
        _ => Outcome::Ok,
    }
}

/// What a failure means.
pub(crate) const fn outcome_of_failure(failure: &Failure, sent: Sent) -> Outcome {
    match (failure, sent) {
        (Failure::Connect(_), _) => Outcome::ConnectFailure,
        (Failure::Reset, Sent::No) => Outcome::ResetUnsent,
        // Garbage is an answer: to ask again may do something twice, as after a reset.
        (Failure::Reset | Failure::Garbage(_), _) => Outcome::Reset,
        (Failure::Status(status), _) => outcome_of(*status),
        (Failure::AttemptTimeout, _) => Outcome::AttemptTimeout,
        (Failure::Timeout, _) => Outcome::Timeout,
    }
}
