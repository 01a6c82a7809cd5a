//! Asking the control process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use api::openapi::Health;
use api::{ApiError, StatusView};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use model::units::DurationText;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::error::CommandError;

/// Bytes of an answer, at most.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Time in which a control process that is there says so. It takes a millisecond; a machine that is busy beyond
/// measure may need seconds.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How often it is asked whether it still is there while an answer takes its time.
const PRESENCE_POLL: Duration = Duration::from_secs(5);
/// How long one long poll may take.
pub(crate) const POLL: Duration = Duration::from_secs(30);

/// A control process, by its socket.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

/// A path and its query, escaped.
#[derive(Clone, Debug)]
pub(crate) struct Target(String);

impl Target {
    /// The path made of these segments.
    pub(crate) fn new(segments: &[&str]) -> Self {
        Self(segments.iter().fold(String::new(), |path, it| path + "/" + &escape(it)))
    }

    /// With a query parameter, if there is a value.
    pub(crate) fn with(self, name: &str, value: Option<impl ToString>) -> Self {
        let Some(value) = value else { return self };
        let separator = if self.0.contains('?') { '&' } else { '?' };
        Self(format!("{}{separator}{name}={}", self.0, escape(&value.to_string())))
    }
}

/// Escapes everything but the unreserved characters of RFC 3986, section 2.3.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let digit = |it: u8| char::from_digit(u32::from(it), 16).unwrap_or('0');
            escaped.extend(
                ['%', digit(byte >> 4), digit(byte & 15)].map(|it| it.to_ascii_uppercase()),
            );
        }
    }
    escaped
}

/// Who answers at a socket.
#[derive(Debug)]
pub(crate) enum Presence {
    /// A control process.
    There(Health),
    /// Nobody.
    Absent,
    /// Somebody who says nothing: a process that is stopped, or a machine that is far too busy.
    Silent,
}

impl Client {
    pub(crate) const fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether somebody answers.
    pub(crate) async fn is_there(&self) -> bool {
        matches!(self.presence().await, Presence::There(_))
    }

    /// Who answers.
    pub(crate) async fn presence(&self) -> Presence {
        let health = self.exchange(Method::GET, Target::new(&["health"]), Bytes::new());
        match tokio::time::timeout(SILENCE_MAX, health).await {
            Ok(Ok(health)) => Presence::There(health),
            Ok(Err(_)) => Presence::Absent,
            Err(_) => Presence::Silent,
        }
    }

    /// That somebody has the socket and says nothing.
    pub(crate) fn silent(&self) -> CommandError {
        let lock = self.socket.with_file_name("lock");
        let pid = std::fs::read_to_string(lock).ok().and_then(|it| it.trim().parse().ok());
        CommandError::Silent { pid, silence_max: SILENCE_MAX }
    }

    /// Asks the control process to end.
    pub(crate) async fn shut_down(&self) -> Result<(), CommandError> {
        self.post::<Health>(Target::new(&["v1", "shutdown"]), &()).await.map(drop)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, target: Target) -> Result<T, CommandError> {
        self.ask(Method::GET, target, Bytes::new()).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        target: Target,
        body: &impl Serialize,
    ) -> Result<T, CommandError> {
        let body = serde_json::to_vec(body).map_err(|it| CommandError::Answer(it.to_string()))?;
        self.ask(Method::POST, target, Bytes::from(body)).await
    }

    /// The state as soon as its index is above `after`, or when a long poll is over.
    pub(crate) async fn changed(
        &self,
        application: Option<&str>,
        after: u64,
    ) -> Result<StatusView, CommandError> {
        let target = Target::new(&["v1", "status"])
            .with("application", application)
            .with("after", Some(after))
            .with("wait", Some(DurationText(POLL)));
        self.get(target).await
    }

    /// An answer may take its time: a bake reads many files, a long poll waits for a change. So what has a limit is
    /// not the answer, but the silence of whoever is to give it.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        target: Target,
        body: Bytes,
    ) -> Result<T, CommandError> {
        tokio::select! {
            answer = self.exchange(method, target, body) => answer,
            () = self.silence() => Err(self.silent()),
        }
    }

    /// Until whoever has the socket says nothing any more.
    async fn silence(&self) {
        let mut ticks = tokio::time::interval(PRESENCE_POLL);
        // The first tick comes at once.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if matches!(self.presence().await, Presence::Silent) {
                return;
            }
        }
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        target: Target,
        body: Bytes,
    ) -> Result<T, CommandError> {
        let unreachable =
            |source| CommandError::Unreachable { socket: self.socket.clone(), source };
        let lost = |error: hyper::Error| unreachable(std::io::Error::other(error));
        let stream = UnixStream::connect(&self.socket).await.map_err(unreachable)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // It ends when the sender is dropped.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(target.0)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| CommandError::Answer(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| unreachable(std::io::Error::other(error)))?.to_bytes();
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| CommandError::Answer(error.to_string()))
    }
}

/// Why a request was refused: in the platform's own words, or in those of Prometheus' API, which metrics are asked by.
fn refusal(status: StatusCode, body: &[u8]) -> CommandError {
    #[derive(Deserialize)]
    struct OfPrometheus {
        error: String,
    }
    if let Ok(error) = serde_json::from_slice::<ApiError>(body) {
        return error.into();
    }
    match serde_json::from_slice::<OfPrometheus>(body) {
        Ok(it) => CommandError::Wrong(it.error),
        Err(_) => CommandError::Answer(format!("status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue_12_a_question_that_is_wrong_is_answered_in_prometheus_words() {
        let body = br#"{"status": "error", "errorType": "bad_data", "error": "1:6: parse error: unclosed"}"#;
        let refused = refusal(StatusCode::BAD_REQUEST, body);
        assert_eq!(refused.to_string(), "1:6: parse error: unclosed");
        let own = br#"{"kind": "not_found", "message": "there is no shop"}"#;
        assert!(refusal(StatusCode::NOT_FOUND, own).to_string().contains("no shop"));
        assert!(refusal(StatusCode::BAD_GATEWAY, b"<html>").to_string().contains("status 502"));
    }

    #[test]
    fn targets_are_escaped() {
        let target = Target::new(&["v1", "a b/c"])
            .with("at", Some("@5 +1"))
            .with("none", None::<&str>)
            .with("n", Some(3));
        assert_eq!(target.0, "/v1/a%20b%2Fc?at=%405%20%2B1&n=3");
    }
}
