//! What a synthetic service puts up with.

use std::time::Duration;

/// The smallest buffer hyper takes.
pub(crate) const BUFFER_BYTES_MIN: usize = 8_192;

/// The limits of one synthetic service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once. Further ones wait in the kernel.
    pub connections: usize,
    /// Bytes of a request's line and headers. More is answered with 431.
    pub header_bytes: usize,
    /// Bytes of a request's body. More is answered with 413.
    pub body_bytes: u64,
    /// Time for a request's body to arrive. Longer is answered with 408.
    pub body_wait: Duration,
    /// Time a connection may be open without a request, or with half of one's headers.
    pub idle: Duration,
    /// Connections to one callee. Further calls wait for one.
    pub connections_per_callee: usize,
    /// Time one call may take. The mesh between the services has limits of its own, which are meant
    /// to be reached first.
    pub call: Duration,
    /// Time in which the service still accepts although it was told to stop, its health check already
    /// failing: for balancers that must find that out by themselves. Pelago's own does not need it.
    pub lame_duck: Duration,
    /// Time to finish what is being worked on after that.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            header_bytes: 16 << 10,
            body_bytes: 16 << 20,
            body_wait: Duration::from_secs(30),
            // nginx's keepalive_timeout.
            idle: Duration::from_secs(75),
            connections_per_callee: 128,
            call: Duration::from_secs(30),
            lame_duck: Duration::ZERO,
            drain: Duration::from_secs(10),
        }
    }
}
