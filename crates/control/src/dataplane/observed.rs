//! What the data plane has said: what it is, and what it measured lately.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{Index, Timestamp};
use telemetry::report::EdgeName;
use telemetry::{EdgeSignals, GatewayAddresses, GatewayOptions, Report, Signals, Span};

use super::Following;
use super::replaced::{Edges, Replaced};

/// Reports remembered for rates. One comes a second, and what is shown are the last ten seconds.
const REPORTS_MAX: usize = 64;
/// Sampled spans remembered.
const SPANS_MAX: usize = 4_096;
/// Addresses remembered that could not be listened on.
const FAILURES_MAX: usize = 256;

/// What the data plane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where the gateway listens.
    pub gateway: Option<SocketAddr>,
    /// Where the gateway listens for TLS.
    pub gateway_tls: Option<SocketAddr>,
    /// What else the gateway was told.
    pub options: GatewayOptions,
    /// Where the gateway was told to listen, if that was said.
    pub asked: Option<GatewayAddresses>,
    /// Its workers, if it said how many.
    pub workers: Option<usize>,
    /// Whether its limits count what is in flight elsewhere.
    pub counts_elsewhere: bool,
}

/// A data plane that was replaced, and goes on for the connections it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Its process.
    pub pid: u32,
    /// Connections from clients that are open.
    pub client_connections: u32,
    /// Memory it takes, in bytes.
    pub resident_bytes: u64,
}

/// Everything the data plane has said lately.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Those that were replaced and go on, the oldest first.
    pub retired: Vec<Retired>,
    /// What they have measured since they were replaced.
    pub(crate) replaced: Replaced,
    /// The process that served before this one, and what it had reported then.
    predecessor: Option<(u32, Edges)>,
    /// Whether it is connected now.
    pub is_connected: bool,
    /// When it last said anything.
    pub heard: Timestamp,
    /// What it is, if one was ever connected.
    pub hello: Option<Hello>,
    /// The index of the table it routes by, or of an earlier one.
    pub applied: Index,
    /// How soon it follows what is recorded.
    pub following: Following,
    /// Every edge that has had traffic, as it was last.
    pub edges: BTreeMap<EdgeName, Arc<EdgeSignals>>,
    /// Connections from clients that are open.
    pub client_connections: u32,
    /// Connections to instances that are open.
    pub upstream_connections: u32,
    /// Sampled spans, oldest first.
    pub spans: VecDeque<Span>,
    /// Spans it had to drop.
    pub spans_dropped: u64,
    /// Addresses of edges that could not be listened on, by the edge's key in the routing table: when it
    /// was last tried, and why not.
    pub failures: BTreeMap<String, (Timestamp, String)>,
    /// Every edge as it was before the first of `reports`.
    base: BTreeMap<EdgeName, Arc<EdgeSignals>>,
    /// The last reports: when, and the edges that had traffic.
    reports: VecDeque<(Timestamp, Vec<Arc<EdgeSignals>>)>,
}

/// Edges at two moments. The difference of their counters is what happened in between.
#[derive(Clone, Debug)]
pub struct Window {
    /// The first moment.
    pub from: Timestamp,
    /// The second.
    pub to: Timestamp,
    /// Edges at the first; one that had had no traffic is not there.
    pub before: BTreeMap<EdgeName, Arc<EdgeSignals>>,
    /// Edges at the second.
    pub after: BTreeMap<EdgeName, Arc<EdgeSignals>>,
}

impl Observed {
    /// The edges now, and as they were at the last report at least `length` before; at the first there
    /// is, if that is later. Nothing while there are no two reports.
    pub fn window(&self, length: Duration) -> Option<Window> {
        let (to, _) = self.reports.back()?;
        let is_before = |it: &&(Timestamp, _)| length <= to.since(it.0);
        let from = self.reports.iter().rfind(is_before).or_else(|| self.reports.front())?.0;
        let mut before = self.base.clone();
        for (_, edges) in self.reports.iter().take_while(|(at, _)| *at <= from) {
            merge(&mut before, edges);
        }
        (from < *to).then(|| Window { from, to: *to, before, after: self.edges.clone() })
    }

    /// Takes in a message that came at `now`.
    pub(super) fn take_in(&mut self, report: Report, now: Timestamp) {
        self.heard = now;
        match report {
            Report::Hello {
                version,
                pid,
                gateway,
                gateway_tls,
                options,
                asked,
                workers,
                is_retired: _,
                counts_elsewhere,
            } => self.greet(Hello {
                version,
                pid,
                gateway,
                gateway_tls,
                options: *options,
                asked,
                workers,
                counts_elsewhere,
            }),
            Report::Applied { index } => self.applied = index,
            Report::ListenFailed { edge, reason } => {
                if self.failures.len() < FAILURES_MAX || self.failures.contains_key(&edge) {
                    self.failures.insert(edge, (now, reason));
                }
            }
            Report::Signals(signals) => self.measured(signals),
            Report::Drained { .. } => {}
        }
    }

    /// The data plane with this process goes on, and was replaced: perhaps by one that has not said who it is yet.
    pub(super) fn replaced(&mut self, pid: u32) {
        let served = self.hello.as_ref().is_some_and(|it| it.pid == pid);
        let before = match self.predecessor.take_if(|it| it.0 == pid) {
            Some((_, edges)) => edges,
            None if served => self.edges.clone(),
            None => Edges::new(),
        };
        self.replaced.begin(pid, before);
    }

