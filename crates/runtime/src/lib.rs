//! Starts, stops and observes instances: processes of this machine.
//!
//! Every instance has a supervisor, a small process of this same binary that starts it, keeps its
//! output, stops it and writes down how it ended. The supervisor needs nobody above it: when the
//! control process dies, instances, logs and exit codes are kept, and the next control process finds
//! them in the instance's folder. That folder's lock is what makes a start happen once.
//!
//! It refuses to choose what runs where.

pub mod bake;
pub mod cgroup;
mod departures;
pub mod folder;
pub mod launch;
mod leftovers;
pub mod log;
pub mod ports;
pub mod probe;
pub mod processes;
mod recovery;
pub mod supervisor;

pub use folder::InstanceFolder;
pub use launch::LaunchSpec;
pub use processes::{Observed, Processes};
