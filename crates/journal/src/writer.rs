//! The one thread that writes.
//!
//! It takes everything that is queued, up to a limit, and stores it in one transaction: one wait
//! for the disk serves all who came while the last one was under way (group commit). Deletions come
//! in short pieces between appends, so that retention never holds an event up for long. Position
//! and answers go out after the disk has answered. Refuses to reuse an index, also after a loss.

use std::sync::Arc;

use model::{Index, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::append::{AppendError, Appended};
use crate::entry::{Entry, EntryRef, INDEX_MAX, NewEntry};
use crate::high_water::HighWater;
use crate::layout::Layout;
use crate::read::{Position, Reader};
use crate::schema::{Founding, Tables, insert, insertion, means_damage};

/// Appends that may wait. One each is what thousands of concurrent callers need.
pub(crate) const QUEUE_APPENDS: usize = 4_096;

/// Bytes that may wait: two of the largest appends.
pub(crate) const QUEUE_BYTES: usize = 64 << 20;

/// Entries in one transaction, unless one append has more. At two microseconds each, ten
/// milliseconds.
const BATCH_ENTRIES: usize = 4_096;

/// Bytes in one transaction, unless one append has more: about one checkpoint's worth.
const BATCH_BYTES: usize = 4 << 20;

/// Entries deleted in one transaction: a few milliseconds.
const DELETE_ENTRIES: u64 = 2_000;

/// One append that waits.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) entries: Vec<NewEntry>,
    pub(crate) bytes: usize,
    pub(crate) reply: oneshot::Sender<Result<Appended, AppendError>>,
    /// Its share of [`QUEUE_BYTES`].
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Append(Request),
    /// Declare the entries up to an index deleted.
    Forget {
        up_to: u64,
        reply: oneshot::Sender<Result<(), AppendError>>,
    },
    /// Delete some of what was declared deleted; answers how many rows that were.
    Sweep {
        reply: oneshot::Sender<Result<usize, AppendError>>,
    },
    /// Move everything from the log to the main file.
    Checkpoint {
        reply: oneshot::Sender<Result<(), AppendError>>,
    },
}

/// What the thread knows.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) layout: Layout,
    pub(crate) high_water: HighWater,
    pub(crate) reader: Arc<Reader>,
    pub(crate) position: Position,
    /// What the founding row says.
    pub(crate) founding: Founding,
    /// The time of the last entry.
    pub(crate) last_at: Timestamp,
    pub(crate) tables: Tables,
}

