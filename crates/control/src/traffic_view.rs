//! From what the data plane measured to what the API shows: the difference between two moments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::spans::{SpanChoice, SpanQuery, SpanView};
use api::traffic::{Caller, DrainingView, EdgeTraffic, Ejected, Latency, ReleaseTraffic, Traffic};
use model::{ApplicationName, ReleaseNumber, ServiceName};
use telemetry::report::{self, EdgeName, ReleaseSignals};
use telemetry::{EdgeSignals, Histogram, Span};

use crate::dataplane::{Hello, Observed, Replaced, Retired, Window};

/// The time figures are of: long enough for a p99 of rare traffic, short enough to see what was just
/// done.
const WINDOW: Duration = Duration::from_secs(10);

/// What must be copied of what was observed, so that nobody waits for the rest.
pub(crate) struct Seen {
    connected: bool,
    hello: Option<Hello>,
    window: Option<Window>,
    edges: BTreeMap<EdgeName, Arc<EdgeSignals>>,
    replaced: Replaced,
}

impl Seen {
    /// What is needed of it.
    pub(crate) fn of(observed: &Observed) -> Self {
        Self {
            connected: observed.is_connected,
            hello: observed.hello.clone(),
            window: observed.window(WINDOW),
            edges: observed.edges.clone(),
            replaced: observed.replaced.clone(),
        }
    }

    /// What crossed the edges in the last while.
    pub(crate) fn traffic(&self) -> Traffic {
        let window = self.window.as_ref();
        Traffic {
            connected: self.connected,
            window: window.map_or(Duration::ZERO, |it| it.to.since(it.from)),
            gateway: self.hello.iter().flat_map(gateway).collect(),
            edges: self.edges.values().map(|now| self.edge(now)).collect(),
        }
    }

    /// An edge, with what is in flight over it in data planes that were replaced.
    fn edge(&self, now: &EdgeSignals) -> EdgeTraffic {
        let edge = edge(now, self.window.as_ref());
        EdgeTraffic { in_flight: edge.in_flight + self.replaced.in_flight(&now.edge), ..edge }
    }
}

fn gateway(hello: &Hello) -> Vec<String> {
    let plain = hello.gateway.map(|it| format!("http://{it}"));
    let encrypted = hello.gateway_tls.map(|it| format!("https://{it}"));
    plain.into_iter().chain(encrypted).collect()
}

/// What crossed an edge within `window`; only how it is now, where there is none yet.
fn edge(now: &EdgeSignals, window: Option<&Window>) -> EdgeTraffic {
    let name = &now.edge;
    let before = window.and_then(|it| it.before.get(name));
    let after = window.and_then(|it| it.after.get(name));
    let mut latency = Histogram::default();
    let mut releases = Vec::new();
    // A request that reached no release was refused, and is among those.
    for later in after.iter().flat_map(|it| &it.releases).filter(|it| it.release.is_some()) {
        let earlier = before.and_then(|it| release_of(it, later.release));
        let (release, distribution) = release(later, earlier);
        latency.merge(&distribution);
        releases.push(release);
    }
    let refused = after.iter().flat_map(|it| &it.refused);
    let refused_before = |reason: &str| {
        let mut all = before.iter().flat_map(|it| &it.refused);
        all.find(|it| it.0 == reason).map_or(0, |it| it.1)
    };
    let ejected = now.instances.iter().filter(|it| it.ejected);
    EdgeTraffic {
        application: name.application.clone(),
        caller: caller(&name.caller),
        callee: name.callee.clone(),
        requests_ever: requests_ever(now),
        refused: refused
            .map(|(reason, count)| (reason.clone(), count.saturating_sub(refused_before(reason))))
            .collect(),
        releases,
        latency: quantiles(&latency),
        in_flight: now.in_flight,
        limit: now.limit,
        open: now.open,
        ejected: ejected
            .map(|it| Ejected { instance: it.instance.clone(), reason: it.reason.clone() })
            .collect(),
    }
}

fn caller(caller: &report::Caller) -> Caller {
    match caller {
        report::Caller::Service(service) => Caller::Service(service.clone()),
        report::Caller::Route(route) => Caller::Route(route.clone()),
    }
}

fn requests_ever(edge: &EdgeSignals) -> u64 {
    let refused: u64 = edge.refused.iter().map(|it| it.1).sum();
    let reached = edge.releases.iter().filter(|it| it.release.is_some());
    reached.map(|it| it.outcomes.total()).sum::<u64>() + refused
}

fn release_of(edge: &EdgeSignals, release: Option<ReleaseNumber>) -> Option<&ReleaseSignals> {
    edge.releases.iter().find(|it| it.release == release)
}

