//! The task that keeps the data plane fed: it connects, starts what does not answer, and hands on every
//! change of the routing table as soon as it is published.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::process::{self, identify};
use host::socket::of_predecessor;
use model::Index;
use model::instance::ProcessId;
use telemetry::{GatewayAddresses, Report};
use tokio::io::AsyncRead;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use world::routing::Table;
use world::{Desired, World};

use super::comparison;
use super::feeding::{Sources, feed};
use super::process::{Launcher, Predecessor, bound_log, kill, terminate};
use super::waiting::{DRAINS_MAX, Plane};
use super::wire::{WireError, receive};
use super::{Hello, Key, Place, SOCKET, Settings, Shared};
use crate::inbox::Input;
use crate::telemetry::spans;

/// The version that is wanted of the data plane: it is the same binary.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Time a new process may take until it listens; it has nothing to read first.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which a data plane that has lost its socket must have made it again; it looks for it every second.
const RECALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a process that is starting is tried.
const CONNECT_POLL: Duration = Duration::from_millis(5);
/// Time after which one that has said nothing is taken for dead.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Time after which one that has said nothing more is looked into: it reports every second.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The first pause after a connection that failed or ended early; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A connection that lasted for so long was a good one: the next try is immediate.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the data plane cannot be started")]
    Start(#[source] io::Error),
    #[error("the data plane ended before it listened")]
    Ended,
    #[error("the data plane did not listen within {START_TIMEOUT:?}")]
    Timeout,
    #[error(
        "the data plane has not answered within {HELLO_TIMEOUT:?}; it is ended, and another started"
    )]
    Mute(ProcessId),
    #[error(
        "the data plane has said nothing for {SILENCE_MAX:?}; is it stopped, or the machine too busy?"
    )]
    Silent,
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// What the task has.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) worlds: watch::Receiver<Arc<World>>,
    /// Where what rollouts want to know is told.
    pub(super) inbox: mpsc::Sender<Input>,
    pub(super) place: Place,
}

impl Link {
    /// Until the last world was published. Where nothing runs then, the data plane ends too.
    pub(super) async fn run(mut self, launcher: Launcher) {
        let mut worlds = self.worlds.clone();
        let socket = self.place.written().join(SOCKET);
        let mut peer = Peer {
            launcher,
            process: None,
            socket,
            is_replaced: false,
            handing_over: None,
            kept: None,
        };
        tokio::select! {
            () = self.keep(&mut peer) => {}
            () = ended(&mut worlds) => {}
        }
        self.shared.disconnected();
        if is_idle(&worlds.borrow()) {
            peer.launcher.kill().await;
            if let Some(process) = peer.process {
                terminate(process);
            }
        }
    }

    /// Connects again and again.
    async fn keep(&mut self, peer: &mut Peer) {
        let mut pause = Duration::ZERO;
        loop {
            let begun = self.place.clock.now();
            let link = self.link(peer).await;
            self.shared.disconnected();
            if STEADY_AFTER <= self.place.clock.now().since(begun) {
                pause = Duration::ZERO;
            }
            if let Err(LinkError::Mute(process)) = &link {
                // It serves nobody, and has its listeners: nothing that starts beside it could serve either.
                kill(*process);
            }
            match link {
                Ok(()) => tracing::info!("the data plane has closed the connection"),
                Err(error) => {
                    tracing::warn!(error = %model::chain(&error), ?pause, "no connection to the data plane; it serves by the table it has");
                }
            }
            wait(pause).await;
            pause = (pause * 2).clamp(PAUSE, PAUSE_MAX);
        }
    }

