//! What came lately, in memory: blocks that grow and blocks that are sealed, until a segment is made of them.
//!
//! Each service has a block that grows. When it is full it is sealed at once, so that what a segment costs is
//! paid bit by bit, and memory holds mostly compressed bytes.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use model::Timestamp;

use super::Source;
use super::batch;
use super::block::{BLOCK_BYTES, BLOCK_RECORDS_MAX, Block, Sealer};
use super::part::{Part, Service};
use super::rows::{Entry, Rows};

/// Sources of one service between two segments; records of more are refused. A segment's dictionary is read when
/// the store is opened, at a hundred bytes each.
pub const SOURCES_MAX: usize = 1_000;
/// Sources of all services that make a segment, so that dictionaries stay small.
const SOURCES: usize = 20_000;
/// Bytes of all blocks that grow. Over it the largest is sealed early.
const OPEN_BYTES_MAX: usize = 32 << 20;
/// Bytes of sealed blocks that make a segment.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Milliseconds after which what came makes a segment, be it ever so little: retention by age takes segments.
const SEGMENT_MS: u128 = 3_600_000;

/// Numbers of a source in the dictionary of the segment to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    source: u32,
    service: usize,
}

/// What came lately.
#[derive(Debug)]
pub(super) struct Recent {
    /// The position of the next record.
    next: u64,
    known: BTreeMap<Arc<Source>, Known>,
    sources: Vec<Arc<Source>>,
    services: Vec<OfService>,
    open_bytes: usize,
    sealed: Vec<Arc<Block>>,
    sealed_bytes: u64,
    /// When the first record came.
    began: Option<Timestamp>,
    sealer: Sealer,
}

/// A service, how many sources it has, and its block that grows.
#[derive(Debug)]
struct OfService {
    service: Service,
    sources: usize,
    rows: Rows,
}

impl Recent {
    /// Nothing yet; the next record has this position.
    pub(super) fn new(next: u64) -> io::Result<Self> {
        Ok(Self {
            next,
            known: BTreeMap::new(),
            sources: Vec::new(),
            services: Vec::new(),
            open_bytes: 0,
            sealed: Vec::new(),
            sealed_bytes: 0,
            began: None,
            sealer: Sealer::new()?,
        })
    }

    /// The position of the next record.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// The numbers of a source, if there is room for it.
    pub(super) fn know(&mut self, source: &Arc<Source>) -> Option<Known> {
        if let Some(known) = self.known.get(source) {
            return Some(*known);
        }
        let number = u32::try_from(self.sources.len()).ok()?;
        let service = Service::of(source);
        let found = self.services.iter().position(|it| it.service == service);
        let place = found.unwrap_or_else(|| {
            self.services.push(OfService { service, sources: 0, rows: Rows::default() });
            self.services.len() - 1
        });
        let of_service = self.services.get_mut(place)?;
        if SOURCES_MAX <= of_service.sources {
            return None;
        }
        of_service.sources += 1;
        let known = Known { source: number, service: place };
        self.sources.push(Arc::clone(source));
        self.known.insert(Arc::clone(source), known);
        Some(known)
    }

    /// Takes in a record, whose position is that of the next or a later one.
    pub(super) fn push(&mut self, known: Known, entry: Entry, row: &[u8], now: Timestamp) {
        let Some(of_service) = self.services.get_mut(known.service) else { return };
        let rows = &mut of_service.rows;
        let before = rows.size();
        rows.push(entry, known.source, row);
        self.open_bytes += rows.size() - before;
        self.next = self.next.max(entry.position + 1);
        self.began.get_or_insert(now);
        if BLOCK_BYTES <= rows.bytes.len() || BLOCK_RECORDS_MAX <= rows.entries.len() {
            self.seal(known.service);
        } else if OPEN_BYTES_MAX <= self.open_bytes {
            let sizes = self.services.iter().map(|it| it.rows.size()).enumerate();
            if let Some((largest, _)) = sizes.max_by_key(|it| it.1) {
                self.seal(largest);
            }
        }
    }

    /// Takes in a batch of the log, but for the records below a position. Nothing if it cannot be read.
    pub(super) fn restore(&mut self, batch: &[u8], from: u64, now: Timestamp) -> Option<()> {
        batch::read(batch, &mut |source, entry, row| {
            if from <= entry.position
                && let Some(known) = self.know(source)
            {
                self.push(known, entry, row, now);
            }
        })
    }

    fn seal(&mut self, service: usize) {
        let Some(of_service) = self.services.get_mut(service) else { return };
        let number = u32::try_from(service).unwrap_or(u32::MAX);
        // Compressing fails for want of memory only; the block then goes on growing.
        if let Ok(Some(block)) = self.sealer.seal(number, &of_service.rows) {
            self.open_bytes -= of_service.rows.size();
            of_service.rows.clear();
            self.sealed_bytes += block.meta.bytes();
            self.sealed.push(Arc::new(block));
        }
    }

    /// Whether it is time to make a segment.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        // If it began in the future, the clock was set back since, and how long ago it was is not known.
        let is_ahead = self.began.is_some_and(|it| SEGMENT_MS < it.since(now).as_millis());
        let age = self.began.map_or(0, |it| now.since(it).as_millis());
        SEGMENT_BYTES <= self.sealed_bytes
            || SOURCES <= self.sources.len()
            || SEGMENT_MS <= age
            || is_ahead
    }

    /// Whether there is anything.
    pub(super) const fn is_empty(&self) -> bool {
        self.began.is_none()
    }

    /// Seals everything, hands it out, and begins anew.
    pub(super) fn take(&mut self, now: Timestamp) -> Part {
        for service in 0..self.services.len() {
            self.seal(service);
        }
        let part = self.sealed_part(now);
        self.known.clear();
        self.sources.clear();
        self.services.clear();
        self.open_bytes = 0;
        self.sealed.clear();
        self.sealed_bytes = 0;
        self.began = None;
        part
    }

    /// The sealed blocks.
    pub(super) fn sealed_part(&self, now: Timestamp) -> Part {
        Part::in_memory(self.sources.clone(), self.sealed.clone(), self.next, now)
    }

    /// The blocks that grow.
    pub(super) fn open(&self) -> impl Iterator<Item = &Rows> {
        self.services.iter().map(|it| &it.rows)
    }

    /// What the numbers of sources mean.
    pub(super) fn sources(&self) -> &[Arc<Source>] {
        &self.sources
    }

    /// Bytes of sealed blocks.
    pub(super) const fn sealed_bytes(&self) -> u64 {
        self.sealed_bytes
    }

    /// Bytes in memory.
    pub(super) const fn bytes(&self) -> u64 {
        self.open_bytes as u64 + self.sealed_bytes
    }
}
