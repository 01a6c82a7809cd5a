//! The sockets that are listened on, and how they are handed to a successor.
//!
//! They belong to the main thread, and every worker accepts from the same ones: whoever is free takes the
//! next connection, and closing a worker's copy loses nothing that waits in the kernel's queue. A successor
//! gets the sockets themselves, so that there is no moment at which nobody listens.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use host::descriptors::{self, DESCRIPTORS_MAX};
use serde::{Deserialize, Serialize};
use world::routing::Table;

use crate::worker::Place;

/// The sockets that are listened on.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    open: BTreeMap<Place, TcpListener>,
}

/// What has to change.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) opened: Vec<(Place, TcpListener)>,
    pub(crate) closed: Vec<Place>,
    /// Edges whose address could not be listened on, and why.
    pub(crate) failed: Vec<(String, io::Error)>,
}

impl Listeners {
    /// Listens at an address of the gateway, unless it does already; a socket for workers if it is a new one. Where
    /// the address cannot be had, the one before goes on.
    pub(crate) fn gateway(
        &mut self,
        place: &Place,
        address: SocketAddr,
    ) -> io::Result<Option<TcpListener>> {
        let is_meant =
            |it: SocketAddr| it == address || (address.port() == 0 && it.ip() == address.ip());
        if self.address(place).is_some_and(is_meant) {
            return Ok(None);
        }
        let listener = bind(address)?;
        let copy = listener.try_clone()?;
        self.open.insert(place.clone(), listener);
        Ok(Some(copy))
    }

    /// Where a place is listened on, if it is.
    pub(crate) fn address(&self, place: &Place) -> Option<SocketAddr> {
        self.open.get(place)?.local_addr().ok()
    }

    /// Stops listening at an address of the gateway that is not wanted any more; whether it did.
    pub(crate) fn close(&mut self, place: &Place) -> bool {
        self.open.remove(place).is_some()
    }

    /// Listens at the addresses of the table's edges, and no others.
    pub(crate) fn follow(&mut self, table: &Table) -> Changes {
        let mut changes = Changes::default();
        let is_wanted = |place: &Place, listener: &TcpListener| match place {
            Place::Gateway | Place::GatewayTls => true,
            Place::Edge(key) => table
                .edges
                .get(key)
                .is_some_and(|edge| listener.local_addr().is_ok_and(|it| it.port() == edge.port)),
        };
        self.open.retain(|place, listener| {
            let wanted = is_wanted(place, listener);
            if !wanted {
                changes.closed.push(place.clone());
            }
            wanted
        });
        for (key, edge) in &table.edges {
            let place = Place::Edge(key.clone());
            if self.open.contains_key(&place) {
                continue;
            }
            let bound = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, edge.port)));
            match bound.and_then(|it| Ok((it.try_clone()?, it))) {
                Ok((copy, listener)) => {
                    self.open.insert(place.clone(), listener);
                    changes.opened.push((place, copy));
                }
                Err(error) => changes.failed.push((key.clone(), error)),
            }
        }
        changes
    }

    /// A copy of every socket, for a worker.
    pub(crate) fn copies(&self) -> io::Result<Vec<(Place, TcpListener)>> {
        self.open.iter().map(|(place, it)| Ok((place.clone(), it.try_clone()?))).collect()
    }

    /// Hands a copy of every socket to the process at the other end.
    pub(crate) async fn hand_over(&self, to: impl AsFd) -> io::Result<()> {
        let to = to.as_fd().try_clone_to_owned()?;
        let copies = self.copies()?;
        blocking(move || {
            let mut parts = copies.chunks(DESCRIPTORS_MAX).peekable();
            if parts.peek().is_none() {
                return send(&to, &Part { places: Vec::new(), is_last: true }, &[]);
            }
            while let Some(part) = parts.next() {
                let places = part.iter().map(|(place, _)| Named::of(place)).collect();
                let message = Part { places, is_last: parts.peek().is_none() };
                let sockets: Vec<_> = part.iter().map(|(_, it)| it.as_fd()).collect();
                send(&to, &message, &sockets)?;
            }
            Ok(())
        })
        .await
    }

    /// Takes the sockets that the process at the other end hands over.
    pub(crate) async fn take_over(from: impl AsFd) -> io::Result<Self> {
        let from = from.as_fd().try_clone_to_owned()?;
        blocking(move || {
            let mut open = BTreeMap::new();
            loop {
                let (part, sockets) = receive(&from)?;
                for (named, socket) in part.places.into_iter().zip(sockets) {
                    let listener = TcpListener::from(socket);
                    listener.set_nonblocking(true)?;
                    open.insert(named.place(), listener);
                }
                if part.is_last {
                    return Ok(Self { open });
                }
            }
        })
        .await
    }
}

/// Waits for the other end in a thread that has nothing else to do.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn send(to: &OwnedFd, part: &Part, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    descriptors::send(to, &serde_json::to_vec(part)?, sockets)
}

fn receive(from: &OwnedFd) -> io::Result<(Part, Vec<OwnedFd>)> {
    let (message, sockets) = descriptors::receive(from)?;
    let part: Part = serde_json::from_slice(&message)?;
    if part.places.len() != sockets.len() {
        let text = "the data plane before handed over fewer sockets than it named";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok((part, sockets))
}

/// Connections that wait to be accepted; what the kernel allows by default (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // The library's own 128 overflow when many come at once, and each then waits a second.
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// One message of a hand-over: which sockets come with it.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    places: Vec<Named>,
    is_last: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    Gateway,
    GatewayTls,
    Edge(String),
}

impl Named {
    fn of(place: &Place) -> Self {
        match place {
            Place::Gateway => Self::Gateway,
            Place::GatewayTls => Self::GatewayTls,
            Place::Edge(key) => Self::Edge(key.clone()),
        }
    }

    fn place(self) -> Place {
        match self {
            Self::Gateway => Place::Gateway,
            Self::GatewayTls => Place::GatewayTls,
            Self::Edge(key) => Place::Edge(key),
        }
    }
}
