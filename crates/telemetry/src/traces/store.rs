//! The store of traces: a log, a head in memory, and segments that never change.
//!
//! A span that comes is in the log and in the head. When nothing came to its trace for some seconds, the trace is
//! decided upon ([`sampling`](crate::traces::sampling)): what is kept waits in the head for the next segment, the
//! rest is forgotten, but the calls in it are counted. A segment is written when enough has come together, or after a
//! while; then the log before it is cut, after what is still undecided was written to it again.
//!
//! Small segments cost everyone who looks for something, and the log keeps what is in the head anyway. So a minute is
//! enough for a segment where much comes, and where little comes it may take a quarter of an hour.
//!
//! Nothing here has a thread or a clock: [`Store::tick`] is called every second or so, by whoever has both. All calls
//! may be made at the same time; a segment is written, and segments are read, while spans come in.
//!
//! A flood is bounded everywhere: the head by bytes (over it spans are refused, and traces are decided upon
//! before they are quiet), a trace by its spans, what is kept by a budget for each service, the segments by
//! bytes and by age. What was not kept is counted, and by whom it came. Refusing all of that it promises one thing: what
//! was acknowledged before the last [`Store::tick`] is there after a restart, unless it was left out on purpose.

mod open;
mod read;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Timestamp;

use crate::age::{Ahead, in_step, with_ahead};
use crate::segment::{self, Damage};
use crate::traces::dictionary::Dictionary;
use crate::traces::encoded;
use crate::traces::head::{Trace, Waits};
use crate::traces::sampling::{Decided, Rates};
use crate::traces::sealed::write::{self, Origin};
use crate::traces::sealed::{Sealed, SealedError};
use crate::traces::span::Span;
use crate::traces::store::state::{Sealing, State};
use crate::wal::Wal;

const EXTENSION: &str = "traces";
/// The log may be this many times as large as what is kept before a segment is written; it is read whole when the
/// store is opened.
const LOG_HEADS: u64 = 3;
/// Dictionaries that are kept for the next question, which is often about the same segment.
const DICTIONARIES_MAX: usize = 8;

/// What a store is told when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long nothing must come to a trace before it is decided upon. Batches of SDKs wait for five seconds.
    pub quiet: Duration,
    /// How long a trace is waited for at most.
    pub longest: Duration,
    /// Spans a second that are kept of every service.
    pub rates: Rates,
    /// A span this long is slow whatever is usual, in microseconds.
    pub slow_us: u64,
    /// Bytes of kept spans at which a segment is written.
    pub flush_bytes: usize,
    /// How long after the last segment another one is written if an eighth of those bytes came.
    pub flush_after: Duration,
    /// How long after the last segment another one is written if anything came.
    pub flush_after_most: Duration,
    /// Bytes of the head, at most; over it spans are refused.
    pub head_bytes_max: usize,
    /// Bytes of all files, at most; over it the oldest segments are deleted.
    pub disk_bytes_max: u64,
    /// How long traces are kept.
    pub age_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(6),
            longest: Duration::from_mins(1),
            rates: Rates::default(),
            slow_us: 10_000_000,
            flush_bytes: 32 << 20,
            flush_after: Duration::from_mins(1),
            flush_after_most: Duration::from_mins(15),
            head_bytes_max: 128 << 20,
            disk_bytes_max: 2 << 30,
            age_max: Duration::from_hours(7 * 24),
        }
    }
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The log did not take what came.
    #[error("the log of traces cannot be written; is the disk full?")]
    Log(#[source] io::Error),
    /// A segment was not written; what would be in it is still in memory and in the log.
    #[error("a segment of traces cannot be written; is the disk full?")]
    Write(#[source] io::Error),
    /// Files cannot be deleted.
    #[error("{} cannot be deleted", path.display())]
    Delete {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder cannot be read.
    #[error("the traces in {} cannot be opened", folder.display())]
    Open {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A segment cannot be read, though it may be whole.
    #[error(transparent)]
    Sealed(#[from] SealedError),
}

/// What became of spans that came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Spans that were taken.
    pub accepted: u64,
    /// Spans of traces that were decided not to be kept.
    pub left_out: u64,
    /// Spans that were refused because the head, or their trace, is full.
    pub refused: u64,
    /// Spans without an id.
    pub invalid: u64,
}

/// How the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// What became of all spans that came since it was opened.
    pub appended: Appended,
    /// Refused spans by service; those of services beyond a limit under no name.
    pub refused_by_service: BTreeMap<String, u64>,
    /// What was kept and what was not.
    pub decided: Decided,
    /// Bytes of the head.
    pub head_bytes: usize,
    /// Traces in the head.
    pub head_traces: usize,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Segments.
    pub segments: usize,
    /// Bytes of the segments.
    pub segment_bytes: u64,
    /// Spans in the segments.
    pub segment_spans: u64,
    /// Traces in the segments; one that is in two counts twice.
    pub segment_traces: u64,
    /// Spans that were deleted because they were too old or too many.
    pub deleted_spans: u64,
    /// Calls that were not counted because there were too many links.
    pub calls_refused: u64,
    /// What was found damaged.
    pub damage: Vec<Damage>,
}

impl Stats {
    /// Bytes on disk, the log among them.
    pub const fn disk_bytes(&self) -> u64 {
        self.segment_bytes + self.log_bytes
    }
}

/// Traces, kept and found again.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    options: Options,
    inner: Mutex<Inner>,
    /// Held by the one who writes a segment.
    flushing: Mutex<()>,
    dictionaries: Mutex<VecDeque<(u64, Arc<Dictionary>)>>,
}

/// What is to be written.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// A segment.
    Segment,
    /// The log, without what is not needed any more.
    Log,
}

