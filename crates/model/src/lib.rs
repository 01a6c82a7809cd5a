//! The words of the platform: application, service, release, instance, edge; ids, units, time and
//! randomness as values.
//!
//! Everything here is plain data with its invariants checked on the way in, so that every other
//! crate may trust what it is handed. Nothing here does I/O, waits, or knows what time it is.
#![no_std]

extern crate alloc;

pub mod application;
pub mod edge;
pub mod heads;
pub mod health;
pub mod index;
pub mod instance;
pub mod monitoring;
pub mod name;
pub mod network;
pub mod profile;
pub mod release;
pub mod resource;
pub mod restart;
pub mod rng;
pub mod rollout;
pub mod route;
pub mod scenario;
pub mod service;
pub mod stopping;
pub mod template;
pub mod time;
pub mod units;
pub mod workload;

use alloc::string::{String, ToString as _};

pub use application::Application;
pub use index::Index;
pub use instance::InstanceId;
pub use name::{ApplicationName, DataName, PortName, ResourceName, ServiceName};
pub use release::ReleaseNumber;
pub use rng::Rng;
pub use service::Service;
pub use template::Template;
pub use time::{Instant, Timestamp};

/// An error with everything that caused it, on one line, for people: `cannot open x: not found`.
pub fn chain(error: &dyn core::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
