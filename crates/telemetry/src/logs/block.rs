//! Sealed records of one service: columns, text and a filter, compressed.
//!
//! A block has one service's records only, so that retention can take the oldest of the noisiest service and
//! leave the others', that a search in one service reads nothing else, and that like stands beside like when it is
//! compressed. Columns and text are apart: what service, time, severity or trace rule out costs no text.
//!
//! Columns, in this order, numbers of variable length: positions and times as differences, times in the largest
//! of three units that loses nothing; sources; a byte with severity and the kinds of the ids; the ids that are
//! not in the text. A trace that one of the last few records named is a number, since a request says several
//! things.

use zstd::bulk::{Compressor, Decompressor};

use super::row::ROW_END;
use super::rows::{Bounds, Entry, Rows, severity_code};
use super::token::WordSet;
use super::{Severity, line, row};
use crate::protobuf::{put_varint, unzigzag, varint, zigzag};

/// Bytes of rows in a block, about: enough for the compressor to see what repeats, little enough to read in
/// half a millisecond.
pub(super) const BLOCK_BYTES: usize = 256 << 10;
/// Bytes of rows in a block, at most: the last record is put in whole.
const ROWS_BYTES_MAX: usize = BLOCK_BYTES + row::ROW_BYTES_MAX + 16;
/// Records in a block, at most: a flood of empty lines ends one too.
pub(super) const BLOCK_RECORDS_MAX: usize = 16 << 10;
/// Bytes of columns, at most: ten for each of four numbers, and the ids.
const COLUMNS_BYTES_MAX: usize = BLOCK_RECORDS_MAX * 72;
/// Microseconds in the units in which times may be whole.
const UNITS: [u64; 3] = [1_000_000, 1_000, 1];
/// Traces that are remembered for the records that follow.
const RECENT: usize = 16;

/// How the compressor is set: more costs several times the time for a tenth of the bytes.
const LEVEL: i32 = 1;

/// What is known of a block without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    /// The number of its service in the part's dictionary.
    pub(super) service: u32,
    /// Records in it.
    pub(super) records: u32,
    /// Their bounds.
    pub(super) bounds: Bounds,
    /// Bytes of the rows.
    pub(super) raw_bytes: u32,
    /// Bytes of the compressed columns, and their checksum.
    pub(super) columns: Stored,
    /// The same of the rows.
    pub(super) text: Stored,
    /// Bytes of the filter.
    pub(super) bloom_bytes: u32,
}

impl Meta {
    /// Bytes of everything.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.columns.bytes) + u64::from(self.text.bytes) + u64::from(self.bloom_bytes)
    }
}

/// Bytes somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// How many.
    pub(super) bytes: u32,
    /// Their CRC-32C.
    pub(super) sum: u32,
}

impl Stored {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: count(bytes.len()), sum: crc32c::crc32c(bytes) }
    }

    /// Whether these are they.
    pub(super) fn fits(self, bytes: &[u8]) -> bool {
        self.bytes as usize == bytes.len() && self.sum == crc32c::crc32c(bytes)
    }
}

/// A sealed block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) meta: Meta,
    pub(super) columns: Vec<u8>,
    pub(super) text: Vec<u8>,
    pub(super) bloom: Vec<u8>,
}

/// What sealing needs, kept from block to block.
pub(super) struct Sealer {
    compressor: Compressor<'static>,
    words: WordSet,
    columns: Vec<u8>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// One that has sealed nothing.
    pub(super) fn new() -> std::io::Result<Self> {
        let compressor = Compressor::new(LEVEL)?;
        Ok(Self { compressor, words: WordSet::default(), columns: Vec::new() })
    }