#[derive(Debug)]
struct Inner {
    wal: Wal,
    flushed: Timestamp,
    state: State,
}

impl Store {
    /// Takes spans. They outlive this process when this returns, and the machine after the next [`Store::sync`].
    pub fn append(&self, mut spans: Vec<Span>, now: Timestamp) -> Result<Appended, StoreError> {
        let mut bytes = Vec::with_capacity(spans.len() * 320);
        let mut invalid = 0;
        for span in &mut spans {
            if span.trace == 0 || span.id == 0 {
                invalid += 1;
                continue;
            }
            span.clip();
            encoded::put(&mut bytes, span);
        }
        let mut inner = self.lock();
        let (taken, record) = inner.state.take(&bytes, now, &self.options);
        let appended = Appended { invalid, ..taken };
        inner.state.appended.add(appended);
        inner.state.relieve(now, &self.options);
        let logged = inner.log(&record);
        let due = inner.due(now, &self.options);
        drop(inner);
        logged.map_err(StoreError::Log)?;
        // Whoever sends too much waits for the segment, unless somebody writes one already.
        if let Some(due) = due
            && let Ok(_only) = self.flushing.try_lock()
        {
            self.write(due, now)?;
        }
        Ok(appended)
    }

    /// Does what is due: decides upon traces, forces the log to the disk, writes a segment, deletes what is too
    /// old or too much.
    pub fn tick(&self, now: Timestamp) -> Result<(), StoreError> {
        self.tick_ahead(now, &in_step)
    }

    /// As [`Self::tick`], by a clock that may be wrong: nothing is older for what it is ahead.
    pub fn tick_ahead(&self, now: Timestamp, ahead: Ahead<'_>) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let waits = Waits { quiet: self.options.quiet, longest: self.options.longest };
        while let Some(key) = inner.state.head.next_quiet(now, &waits) {
            inner.state.decide(key, now);
        }
        // A clock that was set back must not stop segments from being written.
        inner.flushed = inner.flushed.min(now);
        let due = inner.due(now, &self.options);
        drop(inner);
        self.sync()?;
        if let Some(due) = due {
            let _only = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
            self.write(due, now)?;
        }
        self.delete_old(now, with_ahead(self.options.age_max, ahead))
    }

    /// Forces to the disk what came before.
    pub fn sync(&self) -> Result<(), StoreError> {
        let flushed = self.lock().wal.flushed().map_err(StoreError::Log)?;
        flushed.map_or(Ok(()), |file| file.sync_data()).map_err(StoreError::Log)
    }

    /// Writes a segment of what is kept, if anything is.
    pub fn flush(&self, now: Timestamp) -> Result<(), StoreError> {
        let _only = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_segment(now)
    }

    fn write(&self, due: Due, now: Timestamp) -> Result<(), StoreError> {
        match due {
            Due::Segment => self.write_segment(now),
            Due::Log => self.write_log(),
        }
    }

    /// Writes the log anew, with what is in the head and no more.
    fn write_log(&self) -> Result<(), StoreError> {
        let log = self.lock().rotate(|_| true).map_err(StoreError::Log)?;
        self.sync()?;
        self.lock().wal.cut(log).map_err(StoreError::Log)
    }

    fn write_segment(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let (sealing, log) = inner.begin_segment(now).map_err(StoreError::Log)?;
        let number = inner.state.segments.last().map_or(1, |it| it.number + 1);
        drop(inner);
        let origin = Origin { log, written: now };
        let written = self.write_file(&sealing, number, origin);
        let mut inner = self.lock();
        inner.state.sealing = None;
        match written {
            Ok(Some((sealed, dictionary))) => {
                inner.state.push_segment(sealed, &dictionary);
                inner.wal.cut(log).map_err(StoreError::Log)
            }
            Ok(None) => inner.wal.cut(log).map_err(StoreError::Log),
            Err(error) => {
                inner.state.put_back(sealing);
                Err(error)
            }
        }
    }

