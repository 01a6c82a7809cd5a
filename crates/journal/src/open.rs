//! From a folder to a journal that is whole.
//!
//! Three looks, each cheap next to a replay: the bytes of the files before SQLite may touch them
//! (header, length, log), then the ends of the journal through SQLite, then both against the
//! high-water mark and the snapshots. All entries are read only when asked for, or when a reader
//! left a note that it found damage. Anything that is not as it must be leads to [`crate::repair`].
//! Refuses what is not a journal, is from a later Pelago, or is in use; and refuses to let SQLite
//! write before it is known that the files agree, since moving a cut log over a newer main file
//! would destroy entries.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Timestamp;

use crate::damage::{Cause, Damage};
use crate::entry::Bounds;
use crate::high_water::{HighWater, Marks};
use crate::journal::Parts;
use crate::layout::{Layout, remove_if_there};
use crate::lock::{FolderLock, LockError};
use crate::probe::{Found, probe};
use crate::read::{Position, Reader};
use crate::repair::{finish_interrupted, kept, repair};
use crate::retention::Retention;
use crate::salvage::Salvage;
use crate::salvage::header::{FORMAT, Header};
use crate::salvage::pages::{PAGE_BYTES, Pages};
use crate::schema::{Founding, connect, create};
use crate::snapshot::{SnapshotError, Snapshots};
use crate::writer::Writer;

/// The log is moved into the main file when it has this many pages (4 MiB): SQLite's default.
const CHECKPOINT_PAGES: u32 = 1_000;

/// The log's file is cut back to this size, in bytes, when it was larger.
const LOG_BYTES: u32 = 16 << 20;

/// How to open a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How much to look at before it is used.
    pub check: Check,
    /// What [`crate::Journal::retain`] keeps.
    pub retention: Retention,
    /// Where the main file stops growing, in bytes; by default only where the disk does.
    pub max_file_bytes: Option<u64>,
}

/// How much to look at on open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// What shows a cut or missing file. An entry is checked when it is read.
    #[default]
    Quick,
    /// Every entry and page. Takes as long as a replay; done in any case when a reader found
    /// damage.
    Full,
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the folder.
    #[error(
        "another pelago ({}) uses this data folder, {}; stop it or choose another with --data",
        crate::lock::describe(*pid), folder.display()
    )]
    Owned {
        /// The folder.
        folder: PathBuf,
        /// The other process, when it could be read.
        pid: Option<u32>,
    },
    /// A later Pelago wrote it.
    #[error(
        "the journal in {} has format {found}, this pelago reads up to {supported}; use a newer \
         pelago",
        folder.display()
    )]
    NewerFormat {
        /// The data folder.
        folder: PathBuf,
        /// Its format.
        found: u8,
        /// The newest this one reads.
        supported: u8,
    },
    /// Another program's file is in the journal's place.
    #[error(
        "{} is not a journal; move it away or choose another folder with --data",
        path.display()
    )]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("no room to open or repair the journal in {}; free some space", folder.display())]
    DiskFull {
        /// The data folder.
        folder: PathBuf,
    },
    /// The repaired journal is damaged again, which points at the disk.
    #[error(
        "the journal in {} is damaged again after its repair ({cause}); check the disk",
        folder.display()
    )]
    Unrepaired {
        /// The data folder.
        folder: PathBuf,
        /// What is wrong.
        cause: Cause,
    },
    /// The file system refused.
    #[error("cannot open the journal in {}; check the folder and its disk", folder.display())]
    Io {
        /// The data folder.
        folder: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot open the journal in {}; check the folder and its disk", folder.display())]
    Sqlite {
        /// The data folder.
        folder: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The snapshots cannot be read.
    #[error("cannot open the journal's snapshots")]
    Snapshots(#[from] SnapshotError),
}

impl From<LockError> for OpenError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Owned { folder, pid } => Self::Owned { folder, pid },
            LockError::Io { folder, source } => Self::Io { folder, source },
        }
    }
}

