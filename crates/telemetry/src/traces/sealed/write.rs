//! Makes a segment of traces.
//!
//! Traces are ordered by when they began, so that the newest are read first by reading backwards.

use model::Timestamp;

use crate::protobuf::put_varint;
use crate::traces::block::BlockWriter;
use crate::traces::columns::FENCE_ENTRIES;
use crate::traces::dependencies::Links;
use crate::traces::dictionary::Builder;
use crate::traces::encoded::Encoded;
use crate::traces::filter;
use crate::traces::head::{Trace, key};
use crate::traces::sealed::{BLOCK_BYTES, BlockPlace, COMPRESSION, Footer, MAGIC, Place};

/// Where what is in a segment comes from.
#[derive(Clone, Copy, Debug)]
pub(in crate::traces) struct Origin {
    /// Files of the log below this number are not needed any more when the segment is there.
    pub(in crate::traces) log: u64,
    /// When it is written.
    pub(in crate::traces) written: Timestamp,
}

/// The bytes of a segment of `traces` and `links`.
pub(in crate::traces) fn build<'a>(
    traces: impl Iterator<Item = &'a Trace>,
    links: &Links,
    origin: Origin,
) -> std::io::Result<Vec<u8>> {
    let mut ordered: Vec<_> =
        traces.map(|it| (it.start_us, it)).filter(|it| it.1.spans != 0).collect();
    ordered.sort_by_key(|it| it.0);
    let mut file = File::new()?;
    let mut writer = BlockWriter::default();
    let mut dictionary = Builder::default();
    let (mut table, mut lows, mut before_us) = (Vec::new(), Vec::new(), 0);
    for (ordinal, (start_us, trace)) in (0_u32..).zip(&ordered) {
        let spans: Vec<Encoded<'_>> = trace.spans().collect();
        writer.trace(&spans, &mut dictionary);
        put_varint(&mut table, start_us - before_us);
        put_varint(&mut table, spans.len() as u64);
        before_us = *start_us;
        lows.extend(spans.first().map(|it| (key(it.trace).0, ordinal)));
        if BLOCK_BYTES <= writer.len() {
            file.block(&mut writer, &mut dictionary, ordinal + 1)?;
        }
    }
    if writer.len() != 0 {
        file.block(&mut writer, &mut dictionary, u32::try_from(ordered.len()).unwrap_or(u32::MAX))?;
    }
    file.footer.log = origin.log;
    file.footer.written_ms = origin.written.as_millis();
    file.footer.from_us = ordered.first().map_or(0, |it| it.0);
    file.footer.until_us = ordered.last().map_or(0, |it| it.0);
    file.footer.minutes = links.minutes();
    file.footer.spans = u64::from(writer.rows.count);
    file.footer.traces = lows.len() as u64;
    file.columns(&writer, &table)?;
    file.ids(lows);
    let mut bytes = Vec::new();
    dictionary.put(&mut bytes);
    file.footer.dictionary = file.compressed(&bytes)?;
    bytes.clear();
    links.put(&mut bytes);
    file.footer.links = file.compressed(&bytes)?;
    Ok(file.end())
}

struct File {
    bytes: Vec<u8>,
    footer: Footer,
    compressor: zstd::bulk::Compressor<'static>,
    /// The first trace of the block that is made.
    first: u32,
    /// The filters of the blocks that were made.
    filters: Vec<u8>,
}

impl File {
    fn new() -> std::io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(COMPRESSION)?;
        Ok(Self {
            bytes: MAGIC.to_vec(),
            footer: Footer::default(),
            compressor,
            first: 0,
            filters: Vec::new(),
        })
    }

    fn raw(&mut self, bytes: &[u8]) -> Place {
        let place = Place {
            offset: self.bytes.len() as u64,
            length: bytes.len() as u64,
            whole: 0,
            sum: crc32c::crc32c(bytes),
        };
        self.bytes.extend_from_slice(bytes);
        place
    }

    fn compressed(&mut self, bytes: &[u8]) -> std::io::Result<Place> {
        let smaller = self.compressor.compress(bytes)?;
        Ok(Place { whole: bytes.len() as u64, ..self.raw(&smaller) })
    }

    fn block(
        &mut self,
        writer: &mut BlockWriter,
        dictionary: &mut Builder,
        next: u32,
    ) -> std::io::Result<()> {
        let place = self.compressed(&writer.end())?;
        let filter = filter::build(&dictionary.end_block());
        let bytes = (self.filters.len() as u64, filter.len() as u64);
        self.filters.extend_from_slice(&filter);
        self.footer.blocks.push(BlockPlace { first: self.first, place, filter: bytes });
        self.first = next;
        Ok(())
    }

    fn columns(&mut self, writer: &BlockWriter, table: &[u8]) -> std::io::Result<()> {
        let filters = std::mem::take(&mut self.filters);
        self.footer.filters = self.raw(&filters);
        self.footer.pairs = self.raw(&writer.rows.pairs);
        self.footer.durations = self.raw(&writer.rows.durations);
        self.footer.errors = self.compressed(&writer.rows.errors)?;
        self.footer.table = self.compressed(table)?;
        Ok(())
    }

    /// The sorted ids, the place of each trace, and what is needed to look only where an id may be.
    fn ids(&mut self, mut lows: Vec<(u64, u32)>) {
        lows.sort_unstable();
        let hashes: Vec<_> = lows.iter().map(|it| filter::hash_id(it.0)).collect();
        self.footer.id_filter = self.raw(&filter::build(&hashes));
        self.footer.fences = lows.iter().step_by(FENCE_ENTRIES).map(|it| it.0).collect();
        let mut entries = Vec::with_capacity(lows.len() * 12);
        for (low, ordinal) in lows {
            entries.extend_from_slice(&low.to_le_bytes());
            entries.extend_from_slice(&ordinal.to_le_bytes());
        }
        self.footer.ids = self.raw(&entries);
    }

    fn end(mut self) -> Vec<u8> {
        let mut footer = Vec::new();
        self.footer.put(&mut footer);
        let place = self.raw(&footer);
        self.bytes.extend_from_slice(&place.offset.to_le_bytes());
        self.bytes.extend_from_slice(&place.sum.to_le_bytes());
        self.bytes.extend_from_slice(MAGIC);
        self.bytes
    }
}
