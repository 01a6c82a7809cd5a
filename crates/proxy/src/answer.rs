//! Answers of the data plane's own, where no instance's answer can be passed on.
//!
//! Between services each says in a header why ([`REASON`]), whose fault it was ([`FAULT`]), and whether the request may be
//! sent again without fear of doing something twice ([`RETRY`]); and in its body the same in a sentence. How an application is
//! built, and with which limits, is nobody's business outside: a client of the gateway is told no more than its status says,
//! whether to try again, and an id ([`REQUEST`]) by which an operator finds the rest in log and trace.

use std::borrow::Cow;
use std::time::Duration;

use model::units::Bytes;
use telemetry::Limit;
use traffic::Refusal;

use crate::front::Front;
use crate::met::{ENTRANCE, Met};
use crate::trace::hex_text;

/// The header that says why.
pub(crate) const REASON: &str = "x-pelago-reason";
/// The header that says whose fault it was.
pub(crate) const FAULT: &str = "x-pelago-fault";
/// The header that says whether to send it again is safe.
pub(crate) const RETRY: &str = "x-pelago-retry";
/// The headers that say which limit a request has met, what that allows, which key sets it and where it holds.
const LIMIT: &str = "x-pelago-limit";
const LIMIT_VALUE: &str = "x-pelago-limit-value";
const LIMIT_KEY: &str = "x-pelago-limit-key";
const HOP: &str = "x-pelago-hop";
/// The header that says by which id a request is found: that of its trace.
pub(crate) const REQUEST: &str = "x-request-id";

/// Whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The caller's: the same request would fail again.
    Caller,
    /// The callee's.
    Callee,
    /// Nobody's: a policy that somebody chose said no.
    Policy,
}

impl Fault {
    /// In a word for programs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::Policy => "policy",
        }
    }
}

/// Whether the request was, or may have been, worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// No instance has seen it.
    No,
    /// An instance may have worked on it.
    Perhaps,
}

/// An answer of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Why, in a word for programs.
    pub(crate) reason: &'static str,
    pub(crate) fault: Fault,
    pub(crate) sent: Sent,
    /// Why, and the remedy, for people.
    pub(crate) text: String,
    pub(crate) retry_after: Option<Duration>,
    /// The limit that the request has met, if it has met one.
    pub(crate) limit: Option<Box<Limit>>,
}

impl Answer {
    pub(crate) fn new(status: u16, reason: &'static str, fault: Fault, text: &str) -> Self {
        let text = text.to_owned();
        Self { status, reason, fault, sent: Sent::No, text, retry_after: None, limit: None }
    }

    /// For a request that cannot be understood, or asks for what is not to be had.
    pub(crate) fn malformed(status: u16, what: &str) -> Self {
        let reason = match status {
            408 => "request-timeout",
            413 => "body-too-large",
            414 => "target-too-long",
            417 => "expectation-failed",
            431 => "head-too-large",
            501 => "coding-not-supported",
            505 => "version-not-supported",
            _ => "malformed-request",
        };
        Self::new(status, reason, Fault::Caller, what)
    }

    /// The same, for a request that has met this limit.
    pub(crate) fn limited(self, limit: Limit) -> Self {
        Self { limit: Some(Box::new(limit)), ..self }
    }

    /// For a request whose head is refused.
    pub(crate) fn of_head(status: u16, what: &str, front: &Front) -> Self {
        let answer = Self::malformed(status, what);
        match Met::of_head(status, front.heads, front.head_time.get()) {
            Some(met) => answer.limited(met.at(ENTRANCE)),
            None => answer,
        }
    }

    /// For a request whose body is larger than it may be at this hop.
    pub(crate) fn too_large(bytes_max: u64, hop: String) -> Self {
        let size = Bytes(bytes_max);
        let text = format!("the body is larger than the {size} that `max_body` of {hop} allows");
        Self::malformed(413, &text).limited(Met::BodySize(bytes_max).at(hop))
    }

    /// For a request whose body does not come, or too slowly, by this limit.
    pub(crate) fn too_slow(limit: Limit) -> Self {
        let Limit { value, hop, .. } = &limit;
        let text = match &limit.key {
            Some(key) => {
                format!("the body came more slowly than `{key}` of {hop} allows, {value}")
            }
            None => format!("the body did not come within the {value} that the caller had left"),
        };
        Self::malformed(408, &text).limited(limit)
    }

