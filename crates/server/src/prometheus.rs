//! Prometheus' HTTP API over the store of metrics, so that Grafana, promtool and every client of Prometheus work.
//!
//! What it answers, and with which words it refuses, is as in Prometheus 3; where a Prometheus has a configuration and a
//! command line, this one says that it has none. Source: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

mod answer;
mod asked;
mod exposed;
mod labels;
mod query;
mod status;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use host::Clock;
use telemetry::Stores;
use tokio::sync::Semaphore;

use crate::body::BODY_BYTES_MAX;

/// Questions worked on at once; more wait. Each may use one processor for seconds.
const QUERIES_MAX: usize = 4;

/// Whether somebody still waits for an answer: a client that leaves ends what it has asked for.
#[derive(Clone, Debug)]
struct Wanted(Arc<AtomicBool>);

impl Wanted {
    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Held while somebody waits.
#[derive(Debug)]
struct Waiting(Wanted);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// What handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) stores: Arc<Stores>,
    pub(crate) clock: Clock,
    queries: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(stores: Arc<Stores>, clock: Clock) -> Self {
        Self { stores, clock, queries: Arc::new(Semaphore::new(QUERIES_MAX)) }
    }

    /// Runs something that reads files or takes long, beside everything else; when as much runs already, it waits.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Stores, &Wanted) -> Result<T, answer::Refused> + Send + 'static,
    ) -> Result<T, answer::Refused> {
        let wanted = Wanted(Arc::new(AtomicBool::new(true)));
        let waiting = Waiting(wanted.clone());
        let permit = Arc::clone(&self.queries).acquire_owned().await;
        let stores = Arc::clone(&self.stores);
        let worked = tokio::task::spawn_blocking(move || {
            let worked = work(&stores, &wanted);
            drop(permit);
            worked
        });
        let worked = worked.await;
        drop(waiting);
        worked.unwrap_or_else(|error| Err(answer::Refused::internal(error.to_string())))
    }
}

/// The API's routes.
pub(crate) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/query_exemplars", get(query::exemplars).post(query::exemplars))
        .route("/api/v1/format_query", get(query::format).post(query::format))
        .route("/api/v1/series", get(labels::series).post(labels::series))
        .route("/api/v1/labels", get(labels::names).post(labels::names))
        .route("/api/v1/label/{name}/values", get(labels::values))
        .route("/api/v1/metadata", get(labels::metadata))
        .route("/api/v1/targets", get(status::targets))
        .route("/api/v1/rules", get(status::rules))
        .route("/api/v1/alerts", get(status::alerts))
        .route("/api/v1/alertmanagers", get(status::alertmanagers))
        .route("/api/v1/status/buildinfo", get(status::build))
        .route("/api/v1/status/config", get(status::configuration))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/runtimeinfo", get(status::runtime))
        .route("/api/v1/status/tsdb", get(status::store))
        .route("/api/v1/status/walreplay", get(status::replay))
        .route("/api/v1/write", post(write::write))
        .route("/metrics", get(exposed::metrics))
        .route("/federate", get(exposed::federate))
        .route("/-/healthy", get(async || "Pelago is healthy.\n"))
        .route("/-/ready", get(async || "Pelago is ready.\n"))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn issue_12_work_that_nobody_waits_for_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let (clock, limits) = (Clock::start(), telemetry::stores::Limits::default());
        let (stores, _damage) = Stores::open(folder.path(), limits, clock.timestamp()).unwrap();
        let shared = Shared::new(Arc::new(stores), clock);
        let (ended, end) = std::sync::mpsc::channel();
        let work = shared.work(move |_, wanted| {
            while wanted.is() {
                std::thread::yield_now();
            }
            ended.send(()).unwrap();
            Ok(())
        });
        tokio::select! {
            biased;
            worked = work => panic!("{worked:?}"),
            () = std::future::ready(()) => {}
        }
        end.recv().unwrap();
    }
}
