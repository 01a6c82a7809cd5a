//! Synthetic services and load over loopback sockets.
#![cfg(test)]

mod harness;
mod load;
mod serve;
