//! HTTP/2 and gRPC, by hyper.
//!
//! Requests come in over HTTP/2 and go out as the callee wants them: over HTTP/1.1 by our own relay's
//! attempts, or over HTTP/2. What is decided, counted and answered is the same as for HTTP/1.1.

pub(crate) mod answered;
pub(crate) mod call;
pub(crate) mod grpc;
pub(crate) mod onward;
pub(crate) mod outgoing;
pub(crate) mod own;
pub(crate) mod pipe;
pub(crate) mod pool;
pub(crate) mod server;
pub(crate) mod uplink;
pub(crate) mod upload;

pub(crate) use pool::Pool;

/// Runs what hyper wants to run beside a connection on this worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, future: F) {
        // It ends with its connection.
        drop(tokio::task::spawn_local(future));
    }
}
