//! The store: a log, a head, and blocks.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use model::Timestamp;

use super::append::{Appender, Origin, Refusal};
use super::block::{Block, BlockWriter};
use super::chunk::Samples;
use super::exemplars::Exemplars;
use super::head::{self, Head, Taken};
use super::log::{Batch, Replay};
use crate::age::{Ahead, in_step, with_ahead};
use crate::segment::{self, Damage};
use crate::wal::Wal;

const EXTENSION: &str = "block";
/// Between two blocks passes at least this part of the time that usually goes into one.
const PARTS: i64 = 12;
/// Samples in memory, at most: then a block is made before its time. They take two bytes each, about.
const HEAD_SAMPLES_MAX: u64 = 32 << 20;

/// What a store keeps and takes in, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Blocks whose latest sample is older go.
    pub age: Duration,
    /// Bytes on disk, the log among them; above, the oldest blocks go.
    pub bytes: u64,
    /// Time whose samples go into one block.
    pub block: Duration,
    /// Live series in total.
    pub series: usize,
    /// Live series of one origin.
    pub series_of_origin: usize,
    /// How far a sample may be behind the last of its series.
    pub late: Duration,
    /// How far a sample may be ahead of the clock.
    pub ahead: Duration,
}

impl Default for Limits {
    /// Fifteen days and two gigabytes, as Prometheus' users know it and as a laptop can spare it; blocks of an hour, of which the
    /// log is read again after a restart; as many series as take about 200 MB.
    fn default() -> Self {
        Self {
            age: Duration::from_hours(15 * 24),
            bytes: 2 << 30,
            block: Duration::from_hours(1),
            series: 200_000,
            series_of_origin: 100_000,
            late: Duration::from_mins(10),
            ahead: Duration::from_mins(10),
        }
    }
}

/// Why a store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder of it.
    #[error("the metrics in {folder} cannot be used")]
    Io {
        /// The store's folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A store that was opened, and what was found.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What was damaged and set aside.
    pub damage: Vec<Damage>,
}

/// What there is in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Live series.
    pub series: usize,
    /// Samples that are in no block yet.
    pub head_samples: u64,
    /// Bytes they and their series take in memory.
    pub head_bytes: usize,
    /// The earliest and the latest sample on disk or in memory.
    pub range_ms: Option<(i64, i64)>,
    /// Blocks.
    pub blocks: usize,
    /// Bytes of blocks.
    pub block_bytes: u64,
    /// Samples in blocks.
    pub block_samples: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Samples taken in since the store was opened.
    pub appended: u64,
    /// Samples and series refused since then, by origin and reason.
    pub refused: Vec<(String, Refusal, u64)>,
}

impl Statistics {
    /// Bytes on disk, the log among them.
    pub const fn disk_bytes(&self) -> u64 {
        self.block_bytes + self.log_bytes
    }
}

/// Metrics in a folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    pub(super) limits: Limits,
    live: Mutex<Live>,
    /// The blocks, oldest first by number.
    blocks: RwLock<Vec<Arc<Block>>>,
    /// One at a time writes and deletes blocks.
    keeping: Mutex<()>,
    metadata: Mutex<BTreeMap<String, Metadata>>,
    /// From samples to traces.
    pub exemplars: Exemplars,
}

/// What its exposer says about a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `counter`, `gauge`, `histogram`, `summary`, ..; empty if nothing was said.
    pub kind: String,
    /// What it is.
    pub help: String,
    /// Its unit.
    pub unit: String,
}

/// Metrics something is remembered about, at most.
const METADATA_MAX: usize = 20_000;

/// What changes with every sample.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) head: Head,
    wal: Wal,
    /// The file of the log that is written to.
    pub(super) file: u64,
    pub(super) batch: Batch,
    pub(super) origins: Vec<Origin>,
    pub(super) refused: BTreeMap<(u32, Refusal), u64>,
    pub(super) appended: u64,
    /// When samples were put on their way into a block last.
    left_ms: i64,
    /// Samples on their way into a block, with the first file of the log that has none of them.
    leaving: VecDeque<(Arc<[Taken]>, u64)>,
}

impl Live {
    /// Writes the batch to the log, and gives it to the system.
    pub(super) fn log(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let record = self.batch.finish()?;
        self.wal.append(&record)?;
        // What is answered for outlives this process, whatever becomes of it.
        self.wal.flush()
    }

    /// Samples on their way into a block.
    pub(super) fn leaving(&self) -> Vec<Arc<[Taken]>> {
        self.leaving.iter().map(|it| Arc::clone(&it.0)).collect()
    }
}