impl Writer {
    /// Works until every sender is gone, then leaves the journal in one file.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut held = None;
        while let Some(command) = held.take().or_else(|| commands.blocking_recv()) {
            match command {
                Command::Append(request) => {
                    let mut batch = vec![request];
                    held = gather(&mut commands, &mut batch);
                    self.append(batch);
                }
                Command::Forget { up_to, reply } => answer(reply, self.forget(up_to)),
                Command::Sweep { reply } => answer(reply, self.sweep()),
                Command::Checkpoint { reply } => answer(reply, self.checkpoint()),
            }
        }
        if let Err(error) = self.checkpoint() {
            tracing::warn!(%error, "the journal could not be checkpointed on closing");
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the journal could not be closed");
        }
    }

    fn append(&mut self, batch: Vec<Request>) {
        let mut next = self.next();
        let mut stored = Vec::with_capacity(batch.len());
        let mut replies = Vec::with_capacity(batch.len());
        for request in batch {
            stored.push(next.number(request.entries));
            replies.push(request.reply);
        }
        let outcome = self.store(&stored, &next);
        for (reply, entries) in replies.into_iter().zip(stored) {
            let appended = outcome.clone().and_then(|()| {
                let first = entries.first().ok_or(AppendError::Empty)?.index;
                let last = entries.last().ok_or(AppendError::Empty)?.index;
                Ok(Appended { first, last, entries })
            });
            answer(reply, appended);
        }
    }

    /// Where numbering goes on.
    fn next(&self) -> Numbering {
        let head = self.position.last_entry.unwrap_or(0).max(self.founding.head);
        Numbering { head, last: self.position.last, at: self.last_at }
    }

    /// Stores everything in one transaction and makes it known.
    fn store(&mut self, stored: &[Vec<Entry>], after: &Numbering) -> Result<(), AppendError> {
        if after.last > INDEX_MAX {
            return Err(AppendError::Exhausted);
        }
        let first = self.position.last + 1;
        let mut follows = self.next().head;
        let outcome = write(&mut self.connection, |transaction| {
            let mut statement = insertion(transaction)?;
            for entry in stored.iter().flatten() {
                let Entry { index, at, kind, body } = entry;
                let entry = EntryRef { index: *index, at: *at, kind, body };
                insert(&mut statement, follows, &entry)?;
                follows = index.0;
            }
            Ok(())
        });
        outcome.map_err(|error| self.failed(error))?;
        self.last_at = after.at;
        self.position.first_entry.get_or_insert(first);
        self.position.last_entry = Some(after.last);
        self.position.last = after.last;
        self.move_on();
        Ok(())
    }

    /// Declares entries deleted before they are, so that a crash between leaves nothing
    /// half-deleted to be seen.
    fn forget(&mut self, up_to: u64) -> Result<(), AppendError> {
        let founding = Founding {
            retained: up_to.max(self.founding.retained),
            head: self.next().head,
            last: self.position.last,
        };
        let outcome = write(&mut self.connection, |transaction| {
            founding.store(transaction)?;
            if self.tables == Tables::EntriesAndStranded {
                // They are few: those between a hole and the next snapshot.
                let up_to = founding.retained.cast_signed();
                transaction.execute("DELETE FROM stranded WHERE idx <= ?1", [up_to])?;
            }
            transaction
                .query_row(
                    "SELECT idx FROM entry WHERE idx > ?1 ORDER BY idx LIMIT 1",
                    [founding.retained.cast_signed()],
                    |row| row.get::<_, i64>(0),
                )
                .optional()
        });
        let first = outcome.map_err(|error| self.failed(error))?;
        self.founding = founding;
        self.position.retained = founding.retained;
        self.position.first_entry = first.map(i64::cast_unsigned);
        if first.is_none() {
            self.position.last_entry = None;
        }
        self.move_on();
        Ok(())
    }

    /// Makes the position known, to a later repair first.
    fn move_on(&self) {
        if let Err(error) = self.high_water.set(self.position.marks()) {
            tracing::warn!(%error, "the journal's high-water mark could not be written");
        }
        self.reader.move_to(self.position);
    }

    fn sweep(&mut self) -> Result<usize, AppendError> {
        let retained = self.founding.retained.cast_signed();
        let outcome = write(&mut self.connection, |transaction| {
            let first = transaction.query_row(
                "SELECT idx FROM entry WHERE idx > 0 ORDER BY idx LIMIT 1",
                [],
                |row| row.get::<_, i64>(0),
            );
            let Some(first) = first.optional()? else { return Ok(0) };
            let piece = first.saturating_add(DELETE_ENTRIES.cast_signed()).min(retained);
            transaction.execute("DELETE FROM entry WHERE idx > 0 AND idx <= ?1", [piece])
        });
        outcome.map_err(|error| self.failed(error))
    }

    fn checkpoint(&mut self) -> Result<(), AppendError> {
        let outcome = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        let busy = outcome.map_err(|error| self.failed(error))?;
        if busy != 0 {
            tracing::debug!("a reader keeps the journal's log from being emptied");
        }
        if let Err(error) = self.high_water.sync() {
            tracing::warn!(%error, "the journal's high-water mark could not be synced");
        }
        Ok(())
    }

    fn failed(&self, error: rusqlite::Error) -> AppendError {
        let folder = self.layout.folder().to_path_buf();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => AppendError::DiskFull { folder },
            _ if means_damage(&error) => {
                self.layout.mark_suspect();
                AppendError::Damaged { folder, source: Arc::new(error) }
            }
            _ => AppendError::Disk { folder, source: Arc::new(error) },
        }
    }
}

/// How the next entries are numbered and dated.
#[derive(Clone, Copy, Debug)]
struct Numbering {
    head: u64,
    last: u64,
    at: Timestamp,
}

impl Numbering {
    fn number(&mut self, entries: Vec<NewEntry>) -> Vec<Entry> {
        let number = |NewEntry { at, sets_clock, kind, body }| {
            // SQLite's integers are signed; the year 292 million is late enough.
            let at = at.min(Timestamp::from_millis(i64::MAX.cast_unsigned()));
            self.at = if sets_clock { at } else { self.at.max(at) };
            self.last = self.last.saturating_add(1);
            self.head = self.last;
            Entry { index: Index(self.last), at: self.at, kind, body }
        };
        entries.into_iter().map(number).collect()
    }
}

/// Runs `work` in a transaction that is durable when this returns `Ok` and never was when it does
/// not.
fn write<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcome = work(&transaction)?;
    transaction.commit()?;
    Ok(outcome)
}

/// Adds what is queued to the batch; returns a command that is no append and ends it.
fn gather(commands: &mut mpsc::Receiver<Command>, batch: &mut Vec<Request>) -> Option<Command> {
    let mut entries: usize = batch.iter().map(|request| request.entries.len()).sum();
    let mut bytes: usize = batch.iter().map(|request| request.bytes).sum();
    while entries < BATCH_ENTRIES && bytes < BATCH_BYTES {
        match commands.try_recv() {
            Ok(Command::Append(request)) => {
                entries += request.entries.len();
                bytes += request.bytes;
                batch.push(request);
            }
            Ok(other) => return Some(other),
            Err(_) => return None,
        }
    }
    None
}

/// Answers a caller, who may have gone.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    drop(reply.send(value));
}
