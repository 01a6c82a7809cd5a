//! What the data plane has measured for rollouts: counts of two releases that are compared, and the latencies
//! of the one that serves.

use std::time::Duration;

use model::{ApplicationName, ReleaseNumber, ServiceName};
use planner::judge;
use telemetry::Histogram;
use world::rollout::{Counted, Stage};
use world::{Rollout, World};

use super::Observed;
use crate::inbox::{Heard, News};

/// Requests that latencies are read from, at least: two of them are slower than the 99th percentile.
const BASELINE_REQUESTS: u64 = 200;
/// The time they are read over, at most: all that is remembered.
const BASELINE_WINDOW: Duration = Duration::from_secs(64);

/// What rollouts in progress have not heard yet.
pub(super) fn heard(world: &World, observed: &Observed) -> Vec<Heard> {
    let mut all = Vec::new();
    for (application, state) in &world.applications {
        for (service, it) in &state.services {
            let Some(rollout) = it.active_rollout() else { continue };
            let news = counted(observed, (application, service), rollout)
                .into_iter()
                .chain(baseline(observed, (application, service), rollout));
            all.extend(news.map(|news| {
                let (application, service) = (application.clone(), service.clone());
                Heard { application, service, news }
            }));
        }
    }
    all
}

fn counted(
    observed: &Observed,
    (application, service): (&ApplicationName, &ServiceName),
    rollout: &Rollout,
) -> Option<News> {
    let Stage::Taking { epoch, .. } = rollout.stage else { return None };
    let edges = observed.edges.values();
    let of_service =
        edges.filter(|it| it.edge.application == *application && it.edge.callee == *service);
    let trials = of_service.filter_map(|it| it.trial).filter(|it| it.epoch == epoch);
    let sum = trials.reduce(|sum, it| sum.with(&it))?;
    let source = observed.hello.as_ref()?.pid;
    let counted = Counted { epoch, source, old: sum.old, new: sum.new };
    (counted != rollout.counted).then_some(News::Counted(counted))
}

/// The latencies of the old release, where they are needed and not known yet.
fn baseline(
    observed: &Observed,
    (application, service): (&ApplicationName, &ServiceName),
    rollout: &Rollout,
) -> Option<News> {
    if rollout.thresholds.is_some() || rollout.policy(0).is_none() {
        return None;
    }
    let window = observed.window(BASELINE_WINDOW)?;
    let mut latency = Histogram::default();
    let of_service = |it: &&std::sync::Arc<telemetry::EdgeSignals>| {
        it.edge.application == *application && it.edge.callee == *service
    };
    for edge in window.after.values().filter(of_service) {
        let of_release = |release: Option<ReleaseNumber>| release == Some(rollout.from);
        let later = edge.releases.iter().find(|it| of_release(it.release));
        let earlier = window.before.get(&edge.edge);
        let earlier = earlier.and_then(|it| it.releases.iter().find(|it| of_release(it.release)));
        match (later, earlier) {
            (Some(later), Some(earlier)) => {
                latency.merge(&later.first_attempt_latency.since(&earlier.first_attempt_latency));
            }
            (Some(later), None) => latency.merge(&later.first_attempt_latency),
            (None, _) => {}
        }
    }
    let requests = latency.count();
    let quantiles = [0.5, 0.95, 0.99].map(|it| latency.quantile(it));
    let thresholds = judge::thresholds(&rollout.update.analysis, quantiles, requests);
    (BASELINE_REQUESTS <= requests).then_some(News::Baseline(thresholds))
}
