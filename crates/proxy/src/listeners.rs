//! The sockets that are listened on, and how they are handed to a successor.
//!
//! They belong to the main thread, and every worker accepts from the same ones: whoever is free takes the
//! next connection, and closing a worker's copy loses nothing that waits in the kernel's queue. A successor
//! gets the sockets themselves, so that there is no moment at which nobody listens.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;
use world::routing::Table;

use crate::frame;
use crate::worker::Place;

/// Descriptors in one message; the kernel takes 253 (`SCM_MAX_FD`).
const DESCRIPTORS_MAX: usize = 100;

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

    /// Hands every socket to the process at the other end.
    pub(crate) async fn hand_over(&self, to: &UnixStream) -> io::Result<()> {
        let all: Vec<(&Place, &TcpListener)> = self.open.iter().collect();
        let mut parts = all.chunks(DESCRIPTORS_MAX).peekable();
        if parts.peek().is_none() {
            return send(to, &Part { places: Vec::new(), is_last: true }, &[]).await;
        }
        while let Some(part) = parts.next() {
            let places = part.iter().map(|(place, _)| Named::of(place)).collect();
            let message = Part { places, is_last: parts.peek().is_none() };
            let sockets: Vec<&TcpListener> = part.iter().map(|(_, it)| *it).collect();
            send(to, &message, &sockets).await?;
        }
        Ok(())
    }

    /// Takes the sockets that the process at the other end hands over.
    pub(crate) async fn take_over(from: &UnixStream) -> io::Result<Self> {
        let mut open = BTreeMap::new();
        loop {
            let (part, descriptors) = receive(from).await?;
            for (named, descriptor) in part.places.into_iter().zip(descriptors) {
                open.insert(named.place(), TcpListener::from(descriptor));
            }
            if part.is_last {
                return Ok(Self { open });
            }
        }
    }
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

/// Bytes of one message: a hundred keys of two names each.
const PART_BYTES_MAX: usize = 64 << 10;

async fn send(to: &UnixStream, part: &Part, sockets: &[&TcpListener]) -> io::Result<()> {
    let message = frame::encode(part)?;
    let descriptors: Vec<_> = sockets.iter().map(|it| it.as_fd()).collect();
    let mut sent = 0;
    while sent < message.len() {
        to.writable().await?;
        let written = to.try_io(Interest::WRITABLE, || {
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            // They travel with the first byte.
            if sent == 0 && !descriptors.is_empty() {
                ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            }
            let rest = IoSlice::new(message.get(sent..).unwrap_or_default());
            Ok(sendmsg(to, &[rest], &mut ancillary, SendFlags::NOSIGNAL)?)
        });
        match written {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn receive(from: &UnixStream) -> io::Result<(Part, Vec<OwnedFd>)> {
    let mut message = Vec::new();
    let mut descriptors = Vec::new();
    let mut wanted = 4;
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    while message.len() < wanted {
        from.readable().await?;
        let mut bytes = vec![0; wanted - message.len()];
        let read = from.try_io(Interest::READABLE, || {
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut room = [IoSliceMut::new(&mut bytes)];
            let read = recvmsg(from, &mut room, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    descriptors.extend(received);
                }
            }
            Ok(read.bytes)
        });
        match read {
            Ok(0) => return Err(invalid("the data plane before ended while handing over")),
            Ok(count) => message.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if message.len() == 4 && wanted == 4 {
            let mut length = [0; 4];
            length.copy_from_slice(&message);
            wanted += u32::from_le_bytes(length) as usize;
            if PART_BYTES_MAX < wanted {
                return Err(invalid("the data plane before hands over something else"));
            }
        }
    }
    let part: Part = serde_json::from_slice(message.get(4..).unwrap_or_default())?;
    if part.places.len() != descriptors.len() {
        return Err(invalid("the data plane before handed over fewer sockets than it named"));
    }
    Ok((part, descriptors))
}
