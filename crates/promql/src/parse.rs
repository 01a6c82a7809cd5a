//! Reads PromQL: text to tree. What Prometheus 3 reads is read, and what it refuses is refused in its words
//! and with its place.
//!
//! The parser is our own: the one there is on the shelf knows no places, answers most mistakes with "invalid
//! promql query", and brings a parser generator, a calendar and two crates we do without.
//! It refuses expressions that are nested deeper than [`DEPTH_MAX`], as every walk over the tree is recursive.

mod check;
mod functions;
mod grammar;
mod lexer;
mod number;
mod pattern;
mod pretty;
mod print;
mod selectors;
mod syntax;
mod token;

pub use functions::{Function, Last, Type};
pub use number::{duration_ms, duration_text, number, number_text};
pub(crate) use number::{literal_text, unquoted};
pub(crate) use pattern::anchored;
pub use syntax::{
    Aggregate, Aggregation, At, Binary, Call, Cardinality, Expr, ExprKind, Grouping, Matching,
    Operator, ParseError, Returns, Selector, Shift, Sign, Span, Subquery,
};

/// How deep expressions may be nested. What people write stays below twenty; the limit keeps the walks over the tree
/// within the stack that a thread has, also where nothing is optimized.
pub const DEPTH_MAX: usize = 100;

/// How long an expression may be, in bytes. The longest seen in dashboards have a few thousand.
pub const LENGTH_MAX: usize = 64 * 1024;

/// Reads an expression.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let expr = grammar::Parser::new(text)?.whole()?;
    check::check(text, &expr)?;
    Ok(expr)
}

/// Reads a selector alone, as the API's `match[]` has it.
pub fn parse_selector(text: &str) -> Result<Selector, ParseError> {
    let expr = parse(text)?;
    match expr.kind {
        ExprKind::Selector(selector) if selector.shift == Shift::default() => Ok(selector),
        _ => Err(ParseError::new(text, expr.span, "expected a metric selector".to_owned())),
    }
}

#[cfg(test)]
mod tests;
