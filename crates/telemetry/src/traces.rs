//! Traces: spans of calls, kept and found again.
//!
//! Spans come from the data plane, from Zipkin's clients ([`crate::zipkin`]) and from OpenTelemetry's
//! ([`crate::otlp`]), and are one type here, [`Span`]. A [`Store`] logs them, gathers them by trace, decides when a
//! trace has been quiet whether it is kept ([`sampling`]), and writes what is kept into segments that never
//! change. What is asked is answered from the head in memory and the segments alike, and merged.
//!
//! What people want to know of a trace is a function of its spans and of nothing else: the [`tree`] they
//! make, its [`critical_path`], how two traces [`compare`], and who calls whom ([`dependencies`]).
//!
//! It refuses to read a clock: every call that needs the time is told it.

mod block;
mod borrowed;
mod catalog;
mod columns;
pub mod compare;
pub mod critical_path;
pub mod dependencies;
mod dictionary;
mod encoded;
mod filter;
mod head;
mod lineage;
pub mod mesh;
pub mod sampling;
mod sealed;
pub mod search;
pub mod span;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
pub mod tree;

pub use search::{Query, Summary, Term};
pub use span::{Kind, Link, Span};
pub use store::{Options, Store};
