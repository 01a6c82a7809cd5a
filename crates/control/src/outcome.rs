//! Telling how a rollout ended.

use std::time::Duration;

use model::{ApplicationName, ServiceName};
use serde::Serialize;
use world::{Rollout, ServiceState};

use crate::webhook::{self, Payload};

/// Pauses before it is tried again. Whoever does not answer for a minute and a half is not told.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(16),
    Duration::from_secs(64),
];

/// What is posted.
#[derive(Debug, Serialize)]
struct Message<'a> {
    /// One sentence for people; the key is the one that chat services show.
    text: String,
    application: &'a ApplicationName,
    service: &'a ServiceName,
    rollout: u64,
    from: String,
    to: String,
    outcome: &'static str,
    reason: Option<&'a str>,
    by: Option<&'a str>,
    started_at: String,
    ended_at: String,
    /// Requests whose caller got an error from the new release in the end.
    harmed: u64,
}

/// The address that wants to know how the last rollout of a service ended, and what it is told.
pub(crate) fn message(
    application: &ApplicationName,
    service: &ServiceName,
    state: &ServiceState,
) -> Option<(String, String)> {
    let rollout: &Rollout = state.rollout.as_deref()?;
    let url = rollout.update.webhook.clone()?;
    let (outcome, ended_at) = rollout.outcome.as_ref()?;
    let (word, reason) = (outcome.word(), outcome.reason());
    let why = reason.map(|it| format!(": {it}")).unwrap_or_default();
    let message = Message {
        text: format!("{application}: {service}@{} was {word}{why}", rollout.to),
        application,
        service,
        rollout: rollout.id.0,
        from: rollout.from.to_string(),
        to: rollout.to.to_string(),
        outcome: word,
        reason,
        by: rollout.by.as_deref(),
        started_at: rollout.started_at.to_string(),
        ended_at: ended_at.to_string(),
        harmed: rollout.observations.iter().map(|it| it.new.harmed).sum(),
    };
    Some((url, serde_json::to_string(&message).ok()?))
}

/// Posts a message, more than once if it must be. Returns why it could not be.
pub(crate) async fn post(url: &str, body: &str) -> Result<(), String> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let Err(error) = webhook::post(url, Payload::json(body)).await else { return Ok(()) };
        let failure = model::chain(&error);
        tracing::warn!(error = %failure, "a webhook could not be told");
        match pauses.next() {
            Some(pause) => wait(pause).await,
            None => return Err(failure),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing tells when the other side will answer")]
async fn wait(pause: Duration) {
    tokio::time::sleep(pause).await;
}
