//! What gRPC says in its own words: deadlines, statuses.
//!
//! Source: "gRPC over HTTP2" (the protocol's PROTOCOL-HTTP2.md) and its "Status codes" page. Clients that speak HTTP/1.1 are told
//! the same as far as HTTP/1.1 can say it.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use traffic::{DeadlineBy, Outcome};

use crate::answer::{Answer, Wording};
use crate::crossing::Asked;
use crate::h1::request::Side;
use crate::time_left::{TimeLeft, TimeoutBy};
use crate::trace::hex_text;

/// Whether these are the headers of a gRPC call, or of the answer to one.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|it| is_content(it.as_bytes()))
}

/// Whether a request is a gRPC call, and which kind of gRPC: `application/grpc+proto`, `application/grpc-web`, ..
pub(crate) fn kind_of(asked: &impl Asked) -> Option<&[u8]> {
    asked.header(CONTENT_TYPE.as_str()).filter(|it| is_content(it))
}

fn is_content(kind: &[u8]) -> bool {
    kind.starts_with(b"application/grpc")
}

/// An answer of our own to a call, which has no body: the headers that say what it comes to.
pub(crate) fn answer(wording: &Wording<'_>) -> Vec<(&'static str, String)> {
    let status = status_of(wording.answer).to_string();
    let said = [("grpc-status", status), ("grpc-message", message(&wording.sentence()))];
    said.into_iter().chain(wording.headers()).collect()
}

/// The value of `grpc-message`: what is no printable ASCII is written in percent, and percent itself.
fn message(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.push_str(&hex_text(u128::from(byte), 2).to_ascii_uppercase());
            }
        }
        out
    })
}

/// A `grpc-timeout`: up to eight digits and a unit.
pub(crate) fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || 8 < digits.len() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_hours(number),
        b'M' => Duration::from_mins(number),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The time that a request has left: of gRPC's own deadline and what the platform's headers say (`told`) the shorter, and of
/// two that are alike the platform's, since a caller passes on in gRPC's header what it has left. Whether a service inside has
/// chosen it is said beside it; what clients outside choose never is more than they are given.
pub(crate) fn time_left(
    asked: &impl Asked,
    told: Option<TimeLeft>,
    side: Side,
) -> (Option<TimeLeft>, DeadlineBy) {
    let own = asked.header("grpc-timeout").filter(|_| kind_of(asked).is_some());
    let own = own.and_then(timeout).map(|time| TimeLeft { time, by: TimeoutBy::Client });
    match (own, told) {
        (Some(own), Some(told)) if told.time <= own.time => (Some(told), DeadlineBy::Others),
        (Some(own), _) if side == Side::Mesh => (Some(own), DeadlineBy::Caller),
        (own, told) => (own.or(told), DeadlineBy::Others),
    }
}

/// A `grpc-timeout` of what is left.
pub(crate) fn timeout_text(left: Duration) -> String {
    let millis = left.as_millis();
    if millis < 100_000_000 {
        format!("{millis}m")
    } else {
        format!("{}S", left.as_secs().min(99_999_999))
    }
}

/// What a status means, whether it came with the head or behind the body.
pub(crate) fn outcome(headers: &HeaderMap) -> Option<Outcome> {
    let status = headers.get("grpc-status")?.to_str().ok()?;
    Some(match status {
        "0" => Outcome::Ok,
        "14" => Outcome::GatewayError,
        "8" => Outcome::TooManyRequests,
        "1" | "3" | "5" | "6" | "7" | "9" | "10" | "11" | "12" | "16" => Outcome::ClientError,
        // UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, DATA_LOSS; and whatever is none.
        _ => Outcome::ServerError,
    })
}

/// The status that says what an answer of our own says.
pub(crate) const fn status_of(answer: &Answer) -> u8 {
    match answer.status {
        // INTERNAL, as clients take a malformed request; UNIMPLEMENTED; DEADLINE_EXCEEDED.
        400 => 13,
        404 => 12,
        408 | 504 => 4,
        413 | 429 | 431 => 8,
        // UNAVAILABLE.
        _ => 14,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PROTOCOL-HTTP2.md, Status-Message: a sentence with a sign in it was lost.
    #[test]
    fn issue_13_messages_are_written_in_percent() {
        assert_eq!(message("a route, 100% of it"), "a route, 100%25 of it");
        assert_eq!(message("f\u{fc}r\n"), "f%C3%BCr%0A");
    }

    #[test]
    fn timeouts() {
        assert_eq!(timeout(b"100m"), Some(Duration::from_millis(100)));
        assert_eq!(timeout(b"5S"), Some(Duration::from_secs(5)));
        assert_eq!(timeout(b"99999999H"), Some(Duration::from_hours(99_999_999)));
        for wrong in ["", "m", "5", "5x", "123456789m", "-5m", "5.0S"] {
            assert_eq!(timeout(wrong.as_bytes()), None, "{wrong}");
        }
        for millis in [0, 1, 99_999_999, 100_000_000] {
            let left = Duration::from_millis(millis);
            let read = timeout(timeout_text(left).as_bytes()).unwrap();
            assert!(left.abs_diff(read) < Duration::from_secs(1), "{millis}");
        }
    }
}
