//! Long polls: an answer when there is something new, or when the time is over.

use std::time::Duration;

use model::units::parse_duration;
use tokio::sync::watch;

use crate::answer::{Failure, invalid};

/// The longest wait, so that a forgotten client does not hold a connection for good.
const WAIT_MAX: Duration = Duration::from_mins(5);

/// How long a request may wait: `wait=30s`, or not at all.
pub(crate) fn parse(wait: Option<&str>) -> Result<Duration, Failure> {
    let Some(text) = wait else { return Ok(Duration::ZERO) };
    let wait = parse_duration(text).map_err(|error| invalid(format!("wait: {error}")))?;
    Ok(wait.min(WAIT_MAX))
}

/// Waits for `future`, for at most `wait`, and not beyond the end of the server. It is not even begun
/// when there is nothing to wait.
pub(crate) async fn at_most<T>(
    wait: Duration,
    stop: &watch::Receiver<bool>,
    future: impl Future<Output = T>,
) -> Option<T> {
    if wait.is_zero() {
        return None;
    }
    let mut stop = stop.clone();
    tokio::select! {
        result = tokio::time::timeout(wait, future) => result.ok(),
        _ = stop.wait_for(|it| *it) => None,
    }
}
