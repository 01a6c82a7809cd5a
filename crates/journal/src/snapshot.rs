//! States saved so that replay need not start at the first entry.
//!
//! Each is a file of its own, written under another name, synced and renamed, so it is whole or
//! absent. They are not rows of the journal on purpose: damage to one file leaves the other usable,
//! megabytes do not pass through the write-ahead log between events, and deleting one gives its
//! space back. A snapshot that fails its checksum is passed over for an older one, and the one
//! found says so. Refuses to interpret a state, as the journal does an event.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use model::{Index, Timestamp};

use crate::entry::INDEX_MAX;
use crate::layout::{remove_if_there, sync_folder};

/// The largest state, in bytes: some hundred times what a large installation folds to.
pub const MAX_SNAPSHOT_BYTES: usize = 1 << 30;

const MAGIC: &[u8; 8] = b"PLSNAP\x00\x01";
const HEAD_BYTES: usize = 36;
const EXTENSION: &str = "snapshot";

/// A saved state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry that is in the state.
    pub index: Index,
    /// When that entry happened.
    pub at: Timestamp,
    /// The state, as the caller encoded it.
    pub body: Vec<u8>,
    /// Newer snapshots that were asked for but are damaged.
    pub skipped: Vec<PathBuf>,
}

/// Why a snapshot could not be saved or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The state is of a future the journal does not have.
    #[error("a snapshot at {index} is beyond the journal's last entry {last}; append first")]
    BeyondEnd {
        /// What was asked for.
        index: Index,
        /// What there is.
        last: Index,
    },
    /// The state is over the limit.
    #[error("a snapshot of {bytes} bytes is over MAX_SNAPSHOT_BYTES ({MAX_SNAPSHOT_BYTES})")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No room.
    #[error(
        "the disk of {} is full; free some space, or set a shorter retention",
        folder.display()
    )]
    DiskFull {
        /// The data folder.
        folder: PathBuf,
    },
    /// The file system refused.
    #[error("cannot access snapshots in {}; check the folder and its disk", folder.display())]
    Io {
        /// Where.
        folder: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The folder of snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots {
    folder: PathBuf,
    /// One writer or remover at a time; two would share a temporary name.
    writing: Mutex<()>,
}

impl Snapshots {
    /// Makes the folder if needed and removes what a crash left half-written.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let snapshots = Self { folder, writing: Mutex::new(()) };
        remove_if_there(&snapshots.unfinished())?;
        Ok(snapshots)
    }

    /// Saves a state durably.
    pub(crate) fn save(
        &self,
        index: Index,
        at: Timestamp,
        body: &[u8],
    ) -> Result<(), SnapshotError> {
        if body.len() > MAX_SNAPSHOT_BYTES {
            return Err(SnapshotError::TooLarge { bytes: body.len() });
        }
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Entries need the room more: they can be had without it, and it can be had of them later.
        let space = host::files::space(&self.folder).map_err(|source| self.failed(source))?;
        if host::reserve::spare_bytes(space) < body.len() as u64 {
            return Err(SnapshotError::DiskFull { folder: self.folder.clone() });
        }
        let unfinished = self.unfinished();
        let written = write(&unfinished, &head(index, at, body), body)
            .and_then(|()| fs::rename(&unfinished, self.path(index.0)))
            .and_then(|()| sync_folder(&self.folder));
        written.map_err(|source| {
            // The next open removes it too; what matters now is why it could not be written.
            drop(remove_if_there(&unfinished));
            self.failed(source)
        })
    }

    /// The newest intact snapshot at or before `limit`.
    pub(crate) fn newest(&self, limit: Option<Index>) -> Result<Option<Snapshot>, SnapshotError> {
        let limit = limit.map_or(u64::MAX, |index| index.0);
        let mut skipped = Vec::new();
        for index in self.list()?.range(..=limit).rev() {
            let path = self.path(*index);
            match read(&path).map_err(|source| self.failed(source))? {
                Some((found, at, body)) if found.0 == *index => {
                    return Ok(Some(Snapshot { index: found, at, body, skipped }));
                }
                _ => {
                    tracing::warn!(path = %path.display(), "a snapshot is damaged and not used");
                    skipped.push(path);
                }
            }
        }
        Ok(None)
    }

    /// Whether there is an intact snapshot at exactly this index.
    pub(crate) fn is_intact(&self, index: u64) -> Result<bool, SnapshotError> {
        let found = read(&self.path(index)).map_err(|source| self.failed(source))?;
        Ok(found.is_some_and(|(found, ..)| found.0 == index))
    }

    /// Whether there is a snapshot, perhaps damaged, at exactly this index.
    pub(crate) fn exists(&self, index: u64) -> bool {
        self.path(index).exists()
    }

    /// The indexes of all snapshots, intact or not.
    pub(crate) fn list(&self) -> Result<BTreeSet<u64>, SnapshotError> {
        let mut found = BTreeSet::new();
        let entries = fs::read_dir(&self.folder).map_err(|source| self.failed(source))?;
        for entry in entries {
            let path = entry.map_err(|source| self.failed(source))?.path();
            let is_snapshot = path.extension().is_some_and(|extension| extension == EXTENSION);
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if let (true, Some(Ok(index @ 0..=INDEX_MAX))) = (is_snapshot, stem.map(str::parse)) {
                found.insert(index);
            }
        }
        Ok(found)
    }

    /// The indexes of all intact snapshots. Reads every one of them.
    pub(crate) fn intact(&self) -> Result<BTreeSet<u64>, SnapshotError> {
        let mut intact = BTreeSet::new();
        for index in self.list()? {
            if self.is_intact(index)? {
                intact.insert(index);
            }
        }
        Ok(intact)
    }

    /// Deletes one.
    pub(crate) fn remove(&self, index: u64) -> Result<(), SnapshotError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        remove_if_there(&self.path(index)).map_err(|source| self.failed(source))
    }

    fn path(&self, index: u64) -> PathBuf {
        // Twenty digits hold every index, so names sort as numbers do.
        self.folder.join(format!("{index:020}.{EXTENSION}"))
    }

    fn unfinished(&self) -> PathBuf {
        self.folder.join("unfinished")
    }

    fn failed(&self, source: io::Error) -> SnapshotError {
        let folder = self.folder.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                SnapshotError::DiskFull { folder }
            }
            _ => SnapshotError::Io { folder, source },
        }
    }
}

