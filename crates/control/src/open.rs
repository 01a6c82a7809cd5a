//! How a control process begins.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::files::{self, Kind};
use host::limits::{self, Usual};
use host::reserve::Reserve;
use host::{Clock, process};
use journal::{Damage, FolderLock};
use model::Index;
use runtime::Processes;
use runtime::bake::Bakery;
use telemetry::Stores;
use tokio::sync::{mpsc, watch};
use world::{Event, Recorded, World};

use crate::dataplane::{self, DataPlane};
use crate::handle::Control;
use crate::launch::{INHERITED, Machine};
use crate::lookout::Lookout;
use crate::parts::Parts;
use crate::reconciler::Reconciler;
use crate::recording::Recording;
use crate::room::Room;
use crate::storage::{Storage, StorageError};
use crate::telemetry::Keeper;

/// Wishes and facts that may wait for the reconciler; more make their senders wait.
const INBOX_LENGTH: usize = 4_096;

/// Time the data plane gets to be told the last table when the control process ends.
const FEEDING_ENDS_IN: Duration = Duration::from_secs(1);

/// Where the control process works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder.
    pub folder: PathBuf,
    /// Whether it can be written.
    pub access: Access,
    /// Its lock. Whoever has it is in charge of what is in the folder.
    pub lock: Arc<FolderLock>,
    /// This binary, which supervises and emulates instances.
    pub program: PathBuf,
    /// The environment of this process; a few of its variables are passed on to instances.
    pub environment: BTreeMap<String, String>,
    /// The clock.
    pub clock: Clock,
    /// What it was told, for whoever looks for what is wrong.
    pub described: String,
    /// What the data plane is to be; without it none is started or fed.
    pub data_plane: Option<dataplane::Settings>,
    /// Where what is measured is kept.
    pub stores: Arc<Stores>,
    /// Where instances may send what they measure, if anywhere.
    pub collector: Option<SocketAddr>,
    /// What instances are allowed, whatever this process gives itself; as this process is, if nothing is said.
    pub usual: Option<Usual>,
    /// Where metrics are sent on to by remote write, if anywhere.
    pub remote_write: Option<String>,
}

/// What can be done with a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Writable {
        /// The folder that stood in for it earlier, if one is left: the data plane may have its socket there.
        earlier_substitute: Option<PathBuf>,
    },
    /// It can only be read. Nothing is recorded, started or stopped; people are told how things are.
    ReadOnly {
        /// Where a copy of the journal is opened, and sockets are made.
        substitute: PathBuf,
    },
}

impl Access {
    /// The folder that stands in for the data folder, or did.
    pub fn substitute(&self) -> Option<&Path> {
        match self {
            Self::Writable { earlier_substitute } => earlier_substitute.as_deref(),
            Self::ReadOnly { substitute } => Some(substitute),
        }
    }

    /// Whether nothing can be written to the data folder.
    pub const fn is_read_only(&self) -> bool {
        matches!(self, Self::ReadOnly { .. })
    }
}

/// A control process that is in charge.
#[derive(Debug)]
pub struct Opened {
    /// The handle for everybody else.
    pub control: Control,
    /// What was found wrong with the journal, and mended.
    pub damage: Option<Damage>,
    /// Runs until it is told to end.
    pub task: tokio::task::JoinHandle<()>,
}

