//! What the data plane tells the control process.

use std::cmp::Ordering;
use std::net::SocketAddr;
use std::path::PathBuf;

use model::heads::{HeadSize, HeadTime};
use model::network::Networks;
use model::rollout::Counts;
use model::units::Share;
use model::{ApplicationName, Index, InstanceId, ReleaseNumber, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::span::Span;

/// One message from the data plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The first message on a connection.
    Hello {
        /// The version of the data plane.
        version: String,
        /// Its process.
        pid: u32,
        /// Where the gateway listens.
        gateway: Option<SocketAddr>,
        /// Where the gateway listens for TLS.
        gateway_tls: Option<SocketAddr>,
        /// What else the gateway was told; older data planes were told nothing.
        #[serde(default)]
        options: Box<GatewayOptions>,
        /// Where the gateway was told to listen; older data planes do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<GatewayAddresses>,
        /// Its workers; older data planes do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workers: Option<usize>,
        /// Whether it has handed over to a successor, and lives on for the connections it has.
        #[serde(default)]
        is_retired: bool,
        /// Whether its limits count what is in flight elsewhere, if it is told; older data planes do not know what they are
        /// told then.
        #[serde(default)]
        counts_elsewhere: bool,
    },
    /// Every worker routes by the table of this index, or a later one.
    Applied {
        /// The index.
        index: Index,
    },
    /// A drained instance has no request in flight any more.
    Drained {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
    },
    /// An edge's address could not be listened on; it is tried again.
    ListenFailed {
        /// The edge's key in the table.
        edge: String,
        /// Why.
        reason: String,
    },
    /// What was measured.
    Signals(Signals),
}

/// Where a gateway is told to listen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayAddresses {
    /// For requests in clear.
    pub plain: Option<SocketAddr>,
    /// For TLS.
    pub tls: Option<SocketAddr>,
}

/// What a gateway is told beside where it listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayOptions {
    /// Whether and where requests are logged.
    pub access_log: Option<AccessLog>,
    /// The folder where every decision is logged, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_log: Option<PathBuf>,
    /// Whether every connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whose word is taken for whom a request comes from.
    #[serde(default, skip_serializing_if = "Networks::is_empty")]
    pub trusted_proxies: Networks,
    /// What it says of itself.
    #[serde(default)]
    pub says: Says,
    /// How large a head may be, at the gateway and inside.
    #[serde(default)]
    pub head_size: HeadSize,
    /// How long one may take to come, from its first byte, at the gateway and inside.
    #[serde(default)]
    pub head_time: HeadTime,
}

/// What a gateway says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Says {
    /// With `forwarded`, where a request came from.
    pub forwarded: bool,
    /// With `via`, that a request and its answer passed it.
    pub via: bool,
}

/// Where requests are logged, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLog {
    /// The file.
    pub file: PathBuf,
    /// The share of requests that are logged where nothing about them is worth it.
    pub sample: Share,
}

/// What was measured up to one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// When it was read off.
    pub at: Timestamp,
    /// Edges with traffic since the report before; all of them in a connection's first.
    pub edges: Vec<EdgeSignals>,
    /// Spans that were sampled since the report before.
    pub spans: Vec<Span>,
    /// Spans that were dropped because too many came since the report before.
    pub spans_dropped: u64,
    /// Connections from clients that are open.
    pub client_connections: u32,
    /// Connections to instances that are open.
    pub upstream_connections: u32,
}

/// Who calls over an edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// A service of the same application.
    Service(ServiceName),
    /// Somebody outside, by this route: host (or `*`) and path.
    Route(String),
}

/// An edge, as it is told apart in signals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EdgeName {
    /// The application.
    pub application: ApplicationName,
    /// Who calls.
    pub caller: Caller,
    /// The service that is called.
    pub callee: ServiceName,
}

impl EdgeName {
    /// As text: `shop/web>cart`, or `shop/shop.localhost/api>orders` for a route.
    pub fn key(&self) -> String {
        let caller = match &self.caller {
            Caller::Service(service) => service.as_str(),
            Caller::Route(route) => route,
        };
        format!("{}/{caller}>{}", self.application, self.callee)
    }

    /// It in a few words, as a part of a path: `the route shop.localhost/`, `the call from web to cart`.
    pub fn hop(&self) -> String {
        match &self.caller {
            Caller::Service(caller) => format!("the call from {caller} to {}", self.callee),
            Caller::Route(route) => format!("the route {route}"),
        }
    }
}