    /// For a request that no instance was asked about.
    pub(crate) fn refused(refusal: &Refusal, callee: &str, wait: Option<Duration>) -> Self {
        let (status, fault, text) = match refusal {
            Refusal::NoInstance => (
                503,
                Fault::Callee,
                format!("no instance of {callee} can take requests; see `pelago ps`"),
            ),
            Refusal::CircuitOpen { .. } => (
                503,
                Fault::Callee,
                format!("{callee} failed too often, so it is left alone for a while"),
            ),
            Refusal::Overloaded => (
                503,
                Fault::Policy,
                format!(
                    "more requests to {callee} are in flight than its limit allows, and its queue is full"
                ),
            ),
            Refusal::QueueTimeout => (
                503,
                Fault::Policy,
                format!("no place below the limit of {callee} became free in time"),
            ),
            Refusal::Shed(_) => (
                503,
                Fault::Policy,
                format!("{callee} is busy, and requests of higher priority go first"),
            ),
            Refusal::DeadlinePassed => (
                504,
                Fault::Caller,
                format!("the time for this call to {callee} was over before it began"),
            ),
        };
        let answer = Self::new(status, refusal.word(), fault, &text);
        Self { retry_after: wait, ..answer }
    }

    /// For a request whose attempts all failed.
    pub(crate) fn failed(failure: &Failure, callee: &str, sent: Sent) -> Self {
        let (status, reason, text) = match failure {
            Failure::Connect(error) => (
                502,
                "connect-failure",
                format!("no connection to {callee} could be made: {error}"),
            ),
            Failure::Reset => {
                (502, "reset", format!("{callee} closed the connection without an answer"))
            }
            Failure::Garbage(what) => {
                (502, "bad-answer", format!("{callee} gave an answer that is none: {what}"))
            }
            Failure::Status(status) => (
                502,
                "no-better-answer",
                format!("{callee} answered {status}, and no other instance could be asked"),
            ),
            Failure::AttemptTimeout | Failure::Timeout => {
                (504, "timeout", format!("{callee} gave no answer in time"))
            }
        };
        Self { sent, ..Self::new(status, reason, Fault::Callee, &text) }
    }

    /// For requests that come too fast.
    pub(crate) fn rate_limited(after: Duration, limit: Option<Limit>) -> Self {
        let answer = Self::new(
            429,
            "rate-limited",
            Fault::Caller,
            "too many requests; send fewer, or later",
        );
        Self { retry_after: Some(after), limit: limit.map(Box::new), ..answer }
    }

    /// For requests that no route takes.
    pub(crate) fn no_route(host: &str, path: &str) -> Self {
        let text = format!("no route takes {host}{path}; see `pelago route`");
        Self::new(404, "no-route", Fault::Caller, &text)
    }

    /// For requests over an edge that is declared no more.
    pub(crate) fn no_edge() -> Self {
        Self::new(502, "edge-gone", Fault::Caller, "this call is declared no more")
    }

    /// The same in words for `audience`, with `page` in place of its sentence where the route has one.
    pub(crate) const fn told<'a>(
        &'a self,
        audience: Audience,
        page: Option<&'a str>,
    ) -> Wording<'a> {
        Wording { answer: self, page, audience }
    }

    /// Whether to send the request again is safe, in a word for programs.
    fn retry(&self) -> &'static str {
        // A status of the 5xx that is the caller's fault may be another the next time, but for what is never understood.
        let is_lasting =
            self.status < 500 && self.status != 429 || matches!(self.status, 501 | 505);
        match (self.sent, self.fault) {
            (Sent::Perhaps, _) => "unsafe",
            (Sent::No, Fault::Caller) if is_lasting => "useless",
            (Sent::No, _) => "safe",
        }
    }
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A client of the gateway, whose request is part of this trace.
    Outside(u128),
    /// A service.
    Mesh,
}

/// An answer of our own in the words of whom it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wording<'a> {
    pub(crate) answer: &'a Answer,
    page: Option<&'a str>,
    audience: Audience,
}

impl Wording<'_> {
    /// Its headers, without those that say how long it is.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let answer = self.answer;
        let mut headers = match self.audience {
            Audience::Outside(trace) => vec![(REQUEST, hex_text(trace, 32))],
            Audience::Mesh => {
                vec![(REASON, answer.reason.to_owned()), (FAULT, answer.fault.word().to_owned())]
            }
        };
        if let (Audience::Mesh, Some(limit)) = (self.audience, &answer.limit) {
            headers.push((LIMIT, limit.name.clone()));
            headers.push((LIMIT_VALUE, limit.value.clone()));
            headers.extend(limit.key.clone().map(|it| (LIMIT_KEY, it)));
            headers.push((HOP, limit.hop.clone()));
        }
        headers.push((RETRY, answer.retry().to_owned()));
        if let Some(after) = answer.retry_after {
            // Whole seconds, and never 0: whoever waits shall not come too early.
            let seconds = after.as_secs() + u64::from(0 < after.subsec_nanos());
            headers.push(("retry-after", seconds.max(1).to_string()));
        }
        headers
    }

    /// Why, in a sentence.
    pub(crate) fn sentence(&self) -> Cow<'_, str> {
        match self.audience {
            Audience::Outside(_) => Cow::Borrowed(general(self.answer.status)),
            Audience::Mesh => Cow::Borrowed(&self.answer.text),
        }
    }

    /// Its body and what that is: a page where the route has one, else a sentence.
    pub(crate) fn body(&self) -> (&'static str, String) {
        let sentence = self.sentence();
        match (self.page, self.audience) {
            (Some(page), _) => ("text/html; charset=utf-8", page.to_owned()),
            (None, Audience::Outside(trace)) => {
                (PLAIN, format!("{sentence} (request {})\n", hex_text(trace, 32)))
            }
            (None, Audience::Mesh) => (PLAIN, format!("{}: {sentence}\n", self.answer.reason)),
        }
    }
}

