//! Metrics: samples of series, kept and found again.
//!
//! What comes in goes to a log and into the *head*, the latest samples of every live series in memory. From time
//! to time the head's samples are put into a *block*, a file that never changes; then the log is cut. Small
//! blocks are put together into larger ones, and the oldest blocks go when there are too many bytes or they are too
//! old. A question is answered from the blocks that overlap its time, from what is on its way into a block, and from the head.
//!
//! It is bounded: series in total and of each origin, labels and their lengths, bytes on disk. What is refused is
//! counted by origin and reason. It refuses to know where samples come from and to read a clock.

mod append;
mod block;
mod chunk;
mod compact;
pub mod exemplars;
pub mod exposition;
mod head;
mod index;
mod log;
mod postings;
mod query;
pub mod remote;
pub mod scrape;
mod store;
#[cfg(test)]
mod tests;

pub use append::{Appended, Appender, Refusal};
pub use chunk::Samples;
pub use promql::source::STALE;
pub use query::LabelStatistics;
pub use store::{Limits, Metadata, Opened, Statistics, Store, StoreError};

/// Samples of a closed chunk, at most: what must be unpacked to read one sample.
const CHUNK_SAMPLES_MAX: usize = 512;

/// One sample of one series, as it comes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The series' labels in any order, the metric's name (`__name__`) among them.
    pub labels: Vec<(String, String)>,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// The value.
    pub value: f64,
}
