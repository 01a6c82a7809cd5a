//! A segment: traces in a file that never changes.
//!
//! ```text
//! magic · block · block · .. · filters of tags · pairs · durations · errors · table of traces · filter of ids · sorted ids · dictionary · links · footer · place and sum of the footer, magic
//! ```
//!
//! Blocks, of 128 KiB before compression, are what is read to get at spans; columns are what is scanned to know
//! which. Every part has a checksum, which is looked at whenever it is read. In memory are the footer, the filter of
//! ids (12 bits a trace) and the pairs of services and operations; files are open while they are read, so that
//! there may be more of them than a process may have open. It refuses to answer from a part that is damaged.

pub(super) mod scan;
pub(super) mod write;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Timestamp;

use crate::protobuf::{put_varint, varint};
use crate::traces::block::Block;
use crate::traces::columns::FENCE_ENTRIES;
use crate::traces::dependencies::Links;
use crate::traces::dictionary::Dictionary;
use crate::traces::encoded::take_array;
use crate::traces::filter;

/// What a segment begins and ends with; the last digit is the version of the format.
const MAGIC: &[u8; 8] = b"PLGTRC01";
/// Bytes of a block before compression, about: large enough to compress well, small enough to read for one
/// trace.
const BLOCK_BYTES: usize = 128 << 10;
/// zstd's level: 1 is four times as fast as 3 and less than a tenth larger, measured on spans.
const COMPRESSION: i32 = 1;
/// Bytes of a part after it was decompressed, at most: more is damage.
const PART_BYTES_MAX: u64 = 256 << 20;
/// Bytes behind the footer.
const END_BYTES: u64 = 20;
/// Bytes of an entry of the sorted ids: the id's low half, and the place of its trace.
const ID_BYTES: usize = 12;

/// Why a segment, or a part of it, could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// The system did not let us.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{}: {what} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part.
        what: &'static str,
    },
}

/// Where a part is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    offset: u64,
    length: u64,
    /// Bytes after decompression; 0 for parts that are not compressed.
    whole: u64,
    sum: u32,
}

/// Where a block is, and its first trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockPlace {
    first: u32,
    place: Place,
    /// Bytes of its filter among all filters: where they begin, and how many.
    filter: (u64, u64),
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Footer {
    log: u64,
    written_ms: u64,
    from_us: u64,
    until_us: u64,
    /// The minutes of the first calls and the last.
    minutes: (u64, u64),
    spans: u64,
    traces: u64,
    pairs: Place,
    durations: Place,
    errors: Place,
    table: Place,
    filters: Place,
    id_filter: Place,
    ids: Place,
    dictionary: Place,
    links: Place,
    fences: Vec<u64>,
    blocks: Vec<BlockPlace>,
}

