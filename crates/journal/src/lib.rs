//! Append-only events, snapshots, replay; on disk, durable.
//!
//! Everything that happens to the platform is an entry here: an index, a time, a kind, and bytes.
//! Whoever folds the entries up to an index has the world as it was then. The journal never looks
//! into an entry.
//!
//! # Promises
//!
//! - An append that was answered is on disk, and its entries are there together, in order, after
//!   any crash.
//! - An index is given out once. It grows by one with each entry, except after a loss, when the
//!   lost indexes are skipped.
//! - The time of an entry is never earlier than that of the one before it, unless it was said that
//!   the clock was set. The state at a time is that after the last entry no later than the time:
//!   entries of a future that was corrected are later than all that came after them
//!   ([`Journal::index_at`]).
//! - Every entry read has been checked against its checksum and against the entry it follows. What
//!   is wrong is an error, never a wrong entry.
//! - A journal cut or changed anywhere opens ([`Journal::open`]) with every acknowledged entry that
//!   can still be folded, and says what it dropped ([`Damage`]). The damaged files are kept. What is
//!   intact behind a hole can still be read as history ([`Journal::history`]).
//!
//! # How
//!
//! One SQLite file in WAL mode, synced on every commit. One thread writes and stores all that is
//! queued in one transaction; readers have their own connections. Snapshots are files beside it.
//! When SQLite cannot read the file, its pages are read one by one without it.
//!
//! # Limits
//!
//! One process per folder. Losing the end of the journal and `high-water` together also loses how
//! far it went: indexes may then be given out again, and the report says that the end is not known.
//! A folder that lost everything cannot be told from a new one. What a repair sets aside is never
//! deleted and not counted.

mod append;
mod copy;
mod damage;
mod entry;
mod high_water;
mod journal;
mod layout;
mod lock;
mod open;
mod probe;
mod read;
mod repair;
mod retention;
mod salvage;
mod schema;
mod snapshot;
mod wait;
mod writer;

pub use append::{AppendError, Appended, MAX_APPEND_BYTES, MAX_APPEND_ENTRIES};
pub use copy::copy;
pub use damage::{Cause, Damage, Dropped};
pub use entry::{Bounds, Entry, EntryRef, MAX_BODY_BYTES, MAX_KIND_BYTES, NewEntry};
pub use journal::{Journal, MAX_READ_ENTRIES, Opened};
pub use lock::{FolderLock, LockError};
pub use open::{Check, OpenError, Options};
pub use read::ReadError;
pub use repair::repairs;
pub use retention::{RetainError, Retained, Retention};
pub use snapshot::{MAX_SNAPSHOT_BYTES, Snapshot, SnapshotError};
