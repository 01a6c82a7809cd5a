//! `label_replace` and `label_join`: series with other labels.

use super::EvalError;
use super::column::Merged;
use super::evaluator::{Evaluator, Sink, text};
use crate::labels::Labels;
use crate::parse::{Expr, anchored};

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
            let Some(captures) = regex.captures(labels.get(source)) else {
                return labels.clone();
            };
            let mut value = String::new();
            captures.expand(replacement, &mut value);
            labels.with(target, &value)
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
            labels.with(target, &values.join(separator))
        },
        sink,
    )
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
    change: &dyn Fn(&Labels) -> Labels,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let mut merged = Merged::default();
    evaluator.each(of, &mut |mut track| {
        evaluator.hold(track.values.len())?;
        track.labels = change(&track.labels);
        merged.add(track)
    })?;
    merged.into_tracks().into_iter().try_for_each(sink)
}
