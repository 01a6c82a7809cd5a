//! Some blocks with the sources of their records: in memory until they are on disk, and then in a file.
//!
//! A file is its blocks' columns and texts, then their filters side by side, then a footer, which alone is
//! read when a store is opened. It never changes; what retention takes out of it is taken by writing it again
//! without, under the same name.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Timestamp;

use super::Source;
use super::batch::{put_source, take_source};
use super::block::{Block, Meta, Stored};
use super::rows::Bounds;
use super::token::{self, Need};
use crate::protobuf::{put_varint, varint};
use crate::segment;

/// What a file begins and ends with.
const MAGIC: &[u8; 8] = b"PELLOGS1";
/// Bytes behind the footer: its length, its checksum and the magic.
const TAIL_BYTES: usize = 16;
/// Bytes of a footer, at most: a hundred for each block and source there can be.
const FOOTER_BYTES_MAX: usize = 16 << 20;
/// The extension of the files.
pub(super) const EXTENSION: &str = "logs";

/// A service of an application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service {
    pub(super) application: String,
    pub(super) service: String,
}

impl Service {
    pub(super) fn of(source: &Source) -> Self {
        Self { application: source.application.clone(), service: source.service.clone() }
    }
}

/// Blocks and the dictionary of their sources.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) sources: Vec<Arc<Source>>,
    pub(super) services: Vec<Service>,
    pub(super) metas: Vec<Meta>,
    /// When it was sealed.
    pub(super) sealed_at: Timestamp,
    /// The position after the last it ever held: a log's records below are in it, or were.
    pub(super) next: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<Arc<Block>>),
    File { file: File, path: PathBuf, number: u64, bytes: u64, offsets: Vec<Offsets> },
}

/// Where a block's bytes begin: its columns, before its text; and its filter.
#[derive(Clone, Copy, Debug)]
struct Offsets {
    data: u64,
    bloom: u64,
}

/// The services of some sources, in the order they are first named, which is how blocks number them.
fn services_of(sources: &[Arc<Source>]) -> Vec<Service> {
    let mut seen = BTreeSet::new();
    let mut services = Vec::new();
    for source in sources {
        let service = Service::of(source);
        if seen.insert(service.clone()) {
            services.push(service);
        }
    }
    services
}

impl Part {
    /// Blocks that are in memory.
    pub(super) fn in_memory(
        sources: Vec<Arc<Source>>,
        blocks: Vec<Arc<Block>>,
        next: u64,
        sealed_at: Timestamp,
    ) -> Self {
        Self {
            services: services_of(&sources),
            sources,
            metas: blocks.iter().map(|it| it.meta).collect(),
            sealed_at,
            next,
            place: Place::Memory(blocks),
        }
    }

    /// Opens a file: reads its footer. The error says what is wrong with it.
    pub(super) fn open(path: &Path, number: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let damaged = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
        let mut tail = [0; TAIL_BYTES];
        let tail_at = bytes.checked_sub(TAIL_BYTES as u64).ok_or_else(|| damaged("it is cut"))?;
        file.read_exact_at(&mut tail, tail_at)?;
        let Some((length, rest)) = tail.split_first_chunk() else {
            return Err(damaged("it is cut"));
        };
        let Some((sum, magic)) = rest.split_first_chunk() else { return Err(damaged("it is cut")) };
        let length = u32::from_le_bytes(*length);
        if magic != MAGIC || tail_at < u64::from(length) || FOOTER_BYTES_MAX < length as usize {
            return Err(damaged("it has no footer"));
        }
        let mut footer = vec![0; length as usize];
        file.read_exact_at(&mut footer, tail_at - u64::from(length))?;
        if !(Stored { bytes: length, sum: u32::from_le_bytes(*sum) }).fits(&footer) {
            return Err(damaged("the footer does not fit its checksum"));
        }
        let footer = zstd::bulk::decompress(&footer, FOOTER_BYTES_MAX)?;
        let read = read_footer(&footer).ok_or_else(|| damaged("the footer makes no sense"))?;
        let offsets = offsets(&read.metas);
        Ok(Self {
            services: services_of(&read.sources),
            sources: read.sources,
            metas: read.metas,
            sealed_at: read.sealed_at,
            next: read.next,
            place: Place::File { file, path: path.to_owned(), number, bytes, offsets },
        })
    }

    /// Writes all blocks of which `keep` holds to the file with this number, and opens it.
    pub(super) fn write(
        &self,
        folder: &Path,
        number: u64,
        keep: &dyn Fn(usize) -> bool,
    ) -> io::Result<Self> {
        let kept: Vec<usize> = (0..self.metas.len()).filter(|it| keep(*it)).collect();
        let mut out = Vec::new();
        for block in &kept {
            out.extend_from_slice(&self.columns(*block)?);
            out.extend_from_slice(&self.text(*block)?);
        }
        for block in &kept {
            out.extend_from_slice(&self.bloom(*block)?);
        }
        let metas: Vec<Meta> = kept.iter().filter_map(|it| self.metas.get(*it)).copied().collect();
        let footer = zstd::bulk::compress(&self.footer(&metas), 3)?;
        out.extend_from_slice(&footer);
        out.extend_from_slice(&u32::try_from(footer.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&footer).to_le_bytes());
        out.extend_from_slice(MAGIC);
        let path = segment::path(folder, number, EXTENSION);
        segment::write(&path, &out)?;
        Self::open(&path, number)
    }

