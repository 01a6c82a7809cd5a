//! What the journal stores: numbered, dated, checksummed bytes with a kind.
//!
//! The journal never looks into a body and gives no meaning to a kind. Each stored entry also
//! says which entry it *follows*: the one before it, except after a loss, when numbers were skipped
//! so that none is ever used twice. That makes a hole visible to whoever reads across it.

use std::borrow::Cow;

use model::{Index, Timestamp};

/// The longest kind, in bytes: a dotted word or two.
pub const MAX_KIND_BYTES: usize = 256;

/// The longest body of one entry, in bytes. An event is a fact, not a file.
pub const MAX_BODY_BYTES: usize = 16 << 20;

/// The last index there can be: SQLite's integers are signed.
pub(crate) const INDEX_MAX: u64 = i64::MAX.cast_unsigned();

/// An entry to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// When it happened; stored no earlier than the entry before it, unless the clock was set back.
    pub at: Timestamp,
    /// Whether it says that the clock was set: its time counts from here on, also if it is earlier.
    pub sets_clock: bool,
    /// What the caller calls this sort of entry.
    pub kind: Cow<'static, str>,
    /// What the caller stored.
    pub body: Vec<u8>,
}

/// An entry as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number; consecutive unless entries were lost (see [`crate::Damage`]).
    pub index: Index,
    /// When it happened; never earlier than the entry before it, unless that entry was told to set the clock back.
    pub at: Timestamp,
    /// What the caller called this sort of entry.
    pub kind: Cow<'static, str>,
    /// What the caller stored.
    pub body: Vec<u8>,
}

/// An entry as stored, borrowed from the page it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// Its number.
    pub index: Index,
    /// When it happened.
    pub at: Timestamp,
    /// What the caller called this sort of entry.
    pub kind: &'a str,
    /// What the caller stored.
    pub body: &'a [u8],
}

impl EntryRef<'_> {
    /// A copy that lives on.
    pub fn to_entry(self) -> Entry {
        Entry {
            index: self.index,
            at: self.at,
            kind: Cow::Owned(self.kind.to_owned()),
            body: self.body.to_vec(),
        }
    }
}

/// What the journal holds. Empty when `first > last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first entry kept.
    pub first: Index,
    /// The last index used. The last entry has it, unless entries were lost at the end: numbers
    /// that were given out are not given out again.
    pub last: Index,
}

impl Bounds {
    /// Whether no entry is kept.
    pub fn is_empty(self) -> bool {
        self.first > self.last
    }
}

/// An entry with what protects it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) entry: EntryRef<'a>,
    /// The entry, or snapshot, whose state this one continues.
    pub(crate) follows: u64,
    pub(crate) crc: u32,
}

impl Record<'_> {
    pub(crate) fn is_intact(&self) -> bool {
        checksum(self.follows, &self.entry) == self.crc
    }
}

/// CRC-32 over everything an entry says, lengths included so that bytes cannot change fields.
pub(crate) fn checksum(follows: u64, entry: &EntryRef<'_>) -> u32 {
    let mut head = [0_u8; 32];
    for (slot, number) in head.chunks_exact_mut(8).zip([
        entry.index.0,
        follows,
        entry.at.as_millis(),
        entry.kind.len() as u64,
    ]) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    hasher.update(entry.kind.as_bytes());
    hasher.update(entry.body);
    hasher.finalize()
}