    /// One connection, from its beginning to its end.
    async fn link(&mut self, peer: &mut Peer) -> Result<(), LinkError> {
        if let Some(before) = peer.handing_over.take() {
            handed_over(&peer.socket, before, &mut peer.launcher).await;
        }
        let (stream, socket) = connect(&self.place, &mut peer.launcher).await?;
        peer.socket = socket;
        let process = process_of(&stream);
        let (mut from, mut to) = stream.into_split();
        let worlds = self.worlds.clone();
        let (shared, place, inbox) = (&self.shared, &self.place, &self.inbox);
        let (asks, asked) = mpsc::channel(DRAINS_MAX);
        let mut listener = Listener { shared, place, inbox, worlds, peer, process, asks };
        let elsewhere = Some(shared.elsewhere.subscribe());
        let sources = Sources { worlds: &mut self.worlds, asked, elsewhere };
        let counts_elsewhere =
            || shared.observed().hello.as_ref().is_some_and(|it| it.counts_elsewhere);
        tokio::select! {
            heard = listener.listen(&mut from) => heard,
            fed = feed(sources, &mut to, counts_elsewhere) => Ok(fed?),
        }
    }
}

/// The process that made the socket a stream is connected to, in so far as it still runs.
fn process_of(stream: &UnixStream) -> Option<ProcessId> {
    let pid = u32::try_from(stream.peer_cred().ok()?.pid()?).ok()?;
    // One that cannot be looked at is not ended on suspicion.
    identify(pid).ok().flatten().filter(|it| it.pid != std::process::id())
}

/// The process on the other side.
#[derive(Debug)]
struct Peer {
    launcher: Launcher,
    process: Option<ProcessId>,
    /// Where it was reached last.
    socket: PathBuf,
    /// Whether this control process has had it replaced by another. It does so once: what a new process
    /// of this binary does not mend, a further one will not.
    is_replaced: bool,
    /// The socket of the one that is being replaced, until that has closed the connection.
    handing_over: Option<SocketMark>,
    /// What it listened on when copies of its sockets were made.
    kept: Option<Listening>,
}

/// Where a data plane listens.
#[derive(Debug, PartialEq, Eq)]
struct Listening {
    pid: u32,
    gateways: [Option<SocketAddr>; 2],
    edges: BTreeSet<u16>,
}

/// What tells a socket from another at the same path.
type SocketMark = (u64, i64, i64);

fn mark(socket: &Path) -> Option<SocketMark> {
    let found = std::fs::metadata(socket).ok()?;
    Some((found.ino(), found.ctime(), found.ctime_nsec()))
}

/// Waits until a successor has the socket, or has given up. Whoever connects before then is in its way: the
/// one that is being replaced talks to one at a time.
async fn handed_over(socket: &Path, before: SocketMark, launcher: &mut Launcher) {
    let changed = async {
        let mut ticks = tokio::time::interval(CONNECT_POLL);
        loop {
            ticks.tick().await;
            if mark(socket) != Some(before) || !launcher.is_running() {
                return;
            }
        }
    };
    if tokio::time::timeout(START_TIMEOUT, changed).await.is_err() {
        tracing::warn!("the data plane's successor did not take over; it goes on as it is");
        launcher.kill().await;
    }
}

/// Connects to the one that runs, wherever its socket is, or to one that is started.
async fn connect(
    place: &Place,
    launcher: &mut Launcher,
) -> Result<(UnixStream, PathBuf), LinkError> {
    if let Some(found) = reach(place).await {
        return Ok(found);
    }
    let socket = place.written().join(SOCKET);
    if !launcher.is_running() {
        if let Some(found) = recall(place).await {
            return Ok(found);
        }
        launcher.start(&socket, Predecessor::None).map_err(LinkError::Start)?;
    }
    let answered = async {
        let mut ticks = tokio::time::interval(CONNECT_POLL);
        loop {
            ticks.tick().await;
            if let Ok(stream) = UnixStream::connect(&socket).await {
                return Ok(stream);
            }
            if !launcher.is_running() {
                return Err(LinkError::Ended);
            }
        }
    };
    let answered = tokio::time::timeout(START_TIMEOUT, answered).await;
    if answered.is_err() {
        launcher.kill().await;
    }
    Ok((answered.map_err(|_| LinkError::Timeout)??, socket))
}

/// Connects to the one that listens, if one does.
async fn reach(place: &Place) -> Option<(UnixStream, PathBuf)> {
    for socket in place.sockets() {
        if let Ok(stream) = UnixStream::connect(&socket).await {
            return Some((stream, socket));
        }
    }
    None
}

