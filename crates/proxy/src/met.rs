//! Limits that requests meet, as answers, the log and the trace name them: which it was, how much it allows, by which key of
//! the manifest or option of `pelago serve` it is set, and at which hop.

use std::time::Duration;

use model::route::RateLimit;
use model::units::{Bytes, DurationText};
use telemetry::Limit;

use crate::h1::head::Limits;

/// Where a limit holds for all that comes in, whichever edge it would cross.
pub(crate) const ENTRANCE: &str = "where requests come in";

/// A limit that a request has met, with what it allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Met<'a> {
    /// Bytes of a request's body.
    BodySize(u64),
    /// Bytes of a request's body that must come each second.
    UploadRate(u64),
    /// Time in which some of a request's body must come.
    UploadSilence(Duration),
    /// Time in which an instance must say something.
    AnswerSilence(Duration),
    /// Time in which a client must take something.
    ClientSilence(Duration),
    /// Time to the head of an answer.
    Timeout(Duration),
    /// The same of one attempt.
    AttemptTimeout(Duration),
    /// Time that the caller had left.
    CallerTimeout(Duration),
    /// Requests in flight, where somebody wrote how many.
    Concurrency(u32),
    /// Requests in flight, as many as latency allows.
    AdaptiveConcurrency(u32),
    /// Time in the queue.
    QueueWait(Duration),
    /// Errors after which a callee is left alone, for so long still.
    Breaker(Duration),
    /// Requests a second.
    Rate(&'a RateLimit),
    /// Bytes of a head.
    HeadSize(usize),
    /// Bytes of a target, which are half of those.
    TargetSize(usize),
    /// Time for a head.
    HeadTime(Duration),
}

impl Met<'_> {
    /// The limit at this hop.
    pub(crate) fn at(self, hop: impl Into<String>) -> Limit {
        let time = |it: Duration| DurationText(it).to_string();
        let size = |it: usize| Bytes(it as u64).to_string();
        let (name, key, value) = match self {
            Self::BodySize(bytes) => ("body-size", Some("max_body"), Bytes(bytes).to_string()),
            Self::UploadRate(bytes) => {
                ("upload-rate", Some("min_upload_rate"), format!("{}/s", Bytes(bytes)))
            }
            Self::UploadSilence(it) => ("upload-silence", Some("idle_timeout"), time(it)),
            Self::AnswerSilence(it) => ("answer-silence", Some("idle_timeout"), time(it)),
            Self::ClientSilence(it) => ("client-silence", Some("idle_timeout"), time(it)),
            Self::Timeout(it) => ("timeout", Some("timeout"), time(it)),
            Self::AttemptTimeout(it) => {
                ("attempt-timeout", Some("retry.attempt_timeout"), time(it))
            }
            Self::CallerTimeout(it) => ("caller-timeout", None, time(it)),
            Self::Concurrency(it) => ("concurrency", Some("max_concurrency"), it.to_string()),
            Self::AdaptiveConcurrency(it) => {
                ("concurrency", Some("adaptive_concurrency"), it.to_string())
            }
            Self::QueueWait(it) => ("queue-wait", Some("queue.wait"), time(it)),
            Self::Breaker(it) => ("circuit-breaker", Some("circuit_breaker"), time(it)),
            Self::Rate(it) => ("request-rate", Some("rate_limit"), rate(it)),
            Self::HeadSize(it) => ("head-size", Some("--head-size"), size(it)),
            Self::TargetSize(it) => ("target-size", Some("--head-size"), size(it)),
            Self::HeadTime(it) => ("head-time", Some("--head-timeout"), time(it)),
        };
        let (name, key) = (name.to_owned(), key.map(str::to_owned));
        Limit { name, value, key, hop: hop.into() }
    }

    /// The limit that a request meets whose head is refused with this status, if it is one.
    pub(crate) fn of_head(status: u16, limits: Limits, time: Duration) -> Option<Self> {
        match status {
            408 => Some(Self::HeadTime(time)),
            414 => Some(Self::TargetSize(limits.target_bytes())),
            431 => Some(Self::HeadSize(limits.bytes())),
            _ => None,
        }
    }
}

/// `0.5/s`.
fn rate(limit: &RateLimit) -> String {
    let (whole, thousandths) =
        (limit.per_second_thousandths / 1_000, limit.per_second_thousandths % 1_000);
    let fraction = format!(".{thousandths:03}");
    format!("{whole}{}/s", fraction.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(met: Met<'_>, expected: &str) {
        let Limit { name, value, key, hop } = met.at("the route */");
        assert_eq!(format!("{name} {value} {} at {hop}", key.as_deref().unwrap_or("-")), expected);
    }

    #[test]
    fn issue_13_limits_are_named_with_value_key_and_hop() {
        check(Met::BodySize(1 << 20), "body-size 1MiB max_body at the route */");
        check(Met::UploadRate(240), "upload-rate 240B/s min_upload_rate at the route */");
        let wait = Duration::from_millis(50);
        check(Met::QueueWait(wait), "queue-wait 50ms queue.wait at the route */");
        let limit = RateLimit { per_second_thousandths: 1_500, burst: 1, key: None };
        check(Met::Rate(&limit), "request-rate 1.5/s rate_limit at the route */");
        let limit = RateLimit { per_second_thousandths: 20_000, burst: 1, key: None };
        check(Met::Rate(&limit), "request-rate 20/s rate_limit at the route */");
        check(Met::HeadSize(16 << 10), "head-size 16KiB --head-size at the route */");
    }
}
