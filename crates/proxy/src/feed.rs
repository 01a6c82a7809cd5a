//! The socket over which the data plane is fed, and reports.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::Clock;
use host::socket::{self, FileId};

use serde::{Deserialize, Serialize};
use telemetry::Report;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use world::routing::Feed;

use crate::deadline::Deadline;
use crate::frame;
use crate::listeners::Listeners;

/// Messages of the control process that may wait for the main thread.
const WAITING_MAX: usize = 64;

/// What comes over the socket.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Message {
    /// From a control process.
    Feed(Box<Feed>),
    /// From a data plane that comes after this one.
    Successor(Successor),
}

/// Somebody wants the sockets.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Successor {
    /// A data plane that comes after this one, which ends.
    TakeOver,
    /// A control process that keeps copies, so that connections wait and are not refused while a data plane that has died
    /// is started again. This one goes on.
    Lend,
}

/// Somebody at the other end of the socket: the one who connected last counts.
#[derive(Debug)]
pub(crate) struct Feeder {
    pub(crate) reports: OwnedWriteHalf,
    pub(crate) messages: mpsc::Receiver<Message>,
    reader: JoinHandle<()>,
}

impl Feeder {
    /// Begins to read what comes.
    pub(crate) fn new(stream: UnixStream) -> Self {
        let (mut from, reports) = stream.into_split();
        let (sender, messages) = mpsc::channel(WAITING_MAX);
        let reader = tokio::spawn(async move {
            loop {
                match frame::read(&mut from).await {
                    Ok(Some(message)) => {
                        if sender.send(message).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(error) => {
                        tracing::warn!(%error, "the control process sends what cannot be read");
                        return;
                    }
                }
            }
        });
        Self { reports, messages, reader }
    }
}

/// Time in which a report must be taken. A control process that is stopped must not stop the data plane.
const REPORT_TIME: Duration = Duration::from_secs(5);

impl Feeder {
    /// Tells it something.
    pub(crate) async fn report(&mut self, clock: Clock, report: &Report) -> io::Result<()> {
        let mut deadline = Deadline::new(clock, clock.now().after(REPORT_TIME));
        tokio::select! {
            written = frame::write(&mut self.reports, report) => written,
            () = deadline.passed() => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Where it can be fed.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Nothing where it could not be made: then it goes on by the table it has.
    listener: Option<UnixListener>,
    path: PathBuf,
    /// Which file it is there.
    file: Option<FileId>,
}

impl Socket {
    /// Listens at `path`. Whoever listened there before is gone, or has handed over.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let listener = Some(UnixListener::from_std(socket::listen(path)?)?);
        Ok(Self { listener, path: path.to_owned(), file: FileId::at(path) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it anew where somebody has removed it, or put something in its place: without it, no control process would find this
    /// data plane, and another would be started that cannot have its addresses.
    pub(crate) fn look(&mut self) {
        if self.listener.is_none() || FileId::at(&self.path) == self.file {
            return;
        }
        match Self::at(&self.path) {
            Ok(made) => *self = made,
            Err(error) => {
                tracing::warn!(%error, "the socket that was removed cannot be made again");
            }
        }
    }

    /// Moves beside where it was, under the number of its process: the successor has its place.
    pub(crate) fn retire(&mut self, pid: u32) {
        let path = socket::of_predecessor(&self.path, pid);
        *self = Self::at(&path).unwrap_or_else(|error| {
            tracing::warn!(%error, "it goes on by the table it has");
            Self { listener: None, path, file: None }
        });
    }

    /// Whoever connects next.
    pub(crate) async fn accept(&self) -> UnixStream {
        loop {
            match &self.listener {
                Some(listener) => match listener.accept().await {
                    Ok((stream, _)) => return stream,
                    Err(error) => tracing::warn!(%error, "nobody can connect to the socket"),
                },
                None => return std::future::pending().await,
            }
        }
    }
}

/// Takes over the sockets of the data plane that is fed on `socket`.
pub(crate) async fn take_over(socket: &Path) -> io::Result<Listeners> {
    let stream = UnixStream::connect(socket).await?;
    let (mut from, mut to) = stream.into_split();
    // The other side says who it is before it is asked anything.
    let _hello: Option<Report> = frame::read(&mut from).await?;
    frame::write(&mut to, &Message::Successor(Successor::TakeOver)).await?;
    let stream = from.reunite(to).map_err(io::Error::other)?;
    Listeners::take_over(&stream).await
}
