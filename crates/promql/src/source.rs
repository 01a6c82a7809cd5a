//! Where samples come from.

use std::ops::ControlFlow;

use regex::Regex;

use crate::labels::Labels;

/// The bits of the not-a-number that says that a series ended here (Prometheus' staleness marker).
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// A sample's value where its series ended.
pub const STALE: f64 = f64::from_bits(STALE_BITS);

/// Whether a value says that its series ended.
pub const fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// Something that has samples.
pub trait Source {
    /// Hands every series that fits to `visit`, each once and in any order, until that has enough.
    /// A series without samples in the time asked for need not be handed out.
    fn select(
        &self,
        selection: &Selection<'_>,
        visit: &mut dyn FnMut(Series<'_>) -> ControlFlow<()>,
    ) -> Result<(), SourceError>;
}

/// Which series, and which of their samples.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// What the labels must fit, all of it.
    pub matchers: &'a [Matcher],
    /// Milliseconds since 1970 of the earliest sample wanted.
    pub from_ms: i64,
    /// And of the latest.
    pub to_ms: i64,
}

/// One series within the time asked for.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Its labels.
    pub labels: &'a Labels,
    /// Milliseconds since 1970, ascending.
    pub times: &'a [i64],
    /// A value for every time.
    pub values: &'a [f64],
}

/// Why no samples came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The store could not be read.
    #[error("the store cannot be read: {0}")]
    Unreadable(String),
    /// Nobody waits for them any more.
    #[error("the question was canceled")]
    Canceled,
    /// More than the store hands out for one question.
    #[error("{0}")]
    Limit(String),
}

/// What a label must be.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Which label; one that is not there has an empty value.
    pub name: String,
    /// How it is compared.
    pub kind: MatcherKind,
    /// With what: a value, or the text of a regular expression.
    pub value: String,
}

/// How a label is compared.
#[derive(Clone, Debug)]
pub enum MatcherKind {
    /// It is the value.
    Equal,
    /// It is another value.
    NotEqual,
    /// All of it fits the expression.
    Regex(Regex),
    /// It does not.
    NotRegex(Regex),
}

impl Matcher {
    /// One that wants a value.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), kind: MatcherKind::Equal, value: value.to_owned() }
    }

    /// Whether a value fits.
    pub fn fits(&self, value: &str) -> bool {
        match &self.kind {
            MatcherKind::Equal => value == self.value,
            MatcherKind::NotEqual => value != self.value,
            MatcherKind::Regex(regex) => regex.is_match(value),
            MatcherKind::NotRegex(regex) => !regex.is_match(value),
        }
    }
}
