//! An expression as a tree, with the place of every part in the text; and what is wrong with a text that is
//! none.

use crate::source::Matcher;

/// Where something stands in a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

impl Span {
    /// From where this begins to where another ends.
    pub(super) const fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

/// A text is no expression; in Prometheus' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The byte in it, from 1.
    pub column: usize,
    /// The bytes meant.
    pub span: Span,
    /// What is wrong.
    pub message: String,
}

impl ParseError {
    pub(super) fn new(text: &str, span: Span, message: String) -> Self {
        let before = text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.split(|it| *it == b'\n').count();
        let line_start = before.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        Self { line, column: 1 + span.start - line_start, span, message }
    }
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands in its text.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number.
    Number(f64),
    /// A text in quotes.
    String(String),
    /// The latest sample of each series that fits.
    Selector(Selector),
    /// The samples of each series that fits, over a range that ends now.
    Range {
        /// Which series.
        selector: Selector,
        /// How far the range reaches back.
        range_ms: i64,
    },
    /// The values that an expression had over a range that ends now.
    Subquery(Box<Subquery>),
    /// An expression in parentheses.
    Paren(Box<Expr>),
    /// An expression with a sign before it.
    Unary {
        /// Whether the sign is a minus.
        sign: Sign,
        /// What it stands before.
        operand: Box<Expr>,
    },
    /// Two expressions with an operator between.
    Binary(Box<Binary>),
    /// Series made to fewer.
    Aggregate(Box<Aggregate>),
    /// A function of other expressions.
    Call(Call),
}

/// A sign before an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `+`, which changes nothing.
    Plus,
    /// `-`
    Minus,
}

/// Which series, and when.
#[derive(Clone, Debug)]
pub struct Selector {
    /// The metric's name, if it was written before the braces.
    pub metric: Option<String>,
    /// Everything the labels must fit, the metric's name with it.
    pub matchers: Vec<Matcher>,
    /// At which moment.
    pub shift: Shift,
}

/// At which moment something is evaluated, if not now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// How long before that moment; negative is after.
    pub offset_ms: i64,
    /// The moment instead of now.
    pub at: Option<At>,
}

/// A fixed moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In milliseconds since 1970.
    Time(i64),
    /// The first moment of the query.
    Start,
    /// The last.
    End,
}

/// An expression over a range.
#[derive(Clone, Debug)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Expr,
    /// How far the range reaches back.
    pub range_ms: i64,
    /// Time between two evaluations; if not written, what the engine has as its default.
    pub step_ms: Option<i64>,
    /// Where the range ends.
    pub shift: Shift,
}

/// Two operands.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The operator.
    pub operator: Operator,
    /// Where it stands.
    pub operator_span: Span,
    /// What stands before it.
    pub left: Expr,
    /// And after.
    pub right: Expr,
    /// Whether a comparison gives 0 and 1 instead of leaving out what does not hold.
    pub returns: Returns,
    /// Which series of both sides belong together, where both are vectors.
    pub matching: Option<Matching>,
}

/// What a comparison gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// Those that hold.
    Filter,
    /// 0 or 1.
    Bool,
}

/// Which series of two sides belong together.
#[derive(Clone, Debug)]
pub struct Matching {
    /// How many there may be on each side.
    pub cardinality: Cardinality,
    /// By which labels.
    pub labels: Grouping,
    /// Labels of the one side that the many get.
    pub include: Vec<String>,
}

/// How many series of each side may belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One of each.
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// The set operators.
    ManyToMany,
}

/// A choice of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// `by` and `on`: these only.
    By(Vec<String>),
    /// `without` and `ignoring`: all but these and the metric's name.
    Without(Vec<String>),
}

impl Grouping {
    /// The labels named.
    pub fn names(&self) -> &[String] {
        match self {
            Self::By(names) | Self::Without(names) => names,
        }
    }
}

/// An aggregation.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Which.
    pub operator: Aggregation,
    /// Of what.
    pub expr: Expr,
    /// How many, which quantile, or the name of a label.
    pub parameter: Option<Expr>,
    /// What tells the groups apart.
    pub grouping: Grouping,
}

/// A function called.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function.
    pub function: &'static super::functions::Function,
    /// With what.
    pub arguments: Vec<Expr>,
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $(#[doc = concat!("`", $text, "`")] $variant),* }

        impl $name {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

words! {
    /// What stands between two operands.
    Operator {
        Add = "+", Subtract = "-", Multiply = "*", Divide = "/", Modulo = "%", Power = "^",
        Atan2 = "atan2", Equal = "==", NotEqual = "!=", Less = "<", LessOrEqual = "<=",
        Greater = ">", GreaterOrEqual = ">=", And = "and", Or = "or", Unless = "unless",
    }
}

words! {
    /// What makes many series to few.
    Aggregation {
        Avg = "avg", Bottomk = "bottomk", Count = "count", CountValues = "count_values",
        Group = "group", Max = "max", Min = "min", Quantile = "quantile", Stddev = "stddev",
        Stdvar = "stdvar", Sum = "sum", Topk = "topk", Limitk = "limitk", LimitRatio = "limit_ratio",
    }
}

impl Operator {
    /// Whether it chooses series instead of computing values.
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// Whether it compares.
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessOrEqual
                | Self::Greater
                | Self::GreaterOrEqual
        )
    }
}

impl Aggregation {
    /// Whether its series have the labels of groups alone, and not their own.
    pub(crate) const fn makes_labels(self) -> bool {
        !matches!(self, Self::Bottomk | Self::Topk | Self::Limitk | Self::LimitRatio)
    }

    /// What its parameter has to be, if it takes one.
    pub const fn parameter(self) -> Option<super::functions::Type> {
        use super::functions::Type;
        match self {
            Self::Bottomk | Self::Topk | Self::Quantile | Self::Limitk | Self::LimitRatio => {
                Some(Type::Scalar)
            }
            Self::CountValues => Some(Type::String),
            _ => None,
        }
    }
}
