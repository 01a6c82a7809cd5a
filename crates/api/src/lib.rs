//! What the platform promises outside: one trait, the types that cross it, and their description.
//!
//! The faces (`server`, `cli`, later `console`) know this crate and nothing behind it; the engine
//! behind it implements [`Platform`]. Types are views: what people and programs outside may rely on,
//! drawn from a `World` by pure functions, so that the world may change its shape and they do not.

pub mod change;
pub mod edge;
pub mod error;
pub mod event_view;
pub mod figures;
pub mod gateway;
pub mod graph;
pub mod logs;
pub mod openapi;
pub mod platform;
pub mod records;
mod refusal;
pub mod release;
pub mod request;
pub mod rollout;
pub mod route;
pub mod simulation;
pub mod spans;
pub mod status;
pub mod telemetry;
pub mod trace;
pub mod traffic;
pub mod unrecorded;

pub use error::{ApiError, ErrorKind};
pub use event_view::EventView;
pub use platform::Platform;
pub use refusal::refusals;
pub use status::StatusView;
