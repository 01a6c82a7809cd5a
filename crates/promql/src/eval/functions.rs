//! Functions of instant vectors: which function does what, and those that compute each value by itself.

use super::column::{ABSENT, is_absent};
use super::evaluator::{Evaluator, Sink, bare, unlabelled};
use super::number::{greater, lesser, seconds};
use super::{EvalError, absent, calendar, histogram, range, relabel, select, sort};
use crate::parse::{Call, Expr, ExprKind};

/// Hands on what a function gives.
pub(super) fn each(
    evaluator: &Evaluator<'_>,
    call: &Call,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let name = call.function.name;
    if let Some(function) = range::find(name) {
        return range::each(evaluator, (function, call), sink);
    }
    if let Some(compute) = of_number(name).or_else(|| calendar::find(name)) {
        return each_number(evaluator, (call, compute), sink);
    }
    match (name, call.arguments.as_slice()) {
        ("absent", [of]) => absent::now(evaluator, of, sink),
        ("absent_over_time", [of]) => absent::over_time(evaluator, of, sink),
        ("vector", [scalar]) => sink(unlabelled(evaluator.scalar(scalar)?)),
        ("timestamp", [of]) => timestamp(evaluator, of, sink),
        ("clamp" | "clamp_min" | "clamp_max" | "round", [of, scalars @ ..]) => {
            each_with_scalars(evaluator, (name, of, scalars), sink)
        }
        ("histogram_quantile", [share, of]) => histogram::quantile(evaluator, (share, of), sink),
        ("histogram_fraction", [lower, upper, of]) => {
            histogram::fraction(evaluator, (lower, upper, of), sink)
        }
        ("label_replace", [of, texts @ ..]) => relabel::replace(evaluator, (of, texts), sink),
        ("label_join", [of, texts @ ..]) => relabel::join(evaluator, (of, texts), sink),
        ("sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc", [of, names @ ..]) => {
            sort::each(evaluator, (name, of, names), sink)
        }
        ("info", _) => {
            Err(EvalError::Unsupported("info() is experimental and not supported".to_owned()))
        }
        _ => Err(EvalError::Unsupported(format!(
            "{name}() reads native histograms, and samples are plain numbers here"
        ))),
    }
}

/// What makes one value of another.
pub(super) type Compute = fn(f64) -> f64;

fn of_number(name: &str) -> Option<Compute> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "deg" => |it| it * 180.0 / std::f64::consts::PI,
        "rad" => |it| it * std::f64::consts::PI / 180.0,
        "sgn" => sign,
        _ => return None,
    })
}

fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if 0.0 < value {
        1.0
    } else {
        value
    }
}

/// Functions of the calendar may be called of nothing, and mean now.
fn each_number(
    evaluator: &Evaluator<'_>,
    (call, compute): (&Call, Compute),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let Some(of) = call.arguments.first() else {
        let values = evaluator.grid.times().map(|it| compute(seconds(it))).collect();
        return sink(unlabelled(values));
    };
    evaluator.each_unnamed(of, &mut |track| Ok(Some(track.map(compute))), sink)
}

/// When the samples of a selector were taken; of anything else, now.
fn timestamp(evaluator: &Evaluator<'_>, of: &Expr, sink: Sink<'_>) -> Result<(), EvalError> {
    if let ExprKind::Selector(selector) = &bare(of).kind {
        return select::timestamps(evaluator, selector, &mut |mut track| {
            track.labels = track.labels.without_metric();
            sink(track)
        });
    }
    let now = |mut track: super::column::Track| {
        for (value, time_ms) in track.values.iter_mut().zip(evaluator.grid.times()) {
            if !is_absent(*value) {
                *value = seconds(time_ms);
            }
        }
        Ok(Some(track))
    };
    evaluator.each_unnamed(of, &mut { now }, sink)
}

/// `clamp`, `clamp_min`, `clamp_max` and `round`, whose scalars may differ from moment to moment.
fn each_with_scalars(
    evaluator: &Evaluator<'_>,
    (name, of, scalars): (&str, &Expr, &[Expr]),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let scalar = |place: usize, default: f64| match scalars.get(place) {
        Some(expr) => evaluator.scalar(expr),
        None => Ok(vec![default; evaluator.grid.count]),
    };
    let compute: fn(f64, f64, f64) -> f64 = match name {
        "clamp" => |value, least, most| {
            if most < least { ABSENT } else { greater(least, lesser(most, value)) }
        },
        "clamp_min" => |value, least, _| greater(least, value),
        "clamp_max" => |value, most, _| lesser(most, value),
        _ => |value, nearest, _| {
            let parts = 1.0 / nearest;
            (value * parts + 0.5).floor() / parts
        },
    };
    let (first, second) = (scalar(0, 1.0)?, scalar(1, 0.0)?);
    let change = &mut |mut track: super::column::Track| {
        for (value, (first, second)) in track.values.iter_mut().zip(first.iter().zip(&second)) {
            if !is_absent(*value) {
                *value = compute(*value, *first, *second);
            }
        }
        Ok((!track.is_blank()).then_some(track))
    };
    evaluator.each_unnamed(of, change, sink)
}
