//! What is measured: counters, latencies and spans of the data plane, as they are handed on.
//!
//! Counters only grow while a process lives, so that whoever reads them may miss a report and lose
//! nothing; the difference of two reports is what happened between them. It refuses to judge a number.

pub mod histogram;
pub mod report;
pub mod span;

pub use histogram::Histogram;
pub use report::{AccessLog, EdgeSignals, GatewayOptions, Report, Signals};
pub use span::Span;
