//! The data plane as a whole: fed over its socket, between clients and instances written by hand.
//!
//! Whatever the two sides do wrong is written out byte for byte, over sockets of the standard library. No
//! test sleeps: it waits for what it wants to see, and every socket has a deadline.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what stands beside the tests may fail as they do"
)]

mod alike;
mod bounds;
mod client;
mod closing;
mod feed;
mod frames;
mod front;
mod gateway;
mod harness;
mod http2;
mod interim;
mod lengths;
mod limits;
mod property;
mod smuggling;
mod streams;
mod targets;
mod tls;
mod told;
mod trailers;
mod trial;
mod tunnels;
mod upstream;
mod wire;
