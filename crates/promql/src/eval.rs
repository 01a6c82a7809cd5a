//! Evaluates expressions: at one moment, or at many that are evenly spaced.
//!
//! Every part of an expression is evaluated over all moments at once, as one column of values a series. So each
//! selector reads each series once, and range functions slide a window over it. Series are handed on one by
//! one: an aggregation takes its input up and lets it go.
//!
//! It refuses to go on when it has read more than [`Limits`] allow, or when it is told to [stop](Stop).

mod absent;
mod aggregate;
mod answer;
mod binary;
mod calendar;
mod column;
mod evaluator;
mod extrapolate;
mod functions;
mod grid;
mod histogram;
mod matching;
mod number;
mod over_time;
mod range;
mod relabel;
mod select;
mod smooth;
mod sort;

use std::cell::Cell;

pub use answer::{Answer, Points, Sample};
use evaluator::{Evaluator, Ground};
use grid::{Asked, Grid};

use crate::parse::{Expr, Type};
use crate::source::{Source, SourceError};

/// How much one question may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Samples read, one series after the other: Prometheus' default.
    pub samples_max: u64,
    /// Values held on the way to the answer: 80 MB.
    pub held_max: u64,
    /// Samples of an answer: 11 000 moments of 180 series, 32 MB.
    pub answer_max: u64,
    /// Series one selector may choose; a dashboard that wants more wants an aggregation recorded.
    pub series_max: u64,
    /// Moments of one question: Prometheus' limit, which is a week of minutes.
    pub steps_max: u64,
    /// How old the latest sample of a series may be to count: Prometheus' default.
    pub lookback_ms: i64,
    /// Time between two evaluations of a subquery that does not say it: Prometheus' default.
    pub subquery_step_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            samples_max: 50_000_000,
            held_max: 10_000_000,
            answer_max: 2_000_000,
            series_max: 500_000,
            steps_max: 11_000,
            lookback_ms: 5 * 60 * 1000,
            subquery_step_ms: 60 * 1000,
        }
    }
}

/// Why an evaluation has to end before it is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nobody waits for the answer any more.
    Canceled,
    /// It took too long.
    TimedOut,
}

/// What an expression is evaluated over.
pub struct Context<'a> {
    /// Where the samples are.
    pub source: &'a dyn Source,
    /// What may be used.
    pub limits: Limits,
    /// Asked between two series whether to stop.
    pub stop: &'a dyn Fn() -> Option<Stop>,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Context").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<'a> Context<'a> {
    /// Over a source, with the usual limits, and never stopped.
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, limits: Limits::default(), stop: &|| None }
    }
}

/// Moments that are evenly spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "all of them are milliseconds")]
pub struct Steps {
    /// The first, in milliseconds since 1970.
    pub start_ms: i64,
    /// The last is not after this.
    pub end_ms: i64,
    /// Between two.
    pub step_ms: i64,
}

/// Why there is no answer. The words are Prometheus' where it has the same error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The question cannot be asked so.
    #[error("{0}")]
    BadData(String),
    /// The data do not allow the operation.
    #[error("{0}")]
    Execution(String),
    /// More was read than one question may.
    #[error(
        "query processing would load too many samples into memory in query execution (limit {limit})"
    )]
    TooManySamples {
        /// [`Limits::samples_max`] or [`Limits::held_max`].
        limit: u64,
    },
    /// There is more to answer than one answer has.
    #[error(
        "the answer has more than {limit} samples; ask for fewer series, a longer step, or an aggregation"
    )]
    AnswerTooLarge {
        /// [`Limits::answer_max`].
        limit: u64,
    },
    /// A selector chose more series than it may.
    #[error("query selects too many series (limit {limit})")]
    TooManySeries {
        /// [`Limits::series_max`].
        limit: u64,
    },
    /// It was stopped.
    #[error("query {} in query execution", if *.0 == Stop::Canceled { "was canceled" } else { "timed out" })]
    Stopped(Stop),
    /// Not supported, and why.
    #[error("{0}")]
    Unsupported(String),
    /// The source has failed.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl EvalError {
    /// The word by which Prometheus' API calls this kind of error.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BadData(_) => "bad_data",
            Self::Stopped(Stop::Canceled) | Self::Source(SourceError::Canceled) => "canceled",
            Self::Stopped(Stop::TimedOut) => "timeout",
            Self::Source(SourceError::Unreadable(_)) => "internal",
            _ => "execution",
        }
    }
}

/// Evaluates at one moment.
pub fn instant(expr: &Expr, at_ms: i64, context: &Context<'_>) -> Result<Answer, EvalError> {
    let grid = Grid { start_ms: at_ms, step_ms: 1, count: 1 };
    let ground = ground(context, Asked { start_ms: at_ms, end_ms: at_ms });
    answer::instant(&Evaluator { ground: &ground, grid }, expr)
}

/// Evaluates at every step. Only a scalar or an instant vector can be.
pub fn range(expr: &Expr, steps: Steps, context: &Context<'_>) -> Result<Answer, EvalError> {
    let bad = |message: String| Err(EvalError::BadData(message));
    if !matches!(expr.gives(), Type::Scalar | Type::Vector) {
        let found = expr.gives();
        return bad(format!(
            "invalid expression type \"{found}\" for range query, must be Scalar or instant Vector"
        ));
    }
    if steps.step_ms <= 0 {
        return bad("zero or negative query resolution step widths are not accepted. Try a positive integer".to_owned());
    }
    if steps.end_ms < steps.start_ms {
        return bad("end timestamp must not be before start time".to_owned());
    }
    let count = steps.end_ms.abs_diff(steps.start_ms) / steps.step_ms.unsigned_abs() + 1;
    let most = context.limits.steps_max;
    if most < count {
        return bad(format!(
            "exceeded maximum resolution of {most} points per timeseries. Try decreasing the query resolution (?step=XX)"
        ));
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let grid = Grid { start_ms: steps.start_ms, step_ms: steps.step_ms, count };
    let ground = ground(context, Asked { start_ms: steps.start_ms, end_ms: steps.end_ms });
    answer::range(&Evaluator { ground: &ground, grid }, expr)
}

/// A part of a date, by the name of the function that gives it.
pub(crate) fn calendar_part(name: &str, seconds: f64) -> Option<f64> {
    calendar::find(name).map(|compute| compute(seconds))
}

fn ground<'a>(context: &'a Context<'a>, asked: Asked) -> Ground<'a> {
    Ground { context, read: Cell::new(0), held: Cell::new(0), answered: Cell::new(0), asked }
}

#[cfg(test)]
mod tests;
