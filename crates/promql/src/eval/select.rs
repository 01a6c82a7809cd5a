//! What a selector gives: at every moment the latest sample that is not too old, or a window of samples.

use std::ops::ControlFlow;

use super::EvalError;
use super::column::{ABSENT, Track, is_absent};
use super::evaluator::{Evaluator, Sink, bare, hand_on};
use super::grid::{Grid, shifted};
use super::number::seconds;
use crate::labels::Labels;
use crate::parse::{Expr, ExprKind, Selector, Subquery};
use crate::source::{Selection, Series, is_stale};

/// Samples of one series for range functions, none of them a staleness marker.
#[derive(Clone, Copy)]
pub(super) struct Samples<'a> {
    pub(super) labels: &'a Labels,
    pub(super) times: &'a [i64],
    pub(super) values: &'a [f64],
    /// Where windows end.
    pub(super) ends: Grid,
    /// How far they reach back.
    pub(super) range_ms: i64,
}

/// Hands on the latest sample at every moment.
pub(super) fn instant(
    evaluator: &Evaluator<'_>,
    selector: &Selector,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    latest(evaluator, selector, |_, value| value, sink)
}

/// Hands on when the latest sample was taken.
pub(super) fn timestamps(
    evaluator: &Evaluator<'_>,
    selector: &Selector,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    latest(evaluator, selector, |time_ms, _| seconds(time_ms), sink)
}

fn latest(
    evaluator: &Evaluator<'_>,
    selector: &Selector,
    take: fn(i64, f64) -> f64,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let lookback_ms = evaluator.ground.context.limits.lookback_ms;
    let ends = shifted(evaluator.grid, selector.shift, evaluator.ground.asked);
    each_series(evaluator, selector, (ends, lookback_ms), &mut |series| {
        let mut values = Vec::with_capacity(ends.count);
        let mut rest = series.times.iter().zip(series.values).peekable();
        let mut last = None;
        for end_ms in ends.times() {
            while let Some(next) = rest.next_if(|(time_ms, _)| **time_ms <= end_ms) {
                last = Some(next);
            }
            let fresh = last.filter(|(time_ms, _)| end_ms.saturating_sub(lookback_ms) < **time_ms);
            values.push(match fresh {
                Some((time_ms, value)) if !is_stale(*value) => take(*time_ms, *value),
                _ => ABSENT,
            });
        }
        hand_on(Track { labels: series.labels.clone(), values }, sink)
    })
}

/// Hands on the samples of every series that a range vector chooses.
pub(super) fn samples(
    evaluator: &Evaluator<'_>,
    expr: &Expr,
    visit: &mut dyn FnMut(Samples<'_>) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    match &bare(expr).kind {
        ExprKind::Range { selector, range_ms } => {
            let ends = shifted(evaluator.grid, selector.shift, evaluator.ground.asked);
            let range_ms = *range_ms;
            each_series(evaluator, selector, (ends, range_ms), &mut |series| {
                let Series { labels, times, values } = series;
                if !values.iter().any(|it| is_stale(*it)) {
                    return visit(Samples { labels, times, values, ends, range_ms });
                }
                let (times, values) = present(times.iter().copied(), values);
                visit(Samples { labels, times: &times, values: &values, ends, range_ms })
            })
        }
        ExprKind::Subquery(subquery) => subquery_samples(evaluator, subquery, visit),
        _ => Ok(()),
    }
}

fn subquery_samples(
    evaluator: &Evaluator<'_>,
    subquery: &Subquery,
    visit: &mut dyn FnMut(Samples<'_>) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let ends = shifted(evaluator.grid, subquery.shift, evaluator.ground.asked);
    let range_ms = subquery.range_ms;
    let step_ms =
        subquery.step_ms.unwrap_or(evaluator.ground.context.limits.subquery_step_ms).max(1);
    let after_ms = ends.start_ms.saturating_sub(range_ms);
    let start_ms = (after_ms.div_euclid(step_ms) + 1).saturating_mul(step_ms);
    let last_ms = ends.last_ms();
    if last_ms < start_ms {
        return Ok(());
    }
    let steps = last_ms.abs_diff(start_ms) / step_ms.unsigned_abs() + 1;
    let count = usize::try_from(steps).unwrap_or(usize::MAX);
    evaluator.hold(count)?;
    let grid = Grid { start_ms, step_ms, count };
    let inner = Evaluator { grid, ..*evaluator };
    inner.each(&subquery.expr, &mut |track| {
        let (times, values) = present(grid.times(), &track.values);
        evaluator.hold(values.len())?;
        let (labels, times, values) = (&track.labels, &times, &values);
        visit(Samples { labels, times, values, ends, range_ms })
    })
}

/// What is left when staleness markers, or moments without a value, are taken out.
fn present(times: impl Iterator<Item = i64>, values: &[f64]) -> (Vec<i64>, Vec<f64>) {
    times.zip(values.iter().copied()).filter(|(_, value)| !is_absent(*value)).unzip()
}

/// Reads every series that a selector chooses, over the moments of a grid and what they look back.
fn each_series(
    evaluator: &Evaluator<'_>,
    selector: &Selector,
    (grid, back_ms): (Grid, i64),
    visit: &mut dyn FnMut(Series<'_>) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let selection = Selection {
        matchers: &selector.matchers,
        from_ms: grid.start_ms.saturating_sub(back_ms).saturating_add(1),
        to_ms: grid.last_ms(),
    };
    let limit = evaluator.ground.context.limits.series_max;
    let mut seen = 0;
    let mut result = Ok(());
    evaluator.ground.context.source.select(&selection, &mut |series| {
        seen += 1;
        result = if limit < seen {
            Err(EvalError::TooManySeries { limit })
        } else {
            evaluator.read(series.times.len()).and_then(|()| visit(series))
        };
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    result
}
