//! One alert: pending while its condition has not held long enough, firing, and after that kept for a while as inactive.

use super::Alerting;
use crate::labels::Labels;

/// How long an alert that ended is still shown, and sent as ended: Prometheus' time, three of what receivers take to
/// forget.
pub(super) const RETENTION_MS: i64 = 15 * 60 * 1000;

/// One alert of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What tells it from others of the rule, `alertname` with it.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Vec<(String, String)>,
    /// Where it stands.
    pub state: AlertState,
    /// The value of the expression when it last held.
    pub value: f64,
    /// When the condition began to hold.
    pub active_at_ms: i64,
    /// When it began to fire.
    pub fired_at_ms: Option<i64>,
    /// When it ended.
    pub resolved_at_ms: Option<i64>,
    /// When the condition ceased to hold while it is still kept firing.
    pub keep_firing_since_ms: Option<i64>,
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// It has ended.
    Inactive,
    /// The condition holds, but not long enough.
    Pending,
    /// It fires.
    Firing,
}

impl AlertState {
    /// The word in the label `alertstate`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// Something has happened to an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The place of its rule in the group.
    pub rule: usize,
    /// What has happened.
    pub change: Change,
    /// The alert as it is now.
    pub alert: Alert,
}

/// What may happen to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its condition began to hold.
    Pending,
    /// It has begun to fire.
    Firing,
    /// It fired, and has ended.
    Resolved,
    /// It ended before it fired.
    Dropped,
}

impl Alert {
    /// What becomes of it at a moment, given whether its condition holds. `Err` if it is to be forgotten.
    pub(super) fn step(
        &mut self,
        now_ms: i64,
        condition: Condition,
        alerting: &Alerting,
    ) -> Result<Option<Change>, Option<Change>> {
        if condition == Condition::Ceased && !self.is_kept_firing(now_ms, alerting) {
            return self.cease(now_ms);
        }
        if condition == Condition::Holds {
            self.keep_firing_since_ms = None;
        }
        if self.state == AlertState::Pending
            && alerting.for_ms <= now_ms.saturating_sub(self.active_at_ms)
        {
            self.state = AlertState::Firing;
            self.fired_at_ms = Some(now_ms);
            return Ok(Some(Change::Firing));
        }
        Ok(None)
    }

    fn is_kept_firing(&mut self, now_ms: i64, alerting: &Alerting) -> bool {
        if self.state != AlertState::Firing || alerting.keep_firing_for_ms <= 0 {
            return false;
        }
        let since_ms = *self.keep_firing_since_ms.get_or_insert(now_ms);
        now_ms.saturating_sub(since_ms) < alerting.keep_firing_for_ms
    }

    fn cease(&mut self, now_ms: i64) -> Result<Option<Change>, Option<Change>> {
        match self.state {
            AlertState::Pending => Err(Some(Change::Dropped)),
            AlertState::Firing => {
                self.state = AlertState::Inactive;
                self.resolved_at_ms = Some(now_ms);
                Ok(Some(Change::Resolved))
            }
            AlertState::Inactive => {
                let since_ms = self.resolved_at_ms.unwrap_or(now_ms);
                let old = RETENTION_MS < now_ms.saturating_sub(since_ms);
                if old { Err(None) } else { Ok(None) }
            }
        }
    }
}

/// Whether what an alert is about is still so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Holds,
    Ceased,
}
