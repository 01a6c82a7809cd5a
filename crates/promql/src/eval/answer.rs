//! What a question is answered with.

use super::EvalError;
use super::column::is_absent;
use super::evaluator::{Evaluator, text};
use super::select::samples;
use crate::labels::Labels;
use crate::parse::{Expr, Type};

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// Of each series one value. Their order counts where one was asked for.
    Vector(Vec<Sample>),
    /// Of each series many, by their labels.
    Matrix(Vec<Points>),
}

/// One value of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The series.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// Values of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// The series.
    pub labels: Labels,
    /// Milliseconds since 1970 and values, ascending.
    pub points: Vec<(i64, f64)>,
}

pub(super) fn instant(evaluator: &Evaluator<'_>, expr: &Expr) -> Result<Answer, EvalError> {
    match expr.gives() {
        Type::Scalar => {
            let values = evaluator.scalar(expr)?;
            Ok(Answer::Scalar(values.first().copied().unwrap_or(f64::NAN)))
        }
        Type::String => Ok(Answer::Text(text(expr).to_owned())),
        Type::Vector => {
            let mut vector = Vec::new();
            evaluator.each(expr, &mut |track| {
                let value = track.values.first().filter(|it| !is_absent(**it));
                evaluator.answer(usize::from(value.is_some()))?;
                vector.extend(value.map(|it| Sample { labels: track.labels.clone(), value: *it }));
                Ok(())
            })?;
            Ok(Answer::Vector(vector))
        }
        Type::Matrix => matrix(evaluator, expr),
    }
}

/// The samples of a range vector.
fn matrix(evaluator: &Evaluator<'_>, expr: &Expr) -> Result<Answer, EvalError> {
    let mut matrix = Vec::new();
    samples(evaluator, expr, &mut |series| {
        let to_ms = series.ends.start_ms;
        let from_ms = to_ms.saturating_sub(series.range_ms);
        let all = series.times.iter().copied().zip(series.values.iter().copied());
        let points: Vec<_> = all.filter(|(it, _)| from_ms < *it && *it <= to_ms).collect();
        if !points.is_empty() {
            evaluator.answer(points.len())?;
            matrix.push(Points { labels: series.labels.clone(), points });
        }
        Ok(())
    })?;
    matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Answer::Matrix(matrix))
}

pub(super) fn range(evaluator: &Evaluator<'_>, expr: &Expr) -> Result<Answer, EvalError> {
    let times = evaluator.grid.times();
    if expr.gives() == Type::Scalar {
        let points = times.zip(evaluator.scalar(expr)?).collect();
        return Ok(Answer::Matrix(vec![Points { labels: Labels::default(), points }]));
    }
    let mut matrix = Vec::new();
    evaluator.each(expr, &mut |track| {
        let all = times.clone().zip(track.values);
        let points: Vec<_> = all.filter(|(_, value)| !is_absent(*value)).collect();
        if !points.is_empty() {
            evaluator.answer(points.len())?;
            matrix.push(Points { labels: track.labels, points });
        }
        Ok(())
    })?;
    matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Answer::Matrix(matrix))
}