/// What crossed one edge since the data plane started. All counters only grow, the gauges at the end
/// say how it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeSignals {
    /// Which edge.
    pub edge: EdgeName,
    /// Requests that were refused before an instance was chosen, by reason (`no-instance`, `circuit-open`,
    /// `overloaded`, `queue-timeout`, `rate-limited`, `shed`, ..).
    pub refused: Vec<(String, u64)>,
    /// Requests that waited for a place below the limit.
    pub queued: u64,
    /// By release that answered, or was tried last.
    pub releases: Vec<ReleaseSignals>,
    /// How its instances are.
    pub instances: Vec<InstanceSignals>,
    /// Whether the edge's own breaker is open.
    pub open: bool,
    /// Requests in flight.
    pub in_flight: u32,
    /// The limit on them in force, if there is one.
    pub limit: Option<u32>,
    /// What was counted for a comparison of two releases, while there is one.
    #[serde(default)]
    pub trial: Option<TrialSignals>,
}

/// What two releases that are compared have made of requests that came to them by chance, since the
/// comparison's epoch began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialSignals {
    /// The epoch.
    pub epoch: Index,
    /// The old release's.
    pub old: Counts,
    /// The new release's.
    pub new: Counts,
}

/// What one release made of the requests over an edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReleaseSignals {
    /// The release; absent where none was reached.
    pub release: Option<ReleaseNumber>,
    /// Requests that ended, by what the caller got.
    pub outcomes: Outcomes,
    /// First attempts that ended, by what they came to: what a judge looks at.
    pub first_attempts: Outcomes,
    /// Attempts after the first.
    pub retries: u64,
    /// Second requests sent because the first took long.
    pub hedges: u64,
    /// Bytes of bodies towards instances.
    pub bytes_in: u64,
    /// Bytes of bodies towards callers.
    pub bytes_out: u64,
    /// Time from a request to the end of its answer, in microseconds.
    pub latency: Histogram,
    /// Time from a first attempt to the head of its answer, in microseconds.
    pub first_attempt_latency: Histogram,
}

/// Requests by what they came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Answered with a status below 400, or gRPC's OK.
    pub ok: u64,
    /// Answered with a status from 400 to 499.
    pub client_error: u64,
    /// Answered with a status from 500 on, by an instance; or a gRPC status that blames the server.
    pub server_error: u64,
    /// No answer: no connection, connection lost, garbage.
    pub failed: u64,
    /// No answer in time.
    pub timeout: u64,
    /// The caller went away.
    pub cancelled: u64,
}

impl Outcomes {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.ok
            + self.client_error
            + self.server_error
            + self.failed
            + self.timeout
            + self.cancelled
    }

    /// Those the callee is to blame for.
    pub const fn bad(&self) -> u64 {
        self.server_error + self.failed + self.timeout
    }
}

/// How an instance is, seen over one edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSignals {
    /// Which.
    pub instance: InstanceId,
    /// Requests in flight to it over this edge.
    pub in_flight: u32,
    /// Whether it is ejected: left alone because it failed.
    pub ejected: bool,
    /// Why, if it is.
    pub reason: Option<String>,
}

impl Outcomes {
    const fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.client_error += other.client_error;
        self.server_error += other.server_error;
        self.failed += other.failed;
        self.timeout += other.timeout;
        self.cancelled += other.cancelled;
    }
}

impl ReleaseSignals {
    fn add(&mut self, other: &Self) {
        self.outcomes.add(&other.outcomes);
        self.first_attempts.add(&other.first_attempts);
        self.retries += other.retries;
        self.hedges += other.hedges;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.latency.merge(&other.latency);
        self.first_attempt_latency.merge(&other.first_attempt_latency);
    }
}

impl Outcomes {
    const fn since(&self, earlier: &Self) -> Self {
        Self {
            ok: self.ok.saturating_sub(earlier.ok),
            client_error: self.client_error.saturating_sub(earlier.client_error),
            server_error: self.server_error.saturating_sub(earlier.server_error),
            failed: self.failed.saturating_sub(earlier.failed),
            timeout: self.timeout.saturating_sub(earlier.timeout),
            cancelled: self.cancelled.saturating_sub(earlier.cancelled),
        }
    }
}

impl ReleaseSignals {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            release: self.release,
            outcomes: self.outcomes.since(&earlier.outcomes),
            first_attempts: self.first_attempts.since(&earlier.first_attempts),
            retries: self.retries.saturating_sub(earlier.retries),
            hedges: self.hedges.saturating_sub(earlier.hedges),
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
            latency: self.latency.since(&earlier.latency),
            first_attempt_latency: self.first_attempt_latency.since(&earlier.first_attempt_latency),
        }
    }
}

