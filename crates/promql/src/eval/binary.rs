//! Operators between numbers, between numbers and vectors, and the choice of what to do between vectors.

use super::EvalError;
use super::column::{ABSENT, Track, is_absent};
use super::evaluator::{Evaluator, Sink, hand_on};
use super::matching;
use crate::parse::{Binary, Expr, Operator, Returns, Type};

/// Hands on what an operation gives of which at least one side is a vector.
pub(super) fn each(
    evaluator: &Evaluator<'_>,
    binary: &Binary,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    match (binary.left.gives(), binary.right.gives()) {
        (Type::Vector, Type::Scalar) => {
            let scalars = evaluator.scalar(&binary.right)?;
            with_scalar(
                evaluator,
                (binary, &binary.left),
                &|step, value| (value, scalars.get(step).copied().unwrap_or(f64::NAN)),
                sink,
            )
        }
        (Type::Scalar, Type::Vector) => {
            let scalars = evaluator.scalar(&binary.left)?;
            with_scalar(
                evaluator,
                (binary, &binary.right),
                &|step, value| (scalars.get(step).copied().unwrap_or(f64::NAN), value),
                sink,
            )
        }
        _ if binary.operator.is_set() => matching::sets(evaluator, binary, sink),
        _ => matching::vectors(evaluator, binary, sink),
    }
}

/// A vector's side of an operation, and how its values and the scalar's become left and right.
fn with_scalar(
    evaluator: &Evaluator<'_>,
    (binary, vector): (&Binary, &Expr),
    sides: &dyn Fn(usize, f64) -> (f64, f64),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let filters = filters(binary);
    let compute = |mut track: Track| {
        for (step, value) in track.values.iter_mut().enumerate() {
            if is_absent(*value) {
                continue;
            }
            let (left, right) = sides(step, *value);
            let result = number(binary.operator, left, right);
            if !filters {
                *value = result;
            } else if result < 0.5 {
                *value = ABSENT;
            }
        }
        track
    };
    if filters {
        return evaluator.each(vector, &mut |track| hand_on(compute(track), sink));
    }
    evaluator.each_unnamed(vector, &mut |track| Ok(Some(compute(track))), sink)
}

/// Whether an operation leaves series out instead of computing values.
pub(super) fn filters(binary: &Binary) -> bool {
    binary.operator.is_comparison() && binary.returns == Returns::Filter
}

/// An operation on two numbers; a comparison gives 0 or 1.
#[expect(clippy::float_cmp, reason = "people ask whether two numbers are equal")]
pub(super) fn number(operator: Operator, left: f64, right: f64) -> f64 {
    let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
    match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Modulo => left % right,
        Operator::Power => left.powf(right),
        Operator::Atan2 => left.atan2(right),
        Operator::Equal => truth(left == right),
        Operator::NotEqual => truth(left != right),
        Operator::Less => truth(left < right),
        Operator::LessOrEqual => truth(left <= right),
        Operator::Greater => truth(left > right),
        Operator::GreaterOrEqual => truth(left >= right),
        Operator::And | Operator::Or | Operator::Unless => f64::NAN,
    }
}
