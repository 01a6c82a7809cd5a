//! Connections to one instance over which HTTP/2 is spoken: few, with many requests on each.
//!
//! Streams are used as the protocol's own library gives them: a layer that makes requests of them costs a
//! task or two for each, and a third of the time a call takes.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ::h2::client::{Builder, SendRequest};
use bytes::Bytes;
use host::Clock;
use model::Instant;
use tokio::sync::Mutex;

use crate::core::Core;
use crate::upstream::Upstream;

/// Requests on one connection, after which another is opened: what servers allow at least (RFC 9113, section
/// 6.5.2, recommends no less).
const STREAMS_MAX: u32 = 100;
/// Bytes an instance may send on a stream before they are taken: more than a loopback or a rack holds on its way.
const STREAM_WINDOW: u32 = 128 << 10;
/// Bytes it may send on a connection: as many as its streams may have. With less, a few clients that take nothing would keep
/// the answers of all others that share the connection.
const CONNECTION_WINDOW: u32 = STREAMS_MAX * STREAM_WINDOW;

/// Connections to one instance, at most, where those that are open are clogged. As many as a browser opened to a host before
/// there was HTTP/2, and a few more.
const CONNECTIONS_MAX: usize = 8;
/// Time after which a connection is clogged on which bodies wait for room and none gets any. An instance that reads gives room
/// within a round trip.
const CLOGGED_AFTER: Duration = Duration::from_millis(20);

/// Connections to one instance.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    open: RefCell<Vec<Rc<Connection>>>,
    /// Held by whoever opens one, so that a burst opens one and not a hundred.
    opening: Mutex<()>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    streams: Cell<u32>,
    is_ended: Rc<Cell<bool>>,
    clock: Clock,
    /// Bodies that wait for room.
    waiting: Cell<u32>,
    /// When one of them got some last, or the first began to wait.
    moved_at: Cell<Instant>,
}

impl Connection {
    /// Whether an instance that does not read some bodies keeps others from being sent: they share the window of the
    /// connection (RFC 9113, section 5.2).
    fn is_clogged(&self) -> bool {
        0 < self.waiting.get() && CLOGGED_AFTER < self.clock.now().since(self.moved_at.get())
    }
}

/// A body that waits for room on a connection.
#[derive(Debug)]
pub(crate) struct Waiting(Rc<Connection>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

/// A place for one request on a connection.
#[derive(Debug)]
pub(crate) struct Place(Rc<Connection>);

impl Place {
    fn new(connection: &Rc<Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self(Rc::clone(connection))
    }

    /// Says that a body waits for room there, until what is returned is dropped.
    pub(crate) fn wait(&self) -> Waiting {
        let Self(connection) = self;
        if connection.waiting.get() == 0 {
            connection.moved_at.set(connection.clock.now());
        }
        connection.waiting.set(connection.waiting.get() + 1);
        Waiting(Rc::clone(connection))
    }

    /// Says that one that waited got room.
    pub(crate) fn moved(&self) {
        self.0.moved_at.set(self.0.clock.now());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
    }
}

impl Pool {
    /// A place on the connection with the fewest requests, and what sends one there; a new connection if
    /// all have many, or are clogged.
    pub(crate) async fn place(
        &self,
        address: SocketAddr,
        core: &Core,
    ) -> io::Result<(Place, SendRequest<Bytes>)> {
        loop {
            let place = match self.free() {
                Some(place) => place,
                None => self.open(address, core).await?,
            };
            let mut sender = place.0.sender.clone();
            match poll_fn(|context| sender.poll_ready(context)).await {
                Ok(()) => return Ok((place, sender)),
                // The instance wants no more on this one. What is on it goes on.
                Err(_) => place.0.is_ended.set(true),
            }
        }
    }

    async fn open(&self, address: SocketAddr, core: &Core) -> io::Result<Place> {
        let _only = self.opening.lock().await;
        if let Some(place) = self.free() {
            return Ok(place);
        }
        let stream = Upstream::connect(address).await?;
        let handshake = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(32 << 10)
            .max_header_list_size(core.front.heads.list_bytes())
            .handshake(stream);
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        let is_ended = Rc::new(Cell::new(false));
        let ends = Rc::clone(&is_ended);
        // It ends when the last sender is dropped, or the instance ends it.
        drop(tokio::task::spawn_local(async move {
            let ended: Result<(), ::h2::Error> = connection.await;
            ends.set(true);
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to an instance ended");
            }
        }));
        let connection = Rc::new(Connection {
            sender,
            streams: Cell::new(0),
            is_ended,
            clock: core.clock,
            waiting: Cell::new(0),
            moved_at: Cell::new(core.clock.now()),
        });
        self.open.borrow_mut().push(Rc::clone(&connection));
        Ok(Place::new(&connection))
    }

    fn free(&self) -> Option<Place> {
        let mut open = self.open.borrow_mut();
        open.retain(|it| !it.is_ended.get());
        let least = open.iter().min_by_key(|it| (it.is_clogged(), it.streams.get()))?;
        let may_open = least.is_clogged() && open.len() < CONNECTIONS_MAX;
        (least.streams.get() < STREAMS_MAX && !may_open).then(|| Place::new(least))
    }

    /// Closes all of them when what is in flight has ended.
    pub(crate) fn close(&self) {
        self.open.borrow_mut().clear();
    }

    /// Open connections.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.open.borrow().len()).unwrap_or(u32::MAX)
    }
}