impl Store {
    /// Opens the store in `folder`, which is made if it is not there. Damaged blocks are set aside.
    pub fn open(folder: &Path, limits: Limits) -> Result<Opened, StoreError> {
        let broken = |source| StoreError::Io { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(broken)?;
        let (blocks, mut damage) = open_blocks(folder).map_err(broken)?;
        let mut head = Head::default();
        let mut replay = Replay::default();
        let mut unknown = None;
        let late = millis(limits.late);
        let opened = Wal::open(&folder.join("log"), &mut |file, record| {
            if let Err(error) = replay.take(&mut head, file, record, late) {
                // It fits its checksum: another version of this program has written it.
                unknown.get_or_insert(error);
            }
        });
        let (wal, recovery) = opened.map_err(broken)?;
        damage.extend(recovery.damage);
        damage.extend(unknown.map(|error| Damage {
            file: folder.join("log"),
            bytes: 0,
            reason: format!("records of the log are not understood: {error}"),
        }));
        let live = Live {
            head,
            file: wal.number(),
            wal,
            batch: Batch::default(),
            origins: vec![Origin::new("restart")],
            refused: BTreeMap::new(),
            appended: 0,
            left_ms: i64::MIN,
            leaving: VecDeque::new(),
        };
        let store = Self {
            folder: folder.to_owned(),
            limits,
            live: Mutex::new(live),
            blocks: RwLock::new(blocks),
            keeping: Mutex::new(()),
            metadata: Mutex::default(),
            exemplars: Exemplars::default(),
        };
        Ok(Opened { store, damage })
    }

    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn blocks(&self) -> Vec<Arc<Block>> {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to take in samples of an origin, at `now`. Nobody else can until the appender is gone.
    pub fn append(&self, origin: &str, now: Timestamp) -> Appender<'_> {
        Appender::new(self, origin, now)
    }

    /// Forces the log to the disk. To be called every second; what came later is lost with the machine.
    pub fn sync(&self) -> io::Result<()> {
        let flushed = self.live().wal.flushed()?;
        flushed.map_or(Ok(()), |file| file.sync_data())
    }

    /// Puts samples into a block when it is time, puts blocks together, and lets the oldest go. To be called every few
    /// seconds, where it may take some of them. Returns what was damaged and set aside.
    pub fn keep(&self, now: Timestamp) -> io::Result<Vec<Damage>> {
        self.keep_ahead(now, &in_step)
    }

    /// As [`Self::keep`], by a clock that may be wrong: nothing is older for what it is ahead.
    pub fn keep_ahead(&self, now: Timestamp, ahead: Ahead<'_>) -> io::Result<Vec<Damage>> {
        let _alone = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = now.as_signed_millis();
        let block = millis(self.limits.block);
        let is_due =
            |from: i64| from.div_euclid(block) < (now_ms.saturating_sub(1)).div_euclid(block);
        let due = {
            let live = self.live();
            // No sample is taken that far ahead. The clock was set back, and series must not wait for it to catch up.
            let is_ahead =
                live.head.to_ms.is_some_and(|to| is_beyond(to, now_ms, self.limits.ahead));
            // Samples of the past that come one after the other do not make a block each.
            let is_rested = block / PARTS <= now_ms.saturating_sub(live.left_ms);
            is_ahead
                || HEAD_SAMPLES_MAX <= live.head.samples
                || (is_rested && live.head.from_ms.is_some_and(is_due))
        };
        if due {
            self.leave()?;
            self.live().left_ms = now_ms;
        }
        self.write_leaving()?;
        let damage = self.compact(now_ms)?;
        self.retain(now_ms, with_ahead(self.limits.age, ahead))?;
        Ok(damage)
    }

    /// Puts all samples into a block now.
    pub fn flush(&self) -> io::Result<()> {
        let _alone = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        self.leave()?;
        self.write_leaving()
    }

    /// Takes the samples out of the head, to be written.
    fn leave(&self) -> io::Result<()> {
        let mut live = self.live();
        if live.head.samples == 0 {
            return Ok(());
        }
        live.log()?;
        let file = live.wal.rotate()?;
        live.file = file;
        let mut taken = live.head.take();
        live.head.forget_silent();
        let mut counts = vec![0; live.origins.len()];
        for series in &live.head.series {
            if let Some(count) = counts.get_mut(series.origin as usize) {
                *count += 1;
            }
        }
        for (origin, count) in live.origins.iter_mut().zip(counts) {
            origin.series = count;
        }
        taken.sort_by(|a, b| a.labels.cmp(&b.labels));
        live.leaving.push_back((taken.into(), file));
        Ok(())
    }

    fn write_leaving(&self) -> io::Result<()> {
        loop {
            let Some((taken, file)) = self.live().leaving.front().cloned() else { return Ok(()) };
            let mut writer = BlockWriter::new();
            let mut samples = Samples::default();
            for series in taken.iter() {
                samples.clear();
                head::read(&series.open, series.late.as_deref(), &mut samples);
                writer.add(&series.labels, &samples)?;
            }
            let block = self.write(writer)?;
            // Whoever asks in between sees some samples twice, which does no harm.
            self.replace(&[], block);
            let mut live = self.live();
            live.leaving.pop_front();
            live.wal.cut(file)?;
        }
    }

    /// Writes a block under the next number.
    pub(super) fn write(&self, writer: BlockWriter) -> io::Result<Arc<Block>> {
        let number = self.blocks().iter().map(|it| it.number).max().unwrap_or(0) + 1;
        let path = segment::path(&self.folder, number, EXTENSION);
        segment::write(&path, &writer.finish()?)?;
        Ok(Arc::new(Block::open(&path, number)?))
    }

    /// Lets a block take the place of others, whose files stay for now.
    pub(super) fn replace(&self, old: &[u64], new: Arc<Block>) {
        let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        blocks.retain(|it| !old.contains(&it.number));
        blocks.push(new);
    }

    /// Takes a block that cannot be read out of the way.
    pub(super) fn set_aside(&self, block: &Block, error: &io::Error) -> io::Result<Damage> {
        let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        blocks.retain(|it| it.number != block.number);
        segment::set_aside(&block.path, error.to_string())
    }

    /// Lets the oldest blocks go while they are too old or there are too many bytes.
    fn retain(&self, now_ms: i64, age: Duration) -> io::Result<()> {
        let log_bytes = self.live().wal.bytes();
        loop {
            let blocks = self.blocks();
            let bytes = blocks.iter().map(|it| it.bytes).sum::<u64>() + log_bytes;
            // What ends further ahead than samples are kept was written while the clock was wrong. It is as old as its
            // beginning; if that is ahead too it is the clock that may be wrong now, and it goes only for want of room.
            let is_wrong = |at_ms: i64| is_beyond(at_ms, now_ms, age);
            let end = |it: &Arc<Block>| if is_wrong(it.to_ms) { it.from_ms } else { it.to_ms };
            let from_ms = now_ms.saturating_sub(millis(age));
            let old = blocks.iter().find(|it| end(it) < from_ms);
            let first = || blocks.iter().min_by_key(|it| (!is_wrong(end(it)), end(it)));
            let is_much = self.limits.bytes < bytes;
            let Some(oldest) = old.or_else(|| first().filter(|_| is_much)) else { return Ok(()) };
            fs::remove_file(&oldest.path)?;
            let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
            blocks.retain(|it| it.number != oldest.number);
        }
    }

    /// Remembers something about a metric. It is not kept on disk: who exposes a metric says it every time.
    pub fn describe(&self, metric: &str, change: impl FnOnce(&mut Metadata)) {
        let mut all = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metadata) = all.get_mut(metric) {
            change(metadata);
        } else if all.len() < METADATA_MAX {
            change(all.entry(metric.to_owned()).or_default());
        }
    }