/// What a release did between two moments, and the distribution of its latency.
fn release(
    later: &ReleaseSignals,
    earlier: Option<&ReleaseSignals>,
) -> (ReleaseTraffic, Histogram) {
    let since =
        |count: fn(&ReleaseSignals) -> u64| count(later).saturating_sub(earlier.map_or(0, count));
    let latency = match earlier {
        Some(earlier) => later.latency.since(&earlier.latency),
        None => later.latency.clone(),
    };
    let traffic = ReleaseTraffic {
        release: later.release,
        requests: since(|it| it.outcomes.total()),
        bad: since(|it| it.outcomes.bad()),
        retries: since(|it| it.retries),
        hedges: since(|it| it.hedges),
        bytes_in: since(|it| it.bytes_in),
        bytes_out: since(|it| it.bytes_out),
        latency: quantiles(&latency),
    };
    (traffic, latency)
}

fn quantiles(histogram: &Histogram) -> Latency {
    let any = 0 < histogram.count();
    let quantile = |q| any.then(|| Duration::from_micros(histogram.quantile(q)));
    Latency { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) }
}

/// A data plane that was replaced, as it is shown.
pub(crate) const fn draining(retired: &Retired) -> DrainingView {
    let Retired { pid, client_connections, resident_bytes } = *retired;
    DrainingView { pid, client_connections, resident_bytes }
}

/// The latest spans that are asked for, newest first.
pub(crate) fn spans(observed: &Observed, query: &SpanQuery) -> Vec<SpanView> {
    let wanted = observed.spans.iter().rev().filter(|it| is_wanted(it, query));
    wanted.take(query.limit).map(span).collect()
}

fn is_wanted(span: &Span, query: &SpanQuery) -> bool {
    let edge = span.edge.as_ref();
    let concerns = |service: &ServiceName| {
        edge.is_some_and(|it| {
            it.callee == *service
                || matches!(&it.caller, report::Caller::Service(caller) if caller == service)
        })
    };
    let is_of =
        |application: &ApplicationName| edge.is_some_and(|it| it.application == *application);
    query.application.as_ref().is_none_or(is_of)
        && query.service.as_ref().is_none_or(concerns)
        && (query.choice == SpanChoice::All || is_failed(span))
}

/// Whether a call failed: it has a reason, or the caller got no answer or one that blames the server.
fn is_failed(span: &Span) -> bool {
    span.error.is_some() || span.status.is_none_or(|it| 500 <= it)
}

