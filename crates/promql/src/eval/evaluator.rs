//! The walk over an expression: what each kind of node does with the series of those below it.

use std::cell::Cell;

use super::column::{Merged, Track, is_absent};
use super::grid::{Asked, Grid};
use super::{Context, EvalError, absent, aggregate, binary, functions, select};
use crate::labels::{Labels, NAME};
use crate::parse::{Binary, Call, Expr, ExprKind, Operator, Returns, Selector, Sign, Type};
use crate::source::MatcherKind;

/// What one question has in common, whatever grid a part of it is evaluated on.
pub(super) struct Ground<'a> {
    pub(super) context: &'a Context<'a>,
    /// Samples read so far.
    pub(super) read: Cell<u64>,
    /// Values held so far, those that are let go again with them.
    pub(super) held: Cell<u64>,
    /// Samples of the answer so far.
    pub(super) answered: Cell<u64>,
    /// What `start()` and `end()` mean: not the last step, but the end that was asked for.
    pub(super) asked: Asked,
}

/// Takes series one by one.
pub(super) type Sink<'s> = &'s mut dyn FnMut(Track) -> Result<(), EvalError>;

/// Evaluates on a grid.
#[derive(Clone, Copy)]
pub(super) struct Evaluator<'a> {
    pub(super) ground: &'a Ground<'a>,
    pub(super) grid: Grid,
}

impl Evaluator<'_> {
    /// Counts samples that were read, and looks whether to go on.
    pub(super) fn read(&self, samples: usize) -> Result<(), EvalError> {
        self.spend(&self.ground.read, samples, self.ground.context.limits.samples_max)
    }

    /// Counts values that are held, and looks whether to go on.
    pub(super) fn hold(&self, values: usize) -> Result<(), EvalError> {
        self.spend(&self.ground.held, values, self.ground.context.limits.held_max)
    }

    /// Counts samples of the answer, and looks whether to go on.
    pub(super) fn answer(&self, samples: usize) -> Result<(), EvalError> {
        let limit = self.ground.context.limits.answer_max;
        let too_large = |error| match error {
            EvalError::TooManySamples { limit } => EvalError::AnswerTooLarge { limit },
            other => other,
        };
        self.spend(&self.ground.answered, samples, limit).map_err(too_large)
    }

    fn spend(&self, so_far: &Cell<u64>, more: usize, limit: u64) -> Result<(), EvalError> {
        let spent = so_far.get().saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        so_far.set(spent);
        if limit < spent {
            return Err(EvalError::TooManySamples { limit });
        }
        (self.ground.context.stop)().map_or(Ok(()), |stop| Err(EvalError::Stopped(stop)))
    }

    /// Hands on every series that a vector has.
    pub(super) fn each(&self, expr: &Expr, sink: Sink<'_>) -> Result<(), EvalError> {
        if 1 < self.grid.count && is_costly(expr) && is_invariant(expr) {
            return self.once(expr, sink);
        }
        match &expr.kind {
            ExprKind::Paren(inner) => self.each(inner, sink),
            ExprKind::Unary { sign: Sign::Plus, operand } => self.each(operand, sink),
            ExprKind::Unary { sign: Sign::Minus, operand } => {
                self.each_unnamed(operand, &mut |track| Ok(Some(track.map(|value| -value))), sink)
            }
            ExprKind::Selector(selector) => select::instant(self, selector, sink),
            ExprKind::Binary(binary) => binary::each(self, binary, sink),
            ExprKind::Aggregate(aggregate) => aggregate::each(self, aggregate, sink),
            ExprKind::Call(call) => functions::each(self, call, sink),
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Range { .. }
            | ExprKind::Subquery(_) => Ok(()),
        }
    }

    /// What is the same at every moment is evaluated at the first.
    fn once(&self, expr: &Expr, sink: Sink<'_>) -> Result<(), EvalError> {
        let first = Evaluator { grid: self.grid.first(), ..*self };
        first.each(expr, &mut |mut track| {
            let value = track.values.first().copied().unwrap_or(super::column::ABSENT);
            track.values = vec![value; self.grid.count];
            sink(track)
        })
    }

    /// All series at once.
    pub(super) fn collect(&self, expr: &Expr) -> Result<Vec<Track>, EvalError> {
        let mut tracks = Vec::new();
        self.each(expr, &mut |track| {
            self.hold(track.values.len())?;
            tracks.push(track);
            Ok(())
        })?;
        Ok(tracks)
    }

    /// Hands on what a vector's series become without their metric's name. Series that were told apart by
    /// that alone become one if they never have values at the same moment.
    pub(super) fn each_unnamed(
        &self,
        expr: &Expr,
        change: &mut dyn FnMut(Track) -> Result<Option<Track>, EvalError>,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let mut changed = |mut track: Track| {
            track.labels = track.labels.without_metric();
            change(track)
        };
        if is_distinct_unnamed(expr) {
            return self.each(expr, &mut |track| changed(track)?.map_or(Ok(()), &mut *sink));
        }
        let mut merged = Merged::default();
        self.each(expr, &mut |track| {
            self.hold(track.values.len())?;
            changed(track)?.map_or(Ok(()), |it| merged.add(it))
        })?;
        merged.into_tracks().into_iter().try_for_each(sink)
    }

    /// A scalar at every moment.
    pub(super) fn scalar(&self, expr: &Expr) -> Result<Vec<f64>, EvalError> {
        match &expr.kind {
            ExprKind::Number(number) => Ok(vec![*number; self.grid.count]),
            ExprKind::Paren(inner) => self.scalar(inner),
            ExprKind::Unary { sign, operand } => {
                let values = self.scalar(operand)?;
                let minus = *sign == Sign::Minus;
                Ok(values.into_iter().map(|it| if minus { -it } else { it }).collect())
            }
            ExprKind::Binary(binary) => self.scalar_binary(binary),
            ExprKind::Call(call) => self.scalar_call(call),
            _ => Ok(vec![f64::NAN; self.grid.count]),
        }
    }

    fn scalar_binary(&self, binary: &Binary) -> Result<Vec<f64>, EvalError> {
        let mut left = self.scalar(&binary.left)?;
        let right = self.scalar(&binary.right)?;
        for (left, right) in left.iter_mut().zip(right) {
            *left = binary::number(binary.operator, *left, right);
        }
        Ok(left)
    }

    fn scalar_call(&self, call: &Call) -> Result<Vec<f64>, EvalError> {
        match (call.function.name, call.arguments.first()) {
            ("time", _) => Ok(self.grid.times().map(super::number::seconds).collect()),
            ("pi", _) => Ok(vec![std::f64::consts::PI; self.grid.count]),
            ("scalar", Some(vector)) => absent::scalar(self, vector),
            (name, _) => Err(EvalError::Unsupported(format!("{name}() is not supported"))),
        }
    }
}

