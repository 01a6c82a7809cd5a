//! What an append promises, its limits, and how it can fail.
//!
//! The entries of one append become visible together or not at all, with consecutive indexes, and
//! the caller is answered when they are on disk. A failed append leaves nothing behind; the next
//! one may succeed. Refuses what is over a limit before it is queued.

use std::path::PathBuf;
use std::sync::Arc;

use model::Index;

use crate::entry::{Entry, MAX_BODY_BYTES, MAX_KIND_BYTES, NewEntry};

/// Entries in one append: far more than one decision makes.
pub const MAX_APPEND_ENTRIES: usize = 10_000;

/// Bytes in one append, bodies and kinds; twice the largest entry.
pub const MAX_APPEND_BYTES: usize = 32 << 20;

/// What every entry is taken to cost in memory beyond its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// Entries that are now durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The index of the first.
    pub first: Index,
    /// The index of the last.
    pub last: Index,
    /// All of them as stored: what a replay will return. Their times may be later than asked for,
    /// never earlier than the entry before.
    pub entries: Vec<Entry>,
}

/// Why nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing to append.
    #[error("an append without entries; give it one")]
    Empty,
    /// Too many at once.
    #[error(
        "{entries} entries in one append, over MAX_APPEND_ENTRIES ({MAX_APPEND_ENTRIES}); split it"
    )]
    TooMany {
        /// How many.
        entries: usize,
    },
    /// Too much at once.
    #[error("{bytes} bytes in one append, over MAX_APPEND_BYTES ({MAX_APPEND_BYTES}); split it")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// One body is too large.
    #[error(
        "an entry of {bytes} bytes, over MAX_BODY_BYTES ({MAX_BODY_BYTES}); store it elsewhere and \
         refer to it"
    )]
    BodyTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// One kind is too long.
    #[error("a kind of {bytes} bytes, over MAX_KIND_BYTES ({MAX_KIND_BYTES}); shorten it")]
    KindTooLong {
        /// Its size.
        bytes: usize,
    },
    /// No room on disk, or the journal's own size limit is reached.
    #[error(
        "no room for the journal in {}: the disk is full; free some space, and it goes on by itself",
        folder.display()
    )]
    DiskFull {
        /// The data folder.
        folder: PathBuf,
    },
    /// The journal's own file is damaged.
    #[error("the journal in {} is damaged; restart pelago to repair it", folder.display())]
    Damaged {
        /// The data folder.
        folder: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// The disk refused.
    #[error("cannot write the journal in {}; check the folder and its disk", folder.display())]
    Disk {
        /// The data folder.
        folder: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// All 2^63 indexes are used.
    #[error("the journal has no indexes left; start another with --data")]
    Exhausted,
    /// The writing thread has ended.
    #[error("the journal is closed; restart pelago")]
    Closed,
}

/// What an append weighs in the queue, if it is within the limits.
pub(crate) fn weigh(entries: &[NewEntry]) -> Result<usize, AppendError> {
    if entries.is_empty() {
        return Err(AppendError::Empty);
    }
    if entries.len() > MAX_APPEND_ENTRIES {
        return Err(AppendError::TooMany { entries: entries.len() });
    }
    let mut bytes = 0;
    for NewEntry { kind, body, .. } in entries {
        if body.len() > MAX_BODY_BYTES {
            return Err(AppendError::BodyTooLarge { bytes: body.len() });
        }
        if kind.len() > MAX_KIND_BYTES {
            return Err(AppendError::KindTooLong { bytes: kind.len() });
        }
        bytes += body.len() + kind.len() + ENTRY_OVERHEAD_BYTES;
    }
    if bytes > MAX_APPEND_BYTES {
        return Err(AppendError::TooLarge { bytes });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    fn check(entries: usize, kind: usize, body: usize, refusal: Option<&str>) {
        let entry = NewEntry {
            at: Timestamp::EPOCH,
            sets_clock: false,
            kind: "k".repeat(kind).into(),
            body: vec![0; body],
        };
        let outcome = weigh(&vec![entry; entries]);
        match refusal {
            Some(limit) => assert!(outcome.unwrap_err().to_string().contains(limit)),
            None => assert!(outcome.is_ok()),
        }
    }

    #[test]
    fn every_limit_is_named() {
        check(1, 0, 0, None);
        check(1, MAX_KIND_BYTES, MAX_BODY_BYTES, None);
        check(0, 1, 1, Some("without entries"));
        check(MAX_APPEND_ENTRIES + 1, 0, 0, Some("MAX_APPEND_ENTRIES"));
        check(1, MAX_KIND_BYTES + 1, 0, Some("MAX_KIND_BYTES"));
        check(1, 0, MAX_BODY_BYTES + 1, Some("MAX_BODY_BYTES"));
        check(3, 0, MAX_BODY_BYTES, Some("MAX_APPEND_BYTES"));
    }
}