/// Waits for a data plane that runs and has lost its socket, which it makes again. It has the gateway's address, which another
/// beside it could not have; one that does not come back is ended.
async fn recall(place: &Place) -> Option<(UnixStream, PathBuf)> {
    let running = serving(place);
    if running.is_empty() {
        return None;
    }
    tracing::warn!(?running, "a data plane runs that has lost its socket; it is waited for");
    let found = async {
        let mut ticks = tokio::time::interval(CONNECT_POLL);
        loop {
            ticks.tick().await;
            if let Some(found) = reach(place).await {
                return Some(found);
            }
            if !running.iter().any(|it| process::life(*it).is_alive()) {
                return None;
            }
        }
    };
    if let Ok(found) = tokio::time::timeout(RECALL_TIMEOUT, found).await {
        return found;
    }
    for it in running {
        tracing::error!(
            pid = it.pid,
            "a data plane that nobody can reach is ended, and another started"
        );
        kill(it);
    }
    None
}

/// The data planes of this folder that have not handed over to another: those have sockets of their own.
fn serving(place: &Place) -> Vec<ProcessId> {
    let Some(folder) = place.folder.to_str() else { return Vec::new() };
    let found = process::with_first_words(&["proxy", "--data", folder]).unwrap_or_default();
    let is_retired = |pid: u32| {
        let sockets = place.sockets();
        sockets.iter().any(|it| of_predecessor(it, pid).exists())
    };
    found.into_iter().filter(|it| !is_retired(it.pid)).collect()
}

/// Takes in what the data plane says.
struct Listener<'a> {
    shared: &'a Shared,
    place: &'a Place,
    inbox: &'a mpsc::Sender<Input>,
    worlds: watch::Receiver<Arc<World>>,
    peer: &'a mut Peer,
    /// The process that listens at the other end, where the system knows it.
    process: Option<ProcessId>,
    /// Where it is asked to drain instances.
    asks: mpsc::Sender<Key>,
}

