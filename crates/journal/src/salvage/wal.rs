//! The write-ahead log, walked as SQLite does on recovery but without changing anything.
//!
//! A frame counts when its salts are those of the log's header and its running checksum holds, and
//! it is *committed* when a later frame (or itself) is a commit. What follows the last commit with
//! the same salts is a transaction that was cut short; with other salts it is rubbish from an
//! earlier round. See <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};

use super::pages::PAGE_BYTES;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const FRAME_BYTES: usize = FRAME_HEADER_BYTES + PAGE_BYTES;

/// The magic number; its last bit says that checksums are over big-endian words.
const MAGIC: u32 = 0x377f_0682;

/// What a log holds.
#[derive(Debug, Default)]
pub(crate) struct Wal {
    /// Where the newest committed image of each page starts in the log.
    pub(crate) committed: BTreeMap<u32, u64>,
    /// The pages of the whole database after the last commit.
    pub(crate) pages: Option<u32>,
    /// Bytes after the last commit that belong to this round of the log.
    pub(crate) incomplete_bytes: u64,
}

impl Wal {
    /// Walks a log to its end.
    pub(crate) fn read(file: &File) -> io::Result<Self> {
        let mut wal = Self::default();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut header = [0_u8; HEADER_BYTES];
        let bytes = fill(&mut reader, &mut header)?;
        let Some(mut chain) = Chain::start(&header).filter(|_| bytes == HEADER_BYTES) else {
            wal.incomplete_bytes = file.metadata()?.len();
            return Ok(wal);
        };
        let mut pending = Vec::new();
        let mut position = HEADER_BYTES as u64;
        let mut frame = vec![0_u8; FRAME_BYTES];
        loop {
            let bytes = fill(&mut reader, &mut frame)?;
            let whole = bytes == FRAME_BYTES;
            if bytes == 0 || (whole && !chain.is_of_this_round(&frame)) {
                return Ok(wal);
            }
            wal.incomplete_bytes += bytes as u64;
            if !whole {
                return Ok(wal);
            }
            chain.advance(&frame);
            if chain.intact {
                pending.push((word(&frame, 0), position + FRAME_HEADER_BYTES as u64));
                let pages = word(&frame, 4);
                if pages != 0 {
                    wal.committed.extend(pending.drain(..));
                    wal.pages = Some(pages);
                    wal.incomplete_bytes = 0;
                }
            }
            position += FRAME_BYTES as u64;
        }
    }
}

/// The running checksum and what it must agree with.
struct Chain {
    salts: [u8; 8],
    /// How the words that are summed are stored.
    read: fn([u8; 4]) -> u32,
    sum: (u32, u32),
    intact: bool,
}

impl Chain {
    fn start(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let read = match word(header, 0) {
            MAGIC => u32::from_le_bytes,
            number if number == MAGIC | 1 => u32::from_be_bytes,
            _ => return None,
        };
        let sum = add(read, (0, 0), header.get(..24)?);
        let salts = header.get(16..24)?.try_into().ok()?;
        let right = sum == (word(header, 24), word(header, 28));
        let sized = word(header, 8) as usize == PAGE_BYTES;
        (right && sized).then_some(Self { salts, read, sum, intact: true })
    }

    fn is_of_this_round(&self, frame: &[u8]) -> bool {
        frame.get(8..16) == Some(self.salts.as_slice())
    }

    fn advance(&mut self, frame: &[u8]) {
        let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
        let sum = add(self.read, self.sum, head.get(..8).unwrap_or_default());
        self.sum = add(self.read, sum, page);
        self.intact &= self.sum == (word(head, 16), word(head, 20));
    }
}

fn add(read: fn([u8; 4]) -> u32, (mut first, mut second): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let (left, right) = pair.split_at(4);
        first = first.wrapping_add(read(left.try_into().unwrap_or_default())).wrapping_add(second);
        second =
            second.wrapping_add(read(right.try_into().unwrap_or_default())).wrapping_add(first);
    }
    (first, second)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    u32::from_be_bytes(four.unwrap_or_default())
}

/// Reads until `buffer` is full or the file ends; returns how much was read.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
