//! Every function of the language: its name and what it takes and gives.

use std::fmt;

use Last::{Once, Optional, Repeated};
use Type::{Matrix, Scalar, String, Vector};

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// One number at each moment.
    Scalar,
    /// A text.
    String,
    /// Of each series one number at each moment.
    Vector,
    /// Of each series many samples at each moment.
    Matrix,
}

impl Type {
    /// What the API calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Scalar => "scalar",
            String => "string",
            Vector => "vector",
            Matrix => "matrix",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        })
    }
}

/// A function as it may be called.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static [Type],
    /// What it gives.
    pub gives: Type,
    /// How often the last of what it takes may be left out or come again.
    pub last: Last,
}

/// How often the last argument of a function comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// Once, as all others.
    Once,
    /// Once or not at all.
    Optional,
    /// Any number of times, also none.
    Repeated,
}

impl Function {
    /// The function of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|it| it.name == name)
    }

    /// The fewest arguments it takes.
    pub const fn arguments_min(&self) -> usize {
        match self.last {
            Once => self.takes.len(),
            Optional | Repeated => self.takes.len().saturating_sub(1),
        }
    }
}

const V: &[Type] = &[Vector];
const M: &[Type] = &[Matrix];
const VS: &[Type] = &[Vector, Scalar];
const VSS: &[Type] = &[Vector, Scalar, Scalar];
const VT: &[Type] = &[Vector, String];
const MSS: &[Type] = &[Matrix, Scalar, Scalar];

const fn vector(name: &'static str, takes: &'static [Type]) -> Function {
    Function { name, takes, gives: Vector, last: Once }
}

const fn vector_last(name: &'static str, takes: &'static [Type], last: Last) -> Function {
    Function { name, takes, gives: Vector, last }
}

const fn scalar(name: &'static str, takes: &'static [Type]) -> Function {
    Function { name, takes, gives: Scalar, last: Once }
}

/// Functions over native histograms and `info` are known, so that calling them says what is missing.
const FUNCTIONS: &[Function] = &[
    vector("abs", V),
    vector("absent", V),
    vector("absent_over_time", M),
    vector("acos", V),
    vector("acosh", V),
    vector("asin", V),
    vector("asinh", V),
    vector("atan", V),
    vector("atanh", V),
    vector("avg_over_time", M),
    vector("ceil", V),
    vector("changes", M),
    vector("clamp", VSS),
    vector("clamp_max", VS),
    vector("clamp_min", VS),
    vector("cos", V),
    vector("cosh", V),
    vector("count_over_time", M),
    vector_last("day_of_month", V, Optional),
    vector_last("day_of_week", V, Optional),
    vector_last("day_of_year", V, Optional),
    vector_last("days_in_month", V, Optional),
    vector("deg", V),
    vector("delta", M),
    vector("deriv", M),
    vector("double_exponential_smoothing", MSS),
    vector("exp", V),
    vector("first_over_time", M),
    vector("floor", V),
    vector("histogram_avg", V),
    vector("histogram_count", V),
    vector("histogram_fraction", &[Scalar, Scalar, Vector]),
    vector("histogram_quantile", &[Scalar, Vector]),
    vector("histogram_stddev", V),
    vector("histogram_stdvar", V),
    vector("histogram_sum", V),
    vector("holt_winters", MSS),
    vector_last("hour", V, Optional),
    vector("idelta", M),
    vector("increase", M),
    vector_last("info", &[Vector, Vector], Optional),
    vector("irate", M),
    vector_last("label_join", &[Vector, String, String, String], Repeated),
    vector("label_replace", &[Vector, String, String, String, String]),
    vector("last_over_time", M),
    vector("ln", V),
    vector("log10", V),
    vector("log2", V),
    vector("mad_over_time", M),
    vector("max_over_time", M),
    vector("min_over_time", M),
    vector_last("minute", V, Optional),
    vector_last("month", V, Optional),
    scalar("pi", &[]),
    vector("predict_linear", &[Matrix, Scalar]),
    vector("present_over_time", M),
    vector("quantile_over_time", &[Scalar, Matrix]),
    vector("rad", V),
    vector("rate", M),
    vector("resets", M),
    vector_last("round", VS, Optional),
    scalar("scalar", V),
    vector("sgn", V),
    vector("sin", V),
    vector("sinh", V),
    vector("sort", V),
    vector_last("sort_by_label", VT, Repeated),
    vector_last("sort_by_label_desc", VT, Repeated),
    vector("sort_desc", V),
    vector("sqrt", V),
    vector("stddev_over_time", M),
    vector("stdvar_over_time", M),
    vector("sum_over_time", M),
    vector("tan", V),
    vector("tanh", V),
    scalar("time", &[]),
    vector("timestamp", V),
    vector("ts_of_first_over_time", M),
    vector("ts_of_last_over_time", M),
    vector("ts_of_max_over_time", M),
    vector("ts_of_min_over_time", M),
    vector("vector", &[Scalar]),
    vector_last("year", V, Optional),
];
