//! The first hundred bytes of the file: is this a journal, and of which format.
//!
//! The format version is in two places (`application_id` and `user_version`), so that one flipped
//! bit is not taken for a newer Pelago. Every field that never changes in a journal is compared.
//! Refuses to guess: what is neither ours nor another program's is *broken*.

use super::pages::{PAGE_BYTES, Page};

/// `PRAGMA application_id` without its last byte, which is the format version: "PLJ".
const APPLICATION: [u8; 3] = *b"PLJ";

/// The format this code writes, and the newest it reads.
pub(crate) const FORMAT: u8 = 1;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// A journal of this format, of so many pages.
    Journal { pages: u32 },
    /// A journal of a later format.
    Newer { format: u8 },
    /// Another program's, if nothing else shows that it is a journal.
    Foreign,
    /// A journal's, cut or changed.
    Broken,
}

impl Header {
    /// Reads the header from the first page, of which `bytes` are in the file.
    pub(crate) fn read(page: &Page, bytes: u64) -> Self {
        let [_, _, _, version] = field(page, 68);
        if page.starts_with(MAGIC)
            && field(page, 68) == [APPLICATION[0], APPLICATION[1], APPLICATION[2], version]
            && field(page, 60) == [0, 0, 0, version]
        {
            if version > FORMAT {
                return Self::Newer { format: version };
            }
            let counter_is_valid = field(page, 24) == field(page, 92);
            if version == FORMAT && has_fixed_fields(page) && counter_is_valid {
                return Self::Journal { pages: u32::from_be_bytes(field(page, 28)) };
            }
            return Self::Broken;
        }
        let there = usize::try_from(bytes).map_or(MAGIC.len(), |bytes| bytes.min(MAGIC.len()));
        let is_sqlite = page.get(..there) == MAGIC.get(..there);
        if is_sqlite && bytes < PAGE_BYTES as u64 { Self::Broken } else { Self::Foreign }
    }
}

/// The number for `PRAGMA application_id`.
pub(crate) fn application_id() -> i32 {
    i32::from_be_bytes([APPLICATION[0], APPLICATION[1], APPLICATION[2], FORMAT])
}

/// Page size 4096, write-ahead log, nothing reserved, fixed fractions, schema format 4, no default
/// cache size, no vacuum, UTF-8, nothing in the space for extensions.
fn has_fixed_fields(page: &Page) -> bool {
    page.get(16..24) == Some(&[16, 0, 2, 2, 0, 64, 32, 32])
        && field(page, 44) == [0, 0, 0, 4]
        && page.get(48..60) == Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
        && field(page, 64) == [0; 4]
        && page.get(72..92) == Some(&[0; 20])
}

fn field(page: &Page, at: usize) -> [u8; 4] {
    page.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}
