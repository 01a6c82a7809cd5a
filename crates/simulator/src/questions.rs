//! What one asks of an application in virtual time: how it does, how much it bears, which variant is better, what a number in its
//! file changes, whether it recovers.
//!
//! Each question plays independent replications, on as many threads as it is given, and answers with a view of
//! [`api::simulation`]. What comes of a replication is kept by its number, so that threads change nothing but the time it takes.
//! No question reads a clock: how far it is goes to the caller, who also may stop it.

mod capacity;
mod compare;
mod critical_path;
mod estimate;
mod experiment;
mod figures;
mod objective;
mod origin;
mod report;
mod run;
mod sojourn;
mod station;
mod storm;
mod sweep;
mod timeline;
mod traces;
mod warm_up;

#[cfg(test)]
mod pretended;

pub use capacity::{CapacityOptions, capacity};
pub use compare::compare;
pub use run::{Answer, run};
pub use storm::{StormOptions, storm};
pub use sweep::sweep;

use crate::run::Go;
use crate::system::SystemError;

/// How a question is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The seed all randomness comes from.
    pub seed: u64,
    /// Independent replications, at least 1; without a second one there is no interval.
    pub replications: u32,
    /// Go on after those until goodput and mean latency have at most this relative error, or [`REPLICATIONS_MAX`] is reached.
    pub precision: Option<f64>,
    /// Threads to play them on, at least 1.
    pub threads: usize,
    /// Requests of each replication to keep with all they led to.
    pub traces: usize,
    /// What the caller assumed for those who asked.
    pub assumptions: Vec<String>,
    /// The version of Pelago, for the answer.
    pub version: String,
    /// The command that asks this again, for the answer.
    pub command: String,
}

/// Replications if nobody says otherwise: with ten, Student's t is close to what more would give (2.26 to 1.96).
pub const REPLICATIONS_DEFAULT: u32 = 10;
/// Replications at most: an interval shrinks with their square root, and a thousand of them make it ten times narrower than ten do.
pub const REPLICATIONS_MAX: u32 = 1_000;
/// Requests to keep of each replication, if nobody says otherwise: a thousand in ten replications tell where time goes to one percent or so.
pub const TRACES_DEFAULT: usize = 100;

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            replications: REPLICATIONS_DEFAULT,
            precision: None,
            threads: 1,
            traces: TRACES_DEFAULT,
            assumptions: Vec::new(),
            version: String::new(),
            command: String::new(),
        }
    }
}

/// How far a question is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<'a> {
    /// Share of the work that is done, from 0 to 1, as far as it can be foreseen. It never shrinks.
    pub done: f64,
    /// What is being done.
    pub doing: &'a str,
}

/// Who is told how far a question is, and says whether it goes on.
pub type Tell<'a> = &'a (dyn Fn(Progress<'_>) -> Go + Sync);

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Whoever asked said stop.
    #[error("stopped before there was an answer")]
    Stopped,
    /// Nothing was asked.
    #[error("there is nothing to try; name at least one {0}")]
    Nothing(&'static str),
    /// What had to be changed for the question cannot be simulated.
    #[error(transparent)]
    System(#[from] SystemError),
}
