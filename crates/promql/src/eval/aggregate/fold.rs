//! Aggregations that take their input up value by value, and hold one column a group.

use std::collections::BTreeMap;

use crate::eval::EvalError;
use crate::eval::column::{ABSENT, Track, is_absent};
use crate::eval::evaluator::{Evaluator, Sink};
use crate::eval::number::{Mean, Spread, Sum};
use crate::parse::{Aggregate, Aggregation};

/// Hands on one series a group.
pub(super) fn each(
    evaluator: &Evaluator<'_>,
    aggregate: &Aggregate,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut groups = BTreeMap::new();
    evaluator.each(&aggregate.expr, &mut |track| {
        let labels = super::group(&track.labels, &aggregate.grouping);
        if !groups.contains_key(&labels) {
            evaluator.hold(evaluator.grid.count)?;
        }
        let new = || Cells::new(aggregate.operator, evaluator.grid.count);
        let cells = groups.entry(labels).or_insert_with(new);
        cells.add(&track.values);
        Ok(())
    })?;
    groups
        .into_iter()
        .try_for_each(|(labels, cells)| sink(Track { labels, values: cells.finish() }))
}

/// What is known of a group at every moment.
enum Cells {
    Sums(Vec<(f64, f64)>),
    Means(Vec<Mean>),
    Spreads(Vec<Spread>, fn(Spread) -> f64),
    /// The value so far and the next make one.
    Plain(Vec<f64>, fn(f64, f64) -> f64),
}

impl Cells {
    fn new(operator: Aggregation, count: usize) -> Self {
        let plain = |combine| Self::Plain(vec![ABSENT; count], combine);
        match operator {
            Aggregation::Avg => Self::Means(vec![Mean::default(); count]),
            Aggregation::Stddev => {
                Self::Spreads(vec![Spread::default(); count], |it| it.variance().sqrt())
            }
            Aggregation::Stdvar => Self::Spreads(vec![Spread::default(); count], Spread::variance),
            Aggregation::Min => {
                plain(
                    |best, value| {
                        if is_absent(best) || value < best || best.is_nan() { value } else { best }
                    },
                )
            }
            Aggregation::Max => {
                plain(
                    |best, value| {
                        if is_absent(best) || best < value || best.is_nan() { value } else { best }
                    },
                )
            }
            Aggregation::Count => {
                plain(|before, _| if is_absent(before) { 1.0 } else { before + 1.0 })
            }
            Aggregation::Group => plain(|_, _| 1.0),
            _ => Self::Sums(vec![(ABSENT, 0.0); count]),
        }
    }

    fn add(&mut self, values: &[f64]) {
        let present = values.iter().enumerate().filter(|(_, value)| !is_absent(**value));
        match self {
            Self::Sums(cells) => {
                for ((sum, carry), value) in cells.iter_mut().zip(values) {
                    if is_absent(*value) {
                        continue;
                    }
                    if is_absent(*sum) {
                        *sum = *value;
                        continue;
                    }
                    let mut next = Sum { sum: *sum, carry: *carry };
                    next.add(*value);
                    (*sum, *carry) = (next.sum, next.carry);
                }
            }
            Self::Means(cells) => {
                for (step, value) in present {
                    if let Some(cell) = cells.get_mut(step) {
                        cell.add(*value);
                    }
                }
            }
            Self::Spreads(cells, _) => {
                for (step, value) in present {
                    if let Some(cell) = cells.get_mut(step) {
                        cell.add(*value);
                    }
                }
            }
            Self::Plain(cells, combine) => {
                for (cell, value) in cells.iter_mut().zip(values) {
                    if !is_absent(*value) {
                        *cell = combine(*cell, *value);
                    }
                }
            }
        }
    }

    fn finish(self) -> Vec<f64> {
        match self {
            Self::Sums(cells) => {
                let total =
                    |(sum, carry): (f64, f64)| if is_absent(sum) { sum } else { sum + carry };
                cells.into_iter().map(total).collect()
            }
            Self::Means(cells) => {
                let mean = |it: Mean| if it.is_empty() { ABSENT } else { it.mean() };
                cells.into_iter().map(mean).collect()
            }
            Self::Spreads(cells, finish) => {
                let spread = |it: Spread| if it.is_empty() { ABSENT } else { finish(it) };
                cells.into_iter().map(spread).collect()
            }
            Self::Plain(cells, _) => cells,
        }
    }
}
