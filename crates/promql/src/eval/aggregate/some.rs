//! Aggregations that let some series of every group stay as they are: the greatest, the least, the first, or a share.
//!
//! They hold no more of a group than what stays: a heap at every moment, of which the worst is let go for a better.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use crate::eval::EvalError;
use crate::eval::column::{ABSENT, Track, is_absent};
use crate::eval::evaluator::{Evaluator, Sink, hand_on};
use crate::eval::number::index;
use crate::labels::Labels;
use crate::parse::{Aggregate, Aggregation, Expr, number_text};

/// A series at a moment. The greatest is the first that does not stay.
#[derive(Debug)]
struct Candidate {
    /// Lower stays sooner; what is no number stays last.
    rank: f64,
    labels: Labels,
    value: f64,
}

impl Candidate {
    /// Where a series of this rank and these labels would stand.
    fn place_of(&self, rank: f64, labels: &Labels) -> Ordering {
        let numbers = rank.is_nan().cmp(&self.rank.is_nan());
        let numbers = numbers.then(rank.partial_cmp(&self.rank).unwrap_or(Ordering::Equal));
        numbers.then_with(|| labels.cmp(&self.labels))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        other.place_of(self.rank, &self.labels)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

/// `topk`, `bottomk` and `limitk`.
pub(super) fn each(
    evaluator: &Evaluator<'_>,
    (aggregate, parameter): (&Aggregate, &Expr),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let counts = counts(&evaluator.scalar(parameter)?)?;
    let rank: fn(f64) -> f64 = match aggregate.operator {
        Aggregation::Topk => |value| -value,
        Aggregation::Bottomk => |value| value,
        _ => |_| 0.0,
    };
    let mut groups: BTreeMap<Labels, Vec<BinaryHeap<Candidate>>> = BTreeMap::new();
    evaluator.each(&aggregate.expr, &mut |track| {
        let group = super::group(&track.labels, &aggregate.grouping);
        let none = || counts.iter().map(|_| BinaryHeap::new()).collect();
        let moments = groups.entry(group).or_insert_with(none);
        let mut held = 0;
        for ((heap, count), value) in moments.iter_mut().zip(&counts).zip(track.values) {
            if is_absent(value) || *count == 0 {
                continue;
            }
            let rank = rank(value);
            let candidate = || Candidate { rank, labels: track.labels.clone(), value };
            if heap.len() < *count {
                held += 1;
                heap.push(candidate());
            } else if heap.peek().is_some_and(|it| it.place_of(rank, &track.labels).is_lt()) {
                heap.pop();
                heap.push(candidate());
            }
        }
        evaluator.hold(held)
    })?;
    groups.into_values().try_for_each(|moments| hand_on_group(moments, sink))
}

/// At one moment the best comes first; over many every series has a column.
fn hand_on_group(mut moments: Vec<BinaryHeap<Candidate>>, sink: Sink<'_>) -> Result<(), EvalError> {
    if let [moment] = moments.as_mut_slice() {
        let best_first = std::mem::take(moment).into_sorted_vec();
        let track = |it: Candidate| Track { labels: it.labels, values: vec![it.value] };
        return best_first.into_iter().map(track).try_for_each(sink);
    }
    let count = moments.len();
    let mut columns: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    for (step, candidates) in moments.into_iter().enumerate() {
        for candidate in candidates {
            let column = columns.entry(candidate.labels).or_insert_with(|| vec![ABSENT; count]);
            if let Some(value) = column.get_mut(step) {
                *value = candidate.value;
            }
        }
    }
    columns.into_iter().try_for_each(|(labels, values)| sink(Track { labels, values }))
}

/// How many series stay at every moment.
fn counts(parameters: &[f64]) -> Result<Vec<usize>, EvalError> {
    let count = |parameter: &f64| {
        if parameter.is_nan() || 9.2e18 < parameter.abs() {
            let shown = number_text(*parameter);
            return Err(EvalError::Execution(format!("Scalar value {shown} overflows int64")));
        }
        Ok(index(*parameter))
    };
    parameters.iter().map(count).collect()
}

/// `limit_ratio`, for which a series needs to know of no other.
pub(super) fn share(
    evaluator: &Evaluator<'_>,
    (aggregate, parameter): (&Aggregate, &Expr),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let ratios = evaluator.scalar(parameter)?;
    if ratios.iter().any(|it| it.is_nan()) {
        return Err(EvalError::Execution("Ratio value is NaN".to_owned()));
    }
    evaluator.each(&aggregate.expr, &mut |mut track| {
        let place = place(&track.labels);
        for (value, ratio) in track.values.iter_mut().zip(&ratios) {
            let stays = if 0.0 <= *ratio { place < *ratio } else { 1.0 + ratio <= place };
            if !stays {
                *value = ABSENT;
            }
        }
        hand_on(track, sink)
    })
}

/// Where a series stands among all, between 0 and 1, each time the same. A negative share is what a positive one leaves.
fn place(labels: &Labels) -> f64 {
    const MANY: f64 = 4_294_967_296.0;
    f64::from(hash(labels)) / MANY
}

/// A hash that stays the same from release to release (FNV-1a, folded).
fn hash(labels: &Labels) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (name, value) in labels.iter() {
        for byte in name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    u32::try_from((hash ^ (hash >> 32)) & 0xffff_ffff).unwrap_or_default()
}
