//! The time a request has, as it is passed on from hop to hop.

use std::time::Duration;

/// The header that says how many milliseconds a request has left.
pub(crate) const TIMEOUT_MS: &str = "x-pelago-timeout-ms";
/// The header that says who has set that time, if it was the client.
pub(crate) const TIMEOUT_BY: &str = "x-pelago-timeout-by";

/// The time a request has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeLeft {
    pub(crate) time: Duration,
    pub(crate) by: TimeoutBy,
}

/// Who has set the time of a request. What does not end in a time that a client chose is nobody's failure; in one of a
/// route or a call of the application's, whoever was called is too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TimeoutBy {
    /// The policy of a route or a call, here or before.
    #[default]
    Policy,
    /// The client: gRPC's own deadline.
    Client,
}

impl TimeoutBy {
    /// As [`TIMEOUT_BY`] says it.
    pub(crate) const fn of(value: &[u8]) -> Self {
        if value.eq_ignore_ascii_case(b"client") { Self::Client } else { Self::Policy }
    }
}
