//! From the world, and what was measured lately, to the view of a rollout.

use std::collections::BTreeMap;

use api::figures::{FiguresView, TrafficView};
use api::rollout::{
    ArmView, CallerView, MetricView, RolloutStateView, RolloutView, StepStateView, StepView,
};
use api::traffic::{Caller, EdgeTraffic, Traffic};
use model::rollout::Strategy;
use model::{ApplicationName, ReleaseNumber, ServiceName, Timestamp};
use planner::judge::{self, Assessment, Comparison, Metric};
use world::rollout::{Kind, Outcome, Rollout, Stage};
use world::{ServiceState, World};

/// The last rollout of every service that had one.
pub(crate) fn all(world: &World, traffic: &Traffic, now: Timestamp) -> Vec<RolloutView> {
    let mut views = Vec::new();
    for (application, state) in &world.applications {
        for (name, service) in &state.services {
            let Some(rollout) = service.rollout.as_deref() else { continue };
            let subject = Subject { application, name, service, rollout };
            views.push(subject.view(traffic, now));
        }
    }
    views
}

/// A rollout, and whose it is.
#[derive(Clone, Copy)]
struct Subject<'a> {
    application: &'a ApplicationName,
    name: &'a ServiceName,
    service: &'a ServiceState,
    rollout: &'a Rollout,
}

impl Subject<'_> {
    fn view(&self, traffic: &Traffic, now: Timestamp) -> RolloutView {
        let Self { application, name, service, rollout } = *self;
        let ended = rollout.outcome.as_ref().map(|it| it.1);
        let assessment = judge::assess(rollout, now);
        let (state, reason) = self.state(&assessment.reason, now);
        let release = service.releases.get(&rollout.to);
        let seconds = ended.unwrap_or(now).since(rollout.started_at).as_secs_f64();
        let new: u64 = rollout.observations.iter().map(|it| it.new.harmed).sum();
        let edges: Vec<&EdgeTraffic> = traffic
            .edges
            .iter()
            .filter(|it| it.application == *application && it.callee == *name)
            .collect();
        RolloutView {
            application: application.to_string(),
            service: name.to_string(),
            id: rollout.id.0,
            state,
            reason,
            strategy: strategy(rollout).to_owned(),
            from: rollout.from.to_string(),
            to: rollout.to.to_string(),
            note: release.and_then(|it| it.origin.note.clone()),
            by: rollout.by.clone(),
            together: rollout.together.iter().map(ToString::to_string).collect(),
            started_at: rollout.started_at.to_string(),
            ended_at: ended.map(|it| it.to_string()),
            elapsed_s: seconds,
            steps: steps(rollout),
            old: self.arm(rollout.from, &edges, traffic),
            new: self.arm(rollout.to, &edges, traffic),
            metrics: metrics(&assessment, rollout),
            expected_s: assessment.expected_s.filter(|_| rollout.is_active()),
            harmed: new,
            worst: worst(rollout.to, &edges),
        }
    }
    /// How it is, and why, in one sentence.
    fn state(&self, assessed: &str, now: Timestamp) -> (RolloutStateView, String) {
        let rollout = self.rollout;
        match &rollout.outcome {
            Some((Outcome::Completed, _)) => {
                return (
                    RolloutStateView::Completed,
                    format!("{} has all the traffic", rollout.to),
                );
            }
            Some((Outcome::Rejected { reason }, _)) => {
                return (RolloutStateView::Rejected, reason.clone());
            }
            Some((Outcome::Aborted { reason }, _)) => {
                return (RolloutStateView::Aborted, reason.clone());
            }
            None => {}
        }
        if rollout.paused_since.is_some() {
            let reason = "paused; `pelago rollout resume` lets it go on".to_owned();
            return (RolloutStateView::Paused, reason);
        }
        let going_on = |reason: &str| (RolloutStateView::Running, reason.to_owned());
        match rollout.stage {
            Stage::Preparing { .. } if self.waits_for_a_person() => {
                let reason = format!(
                    "{} is ready; `pelago rollout promote {}` moves traffic",
                    rollout.to, self.name
                );
                (RolloutStateView::Waiting, reason)
            }
            Stage::Preparing { .. } => going_on(&self.prepared()),
            Stage::Taking { step, .. } if rollout.policy(step).is_none() => {
                let left = rollout.stage_since.remaining(planner::WATCHED_FOR, now);
                going_on(&format!("watched for {} more seconds", left.as_secs_f64().ceil()))
            }
            Stage::Taking { .. } => match &rollout.judged {
                Some(judged) => {
                    let what = judged.verdict.words();
                    let reason = format!(
                        "the step {what}: {}; `pelago rollout promote {name}` or `pelago rollout abort \
                         {name}` decides",
                        judged.reason,
                        name = self.name
                    );
                    (RolloutStateView::Waiting, reason)
                }
                None => going_on(assessed),
            },
        }
    }

    fn waits_for_a_person(&self) -> bool {
        let rollout = self.rollout;
        let is_whole = self.service.side(rollout.group).is_some_and(|it| it.is_whole());
        rollout.update.strategy == Strategy::Bluegreen
            && rollout.kind == Kind::Deploy
            && !rollout.update.auto_promote
            && is_whole
    }

    /// What the instances of the new release wait for.
    fn prepared(&self) -> String {
        let Some(side) = self.service.side(self.rollout.group) else { return String::new() };
        let failing = side.instances().find_map(|(_, it)| it.failing.clone());
        let counts = format!("{} of {} instances are ready", side.ready(), side.wanted());
        match failing {
            Some(why) => format!("{counts}: {why}"),
            None => counts,
        }
    }

    fn arm(&self, release: ReleaseNumber, edges: &[&EdgeTraffic], traffic: &Traffic) -> ArmView {
        let serving = |it: &&world::Instance| it.release == release && it.is_serving();
        let ready = self.service.instances.values().filter(serving).count();
        let is_new = release == self.rollout.to;
        let weight = self.rollout.weight();
        let share = if is_new { weight } else { weight.complement() };
        let group = if is_new { Some(self.rollout.group) } else { self.service.group_of(release) };
        let wanted = group.and_then(|it| self.service.side(it)).map_or(0, |it| it.wanted());
        let figures = together(release, edges, traffic);
        let counted = self.rollout.observations.iter().filter(|it| !it.is_warm_up);
        let judged = counted.map(|it| if is_new { it.new.requests } else { it.old.requests }).sum();
        ArmView {
            share: share.as_fraction(),
            ready,
            wanted,
            rate: figures.rate,
            errors: figures.success.map(|it| 1.0 - it),
            p50_ms: figures.p50_ms,
            p95_ms: figures.p95_ms,
            p99_ms: figures.p99_ms,
            judged,
        }
    }
}

