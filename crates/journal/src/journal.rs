//! The handle to an open journal.
//!
//! Cheap to clone; all clones share one writing thread and the readers' connections. The data
//! folder is locked for as long as one of them lives. Dropping the last one waits until what is
//! queued is stored, the log is moved into the main file and the thread has ended. Everything but
//! [`Journal::append`] blocks on the disk: call it where blocking is allowed.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use model::{Index, Timestamp};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::append::{AppendError, Appended, weigh};
use crate::damage::Damage;
use crate::entry::{Bounds, Entry, EntryRef, NewEntry};
use crate::lock::FolderLock;
use crate::open::{OpenError, Options, open};
use crate::read::{ReadError, Reader, collect};
use crate::retention::Retention;
use crate::snapshot::{Snapshot, SnapshotError, Snapshots};
use crate::wait::block_on;
use crate::writer::{Command, QUEUE_APPENDS, QUEUE_BYTES, Request, Writer};

/// Entries collected by one [`Journal::read`] at most; a page of a console is far smaller.
pub const MAX_READ_ENTRIES: usize = 100_000;

/// A journal that is whole, and what had to be done to make it so.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// What was wrong with it.
    pub damage: Option<Damage>,
}

/// An open journal.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reader: Arc<Reader>,
    snapshots: Snapshots,
    retention: Retention,
    queue_bytes: Arc<Semaphore>,
    /// Taken on drop, so that the thread sees the end of its queue.
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    /// Last, so that the folder is free only when all files are closed.
    _lock: Arc<FolderLock>,
}

/// What [`open`] found and made.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) writer: Writer,
    pub(crate) snapshots: Snapshots,
    pub(crate) retention: Retention,
    pub(crate) lock: Arc<FolderLock>,
}

impl Journal {
    /// Opens the journal in `folder`, making the folder or the journal if there is none, and
    /// repairing what is damaged. `now` dates nothing yet stored; it is for the report of a repair.
    pub fn open(folder: &Path, options: Options, now: Timestamp) -> Result<Opened, OpenError> {
        fs::create_dir_all(folder)
            .map_err(|source| OpenError::Io { folder: folder.to_path_buf(), source })?;
        Self::open_locked(folder, Arc::new(FolderLock::acquire(folder)?), options, now)
    }

