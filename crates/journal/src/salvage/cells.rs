//! One row from the bytes of a table leaf page and its overflow pages.
//!
//! Every number comes from a file that may be damaged, so each is checked before it is used and a
//! row that does not add up is no row. The checksum decides whether one that does is an entry. See
//! <https://www.sqlite.org/fileformat2.html#b_tree_pages>.

use std::io;

use model::{Index, Timestamp};

use super::pages::{PAGE_BYTES, Page, Pages, Source};
use crate::entry::{EntryRef, MAX_BODY_BYTES, MAX_KIND_BYTES, Record};

/// The first byte of a page that holds rows of a table.
const TABLE_LEAF: u8 = 0x0d;
/// The most payload that stays in the leaf, and the least when it does not.
const MAX_LOCAL: usize = PAGE_BYTES - 35;
const MIN_LOCAL: usize = (PAGE_BYTES - 12) * 32 / 255 - 23;
/// Payload in an overflow page, after the number of the next one.
const OVERFLOW: usize = PAGE_BYTES - 4;
/// The largest payload an entry can have: its body, its kind, and room for the numbers.
const MAX_PAYLOAD: usize = MAX_BODY_BYTES + MAX_KIND_BYTES + 256;

/// A row with its payload in one piece.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) rowid: i64,
    payload: Vec<u8>,
}

