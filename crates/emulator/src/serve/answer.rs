//! What a synthetic service answers: JSON in which a person sees which way the request went.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Services named in one answer, at most: more than any architecture in the reference has.
const VISITED_MAX: usize = 256;

/// Bytes of a callee's answer that are looked at for the services it visited. Longer ones are read to
/// their end and forgotten.
const READ_BYTES_MAX: usize = 256 << 10;

/// The body of an answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answer<'a> {
    pub(crate) service: &'a str,
    pub(crate) instance: &'a str,
    /// What went wrong, in an answer of 4xx or 5xx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// The calls made, in the order they were planned.
    pub(crate) calls: Vec<CallReport>,
    /// Every service the request went through, this one first, each once.
    pub(crate) visited: Vec<String>,
}

/// One call as its caller saw it.
#[derive(Debug, Serialize)]
pub(crate) struct CallReport {
    pub(crate) service: String,
    /// Absent when there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// Why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    pub(crate) ms: f64,
    /// Every service the call went through, the callee first.
    pub(crate) visited: Vec<String>,
}

impl CallReport {
    /// Why this call failed, for the caller's own answer.
    pub(crate) fn failure(&self) -> String {
        let Self { service, status, error, .. } = self;
        match (status, error) {
            (Some(status), _) => format!("callee `{service}` answered {status}"),
            (None, Some(error)) => format!("callee `{service}` did not answer: {error}"),
            (None, None) => format!("callee `{service}` was not called"),
        }
    }
}

/// Milliseconds to two digits after the point: what a person reads.
pub(crate) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

/// `own` and then everything the calls visited, each once.
pub(crate) fn visited(own: &str, calls: &[CallReport]) -> Vec<String> {
    let mut visited = vec![own.to_owned()];
    for name in calls.iter().flat_map(|it| &it.visited) {
        if visited.len() < VISITED_MAX && !visited.contains(name) {
            visited.push(name.clone());
        }
    }
    visited
}

impl Answer<'_> {
    /// The answer as JSON, filled up to `bytes`; longer if what it says is.
    pub(crate) fn into_json(self, bytes: u64) -> String {
        const OPEN: &str = r#","padding":""#;
        const CLOSE: &str = r#""}"#;
        // Text, numbers and lists of them always have a JSON form.
        let mut json = serde_json::to_string(&self).unwrap_or_else(|_| "{}".to_owned());
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let fixed = json.len() - 1 + OPEN.len() + CLOSE.len();
        if let Some(padding) = bytes.checked_sub(fixed) {
            json.truncate(json.len() - 1);
            json.reserve_exact(bytes - json.len());
            json.push_str(OPEN);
            json.extend(std::iter::repeat_n('.', padding));
            json.push_str(CLOSE);
        }
        json
    }
}

/// Reads a callee's answer as it comes, for the services it visited. Any JSON object with a list of
/// names under `visited` says so, synthetic or not.
#[derive(Debug, Default)]
pub(crate) struct VisitedReader {
    bytes: Vec<u8>,
    too_long: bool,
}

impl VisitedReader {
    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.too_long |= READ_BYTES_MAX < self.bytes.len() + piece.len();
        if !self.too_long {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// The callee, then whatever its answer says it visited.
    pub(crate) fn finish(self, callee: &str) -> Vec<String> {
        #[derive(Deserialize)]
        struct Visited {
            visited: Vec<String>,
        }
        let mut visited = vec![callee.to_owned()];
        if !self.too_long
            && let Ok(answer) = serde_json::from_slice::<Visited>(&self.bytes)
        {
            visited.extend(answer.visited.into_iter().filter(|it| it != callee));
            visited.truncate(VISITED_MAX);
        }
        visited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: &str, visited: &[&str]) -> CallReport {
        let visited = visited.iter().map(|it| (*it).to_owned()).collect();
        CallReport { service: service.to_owned(), status: Some(200), error: None, ms: 1.2, visited }
    }

    #[test]
    fn an_answer_has_the_size_it_should() {
        let calls = vec![call("db", &["db", "disk"]), call("db", &["db"])];
        let visited = visited("cart", &calls);
        assert_eq!(visited, ["cart", "db", "disk"]);
        let answer = || Answer {
            service: "cart",
            instance: "cart.1",
            error: None,
            calls: vec![call("db", &["db"])],
            visited: visited.clone(),
        };
        assert_eq!(answer().into_json(4_096).len(), 4_096);
        assert_eq!(
            answer().into_json(1),
            r#"{"service":"cart","instance":"cart.1","calls":[{"service":"db","status":200,"ms":1.2,"visited":["db"]}],"visited":["cart","db","disk"]}"#
        );
        for bytes in 130..160 {
            let json = answer().into_json(bytes);
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        }
    }

    #[track_caller]
    fn check(body: &str, expected: &[&str]) {
        let mut reader = VisitedReader::default();
        for piece in body.as_bytes().chunks(7) {
            reader.push(piece);
        }
        assert_eq!(reader.finish("db"), expected);
    }

    #[test]
    fn visited_services_are_read_from_any_json() {
        check(r#"{"visited": ["db", "disk"], "other": [1, {"a": 2}]}"#, &["db", "disk"]);
        check(r#"{"rows": 3}"#, &["db"]);
        check("<html>", &["db"]);
        check(&format!(r#"{{"visited": ["x"], "padding": "{}"}}"#, ".".repeat(300_000)), &["db"]);
    }
}
