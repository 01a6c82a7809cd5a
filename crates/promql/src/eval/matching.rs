//! Operators between two vectors: which series of both sides belong together, and what becomes of them.
//!
//! Series belong together when the labels that count are equal: their signature. Prometheus decides this anew
//! at every moment, among the series that have a value then; so two series with one signature are an
//! error only when they have values at the same moment.

use std::collections::BTreeMap;

use super::EvalError;
use super::binary::{filters, number};
use super::column::{ABSENT, Merged, Track, is_absent};
use super::evaluator::{Evaluator, Sink, hand_on};
use crate::labels::Labels;
use crate::parse::{Binary, Cardinality, Grouping, Matching, Operator, Returns};

/// All labels count if nothing is said.
static ALL_LABELS: Matching = Matching {
    cardinality: Cardinality::OneToOne,
    labels: Grouping::Without(Vec::new()),
    include: Vec::new(),
};

fn signature(labels: &Labels, matching: &Matching) -> Labels {
    match &matching.labels {
        Grouping::By(names) => labels.only(names),
        Grouping::Without(names) => labels.without(names),
    }
}

/// At which moments any of some series has a value.
struct Presence {
    by_signature: BTreeMap<Labels, Vec<bool>>,
}

impl Presence {
    const fn new() -> Self {
        Self { by_signature: BTreeMap::new() }
    }

    fn add(&mut self, signature: Labels, values: &[f64]) {
        let present =
            self.by_signature.entry(signature).or_insert_with(|| vec![false; values.len()]);
        for (present, value) in present.iter_mut().zip(values) {
            *present |= !is_absent(*value);
        }
    }

    /// Takes out the values at those moments at which others are, or are not.
    fn keep(&self, signature: &Labels, values: &mut [f64], others: Others) {
        let present = self.by_signature.get(signature);
        for (step, value) in values.iter_mut().enumerate() {
            let there = present.and_then(|it| it.get(step)).copied().unwrap_or_default();
            if there != (others == Others::Present) {
                *value = ABSENT;
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Present,
    Absent,
}

/// `and`, `or` and `unless`.
pub(super) fn sets(
    evaluator: &Evaluator<'_>,
    binary: &Binary,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let matching = binary.matching.as_ref().unwrap_or(&ALL_LABELS);
    let mut presence = Presence::new();
    if binary.operator == Operator::Or {
        let mut merged = Merged::default();
        evaluator.each(&binary.left, &mut |track| {
            evaluator.hold(track.values.len())?;
            presence.add(signature(&track.labels, matching), &track.values);
            merged.add(track)
        })?;
        evaluator.each(&binary.right, &mut |mut track| {
            evaluator.hold(track.values.len())?;
            let signature = signature(&track.labels, matching);
            presence.keep(&signature, &mut track.values, Others::Absent);
            if track.is_blank() { Ok(()) } else { merged.add(track) }
        })?;
        return merged.into_tracks().into_iter().try_for_each(sink);
    }
    evaluator.each(&binary.right, &mut |track| {
        evaluator.hold(track.values.len())?;
        presence.add(signature(&track.labels, matching), &track.values);
        Ok(())
    })?;
    let others = if binary.operator == Operator::And { Others::Present } else { Others::Absent };
    evaluator.each(&binary.left, &mut |mut track| {
        presence.keep(&signature(&track.labels, matching), &mut track.values, others);
        hand_on(track, sink)
    })
}

/// Arithmetic and comparisons. The side of which there may be one is read first, the other is let through.
pub(super) fn vectors(
    evaluator: &Evaluator<'_>,
    binary: &Binary,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let matching = binary.matching.as_ref().unwrap_or(&ALL_LABELS);
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) =
        if swapped { (&binary.right, &binary.left) } else { (&binary.left, &binary.right) };
    let mut ones: BTreeMap<Labels, Vec<Track>> = BTreeMap::new();
    for track in evaluator.collect(one)? {
        ones.entry(signature(&track.labels, matching)).or_default().push(track);
    }
    let manies = evaluator.collect(many)?;
    check_unique(&ones, &manies, if swapped { "left" } else { "right" })?;
    let mut merged = Merged::default();
    let mut taken = Merged::default();
    for many in manies {
        let signature = signature(&many.labels, matching);
        for one in ones.get(&signature).into_iter().flatten() {
            let (left, right) = if swapped { (one, &many) } else { (&many, one) };
            let values = computed(binary, &left.values, &right.values);
            let track = Track { labels: result(binary, matching, (&many, one)), values };
            if track.is_blank() {
                continue;
            }
            if matching.cardinality == Cardinality::OneToOne && filters(binary) {
                let labels = signature.clone();
                taken.add_or(Track { labels, values: track.values.clone() }, |_| {
                    ambiguous(matching)
                })?;
            }
            merged.add_or(track, |_| ambiguous(matching))?;
        }
    }
    merged.into_tracks().into_iter().try_for_each(sink)
}

/// The values of an operation at every moment at which both sides have one.
fn computed(binary: &Binary, left: &[f64], right: &[f64]) -> Vec<f64> {
    let filters = filters(binary);
    let value = |(left, right): (&f64, &f64)| {
        if is_absent(*left) || is_absent(*right) {
            return ABSENT;
        }
        let result = number(binary.operator, *left, *right);
        match filters {
            true if result < 0.5 => ABSENT,
            true => *left,
            false => result,
        }
    };
    left.iter().zip(right).map(value).collect()
}

/// The labels of what comes of two series.
fn result(binary: &Binary, matching: &Matching, (many, one): (&Track, &Track)) -> Labels {
    let mut labels = many.labels.clone();
    if !binary.operator.is_comparison() || binary.returns == Returns::Bool {
        labels = labels.without_metric();
    }
    if matching.cardinality == Cardinality::OneToOne {
        labels = match &matching.labels {
            Grouping::By(names) => labels.only(names),
            Grouping::Without(names) => labels.minus(names),
        };
    }
    for name in &matching.include {
        labels = labels.with(name, one.labels.get(name));
    }
    labels
}

/// Refuses two series with one signature on the side of which there may be one. Prometheus does not look
/// when the other side is empty.
fn check_unique(
    ones: &BTreeMap<Labels, Vec<Track>>,
    manies: &[Track],
    side: &str,
) -> Result<(), EvalError> {
    let mut any: Option<Presence> = None;
    for (signature, tracks) in ones.iter().filter(|(_, tracks)| 1 < tracks.len()) {
        let any = any.get_or_insert_with(|| {
            let mut presence = Presence::new();
            for many in manies {
                presence.add(Labels::default(), &many.values);
            }
            presence
        });
        let mut seen: Vec<Option<&Track>> = Vec::new();
        for track in tracks {
            let mut values = track.values.clone();
            any.keep(&Labels::default(), &mut values, Others::Present);
            seen.resize(values.len(), None);
            for (seen, value) in seen.iter_mut().zip(&values) {
                if is_absent(*value) {
                    continue;
                }
                if let Some(other) = seen.replace(track) {
                    return Err(EvalError::Execution(format!(
                        "found duplicate series for the match group {signature} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                        track.labels, other.labels
                    )));
                }
            }
        }
    }
    Ok(())
}

fn ambiguous(matching: &Matching) -> EvalError {
    EvalError::Execution(
        if matching.cardinality == Cardinality::OneToOne {
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        } else {
            "multiple matches for labels: grouping labels must ensure unique matches"
        }
        .to_owned(),
    )
}