/// What a sentence is.
const PLAIN: &str = "text/plain; charset=utf-8";

/// What a status says to somebody outside, and no more.
const fn general(status: u16) -> &'static str {
    match status {
        400 => "the request is malformed",
        404 => "nothing is found here",
        408 => "the request came too slowly",
        413 => "the body of the request is too large",
        414 => "the target of the request is too long",
        417 => "only 100-continue can be expected",
        429 => "too many requests; send fewer, or later",
        431 => "the head of the request is too large",
        501 => "the request asks for something that is not done here",
        502 => "no answer could be had from the service",
        503 => "the service cannot take the request now; try again later",
        504 => "no answer came from the service in time",
        505 => "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here",
        _ => "the request could not be answered",
    }
}

/// What an attempt failed with.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection could be made.
    Connect(std::io::Error),
    /// The connection ended without an answer.
    Reset,
    /// The answer is none.
    Garbage(&'static str),
    /// The answer is one that another attempt might have bettered.
    Status(u16),
    /// The attempt's time was over.
    AttemptTimeout,
    /// The request's time was over.
    Timeout,
}

/// The usual reason phrase of a status this process answers with itself.
pub(crate) const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(answer: &Answer, audience: Audience) -> Vec<String> {
        let headers = answer.told(audience, None).headers();
        headers.iter().map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[track_caller]
    fn check(answer: &Answer, status: u16, expected: &[&str]) {
        assert_eq!(answer.status, status);
        assert_eq!(headers(answer, Audience::Mesh), expected);
    }

    /// Issue 13: anybody outside could read which services there are, and by which limits they are kept.
    #[test]
    fn issue_13_nobody_outside_is_told_how_an_application_is_built() {
        let outside = Audience::Outside(0xabc);
        let id = format!("{:032x}", 0xabc);
        for (answer, status, retry) in [
            (Answer::failed(&Failure::Reset, "cart", Sent::Perhaps), 502, "unsafe"),
            (Answer::refused(&Refusal::Overloaded, "cart", None), 503, "safe"),
            (Answer::malformed(400, "cart is malformed"), 400, "useless"),
            (Answer::no_route("cart.localhost", "/cart"), 404, "useless"),
            (Answer::too_large(10, "the call from web to cart".to_owned()), 413, "useless"),
        ] {
            let told = answer.told(outside, None);
            let expected = [format!("x-request-id: {id}"), format!("x-pelago-retry: {retry}")];
            assert_eq!(headers(&answer, outside), expected);
            assert_eq!(told.body(), (PLAIN, format!("{} (request {id})\n", general(status))));
            assert!(!told.body().1.contains("cart"), "{told:?}");
        }
        // A page that the application chose is shown as it is.
        let busy = Answer::refused(&Refusal::Overloaded, "cart", None);
        assert_eq!(busy.told(outside, Some("<p>soon</p>")).body().1, "<p>soon</p>");
    }

    #[test]
    fn answers_say_whose_fault_it_was_and_whether_to_try_again() {
        check(
            &Answer::failed(&Failure::Reset, "cart", Sent::Perhaps),
            502,
            &["x-pelago-reason: reset", "x-pelago-fault: callee", "x-pelago-retry: unsafe"],
        );
        check(
            &Answer::refused(&Refusal::NoInstance, "cart", None),
            503,
            &["x-pelago-reason: no-instance", "x-pelago-fault: callee", "x-pelago-retry: safe"],
        );
        check(
            &Answer::rate_limited(Duration::from_millis(1_001), None),
            429,
            &[
                "x-pelago-reason: rate-limited",
                "x-pelago-fault: caller",
                "x-pelago-retry: safe",
                "retry-after: 2",
            ],
        );
        check(
            &Answer::malformed(400, "the host is malformed"),
            400,
            &[
                "x-pelago-reason: malformed-request",
                "x-pelago-fault: caller",
                "x-pelago-retry: useless",
            ],
        );
    }
}