    /// Seals some records; nothing if there are none.
    pub(super) fn seal(&mut self, service: u32, rows: &Rows) -> std::io::Result<Option<Block>> {
        let Some(bounds) = rows.bounds() else { return Ok(None) };
        self.columns.clear();
        put_columns(&mut self.columns, &rows.entries);
        let columns = self.compressor.compress(&self.columns)?;
        let text = self.compressor.compress(&rows.bytes)?;
        let bloom = rows.bloom(&mut self.words);
        let meta = Meta {
            service,
            records: count(rows.entries.len()),
            bounds,
            raw_bytes: count(rows.bytes.len()),
            columns: Stored::of(&columns),
            text: Stored::of(&text),
            bloom_bytes: count(bloom.len()),
        };
        Ok(Some(Block { meta, columns, text, bloom }))
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn put_columns(out: &mut Vec<u8>, entries: &[Entry]) {
    let fits = |unit: &&u64| entries.iter().all(|it| it.at_us % **unit == 0);
    let unit = UNITS.iter().find(fits).copied().unwrap_or(1);
    put_varint(out, unit);
    put_differences(out, entries.iter().map(|it| it.position));
    put_differences(out, entries.iter().map(|it| it.at_us / unit));
    for entry in entries {
        put_varint(out, u64::from(entry.source));
    }
    let mut ids = Ids::default();
    let mut written = Vec::new();
    for entry in entries {
        let (trace, span) = ids.put(&mut written, entry);
        out.push(severity_code(entry.severity) | (trace as u8) << 3 | (span as u8) << 5);
    }
    out.extend_from_slice(&written);
}

fn put_differences(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let mut last = 0_u64;
    for number in numbers {
        put_varint(out, zigzag(number.wrapping_sub(last).cast_signed()));
        last = number;
    }
}

/// How an id is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// There is none.
    None = 0,
    /// The text says it.
    InText = 1,
    /// It is written out.
    New = 2,
    /// It was written not long ago.
    Recent = 3,
}

impl Kind {
    const fn of(code: u8) -> Self {
        match code & 3 {
            0 => Self::None,
            1 => Self::InText,
            2 => Self::New,
            _ => Self::Recent,
        }
    }
}

/// The ids written last.
#[derive(Default)]
struct Ids {
    traces: [u128; RECENT],
    next: usize,
    span: u64,
}

impl Ids {
    fn put(&mut self, out: &mut Vec<u8>, entry: &Entry) -> (Kind, Kind) {
        if entry.ids_in_text {
            return (Kind::InText, Kind::InText);
        }
        let trace = match self.traces.iter().position(|it| *it == entry.trace) {
            _ if entry.trace == 0 => Kind::None,
            Some(place) => {
                out.push(u8::try_from(place).unwrap_or(0));
                Kind::Recent
            }
            None => {
                out.extend_from_slice(&entry.trace.to_le_bytes());
                self.remember(entry.trace);
                Kind::New
            }
        };
        let span = match entry.span {
            0 => Kind::None,
            span if span == self.span => Kind::Recent,
            span => {
                out.extend_from_slice(&span.to_le_bytes());
                self.span = span;
                Kind::New
            }
        };
        (trace, span)
    }

    fn remember(&mut self, trace: u128) {
        if let Some(place) = self.traces.get_mut(self.next) {
            *place = trace;
        }
        self.next = (self.next + 1) % RECENT;
    }