impl Place {
    fn put(&self, out: &mut Vec<u8>) {
        for number in [self.offset, self.length, self.whole, u64::from(self.sum)] {
            put_varint(out, number);
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (offset, length) = (varint(bytes).ok()?, varint(bytes).ok()?);
        let (whole, sum) = (varint(bytes).ok()?, u32::try_from(varint(bytes).ok()?).ok()?);
        Some(Self { offset, length, whole, sum })
    }
}

impl Footer {
    fn put(&self, out: &mut Vec<u8>) {
        let times = [
            self.log,
            self.written_ms,
            self.from_us,
            self.until_us,
            self.minutes.0,
            self.minutes.1,
        ];
        for number in times.into_iter().chain([self.spans, self.traces]) {
            put_varint(out, number);
        }
        let columns = [self.pairs, self.durations, self.errors, self.table];
        let others = [self.filters, self.id_filter, self.ids, self.dictionary, self.links];
        columns.iter().chain(&others).for_each(|it| it.put(out));
        put_varint(out, self.fences.len() as u64);
        self.fences.iter().for_each(|it| put_varint(out, *it));
        put_varint(out, self.blocks.len() as u64);
        for block in &self.blocks {
            put_varint(out, u64::from(block.first));
            block.place.put(out);
            put_varint(out, block.filter.0);
            put_varint(out, block.filter.1);
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let mut number = || varint(bytes).ok();
        let [log, written_ms] = [number()?, number()?];
        let [from_us, until_us] = [number()?, number()?];
        let minutes = (number()?, number()?);
        let (spans, traces) = (number()?, number()?);
        let mut place = || Place::take(bytes);
        let (pairs, durations, errors, table) = (place()?, place()?, place()?, place()?);
        let (filters, id_filter) = (place()?, place()?);
        let (ids, dictionary, links) = (place()?, place()?, place()?);
        let mut fences = Vec::new();
        for _ in 0..varint(bytes).ok()? {
            fences.push(varint(bytes).ok()?);
        }
        let mut blocks = Vec::new();
        for _ in 0..varint(bytes).ok()? {
            let first = u32::try_from(varint(bytes).ok()?).ok()?;
            let place = Place::take(bytes)?;
            let filter = (varint(bytes).ok()?, varint(bytes).ok()?);
            blocks.push(BlockPlace { first, place, filter });
        }
        Some(Self {
            log,
            written_ms,
            from_us,
            until_us,
            minutes,
            spans,
            traces,
            pairs,
            durations,
            errors,
            table,
            filters,
            id_filter,
            ids,
            dictionary,
            links,
            fences,
            blocks,
        })
    }
}

/// A service's operation in a segment.
#[derive(Clone, Debug)]
pub(super) struct PairNames {
    pub(super) service: Arc<str>,
    pub(super) operation: Arc<str>,
    pub(super) slowest_us: u64,
    pub(super) has_errors: bool,
}

/// A segment that can be read.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) pairs: Vec<PairNames>,
    footer: Footer,
    id_filter: Vec<u8>,
}

/// Where the traces of a segment begin: in time, and among its rows.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// When each trace began, ascending.
    pub(super) starts_us: Vec<u64>,
    rows: Vec<u32>,
}

impl Table {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let mut table = Self::default();
        let (mut start_us, mut row) = (0_u64, 0_u32);
        while !bytes.is_empty() {
            start_us = start_us.checked_add(varint(bytes).ok()?)?;
            table.starts_us.push(start_us);
            table.rows.push(row);
            row = row.checked_add(u32::try_from(varint(bytes).ok()?).ok()?)?;
        }
        Some(table)
    }

    /// The trace a row belongs to.
    pub(super) fn trace_of(&self, row: u32) -> u32 {
        let after = self.rows.partition_point(|it| *it <= row);
        u32::try_from(after.saturating_sub(1)).unwrap_or(u32::MAX)
    }
}

impl Sealed {
    /// Opens a segment: reads its footer, its dictionary, and the filter of its ids.
    pub(super) fn open(path: &Path, number: u64) -> Result<(Self, Dictionary), SealedError> {
        let mut sealed = Self {
            path: path.to_owned(),
            number,
            bytes: 0,
            pairs: Vec::new(),
            footer: Footer::default(),
            id_filter: Vec::new(),
        };
        let file = sealed.file()?;
        sealed.bytes = file.metadata().map_err(|it| sealed.unread(it))?.len();
        let end = sealed.bytes.checked_sub(END_BYTES).ok_or_else(|| sealed.damaged("the end"))?;
        let last = Place { offset: end, length: END_BYTES, ..Place::default() };
        let bytes = sealed.slice(&file, last)?;
        let mut rest = bytes.as_slice();
        let place = (|| {
            let offset = u64::from_le_bytes(take_array(&mut rest)?);
            let sum = u32::from_le_bytes(take_array(&mut rest)?);
            let length = end.checked_sub(offset)?;
            (rest == MAGIC).then_some(Place { offset, length, whole: 0, sum })
        })();
        let place = place.ok_or_else(|| sealed.damaged("the end"))?;
        let bytes = sealed.part(&file, place, "the footer")?;
        sealed.footer =
            Footer::take(&mut bytes.as_slice()).ok_or_else(|| sealed.damaged("the footer"))?;
        sealed.id_filter = sealed.part(&file, sealed.footer.id_filter, "the filter of ids")?;
        let dictionary = sealed.dictionary(&file)?;
        Ok((sealed, dictionary))
    }

