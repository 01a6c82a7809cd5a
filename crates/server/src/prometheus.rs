//! Prometheus' HTTP API over the store of metrics, so that Grafana, promtool and every client of Prometheus work.
//!
//! What it answers, and with which words it refuses, is as in Prometheus 3; where a Prometheus has a configuration and a
//! command line, this one says that it has none. Source: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

mod answer;
mod asked;
mod delivery;
mod exposed;
mod labels;
mod query;
mod status;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use host::Clock;
use telemetry::Stores;
use tokio::sync::Semaphore;

use crate::body::BODY_BYTES_MAX;

/// Questions worked on at once; more wait. Each may use one processor for seconds.
const QUERIES_MAX: usize = 4;
/// Long answers that clients read at once; further ones are refused. What each was made of is in memory until then.
const DELIVERIES_MAX: usize = 4;

/// What handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) stores: Arc<Stores>,
    pub(crate) clock: Clock,
    queries: Arc<Semaphore>,
    deliveries: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(stores: Arc<Stores>, clock: Clock) -> Self {
        let [queries, deliveries] =
            [QUERIES_MAX, DELIVERIES_MAX].map(|it| Arc::new(Semaphore::new(it)));
        Self { stores, clock, queries, deliveries }
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