/// How many cells a page claims to have; none unless it is a table leaf.
pub(crate) fn leaf_cells(page: &Page) -> u16 {
    match page {
        [TABLE_LEAF, _, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

impl Row {
    /// Reads the given cell of a leaf, following overflow pages in `source`.
    pub(crate) fn read(
        pages: &Pages,
        page: &Page,
        cell: u16,
        source: Source,
    ) -> io::Result<Option<Self>> {
        let Some(cell) = Cell::find(page, cell) else { return Ok(None) };
        let overflow_bytes = cell.payload_bytes - cell.local.len();
        if pages.count() < overflow_bytes.div_ceil(OVERFLOW) {
            // Only in circles could there be so many.
            return Ok(None);
        }
        let mut payload = cell.local.to_vec();
        let mut next = cell.overflow;
        while payload.len() < cell.payload_bytes {
            let Some(page) = pages.read(next, source)? else { return Ok(None) };
            let (link, content) = page.split_at(PAGE_BYTES - OVERFLOW);
            let wanted = (cell.payload_bytes - payload.len()).min(OVERFLOW);
            payload.extend_from_slice(content.get(..wanted).unwrap_or_default());
            next = u32::from_be_bytes(link.try_into().unwrap_or_default());
        }
        Ok(Some(Self { rowid: cell.rowid, payload }))
    }

    /// The row as an entry, if its checksum holds.
    pub(crate) fn record(&self) -> Option<Record<'_>> {
        let mut rest = self.payload.as_slice();
        let header_bytes = usize::try_from(varint(&mut rest)?).ok()?;
        let consumed = self.payload.len() - rest.len();
        let mut types = self.payload.get(consumed..header_bytes)?;
        let mut values = self.payload.get(header_bytes..)?;
        let index = u64::try_from(self.rowid).ok()?;
        if varint(&mut types)? != 0 {
            return None;
        }
        let follows = match varint(&mut types)? {
            0 => index.checked_sub(1)?,
            kind => integer(kind, &mut values)?,
        };
        let at = integer(varint(&mut types)?, &mut values)?;
        let kind_bytes = varint(&mut types)?.checked_sub(13).filter(|odd| odd % 2 == 0)? / 2;
        let kind = str::from_utf8(take(&mut values, kind_bytes)?).ok()?;
        let crc = integer(varint(&mut types)?, &mut values)?;
        let body_bytes = varint(&mut types)?.checked_sub(12).filter(|even| even % 2 == 0)? / 2;
        let body = take(&mut values, body_bytes)?;
        let at = Timestamp::from_millis(at);
        let entry = EntryRef { index: Index(index), at, kind, body };
        let record = Record { entry, follows, crc: u32::try_from(crc).ok()? };
        record.is_intact().then_some(record)
    }
}

/// A cell as it lies in its page.
struct Cell<'a> {
    rowid: i64,
    payload_bytes: usize,
    local: &'a [u8],
    overflow: u32,
}

impl<'a> Cell<'a> {
    fn find(page: &'a Page, number: u16) -> Option<Self> {
        let pointer = 8 + 2 * usize::from(number);
        let offset = u16::from_be_bytes(page.get(pointer..pointer + 2)?.try_into().ok()?);
        let mut rest = page.get(usize::from(offset)..)?;
        let payload_bytes = usize::try_from(varint(&mut rest)?).ok()?;
        if payload_bytes > MAX_PAYLOAD {
            return None;
        }
        let rowid = varint(&mut rest)?.cast_signed();
        let local_bytes = local_bytes(payload_bytes);
        let local = rest.get(..local_bytes)?;
        let overflow = if local_bytes < payload_bytes {
            u32::from_be_bytes(rest.get(local_bytes..local_bytes + 4)?.try_into().ok()?)
        } else {
            0
        };
        Some(Self { rowid, payload_bytes, local, overflow })
    }
}

fn local_bytes(payload_bytes: usize) -> usize {
    if payload_bytes <= MAX_LOCAL {
        return payload_bytes;
    }
    let wanted = MIN_LOCAL + (payload_bytes - MIN_LOCAL) % OVERFLOW;
    if wanted <= MAX_LOCAL { wanted } else { MIN_LOCAL }
}

/// SQLite's variable-length integer: seven bits a byte, the ninth byte whole.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for position in 0..9 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if position == 8 {
            return Some(value << 8 | u64::from(*byte));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A stored integer of the given serial type; ours are never negative.
fn integer(kind: u64, values: &mut &[u8]) -> Option<u64> {
    let bytes = match kind {
        8 => return Some(0),
        9 => return Some(1),
        1..=4 => kind,
        5 => 6,
        6 => 8,
        _ => return None,
    };
    let stored = take(values, bytes)?;
    if stored.first()? & 0x80 != 0 {
        return None;
    }
    Some(stored.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(count).ok()?)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_length() {
        for (bytes, value) in [
            (&[0x00_u8][..], 0),
            (&[0x7f], 127),
            (&[0x81, 0x00], 128),
            (&[0xff, 0x7f], 16_383),
            (&[0xff; 9], u64::MAX),
        ] {
            let mut rest = bytes;
            assert_eq!(varint(&mut rest), Some(value));
            assert!(rest.is_empty());
            let mut cut = &bytes[..bytes.len() - 1];
            assert_eq!(varint(&mut cut), None);
        }
    }

    /// A damaged link may lead back to its own page.
    #[test]
    fn a_chain_of_pages_ends() {
        let mut page: Page = [0; PAGE_BYTES];
        // One cell at byte 100: 16 383 bytes of payload, row 1, and page 2 behind its local part.
        page[..5].copy_from_slice(&[TABLE_LEAF, 0, 0, 0, 1]);
        page[8..10].copy_from_slice(&100_u16.to_be_bytes());
        page[100..103].copy_from_slice(&[0xff, 0x7f, 1]);
        let link = 103 + local_bytes(16_383);
        page[link..link + 4].copy_from_slice(&2_u32.to_be_bytes());
        let mut circle: Page = [0; PAGE_BYTES];
        circle[..4].copy_from_slice(&2_u32.to_be_bytes());
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("main");
        let read = |pages: usize| {
            std::fs::write(&main, [&page[..], &circle.repeat(pages - 1)].concat()).unwrap();
            let pages = Pages::open(&main, &folder.path().join("log")).unwrap();
            Row::read(&pages, &page, 0, Source::Main).unwrap().map(|row| row.rowid)
        };
        assert_eq!(read(3), None);
        assert_eq!(read(4), Some(1));
    }

    #[test]
    fn the_local_part_is_what_sqlite_says() {
        // https://www.sqlite.org/fileformat2.html#b_tree_pages with U = 4096.
        assert_eq!(local_bytes(4061), 4061);
        assert_eq!(local_bytes(4062), 489);
        assert_eq!(local_bytes(489 + 4092), 489);
        assert_eq!(local_bytes(489 + 4092 + 3572), 4061);
        assert_eq!(local_bytes(489 + 4092 + 3573), 489);
    }
}
