//! Answers, in Prometheus' envelope: written by hand, since an answer may have millions of samples.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use promql::eval::{Answer, EvalError};
use promql::{Labels, SourceError};

/// Bytes of an answer, at most: a page that draws more is of no use, and so many are in memory at once.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Refuses an answer that has become too long.
pub(super) fn bounded(out: &str) -> Result<(), Refused> {
    if out.len() <= ANSWER_BYTES_MAX {
        return Ok(());
    }
    let most = ANSWER_BYTES_MAX >> 20;
    let message = format!(
        "the answer is longer than {most} MiB; ask for fewer series, a longer step, or an aggregation"
    );
    Err(Refused { kind: "execution", message })
}

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
            "timeout" | "canceled" => StatusCode::SERVICE_UNAVAILABLE,
            "not_found" => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let error = serde_json::json!({
            "status": "error", "errorType": self.kind, "error": self.message,
        });
        (status, axum::Json(error)).into_response()
    }
}

/// The data of an answer, as JSON.
pub(super) fn success(data: &str) -> Response {
    let text = format!("{{\"status\":\"success\",\"data\":{data}}}");
    ([(CONTENT_TYPE, "application/json")], Body::from(text)).into_response()
}

/// Data that is small.
pub(super) fn success_of(data: &serde_json::Value) -> Response {
    success(&data.to_string())
}

/// What an expression came to at `at_ms`.
pub(super) fn result(answer: &Answer, at_ms: i64) -> Result<String, Refused> {
    let mut out = String::new();
    match answer {
        Answer::Scalar(value) => {
            out.push_str("{\"resultType\":\"scalar\",\"result\":");
            sample(&mut out, at_ms, *value);
        }
        Answer::Text(text) => {
            out.push_str("{\"resultType\":\"string\",\"result\":[");
            time(&mut out, at_ms);
            out.push(',');
            out.push_str(&quoted(text));
            out.push(']');
        }
        Answer::Vector(all) => {
            out.push_str("{\"resultType\":\"vector\",\"result\":[");
            for (place, it) in all.iter().enumerate() {
                out.push_str(if place == 0 { "{\"metric\":" } else { ",{\"metric\":" });
                labels(&mut out, &it.labels);
                out.push_str(",\"value\":");
                sample(&mut out, at_ms, it.value);
                out.push('}');
                bounded(&out)?;
            }
            out.push(']');
        }
        Answer::Matrix(all) => {
            out.push_str("{\"resultType\":\"matrix\",\"result\":[");
            for (place, it) in all.iter().enumerate() {
                out.push_str(if place == 0 { "{\"metric\":" } else { ",{\"metric\":" });
                labels(&mut out, &it.labels);
                out.push_str(",\"values\":[");
                for (place, (at_ms, value)) in it.points.iter().enumerate() {
                    if place != 0 {
                        out.push(',');
                    }
                    sample(&mut out, *at_ms, *value);
                }
                out.push_str("]}");
                bounded(&out)?;
            }
            out.push(']');
        }
    }
    out.push('}');
    Ok(out)
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

fn quoted(text: &str) -> String {
    let mut out = String::new();
    quote(&mut out, text);
    out
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
            assert_eq!(result(&answer, 1_435_781_451_781).unwrap(), expected);
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
