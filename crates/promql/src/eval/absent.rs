//! Functions of whether there is anything: `absent`, `absent_over_time` and `scalar`.

use super::EvalError;
use super::column::{ABSENT, Track, is_absent};
use super::evaluator::{Evaluator, Sink, hand_on};
use super::select::samples;
use crate::labels::{Labels, NAME};
use crate::parse::{Expr, ExprKind};
use crate::source::{Matcher, MatcherKind};

/// 1 at every moment at which a vector is empty.
pub(super) fn now(evaluator: &Evaluator<'_>, of: &Expr, sink: Sink<'_>) -> Result<(), EvalError> {
    let mut values = vec![1.0; evaluator.grid.count];
    evaluator.each(of, &mut |track| {
        for (value, found) in values.iter_mut().zip(&track.values) {
            if !is_absent(*found) {
                *value = ABSENT;
            }
        }
        Ok(())
    })?;
    hand_on(Track { labels: labels(of), values }, sink)
}

/// 1 at every moment before which a range had no sample.
pub(super) fn over_time(
    evaluator: &Evaluator<'_>,
    of: &Expr,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut values = vec![1.0; evaluator.grid.count];
    samples(evaluator, of, &mut |series| {
        for (value, end_ms) in values.iter_mut().zip(series.ends.times()) {
            let until = series.times.partition_point(|it| *it <= end_ms);
            let latest = until.checked_sub(1).and_then(|it| series.times.get(it));
            if latest.is_some_and(|it| end_ms.saturating_sub(series.range_ms) < *it) {
                *value = ABSENT;
            }
        }
        Ok(())
    })?;
    hand_on(Track { labels: labels(of), values }, sink)
}

/// The labels that what is missing would have had: those a selector wants to be equal, once each.
fn labels(of: &Expr) -> Labels {
    let (ExprKind::Selector(selector) | ExprKind::Range { selector, .. }) = &of.kind else {
        return Labels::default();
    };
    let wanted = |it: &&Matcher| {
        let alone = selector.matchers.iter().filter(|other| other.name == it.name).count() == 1;
        it.name != NAME && matches!(it.kind, MatcherKind::Equal) && alone
    };
    let wanted = selector.matchers.iter().filter(wanted);
    Labels::of(wanted.map(|it| (it.name.as_str(), it.value.as_str())))
}

/// The value of the only series of a vector, at every moment at which there is just one.
pub(super) fn scalar(evaluator: &Evaluator<'_>, of: &Expr) -> Result<Vec<f64>, EvalError> {
    let mut found = vec![(0_u32, f64::NAN); evaluator.grid.count];
    evaluator.each(of, &mut |track| {
        for ((count, only), value) in found.iter_mut().zip(track.values) {
            if !is_absent(value) {
                *count = count.saturating_add(1);
                *only = value;
            }
        }
        Ok(())
    })?;
    Ok(found.into_iter().map(|(count, only)| if count == 1 { only } else { f64::NAN }).collect())
}
