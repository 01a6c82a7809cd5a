//! Answers, in Prometheus' envelope: written by hand, since an answer may have millions of samples.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use promql::eval::{Answer, EvalError};
use promql::{Labels, SourceError};

use super::delivery::Pieces;

/// A question that is not answered, in Prometheus' words.
#[derive(Debug)]
pub(crate) struct Refused {
    kind: &'static str,
    message: String,
}

impl Refused {
    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Self { kind: "bad_data", message: message.into() }
    }

    pub(super) fn execution(message: impl Into<String>) -> Self {
        Self { kind: "execution", message: message.into() }
    }

    /// For a client that has to wait for others.
    pub(super) fn busy() -> Self {
        let message = "other long answers are being read; ask again in a few seconds, or for less";
        Self { kind: "unavailable", message: message.to_owned() }
    }

    /// For a client that has left.
    pub(super) fn canceled() -> Self {
        Self { kind: "canceled", message: "nobody waits for the answer".to_owned() }
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { kind: "internal", message: message.into() }
    }
}

impl From<EvalError> for Refused {
    fn from(error: EvalError) -> Self {
        Self { kind: error.kind(), message: error.to_string() }
    }
}

impl From<SourceError> for Refused {
    fn from(error: SourceError) -> Self {
        let kind = match error {
            SourceError::Unreadable(_) => "internal",
            SourceError::Canceled => "canceled",
            SourceError::Limit(_) => "execution",
        };
        Self { kind, message: error.to_string() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.kind {
            "bad_data" => StatusCode::BAD_REQUEST,
            "execution" => StatusCode::UNPROCESSABLE_ENTITY,
            "timeout" | "canceled" | "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "not_found" => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let error = serde_json::json!({
            "status": "error", "errorType": self.kind, "error": self.message,
        });
        (status, axum::Json(error)).into_response()
    }
}

/// The type of every answer but metrics as text.
pub(super) const JSON: &str = "application/json";
const ENVELOPE: &str = "{\"status\":\"success\",\"data\":";

/// Data that is small, as JSON.
pub(super) fn success(data: &str) -> Response {
    ([(CONTENT_TYPE, JSON)], Body::from(format!("{ENVELOPE}{data}}}"))).into_response()
}

/// Data that is small.
pub(super) fn success_of(data: &serde_json::Value) -> Response {
    success(&data.to_string())
}

/// Writes an answer whose data is what `write` writes.
pub(super) fn enclosed(
    pieces: &mut Pieces,
    write: impl FnOnce(&mut Pieces) -> Result<(), Refused>,
) -> Result<(), Refused> {
    pieces.text.push_str(ENVELOPE);
    write(pieces)?;
    pieces.text.push('}');
    Ok(())
}

/// Writes a list, each of whose elements `write` writes.
pub(super) fn list<T>(
    pieces: &mut Pieces,
    all: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Pieces, T) -> Result<(), Refused>,
) -> Result<(), Refused> {
    pieces.text.push('[');
    for (place, it) in all.enumerate() {
        if place != 0 {
            pieces.text.push(',');
        }
        write(pieces, it)?;
        pieces.next()?;
    }
    pieces.text.push(']');
    Ok(())
}

/// Writes what an expression came to at `at_ms`.
pub(super) fn result(pieces: &mut Pieces, answer: &Answer, at_ms: i64) -> Result<(), Refused> {
    let kind = match answer {
        Answer::Scalar(_) => "scalar",
        Answer::Text(_) => "string",
        Answer::Vector(_) => "vector",
        Answer::Matrix(_) => "matrix",
    };
    // Writing to a string does not fail.
    let _written = write!(pieces.text, "{{\"resultType\":\"{kind}\",\"result\":");
    match answer {
        Answer::Scalar(value) => sample(&mut pieces.text, at_ms, *value),
        Answer::Text(text) => {
            pieces.text.push('[');
            time(&mut pieces.text, at_ms);
            pieces.text.push(',');
            quote(&mut pieces.text, text);
            pieces.text.push(']');
        }
        Answer::Vector(all) => list(pieces, all.iter(), |pieces, it| {
            pieces.text.push_str("{\"metric\":");
            labels(&mut pieces.text, &it.labels);
            pieces.text.push_str(",\"value\":");
            sample(&mut pieces.text, at_ms, it.value);
            pieces.text.push('}');
            Ok(())
        })?,
        Answer::Matrix(all) => list(pieces, all.iter(), |pieces, it| {
            pieces.text.push_str("{\"metric\":");
            labels(&mut pieces.text, &it.labels);
            pieces.text.push_str(",\"values\":");
            list(pieces, it.points.iter(), |pieces, (at_ms, value)| {
                sample(&mut pieces.text, *at_ms, *value);
                Ok(())
            })?;
            pieces.text.push('}');
            Ok(())
        })?,
    }
    pieces.text.push('}');
    Ok(())
}

/// Labels as an object.
pub(super) fn labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (place, (name, value)) in labels.iter().enumerate() {
        if place != 0 {
            out.push(',');
        }
        quote(out, name);
        out.push(':');
        quote(out, value);
    }
    out.push('}');
}

fn sample(out: &mut String, at_ms: i64, value: f64) {
    out.push('[');
    time(out, at_ms);
    out.push_str(",\"");
    number(out, value);
    out.push_str("\"]");
}

/// Seconds, with thousandths where there are some.
pub(super) fn time(out: &mut String, at_ms: i64) {
    let (seconds, rest) = (at_ms / 1_000, at_ms % 1_000);
    // Writing to a string does not fail.
    let _written = match (rest, at_ms < 0) {
        (0, _) => write!(out, "{seconds}"),
        (_, false) => write!(out, "{seconds}.{rest:03}"),
        (_, true) => write!(out, "-{}.{:03}", -seconds, -rest),
    };
}

/// A value as text: the shortest that gives it back, never with an exponent.
pub(super) fn number(out: &mut String, value: f64) {
    if value.is_infinite() {
        out.push_str(if 0.0 < value { "+Inf" } else { "-Inf" });
    } else {
        // Writing to a string does not fail.
        let _written = write!(out, "{value}");
    }
}

/// Appends a JSON string.
pub(super) fn quote(out: &mut String, text: &str) {
    let is_plain = |it: u8| (0x20..0x7f).contains(&it) && it != b'"' && it != b'\\';
    if text.bytes().all(is_plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promql::eval::{Points, Sample};

    #[test]
    fn answers_as_prometheus_writes_them() {
        let labels = Labels::of([("__name__", "up"), ("job", "a \"b\"\n")]);
        let check = |answer, expected: &str| {
            let mut pieces = Pieces::counting();
            result(&mut pieces, &answer, 1_435_781_451_781).unwrap();
            assert_eq!(pieces.text, expected);
        };
        check(Answer::Scalar(1.0), r#"{"resultType":"scalar","result":[1435781451.781,"1"]}"#);
        check(
            Answer::Text("x".to_owned()),
            r#"{"resultType":"string","result":[1435781451.781,"x"]}"#,
        );
        check(
            Answer::Vector(vec![Sample { labels: labels.clone(), value: f64::NEG_INFINITY }]),
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a \"b\"\n"},"value":[1435781451.781,"-Inf"]}]}"#,
        );
        let points = vec![(1_000, f64::NAN), (-1_500, 1e21), (2_050, 0.1)];
        check(
            Answer::Matrix(vec![Points { labels: Labels::default(), points }]),
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"NaN"],[-1.500,"1000000000000000000000"],[2.050,"0.1"]]}]}"#,
        );
    }
}
