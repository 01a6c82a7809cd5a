//! A connection to an instance that is in use: counted while it is open.

use std::rc::Rc;

use model::Instant;
use tokio::net::TcpStream;

use crate::upstream::Upstream;

/// A connection to an instance. Dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Connected {
    stream: Option<TcpStream>,
    upstream: Rc<Upstream>,
}

impl Connected {
    /// A connection that was just opened.
    pub(crate) fn opened(stream: TcpStream, upstream: Rc<Upstream>) -> Self {
        upstream.opened();
        Self { stream: Some(stream), upstream }
    }

    /// A connection that was taken from those that are open.
    pub(crate) const fn taken(stream: TcpStream, upstream: Rc<Upstream>) -> Self {
        Self { stream: Some(stream), upstream }
    }

    /// Its socket.
    pub(crate) const fn stream(&mut self) -> Option<&mut TcpStream> {
        self.stream.as_mut()
    }

    /// The instance it leads to.
    pub(crate) fn upstream(&self) -> Rc<Upstream> {
        Rc::clone(&self.upstream)
    }

    /// Keeps it open for the next request.
    pub(crate) fn keep(mut self, now: Instant) {
        if let Some(stream) = self.stream.take() {
            self.upstream.keep(stream, now);
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        if self.stream.is_some() {
            self.upstream.closed();
        }
    }
}