impl TrialSignals {
    /// Together with others; those of an earlier epoch say nothing more.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        match self.epoch.cmp(&other.epoch) {
            Ordering::Less => *other,
            Ordering::Greater => self,
            Ordering::Equal => Self {
                epoch: self.epoch,
                old: self.old.plus(&other.old),
                new: self.new.plus(&other.new),
            },
        }
    }
}

impl EdgeSignals {
    /// What was counted, and nothing of how the edge is.
    #[must_use]
    pub fn counted(&self) -> Self {
        let mut counted = self.clone();
        counted.instances.clear();
        (counted.open, counted.in_flight) = (false, 0);
        (counted.limit, counted.trial) = (None, None);
        counted
    }

    /// What was counted since an earlier report of the same data plane.
    #[must_use]
    pub fn counted_since(&self, earlier: &Self) -> Self {
        let mut counted = self.counted();
        counted.queued = counted.queued.saturating_sub(earlier.queued);
        for (reason, count) in &mut counted.refused {
            let before = earlier.refused.iter().find(|it| it.0 == *reason);
            *count = count.saturating_sub(before.map_or(0, |it| it.1));
        }
        for release in &mut counted.releases {
            if let Some(before) = earlier.releases.iter().find(|it| it.release == release.release) {
                *release = release.since(before);
            }
        }
        counted
    }

    /// Together with what another worker saw of the same edge.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        for (reason, count) in &other.refused {
            match self.refused.iter_mut().find(|(it, _)| it == reason) {
                Some((_, sum)) => *sum += count,
                None => self.refused.push((reason.clone(), *count)),
            }
        }
        for release in &other.releases {
            match self.releases.iter_mut().find(|it| it.release == release.release) {
                Some(sum) => sum.add(release),
                None => self.releases.push(release.clone()),
            }
        }
        for instance in &other.instances {
            match self.instances.iter_mut().find(|it| it.instance == instance.instance) {
                Some(sum) => {
                    sum.in_flight += instance.in_flight;
                    sum.ejected |= instance.ejected;
                    sum.reason = sum.reason.take().or_else(|| instance.reason.clone());
                }
                None => self.instances.push(instance.clone()),
            }
        }
        self.trial = match (self.trial, other.trial) {
            (Some(mine), Some(theirs)) => Some(mine.with(&theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        self.queued += other.queued;
        self.open |= other.open;
        self.in_flight += other.in_flight;
        self.limit = match (self.limit, other.limit) {
            (Some(mine), Some(theirs)) => Some(mine.saturating_add(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(epoch: u64, requests: u64) -> TrialSignals {
        let slow = std::array::from_fn(|it| requests / (it as u64 + 1));
        let old = Counts { requests, errors: requests / 10, slow, harmed: requests / 20 };
        TrialSignals { epoch: Index(epoch), old, new: Counts { requests: 1, ..old } }
    }

    fn edge(trial: Option<TrialSignals>) -> EdgeSignals {
        EdgeSignals {
            edge: EdgeName {
                application: "shop".parse().unwrap(),
                caller: Caller::Route("*/".to_owned()),
                callee: "cart".parse().unwrap(),
            },
            refused: Vec::new(),
            queued: 0,
            releases: Vec::new(),
            instances: Vec::new(),
            open: false,
            in_flight: 0,
            limit: None,
            trial,
        }
    }

    /// What two workers have seen is `sum`, whichever is asked first.
    #[track_caller]
    fn check(one: Option<TrialSignals>, other: Option<TrialSignals>, sum: Option<TrialSignals>) {
        assert_eq!(edge(one).with(&edge(other)).trial, sum);
        assert_eq!(edge(other).with(&edge(one)).trial, sum);
    }

    #[test]
    fn workers_add_up_within_an_epoch_and_the_later_one_counts() {
        let both = Counts { requests: 300, errors: 30, slow: [300, 150, 99, 75, 60], harmed: 15 };
        let new = Counts { requests: 2, ..both };
        let sum = TrialSignals { epoch: Index(7), old: both, new };
        check(Some(trial(7, 100)), Some(trial(7, 200)), Some(sum));
        check(Some(trial(7, 100)), Some(trial(8, 2)), Some(trial(8, 2)));
        check(Some(trial(7, 100)), None, Some(trial(7, 100)));
        check(None, None, None);
    }
}
