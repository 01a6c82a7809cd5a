//! Aggregations that need to see a group whole: quantiles, and counts of values.

use std::collections::BTreeMap;

use crate::eval::EvalError;
use crate::eval::column::{ABSENT, Track, is_absent};
use crate::eval::evaluator::{Evaluator, Sink, hand_on};
use crate::eval::number::quantile as quantile_of;
use crate::labels::Labels;
use crate::parse::{Aggregate, Expr, number_text};

type Groups = BTreeMap<Labels, Vec<Track>>;

/// All series of every group, each group's by their labels.
fn groups(evaluator: &Evaluator<'_>, aggregate: &Aggregate) -> Result<Groups, EvalError> {
    let mut groups = Groups::new();
    for track in evaluator.collect(&aggregate.expr)? {
        let labels = super::group(&track.labels, &aggregate.grouping);
        groups.entry(labels).or_default().push(track);
    }
    for tracks in groups.values_mut() {
        tracks.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    Ok(groups)
}

/// The value below which a share of a group's values is.
pub(super) fn quantile(
    evaluator: &Evaluator<'_>,
    (aggregate, share): (&Aggregate, &Expr),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let shares = evaluator.scalar(share)?;
    for (labels, tracks) in groups(evaluator, aggregate)? {
        let mut column = Vec::with_capacity(shares.len());
        let mut values = Vec::with_capacity(tracks.len());
        for (step, share) in shares.iter().enumerate() {
            values.clear();
            values.extend(at(&tracks, step).map(|(_, value)| value));
            let empty = values.is_empty();
            column.push(if empty { ABSENT } else { quantile_of(*share, &mut values) });
        }
        hand_on(Track { labels, values: column }, sink)?;
    }
    Ok(())
}

/// The series of a group that have a value at a moment, by their place.
fn at(tracks: &[Track], step: usize) -> impl Iterator<Item = (usize, f64)> {
    let values = tracks.iter().map(move |it| it.values.get(step).copied().unwrap_or(ABSENT));
    values.enumerate().filter(|(_, value)| !is_absent(*value))
}

/// How many series of a group have each value, which becomes a label.
pub(super) fn count_values(
    evaluator: &Evaluator<'_>,
    (aggregate, label): (&Aggregate, &str),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    if label.is_empty() {
        return Err(EvalError::Execution(format!("invalid label name {label:?}")));
    }
    let mut counts: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    evaluator.each(&aggregate.expr, &mut |track| {
        let group = super::group(&track.labels, &aggregate.grouping);
        for (step, value) in track.values.iter().enumerate() {
            if is_absent(*value) {
                continue;
            }
            let labels = group.with(label, &number_text(*value));
            if !counts.contains_key(&labels) {
                evaluator.hold(evaluator.grid.count)?;
            }
            let blank = || vec![ABSENT; evaluator.grid.count];
            let column = counts.entry(labels).or_insert_with(blank);
            if let Some(count) = column.get_mut(step) {
                *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
            }
        }
        Ok(())
    })?;
    counts.into_iter().try_for_each(|(labels, values)| sink(Track { labels, values }))
}
