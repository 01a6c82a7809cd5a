//! `label_replace` and `label_join`: series with other labels.

use super::EvalError;
use super::column::Merged;
use super::evaluator::{Evaluator, Sink, text};
use crate::labels::Labels;
use crate::parse::{Expr, anchored};

/// Bytes that names and values of a series' labels may have when they are made anew: far more than a person reads. Each
/// nested `label_replace` may make them twenty times as long.
const LABELS_BYTES_MAX: usize = 64 << 10;

/// Sets a label to what a regular expression finds in another.
pub(super) fn replace(
    evaluator: &Evaluator<'_>,
    (of, texts): (&Expr, &[Expr]),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut texts = texts.iter().map(text);
    let mut next = || texts.next().unwrap_or_default();
    let (target, replacement, source, pattern) = (next(), next(), next(), next());
    let regex = anchored(pattern).map_err(|_| {
        let message = format!("invalid regular expression in label_replace(): {pattern}");
        EvalError::Execution(message)
    })?;
    valid("destination label name in label_replace()", target)?;
    relabelled(
        evaluator,
        of,
        &|labels| {
            let found = labels.get(source);
            let Some(captures) = regex.captures(found) else { return Ok(labels.clone()) };
            let references = replacement.bytes().filter(|it| *it == b'$').count();
            bounded(replacement.len().saturating_add(references.saturating_mul(found.len())))?;
            let mut value = String::new();
            captures.expand(replacement, &mut value);
            Ok(labels.with(target, &value))
        },
        sink,
    )
}

/// Sets a label to the values of others with something between.
pub(super) fn join(
    evaluator: &Evaluator<'_>,
    (of, texts): (&Expr, &[Expr]),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut texts = texts.iter().map(text);
    let mut next = || texts.next().unwrap_or_default();
    let (target, separator) = (next(), next());
    let sources: Vec<&str> = texts.collect();
    valid("destination label name in label_join()", target)?;
    for source in &sources {
        valid("source label name in label_join()", source)?;
    }
    relabelled(
        evaluator,
        of,
        &|labels| {
            let values: Vec<&str> = sources.iter().map(|it| labels.get(it)).collect();
            bounded(values.iter().map(|it| it.len() + separator.len()).sum())?;
            Ok(labels.with(target, &values.join(separator)))
        },
        sink,
    )
}

fn bounded(bytes: usize) -> Result<(), EvalError> {
    if bytes <= LABELS_BYTES_MAX {
        return Ok(());
    }
    Err(EvalError::Execution(format!(
        "labels of a series would be longer than {LABELS_BYTES_MAX} bytes; join fewer, or write less in their place"
    )))
}

fn valid(what: &str, name: &str) -> Result<(), EvalError> {
    if name.is_empty() {
        return Err(EvalError::Execution(format!("invalid {what}: {name}")));
    }
    Ok(())
}

fn relabelled(
    evaluator: &Evaluator<'_>,
    of: &Expr,
    change: &dyn Fn(&Labels) -> Result<Labels, EvalError>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut merged = Merged::default();
    evaluator.each(of, &mut |mut track| {
        track.labels = change(&track.labels)?;
        let bytes: usize = track.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        bounded(bytes)?;
        // Text is held as well as values are.
        evaluator.hold(track.values.len() + bytes / size_of::<f64>())?;
        merged.add(track)
    })?;
    merged.into_tracks().into_iter().try_for_each(sink)
}
