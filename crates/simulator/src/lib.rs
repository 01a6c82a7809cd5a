//! An application in virtual time: the same model, the same decisions, no clock.
//!
//! [`System`] is an application and a scenario, compiled; [`run()`] plays one replication of it and says what came
//! of it as an [`Outcome`]. Each call crosses a `traffic::Edge`, each synthetic service does what `behaviour` says,
//! each instance lives and dies by `planner`: what is decided here is decided by the code that decides in
//! production. With the same seed the same happens, on any machine, whatever runs beside it.
//!
//! A single replication answers nothing; `questions` ask with several, and say how sure the answer is.

mod engine;
pub mod histogram;
pub mod outcome;
pub mod questions;
pub mod replay;
pub mod run;
pub mod statistics;
pub mod system;

pub use histogram::Histogram;
pub use outcome::Outcome;
pub use run::{Go, Run, run};
pub use system::{EdgeName, System, SystemError};
