//! How much of the past is kept.
//!
//! Deletion stops at snapshots: the entries up to one may go, because it has the state they led to;
//! none after the newest may. So what is kept can always be folded. Retention never touches the
//! newest entries, however old or large they are. The space of deleted entries is used again for
//! new ones; the file itself does not shrink, and its size stays near the largest it had to be.
//! Size is read from SQLite's page counts, not by looking at entries. Refuses to run by itself:
//! `control` says when.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Index, Timestamp};

use crate::append::AppendError;
use crate::entry::Bounds;
use crate::read::ReadError;
use crate::snapshot::SnapshotError;

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Bytes the entries may take. By default 1 GiB: some five million events of a hundred bytes,
    /// months of a busy installation.
    pub max_bytes: u64,
    /// How old an entry may be. By default 30 days, the longest a post-mortem usually takes.
    pub max_age: Duration,
    /// The newest entries that are kept whatever their age or size. By default 10,000: enough to
    /// see how the present came about. At least one is always kept; its time bounds that of the
    /// next.
    pub floor_entries: u64,
    /// Newest snapshots kept besides those the kept entries need. By default 8: time travel starts
    /// near where it wants to be.
    pub snapshots: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            max_age: Duration::from_hours(30 * 24),
            floor_entries: 10_000,
            snapshots: 8,
        }
    }
}

/// What a run of retention did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// What the journal holds now.
    pub bounds: Bounds,
    /// Entries deleted.
    pub deleted_entries: usize,
    /// Snapshots deleted.
    pub deleted_snapshots: usize,
    /// Bytes the entries take now.
    pub used_bytes: u64,
}

/// Why retention did not finish. What it did until then holds; running it again goes on.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum RetainError {
    /// Deleting failed.
    Write(#[from] AppendError),
    /// Finding what to delete failed.
    Read(#[from] ReadError),
    /// A snapshot could not be read or deleted.
    Snapshot(#[from] SnapshotError),
}

impl crate::Journal {
    /// Deletes the oldest entries beyond the limits in the options, and snapshots nobody needs.
    /// Blocks; appends go on meanwhile. One call at a time is enough.
    /// `set_back` is as in [`index_at`](crate::Journal::index_at).
    pub fn retain(&self, now: Timestamp, set_back: &[Index]) -> Result<Retained, RetainError> {
        let mut deleted_entries = self.sweep()?;
        if let Some(snapshot) = self.newest_snapshot_too_old(now, set_back)? {
            self.forget(snapshot)?;
            deleted_entries += self.sweep()?;
        }
        while self.reader().used_bytes()? > self.retention().max_bytes {
            let Some(snapshot) = self.next_snapshot_to_delete_up_to()? else { break };
            self.forget(snapshot)?;
            deleted_entries += self.sweep()?;
        }
        let deleted_snapshots = self.delete_snapshots()?;
        let used_bytes = self.reader().used_bytes()?;
        Ok(Retained { bounds: self.bounds(), deleted_entries, deleted_snapshots, used_bytes })
    }

    /// The newest intact snapshot up to which all entries are too old.
    fn newest_snapshot_too_old(
        &self,
        now: Timestamp,
        set_back: &[Index],
    ) -> Result<Option<u64>, RetainError> {
        let age = u64::try_from(self.retention().max_age.as_millis()).unwrap_or(u64::MAX);
        let Some(too_old) = now.as_millis().checked_sub(age).and_then(|at| at.checked_sub(1))
        else {
            return Ok(None);
        };
        let too_old = Timestamp::from_millis(too_old);
        let Some(index) = self.reader().index_at(too_old, set_back)? else {
            return Ok(None);
        };
        let candidates = self.snapshots_to_delete_up_to(index.0)?;
        self.first_intact(candidates.into_iter().rev())
    }

    /// The oldest intact snapshot up to which anything can be deleted.
    fn next_snapshot_to_delete_up_to(&self) -> Result<Option<u64>, RetainError> {
        let candidates = self.snapshots_to_delete_up_to(u64::MAX)?;
        self.first_intact(candidates.into_iter())
    }

    /// Snapshots after what is deleted, at most at `limit`, and before the newest entries.
    fn snapshots_to_delete_up_to(&self, limit: u64) -> Result<BTreeSet<u64>, RetainError> {
        let Bounds { first, last } = self.bounds();
        let limit = limit.min(last.0.saturating_sub(self.retention().floor_entries.max(1)));
        let all = self.snapshots().list()?;
        Ok(all.into_iter().filter(|index| (first.0..=limit).contains(index)).collect())
    }

    fn first_intact(
        &self,
        mut candidates: impl Iterator<Item = u64>,
    ) -> Result<Option<u64>, RetainError> {
        let intact = candidates.find_map(|index| match self.snapshots().is_intact(index) {
            Ok(true) => Some(Ok(index)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        });
        Ok(intact.transpose()?)
    }

    /// Keeps the newest, the one the first entry follows, and those that bridge a hole.
    fn delete_snapshots(&self) -> Result<usize, RetainError> {
        let position = self.reader().position();
        let all = self.snapshots().list()?;
        let newest = all.iter().rev().take(self.retention().snapshots.max(1)).copied();
        let oldest_of_newest = newest.last().unwrap_or(0);
        let mut deleted = 0;
        for index in all {
            // A snapshot without an entry of its index is the only way to the entry behind it.
            let superfluous = index < position.retained
                || (index > position.retained
                    && index < oldest_of_newest
                    && self.reader().has_entry(index)?);
            if superfluous {
                self.snapshots().remove(index)?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }
}
