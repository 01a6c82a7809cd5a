//! The data plane, as control sees it: another process, which is told the routing table and says what it
//! measures.
//!
//! The process outlives this one: it serves by the table it has when nobody feeds it. A control
//! process that begins finds it by its socket, and only starts one where none answers. What goes
//! wrong with it is logged and tried again; nothing of that holds up the reconciler, which knows the
//! data plane only by `DataPlane::drain`.
//!
//! One that is replaced may live on for a day, for the connections it has (`retired`): it is fed like the one that
//! serves, and who waits for an instance to be drained waits for all of them.
//!
//! It refuses to interpret what was measured.

mod comparison;
mod copies;
mod feeding;
mod following;
mod link;
mod observed;
mod process;
mod replaced;
mod retired;
mod waiting;
mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use host::Clock;
use model::{ApplicationName, Index, InstanceId, Instant};
use telemetry::Stores;
use tokio::sync::{Notify, mpsc, watch};
use waiting::{Plane, Waiting};
use world::World;

use crate::inbox::Input;
use crate::open::Access;
use feeding::InFlight;
pub use following::Following;
use link::Link;
pub use observed::{Hello, Observed, Retired, Window};
use process::Launcher;
pub(crate) use replaced::Replaced;
use retired::Retirees;
pub use telemetry::{AccessLog, GatewayOptions};

/// What the data plane is to be, for whoever starts control.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests from outside come in.
    pub gateway: Option<SocketAddr>,
    /// Where those come in that are encrypted.
    pub gateway_tls: Option<SocketAddr>,
    /// What else the gateway is told.
    pub options: GatewayOptions,
    /// Threads that pass requests on.
    pub workers: usize,
}

/// What must be known to reach the data plane, and to start it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) settings: Settings,
    /// The data folder.
    pub(crate) folder: PathBuf,
    /// Whether that can be written.
    pub(crate) access: Access,
    /// This binary.
    pub(crate) program: PathBuf,
    pub(crate) clock: Clock,
    /// Where the calls it has seen are kept.
    pub(crate) stores: Arc<Stores>,
}

/// Its socket in the data folder or in the folder that stands in for it.
const SOCKET: &str = "proxy.sock";

impl Place {
    /// Where files of a process that is started now go.
    fn written(&self) -> &Path {
        match &self.access {
            Access::Writable { .. } => &self.folder,
            Access::ReadOnly { substitute } => substitute,
        }
    }

    /// Where its socket may be. One that was started while the data folder could only be read goes on elsewhere.
    fn sockets(&self) -> Vec<PathBuf> {
        let folders = [Some(self.folder.as_path()), self.access.substitute()];
        folders.into_iter().flatten().map(|it| it.join(SOCKET)).collect()
    }
}

type Key = (ApplicationName, InstanceId);

/// The way to the data plane for everybody else.
#[derive(Clone, Debug)]
pub(crate) struct DataPlane {
    shared: Arc<Shared>,
}

/// What the task and the handles to it both need.
#[derive(Debug, Default)]
struct Shared {
    observed: Mutex<Observed>,
    waiting: Mutex<Waiting>,
    /// Told when one is connected.
    arrived: Notify,
    /// What data planes that were replaced have in flight: said anew whenever one of them reports.
    elsewhere: watch::Sender<InFlight>,
}

/// The handle to a data plane, and the task that keeps it fed until `worlds` end.
pub(crate) fn start(
    place: Place,
    worlds: watch::Receiver<Arc<World>>,
    inbox: mpsc::Sender<Input>,
) -> (DataPlane, tokio::task::JoinHandle<()>) {
    let shared = Arc::<Shared>::default();
    let launcher = Launcher::new(&place);
    let retirees = Retirees::new(Arc::clone(&shared), worlds.clone(), place.clone());
    let link = Link { shared: Arc::clone(&shared), worlds, inbox, place };
    let task = tokio::spawn(async move {
        tokio::join!(link.run(launcher), retirees.run());
    });
    (DataPlane { shared }, task)
}

impl DataPlane {
    /// One that nobody feeds: nothing is drained or observed.
    pub(crate) fn absent() -> Self {
        Self { shared: Arc::default() }
    }

    /// Waits until an instance, which is in no published world's table any more, has no request in
    /// flight: at most `limit`, and not at all when no data plane is connected.
    pub(crate) async fn drain(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
        limit: Duration,
    ) {
        let key = (application.clone(), instance.clone());
        let Some(drained) = self.shared.waiting().ask(&key) else { return };
        if tokio::time::timeout(limit, drained).await.is_err() {
            tracing::info!(%application, %instance, ?limit, "requests are still in flight; stopping it nevertheless");
            self.shared.waiting().forget(&key);
        }
    }

    /// Waits until a data plane is connected, `limit` at most: one that is being started is no trouble.
    pub(crate) async fn arrival(&self, limit: Duration) {
        let arrived = self.shared.arrived.notified();
        if !self.shared.waiting().is_connected() {
            // Whoever looks afterwards sees whether it was in vain.
            drop(tokio::time::timeout(limit, arrived).await);
        }
    }

    /// Says that events up to `index` were recorded at `now`: what the data plane is to follow.
    pub(crate) fn recorded(&self, index: Index, now: Instant) {
        let mut observed = self.shared.observed();
        if observed.is_connected {
            observed.following.recorded(index, now);
        }
    }

    /// Looks at what the data plane has said so far.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Observed) -> T) -> T {
        read(&self.shared.observed())
    }
}

impl Shared {
    // A thread that panicked in between leaves nothing half done that matters.
    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what data planes that were replaced have in flight.
    fn tell_elsewhere(&self) {
        let occupied = self.observed().replaced.occupied();
        self.elsewhere.send_replace(occupied);
    }

    /// The one that serves is connected, and takes what is to be drained from `asks`.
    fn connected(&self, asks: mpsc::Sender<Key>) {
        self.waiting().enter(Plane::Serving, asks);
        self.observed().is_connected = true;
        self.arrived.notify_waiters();
    }

    /// The one that serves is not there any more, nor is a request that was in flight in it.
    fn disconnected(&self) {
        self.waiting().leave(Plane::Serving);
        let mut observed = self.observed();
        observed.is_connected = false;
        observed.following.interrupted();
    }
}
