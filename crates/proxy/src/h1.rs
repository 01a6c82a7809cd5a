//! HTTP/1.1: our own strict relay.
//!
//! A relay does not need to understand a message, only where it ends and which headers are between two
//! parties alone. So heads are parsed once, untouched header lines are copied as they are, and bodies pass
//! through one buffer. What could be understood in two ways by two parties (RFC 9112, section 11.2) is
//! refused, not mended.

pub(crate) mod attempt;
pub(crate) mod attempts;
pub(crate) mod body;
pub(crate) mod bridge;
pub(crate) mod chunked;
pub(crate) mod client;
pub(crate) mod exchange;
pub(crate) mod head;
pub(crate) mod incoming;
pub(crate) mod relay;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod rewriter;
pub(crate) mod write;
