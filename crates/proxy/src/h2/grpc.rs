//! What gRPC says in its own words: deadlines, statuses.
//!
//! Source: "gRPC over HTTP2" (the protocol's PROTOCOL-HTTP2.md) and its "Status codes" page.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use traffic::Outcome;

use crate::answer::Answer;

/// Whether these are the headers of a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"))
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
