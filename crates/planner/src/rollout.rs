//! What to do about the rollout of one service: the next step, the way back, or nothing yet.
//!
//! Everything it looks at is recorded: where the rollout is, what was counted, what was judged, what people
//! said. So a step is begun once, whoever plans, and none is begun without a verdict or a person's
//! word.

use std::time::Duration;

use model::Timestamp;
use model::rollout::{OnInconclusive, Strategy};
use world::rollout::{Kind, Outcome, Rollout, Stage, Verdict};
use world::{Event, Side};

use crate::command::{self, Command};
use crate::place::Place;
use crate::{Effect, Plan, judge, partners};

/// Instances of a new release that may end without being asked to. One end may be an accident of the machine;
/// two are the release's.
pub const FAILURES_MAX: u32 = 2;
/// How long a release that has just got all traffic is watched before it is the one that serves: it may still
/// fall over, and nothing is left to compare it with.
pub const WATCHED_FOR: Duration = Duration::from_secs(10);
/// How often a stage is judged while nothing new is counted, so that times that are over are seen.
const JUDGED_EVERY: Duration = Duration::from_secs(1);

/// What the rollout of a service, and the releases kept warm after it, need now.
pub(crate) fn decide(place: &Place<'_>, now: Timestamp, plan: &mut Plan) {
    retire(place, now, plan);
    hand_over(place, plan);
    let Some(rollout) = place.service.rollout.as_deref() else { return };
    if !rollout.is_active() {
        tell(place, rollout, plan);
        return;
    }
    let here = Here { place, rollout, now };
    if let Some(outcome) = here.way_back() {
        here.end(outcome, plan);
    } else if rollout.paused_since.is_none() {
        match rollout.stage {
            Stage::Preparing { step } => here.prepare(step, plan),
            Stage::Taking { step, .. } if rollout.policy(step).is_some() => here.judge(step, plan),
            Stage::Taking { .. } => here.watch(plan),
        }
    }
}

/// Ends the rollout of a service whose application is being stopped. One that has all the traffic and is only watched
/// on has made its release the one that serves, and that is what is started again.
pub(crate) fn abort(place: &Place<'_>, plan: &mut Plan) {
    let Some(rollout) = place.service.rollout.as_deref() else { return };
    if rollout.is_active() {
        let has_all =
            matches!(rollout.stage, Stage::Taking { step, .. } if rollout.policy(step).is_none());
        let is_whole = place.service.side(rollout.group).is_some_and(|it| it.is_whole());
        let is_well = rollout.failures == 0 && rollout.paused_since.is_none();
        let outcome = if has_all && is_whole && is_well {
            Outcome::Completed
        } else {
            Outcome::Aborted { reason: "the application was stopped".to_owned() }
        };
        Here { place, rollout, now: Timestamp::EPOCH }.end(outcome, plan);
    } else {
        tell(place, rollout, plan);
    }
}

/// Somebody wants to know the outcome.
fn tell(place: &Place<'_>, rollout: &Rollout, plan: &mut Plan) {
    if !rollout.told {
        let (application, service) = (place.application.clone(), place.name.clone());
        plan.effects.push(Effect::Tell { application, service });
    }
}

/// Releases that have been kept warm for long enough.
fn retire(place: &Place<'_>, now: Timestamp, plan: &mut Plan) {
    for (number, group) in &place.service.groups {
        let Some(until) = group.kept_until else { continue };
        let left = until.since(now);
        if left.is_zero() {
            let (application, service) = (place.application.clone(), place.name.clone());
            plan.record.push(Event::ReleaseRetired { application, service, group: *number });
        } else {
            plan.wake_in(left);
        }
    }
}

/// A release that somebody gave everything to serves from now on, once it can.
fn hand_over(place: &Place<'_>, plan: &mut Plan) {
    if !place.service.removed && place.service.successor().is_some() {
        let (application, service) = (place.application.clone(), place.name.clone());
        let traffic = place.service.traffic.clone();
        plan.record.push(Event::TrafficSet { application, service, traffic });
    }
}

/// A rollout in progress, and the moment it is looked at.
#[derive(Clone, Copy)]
struct Here<'a> {
    place: &'a Place<'a>,
    rollout: &'a Rollout,
    now: Timestamp,
}

