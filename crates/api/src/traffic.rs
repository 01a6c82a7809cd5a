//! What crossed the edges in the last while, as plain counts: what the views of edges, routes and the
//! graph are drawn from, beside the world.
//!
//! The engine measures in its own types and hands over these; so the promises of the API do not change
//! with how it measures.

use std::time::Duration;

use model::{ApplicationName, InstanceId, ReleaseNumber, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the data plane measured over a window of time that ends now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Whether a data plane reports. Without one there are no figures.
    pub connected: bool,
    /// The time that the counts are of.
    pub window: Duration,
    /// Where the gateway listens, as URLs without a path: `http://127.0.0.1:8080`.
    pub gateway: Vec<String>,
    /// Edges that were ever used, each once.
    pub edges: Vec<EdgeTraffic>,
}

/// Who calls over an edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// A service of the same application.
    Service(ServiceName),
    /// Somebody outside, by the route with this [key](world::routing::route_key).
    Route(String),
}

/// What crossed one edge. Counts are of the window unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeTraffic {
    /// The application.
    pub application: ApplicationName,
    /// Who calls.
    pub caller: Caller,
    /// Who is called.
    pub callee: ServiceName,
    /// Requests since the data plane started.
    pub requests_ever: u64,
    /// Requests refused before an instance was chosen, by reason. They are in no release.
    pub refused: Vec<(String, u64)>,
    /// What each release made of the others.
    pub releases: Vec<ReleaseTraffic>,
    /// Latency over all releases.
    pub latency: Latency,
    /// Requests in flight now.
    pub in_flight: u32,
    /// The limit on them in force, if there is one.
    pub limit: Option<u32>,
    /// Whether the edge's own breaker is open.
    pub open: bool,
    /// Instances that are left alone because they failed.
    pub ejected: Vec<Ejected>,
}

/// What one release made of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseTraffic {
    /// The release; absent where it is not known.
    pub release: Option<ReleaseNumber>,
    /// Requests that ended.
    pub requests: u64,
    /// Those of them the callee is to blame for not being answered well.
    pub bad: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Second requests sent because the first took long.
    pub hedges: u64,
    /// Bytes of bodies towards instances.
    pub bytes_in: u64,
    /// Bytes of bodies towards callers.
    pub bytes_out: u64,
    /// Time from a request to the end of its answer.
    pub latency: Latency,
}

/// Quantiles of a latency; absent where nothing ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half took no longer.
    pub p50: Option<Duration>,
    /// 95 % took no longer.
    pub p95: Option<Duration>,
    /// 99 % took no longer.
    pub p99: Option<Duration>,
}

/// An instance that is left alone because it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejected {
    /// Which.
    pub instance: InstanceId,
    /// Why.
    pub reason: Option<String>,
}

impl Traffic {
    /// What crossed this edge, if anything ever did.
    pub fn edge(
        &self,
        application: &ApplicationName,
        caller: &Caller,
        callee: &ServiceName,
    ) -> Option<&EdgeTraffic> {
        self.edges.iter().find(|it| {
            it.application == *application && it.caller == *caller && it.callee == *callee
        })
    }
}

/// A data plane that was replaced and goes on for the connections it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrainingView {
    /// Its process.
    pub pid: u32,
    /// Connections from clients that are open.
    pub client_connections: u32,
    /// Memory it takes, in bytes.
    pub resident_bytes: u64,
}
