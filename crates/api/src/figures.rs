//! From counts of a window to what people compare: rates, shares, milliseconds.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::traffic::{EdgeTraffic, Latency, ReleaseTraffic};

/// What crossed an edge, over the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficView {
    /// Requests since the data plane started.
    pub requests_ever: u64,
    /// All that was asked for, refused requests among it.
    pub total: FiguresView,
    /// Requests refused before an instance was chosen.
    pub refused: Vec<RefusedView>,
    /// Requests in flight now.
    pub in_flight: u32,
    /// The limit on them in force, if there is one.
    pub limit: Option<u32>,
    /// What the circuit breakers did.
    pub breaker: BreakerView,
    /// What each release made of the requests that reached it, the newest last.
    pub releases: Vec<ReleaseView>,
}

/// Rates and latencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FiguresView {
    /// Requests a second.
    pub rate: f64,
    /// Share of requests, from 0 to 1, that were answered and for whose answer the callee is not to
    /// blame; absent where there was none.
    pub success: Option<f64>,
    /// Half took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95 % took no longer, in milliseconds.
    pub p95_ms: Option<f64>,
    /// 99 % took no longer, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Attempts after the first, a second.
    pub retries_per_s: f64,
    /// Second requests sent because the first took long, a second.
    pub hedges_per_s: f64,
    /// Bytes of bodies towards instances, a second.
    pub bytes_in_per_s: f64,
    /// Bytes of bodies towards callers, a second.
    pub bytes_out_per_s: f64,
}

/// Requests refused for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedView {
    /// Why, as in the reason header.
    pub reason: String,
    /// How many a second.
    pub rate: f64,
}

/// What the circuit breakers of an edge did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerView {
    /// Whether the whole edge is open: callers are told at once.
    pub open: bool,
    /// Instances that are left alone.
    pub ejected: Vec<EjectedView>,
}

/// An instance that is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EjectedView {
    /// Which.
    pub instance: String,
    /// Why.
    pub reason: Option<String>,
}

/// What one release made of requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseView {
    /// The release; absent where it is not known.
    pub release: Option<String>,
    /// Its figures.
    pub figures: FiguresView,
}

impl TrafficView {
    /// The view of what crossed an edge within `window`.
    pub fn of(edge: &EdgeTraffic, window: Duration) -> Self {
        let refused: u64 = edge.refused.iter().map(|(_, count)| count).sum();
        let mut all = ReleaseTraffic {
            requests: refused,
            bad: refused,
            latency: edge.latency,
            ..ReleaseTraffic::default()
        };
        for it in &edge.releases {
            all.requests += it.requests;
            all.bad += it.bad;
            all.retries += it.retries;
            all.hedges += it.hedges;
            all.bytes_in += it.bytes_in;
            all.bytes_out += it.bytes_out;
        }
        let mut releases: Vec<&ReleaseTraffic> = edge.releases.iter().collect();
        releases.sort_by_key(|it| it.release);
        let releases = releases.into_iter().map(|it| ReleaseView {
            release: it.release.map(|it| it.to_string()),
            figures: FiguresView::of(it, window),
        });
        let reason = |(reason, count): &(String, u64)| RefusedView {
            reason: reason.clone(),
            rate: per_second(*count, window),
        };
        let ejected = edge
            .ejected
            .iter()
            .map(|it| EjectedView { instance: it.instance.to_string(), reason: it.reason.clone() });
        Self {
            requests_ever: edge.requests_ever,
            total: FiguresView::of(&all, window),
            refused: edge.refused.iter().filter(|it| 0 < it.1).map(reason).collect(),
            in_flight: edge.in_flight,
            limit: edge.limit,
            breaker: BreakerView { open: edge.open, ejected: ejected.collect() },
            releases: releases.collect(),
        }
    }
}