fn write(path: &Path, head: &[u8], body: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(head)?;
    file.write_all(body)?;
    file.sync_all()
}

/// Reads a snapshot; nothing if there is none or its checksum fails.
fn read(path: &Path) -> io::Result<Option<(Index, Timestamp, Vec<u8>)>> {
    let mut bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((found, body)) = bytes.split_at_checked(HEAD_BYTES) else { return Ok(None) };
    let number = |at: usize| {
        let eight = found.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(eight.unwrap_or_default())
    };
    let (index, at) = (Index(number(8)), Timestamp::from_millis(number(16)));
    if found != head(index, at, body) {
        return Ok(None);
    }
    bytes.drain(..HEAD_BYTES);
    Ok(Some((index, at, bytes)))
}

/// Magic, index, time, length, and the checksum over all of these and the body.
fn head(index: Index, at: Timestamp, body: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0_u8; HEAD_BYTES];
    let (start, crc) = head.split_at_mut(HEAD_BYTES - 4);
    for (slot, bytes) in start.chunks_exact_mut(8).zip([
        *MAGIC,
        index.0.to_le_bytes(),
        at.as_millis().to_le_bytes(),
        (body.len() as u64).to_le_bytes(),
    ]) {
        slot.copy_from_slice(&bytes);
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(start);
    hasher.update(body);
    crc.copy_from_slice(&hasher.finalize().to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_snapshot_gives_way_to_an_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(folder.path().join("snapshots")).unwrap();
        snapshots.save(Index(5), Timestamp::from_millis(50), b"five").unwrap();
        snapshots.save(Index(9), Timestamp::from_millis(90), b"nine").unwrap();
        assert_eq!(snapshots.newest(None).unwrap().unwrap().body, b"nine");
        assert_eq!(snapshots.newest(Some(Index(8))).unwrap().unwrap().body, b"five");
        assert_eq!(snapshots.newest(Some(Index(4))).unwrap(), None);

        let path = snapshots.path(9);
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            let found = snapshots.newest(None).unwrap().unwrap();
            assert_eq!((found.index, found.skipped), (Index(5), vec![path.clone()]), "bit {bit}");
        }
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(snapshots.newest(None).unwrap().unwrap().index, Index(5), "cut at {cut}");
        }
    }
}
