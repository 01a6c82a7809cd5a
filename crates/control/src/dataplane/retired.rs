//! Data planes that were replaced: by an upgrade, or since other options were wanted.
//!
//! Each goes on for the connections it has, pools of databases, event streams, web sockets, for as long as their policies
//! say (`drain`). It listens on a socket of its own, by which it is found, also by the next control process. It is fed
//! like the one that serves, so that it follows where instances are and closes what is idle when one stops.
//!
//! How many there are, and how much memory they take, is bounded: the oldest is ended for a further one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::process::{self, identify};
use host::socket::of_predecessors;
use model::instance::ProcessId;
use telemetry::Report;
use tokio::io::AsyncRead;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use world::World;

use super::feeding::{Sources, feed};
use super::link::is_idle;
use super::observed::Retired;
use super::process::terminate;
use super::waiting::{DRAINS_MAX, Plane};
use super::wire::{WireError, receive};
use super::{Place, Shared};
use crate::telemetry::spans;
use crate::ticks;

/// Data planes that go on beside the one that serves, at most: somebody who upgrades five times within the time
/// connections are kept for is at work on the platform, and not on what runs on it.
const RETIRED_MAX: usize = 4;
/// Bytes of memory they take together, at most: ten times what one with a thousand connections takes.
const RETIRED_BYTES_MAX: u64 = 256 << 20;
/// Time in which one says who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// The task that keeps those fed that were replaced.
#[derive(Debug)]
pub(super) struct Retirees {
    shared: Arc<Shared>,
    worlds: watch::Receiver<Arc<World>>,
    place: Place,
    links: BTreeMap<PathBuf, JoinHandle<()>>,
}

impl Retirees {
    pub(super) fn new(
        shared: Arc<Shared>,
        worlds: watch::Receiver<Arc<World>>,
        place: Place,
    ) -> Self {
        Self { shared, worlds, place, links: BTreeMap::new() }
    }

    /// Until the last world was published. Where nothing runs then, those that were replaced end too.
    pub(super) async fn run(mut self) {
        let mut worlds = self.worlds.clone();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while ticks::next(&mut tick, &mut worlds).await {
            self.look();
            self.bound();
        }
        if is_idle(&worlds.borrow()) {
            for retired in self.known() {
                end(retired.pid);
            }
        }
        self.links.values().for_each(JoinHandle::abort);
    }

    fn known(&self) -> Vec<Retired> {
        self.shared.observed().retired.clone()
    }

    /// Connects to those that are not connected yet.
    fn look(&mut self) {
        self.links.retain(|_, link| !link.is_finished());
        for socket in self.place.sockets().iter().flat_map(|it| of_predecessors(it)) {
            if self.links.contains_key(&socket) {
                continue;
            }
            let (shared, worlds) = (Arc::clone(&self.shared), self.worlds.clone());
            let (place, path) = (self.place.clone(), socket.clone());
            let link = tokio::spawn(async move {
                let link = Link { shared, worlds, place };
                if let Err(error) = link.run(&path).await {
                    tracing::debug!(%error, socket = %path.display(), "a data plane that was replaced is not connected any more");
                }
            });
            self.links.insert(socket, link);
        }
    }

    /// Ends the oldest where there are too many, or they take too much.
    fn bound(&self) {
        let known = self.known();
        let bytes: u64 = known.iter().map(|it| it.resident_bytes).sum();
        if known.len() <= RETIRED_MAX && bytes <= RETIRED_BYTES_MAX {
            return;
        }
        if let Some(oldest) = known.first() {
            let Retired { pid, client_connections, .. } = *oldest;
            tracing::warn!(
                pid,
                client_connections,
                processes = known.len(),
                bytes,
                "too many data planes were replaced and go on; the oldest is ended, and its connections are cut"
            );
            end(pid);
        }
    }
}

fn end(pid: u32) {
    if let Ok(Some(process)) = identify(pid) {
        terminate(process);
    }
}

/// One connection.
struct Link {
    shared: Arc<Shared>,
    worlds: watch::Receiver<Arc<World>>,
    place: Place,
}

impl Link {
    async fn run(mut self, socket: &Path) -> Result<(), WireError> {
        let stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error) => {
                // Nobody listens there any more: it was killed.
                if error.kind() == std::io::ErrorKind::ConnectionRefused {
                    drop(fs::remove_file(socket));
                }
                return Err(error.into());
            }
        };
        let (mut from, mut to) = stream.into_split();
        let hello = tokio::time::timeout(HELLO_TIMEOUT, receive(&mut from)).await;
        let Ok(Some(Report::Hello { pid, is_retired: true, .. })) = hello.unwrap_or(Ok(None))
        else {
            return Ok(());
        };
        let Ok(Some(process)) = identify(pid) else { return Ok(()) };
        tracing::info!(pid, "a data plane that was replaced goes on for the connections it has");
        let (asks, asked) = mpsc::channel(DRAINS_MAX);
        self.shared.waiting().enter(Plane::Retired(pid), asks);
        let entered = Entered { shared: Arc::clone(&self.shared), process };
        self.shared.observed().replaced(pid);
        entered.note(0);
        let sources = Sources { worlds: &mut self.worlds, asked, elsewhere: None };
        let ended = tokio::select! {
            heard = listen(&entered, &self.place, &mut from) => heard,
            fed = feed(sources, &mut to, || false) => fed,
        };
        drop(entered);
        tracing::info!(pid, "no connection any more to a data plane that was replaced");
        ended
    }
}

/// One that is connected, until this is dropped.
struct Entered {
    shared: Arc<Shared>,
    process: ProcessId,
}

impl Entered {
    /// Notes how many connections it has.
    fn note(&self, client_connections: u32) {
        let pid = self.process.pid;
        let resident_bytes = process::resident_bytes(pid).unwrap_or(0);
        let now = Retired { pid, client_connections, resident_bytes };
        let retired = &mut self.shared.observed().retired;
        if let Some(known) = retired.iter_mut().find(|it| it.pid == pid) {
            *known = now;
            return;
        }
        retired.push(now);
        // Process numbers begin again; starts do not.
        retired.sort_by_key(|it| identify(it.pid).ok().flatten().map(|it| it.started_ticks));
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let pid = self.process.pid;
        let mut observed = self.shared.observed();
        observed.retired.retain(|it| it.pid != pid);
        observed.replaced.end(pid);
        drop(observed);
        self.shared.tell_elsewhere();
        self.shared.waiting().leave(Plane::Retired(pid));
    }
}

/// Takes in what it says.
async fn listen(
    entered: &Entered,
    place: &Place,
    from: &mut (impl AsyncRead + Unpin + Send),
) -> Result<(), WireError> {
    while let Some(report) = receive(from).await? {
        match report {
            Report::Drained { application, instance } => {
                let plane = Plane::Retired(entered.process.pid);
                entered.shared.waiting().drained(plane, &(application, instance));
            }
            Report::Signals(signals) => {
                entered.note(signals.client_connections);
                spans::keep(&place.stores, &signals.spans, place.clock.timestamp());
                let pid = entered.process.pid;
                entered.shared.observed().replaced.take_in(pid, signals.edges);
                entered.shared.tell_elsewhere();
            }
            Report::Hello { .. } | Report::Applied { .. } | Report::ListenFailed { .. } => {}
        }
    }
    Ok(())
}