    /// Another process counts from zero.
    fn greet(&mut self, hello: Hello) {
        if self.hello.as_ref().is_none_or(|it| it.pid != hello.pid) {
            let spans = std::mem::take(&mut self.spans);
            let retired = std::mem::take(&mut self.retired);
            let replaced = std::mem::take(&mut self.replaced);
            let edges = std::mem::take(&mut self.edges);
            let predecessor = self.hello.take().map(|it| (it.pid, edges));
            let (is_connected, heard) = (self.is_connected, self.heard);
            *self = Self {
                retired,
                replaced,
                predecessor,
                is_connected,
                heard,
                spans,
                ..Self::default()
            };
        }
        self.hello = Some(hello);
    }

    fn measured(&mut self, signals: Signals) {
        let edges: Vec<_> = signals.edges.into_iter().map(Arc::new).collect();
        merge(&mut self.edges, &edges);
        if self.reports.len() == REPORTS_MAX
            && let Some((_, oldest)) = self.reports.pop_front()
        {
            merge(&mut self.base, &oldest);
        }
        self.reports.push_back((signals.at, edges));
        self.spans.extend(signals.spans);
        let excess = self.spans.len().saturating_sub(SPANS_MAX);
        self.spans.drain(..excess);
        self.spans_dropped += signals.spans_dropped;
        self.client_connections = signals.client_connections;
        self.upstream_connections = signals.upstream_connections;
    }
}

fn merge(into: &mut BTreeMap<EdgeName, Arc<EdgeSignals>>, edges: &[Arc<EdgeSignals>]) {
    for edge in edges {
        into.insert(edge.edge.clone(), Arc::clone(edge));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::report::Caller;

    fn edge(callee: &str, queued: u64) -> EdgeSignals {
        EdgeSignals {
            edge: EdgeName {
                application: "shop".parse().unwrap(),
                caller: Caller::Route("*/".to_owned()),
                callee: callee.parse().unwrap(),
            },
            refused: Vec::new(),
            queued,
            releases: Vec::new(),
            instances: Vec::new(),
            open: false,
            in_flight: 0,
            limit: None,
            trial: None,
        }
    }

    fn hello(pid: u32) -> Report {
        let version = "1".to_owned();
        let options = Box::default();
        Report::Hello {
            version,
            pid,
            gateway: None,
            gateway_tls: None,
            options,
            asked: None,
            workers: None,
            is_retired: false,
            counts_elsewhere: true,
        }
    }

    fn report(observed: &mut Observed, second: u64, edges: Vec<EdgeSignals>) {
        let at = Timestamp::from_millis(second * 1_000);
        observed.take_in(Report::Signals(Signals { at, edges, ..Signals::default() }), at);
    }

    /// What was counted in the last `seconds`, by callee.
    #[track_caller]
    fn check(observed: &Observed, seconds: u64, expected: Option<(u64, &[(&str, u64)])>) {
        let window = observed.window(Duration::from_secs(seconds)).map(|it| {
            let before = |name| it.before.get(name).map_or(0, |it| it.queued);
            let counted = it
                .after
                .iter()
                .map(|(name, edge)| (name.callee.to_string(), edge.queued - before(name)));
            (it.to.since(it.from).as_secs(), counted.collect::<Vec<_>>())
        });
        let expected = expected.map(|(length, counted)| {
            (length, counted.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
        });
        assert_eq!(window, expected);
    }

    #[test]
    fn windows_end_at_the_last_report() {
        let mut observed = Observed::default();
        observed.take_in(hello(7), Timestamp::EPOCH);
        check(&observed, 10, None);
        report(&mut observed, 1, vec![edge("cart", 5)]);
        check(&observed, 10, None);
        report(&mut observed, 2, vec![edge("cart", 8), edge("ads", 1)]);
        check(&observed, 10, Some((1, &[("ads", 1), ("cart", 3)])));
        report(&mut observed, 3, vec![edge("ads", 4)]);
        check(&observed, 1, Some((1, &[("ads", 3), ("cart", 0)])));
        check(&observed, 2, Some((2, &[("ads", 4), ("cart", 3)])));
        for second in 4..200 {
            report(&mut observed, second, vec![edge("web", second)]);
        }
        check(&observed, 10, Some((10, &[("ads", 0), ("cart", 0), ("web", 10)])));
        check(&observed, 1_000, Some((63, &[("ads", 0), ("cart", 0), ("web", 63)])));
    }

    #[test]
    fn another_process_counts_from_zero() {
        let mut observed = Observed::default();
        observed.take_in(hello(7), Timestamp::EPOCH);
        report(&mut observed, 1, vec![edge("cart", 5)]);
        observed.take_in(hello(7), Timestamp::EPOCH);
        report(&mut observed, 2, vec![edge("cart", 6)]);
        check(&observed, 1, Some((1, &[("cart", 1)])));
        observed.take_in(hello(8), Timestamp::EPOCH);
        assert!(observed.edges.is_empty());
        check(&observed, 1, None);
    }
}
