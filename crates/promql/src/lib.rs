//! PromQL, the language people ask metrics in: expressions are evaluated over series that a [`Source`]
//! hands out, at moments the caller chose.
//!
//! ```text
//! text ── parse ──> Expr ── eval::{instant, range} ──> Answer
//!                    │            │
//!          rules::Group           └─ Source: the store, a Memory, or both
//!                    └── evaluate ──> samples to write, alerts that change
//! ```
//!
//! It is pure: it reads no clock and no file, so that alert rules can be rehearsed over a simulated
//! application as they judge the real one. It refuses to know where samples are kept. What it answers is held against
//! the real Prometheus, expression by expression, in `tests/promql`; where Prometheus 2 and 3 differ, it does what 3 does.

pub mod eval;
pub mod labels;
pub mod memory;
pub mod parse;
pub mod rules;
pub mod source;

pub use labels::Labels;
pub use source::{Matcher, MatcherKind, Selection, Series, Source, SourceError};