/// Why a control process could not begin.
#[derive(Debug, thiserror::Error)]
#[expect(
    private_interfaces,
    reason = "what is behind the failure is for reading, not for matching"
)]
pub enum OpenError {
    /// The journal is not usable.
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    /// The journal could not be folded.
    #[error("the journal cannot be replayed")]
    Replay(#[source] StorageError),
    /// The first events could not be recorded.
    #[error("the journal cannot be written")]
    Record(#[source] StorageError),
    /// The data folder or the machine is not usable.
    #[error("the data folder {folder} is not usable")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Takes charge of a data folder: folds its journal, takes over what runs, and goes on from there.
pub async fn open(options: Options) -> Result<Opened, OpenError> {
    let folder = options.folder.clone();
    let unusable = |source| OpenError::Folder { folder: folder.clone(), source };
    let Founded { storage, world, damage, recording, unrecorded } = found(&options).await?;
    if !options.access.is_read_only() {
        for it in ["instances", "artifacts"] {
            files::set_aside_unless(&options.folder.join(it), Kind::Folder).map_err(unusable)?;
        }
    }
    let bakery = bakery(&options.folder);
    let processes = Processes::new(&options.folder.join("instances"), options.program.clone())
        .map_err(unusable)?;
    let machine = machine(&options);
    let workers = options.data_plane.as_ref().map_or(0, |it| it.workers);
    let (inbox, received) = mpsc::channel(INBOX_LENGTH);
    let (published, worlds) = watch::channel(Arc::new(world));
    let place = place(&options);
    let stores = options.stores;
    let started = place.map(|it| dataplane::start(it, worlds.clone(), inbox.clone()));
    let (data_plane, feeding) = started.unzip();
    let data_plane = data_plane.unwrap_or_else(DataPlane::absent);
    let parts = Parts {
        machine,
        clock: options.clock,
        storage,
        processes,
        bakery,
        data: options.folder.join("data"),
        bakes: Arc::default(),
        inbox,
        first_port: runtime::ports::start(&options.folder),
        data_plane,
        recording,
        reserve: Reserve::of(&options.folder),
        described: options.described.into(),
        stores: Arc::clone(&stores),
        collector: options.collector,
        room: Room::new(limits::open_files_max(), workers),
    };
    let keeping = Keeper {
        stores,
        clock: options.clock,
        data_plane: parts.data_plane.clone(),
        processes: parts.processes.clone(),
        worlds: worlds.clone(),
        inbox: parts.inbox.clone(),
        remote_write: options.remote_write,
    }
    .start();
    let looking = Lookout::of(&parts, worlds.clone(), options.folder.clone()).start();
    let control = Control::new(parts.clone(), worlds, options.folder);
    let mut reconciler = Reconciler::new(parts, published, unrecorded);
    // Before anybody is answered: what the journal says last may no longer be so.
    reconciler.take_over().await;
    let task = tokio::spawn(async move {
        reconciler.run(received).await;
        // It was the last to publish a world, which is what ends the feeding.
        if let Some(feeding) = feeding
            && tokio::time::timeout(FEEDING_ENDS_IN, feeding).await.is_err()
        {
            tracing::warn!(
                "the data plane did not take in the last table; it serves by the one before"
            );
        }
        // These end as the feeding does.
        looking.abort();
        if tokio::time::timeout(FEEDING_ENDS_IN, keeping).await.is_err() {
            tracing::warn!("the last second of what was measured may not be kept");
        }
    });
    Ok(Opened { control, damage, task })
}

/// Where the data plane is, if there is to be one.
fn place(options: &Options) -> Option<dataplane::Place> {
    Some(dataplane::Place {
        settings: options.data_plane.clone()?,
        folder: options.folder.clone(),
        access: options.access.clone(),
        program: options.program.clone(),
        clock: options.clock,
        stores: Arc::clone(&options.stores),
    })
}

/// What there is to begin with.
struct Founded {
    storage: Storage,
    world: World,
    damage: Option<Damage>,
    recording: Recording,
    /// What has happened already and could not be recorded.
    unrecorded: Vec<Event>,
}

/// Folds the journal, and records that somebody new is in charge.
async fn found(options: &Options) -> Result<Founded, OpenError> {
    let now = options.clock.timestamp();
    let opened = match &options.access {
        Access::Writable { .. } => Storage::open(&options.folder, &options.lock, now),
        Access::ReadOnly { substitute } => {
            let copy = substitute.join("journal");
            Storage::open_read_only(&options.folder, &copy, &options.lock, now)
        }
    };
    let (storage, mut world, damage) = opened.map_err(|error| match error {
        StorageError::Open(error) => OpenError::Journal(error),
        other => OpenError::Replay(other),
    })?;
    let recording = Recording::default();
    let unrecorded = begin(&storage, &mut world, damage.as_ref(), options).await?;
    if let Some((_, reason)) = &unrecorded {
        tracing::error!(error = reason, "nothing can be recorded; what runs goes on");
        recording.journal_fails(now, reason);
    }
    let unrecorded = recording.keeps(unrecorded.map(|it| it.0).unwrap_or_default());
    Ok(Founded { storage, world, damage, recording, unrecorded })
}

/// Where artifacts are baked, without what was not baked to the end.
fn bakery(folder: &Path) -> Bakery {
    let bakery = Bakery::new(folder.join("artifacts"));
    if let Err(error) = bakery.clear_drafts() {
        tracing::warn!(%error, "artifacts that were not baked to the end could not be removed");
    }
    bakery
}

/// What instances get of this process and of the machine.
fn machine(options: &Options) -> Machine {
    let passed_on = |it: &&str| Some(((*it).to_owned(), options.environment.get(*it)?.clone()));
    Machine {
        program: options.program.clone(),
        inherited: INHERITED.iter().filter_map(passed_on).collect(),
        collector: options.collector,
        usual: options.usual,
    }
}

/// Events that could not be recorded, and why.
type Unrecorded = (Vec<Event>, String);

/// Records that somebody new is in charge, and what happened to the journal. What a disk refuses is to be recorded
/// later: it is no reason not to be in charge.
async fn begin(
    storage: &Storage,
    world: &mut World,
    damage: Option<&Damage>,
    options: &Options,
) -> Result<Option<Unrecorded>, OpenError> {
    let this = process::this()
        .map_err(|source| OpenError::Folder { folder: options.folder.clone(), source })?;
    let mut events = vec![Event::ControlStarted {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: this.pid,
    }];
    let lost = damage.filter(|it| it.lost_entries());
    events.extend(lost.map(|it| Event::JournalRepaired { report: it.to_string() }));
    let at = options.clock.timestamp().max(world.at);
    let first = storage.journal.bounds().last.max(world.index).next();
    let recorded: Vec<Recorded> = (first.0..)
        .zip(events.iter().cloned())
        .map(|(index, event)| Recorded { index: Index(index), at, event })
        .collect();
    let recorded = match storage.append(recorded).await {
        Ok(recorded) => recorded,
        Err(error @ (StorageError::Append(_) | StorageError::ReadOnly(_))) => {
            return Ok(Some((events, model::chain(&error))));
        }
        Err(error) => return Err(OpenError::Record(error)),
    };
    for event in &recorded {
        world.fold(event).map_err(StorageError::from).map_err(OpenError::Replay)?;
    }
    Ok(None)
}
