//! The samples of some time, in a file that never changes.
//!
//! ```text
//! magic | frames of chunks, compressed | index, compressed | footer
//! ```
//!
//! The index has the texts that occur in labels, each once; the series, sorted by their labels, with the places
//! of their chunks; and for every label the series that have it. It is read for every question and not kept, so that
//! a store with many blocks needs little memory: reading one is as quick as unpacking it. Frames are unpacked one
//! after the other, as series that are asked for together lie together.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use promql::{Labels, Matcher};

use super::chunk::{self, Samples};
use super::index::{Index, IndexWriter, Place};
use super::postings;
use crate::protobuf::ProtobufError;

const MAGIC: &[u8; 8] = b"PLGMET01";
/// Bytes of chunks compressed together. Larger compresses better and makes a question for one series
/// dearer.
const FRAME_BYTES: usize = 64 << 10;
/// Bytes of an index, at most: unpacking a damaged one must not take all memory.
const INDEX_BYTES_MAX: u64 = 1 << 30;
const LEVEL: i32 = 1;
const FOOTER_BYTES: u64 = 52;

/// Writes a block, series by series in the order of their labels.
#[derive(Debug)]
pub(super) struct BlockWriter {
    out: Vec<u8>,
    frame: Vec<u8>,
    index: IndexWriter,
    from_ms: i64,
    to_ms: i64,
    samples: u64,
}

impl BlockWriter {
    pub(super) fn new() -> Self {
        Self {
            out: MAGIC.to_vec(),
            frame: Vec::new(),
            index: IndexWriter::default(),
            from_ms: i64::MAX,
            to_ms: i64::MIN,
            samples: 0,
        }
    }

    /// Adds a series, which comes after those added before, with all its samples.
    pub(super) fn add(&mut self, labels: &Labels, samples: &Samples) -> io::Result<()> {
        let mut places = Vec::new();
        let whole = samples.times.chunks(super::CHUNK_SAMPLES_MAX);
        for (times, values) in whole.zip(samples.values.chunks(super::CHUNK_SAMPLES_MAX)) {
            let (Some(first), Some(last)) = (times.first(), times.last()) else { continue };
            let start = self.frame.len();
            let part = Samples { times: times.to_vec(), values: values.to_vec() };
            chunk::close(&part, &mut self.frame);
            places.push(Place {
                frame: self.out.len() as u64,
                start: u32::try_from(start).unwrap_or(u32::MAX),
                length: u32::try_from(self.frame.len() - start).unwrap_or(u32::MAX),
                from_ms: *first,
                to_ms: *last,
            });
            self.from_ms = self.from_ms.min(*first);
            self.to_ms = self.to_ms.max(*last);
            self.samples += times.len() as u64;
            if FRAME_BYTES <= self.frame.len() {
                self.end_frame()?;
            }
        }
        self.index.add(labels, &places);
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        let packed = zstd::bulk::compress(&self.frame, LEVEL)?;
        for length in [packed.len(), self.frame.len()] {
            self.out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        }
        self.out.extend_from_slice(&crc32c::crc32c(&packed).to_le_bytes());
        self.out.extend_from_slice(&packed);
        self.frame.clear();
        Ok(())
    }

    /// The whole file.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.frame.is_empty() {
            self.end_frame()?;
        }
        let index_at = self.out.len() as u64;
        let index = self.index.finish();
        let packed = zstd::bulk::compress(&index, LEVEL)?;
        self.out.extend_from_slice(&packed);
        let mut footer = Vec::new();
        for number in [index_at, packed.len() as u64, index.len() as u64] {
            footer.extend_from_slice(&number.to_le_bytes());
        }
        footer.extend_from_slice(&self.from_ms.to_le_bytes());
        footer.extend_from_slice(&self.to_ms.to_le_bytes());
        footer.extend_from_slice(&self.samples.to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&footer), &packed);
        footer.extend_from_slice(&sum.to_le_bytes());
        self.out.extend_from_slice(&footer);
        Ok(self.out)
    }
}

