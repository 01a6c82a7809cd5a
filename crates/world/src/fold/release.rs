//! How releases, and rollouts of them, change a service.

use model::instance::Exit;
use model::{Index, ReleaseNumber, Timestamp};

use crate::event::Event;
use crate::group::Group;
use crate::rollout::{GroupNumber, Kind, Outcome, Rollout, RolloutPlan, Stage};
use crate::service::{Ended, RELEASES_KEPT, ServiceState, Traffic};
use std::sync::Arc;

impl ServiceState {
    /// Folds in an event about its releases; nothing where the event does not fit.
    pub(super) fn apply(&mut self, event: &Event, index: Index, at: Timestamp) -> Option<()> {
        match event {
            Event::ReleaseBaked { release, .. } => {
                self.releases.insert(release.number, Arc::clone(release));
                self.forget_old_releases();
            }
            Event::GroupOpened { group, release, .. } => self.open(*group, *release),
            Event::TrafficSet { traffic, .. } => self.steer(traffic, at),
            Event::ReleaseRetired { group, .. } => {
                self.groups.get_mut(group)?.kept_until = None;
            }
            Event::RolloutStarted { rollout, .. } => self.start(rollout, index, at)?,
            Event::RolloutEnded { outcome, .. } => self.end(outcome, at)?,
            Event::RolloutTold { .. } => Arc::make_mut(self.rollout.as_mut()?).told = true,
            in_progress => self.advance(in_progress, index, at)?,
        }
        Some(())
    }

    /// A rollout in progress has come further.
    fn advance(&mut self, event: &Event, index: Index, at: Timestamp) -> Option<()> {
        let rollout = Arc::make_mut(self.rollout.as_mut().filter(|it| it.is_active())?);
        match event {
            Event::RolloutStepBegun { step, .. } => {
                rollout.enter(Stage::Preparing { step: *step }, at);
            }
            Event::RolloutTrafficMoved { step, .. } => {
                rollout.enter(Stage::Taking { step: *step, epoch: index }, at);
                if rollout.is_in_place() {
                    let (group, to) = (rollout.group, rollout.to);
                    self.groups.get_mut(&group)?.release = to;
                    self.forgive();
                }
            }
            Event::RolloutBaselineFrozen { thresholds, .. } => {
                rollout.thresholds = Some(*thresholds);
                // What was counted before was not compared with them.
                if let Stage::Taking { step, .. } = rollout.stage {
                    rollout.stage = Stage::Taking { step, epoch: index };
                }
            }
            Event::RolloutObserved { counted, .. } => rollout.observe(counted, at),
            Event::RolloutJudged { verdict, reason, .. } => {
                let reason = reason.clone();
                rollout.judged = Some(crate::rollout::Judged { verdict: *verdict, reason, at });
            }
            Event::RolloutPaused { .. } => rollout.paused_since = rollout.paused_since.or(Some(at)),
            Event::RolloutResumed { .. } => rollout.paused_since = None,
            Event::RolloutPromoted { .. } => rollout.promote_asked = true,
            _ => return None,
        }
        Some(())
    }

    /// A group begins anew with a release; its ports stay.
    fn open(&mut self, number: GroupNumber, release: ReleaseNumber) {
        let next = self.next_instance;
        let group = self.groups.entry(number).or_insert_with(|| Group::new(release));
        group.release = release;
        group.restart_before = next;
        group.once_healthy = false;
        group.crash_loop_since = None;
        group.kept_until = None;
        for slot in group.slots.values_mut() {
            slot.failures = 0;
            slot.last_end = None;
        }
    }

    /// There is one rollout at a time, from the release that serves to another that is there.
    fn start(&mut self, plan: &RolloutPlan, index: Index, at: Timestamp) -> Option<()> {
        if self.active_rollout().is_some() || self.current() != plan.from {
            return None;
        }
        self.releases.get(&plan.to)?;
        let rollout = Rollout::new(plan, index, at);
        let group = self.groups.get_mut(&plan.group)?;
        if !rollout.is_in_place() && group.release != plan.to {
            return None;
        }
        group.kept_until = None;
        self.rollout = Some(Arc::new(rollout));
        Some(())
    }

    fn end(&mut self, outcome: &Outcome, at: Timestamp) -> Option<()> {
        let rollout = Arc::make_mut(self.rollout.as_mut().filter(|it| it.is_active())?);
        rollout.outcome = Some((outcome.clone(), at));
        rollout.told = rollout.update.webhook.is_none();
        let (kind, from, to) = (rollout.kind, rollout.from, rollout.to);
        let (group, in_place) = (rollout.group, rollout.is_in_place());
        let keep_old = rollout.update.keep_old;
        match outcome {
            Outcome::Rejected { .. } => self.rejected.insert(to),
            _ => self.rejected.remove(&to),
        };
        if *outcome != Outcome::Completed {
            if in_place {
                self.groups.get_mut(&group)?.release = from;
                self.forgive();
            }
            return Some(());
        }
        if !in_place {
            // Whoever goes back does so because the release is bad: it is not kept.
            let is_kept = kind == Kind::Deploy && !keep_old.is_zero();
            self.hand_over(group, is_kept.then(|| at.after(keep_old)));
        }
        match kind {
            Kind::Deploy => self.remember(from),
            Kind::Rollback => {
                let place = self.previous.iter().rposition(|it| *it == to);
                self.previous.truncate(place.unwrap_or(self.previous.len()));
            }
        }
        Some(())
    }

    /// Another group serves from now on. The one before it is kept warm for a while, and no other: whoever
    /// releases often would otherwise have as many fleets as releases.
    fn hand_over(&mut self, to: GroupNumber, kept_until: Option<Timestamp>) {
        for (number, group) in &mut self.groups {
            group.kept_until = kept_until.filter(|_| *number == self.main && *number != to);
        }
        self.main = to;
    }

    /// A release has had all the traffic, and has it no more.
    fn remember(&mut self, release: ReleaseNumber) {
        self.previous.push(release);
        let excess = self.previous.len().saturating_sub(RELEASES_KEPT);
        self.previous.drain(..excess);
    }

    /// Somebody shares requests otherwise. One release alone becomes the one that serves, as soon as all its
    /// instances are there; until then the one before it does.
    fn steer(&mut self, traffic: &Traffic, at: Timestamp) {
        self.traffic = traffic.clone();
        let Some(group) = self.successor() else { return };
        self.traffic.shares.clear();
        if group == self.main {
            return;
        }
        let from = self.current();
        let update = self.side(group).and_then(|it| it.release()).map(|it| &it.service.update);
        let keep_old = update.map(|it| it.keep_old).filter(|it| !it.is_zero());
        self.hand_over(group, keep_old.map(|it| at.after(it)));
        self.remember(from);
    }

    /// The end of an instance of a release that is being rolled out speaks against it, unless it was asked
    /// for, or nobody saw how it came: what kills a supervisor is not the release.
    pub(super) fn note_failure(&mut self, ended: &Ended) {
        let Some(rollout) = self.rollout.as_mut().filter(|it| it.is_active()) else { return };
        if ended.release != rollout.to || !ended.is_unasked() || ended.exit == Exit::Lost {
            return;
        }
        let rollout = Arc::make_mut(rollout);
        rollout.failures = rollout.failures.saturating_add(1);
        rollout.last_failure = Some(match ended.stop_reason {
            Some(reason) => reason.to_string(),
            None => ended.exit.to_string(),
        });
    }
}
