//! Everything that is kept, in one folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::files::{self, Kind};
use model::Timestamp;

use crate::age::Ahead;
use crate::board::Board;
use crate::segment::Damage;
use crate::{logs, metrics, traces};

/// What each store keeps, at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of metrics.
    pub metrics: metrics::Limits,
    /// Of traces.
    pub traces: traces::Options,
    /// Of logs.
    pub logs: logs::Limits,
}

impl Limits {
    /// Limits of a time and of bytes for all: two fifths each for metrics and traces, a fifth for logs.
    pub fn of(age: Duration, bytes: u64) -> Self {
        let usual = Self::default();
        let fifth = bytes / 5;
        Self {
            metrics: metrics::Limits { age, bytes: 2 * fifth, ..usual.metrics },
            traces: traces::Options { age_max: age, disk_bytes_max: 2 * fifth, ..usual.traces },
            logs: logs::Limits { age, bytes: fifth, ..usual.logs },
        }
    }
}

/// The stores. They are shared: each takes care of its own order.
#[derive(Debug)]
pub struct Stores {
    /// Samples.
    pub metrics: metrics::Store,
    /// Spans.
    pub traces: traces::Store,
    /// Records.
    pub logs: logs::Store,
    /// What is done to get samples.
    pub board: Board,
    folder: PathBuf,
    is_full: AtomicBool,
}

/// Bytes that must be free on the disk for anything more to be taken in: what else is there, the journal above all,
/// needs room too.
pub const FREE_BYTES_MIN: u64 = 256 << 20;

/// Why the stores could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The metrics.
    #[error(transparent)]
    Metrics(#[from] metrics::StoreError),
    /// The traces.
    #[error(transparent)]
    Traces(#[from] traces::store::StoreError),
    /// The logs.
    #[error("the logs cannot be used")]
    Logs(#[source] io::Error),
}

/// Something that could not be done now, and is tried again.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// Of the metrics.
    #[error("metrics cannot be kept")]
    Metrics(#[source] io::Error),
    /// Of the traces.
    #[error("traces cannot be kept")]
    Traces(#[source] traces::store::StoreError),
    /// Of the logs.
    #[error("logs cannot be kept")]
    Logs(#[source] io::Error),
}

impl Stores {
    /// Opens all stores below `folder`. What was damaged is set aside and comes back beside them.
    pub fn open(
        folder: &Path,
        limits: Limits,
        now: Timestamp,
    ) -> Result<(Self, Vec<Damage>), OpenError> {
        for it in
            [folder.to_owned(), folder.join("metrics"), folder.join("traces"), folder.join("logs")]
        {
            files::set_aside_unless(&it, Kind::Folder).map_err(OpenError::Logs)?;
        }
        let metrics = metrics::Store::open(&folder.join("metrics"), limits.metrics)?;
        let traces = traces::Store::open(&folder.join("traces"), limits.traces, now)?;
        let logs = logs::Store::open(&folder.join("logs"), limits.logs, now);
        let (logs, found) = logs.map_err(OpenError::Logs)?;
        let mut damage = metrics.damage;
        damage.extend(traces.stats().damage);
        damage.extend(found.damage);
        let stores = Self {
            metrics: metrics.store,
            traces,
            logs,
            board: Board::default(),
            folder: folder.to_owned(),
            is_full: AtomicBool::new(false),
        };
        Ok((stores, damage))
    }

    /// The folder they are in; others may keep beside them what belongs to them.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the disk has room for more. Whoever brings something looks here first, and leaves it out if not.
    pub fn has_room(&self) -> bool {
        !self.is_full.load(Ordering::Relaxed)
    }

    /// Forces what came in to the disk. To be called every second, whatever else goes on: what is younger is lost with the
    /// machine. (Of a process that is killed, what it has answered for is not lost.) What one store cannot do keeps no other from doing its part.
    pub fn sync(&self) -> Vec<TickError> {
        let metrics = self.metrics.sync().map_err(TickError::Metrics);
        let traces = self.traces.sync().map_err(TickError::Traces);
        let logs = self.logs.sync().map_err(TickError::Logs);
        [metrics, traces, logs].into_iter().filter_map(Result::err).collect()
    }

    /// Does what is due: puts what came in into files, puts files together, lets the oldest go. To be called every
    /// second, where it may take many.
    pub fn tick(&self, now: Timestamp, ahead: Ahead<'_>) -> (Vec<Damage>, Vec<TickError>) {
        let mut damage = Vec::new();
        // A disk that does not say how full it is says so when it is written to.
        let free = files::free_bytes(&self.folder).unwrap_or(u64::MAX);
        self.is_full.store(free < FREE_BYTES_MIN, Ordering::Relaxed);
        let kept = self.metrics.keep_ahead(now, ahead);
        let metrics = kept.map(|it| damage.extend(it)).map_err(TickError::Metrics);
        let traces = self.traces.tick_ahead(now, ahead).map_err(TickError::Traces);
        let logs = self.logs.tend_ahead(now, ahead).map_err(TickError::Logs);
        (damage, [metrics, traces, logs].into_iter().filter_map(Result::err).collect())
    }
}
