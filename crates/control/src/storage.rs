//! Events to entries and back: the one place that knows both the world and the journal.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::{Damage, FolderLock, Journal, NewEntry, ReadError};
use model::{Index, Timestamp};
use world::{Event, Recorded, World};

/// Events between two snapshots: what a start has to replay at most, a few milliseconds' worth.
pub(crate) const SNAPSHOT_EVERY: u64 = 10_000;

/// Why the past or the present could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    #[error(transparent)]
    Open(#[from] journal::OpenError),
    #[error("events could not be recorded")]
    Append(#[from] journal::AppendError),
    #[error(
        "the data folder {} is on a file system that can only be read; make it writable, and the control process \
         goes on as usual by itself", .0.display()
    )]
    ReadOnly(PathBuf),
    #[error("the journal could not be read")]
    Read(#[from] ReadError),
    #[error("the journal could not be tidied")]
    Retain(#[from] journal::RetainError),
    #[error("a snapshot could not be saved")]
    Snapshot(#[from] journal::SnapshotError),
    #[error("event {index} of the journal cannot be read")]
    Decode { index: Index, source: world::DecodeError },
    #[error("an event could not be written")]
    Encode(#[from] world::event::EncodeError),
    #[error("the snapshot at {index} cannot be read")]
    SnapshotText { index: Index, source: serde_json::Error },
    #[error("the world could not be written as a snapshot")]
    WorldText(#[from] serde_json::Error),
    #[error(
        "the journal gave index {found} where {expected} was next; restart the control process"
    )]
    Index { expected: Index, found: Index },
    #[error("the journal does not fit together")]
    Fold(#[from] world::FoldError),
}

impl StorageError {
    /// Whether there was no room.
    pub(crate) const fn is_full(&self) -> bool {
        matches!(self, Self::Append(journal::AppendError::DiskFull { .. }))
    }
}

/// Events of the past folded at once.
const HISTORY_CHUNK: usize = 1_000;

type OpenedOnce = (Storage, Result<World, StorageError>, Option<Damage>);

/// The journal, in terms of events and worlds.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) journal: Journal,
    /// The folder of which this is a copy, since it can only be read. Nothing may be added that would not last.
    read_only: Option<PathBuf>,
}

impl Storage {
    /// Opens the journal in `folder` and folds it.
    pub(crate) fn open(
        folder: &Path,
        lock: &Arc<FolderLock>,
        now: Timestamp,
    ) -> Result<(Self, World, Option<Damage>), StorageError> {
        let mut opened = Self::open_once(folder, lock, now)?;
        if matches!(opened.1, Err(StorageError::Read(ReadError::Damaged { .. }))) {
            // Reading found damage that opening had not looked for. Opened again, the journal is repaired.
            drop(opened);
            opened = Self::open_once(folder, lock, now)?;
        }
        let (storage, world, damage) = opened;
        let mut world = world?;
        if damage.as_ref().is_some_and(|it| it.unreachable > 0) {
            storage.bridge(&mut world)?;
        }
        Ok((storage, world, damage))
    }

    /// Counts in what is intact behind a hole, and saves a snapshot of that before anything is done by it: what ran is known
    /// as well as it can be, and no number is given twice. Without it, healthy instances would be stopped for one event that
    /// was lost.
    fn bridge(&self, world: &mut World) -> Result<(), StorageError> {
        let before = world.index;
        self.add_stranded(world, self.journal.bounds().last)?;
        if world.index > before {
            let body = serde_json::to_vec(world)?;
            self.journal.save_snapshot(world.index, world.at, &body)?;
        }
        Ok(())
    }

    /// As [`Self::open`], for a folder that can only be read: a copy is opened in the folder `copy`, and nothing is
    /// appended to it.
    pub(crate) fn open_read_only(
        folder: &Path,
        copy: &Path,
        lock: &Arc<FolderLock>,
        now: Timestamp,
    ) -> Result<(Self, World, Option<Damage>), StorageError> {
        journal::copy(folder, copy)?;
        let (storage, world, damage) = Self::open(copy, lock, now)?;
        Ok((Self { read_only: Some(folder.to_owned()), ..storage }, world, damage))
    }

    fn open_once(
        folder: &Path,
        lock: &Arc<FolderLock>,
        now: Timestamp,
    ) -> Result<OpenedOnce, StorageError> {
        let options = journal::Options::default();
        let opened = Journal::open_locked(folder, Arc::clone(lock), options, now)?;
        let storage = Self { journal: opened.journal, read_only: None };
        let world = storage.world_at(None);
        Ok((storage, world, opened.damage))
    }

    /// Makes events durable, all of them or none, and returns them as they are kept: the journal may have
    /// moved their time on, never back unless they say that the clock was set.
    pub(crate) async fn append(
        &self,
        events: Vec<Recorded>,
    ) -> Result<Vec<Recorded>, StorageError> {
        if let Some(folder) = &self.read_only {
            return Err(StorageError::ReadOnly(folder.clone()));
        }
        let mut entries = Vec::with_capacity(events.len());
        for recorded in &events {
            entries.push(NewEntry {
                at: recorded.at,
                sets_clock: matches!(recorded.event, Event::ClockSet { .. }),
                kind: recorded.event.kind().into(),
                body: recorded.event.encode()?,
            });
        }
        let appended = self.journal.append(entries).await?;
        match events.first() {
            Some(first) if first.index != appended.first => {
                Err(StorageError::Index { expected: first.index, found: appended.first })
            }
            _ => {
                let kept = events.into_iter().zip(appended.entries);
                Ok(kept.map(|(event, entry)| Recorded { at: entry.at, ..event }).collect())
            }
        }
    }

    /// The world after event `index`, or now.
    pub(crate) fn world_at(&self, index: Option<Index>) -> Result<World, StorageError> {
        let mut world = match self.journal.snapshot_at_or_before(index)? {
            Some(snapshot) => serde_json::from_slice(&snapshot.body)
                .map_err(|source| StorageError::SnapshotText { index: snapshot.index, source })?,
            None => World::default(),
        };
        let mut failure = None;
        let replayed = self.journal.replay(world.index, index, |entry| {
            let recorded = match Event::decode(entry.body) {
                Ok(event) => Recorded { index: entry.index, at: entry.at, event },
                Err(source) => {
                    failure = Some(StorageError::Decode { index: entry.index, source });
                    return ControlFlow::Break(());
                }
            };
            fold(&mut world, &recorded);
            ControlFlow::Continue(())
        });
        if let Some(error) = failure {
            return Err(error);
        }
        match (replayed, index) {
            (replayed, None) => replayed?,
            // The past is shown as well as it can be; what is acted on has a snapshot behind each hole.
            (Ok(()) | Err(ReadError::Gap { .. } | ReadError::Damaged { .. }), Some(index)) => {
                self.add_stranded(&mut world, index)?;
            }
            (Err(error), Some(_)) => return Err(error.into()),
        }
        Ok(world)
    }

    /// Folds what is intact behind a hole, up to an index.
    fn add_stranded(&self, world: &mut World, up_to: Index) -> Result<(), StorageError> {
        loop {
            let events = self.history(world.index, Some(up_to), HISTORY_CHUNK)?;
            if events.is_empty() {
                return Ok(());
            }
            for recorded in &events {
                fold(world, recorded);
            }
        }
    }

    /// Saves a snapshot of `world`, and lets go of what is too old.
    pub(crate) fn snapshot(&self, world: &World, now: Timestamp) -> Result<(), StorageError> {
        let body = serde_json::to_vec(world)?;
        self.journal.save_snapshot(world.index, world.at, &body)?;
        let aged_at = world.aged_at(now, journal::Options::default().retention.max_age);
        self.journal.retain(aged_at, &world.set_back())?;
        Ok(())
    }

    /// Events after an index, up to and including `up_to` and at most `limit`, as far as they are intact.
    pub(crate) fn history(
        &self,
        after: Index,
        up_to: Option<Index>,
        limit: usize,
    ) -> Result<Vec<Recorded>, StorageError> {
        let entries = self.journal.history(after, up_to, limit)?;
        let decode = |entry: journal::Entry| match Event::decode(&entry.body) {
            Ok(event) => Ok(Recorded { index: entry.index, at: entry.at, event }),
            Err(source) => Err(StorageError::Decode { index: entry.index, source }),
        };
        entries.into_iter().map(decode).collect()
    }
}

fn fold(world: &mut World, recorded: &Recorded) {
    if let Err(error) = world.fold(recorded) {
        // After a loss, an event may be about something whose beginning was lost.
        tracing::warn!(index = %recorded.index, %error, "an event was passed over");
    }
}