    /// As [`Journal::open`], in a folder that is there and whose `lock` the caller took before it touched anything
    /// else in it.
    pub fn open_locked(
        folder: &Path,
        lock: Arc<FolderLock>,
        options: Options,
        now: Timestamp,
    ) -> Result<Opened, OpenError> {
        let (parts, damage) = open(folder, lock, options, now)?;
        let reader = Arc::clone(&parts.writer.reader);
        let (commands, queue) = mpsc::channel(QUEUE_APPENDS);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || parts.writer.run(queue))
            .map_err(|source| OpenError::Io { folder: folder.to_path_buf(), source })?;
        let inner = Inner {
            reader,
            snapshots: parts.snapshots,
            retention: parts.retention,
            queue_bytes: Arc::new(Semaphore::new(QUEUE_BYTES)),
            commands: Some(commands),
            thread: Some(thread),
            _lock: parts.lock,
        };
        Ok(Opened { journal: Self { inner: Arc::new(inner) }, damage })
    }

    /// Appends entries, all or none, and resolves when they are durable.
    ///
    /// Dropping the future before that may leave them appended or not. Appends are stored in the
    /// order in which their futures were first polled.
    pub fn append(
        &self,
        entries: Vec<NewEntry>,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send + use<> {
        let journal = self.clone();
        async move {
            let bytes = weigh(&entries)?;
            let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
            let queue = Arc::clone(&journal.inner.queue_bytes);
            let permit =
                queue.acquire_many_owned(permits).await.map_err(|_| AppendError::Closed)?;
            let append =
                |reply| Command::Append(Request { entries, bytes, reply, _permit: permit });
            journal.ask(append).await
        }
    }

    /// As [`Journal::append`], on a thread that has nothing else to do.
    pub fn append_blocking(&self, entries: Vec<NewEntry>) -> Result<Appended, AppendError> {
        block_on(self.append(entries))
    }

    /// What is kept. Never blocks on the disk.
    pub fn bounds(&self) -> Bounds {
        self.inner.reader.position().bounds()
    }

    /// Up to `limit` entries after `after`, at most [`MAX_READ_ENTRIES`]. They end before a hole or a damaged entry; only
    /// whoever asks for what comes right after is told of it.
    pub fn read(&self, after: Index, limit: usize) -> Result<Vec<Entry>, ReadError> {
        let mut entries = Vec::new();
        if limit == 0 {
            return Ok(entries);
        }
        match self.replay(after, None, collect(&mut entries, limit.min(MAX_READ_ENTRIES))) {
            Err(_) if !entries.is_empty() => Ok(entries),
            outcome => outcome.map(|()| entries),
        }
    }

    /// Calls `visit` with each entry after `after`, up to and including `up_to`, until it breaks.
    /// What was committed when it began is what it sees.
    pub fn replay(
        &self,
        after: Index,
        up_to: Option<Index>,
        visit: impl FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.inner.reader.replay(after, up_to, &self.inner.snapshots, visit)
    }

    /// Up to `limit` entries after `after`, up to and including `up_to` and at most [`MAX_READ_ENTRIES`], for people:
    /// whatever is intact, also what comes behind a hole that no snapshot bridges. A hole shows as indexes that are
    /// missing. No state may be folded of them that is acted on.
    pub fn history(
        &self,
        after: Index,
        up_to: Option<Index>,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        self.inner.reader.history(after, up_to, limit.min(MAX_READ_ENTRIES))
    }

    /// The last entry at or before a time; none if all that are kept are later. `set_back` are the entries, in order,
    /// whose time is earlier than that of the one before: the clock was set back.
    pub fn index_at(&self, at: Timestamp, set_back: &[Index]) -> Result<Option<Index>, ReadError> {
        self.inner.reader.index_at(at, set_back)
    }

    /// Saves the state after entry `index`, which happened at `at`. Durable on return.
    pub fn save_snapshot(
        &self,
        index: Index,
        at: Timestamp,
        body: &[u8],
    ) -> Result<(), SnapshotError> {
        let last = self.bounds().last;
        if index > last {
            return Err(SnapshotError::BeyondEnd { index, last });
        }
        self.inner.snapshots.save(index, at, body)
    }

    /// The newest intact snapshot at or before `limit`; without a limit, the newest. With none, the
    /// state is folded from nothing, if the journal still begins at the beginning.
    pub fn snapshot_at_or_before(
        &self,
        limit: Option<Index>,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        self.inner.snapshots.newest(limit)
    }

    /// Moves the log into the main file. Happens by itself when the log has grown; what was moved is not lost with the log.
    pub fn checkpoint(&self) -> Result<(), AppendError> {
        block_on(self.ask(|reply| Command::Checkpoint { reply }))
    }

    /// Declares the entries up to `index` deleted.
    pub(crate) fn forget(&self, index: u64) -> Result<(), AppendError> {
        block_on(self.ask(|reply| Command::Forget { up_to: index, reply }))
    }

    /// Deletes all that was declared deleted; returns how many rows that were.
    pub(crate) fn sweep(&self) -> Result<usize, AppendError> {
        let mut deleted = 0;
        loop {
            match block_on(self.ask(|reply| Command::Sweep { reply }))? {
                0 => return Ok(deleted),
                rows => deleted += rows,
            }
        }
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.inner.reader
    }

    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.inner.snapshots
    }

    pub(crate) fn retention(&self) -> &Retention {
        &self.inner.retention
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, AppendError>>) -> Command,
    ) -> Result<T, AppendError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.inner.commands.as_ref().ok_or(AppendError::Closed)?;
        commands.send(command(reply)).await.map_err(|_| AppendError::Closed)?;
        answer.await.map_err(|_| AppendError::Closed)?
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the journal's writing thread panicked");
        }
    }
}