    /// It with the names of its pairs, which stand in memory once for all segments.
    pub(super) fn with_names(mut self, names: Vec<[Arc<str>; 2]>, dictionary: &Dictionary) -> Self {
        let pairs = names.into_iter().zip(&dictionary.pairs);
        let named = pairs.map(|([service, operation], pair)| {
            let (slowest_us, has_errors) = (pair.slowest_us, pair.has_errors);
            PairNames { service, operation, slowest_us, has_errors }
        });
        self.pairs = named.collect();
        self
    }

    /// When it was written.
    pub(super) const fn written(&self) -> Timestamp {
        Timestamp::from_millis(self.footer.written_ms)
    }

    /// The file, to read parts of it.
    pub(super) fn file(&self) -> Result<File, SealedError> {
        File::open(&self.path).map_err(|it| self.unread(it))
    }

    fn unread(&self, source: io::Error) -> SealedError {
        SealedError::Read { path: self.path.clone(), source }
    }

    pub(super) fn damaged(&self, what: &'static str) -> SealedError {
        SealedError::Damaged { path: self.path.clone(), what }
    }

    fn slice(&self, file: &File, place: Place) -> Result<Vec<u8>, SealedError> {
        let within = place.offset.checked_add(place.length).is_some_and(|it| it <= self.bytes);
        let length = usize::try_from(place.length).ok().filter(|_| within);
        let mut bytes = vec![0; length.ok_or_else(|| self.damaged("the place of a part"))?];
        file.read_exact_at(&mut bytes, place.offset).map_err(|it| self.unread(it))?;
        Ok(bytes)
    }

    fn part(&self, file: &File, place: Place, what: &'static str) -> Result<Vec<u8>, SealedError> {
        let bytes = self.slice(file, place)?;
        if crc32c::crc32c(&bytes) != place.sum || PART_BYTES_MAX < place.whole {
            return Err(self.damaged(what));
        }
        if place.whole == 0 {
            return Ok(bytes);
        }
        let whole = usize::try_from(place.whole).unwrap_or(usize::MAX);
        zstd::bulk::decompress(&bytes, whole).map_err(|_damaged| self.damaged(what))
    }

    /// Spans in it.
    pub(super) const fn spans(&self) -> u64 {
        self.footer.spans
    }

    /// Traces in it.
    pub(super) const fn traces(&self) -> u64 {
        self.footer.traces
    }

    /// The number of the first file of the log that is not in it, or in those before it.
    pub(super) const fn log(&self) -> u64 {
        self.footer.log
    }

    /// When its first trace began, and its last, in microseconds since 1970.
    pub(super) const fn times_us(&self) -> (u64, u64) {
        (self.footer.from_us, self.footer.until_us)
    }

    /// The minutes since 1970 of its first calls, and of its last.
    pub(super) const fn minutes(&self) -> (u64, u64) {
        self.footer.minutes
    }

    /// Whether it may have a trace with the low half of an id.
    pub(super) fn may_hold(&self, low: u64) -> bool {
        filter::may_hold(&self.id_filter, filter::hash_id(low))
    }

    /// Its strings.
    pub(super) fn dictionary(&self, file: &File) -> Result<Dictionary, SealedError> {
        let bytes = self.part(file, self.footer.dictionary, "the dictionary")?;
        Dictionary::take(&mut bytes.as_slice()).ok_or_else(|| self.damaged("the dictionary"))
    }

    /// The calls of the traces that were decided upon while it was gathered.
    pub(super) fn links(&self, file: &File) -> Result<Links, SealedError> {
        let bytes = self.part(file, self.footer.links, "the links")?;
        Links::take(&mut bytes.as_slice()).ok_or_else(|| self.damaged("the links"))
    }

    /// Where its traces begin.
    pub(super) fn table(&self, file: &File) -> Result<Table, SealedError> {
        let bytes = self.part(file, self.footer.table, "the table of traces")?;
        Table::take(&mut bytes.as_slice()).ok_or_else(|| self.damaged("the table of traces"))
    }

    /// The column of pairs.
    pub(super) fn pair_column(&self, file: &File) -> Result<Vec<u8>, SealedError> {
        self.part(file, self.footer.pairs, "the column of pairs")
    }