/// The text of a string expression.
pub(super) fn text(expr: &Expr) -> &str {
    match &expr.kind {
        ExprKind::String(text) => text,
        ExprKind::Paren(inner) => text(inner),
        _ => "",
    }
}

/// An expression without the parentheses around it.
pub(super) fn bare(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Paren(inner) => bare(inner),
        _ => expr,
    }
}

/// Whether it pays to evaluate it once where that is enough.
const fn is_costly(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Binary(_) | ExprKind::Aggregate(_) | ExprKind::Call(_))
}

/// Whether it is the same at every moment.
fn is_invariant(expr: &Expr) -> bool {
    /// What these give depends on the moment, whatever they are given.
    const TELL_TIME: &[&str] = &[
        "time",
        "timestamp",
        "predict_linear",
        "minute",
        "hour",
        "day_of_week",
        "day_of_month",
        "day_of_year",
        "days_in_month",
        "month",
        "year",
    ];
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => {
            selector.shift.at.is_some()
        }
        ExprKind::Subquery(subquery) => subquery.shift.at.is_some(),
        ExprKind::Paren(inner) | ExprKind::Unary { operand: inner, .. } => is_invariant(inner),
        ExprKind::Binary(binary) => is_invariant(&binary.left) && is_invariant(&binary.right),
        ExprKind::Aggregate(aggregate) => {
            is_invariant(&aggregate.expr) && aggregate.parameter.as_ref().is_none_or(is_invariant)
        }
        ExprKind::Call(call) => {
            !TELL_TIME.contains(&call.function.name) && call.arguments.iter().all(is_invariant)
        }
    }
}

/// Whether its series are still told apart when the metric's name is gone.
pub(super) fn is_distinct_unnamed(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => has_one_metric(selector),
        ExprKind::Subquery(subquery) => is_distinct_unnamed(&subquery.expr),
        ExprKind::Paren(inner) | ExprKind::Unary { sign: Sign::Plus, operand: inner } => {
            is_distinct_unnamed(inner)
        }
        ExprKind::Binary(binary) if binary.operator == Operator::Or => false,
        ExprKind::Binary(binary) if keeps_names(binary) => {
            let vector = [&binary.left, &binary.right];
            let mut vectors = vector.iter().filter(|it| it.gives() == Type::Vector);
            vectors.all(|it| is_distinct_unnamed(it))
        }
        ExprKind::Binary(binary) => binary
            .matching
            .as_ref()
            .is_none_or(|it| it.labels.names().iter().chain(&it.include).all(|name| name != NAME)),
        ExprKind::Aggregate(aggregate) => {
            aggregate.grouping.names().iter().all(|it| it != NAME)
                && aggregate.parameter.as_ref().is_none_or(|it| text(it) != NAME)
                && (aggregate.operator.makes_labels() || is_distinct_unnamed(&aggregate.expr))
        }
        ExprKind::Call(call) => match call.function.name {
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" | "last_over_time"
            | "first_over_time" => call.arguments.first().is_some_and(is_distinct_unnamed),
            "label_replace" | "label_join" => false,
            _ => true,
        },
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Unary { .. } => true,
    }
}

/// Whether the result of an operation may still have the names of metrics.
fn keeps_names(binary: &Binary) -> bool {
    binary.operator.is_set()
        || (binary.operator.is_comparison() && binary.returns == Returns::Filter)
}

fn has_one_metric(selector: &Selector) -> bool {
    let mut matchers = selector.matchers.iter();
    matchers.any(|it| it.name == NAME && matches!(it.kind, MatcherKind::Equal))
}

/// Hands a series on if it has a value at any moment.
pub(super) fn hand_on(track: Track, sink: Sink<'_>) -> Result<(), EvalError> {
    if track.values.iter().all(|it| is_absent(*it)) { Ok(()) } else { sink(track) }
}

/// A series without labels.
pub(super) fn unlabelled(values: Vec<f64>) -> Track {
    Track { labels: Labels::default(), values }
}