/// A block that can be read.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// The earliest sample.
    pub(super) from_ms: i64,
    /// The latest.
    pub(super) to_ms: i64,
    pub(super) samples: u64,
    file: File,
    index_at: u64,
    packed: u64,
    unpacked: u64,
    sum: u32,
    footer: [u8; 48],
}

impl Block {
    /// Opens a block; only its footer is read. What is wrong with it is said in the error's text.
    pub(super) fn open(path: &Path, number: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let at = bytes.checked_sub(FOOTER_BYTES).ok_or_else(|| damaged("it is too short"))?;
        let mut magic = [0; 8];
        file.read_exact_at(&mut magic, 0)?;
        if &magic != MAGIC {
            return Err(damaged("it is no block of metrics"));
        }
        let mut footer = [0; 48];
        file.read_exact_at(&mut footer, at)?;
        let mut sum = [0; 4];
        file.read_exact_at(&mut sum, at + 48)?;
        let mut numbers = footer.as_chunks::<8>().0.iter().map(|it| u64::from_le_bytes(*it));
        let mut next = || numbers.next().unwrap_or(0);
        let (index_at, packed, unpacked) = (next(), next(), next());
        let (from_ms, to_ms, samples) = (next().cast_signed(), next().cast_signed(), next());
        let sum = u32::from_le_bytes(sum);
        if index_at.checked_add(packed) != Some(at) || INDEX_BYTES_MAX < unpacked {
            return Err(damaged("its end does not fit"));
        }
        let path = path.to_owned();
        #[rustfmt::skip]
        let block = Self {
            path, number, bytes, from_ms, to_ms, samples, file, index_at, packed, unpacked, sum, footer,
        };
        Ok(block)
    }

    /// Reads the index, and checks it.
    pub(super) fn index(&self) -> io::Result<Index> {
        let mut packed = vec![0; usize::try_from(self.packed).unwrap_or(0)];
        self.file.read_exact_at(&mut packed, self.index_at)?;
        if crc32c::crc32c_append(crc32c::crc32c(&self.footer), &packed) != self.sum {
            return Err(damaged("its index does not fit its checksum"));
        }
        let unpacked = usize::try_from(self.unpacked).unwrap_or(0);
        let bytes = zstd::bulk::decompress(&packed, unpacked)?;
        Index::read(bytes).map_err(|it| damaged(&format!("its index cannot be read: {it}")))
    }

    /// Hands out every series that fits, in the order of their labels, with its samples between two times, both among them.
    pub(super) fn select(
        &self,
        matchers: &[Matcher],
        range: (i64, i64),
        visit: &mut dyn FnMut(Labels, &mut Samples) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let mut reader = self.reader(matchers, range)?;
        let mut samples = Samples::default();
        while let Some(labels) = reader.next(&mut samples)? {
            if visit(labels, &mut samples).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Begins to read what [`select`](Self::select) hands out.
    pub(super) fn reader(&self, matchers: &[Matcher], range: (i64, i64)) -> io::Result<Reader<'_>> {
        let index = self.index()?;
        let numbers = postings::fitting(&index, matchers).into_iter();
        Ok(Reader { block: self, index, numbers, range, frame: Frame::default() })
    }

    /// Hands every series with all its samples to `visit`.
    pub(super) fn visit_all(
        &self,
        visit: &mut dyn FnMut(Labels, &mut Samples) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.select(&[], (i64::MIN, i64::MAX), visit)
    }
}

/// Whoever reads series of a block one by one, in the order of their labels.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    block: &'a Block,
    index: Index,
    numbers: std::vec::IntoIter<u32>,
    range: (i64, i64),
    frame: Frame,
}

impl Reader<'_> {
    /// The next series that has samples, which are put into `samples`.
    pub(super) fn next(&mut self, samples: &mut Samples) -> io::Result<Option<Labels>> {
        let (from_ms, to_ms) = self.range;
        for number in self.numbers.by_ref() {
            let series = self.index.entry(number).map_err(broken)?;
            samples.clear();
            let places = series.places.iter();
            for place in places.filter(|it| it.from_ms <= to_ms && from_ms <= it.to_ms) {
                let chunk = self.frame.chunk(self.block, place)?;
                chunk::open(chunk, samples).map_err(broken)?;
            }
            trim(samples, from_ms, to_ms);
            if !samples.is_empty() {
                return Ok(Some(series.labels));
            }
        }
        samples.clear();
        Ok(None)
    }
}