    /// Writes a segment's file, if there is something for it, and opens it.
    fn write_file(
        &self,
        sealing: &Sealing,
        number: u64,
        origin: Origin,
    ) -> Result<Option<(Sealed, Dictionary)>, StoreError> {
        // What is cut off the log must be on disk elsewhere, what is undecided in the log again.
        self.sync()?;
        if sealing.traces.is_empty() && sealing.links.is_empty() {
            return Ok(None);
        }
        let path = segment::path(&self.folder, number, EXTENSION);
        let bytes = write::build(sealing.traces.values(), &sealing.links, origin);
        bytes.and_then(|it| segment::write(&path, &it)).map_err(StoreError::Write)?;
        Ok(Some(Sealed::open(&path, number)?))
    }

    /// Deletes the oldest segments while they are too old, or all files too large.
    fn delete_old(&self, now: Timestamp, age_max: Duration) -> Result<(), StoreError> {
        loop {
            let mut inner = self.lock();
            let of_segments = inner.state.segments.iter().map(|it| it.bytes).sum::<u64>();
            let bytes = inner.wal.bytes() + of_segments;
            let Some(oldest) = inner.state.segments.first().map(Arc::clone) else { return Ok(()) };
            // By when it was written, not by what it tells of: clocks of others may be years ahead. None was written later
            // than those after it; one that says so was written while the clock was wrong.
            let written = inner.state.segments.iter().map(|it| it.written()).min();
            let is_old = written.is_some_and(|it| age_max < now.since(it));
            if !is_old && bytes <= self.options.disk_bytes_max {
                return Ok(());
            }
            let gone = fs::remove_file(&oldest.path);
            if let Err(source) = gone
                && source.kind() != io::ErrorKind::NotFound
            {
                return Err(StoreError::Delete { path: oldest.path.clone(), source });
            }
            inner.state.forget_oldest();
        }
    }

    /// How the store is.
    pub fn stats(&self) -> Stats {
        let inner = self.lock();
        let state = &inner.state;
        let sum = |each: fn(&Sealed) -> u64| state.segments.iter().map(|it| each(it)).sum::<u64>();
        Stats {
            appended: state.appended,
            refused_by_service: state.refused.clone(),
            decided: state.sampler.decided(),
            head_bytes: state.head.bytes(),
            head_traces: state.head.traces.len(),
            log_bytes: inner.wal.bytes(),
            segments: state.segments.len(),
            segment_bytes: sum(|it| it.bytes),
            segment_spans: sum(Sealed::spans),
            segment_traces: sum(Sealed::traces),
            deleted_spans: state.deleted_spans,
            calls_refused: state.links.refused,
            damage: state.damage.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What a thread that panicked has left is whole: it holds the lock for steps that cannot fail half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Appended {
    const fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.left_out += other.left_out;
        self.refused += other.refused;
        self.invalid += other.invalid;
    }
}

impl Inner {
    fn log(&mut self, record: &[u8]) -> io::Result<()> {
        if record.is_empty() {
            return Ok(());
        }
        self.wal.append(record)?;
        // What is answered for outlives this process, whatever becomes of it.
        self.wal.flush()
    }

    fn due(&self, now: Timestamp, options: &Options) -> Option<Due> {
        let since = now.since(self.flushed);
        let kept = self.state.head.kept_bytes;
        let segment = options.flush_bytes <= kept
            || (options.flush_after <= since && options.flush_bytes / 8 <= kept)
            || (options.flush_after_most <= since && (kept != 0 || !self.state.links.is_empty()));
        // What is not kept is in the log all the same. If that is nearly all, a segment would be a small one.
        let log = options.flush_bytes as u64 * LOG_HEADS <= self.wal.bytes();
        match (segment, log) {
            (true, _) => Some(Due::Segment),
            (false, true) if options.flush_bytes / 8 <= kept => Some(Due::Segment),
            (false, true) => Some(Due::Log),
            (false, false) => None,
        }
    }

    /// Begins a file of the log with what is in the head and not left out by `which`; returns its number.
    fn rotate(&mut self, which: impl Fn(&Trace) -> bool) -> io::Result<u64> {
        let log = self.wal.rotate()?;
        for trace in self.state.head.traces.values().filter(|it| which(it)) {
            self.wal.append(&trace.bytes)?;
        }
        Ok(log)
    }

    /// Takes what goes into a segment, and begins a file of the log with what does not; returns the file's number.
    fn begin_segment(&mut self, now: Timestamp) -> io::Result<(Arc<Sealing>, u64)> {
        let log = self.rotate(|it| it.kept.is_none())?;
        self.flushed = now;
        Ok((self.state.begin_segment(), log))
    }
}
