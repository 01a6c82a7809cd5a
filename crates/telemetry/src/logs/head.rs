//! Takes records in: each service's as far as it may say more, into the log and into memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use model::Timestamp;

use super::batch::Batch;
use super::part::{Part, Service};
use super::quota::{Accounts, Refusal};
use super::recent::{Known, Recent};
use super::{Limits, Record, Source};
use crate::wal::Wal;

/// Bytes of sealed blocks that wait for a segment, at most; records are refused then. Reached only when the
/// disk does not keep up.
pub const HEAD_BYTES_MAX: u64 = 64 << 20;
/// Bytes of the log, at most, for the same reason.
const LOG_BYTES_MAX: u64 = 512 << 20;
/// Bytes of the log that make a segment: read again in less than a second when the store is opened.
const LOG_BYTES: u64 = 64 << 20;
/// The part of everything that the log may be, in a store that is small.
const LOG_PART: u64 = 4;
/// Bytes of a batch, about.
const BATCH_BYTES: usize = 1 << 20;

/// What became of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Kept.
    pub accepted: usize,
    /// Not kept, by reason.
    pub refused: BTreeMap<Refusal, usize>,
}

/// What came lately, and the segments of what came before.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) recent: Recent,
    pub(super) accounts: Accounts,
    /// Blocks that are being written to a file.
    pub(super) flushing: Option<Arc<Part>>,
    /// Segments, oldest first.
    pub(super) files: Vec<Arc<Part>>,
    wal: Wal,
    /// Bytes of the log that make a segment.
    log_bytes: u64,
    batch: Batch,
    /// Whether the log took nothing last time.
    is_failing: bool,
}

impl Head {
    /// One with segments, and what the log had.
    pub(super) fn new(wal: Wal, recent: Recent, files: Vec<Arc<Part>>, limits: &Limits) -> Self {
        Self {
            recent,
            accounts: Accounts::new(limits.service_bytes_per_second, limits.service_burst_bytes),
            flushing: None,
            files,
            wal,
            log_bytes: LOG_BYTES.min(limits.bytes / LOG_PART),
            batch: Batch::default(),
            is_failing: false,
        }
    }

    /// Takes in records.
    pub(super) fn append(&mut self, records: &[Record], now: Timestamp) -> Appended {
        let mut appended = Appended::default();
        self.batch.clear(self.recent.next());
        for run in records.chunk_by(|a, b| Arc::ptr_eq(&a.source, &b.source)) {
            let (accepted, reason) = self.append_run(run, now);
            appended.accepted += accepted;
            if accepted < run.len() {
                *appended.refused.entry(reason).or_default() += run.len() - accepted;
            }
        }
        self.log_batch();
        // With the system they outlive this process, which is worth one call for all of them.
        if !records.is_empty() && self.wal.flush().is_err() {
            self.is_failing = true;
        }
        appended
    }

    /// Takes in records of one source; returns how many, and why not the rest.
    fn append_run(&mut self, run: &[Record], now: Timestamp) -> (usize, Refusal) {
        let Some(source) = run.first().map(|it| &it.source) else { return (0, Refusal::Sources) };
        let service = Service::of(source);
        let known = match self.full() {
            Some(reason) => Err(reason),
            None => self.know(source, &service, now).ok_or(Refusal::Sources),
        };
        let known = match known {
            Ok(known) => known,
            Err(reason) => {
                self.accounts.refuse(&service, run.len() as u64, reason);
                return (0, reason);
            }
        };
        let accepted = self.accounts.take(&service, &mut run.iter().map(size_of), now);
        for record in run.iter().take(accepted) {
            let (entry, row) = self.batch.put(record, self.recent.next());
            self.recent.push(known, entry, row, now);
            if BATCH_BYTES <= self.batch.bytes().len() {
                self.log_batch();
            }
        }
        (accepted, Refusal::Rate)
    }

    fn know(&mut self, source: &Arc<Source>, service: &Service, now: Timestamp) -> Option<Known> {
        // A flood of names must not fill the dictionary that others need.
        if !self.accounts.open(service, now) {
            return None;
        }
        self.recent.know(source)
    }

    /// Gives the batch to the log, and begins another.
    fn log_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        // If the log does not take them, the records are in memory still, and will be in a segment; nothing more
        // is taken in until it does.
        let taken = self.wal.append(self.batch.bytes());
        self.is_failing = taken.is_err();
        self.batch.clear(self.recent.next());
    }

    fn full(&self) -> Option<Refusal> {
        if self.is_failing {
            return Some(Refusal::Disk);
        }
        let is_full =
            HEAD_BYTES_MAX <= self.recent.sealed_bytes() || LOG_BYTES_MAX <= self.wal.bytes();
        is_full.then_some(Refusal::Memory)
    }

    /// Gives the log to the system; returns its file if it must be synchronised.
    pub(super) fn flush(&mut self) -> io::Result<Option<std::fs::File>> {
        let flushed = self.wal.flushed();
        self.is_failing = flushed.is_err();
        flushed
    }

    /// Whether it is time to make a segment.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        !self.recent.is_empty() && (self.recent.is_due(now) || self.log_bytes <= self.wal.bytes())
    }

    /// Seals everything and begins anew; what was there is [`Head::flushing`] until it is in a file. Returns the
    /// file of the log with which the new begins.
    pub(super) fn begin_segment(&mut self, now: Timestamp) -> io::Result<u64> {
        let log = self.wal.rotate()?;
        self.flushing = Some(Arc::new(self.recent.take(now)));
        Ok(log)
    }

    /// Deletes the files of the log below this one.
    pub(super) fn cut(&mut self, log: u64) -> io::Result<()> {
        self.wal.cut(log)
    }

    /// Bytes of the log.
    pub(super) fn log_bytes(&self) -> u64 {
        self.wal.bytes()
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.recent.bytes() + self.flushing.as_ref().map_or(0, |it| it.bytes())
    }
}

/// Bytes of a record's row, about.
fn size_of(record: &Record) -> u64 {
    let fields = record.fields.iter().map(|(key, value)| key.len() + value.len() + 2);
    (record.text.len() + fields.sum::<usize>() + 2) as u64
}