/// Leaves of samples those between two times.
pub(super) fn trim(samples: &mut Samples, from_ms: i64, to_ms: i64) {
    let end = samples.times.partition_point(|it| *it <= to_ms);
    samples.times.truncate(end);
    samples.values.truncate(end);
    let start = samples.times.partition_point(|it| *it < from_ms);
    if 0 < start {
        samples.times.drain(..start);
        samples.values.drain(..start);
    }
}

/// The frame that was unpacked last.
#[derive(Debug, Default)]
struct Frame {
    at: Option<u64>,
    bytes: Vec<u8>,
}

impl Frame {
    fn chunk(&mut self, block: &Block, place: &Place) -> io::Result<&[u8]> {
        if self.at != Some(place.frame) {
            self.at = None;
            let mut head = [0; 12];
            block.file.read_exact_at(&mut head, place.frame)?;
            let mut numbers = head.as_chunks::<4>().0.iter().map(|it| u32::from_le_bytes(*it));
            let mut next = || numbers.next().unwrap_or(0);
            let (packed, unpacked, sum) = (next() as usize, next() as usize, next());
            if block.bytes < packed as u64 || INDEX_BYTES_MAX < unpacked as u64 {
                return Err(damaged("a frame's length does not fit"));
            }
            let mut bytes = vec![0; packed];
            block.file.read_exact_at(&mut bytes, place.frame + 12)?;
            if crc32c::crc32c(&bytes) != sum {
                return Err(damaged("a frame does not fit its checksum"));
            }
            self.bytes = zstd::bulk::decompress(&bytes, unpacked)?;
            self.at = Some(place.frame);
        }
        let (start, length) = (place.start as usize, place.length as usize);
        let chunk = self.bytes.get(start..).and_then(|it| it.get(..length));
        chunk.ok_or_else(|| damaged("a chunk is not where it should be"))
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn broken(error: ProtobufError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment;

    fn series(number: i64) -> (Labels, Samples) {
        let text = format!("{number:04}");
        let labels = Labels::of([
            ("__name__", "x"),
            ("n", &text),
            ("even", if number % 2 == 0 { "y" } else { "" }),
        ]);
        let times = (0..700).map(|it| it * 1_000 + number).collect();
        let values = (0..700).map(|it| f64::from(it) * 0.5).collect();
        (labels, Samples { times, values })
    }

    fn block(folder: &Path, count: i64) -> PathBuf {
        let mut writer = BlockWriter::new();
        for number in 0..count {
            let (labels, samples) = series(number);
            writer.add(&labels, &samples).unwrap();
        }
        let path = segment::path(folder, 1, "block");
        segment::write(&path, &writer.finish().unwrap()).unwrap();
        path
    }

    #[test]
    fn series_come_back_with_the_samples_of_the_time_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let block = Block::open(&block(folder.path(), 300), 1).unwrap();
        assert_eq!((block.from_ms, block.to_ms), (0, 699_299));
        assert_eq!(block.samples, 210_000);
        let mut found = 0;
        let matchers = [Matcher::equal("even", "y")];
        block
            .select(&matchers, (510_000, 515_010), &mut |labels, samples| {
                let (expected, mut all) = series(found * 2);
                trim(&mut all, 510_000, 515_010);
                assert_eq!((&labels, &*samples), (&expected, &all));
                assert!(samples.len() <= 6 && 4 < samples.len());
                found += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(found, 150);
    }

    /// Whichever byte is changed: what is read is right or refused.
    #[test]
    fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = block(folder.path(), 3);
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let Ok(block) = Block::open(&path, 1) else { continue };
            let mut number = 0;
            let read = block.visit_all(&mut |labels, samples| {
                assert_eq!((&labels, &*samples), (&series(number).0, &series(number).1));
                number += 1;
                ControlFlow::Continue(())
            });
            assert!(read.is_err() || number == 3, "{place} of {}", whole.len());
        }
    }
}
