//! Aggregations: many series become one a group, or a few of each group stay.
//!
//! Those that can be computed value by value take their input up series by series ([`fold`]), and so do those that
//! choose series ([`some`]); the others need to see a group whole ([`choose`]).

mod choose;
mod fold;
mod some;

use super::EvalError;
use super::evaluator::{Evaluator, Sink, text};
use crate::labels::Labels;
use crate::parse::{Aggregate, Aggregation, Grouping};

/// Hands on what an aggregation gives.
pub(super) fn each(
    evaluator: &Evaluator<'_>,
    aggregate: &Aggregate,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    match (aggregate.operator, &aggregate.parameter) {
        (Aggregation::Quantile, Some(share)) => {
            choose::quantile(evaluator, (aggregate, share), sink)
        }
        (Aggregation::CountValues, Some(label)) => {
            choose::count_values(evaluator, (aggregate, text(label)), sink)
        }
        (Aggregation::LimitRatio, Some(ratio)) => some::share(evaluator, (aggregate, ratio), sink),
        (Aggregation::Topk | Aggregation::Bottomk | Aggregation::Limitk, Some(count)) => {
            some::each(evaluator, (aggregate, count), sink)
        }
        _ => fold::each(evaluator, aggregate, sink),
    }
}

/// The labels of the group that a series belongs to.
fn group(labels: &Labels, grouping: &Grouping) -> Labels {
    match grouping {
        Grouping::By(names) if names.is_empty() => Labels::default(),
        Grouping::By(names) => labels.only(names),
        Grouping::Without(names) => labels.without(names),
    }
}