/// What is known of a folder before it is known to be whole.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) layout: Layout,
    pub(crate) snapshots: Snapshots,
    /// What the high-water file says, if it can be believed.
    pub(crate) marks: Option<Marks>,
    pub(crate) now: Timestamp,
}

/// An error of the file system or of SQLite, before it is told which folder it was in.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(io::Error),
    Sqlite(rusqlite::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Folder {
    /// Tells a failure where it happened.
    pub(crate) fn failed(&self, failure: impl Into<Failure>) -> OpenError {
        failed(self.layout.folder(), failure.into())
    }
}

/// Opens, repairing if needed.
pub(crate) fn open(
    path: &Path,
    lock: Arc<FolderLock>,
    options: Options,
    now: Timestamp,
) -> Result<(Parts, Option<Damage>), OpenError> {
    let refused = |error: io::Error| failed(path, error.into());
    let layout = Layout::new(path);
    layout.set_strangers_aside().map_err(refused)?;
    layout.clear_building().map_err(refused)?;
    let interrupted = finish_interrupted(&layout).map_err(refused)?;
    let snapshots = Snapshots::open(layout.snapshots()).map_err(refused)?;
    let (high_water, marks) = HighWater::open(&layout.high_water()).map_err(refused)?;
    let folder = Folder { layout, snapshots, marks, now };
    let check = if folder.layout.suspect().exists() { Check::Full } else { options.check };
    let (found, mut damage) = examine(&folder, check)?;
    if let Some(set_aside) = interrupted {
        let report = damage.get_or_insert_with(|| Damage {
            causes: Vec::new(),
            kept: kept_of(&found),
            dropped: Vec::new(),
            unreachable: 0,
            end_known: false,
            set_aside: Vec::new(),
        });
        report.causes.insert(0, Cause::RepairInterrupted);
        report.set_aside.extend(set_aside);
    }
    if let Some(damage) = &damage {
        tracing::warn!(%damage, "the journal was not whole");
    }
    remove_if_there(&folder.layout.suspect()).map_err(|error| folder.failed(error))?;
    let writer = writer(&folder, high_water, &found, options)?;
    let parts = Parts { writer, snapshots: folder.snapshots, retention: options.retention, lock };
    Ok((parts, damage))
}

/// Looks at everything and returns what a whole journal holds, after making it whole.
fn examine(folder: &Folder, check: Check) -> Result<(Found, Option<Damage>), OpenError> {
    let layout = &folder.layout;
    let pages =
        Pages::open(&layout.journal(), &layout.wal()).map_err(|error| folder.failed(error))?;
    let mut causes = Vec::new();
    if !layout.journal().exists() {
        if pages.wal.committed.is_empty()
            && folder.marks.unwrap_or_default() == Marks::default()
            && folder.snapshots.list()?.is_empty()
        {
            found(folder)?;
            return reexamine(folder).map(|found| (found, None));
        }
        causes.push(Cause::Missing);
    } else if let Some(cause) = look_at_files(folder, &pages)? {
        causes.push(cause);
    }
    let incomplete = match pages.wal.incomplete_bytes {
        0 => None,
        bytes => Some(Cause::IncompleteTransaction { bytes }),
    };
    if causes.is_empty() {
        match probe(folder, check)? {
            Ok(found) => {
                let damage = incomplete.map(|cause| crash_report(folder, cause, &found));
                return Ok((found, damage));
            }
            Err(cause) => causes.push(cause),
        }
    }
    causes.extend(incomplete);
    let damage = repair(folder, &pages, causes)?;
    drop(pages);
    reexamine(folder).map(|found| (found, Some(damage)))
}

/// What the files show by themselves.
fn look_at_files(folder: &Folder, pages: &Pages) -> Result<Option<Cause>, OpenError> {
    let count = match pages.header().map_err(|error| folder.failed(error))? {
        Header::Journal { pages } => pages,
        Header::Newer { format } => {
            let folder = folder.layout.folder().to_path_buf();
            return Err(OpenError::NewerFormat { folder, found: format, supported: FORMAT });
        }
        Header::Broken => return Ok(Some(Cause::Header)),
        Header::Foreign => {
            let salvage = Salvage::read(pages).map_err(|error| folder.failed(error))?;
            if salvage.is_journal() {
                return Ok(Some(Cause::Header));
            }
            return Err(OpenError::NotAJournal { path: folder.layout.journal() });
        }
    };
    let count = pages.wal.pages.unwrap_or(count);
    let expected = u64::from(count) * PAGE_BYTES as u64;
    let bytes = pages.main_bytes();
    Ok(pages.first_missing(count).map(|_| Cause::Truncated { bytes, expected }))
}

/// Makes an empty journal.
fn found(folder: &Folder) -> Result<(), OpenError> {
    let layout = &folder.layout;
    create::<Failure>(&layout.building(), Founding::default(), |_| Ok(()))
        .and_then(|()| remove_if_there(&layout.wal()).map_err(Failure::Io))
        .and_then(|()| remove_if_there(&layout.shared_memory()).map_err(Failure::Io))
        .and_then(|()| fs::rename(layout.building(), layout.journal()).map_err(Failure::Io))
        .and_then(|()| layout.sync_folder().map_err(Failure::Io))
        .map_err(|error| folder.failed(error))
}

/// Looks at what was just made, which must be whole.
fn reexamine(folder: &Folder) -> Result<Found, OpenError> {
    probe(folder, Check::Quick)?.map_err(|cause| OpenError::Unrepaired {
        folder: folder.layout.folder().to_path_buf(),
        cause,
    })
}

/// A transaction was cut short and nothing else is wrong: SQLite drops it by itself.
fn crash_report(folder: &Folder, cause: Cause, found: &Found) -> Damage {
    Damage {
        causes: vec![cause],
        kept: kept_of(found),
        dropped: Vec::new(),
        unreachable: 0,
        end_known: folder.marks.is_some(),
        set_aside: Vec::new(),
    }
}

fn kept_of(found: &Found) -> Bounds {
    kept(found.first.zip(found.last), Position::from(found).last)
}

/// The connection that writes, and what its thread must know.
fn writer(
    folder: &Folder,
    high_water: HighWater,
    found: &Found,
    options: Options,
) -> Result<Writer, OpenError> {
    let layout = folder.layout.clone();
    let connect = || {
        let connection = connect(&layout.journal())?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
        if let Some(bytes) = options.max_file_bytes {
            let pages = i64::try_from(bytes / PAGE_BYTES as u64).unwrap_or(i64::MAX);
            connection.pragma_update(None, "max_page_count", pages.max(1))?;
        }
        Ok(connection)
    };
    let connection = connect().map_err(|error: rusqlite::Error| folder.failed(error))?;
    let position = Position::from(found);
    let raised = high_water.set(position.marks()).and_then(|()| high_water.sync());
    raised.map_err(|error| folder.failed(error))?;
    let reader = Arc::new(Reader::new(layout.clone(), position, found.tables));
    Ok(Writer {
        connection,
        layout,
        high_water,
        reader,
        position,
        founding: found.founding,
        last_at: found.last_at,
        tables: found.tables,
    })
}

impl From<&Found> for Position {
    fn from(found: &Found) -> Self {
        Self {
            retained: found.founding.retained,
            first_entry: found.first,
            last_entry: found.last,
            last: found.last.unwrap_or(0).max(found.founding.last),
        }
    }
}

pub(crate) fn failed(folder: &Path, failure: Failure) -> OpenError {
    let folder = folder.to_path_buf();
    match failure {
        Failure::Io(source)
            if matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) =>
        {
            OpenError::DiskFull { folder }
        }
        Failure::Sqlite(source)
            if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) =>
        {
            OpenError::DiskFull { folder }
        }
        Failure::Io(source) => OpenError::Io { folder, source },
        Failure::Sqlite(source) => OpenError::Sqlite { folder, source },
    }
}
