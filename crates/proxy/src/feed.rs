//! The socket over which the data plane is fed, and reports.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::Clock;

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

/// The socket of a data plane that has handed over: beside the one it had, with the number of its process.
pub(crate) fn retired_socket(socket: &Path, pid: u32) -> PathBuf {
    socket.with_extension(format!("{pid}.sock"))
}

/// Listens on the socket. Whoever listened there before is gone, or has handed over.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    UnixListener::from_std(host::socket::listen(path)?)
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
