//! Synthetic services and load on real sockets.
//!
//! [`serve()`] is a service that exists only as a description: it answers HTTP, waits as long as its
//! work would take, makes its calls and fails as often as it should, so that an architecture can be
//! run, routed, released and watched before its code is written. [`load()`] is the users: an open load
//! that sends when it is meant to, however the answers fare, and measures from that moment.
//!
//! What happens in a request, and when the next one is sent, is decided by `behaviour`; here are the
//! sockets around it. Nothing is decided from a clock that was not handed in, and nothing burns
//! processor time to look busy: synthetic work is a wait, so that forty services fit on a laptop.

mod alarm;
mod clock;
mod connection;
mod origin;
mod pool;

pub mod load;
pub mod serve;

pub use clock::Clock;
pub use load::{Load, LoadError, Report, Second, Target, load};
pub use origin::UrlError;
pub use serve::{Emulated, Limits, ServeError, Served, Service, serve};
