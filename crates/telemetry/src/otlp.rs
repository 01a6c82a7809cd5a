//! OpenTelemetry's protocol, as its SDKs and collectors send it: traces, metrics and logs, in protobuf and JSON.
//!
//! There is one reader for each signal, of protobuf, by [`protobuf`](crate::protobuf) without copying. JSON is
//! written as protobuf first, by a table of the fields it may have: what is accepted, and what it means, is the
//! same in both encodings. What cannot be kept is counted and said in the answer (partial success), and the
//! rest is kept. It refuses to grow much larger than what was sent: everything has a limit, each named beside
//! its reader.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/>, opentelemetry-proto 1.7.

mod json;
pub mod logs;
pub mod metrics;
pub mod traces;
mod value;

use crate::protobuf::{ProtobufError, put_bytes, put_number};

/// Why a request cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtlpError {
    /// The bytes are no message.
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
    /// The text is no message.
    #[error("{0}")]
    Json(String),
}

/// How a request is written, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`, and gRPC.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// The encoding that a `content-type` names.
    pub fn of_content_type(value: &str) -> Option<Self> {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/x-protobuf") {
            Some(Self::Protobuf)
        } else if media_type.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// The `content-type` of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
}

/// What was rejected of a request, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// How many spans, data points or log records.
    pub count: u64,
    /// Why the first of them was, for people.
    pub reason: String,
}

impl Rejected {
    /// Counts some more. The first reason is kept: usually there is one.
    pub fn add(&mut self, count: u64, reason: impl FnOnce() -> String) {
        if 0 < count && self.reason.is_empty() {
            self.reason = reason();
        }
        self.count += count;
    }
}

/// The answer to a request that was read: empty if everything was kept.
pub fn answer(signal: Signal, encoding: Encoding, rejected: &Rejected) -> Vec<u8> {
    match (encoding, rejected.count) {
        (Encoding::Protobuf, 0) => Vec::new(),
        (Encoding::Json, 0) => b"{}".to_vec(),
        (Encoding::Protobuf, count) => {
            let mut partial = Vec::new();
            put_number(&mut partial, 1, count);
            put_bytes(&mut partial, 2, rejected.reason.as_bytes());
            let mut out = Vec::new();
            put_bytes(&mut out, 1, &partial);
            out
        }
        (Encoding::Json, count) => {
            let name = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Metrics => "rejectedDataPoints",
                Signal::Logs => "rejectedLogRecords",
            };
            let partial =
                serde_json::json!({ name: count.to_string(), "errorMessage": rejected.reason });
            serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let check = |encoding, rejected: &Rejected, expected: &str| {
            let answer = answer(Signal::Logs, encoding, rejected);
            assert_eq!(String::from_utf8(answer).unwrap(), expected);
        };
        let mut rejected = Rejected::default();
        rejected.add(0, || "never".into());
        check(Encoding::Protobuf, &rejected, "");
        check(Encoding::Json, &rejected, "{}");
        rejected.add(3, || "too many".into());
        rejected.add(2, || "another".into());
        check(Encoding::Protobuf, &rejected, "\x0a\x0c\x08\x05\x12\x08too many");
        check(
            Encoding::Json,
            &rejected,
            r#"{"partialSuccess":{"errorMessage":"too many","rejectedLogRecords":"5"}}"#,
        );
        assert_eq!(
            Encoding::of_content_type("Application/JSON; charset=utf-8"),
            Some(Encoding::Json)
        );
        assert_eq!(Encoding::of_content_type("text/plain"), None);
    }
}
