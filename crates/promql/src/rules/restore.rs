//! Alerts after a restart: what was pending goes on where it was, as the series `ALERTS_FOR_STATE` has it.

use super::alert::AlertState;
use super::{Group, GroupState, RuleKind};
use crate::eval::{Answer, Context, EvalError, instant};
use crate::labels::NAME;
use crate::parse::{Expr, ExprKind, Selector, Shift, Span};
use crate::source::Matcher;

/// The series that says since when an alert is active.
pub(super) const SINCE: &str = "ALERTS_FOR_STATE";

/// How long ago it may have been written: Prometheus' outage tolerance.
const OUTAGE_MS: i64 = 60 * 60 * 1000;
/// What an alert has to wait at least after a restart, so that what was not seen meanwhile can end it: Prometheus'
/// grace period.
const GRACE_MS: i64 = 10 * 60 * 1000;

impl Group {
    /// Gives alerts that are pending the time they were pending before a restart. To be called once, after the first
    /// evaluation, with a source that has what was written before.
    pub fn restore(
        &self,
        now_ms: i64,
        state: &mut GroupState,
        context: &Context<'_>,
    ) -> Result<(), EvalError> {
        for (rule, state) in self.rules.iter().zip(&mut state.rules) {
            let RuleKind::Alerting(alerting) = &rule.kind else { continue };
            if alerting.for_ms < GRACE_MS {
                continue;
            }
            for alert in state.alerts.values_mut() {
                if alert.state != AlertState::Pending {
                    continue;
                }
                let matchers = alert.labels.iter().map(|(name, value)| Matcher::equal(name, value));
                let matchers = matchers.chain([Matcher::equal(NAME, SINCE)]).collect();
                let Some((seen_ms, since_ms)) = last(matchers, now_ms, context)? else { continue };
                let left_ms = alerting.for_ms - (seen_ms - since_ms);
                alert.active_at_ms = if left_ms <= 0 {
                    since_ms
                } else if left_ms < GRACE_MS {
                    now_ms + GRACE_MS - alerting.for_ms
                } else {
                    since_ms + (now_ms - seen_ms)
                };
            }
        }
        Ok(())
    }
}

/// When the series was written last before now, and what it said then.
fn last(
    matchers: Vec<Matcher>,
    now_ms: i64,
    context: &Context<'_>,
) -> Result<Option<(i64, i64)>, EvalError> {
    let selector = Selector { metric: None, matchers, shift: Shift::default() };
    let span = Span { start: 0, end: 0 };
    let expr = Expr { kind: ExprKind::Range { selector, range_ms: OUTAGE_MS }, span };
    let Answer::Matrix(series) = instant(&expr, now_ms - 1, context)? else { return Ok(None) };
    let point = series.first().and_then(|it| it.points.last());
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    Ok(point.map(|(seen_ms, since_s)| (*seen_ms, (*since_s * 1000.0) as i64)))
}