impl Listener<'_> {
    async fn listen(
        &mut self,
        from: &mut (impl AsyncRead + Unpin + Send),
    ) -> Result<(), LinkError> {
        let first = tokio::time::timeout(HELLO_TIMEOUT, receive(from)).await;
        let mute = || self.process.map_or(LinkError::Silent, LinkError::Mute);
        let mut next: Option<Report> = first.map_err(|_| mute())??;
        while let Some(report) = next {
            self.take_in(report);
            let heard = tokio::time::timeout(SILENCE_MAX, receive(from)).await;
            next = heard.map_err(|_| LinkError::Silent)??;
        }
        Ok(())
    }

    fn take_in(&mut self, report: Report) {
        match &report {
            Report::Drained { application, instance } => {
                let key = (application.clone(), instance.clone());
                self.shared.waiting().drained(Plane::Serving, &key);
            }
            Report::ListenFailed { edge, reason } => {
                tracing::warn!(%edge, %reason, "the address of an edge cannot be listened on");
            }
            Report::Signals(signals) => {
                let place = self.place;
                spans::keep(&place.stores, &signals.spans, place.clock.timestamp());
                let log = self.peer.launcher.log().to_owned();
                tokio::task::spawn_blocking(move || bound_log(&log));
            }
            Report::Applied { index } => {
                self.shared.observed().following.applied(*index, self.place.clock.now());
                self.keep_sockets(*index);
            }
            Report::Hello { .. } => {}
        }
        let is_hello = matches!(report, Report::Hello { .. });
        let is_measured = matches!(report, Report::Signals(_));
        self.shared.observed().take_in(report, self.place.clock.timestamp());
        if is_hello {
            self.greeted();
        }
        if is_measured {
            let world = Arc::clone(&self.worlds.borrow());
            let heard = comparison::heard(&world, &self.shared.observed());
            for heard in heard {
                // Where the inbox is full, the next report says the same and more.
                let _told: Result<(), _> = self.inbox.try_send(Input::Heard(heard));
            }
        }
    }

    /// Keeps copies of what the data plane listens on, where that is not what it was when they were made.
    fn keep_sockets(&mut self, applied: Index) {
        let world = Arc::clone(&self.worlds.borrow());
        let Some(hello) = self.shared.observed().hello.clone() else { return };
        // The one that is being replaced talks to one at a time, and that is its successor.
        if self.peer.handing_over.is_some() {
            return;
        }
        let listening = Listening {
            pid: hello.pid,
            gateways: [hello.gateway, hello.gateway_tls],
            // An application that is stopped keeps its ports, and nobody listens there.
            edges: Table::of(&world).edges.values().map(|it| it.port).collect(),
        };
        if self.peer.kept.as_ref() == Some(&listening) {
            return;
        }
        // One that is behind may still listen at what is no more, and is asked again when it has caught up.
        self.peer.kept = (world.index <= applied).then_some(listening);
        let (copies, socket) = (self.peer.launcher.copies(), self.peer.socket.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = copies.borrow(&socket) {
                tracing::debug!(%error, "the data plane's sockets are not kept");
                // What it does not listen at any more must not be held here.
                copies.clear();
            }
        });
    }

    fn greeted(&mut self) {
        let Some(hello) = self.shared.observed().hello.clone() else { return };
        match identify(hello.pid) {
            Ok(found) => self.peer.process = found,
            Err(error) => tracing::warn!(%error, "the data plane's process cannot be looked at"),
        }
        self.shared.connected(self.asks.clone());
        tracing::info!(pid = hello.pid, version = hello.version, "the data plane is connected");
        let settings = &self.place.settings;
        for (wanted, found, option) in [
            (settings.gateway, hello.gateway, "--gateway"),
            (settings.gateway_tls, hello.gateway_tls, "--gateway-tls"),
        ] {
            if let (Some(address), None) = (wanted, found) {
                tracing::warn!(%address, option, "the gateway cannot listen there and tries again; is the address in use? choose another with the option");
            }
        }
        let is_outdated = needs_replacement(&hello, settings) || is_other_program(hello.pid);
        // A successor could not have its socket where nothing can be written.
        let may_be_replaced = !self.peer.is_replaced && !self.place.access.is_read_only();
        if is_outdated && may_be_replaced {
            self.peer.is_replaced = true;
            self.peer.handing_over = mark(&self.peer.socket);
            if let Err(error) = self.peer.launcher.start(&self.peer.socket, Predecessor::Serving) {
                tracing::warn!(%error, "the data plane cannot be replaced; it goes on as it is");
            }
        }
    }
}

/// Whether a process runs another file than this one: the program was replaced under a version that stayed the same.
/// One that cannot be looked at is none.
fn is_other_program(pid: u32) -> bool {
    let (other, this) = (process::program(pid), process::program(std::process::id()));
    other.is_some() && this.is_some() && other != this
}

/// Whether it is another version than this, or was told something else. An address that it was told and could not have is
/// no reason: it tries again by itself.
fn needs_replacement(hello: &Hello, settings: &Settings) -> bool {
    // One that does not say what it was told was told where it listens.
    let found = GatewayAddresses { plain: hello.gateway, tls: hello.gateway_tls };
    let asked = hello.asked.unwrap_or(found);
    let says_all = hello.asked.is_some();
    let is_elsewhere = |wanted: Option<SocketAddr>, asked: Option<SocketAddr>| match (wanted, asked)
    {
        (Some(wanted), Some(asked)) => wanted.port() != 0 && wanted != asked,
        (None, Some(_)) => true,
        (Some(_), None) => says_all,
        (None, None) => false,
    };
    hello.version != VERSION
        || hello.options != settings.options
        || hello.workers.is_some_and(|it| it != settings.workers)
        || is_elsewhere(settings.gateway, asked.plain)
        || is_elsewhere(settings.gateway_tls, asked.tls)
}

/// Until no further world is published.
async fn ended(worlds: &mut watch::Receiver<Arc<World>>) {
    while worlds.changed().await.is_ok() {}
}

pub(super) fn is_idle(world: &World) -> bool {
    world.applications.values().all(|it| it.desired == Desired::Stopped)
}

#[expect(clippy::disallowed_methods, reason = "nothing tells when the data plane will answer")]
async fn wait(pause: Duration) {
    tokio::time::sleep(pause).await;
}

#[cfg(test)]
mod tests;
