//! HTTP/2 and gRPC, over the protocol's own library.
//!
//! Requests come in over HTTP/2 and go out as the callee wants them: over HTTP/1.1 by our own relay's
//! attempts, or over HTTP/2. What is decided, counted and answered is the same as for HTTP/1.1.

pub(crate) mod answered;
pub(crate) mod call;
pub(crate) mod checks;
pub(crate) mod connection;
pub(crate) mod fields;
pub(crate) mod grpc;
pub(crate) mod interim;
pub(crate) mod onward;
pub(crate) mod outgoing;
pub(crate) mod own;
pub(crate) mod pipe;
pub(crate) mod pool;
pub(crate) mod server;
pub(crate) mod source;
pub(crate) mod trailers;
pub(crate) mod uplink;
pub(crate) mod upload;

pub(crate) use pool::Pool;