fn metrics(assessment: &Assessment, rollout: &Rollout) -> Vec<MetricView> {
    let name = |metric| match metric {
        Metric::Errors => "errors",
        Metric::Latency(0) => "latency (p50)",
        Metric::Latency(1) => "latency (p95)",
        Metric::Latency(2) => "latency (p99)",
        Metric::Latency(_) => "latency (beyond p99)",
    };
    let view = |it: &Comparison| MetricView {
        metric: name(it.metric).to_owned(),
        old: rate(it.old),
        new: rate(it.new),
        ratio: it.ratio,
        ratio_low: Some(it.at_least).filter(|it| 0.0 < *it),
        ratio_high: it.at_most,
        allowed: rollout.update.analysis.max_ratio,
        against: it.against.clamp(0.0, 1.0),
        favour: it.favour.clamp(0.0, 1.0),
    };
    assessment.comparisons.iter().map(view).collect()
}

/// The share of bad requests.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn rate((requests, bad): (u64, u64)) -> f64 {
    if requests == 0 { 0.0 } else { bad as f64 / requests as f64 }
}

const fn strategy(rollout: &Rollout) -> &'static str {
    match (rollout.kind, rollout.update.strategy) {
        (Kind::Rollback, _) => "rollback",
        (_, Strategy::Canary) => "canary",
        (_, Strategy::Bluegreen) => "bluegreen",
        (_, Strategy::Rolling) => "rolling",
        (_, Strategy::Immediate) => "immediate",
        (_, Strategy::Recreate) => "recreate",
    }
}

fn steps(rollout: &Rollout) -> Vec<StepView> {
    let last = rollout.last_step();
    let current = rollout.step();
    let state = |step: u32| match &rollout.outcome {
        Some((Outcome::Completed, _)) => StepStateView::Done,
        _ if step < current => StepStateView::Done,
        _ if current < step => StepStateView::Ahead,
        Some(_) => StepStateView::Failed,
        None if matches!(rollout.stage, Stage::Preparing { .. }) => StepStateView::Preparing,
        None => StepStateView::Current,
    };
    let step = |it| StepView { weight: rollout.share(it).as_fraction(), state: state(it) };
    (0..=last).map(step).collect()
}

/// What a release made of the requests of all callers. Quantiles are those of the caller with the most: those
/// of several cannot be put together.
fn together(release: ReleaseNumber, edges: &[&EdgeTraffic], traffic: &Traffic) -> FiguresView {
    let views = edges.iter().map(|it| TrafficView::of(it, traffic.window));
    let name = Some(release.to_string());
    let mut all = FiguresView::default();
    let (mut good, mut busiest) = (0.0, 0.0);
    for view in views {
        let Some(figures) = view.releases.iter().find(|it| it.release == name).map(|it| it.figures)
        else {
            continue;
        };
        all.rate += figures.rate;
        good += figures.rate * figures.success.unwrap_or(1.0);
        if busiest < figures.rate {
            busiest = figures.rate;
            (all.p50_ms, all.p95_ms, all.p99_ms) = (figures.p50_ms, figures.p95_ms, figures.p99_ms);
        }
    }
    all.success = (0.0 < all.rate).then(|| good / all.rate);
    all
}

/// Callers whose requests to a release failed lately, the worst first.
fn worst(release: ReleaseNumber, edges: &[&EdgeTraffic]) -> Vec<CallerView> {
    let mut callers: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for edge in edges {
        let caller = match &edge.caller {
            Caller::Service(service) => service.to_string(),
            Caller::Route(route) => route.clone(),
        };
        let of_release = edge.releases.iter().filter(|it| it.release == Some(release));
        for it in of_release {
            let (requests, errors) = callers.entry(caller.clone()).or_default();
            *requests += it.requests;
            *errors += it.bad;
        }
    }
    let view = |(caller, (requests, errors))| CallerView { caller, requests, errors };
    let mut views: Vec<CallerView> = callers.into_iter().map(view).collect();
    views.retain(|it| 0 < it.errors);
    views.sort_by_key(|it| std::cmp::Reverse(it.errors));
    views
}
