//! How sure one may be: intervals from independent replications, the end of the warm-up, the length a run must have.
//!
//! Everything here is arithmetic on numbers that are handed in, the same on any machine: no estimate knows which
//! question it answers. A figure whose interval would be a pretence (one replication, a run too short for its load)
//! gets none, and the reason.

mod replications;
mod run_length;
mod student;
mod warm_up;

pub use replications::{Interval, is_precise, paired};
pub use run_length::{PRECISION, RunLength, run_length};
pub use student::{CONFIDENCE, t_quantile};
pub use warm_up::{BATCH, mser5};

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts here stay below 2^53")]
pub(crate) const fn number(count: usize) -> f64 {
    count as f64
}
