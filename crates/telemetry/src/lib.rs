//! What is measured: counters, latencies and spans of the data plane as they are handed on; and metrics,
//! traces and logs, kept and found again.
//!
//! Counters only grow while a process lives, so that whoever reads them may miss a report and lose
//! nothing; the difference of two reports is what happened between them.
//!
//! Stores are files of their own ([`segment`]) behind a log ([`wal`]). They are told the time, and do what
//! they do when they are called: whoever has them says when. It refuses to judge a number and to open a socket.

pub mod age;
pub mod board;
#[doc(hidden)]
pub mod fuzzing;
pub mod histogram;
pub mod logs;
pub mod metrics;
pub mod otlp;
pub mod protobuf;
pub mod report;
pub mod segment;
pub mod span;
pub mod stores;
pub mod traces;
pub mod wal;
pub mod zipkin;

pub use histogram::Histogram;
pub use report::{AccessLog, EdgeSignals, GatewayAddresses, GatewayOptions, Report, Says, Signals};
pub use span::{Limit, Span};
pub use stores::Stores;