impl Here<'_> {
    /// How it ends, if there is no way but back.
    fn way_back(&self) -> Option<Outcome> {
        let rejected = |reason| Some(Outcome::Rejected { reason });
        let (service, rollout) = (self.place.service, self.rollout);
        if service.removed {
            let reason = "the service was taken out of the application".to_owned();
            return Some(Outcome::Aborted { reason });
        }
        if FAILURES_MAX <= rollout.failures {
            let last = rollout.last_failure.as_deref().unwrap_or("for a reason that is not known");
            return rejected(format!(
                "its instances failed {} times since the rollout began, the last time: {last}",
                rollout.failures
            ));
        }
        if let Some(exit) = command::failure(service, rollout.to) {
            return rejected(format!("its release command failed: {exit}"));
        }
        if let Some(partner) = partners::lost(self.place, rollout) {
            return rejected(partner);
        }
        if rollout.update.auto_revert
            && let Some(reason) = judge::guardrail(rollout)
        {
            return rejected(reason);
        }
        None
    }

    fn end(&self, outcome: Outcome, plan: &mut Plan) {
        let (application, service) = (self.place.application.clone(), self.place.name.clone());
        plan.record.push(Event::RolloutEnded { application, service, outcome });
    }

    fn side(&self) -> Option<Side<'_>> {
        self.place.service.side(self.rollout.group)
    }

    /// Moves traffic as soon as the instances for it are there.
    fn prepare(&self, step: u32, plan: &mut Plan) {
        let rollout = self.rollout;
        let Some(side) = self.side() else { return };
        if rollout.is_in_place() {
            // Its instances take the places of others when traffic moves; the command comes before. Where no
            // instance is wanted, it comes before the first that is.
            match command::of(self.place.service, rollout.to) {
                Command::None | Command::Succeeded => {}
                _ if side.wanted() == 0 => {}
                Command::Running | Command::Failed => return,
                Command::Due => {
                    let number = self.place.service.next_instance;
                    plan.record.extend(command::run(self.place, &side, (number, rollout.to)));
                    return;
                }
            }
        } else if !side.is_whole() {
            return;
        }
        let waits_for_a_person = rollout.kind == Kind::Deploy
            && rollout.update.strategy == Strategy::Bluegreen
            && !rollout.update.auto_promote
            && !rollout.promote_asked;
        if waits_for_a_person || !partners::have_come_to(self.place, rollout, step) {
            return;
        }
        let (application, service) = (self.place.application.clone(), self.place.name.clone());
        plan.record.push(Event::RolloutTrafficMoved { application, service, step });
    }

    /// Goes on when the new release is found good enough in a step, and back when it is found bad.
    fn judge(&self, step: u32, plan: &mut Plan) {
        let rollout = self.rollout;
        let judged = rollout.judged.as_ref();
        let assessment = judge::assess(rollout, self.now);
        let is_news = |it: &Verdict| judged.is_none_or(|before| rank(before.verdict) < rank(*it));
        if let Some(verdict) = assessment.verdict.filter(is_news) {
            let (application, service) = (self.place.application.clone(), self.place.name.clone());
            let reason = assessment.reason;
            plan.record.push(Event::RolloutJudged { application, service, verdict, reason });
            return;
        }
        plan.wake_in(JUDGED_EVERY);
        let (update, reason) =
            (&rollout.update, judged.map(|it| it.reason.clone()).unwrap_or_default());
        let inconclusive = update.analysis.on_inconclusive;
        match judged.map(|it| it.verdict) {
            Some(Verdict::Fail) if update.auto_revert => {
                self.end(Outcome::Rejected { reason }, plan);
            }
            Some(Verdict::Inconclusive) if inconclusive == OnInconclusive::Revert => {
                self.end(Outcome::Rejected { reason }, plan);
            }
            Some(Verdict::Inconclusive) if inconclusive == OnInconclusive::Promote => {
                self.begin(step + 1, plan);
            }
            Some(Verdict::Pass) if update.auto_promote => self.begin(step + 1, plan),
            _ if rollout.promote_asked => self.begin(step + 1, plan),
            _ => {}
        }
    }

    fn begin(&self, step: u32, plan: &mut Plan) {
        if partners::have_come_to(self.place, self.rollout, step) {
            let (application, service) = (self.place.application.clone(), self.place.name.clone());
            plan.record.push(Event::RolloutStepBegun { application, service, step });
        }
    }

    /// Ends a rollout whose release has all the traffic, and has stood it for a while.
    fn watch(&self, plan: &mut Plan) {
        match watched_in(self.place, self.rollout, self.now) {
            Some(Duration::ZERO) if partners::are_watched(self.place, self.rollout, self.now) => {
                self.end(Outcome::Completed, plan);
            }
            Some(Duration::ZERO) | None => {}
            Some(left) => plan.wake_in(left),
        }
    }
}

/// How much longer a release that has all the traffic must be watched; nothing while it does not have it, or
/// not all its instances are there.
pub(crate) fn watched_in(place: &Place<'_>, rollout: &Rollout, now: Timestamp) -> Option<Duration> {
    let Stage::Taking { step, .. } = rollout.stage else { return None };
    if rollout.policy(step).is_some() {
        return None;
    }
    if rollout.kind == Kind::Rollback {
        return Some(Duration::ZERO);
    }
    let side =
        place.service.side(rollout.group).filter(|it| !rollout.is_in_place() || it.is_settled())?;
    // Where instances took the places of others, the last to come begins the watch.
    let last_came = side.instances().filter_map(|(_, it)| it.ready_at).max();
    let since = if rollout.is_in_place() { last_came } else { None };
    let since = since.map_or(rollout.stage_since, |it| it.max(rollout.stage_since));
    Some(since.remaining(WATCHED_FOR, now))
}

/// A verdict may become stronger: what could not be said is said, and what passed fails.
const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Inconclusive => 0,
        Verdict::Pass => 1,
        Verdict::Fail => 2,
    }
}