    fn take(&mut self, bytes: &mut &[u8], kinds: (Kind, Kind)) -> Option<(u128, u64)> {
        let trace = match kinds.0 {
            Kind::None | Kind::InText => 0,
            Kind::Recent => {
                let (place, rest) = bytes.split_first()?;
                *bytes = rest;
                self.traces.get(usize::from(*place)).copied()?
            }
            Kind::New => {
                let (trace, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                let trace = u128::from_le_bytes(*trace);
                self.remember(trace);
                trace
            }
        };
        let span = match kinds.1 {
            Kind::None | Kind::InText => 0,
            Kind::Recent => self.span,
            Kind::New => {
                let (span, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                self.span = u64::from_le_bytes(*span);
                self.span
            }
        };
        Some((trace, span))
    }
}

/// Reads the columns of a block. Ids that the text says are 0 until [`read_text`] was called. Nothing if they
/// are damaged.
pub(super) fn read_columns(meta: &Meta, compressed: &[u8]) -> Option<Rows> {
    if !meta.columns.fits(compressed) || BLOCK_RECORDS_MAX < meta.records as usize {
        return None;
    }
    let columns = Decompressor::new().ok()?.decompress(compressed, COLUMNS_BYTES_MAX).ok()?;
    let mut bytes = columns.as_slice();
    let records = meta.records as usize;
    let unit = varint(&mut bytes).ok()?;
    let positions = differences(&mut bytes, records)?;
    let times = differences(&mut bytes, records)?;
    let mut entries = Vec::with_capacity(records);
    for (position, at) in positions.into_iter().zip(times) {
        let source = u32::try_from(varint(&mut bytes).ok()?).ok()?;
        let at_us = at.wrapping_mul(unit);
        entries.push(Entry {
            position,
            at_us,
            trace: 0,
            span: 0,
            end: 0,
            source,
            severity: None,
            ids_in_text: false,
        });
    }
    let (codes, mut rest) = bytes.split_at_checked(records)?;
    let mut ids = Ids::default();
    for (entry, code) in entries.iter_mut().zip(codes) {
        let kinds = (Kind::of(code >> 3), Kind::of(code >> 5));
        entry.severity =
            (code & 7).checked_sub(1).and_then(|it| Severity::ALL.get(usize::from(it)).copied());
        entry.ids_in_text = kinds.0 == Kind::InText;
        (entry.trace, entry.span) = ids.take(&mut rest, kinds)?;
    }
    Some(Rows { entries, bytes: Vec::new() })
}

fn differences(bytes: &mut &[u8], count: usize) -> Option<Vec<u64>> {
    let mut last = 0_u64;
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        last = last.wrapping_add_signed(unzigzag(varint(bytes).ok()?));
        numbers.push(last);
    }
    Some(numbers)
}

/// Reads the rows of a block into what [`read_columns`] made. Nothing if they are damaged.
pub(super) fn read_text(rows: &mut Rows, meta: &Meta, compressed: &[u8]) -> Option<()> {
    if !meta.text.fits(compressed) || ROWS_BYTES_MAX < meta.raw_bytes as usize {
        return None;
    }
    let most = meta.raw_bytes as usize;
    rows.bytes = Decompressor::new().ok()?.decompress(compressed, most).ok()?;
    let mut ends = memchr::memchr_iter(ROW_END, &rows.bytes);
    let mut start = 0;
    for entry in &mut rows.entries {
        let end = ends.next()? + 1;
        entry.end = count(end);
        if entry.ids_in_text {
            let said = row::text(rows.bytes.get(start..end)?).0;
            let (trace, span) = line::ids_in(std::str::from_utf8(said).ok()?);
            (entry.trace, entry.span) = (trace.unwrap_or(0), span.unwrap_or(0));
        }
        start = end;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::batch::Batch;
    use crate::logs::{Record, Source, Stream};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn record() -> impl Strategy<Value = Record> {
        let source = Arc::new(Source {
            application: "shop".into(),
            service: "cart".into(),
            instance: "cart.1".into(),
            stream: Stream::Stdout,
        });
        let severity = prop::option::of(prop::sample::select(Severity::ALL.to_vec()));
        let trace = prop::option::of(prop_oneof![1_u128..4, Just(u128::MAX)]);
        let fields = prop::collection::vec(("[a-z]{1,5}", "\\PC{0,9}"), 0..3);
        (any::<u64>(), severity, "\\PC{0,20}", fields, trace, prop::option::of(1_u64..3)).prop_map(
            move |(at_us, severity, text, fields, trace, span)| Record {
                at_us,
                source: Arc::clone(&source),
                severity,
                text: match trace {
                    Some(3) => format!("{text} trace_id={:032x}", 3),
                    _ => text,
                },
                fields,
                trace,
                span,
            },
        )
    }

    fn rows_of(records: &[Record]) -> Rows {
        let mut rows = Rows::default();
        let mut batch = Batch::default();
        for (position, record) in (7..).zip(records) {
            let (entry, row) = batch.put(record, position * 3);
            rows.push(entry, 5, row);
        }
        rows
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_read(records in prop::collection::vec(record(), 1..40)) {
            let rows = rows_of(&records);
            let block = Sealer::new().unwrap().seal(3, &rows).unwrap().unwrap();
            let mut read = read_columns(&block.meta, &block.columns).unwrap();
            read_text(&mut read, &block.meta, &block.text).unwrap();
            prop_assert_eq!(read.entries, rows.entries);
            prop_assert_eq!(read.bytes, rows.bytes);
        }

        #[test]
        fn damage_is_seen(records in prop::collection::vec(record(), 1..9), place: usize, bit in 0_u8..8) {
            let block = Sealer::new().unwrap().seal(3, &rows_of(&records)).unwrap().unwrap();
            let damaged = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                let place = place % bytes.len();
                bytes[place] ^= 1_u8 << bit;
                bytes
            };
            prop_assert!(read_columns(&block.meta, &damaged(&block.columns)).is_none());
            let mut rows = read_columns(&block.meta, &block.columns).unwrap();
            prop_assert!(read_text(&mut rows, &block.meta, &damaged(&block.text)).is_none());
        }

        /// What a checksum does not see, since it was made of the same bytes, is refused too.
        #[test]
        fn nonsense_is_refused(bytes: Vec<u8>, records in 0_u32..100) {
            let columns = Compressor::new(1).unwrap().compress(&bytes).unwrap();
            let meta = Meta {
                service: 0,
                records,
                bounds: Bounds { positions: (0, 0), times: (0, 0), severities: 0 },
                raw_bytes: count(bytes.len()),
                columns: Stored::of(&columns),
                text: Stored::of(&columns),
                bloom_bytes: 0,
            };
            if let Some(mut rows) = read_columns(&meta, &columns) {
                let _: Option<()> = read_text(&mut rows, &meta, &columns);
            }
        }
    }
}