    fn footer(&self, metas: &[Meta]) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.sealed_at.as_millis());
        put_varint(&mut out, self.next);
        put_varint(&mut out, self.sources.len() as u64);
        for source in &self.sources {
            put_source(&mut out, source);
        }
        put_varint(&mut out, metas.len() as u64);
        for meta in metas {
            let (positions, times) = (meta.bounds.positions, meta.bounds.times);
            for number in [positions.0, positions.1, times.0, times.1] {
                put_varint(&mut out, number);
            }
            for number in [
                meta.service,
                meta.records,
                u32::from(meta.bounds.severities),
                meta.raw_bytes,
                meta.columns.bytes,
                meta.columns.sum,
                meta.text.bytes,
                meta.text.sum,
                meta.bloom_bytes,
            ] {
                put_varint(&mut out, u64::from(number));
            }
        }
        out
    }

    /// Bytes on disk, or of the blocks in memory.
    pub(super) fn bytes(&self) -> u64 {
        match &self.place {
            Place::Memory(_) => self.metas.iter().map(Meta::bytes).sum(),
            Place::File { bytes, .. } => *bytes,
        }
    }

    /// The number of its file.
    pub(super) const fn number(&self) -> Option<u64> {
        match &self.place {
            Place::Memory(_) => None,
            Place::File { number, .. } => Some(*number),
        }
    }

    /// Where its file is.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Memory(_) => None,
            Place::File { path, .. } => Some(path),
        }
    }

    /// The compressed columns of a block.
    pub(super) fn columns(&self, block: usize) -> io::Result<Vec<u8>> {
        let Some(meta) = self.metas.get(block) else { return Ok(Vec::new()) };
        self.read(block, |it| &it.columns, |it| it.data, meta.columns.bytes)
    }

    /// Its compressed rows.
    pub(super) fn text(&self, block: usize) -> io::Result<Vec<u8>> {
        let Some(meta) = self.metas.get(block) else { return Ok(Vec::new()) };
        let columns = u64::from(meta.columns.bytes);
        self.read(block, |it| &it.text, |it| it.data + columns, meta.text.bytes)
    }

    fn bloom(&self, block: usize) -> io::Result<Vec<u8>> {
        let Some(meta) = self.metas.get(block) else { return Ok(Vec::new()) };
        self.read(block, |it| &it.bloom, |it| it.bloom, meta.bloom_bytes)
    }

    fn read(
        &self,
        block: usize,
        of: impl Fn(&Block) -> &Vec<u8>,
        at: impl Fn(&Offsets) -> u64,
        bytes: u32,
    ) -> io::Result<Vec<u8>> {
        match &self.place {
            Place::Memory(blocks) => {
                Ok(blocks.get(block).map(|it| of(it).clone()).unwrap_or_default())
            }
            Place::File { file, offsets, .. } => {
                let mut read = vec![0; bytes as usize];
                if let Some(offsets) = offsets.get(block) {
                    file.read_exact_at(&mut read, at(offsets))?;
                }
                Ok(read)
            }
        }
    }

    /// Whether a block may meet all these needs: for each word, one short read.
    pub(super) fn may_meet(&self, block: usize, needs: &[Need]) -> io::Result<bool> {
        for need in needs {
            if !need.may_be_met(|word| self.may_have(block, word))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn may_have(&self, block: usize, word: u64) -> io::Result<bool> {
        let Some(meta) = self.metas.get(block) else { return Ok(false) };
        let start = token::part_of(word, meta.bloom_bytes as usize);
        match &self.place {
            Place::Memory(blocks) => {
                let bloom = blocks.get(block).map(|it| it.bloom.as_slice()).unwrap_or_default();
                let part = bloom.get(start..start + token::PART_BYTES).unwrap_or_default();
                Ok(token::may_contain(part, word))
            }
            Place::File { file, offsets, .. } => {
                let Some(offsets) = offsets.get(block) else { return Ok(false) };
                let mut part = [0; token::PART_BYTES];
                file.read_exact_at(&mut part, offsets.bloom + start as u64)?;
                Ok(token::may_contain(&part, word))
            }
        }
    }
}

/// Data stands in order, and behind it the filters in the same order.
fn offsets(metas: &[Meta]) -> Vec<Offsets> {
    let data_of = |it: &Meta| u64::from(it.columns.bytes) + u64::from(it.text.bytes);
    let mut next = Offsets { data: 0, bloom: metas.iter().map(data_of).sum() };
    let mut offsets = Vec::with_capacity(metas.len());
    for meta in metas {
        offsets.push(next);
        next.data += data_of(meta);
        next.bloom += u64::from(meta.bloom_bytes);
    }
    offsets
}

struct Footer {
    sealed_at: Timestamp,
    next: u64,
    sources: Vec<Arc<Source>>,
    metas: Vec<Meta>,
}

fn read_footer(mut bytes: &[u8]) -> Option<Footer> {
    let bytes = &mut bytes;
    let sealed_at = Timestamp::from_millis(varint(bytes).ok()?);
    let next = varint(bytes).ok()?;
    let mut sources = Vec::new();
    for _ in 0..varint(bytes).ok()? {
        sources.push(Arc::new(take_source(bytes)?));
    }
    let mut metas = Vec::new();
    for _ in 0..varint(bytes).ok()? {
        metas.push(read_meta(bytes)?);
    }
    bytes.is_empty().then_some(Footer { sealed_at, next, sources, metas })
}

fn read_meta(bytes: &mut &[u8]) -> Option<Meta> {
    let mut long = || varint(bytes).ok();
    let positions = (long()?, long()?);
    let times = (long()?, long()?);
    let mut short = || u32::try_from(varint(bytes).ok()?).ok();
    let (service, records) = (short()?, short()?);
    let severities = u8::try_from(short()?).ok()?;
    Some(Meta {
        service,
        records,
        bounds: Bounds { positions, times, severities },
        raw_bytes: short()?,
        columns: Stored { bytes: short()?, sum: short()? },
        text: Stored { bytes: short()?, sum: short()? },
        bloom_bytes: short()?,
    })
}
