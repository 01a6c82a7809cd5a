//! What becomes of times when the machine's clock is set.
//!
//! Waits are measured between times in the state, so they must not feel the step: whatever is waited for moves along with
//! the clock, forwards and back. Of everything else only what was recorded in a future that turned out wrong moves
//! back, so that nothing in the state is later than now; a clock that is set forwards, or a machine that was
//! suspended, leaves the past as it was told.

use std::sync::Arc;
use std::time::Duration;

use model::{Index, Timestamp};
use serde::{Deserialize, Serialize};

use crate::World;
use crate::rollout::Rollout;
use crate::service::{Ended, Instance, Phase, STABLE_AFTER, ServiceState};

/// Steps that are remembered; of more, the oldest are forgotten. A clock that is set once a day has them for half a
/// year, which is longer than the journal is kept.
const STEPS_MAX: usize = 200;

/// The machine's clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStep {
    /// The event that says so.
    pub index: Index,
    /// The time then, by the clock as it was set.
    pub at: Timestamp,
    /// By how much, in milliseconds; less than zero if it was set back.
    pub by_ms: i64,
}

impl World {
    /// The events since which the clock was behind what it had said before, oldest first.
    pub fn set_back(&self) -> Vec<Index> {
        self.clock_steps.iter().filter(|it| it.by_ms < 0).map(|it| it.index).collect()
    }

    /// The time that the age of events is measured by: not further on than time has passed in the last `window`, so that a
    /// clock that is wrong by a year does not make all events old at once.
    pub fn aged_at(&self, now: Timestamp, window: Duration) -> Timestamp {
        let ahead_ms = self.ahead(now, window).as_millis();
        now.moved(i64::try_from(ahead_ms).map_or(i64::MIN, |it| -it))
    }

    /// How much further than time has passed in the last `window` the clock went on in it, by being set.
    pub fn ahead(&self, now: Timestamp, window: Duration) -> Duration {
        ahead(&self.clock_steps, now, window)
    }

    /// Takes in that the clock was set, and now says `at`.
    pub(crate) fn clock_set(&mut self, by_ms: i64, at: Timestamp) {
        if STEPS_MAX <= self.clock_steps.len() {
            self.clock_steps.remove(0);
        }
        self.clock_steps.push(ClockStep { index: self.index, at, by_ms });
        let step = Step { by_ms, at };
        for application in self.applications.values_mut() {
            let application = Arc::make_mut(application);
            step.tell(&mut application.applied_at);
            for firing in &mut application.alerts {
                step.tell(&mut firing.since);
            }
            for service in application.services.values_mut() {
                step.of_service(Arc::make_mut(service));
            }
        }
    }
}

/// As [`World::ahead`], of clock steps that may not be recorded yet.
pub fn ahead(steps: &[ClockStep], now: Timestamp, window: Duration) -> Duration {
    let recent = steps.iter().filter(|it| now.since(it.at) < window);
    let ahead_ms = recent.fold(0_i64, |sum, it| sum.saturating_add(it.by_ms));
    Duration::from_millis(u64::try_from(ahead_ms).unwrap_or(0))
}

/// One step of the clock.
#[derive(Clone, Copy, Debug)]
struct Step {
    by_ms: i64,
    at: Timestamp,
}

impl Step {
    /// A time that somebody waits by.
    fn wait(self, time: &mut Timestamp) {
        *time = time.moved(self.by_ms);
    }

    /// A time that is told and not waited by: of a future that turned out wrong, or left alone.
    fn tell(self, time: &mut Timestamp) {
        if self.by_ms < 0 && self.at < *time {
            self.wait(time);
        }
    }

    fn of_service(self, service: &mut ServiceState) {
        for instance in service.instances.values_mut() {
            self.of_instance(instance);
        }
        for ended in &mut service.ended {
            self.of_ended(ended);
        }
        for group in service.groups.values_mut() {
            group.crash_loop_since.iter_mut().for_each(|it| self.tell(it));
            group.kept_until.iter_mut().for_each(|it| self.wait(it));
            for slot in group.slots.values_mut() {
                let Some(end) = &mut slot.last_end else { continue };
                // After a failure the next start waits from here.
                let (before, waits) = (end.at, slot.failures > 0);
                self.of_ended(end);
                if waits {
                    end.at = before.moved(self.by_ms);
                }
            }
        }
        if let Some(rollout) = &mut service.rollout {
            self.of_rollout(Arc::make_mut(rollout));
        }
    }

    fn of_ended(self, ended: &mut Ended) {
        ended.started_at.iter_mut().for_each(|it| self.tell(it));
        self.tell(&mut ended.at);
    }

    fn of_instance(self, instance: &mut Instance) {
        let before = self.at.moved(self.by_ms.saturating_neg());
        let has_started = instance.is_stable(before);
        let begun = [Some(&mut instance.created_at), instance.started_at.as_mut()];
        for time in begun.into_iter().flatten() {
            if has_started { self.tell(time) } else { self.wait(time) }
        }
        // One that was well before and is ready again just now is still waited for: a crash loop ends with that.
        if let Some(ready_at) = &mut instance.ready_at {
            let is_settled = has_started && STABLE_AFTER <= before.since(*ready_at);
            if is_settled { self.tell(ready_at) } else { self.wait(ready_at) }
        }
        instance.started_well.iter_mut().for_each(|it| self.tell(it));
        if let Phase::Stopping { since, .. } = &mut instance.phase {
            self.wait(since);
        }
    }

    fn of_rollout(self, rollout: &mut Rollout) {
        // One that is over waits for nothing.
        let is_active = rollout.is_active();
        let judged = rollout.judged.as_mut().map(|it| &mut it.at);
        let outcome = rollout.outcome.as_mut().map(|it| &mut it.1);
        let begun = [&mut rollout.started_at, &mut rollout.stage_since];
        let times = begun.into_iter().chain(&mut rollout.paused_since).chain(judged).chain(outcome);
        for time in times.chain(rollout.observations.iter_mut().map(|it| &mut it.at)) {
            if is_active { self.wait(time) } else { self.tell(time) }
        }
    }
}
