//! Answers of the data plane's own, where no instance's answer can be passed on.
//!
//! Each says in a header why ([`REASON`]), whose fault it was ([`FAULT`]), and whether the request may be
//! sent again without fear of doing something twice ([`RETRY`]); and in its body the same in a sentence.

use std::time::Duration;

use model::units::Bytes;
use traffic::Refusal;

/// The header that says why.
pub(crate) const REASON: &str = "x-pelago-reason";
/// The header that says whose fault it was.
pub(crate) const FAULT: &str = "x-pelago-fault";
/// The header that says whether to send it again is safe.
pub(crate) const RETRY: &str = "x-pelago-retry";

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
}

impl Answer {
    pub(crate) fn new(status: u16, reason: &'static str, fault: Fault, text: &str) -> Self {
        let text = text.to_owned();
        Self { status, reason, fault, sent: Sent::No, text, retry_after: None }
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

    /// For a request whose body is larger than it may be.
    pub(crate) fn too_large(bytes_max: u64) -> Self {
        let size = Bytes(bytes_max);
        let text = format!(
            "the body is larger than the {size} that `max_body` of the route or the call allows"
        );
        Self::malformed(413, &text)
    }

    /// For a request whose body does not come, or too slowly.
    pub(crate) fn too_slow() -> Self {
        let text = "the body came more slowly than `min_upload_rate` and `idle_timeout` of the route or the call allow";
        Self::malformed(408, text)
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
    pub(crate) fn rate_limited(after: Duration) -> Self {
        let answer = Self::new(
            429,
            "rate-limited",
            Fault::Caller,
            "too many requests; send fewer, or later",
        );
        Self { retry_after: Some(after), ..answer }
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

    /// Its headers, without those that say how long it is.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let fault = match self.fault {
            Fault::Caller => "caller",
            Fault::Callee => "callee",
            Fault::Policy => "policy",
        };
        let retry = match (self.sent, self.fault) {
            (Sent::Perhaps, _) => "unsafe",
            (Sent::No, Fault::Caller) if self.status < 500 && self.status != 429 => "useless",
            (Sent::No, _) => "safe",
        };
        let mut headers = vec![
            (REASON, self.reason.to_owned()),
            (FAULT, fault.to_owned()),
            (RETRY, retry.to_owned()),
        ];
        if let Some(after) = self.retry_after {
            // Whole seconds, and never 0: whoever waits shall not come too early.
            let seconds = after.as_secs() + u64::from(0 < after.subsec_nanos());
            headers.push(("retry-after", seconds.max(1).to_string()));
        }
        headers
    }

    /// Its body and what that is: a page where the route has one, else a sentence.
    pub(crate) fn body(&self, page: Option<&str>) -> (&'static str, String) {
        match page {
            Some(page) => ("text/html; charset=utf-8", page.to_owned()),
            None => ("text/plain; charset=utf-8", format!("{}: {}\n", self.reason, self.text)),
        }
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

    #[track_caller]
    fn check(answer: &Answer, status: u16, headers: &[&str]) {
        assert_eq!(answer.status, status);
        let found: Vec<String> =
            answer.headers().iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(found, headers);
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
            &Answer::rate_limited(Duration::from_millis(1_001)),
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
