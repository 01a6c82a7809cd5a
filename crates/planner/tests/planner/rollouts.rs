//! What must hold for every decision about a rollout, and for every state with one.

use model::Timestamp;
use model::rollout::{OnInconclusive, Strategy};
use planner::{FAILURES_MAX, WATCHED_FOR};
use world::rollout::{Kind, Outcome, Rollout, Stage, Verdict};
use world::service::RELEASES_KEPT;
use world::{ApplicationState, Desired, Event, ServiceState, Side};

/// Looks at a decision before it is folded in.
pub(crate) fn assert_decision(state: &ApplicationState, event: &Event, now: Timestamp) {
    let service = &state.services[event.service().unwrap()];
    match event {
        Event::RolloutStepBegun { step, .. } => {
            let rollout = service.active_rollout().unwrap();
            assert_eq!(rollout.paused_since, None, "it begins a step while it is paused");
            assert!(matches!(rollout.stage, Stage::Taking { step: at, .. } if at + 1 == *step));
            assert!(may_go_on(rollout), "nobody found step {} good: {rollout:?}", step - 1);
        }
        Event::RolloutTrafficMoved { step, .. } => {
            let rollout = service.active_rollout().unwrap();
            assert_eq!(rollout.paused_since, None, "it moves traffic while it is paused");
            assert_eq!(rollout.stage, Stage::Preparing { step: *step });
            let side = service.side(rollout.group).unwrap();
            if !rollout.is_in_place() {
                assert!(
                    serves_in_full(&side, side.wanted()),
                    "not all of it is there: {rollout:?}"
                );
            }
            let is_asked = rollout.update.auto_promote || rollout.promote_asked;
            let asks =
                rollout.update.strategy == Strategy::Bluegreen && rollout.kind == Kind::Deploy;
            assert!(is_asked || !asks, "nobody said that it may");
        }
        Event::RolloutJudged { verdict, .. } => {
            let rollout = service.active_rollout().unwrap();
            assert!(
                matches!(rollout.stage, Stage::Taking { step, .. } if rollout.policy(step).is_some())
            );
            let before = rollout.judged.as_ref().map(|it| it.verdict);
            assert!(before != Some(*verdict) && before != Some(Verdict::Fail), "{before:?}");
        }
        Event::RolloutEnded { outcome, .. } => assert_end(state, service, outcome, now),
        Event::ReleaseRetired { group, .. } => {
            assert!(service.groups[group].kept_until.is_some_and(|it| it <= now));
        }
        Event::TrafficSet { traffic, .. } => {
            let [only] = traffic.shares.as_slice() else { panic!("{traffic:?}") };
            let group = service.group_of(only.release).unwrap();
            let side = service.side(group).unwrap();
            assert!(group == service.main || serves_in_full(&side, service.replicas));
        }
        other => panic!("the planner may not decide {other:?}"),
    }
}

fn serves_in_full(side: &Side<'_>, wanted: u32) -> bool {
    wanted as usize <= side.ready()
}

/// Whether the verdict, or a person, lets it begin another step.
fn may_go_on(rollout: &Rollout) -> bool {
    let (update, verdict) = (&rollout.update, rollout.judged.as_ref().map(|it| it.verdict));
    match verdict {
        Some(Verdict::Fail) if update.auto_revert => false,
        Some(Verdict::Pass) if update.auto_promote => true,
        Some(Verdict::Inconclusive)
            if update.analysis.on_inconclusive == OnInconclusive::Promote =>
        {
            true
        }
        _ => rollout.promote_asked,
    }
}

fn assert_end(state: &ApplicationState, service: &ServiceState, outcome: &Outcome, now: Timestamp) {
    let rollout = service.active_rollout().unwrap();
    match outcome {
        Outcome::Completed => {
            let Stage::Taking { step, .. } = rollout.stage else { panic!("{rollout:?}") };
            assert_eq!((rollout.paused_since, rollout.policy(step)), (None, None), "{rollout:?}");
            let watched = WATCHED_FOR <= now.since(rollout.stage_since);
            // What is stopped while it is watched must serve in full, and nothing speak against it.
            let side = service.side(rollout.group).unwrap();
            let serves =
                state.desired == Desired::Stopping && side.is_whole() && rollout.failures == 0;
            let is_back = rollout.kind == Kind::Rollback;
            assert!(watched || is_back || serves, "nobody watched {rollout:?}");
        }
        Outcome::Rejected { .. } => {
            let judged = rollout.judged.as_ref().map(|it| it.verdict);
            let command = service.commands.get(&rollout.to).is_some_and(|it| !it.is_success());
            let is_bad = FAILURES_MAX <= rollout.failures
                || command
                || matches!(judged, Some(Verdict::Fail | Verdict::Inconclusive))
                || !rollout.together.is_empty()
                || planner::judge::guardrail(rollout).is_some();
            assert!(is_bad, "nothing speaks against {rollout:?}");
        }
        Outcome::Aborted { .. } => {}
    }
}

/// Looks at a state: what was rolled out in vain is not wanted, what serves is wanted in full, and nothing grows
/// without end.
pub(crate) fn assert_state(state: &ApplicationState) {
    for (name, service) in state.services.iter().filter(|(_, it)| !it.removed) {
        let main = service.main_side().unwrap();
        assert_eq!(main.wanted(), service.replicas, "{name}");
        if let Some(rollout) = service.active_rollout() {
            let is_left = rollout.is_in_place() || service.current() == rollout.from;
            assert!(is_left, "{name} serves {} and not {}", service.current(), rollout.from);
        } else if let Some(rollout) = service.rollout.as_deref() {
            let (outcome, _) = rollout.outcome.as_ref().unwrap();
            let side = service.side(rollout.group).unwrap();
            let is_used = side.number == service.main
                || side.group.kept_until.is_some()
                || side.group.release != rollout.to
                || !service.traffic.shares.is_empty();
            assert!(is_used || side.wanted() == 0, "{name}: {outcome:?}");
        }
        assert!(service.releases.len() <= RELEASES_KEPT + service.groups.len() + 2, "{name}");
        assert!(service.previous.len() <= RELEASES_KEPT, "{name}");
        let kept = service.groups.values().filter(|it| it.kept_until.is_some());
        assert!(kept.count() <= 1, "{name} keeps more than one release warm");
    }
}
