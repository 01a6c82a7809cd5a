//! Range functions: a window slides over the samples of each series, and gives one value at every moment.

use super::column::{ABSENT, Merged, Track};
use super::evaluator::{Evaluator, Sink, hand_on, is_distinct_unnamed};
use super::select::{Samples, samples};
use super::{EvalError, extrapolate, over_time, smooth};
use crate::parse::{Call, Expr};

/// How many samples windows of one series may have before it is asked again whether to go on: some milliseconds' work.
const UNWATCHED_MAX: usize = 1_000_000;

/// What stands in a window, and where the window is.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) times: &'a [i64],
    pub(super) values: &'a [f64],
    /// For counters: places in `values` before which the counter began anew.
    pub(super) resets: &'a [usize],
    /// Which place in the whole series is the window's first.
    pub(super) first: usize,
    /// The window begins after this moment.
    pub(super) from_ms: i64,
    /// And ends with this.
    pub(super) to_ms: i64,
    /// When it is looked at.
    pub(super) now_ms: i64,
    /// The function's other arguments at that moment.
    pub(super) arguments: [f64; 2],
}

impl Window<'_> {
    pub(super) fn range_ms(&self) -> i64 {
        self.to_ms.saturating_sub(self.from_ms)
    }
}

/// What makes a window one value, or [`ABSENT`]. Windows handed in are never empty.
pub(super) type Compute = fn(&Window<'_>) -> f64;

/// A range function.
#[derive(Clone, Copy)]
pub(super) struct RangeFunction {
    pub(super) compute: Compute,
    /// Whether it looks at where counters began anew.
    pub(super) counts: bool,
    /// Whether what it gives is still the metric.
    pub(super) keeps_name: bool,
}

impl RangeFunction {
    pub(super) const fn new(compute: Compute) -> Self {
        Self { compute, counts: false, keeps_name: false }
    }
}

/// The range function of a name.
pub(super) fn find(name: &str) -> Option<RangeFunction> {
    let counter = |compute| RangeFunction { counts: true, ..RangeFunction::new(compute) };
    let keeping = |compute| RangeFunction { keeps_name: true, ..RangeFunction::new(compute) };
    Some(match name {
        "rate" => counter(extrapolate::rate),
        "increase" => counter(extrapolate::increase),
        "delta" => RangeFunction::new(extrapolate::delta),
        "irate" => RangeFunction::new(extrapolate::instant_rate),
        "idelta" => RangeFunction::new(extrapolate::instant_delta),
        "last_over_time" => keeping(over_time::last),
        "first_over_time" => keeping(over_time::first),
        "deriv" => RangeFunction::new(smooth::slope),
        "predict_linear" => RangeFunction::new(smooth::predict),
        "double_exponential_smoothing" | "holt_winters" => RangeFunction::new(smooth::smooth),
        name => RangeFunction::new(over_time::find(name)?),
    })
}

/// Hands on what a range function gives.
pub(super) fn each(
    evaluator: &Evaluator<'_>,
    (function, call): (RangeFunction, &Call),
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let (range, arguments) = arguments(evaluator, call)?;
    let Some(range) = range else { return Ok(()) };
    smooth::check(call.function.name, &arguments)?;
    let mut merged = (!function.keeps_name && !is_distinct_unnamed(range)).then(Merged::default);
    samples(evaluator, range, &mut |series| {
        let mut labels = series.labels.clone();
        if !function.keeps_name {
            labels = labels.without_metric();
        }
        let track = Track { labels, values: slide(evaluator, function, (series, &arguments))? };
        match &mut merged {
            Some(merged) if !track.is_blank() => merged.add_distinct(track),
            Some(_) => Ok(()),
            None => hand_on(track, sink),
        }
    })?;
    merged.unwrap_or_default().into_tracks().into_iter().try_for_each(sink)
}

/// The range vector among the arguments, and the others at every moment.
fn arguments<'c>(
    evaluator: &Evaluator<'_>,
    call: &'c Call,
) -> Result<(Option<&'c Expr>, Vec<[f64; 2]>), EvalError> {
    let mut range = None;
    let mut scalars = Vec::new();
    for argument in &call.arguments {
        if argument.gives() == crate::parse::Type::Matrix {
            range = Some(argument);
        } else {
            scalars.push(evaluator.scalar(argument)?);
        }
    }
    let mut scalars = scalars.into_iter();
    let absent = || vec![ABSENT; evaluator.grid.count];
    let (first, second) = match (scalars.next(), scalars.next()) {
        (None, _) => return Ok((range, Vec::new())),
        (Some(first), second) => (first, second.unwrap_or_else(absent)),
    };
    Ok((range, first.into_iter().zip(second).map(|(first, second)| [first, second]).collect()))
}

/// The function's value for the window at every moment.
fn slide(
    evaluator: &Evaluator<'_>,
    function: RangeFunction,
    (series, arguments): (Samples<'_>, &[[f64; 2]]),
) -> Result<Vec<f64>, EvalError> {
    let resets = if function.counts { resets(series.values) } else { Vec::new() };
    let mut column = Vec::with_capacity(evaluator.grid.count);
    let (mut first, mut end) = (0, 0);
    let (mut reset_first, mut reset_end) = (0, 0);
    let mut unwatched = 0;
    let moments = series.ends.times().zip(evaluator.grid.times());
    for (step, (to_ms, now_ms)) in moments.enumerate() {
        let from_ms = to_ms.saturating_sub(series.range_ms);
        end = advance(series.times, end, |time_ms| time_ms <= to_ms);
        first = advance(series.times, first, |time_ms| time_ms <= from_ms);
        reset_end = advance(&resets, reset_end, |place| place < end);
        reset_first = advance(&resets, reset_first, |place| place <= first);
        let window = Window {
            times: series.times.get(first..end).unwrap_or_default(),
            values: series.values.get(first..end).unwrap_or_default(),
            resets: resets.get(reset_first..reset_end).unwrap_or_default(),
            first,
            from_ms,
            to_ms,
            now_ms,
            arguments: arguments.get(step).copied().unwrap_or([ABSENT; 2]),
        };
        unwatched += window.values.len();
        if UNWATCHED_MAX < unwatched {
            unwatched = 0;
            evaluator.hold(0)?;
        }
        column.push(if first < end { (function.compute)(&window) } else { ABSENT });
    }
    Ok(column)
}

/// The first place from `start` on where something does not hold any more.
fn advance<T: Copy>(list: &[T], start: usize, holds: impl Fn(T) -> bool) -> usize {
    let rest = list.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|it| holds(**it)).count()
}

/// Every place where a counter is less than before.
fn resets(values: &[f64]) -> Vec<usize> {
    let pairs = values.iter().zip(values.iter().skip(1)).enumerate();
    pairs.filter(|(_, (before, after))| after < before).map(|(place, _)| place + 1).collect()
}
