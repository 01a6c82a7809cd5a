//! What the reconciler and the handle to it both need.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use host::Clock;
use host::reserve::Reserve;
use runtime::Processes;
use runtime::bake::Bakery;
use runtime::launch::DataFolder;
use telemetry::Stores;
use tokio::sync::{RwLock, mpsc};

use crate::dataplane::DataPlane;
use crate::inbox::Input;
use crate::launch::{Folders, Launcher, Machine};
use crate::recording::Recording;
use crate::room::Room;
use crate::storage::Storage;

/// The journal, the machine, and the way to the reconciler.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) machine: Machine,
    pub(crate) clock: Clock,
    pub(crate) storage: Storage,
    pub(crate) processes: Processes,
    pub(crate) bakery: Bakery,
    /// Where data is that outlives releases: a folder for each application.
    pub(crate) data: PathBuf,
    /// Held for reading from the first file baked until the release is recorded, so that no sweep takes a
    /// release away in between.
    pub(crate) bakes: Arc<RwLock<()>>,
    pub(crate) inbox: mpsc::Sender<Input>,
    /// Where the search for a first port begins.
    pub(crate) first_port: u16,
    pub(crate) data_plane: DataPlane,
    /// What cannot be written down now.
    pub(crate) recording: Recording,
    pub(crate) reserve: Reserve,
    /// What this process was told, for whoever looks for what is wrong.
    pub(crate) described: Arc<str>,
    /// What is kept of what is measured, and where it is taken in.
    pub(crate) stores: Arc<Stores>,
    pub(crate) collector: Option<SocketAddr>,
    pub(crate) room: Room,
}

impl Parts {
    pub(crate) fn folders(&self, launcher: &Launcher<'_>) -> Folders {
        let artifact = launcher.release.artifact.as_ref();
        let data = launcher.release.service.data.as_ref();
        Folders {
            data: data.map(|it| DataFolder {
                path: self.data.join(launcher.application.as_str()).join(it.name.as_str()),
                shared: it.shared,
            }),
            release: artifact.map(|it| self.bakery.release_folder(it)),
            scratch: self.processes.folder(launcher.application, launcher.id).scratch(),
        }
    }
}
