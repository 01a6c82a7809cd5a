//! Remote write: everything that is kept is sent on to another Prometheus, or to whatever takes its protocol.
//!
//! There is no queue. What is sent is read from the store, a stretch of time after the other; how far that has come is
//! written down. So nothing is lost while the other side is away, for as long as the store keeps it, and memory does not grow.
//! Samples that come to the store later than they were taken, by more than a few seconds, are not sent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use host::{Clock, files};
use promql::{Selection, Source as _};
use telemetry::Stores;
use telemetry::metrics::remote::WriteRequest;
use tokio::sync::watch;
use world::World;

use crate::ticks;
use crate::webhook::{self, Payload};

/// Time samples get to arrive before they are sent.
const SETTLE_MS: u64 = 10_000;
/// The longest stretch that is sent at once.
const STRETCH_MS: u64 = 60_000;
/// Milliseconds behind what was sent at which the clock has been set back, and is not just read a little later.
const SET_BACK_MS: u64 = 60_000;
/// Between two stretches.
const EVERY: Duration = Duration::from_secs(5);
/// Series in one request: what Prometheus puts into one.
const SERIES_MAX: usize = 2_000;

/// Sends everything on.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) url: String,
    pub(super) stores: Arc<Stores>,
    pub(super) clock: Clock,
    /// Where it is written down how far it has come.
    pub(super) file: PathBuf,
    pub(super) worlds: watch::Receiver<Arc<World>>,
}

impl Sender {
    /// Runs until the last world was published.
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let now_ms = self.clock.timestamp().as_millis();
        let mut sent_ms = self.before().unwrap_or_else(|| now_ms.saturating_sub(SETTLE_MS));
        while ticks::next(&mut ticks, &mut self.worlds).await {
            let settled_ms = self.clock.timestamp().as_millis().saturating_sub(SETTLE_MS);
            if settled_ms.saturating_add(SET_BACK_MS) < sent_ms {
                // It was sent up to a future that was corrected.
                sent_ms = settled_ms;
            }
            while sent_ms < settled_ms {
                let to_ms = settled_ms.min(sent_ms + STRETCH_MS);
                if let Err(error) = self.send(sent_ms, to_ms).await {
                    tracing::warn!(
                        error,
                        url = self.url,
                        "metrics cannot be sent on; it is tried again"
                    );
                    break;
                }
                sent_ms = to_ms;
                let place = format!("{sent_ms} {}", self.url);
                if let Err(error) = files::write_whole(&self.file, place.as_bytes()) {
                    tracing::warn!(%error, "it cannot be written down how far metrics were sent on");
                }
            }
        }
    }

    /// How far the control process before this one has come with the same address.
    fn before(&self) -> Option<u64> {
        let text = String::from_utf8(files::read_if_there(&self.file).ok()??).ok()?;
        let (sent_ms, url) = text.split_once(' ')?;
        if url == self.url { sent_ms.parse().ok() } else { None }
    }

    /// Sends the samples after one moment and up to another.
    async fn send(&self, from_ms: u64, to_ms: u64) -> Result<(), String> {
        let stores = Arc::clone(&self.stores);
        let read = tokio::task::spawn_blocking(move || requests(&stores, from_ms, to_ms)).await;
        let bodies = read.map_err(|error| error.to_string())??;
        for body in bodies {
            let payload = Payload {
                body,
                headers: &[
                    ("content-type", "application/x-protobuf"),
                    ("content-encoding", "snappy"),
                    ("x-prometheus-remote-write-version", "0.1.0"),
                ],
            };
            match webhook::post(&self.url, payload).await {
                Ok(()) => {}
                // What the other side has refused it will refuse again.
                Err(webhook::WebhookError::Status(status @ 400..500)) if status != 429 => {
                    tracing::warn!(
                        status,
                        url = self.url,
                        "metrics that were sent on were refused"
                    );
                }
                Err(error) => return Err(model::chain(&error)),
            }
        }
        Ok(())
    }
}

fn requests(stores: &Stores, from_ms: u64, to_ms: u64) -> Result<Vec<Vec<u8>>, String> {
    let ms = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    let selection = Selection { matchers: &[], from_ms: ms(from_ms) + 1, to_ms: ms(to_ms) };
    let mut bodies = Vec::new();
    let (mut request, mut count) = (WriteRequest::default(), 0);
    let read = stores.metrics.select(&selection, &mut |series| {
        let samples = series.times.iter().copied().zip(series.values.iter().copied());
        request.add(series.labels, samples);
        count += 1;
        if count == SERIES_MAX {
            bodies.push(std::mem::take(&mut request).body());
            count = 0;
        }
        std::ops::ControlFlow::Continue(())
    });
    read.map_err(|error| error.to_string())?;
    if 0 < count {
        bodies.push(request.body());
    }
    Ok(bodies)
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use telemetry::metrics::Point;
    use telemetry::stores::Limits;

    use super::*;

    #[test]
    fn a_stretch_is_sent_once() {
        let folder = tempfile::tempdir().unwrap();
        let (stores, _) = Stores::open(folder.path(), Limits::default(), Timestamp::EPOCH).unwrap();
        let mut appender = stores.metrics.append("test", Timestamp::from_millis(10_000));
        for number in 0..=SERIES_MAX {
            let labels = vec![("n".to_owned(), number.to_string())];
            for at_ms in [1_000, 2_000, 3_000] {
                appender.point(&Point { labels: labels.clone(), at_ms, value: 1.0 });
            }
        }
        appender.finish().unwrap();
        let (other, _) =
            Stores::open(&folder.path().join("other"), Limits::default(), Timestamp::EPOCH)
                .unwrap();
        for (from, to, expected) in
            [(1_000, 2_000, 2_001), (2_000, 3_000, 2_001), (3_000, 4_000, 0)]
        {
            let mut appender = other.metrics.append("remote", Timestamp::from_millis(10_000));
            for body in requests(&stores, from, to).unwrap() {
                telemetry::metrics::remote::write(&body, &mut appender, &other.metrics).unwrap();
            }
            let appended = appender.finish().unwrap();
            assert_eq!((appended.accepted, appended.refused), (expected, 0));
        }
    }
}