impl FiguresView {
    fn of(counts: &ReleaseTraffic, window: Duration) -> Self {
        let Latency { p50, p95, p99 } = counts.latency;
        let rate = |count| per_second(count, window);
        let good = counts.requests.saturating_sub(counts.bad);
        Self {
            rate: rate(counts.requests),
            success: (0 < counts.requests).then(|| real(good) / real(counts.requests)),
            p50_ms: p50.map(milliseconds),
            p95_ms: p95.map(milliseconds),
            p99_ms: p99.map(milliseconds),
            retries_per_s: rate(counts.retries),
            hedges_per_s: rate(counts.hedges),
            bytes_in_per_s: rate(counts.bytes_in),
            bytes_out_per_s: rate(counts.bytes_out),
        }
    }
}

/// A rate to a thousandth; nothing where no time has passed.
fn per_second(count: u64, window: Duration) -> f64 {
    if window.is_zero() {
        return 0.0;
    }
    (real(count) / window.as_secs_f64() * 1e3).round() / 1e3
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^53")]
const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use model::ReleaseNumber;

    use super::*;
    use crate::traffic::{Caller, Ejected};

    fn release(number: Option<u32>, requests: u64, bad: u64) -> ReleaseTraffic {
        let release = number.map(ReleaseNumber);
        ReleaseTraffic { release, requests, bad, ..ReleaseTraffic::default() }
    }

    fn edge(releases: Vec<ReleaseTraffic>, refused: &[(&str, u64)]) -> EdgeTraffic {
        EdgeTraffic {
            application: "shop".parse().unwrap(),
            caller: Caller::Service("web".parse().unwrap()),
            callee: "cart".parse().unwrap(),
            requests_ever: 1_000,
            refused: refused.iter().map(|(it, count)| ((*it).to_owned(), *count)).collect(),
            releases,
            latency: Latency { p50: Some(Duration::from_micros(1_500)), p95: None, p99: None },
            in_flight: 3,
            limit: Some(200),
            open: false,
            ejected: Vec::new(),
        }
    }

    /// Rate and success of the whole, then release, rate and success of each.
    #[track_caller]
    fn check(edge: &EdgeTraffic, seconds: u64, total: (f64, Option<f64>), releases: &[&str]) {
        let view = TrafficView::of(edge, Duration::from_secs(seconds));
        assert_eq!((view.total.rate, view.total.success), total);
        let shown = view.releases.iter().map(|it| {
            let name = it.release.as_deref().unwrap_or("-");
            let success = it.figures.success.map_or("-".to_owned(), |it| format!("{it}"));
            format!("{name} {} {success}", it.figures.rate)
        });
        assert_eq!(shown.collect::<Vec<_>>(), releases);
    }

    #[test]
    fn rates_are_per_second_and_releases_in_order() {
        let two = edge(vec![release(Some(2), 20, 5), release(Some(1), 80, 0)], &[]);
        check(&two, 10, (10.0, Some(0.95)), &["r1 8 1", "r2 2 0.75"]);
        check(&two, 0, (0.0, Some(0.95)), &["r1 0 1", "r2 0 0.75"]);
    }

    #[test]
    fn what_was_refused_was_asked_for_and_not_answered() {
        let refusing = edge(vec![release(Some(1), 80, 0)], &[("overloaded", 20), ("shed", 0)]);
        check(&refusing, 10, (10.0, Some(0.8)), &["r1 8 1"]);
        let view = TrafficView::of(&refusing, Duration::from_secs(10));
        assert_eq!(view.refused, [RefusedView { reason: "overloaded".to_owned(), rate: 2.0 }]);
    }

    #[test]
    fn an_edge_at_rest_has_no_success_to_speak_of() {
        check(&edge(Vec::new(), &[]), 10, (0.0, None), &[]);
        check(&edge(vec![release(None, 0, 0)], &[]), 10, (0.0, None), &["- 0 -"]);
    }

    #[test]
    fn breakers_say_why() {
        let mut broken = edge(Vec::new(), &[]);
        broken.open = true;
        broken.ejected = vec![Ejected {
            instance: "cart.7".parse().unwrap(),
            reason: Some("5 errors in a row".to_owned()),
        }];
        let view = TrafficView::of(&broken, Duration::from_secs(10));
        assert!(view.breaker.open);
        assert_eq!(view.breaker.ejected[0].instance, "cart.7");
        assert_eq!(view.total.p50_ms, Some(1.5));
        assert_eq!(view.total.p99_ms, None);
    }
}
