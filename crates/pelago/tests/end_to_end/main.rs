//! The whole platform as its users meet it: the real binary, real processes, a folder of its own.
//!
//! Every test starts its own control process in a short temporary folder and takes everything it
//! started away again, also when it fails. Nothing here sleeps: tests wait for an answer, an event or
//! the end of a process, each with a deadline that is generous enough for a loaded machine.
#![cfg(test)]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod harness;
mod lifecycle;