    /// What is known about a metric.
    pub fn metadata(&self, metric: &str) -> Option<Metadata> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner).get(metric).cloned()
    }

    /// What is known about all metrics, by name.
    pub fn all_metadata(&self) -> BTreeMap<String, Metadata> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What there is.
    pub fn statistics(&self) -> Statistics {
        let blocks = self.blocks();
        let live = self.live();
        let from_ms = blocks.iter().map(|it| it.from_ms).chain(live.head.from_ms).min();
        let latest =
            live.head.series.iter().filter(|it| it.open.len() != 0).map(|it| it.open.last_ms);
        let to_ms = blocks.iter().map(|it| it.to_ms).chain(latest).max();
        let name = |origin: u32| {
            live.origins.get(origin as usize).map_or_else(String::new, |it| it.name.clone())
        };
        Statistics {
            series: live.head.series.len(),
            head_samples: live.head.samples,
            head_bytes: live.head.bytes(),
            range_ms: from_ms.zip(to_ms),
            blocks: blocks.len(),
            block_bytes: blocks.iter().map(|it| it.bytes).sum(),
            block_samples: blocks.iter().map(|it| it.samples).sum(),
            log_bytes: live.wal.bytes(),
            appended: live.appended,
            refused: live.refused.iter().map(|(it, count)| (name(it.0), it.1, *count)).collect(),
        }
    }
}

/// Opens all blocks; what cannot be opened is set aside.
fn open_blocks(folder: &Path) -> io::Result<(Vec<Arc<Block>>, Vec<Damage>)> {
    let (mut blocks, mut damage) = (Vec::new(), Vec::new());
    for number in segment::numbered(folder, EXTENSION)? {
        let path = segment::path(folder, number, EXTENSION);
        match Block::open(&path, number) {
            Ok(block) => blocks.push(Arc::new(block)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                damage.push(segment::set_aside(&path, error.to_string())?);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((blocks, damage))
}

/// Whether a time is further ahead of now than it may be.
fn is_beyond(at_ms: i64, now_ms: i64, ahead: Duration) -> bool {
    now_ms.saturating_add(millis(ahead)) < at_ms
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
