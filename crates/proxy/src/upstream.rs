//! An instance as the data plane sees it: its address, its open connections, its requests in flight.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Waker};
use std::time::Duration;

use model::{InstanceId, Instant, ReleaseNumber};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use traffic::EndpointId;

use crate::h2::Pool;
use crate::limits::{POOLED_MAX, POOLED_TIME};

/// An instance that requests can be sent to, on one worker.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) id: EndpointId,
    pub(crate) instance: InstanceId,
    pub(crate) release: ReleaseNumber,
    pub(crate) address: SocketAddr,
    /// Connections over which HTTP/2 is spoken.
    pub(crate) h2: Pool,
    idle: RefCell<Vec<Idle>>,
    in_flight: Cell<u32>,
    open: Cell<u32>,
    gone: Cell<bool>,
    departure: Notify,
}

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Instant,
}

impl Upstream {
    pub(crate) fn new(id: EndpointId, endpoint: &world::routing::Endpoint) -> Self {
        Self {
            id,
            instance: endpoint.instance.clone(),
            release: endpoint.release,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, endpoint.port)),
            h2: Pool::default(),
            idle: RefCell::default(),
            in_flight: Cell::default(),
            open: Cell::default(),
            gone: Cell::default(),
            departure: Notify::new(),
        }
    }

    /// Whether this is what the table says of it: an instance may come back at another port.
    pub(crate) fn is(&self, endpoint: &world::routing::Endpoint) -> bool {
        self.address.port() == endpoint.port && self.release == endpoint.release
    }

    /// A connection that was used before, at most `age` ago. Whichever was used last is tried first: the
    /// others may then grow old and be closed.
    pub(crate) fn take(&self, now: Instant, age: Duration) -> Option<TcpStream> {
        let mut idle = self.idle.borrow_mut();
        while let Some(last) = idle.pop() {
            if age < now.since(last.since) {
                // The others are older still.
                idle.push(last);
                return None;
            }
            if is_quiet(&last.stream) {
                return Some(last.stream);
            }
            self.open.set(self.open.get().saturating_sub(1));
        }
        None
    }

    /// Opens a connection.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Counts a connection that was opened.
    pub(crate) fn opened(&self) {
        self.open.set(self.open.get() + 1);
    }

    /// Counts a connection that was closed.
    pub(crate) fn closed(&self) {
        self.open.set(self.open.get().saturating_sub(1));
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, stream: TcpStream, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        if self.gone.get() || POOLED_MAX <= idle.len() {
            self.closed();
        } else {
            idle.push(Idle { stream, since: now });
        }
    }

    /// Closes what was not used for long.
    pub(crate) fn tidy(&self, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain(|it| now.since(it.since) < POOLED_TIME && is_quiet(&it.stream));
        let closed = u32::try_from(before - idle.len()).unwrap_or(u32::MAX);
        self.open.set(self.open.get().saturating_sub(closed));
    }

    /// Says that it is in the table no more: what is in flight goes on, nothing new comes.
    pub(crate) fn leave(&self) {
        self.gone.set(true);
        self.departure.notify_waiters();
        self.h2.close();
        let closed = self.idle.borrow_mut().drain(..).count();
        self.open.set(self.open.get().saturating_sub(u32::try_from(closed).unwrap_or(u32::MAX)));
    }

    /// Until it is in the table no more.
    pub(crate) async fn left(&self) {
        while !self.gone.get() {
            self.departure.notified().await;
        }
    }

    /// Open connections.
    pub(crate) fn connections(&self) -> u32 {
        self.open.get() + self.h2.count()
    }

    /// Requests in flight, and tunnels.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    pub(crate) fn began(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    pub(crate) fn ended(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }
}

/// Whether an idle connection has nothing to say: neither its end nor bytes nobody asked for. It costs no
/// system call: the runtime has seen what there is.
fn is_quiet(stream: &TcpStream) -> bool {
    stream.poll_read_ready(&mut Context::from_waker(Waker::noop())).is_pending()
}
