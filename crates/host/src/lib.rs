//! The machine: clock, entropy, processes, whole files, limits, sockets, descriptors that travel.
//!
//! The only crate that reads a clock or draws a seed, so that everything above can be handed both. It
//! knows nothing of applications and services.

pub mod clock;
pub mod descriptors;
pub mod entropy;
pub mod files;
pub mod limits;
pub mod process;
pub mod reserve;
pub mod socket;

pub use clock::Clock;
