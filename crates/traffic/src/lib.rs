//! Every decision about one request: balance, retry, break, limit, hedge, eject.
//!
//! An [`Edge`] is the state of one declared call on one core. A driver (the proxy in real time, the
//! simulator in virtual time) tells it what happens and when, and does what it says:
//!
//! ```text
//! begin ──> Go(call) ──> pick ──> answered ──> Done ──> released ──> finish
//!   │                     ^           └──> Retry { after } ──┐
//!   │                     └─────────── (released) <──────────┘
//!   ├────> Wait(ticket, until) ──> admitted ──> Go or Refuse
//!   └────> Refuse(why)
//! ```
//!
//! Nothing here reads a clock, draws entropy, allocates for a usual request, or looks at bytes. Every
//! decision comes with its reason, so that the driver can count, trace and show it.
#![no_std]
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;

mod balance;
mod breaker;
mod budget;
mod circuit;
mod deadline;
#[cfg(test)]
mod drive;
mod edge;
mod endpoint;
mod ewma;
mod fleet;
mod hedge;
mod limit;
pub mod log;
mod number;
mod outcome;
mod quantile;
mod queue;
mod rate;
mod release;
mod request;
mod retry;
mod shed;
mod slow_start;
mod window;
mod zone;

pub use budget::{RETRIES_MIN, RETRIES_PER_SECOND_MIN};
pub use deadline::{DeadlineBy, before_callers};
pub use edge::Edge;
pub use endpoint::{EndpointId, EndpointSpec, EndpointState};
pub use log::Logged;
pub use outcome::{GiveUpReason, Next, Outcome, Refusal, RetryReason, TripReason};
pub use rate::{KEYS_MAX, KeyedBuckets, RateLimiter, TokenBucket};
pub use release::Split;
pub use request::{Ask, Begin, Call, Pick, PickReason, Ticket};
