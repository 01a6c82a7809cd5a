//! The last index anybody was told about, and how far retention deleted, in a 24-byte file of its
//! own.
//!
//! Written after a commit is durable and before its callers hear of it, so it is never ahead of
//! what was safely stored. It is not synced on each write (a power cut may leave it behind, never
//! ahead), so it costs a microsecond. Its uses: a journal that ends before it has lost acknowledged
//! entries, even when the cut fell exactly between two transactions; no index is given out twice
//! after such a loss; and what was deleted on purpose is not reported as lost. An unreadable file
//! says nothing and is replaced: it is a second witness, not the truth.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use host::files::{Kind, set_aside_unless};

use crate::entry::INDEX_MAX;

/// Distinguishes the file from others and versions its format.
const MAGIC: &[u8; 4] = b"PHW1";

/// Magic, two numbers, a CRC-32 over these.
const BYTES: usize = 24;

/// What the file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The last index anybody was told about.
    pub(crate) acknowledged: u64,
    /// Entries up to here were deleted.
    pub(crate) retained: u64,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct HighWater {
    file: File,
}

impl HighWater {
    /// Opens or makes the file and returns what it says, if it can be believed. What is no file is moved out of its way.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Option<Marks>)> {
        set_aside_unless(path, Kind::File)?;
        let file =
            OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path)?;
        let mut bytes = [0_u8; BYTES];
        let said = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((Self { file }, said))
    }

    /// Replaces what the file says.
    pub(crate) fn set(&self, marks: Marks) -> io::Result<()> {
        self.file.write_all_at(&encode(marks), 0)
    }

    /// Makes the last note durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn encode(marks: Marks) -> [u8; BYTES] {
    let mut bytes = [0_u8; BYTES];
    let (start, crc) = bytes.split_at_mut(BYTES - 4);
    let (magic, numbers) = start.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    for (slot, number) in numbers.chunks_exact_mut(8).zip([marks.acknowledged, marks.retained]) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
    crc.copy_from_slice(&crc32fast::hash(start).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; BYTES]) -> Option<Marks> {
    let number = |at: usize| {
        let number = u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?);
        (number <= INDEX_MAX).then_some(number)
    };
    let marks = Marks { acknowledged: number(4)?, retained: number(12)? };
    (encode(marks) == *bytes).then_some(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_not_believed() {
        let marks = Marks { acknowledged: 1_234_567, retained: 4_321 };
        let bytes = encode(marks);
        assert_eq!(decode(&bytes), Some(marks));
        for bit in 0..BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
        let impossible = Marks { acknowledged: INDEX_MAX + 1, ..marks };
        assert_eq!(decode(&encode(impossible)), None);
    }

    #[test]
    fn issue_12_what_is_no_file_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("high-water");
        std::fs::create_dir(&path).unwrap();
        let (_, said) = HighWater::open(&path).unwrap();
        assert_eq!(said, None);
        assert!(folder.path().join("high-water.damaged").is_dir());
    }

    #[test]
    fn an_empty_file_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("high-water");
        let (file, said) = HighWater::open(&path).unwrap();
        assert_eq!(said, None);
        let marks = Marks { acknowledged: 7, retained: 3 };
        file.set(marks).unwrap();
        assert_eq!(HighWater::open(&path).unwrap().1, Some(marks));
    }
}