fn span(span: &Span) -> SpanView {
    #[expect(clippy::cast_precision_loss, reason = "shown in milliseconds")]
    let duration_ms = span.duration_us as f64 / 1e3;
    let edge = span.edge.as_ref();
    SpanView {
        trace: span.trace.clone(),
        id: span.id.clone(),
        parent: span.parent.clone(),
        application: edge.map(|it| it.application.to_string()),
        caller: match edge.map(|it| &it.caller) {
            Some(report::Caller::Service(service)) => service.to_string(),
            Some(report::Caller::Route(route)) => route.clone(),
            None => telemetry::traces::mesh::GATEWAY.to_owned(),
        },
        callee: edge.map(|it| it.callee.to_string()),
        start: span.start.to_string(),
        duration_ms,
        method: span.method.clone(),
        path: span.path.clone(),
        is_grpc: span.is_grpc,
        status: span.status,
        release: span.release.map(|it| it.to_string()),
        instance: span.instance.as_ref().map(ToString::to_string),
        attempts: span.attempts,
        error: span.error.clone(),
        fault: span.fault.clone(),
        limit: span.limit.as_ref().map(|it| it.name.clone()),
        limit_value: span.limit.as_ref().map(|it| it.value.clone()),
        limit_key: span.limit.as_ref().and_then(|it| it.key.clone()),
        hop: span.limit.as_ref().map(|it| it.hop.clone()),
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use telemetry::report::{InstanceSignals, Outcomes};

    use super::*;

    fn name() -> EdgeName {
        EdgeName {
            application: "shop".parse().unwrap(),
            caller: report::Caller::Service("web".parse().unwrap()),
            callee: "cart".parse().unwrap(),
        }
    }

    /// A release that has answered `ok` requests, each in `latency_us`, and failed `failed`.
    fn answered(number: u32, ok: u64, failed: u64, latency_us: u64) -> ReleaseSignals {
        let mut latency = Histogram::default();
        (0..ok).for_each(|_| latency.record(latency_us));
        ReleaseSignals {
            release: Some(ReleaseNumber(number)),
            outcomes: Outcomes { ok, failed, ..Outcomes::default() },
            retries: failed * 2,
            latency,
            ..ReleaseSignals::default()
        }
    }

    fn signals(releases: Vec<ReleaseSignals>, overloaded: u64) -> EdgeSignals {
        EdgeSignals {
            edge: name(),
            refused: vec![("overloaded".to_owned(), overloaded)],
            queued: 0,
            releases,
            instances: vec![InstanceSignals {
                instance: "cart.7".parse().unwrap(),
                in_flight: 0,
                ejected: true,
                reason: Some("consecutive-errors".to_owned()),
            }],
            open: false,
            in_flight: 4,
            limit: Some(9),
            trial: None,
        }
    }

    fn window(before: Option<EdgeSignals>, after: EdgeSignals) -> Window {
        Window {
            from: Timestamp::from_millis(0),
            to: Timestamp::from_millis(10_000),
            before: before.into_iter().map(|it| (name(), Arc::new(it))).collect(),
            after: BTreeMap::from([(name(), Arc::new(after))]),
        }
    }

    /// Of each release: requests, bad ones, retries, and the median in milliseconds, within 1/32.
    #[track_caller]
    fn check(
        before: Option<EdgeSignals>,
        after: &EdgeSignals,
        releases: &[(u64, u64, u64, u64)],
        refused: u64,
    ) {
        let window = window(before, after.clone());
        let edge = edge(after, Some(&window));
        assert_eq!(edge.releases.len(), releases.len());
        for (it, (requests, bad, retries, median_ms)) in edge.releases.iter().zip(releases) {
            assert_eq!((it.requests, it.bad, it.retries), (*requests, *bad, *retries));
            let (median, meant) = (it.latency.p50.unwrap(), Duration::from_millis(*median_ms));
            assert!(median.abs_diff(meant) <= meant / 32, "{median:?}");
        }
        assert_eq!(edge.refused, [("overloaded".to_owned(), refused)]);
    }

    #[test]
    fn the_difference_between_two_moments_counts() {
        let before = signals(vec![answered(1, 100, 1, 1_000)], 5);
        let mut slower = answered(1, 100, 4, 1_000);
        slower.latency.merge(&answered(1, 20, 0, 50_000).latency);
        slower.outcomes.ok += 20;
        // Requests that reached no release are those that were refused.
        let unreached = ReleaseSignals { release: None, ..answered(1, 0, 9, 0) };
        let after = signals(vec![slower, answered(2, 3, 0, 2_000), unreached], 9);
        check(Some(before), &after, &[(23, 3, 6, 50), (3, 0, 0, 2)], 4);
        check(None, &signals(vec![answered(1, 7, 0, 2_000)], 1), &[(7, 0, 0, 2)], 1);
    }

    #[test]
    fn without_a_window_there_is_how_it_is_now() {
        let now = signals(vec![answered(1, 7, 1, 2_000)], 2);
        let edge = edge(&now, None);
        assert_eq!((edge.requests_ever, edge.in_flight, edge.limit), (10, 4, Some(9)));
        assert_eq!((edge.releases, edge.latency), (Vec::new(), Latency::default()));
        assert_eq!(edge.ejected[0].reason.as_deref(), Some("consecutive-errors"));
    }

    #[test]
    fn nothing_observed_is_nothing_shown() {
        assert_eq!(Seen::of(&Observed::default()).traffic(), Traffic::default());
    }

    fn sampled(id: &str, status: Option<u16>, error: Option<&str>) -> Span {
        Span {
            trace: "0".repeat(32),
            id: id.to_owned(),
            parent: None,
            edge: Some(name()),
            start: Timestamp::EPOCH,
            duration_us: 1_500,
            method: "GET".to_owned(),
            path: "/".to_owned(),
            is_grpc: false,
            status,
            release: None,
            instance: None,
            attempts: 1,
            error: error.map(str::to_owned),
            fault: None,
            limit: None,
        }
    }

    #[track_caller]
    fn check_spans(query: &SpanQuery, ids: &[&str]) {
        let spans = [
            sampled("fine", Some(200), None),
            sampled("refused", Some(503), Some("overloaded")),
            sampled("wrong", Some(500), None),
            sampled("gone", None, None),
        ];
        let mut observed = Observed::default();
        observed.spans.extend(spans);
        let found = super::spans(&observed, query);
        assert_eq!(found.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ids);
    }

    #[test]
    fn the_latest_spans_that_are_asked_for() {
        let all = SpanQuery { limit: 100, ..SpanQuery::default() };
        check_spans(&all.clone(), &["gone", "wrong", "refused", "fine"]);
        check_spans(&SpanQuery { limit: 1, ..all.clone() }, &["gone"]);
        let failed = SpanQuery { choice: SpanChoice::Failed, ..all.clone() };
        check_spans(&failed, &["gone", "wrong", "refused"]);
        let of = |service: &str| SpanQuery { service: service.parse().ok(), ..all.clone() };
        check_spans(&of("web"), &["gone", "wrong", "refused", "fine"]);
        check_spans(&of("mail"), &[]);
        check_spans(&SpanQuery { application: "blog".parse().ok(), ..all }, &[]);
    }
}
