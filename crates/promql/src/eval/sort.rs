//! Sorting, which has a meaning at one moment only: over many, every series has its own order.

use std::cmp::Ordering;

use super::EvalError;
use super::column::Track;
use super::evaluator::{Evaluator, Sink, text};
use crate::labels::Labels;
use crate::parse::Expr;

/// Hands on the series in order.
pub(super) fn each(
    evaluator: &Evaluator<'_>,
    (name, of, labels): (&str, &Expr, &[Expr]),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut tracks = evaluator.collect(of)?;
    let labels: Vec<&str> = labels.iter().map(text).collect();
    if evaluator.grid.count == 1 {
        match name {
            "sort" => tracks.sort_by(|a, b| nan_last(value(a), value(b))),
            "sort_desc" => tracks.sort_by(descending),
            "sort_by_label" => tracks.sort_by(|a, b| by_labels(&labels, &a.labels, &b.labels)),
            _ => tracks.sort_by(|a, b| by_labels(&labels, &b.labels, &a.labels)),
        }
    }
    tracks.into_iter().try_for_each(sink)
}

fn value(track: &Track) -> f64 {
    track.values.first().copied().unwrap_or(f64::NAN)
}

/// The greatest first, what is no number last.
pub(super) fn descending(left: &Track, right: &Track) -> Ordering {
    let (left, right) = (value(left), value(right));
    left.is_nan().cmp(&right.is_nan()).then(nan_last(right, left))
}

/// The least first, what is no number last.
fn nan_last(left: f64, right: f64) -> Ordering {
    left.is_nan().cmp(&right.is_nan()).then(left.partial_cmp(&right).unwrap_or(Ordering::Equal))
}

/// By the labels named, and by all labels where these are the same. Digits count as numbers.
fn by_labels(names: &[&str], left: &Labels, right: &Labels) -> Ordering {
    let named = names.iter().map(|it| natural(left.get(it), right.get(it)));
    named.fold(Ordering::Equal, Ordering::then).then_with(|| left.cmp(right))
}

/// How people sort: `node-2` before `node-10`.
fn natural(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left, right);
    loop {
        let (Some(first), Some(second)) = (left.chars().next(), right.chars().next()) else {
            return left.len().cmp(&right.len());
        };
        if first.is_ascii_digit() && second.is_ascii_digit() {
            let (number, left_rest) = digits(left);
            let (other, right_rest) = digits(right);
            let order = number.len().cmp(&other.len()).then_with(|| number.cmp(other));
            if order.is_ne() {
                return order;
            }
            (left, right) = (left_rest, right_rest);
            continue;
        }
        if first != second {
            return first.cmp(&second);
        }
        let rest = |text: &'_ str| text.len() - first.len_utf8();
        (left, right) = (tail(left, rest(left)), tail(right, rest(right)));
    }
}

/// The digits a text begins with, without leading zeros, and what follows.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (digits.trim_start_matches('0'), rest)
}

/// The last bytes of a text.
fn tail(text: &str, length: usize) -> &str {
    text.get(text.len() - length..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_count_as_numbers() {
        let mut names = vec!["node-10", "node-2", "node-02", "a", "node-2b", ""];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["", "a", "node-2", "node-02", "node-2b", "node-10"]);
    }
}