    /// The column of durations.
    pub(super) fn duration_column(&self, file: &File) -> Result<Vec<u8>, SealedError> {
        self.part(file, self.footer.durations, "the column of durations")
    }

    /// The column of errors, one bit a span.
    pub(super) fn error_column(&self, file: &File) -> Result<Vec<u8>, SealedError> {
        self.part(file, self.footer.errors, "the column of errors")
    }

    /// The places of the traces with the low half of an id.
    pub(super) fn find(&self, file: &File, low: u64) -> Result<Vec<u32>, SealedError> {
        let mut found = Vec::new();
        // Equal ids may stand on both sides of a fence.
        let first = self.footer.fences.partition_point(|it| *it < low).saturating_sub(1);
        for fence in first..self.footer.fences.len() {
            if self.footer.fences.get(fence).is_none_or(|it| low < *it) {
                break;
            }
            let bytes = self.id_entries(file, fence)?;
            let (entries, _) = bytes.as_chunks::<ID_BYTES>();
            let mut last = 0;
            for entry in entries {
                let mut rest = entry.as_slice();
                let id = take_array(&mut rest).map_or(0, u64::from_le_bytes);
                if id < last {
                    return Err(self.damaged("the sorted ids"));
                }
                last = id;
                if id == low {
                    found.extend(take_array(&mut rest).map(u32::from_le_bytes));
                }
            }
        }
        Ok(found)
    }

    fn id_entries(&self, file: &File, fence: usize) -> Result<Vec<u8>, SealedError> {
        let all = self.footer.ids;
        let skipped = (fence * FENCE_ENTRIES * ID_BYTES) as u64;
        let length = all.length.saturating_sub(skipped).min((FENCE_ENTRIES * ID_BYTES) as u64);
        self.slice(file, Place { offset: all.offset + skipped, length, ..Place::default() })
    }

    /// The block a trace is in, and its place in the block.
    pub(super) fn block_of(&self, trace: u32) -> Option<(usize, usize)> {
        let block = self.footer.blocks.partition_point(|it| it.first <= trace).checked_sub(1)?;
        let first = self.footer.blocks.get(block)?.first;
        Some((block, (trace - first) as usize))
    }

    /// A block.
    pub(super) fn block(&self, file: &File, block: usize) -> Result<Block, SealedError> {
        let place =
            self.footer.blocks.get(block).ok_or_else(|| self.damaged("the place of a block"))?;
        let bytes = self.part(file, place.place, "a block")?;
        Block::new(bytes).ok_or_else(|| self.damaged("a block"))
    }

    /// The filters of its blocks' tags; they are read if there is something to look for.
    pub(super) fn filters(
        &self,
        file: &File,
        hashes: &[[u64; 2]],
    ) -> Result<Filters<'_>, SealedError> {
        let bytes = match hashes {
            [] => Vec::new(),
            _ => self.part(file, self.footer.filters, "the filters of blocks")?,
        };
        Ok(Filters { bytes, blocks: &self.footer.blocks })
    }

    /// Whether it has a trace with the low half of an id. What cannot be read has none.
    pub(super) fn holds(&self, low: u64) -> bool {
        let found = || self.find(&self.file()?, low);
        self.may_hold(low) && found().is_ok_and(|it| !it.is_empty())
    }
}

/// Filters of the tags of blocks.
#[derive(Debug)]
pub(super) struct Filters<'a> {
    bytes: Vec<u8>,
    blocks: &'a [BlockPlace],
}

impl Filters<'_> {
    /// Whether a block may have one of each pair of hashes.
    pub(super) fn may_have(&self, block: usize, hashes: &[[u64; 2]]) -> bool {
        let bits = self.blocks.get(block).and_then(|it| {
            let begin = usize::try_from(it.filter.0).ok()?;
            let length = usize::try_from(it.filter.1).ok()?;
            self.bytes.get(begin..begin.checked_add(length)?)
        });
        let bits = bits.unwrap_or_default();
        hashes.iter().all(|either| either.iter().any(|it| filter::may_hold(bits, *it)))
    }
}
