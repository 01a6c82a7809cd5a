//! Records of one service in memory: the block that grows, and a sealed one that was read.

use super::Severity;
use super::token::{self, WordSet};

/// What a record says beside its text. Sources are numbers in a dictionary of the part it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number in the store: records that came later have higher ones.
    pub(super) position: u64,
    /// When, in microseconds since 1970.
    pub(super) at_us: u64,
    /// Its trace, or 0: no trace has that id.
    pub(super) trace: u128,
    /// Its span, or 0.
    pub(super) span: u64,
    /// Where its row ends.
    pub(super) end: u32,
    /// By whom.
    pub(super) source: u32,
    /// How grave.
    pub(super) severity: Option<Severity>,
    /// Whether its text names trace and span, which then need not be kept beside it.
    pub(super) ids_in_text: bool,
}

/// Entries and their rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) entries: Vec<Entry>,
    /// The rows one after another. Empty in a sealed block of which only the columns were read.
    pub(super) bytes: Vec<u8>,
}

/// The bounds of some entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The lowest and the highest position.
    pub(super) positions: (u64, u64),
    /// The earliest and the latest moment.
    pub(super) times: (u64, u64),
    /// Which severities are there: one bit each, and one for none.
    pub(super) severities: u8,
}

/// The bit of a severity in [`Bounds::severities`].
pub(super) fn severity_bit(severity: Option<Severity>) -> u8 {
    1 << severity_code(severity)
}

/// Its number in a column: 0 for none.
pub(super) fn severity_code(severity: Option<Severity>) -> u8 {
    severity.map_or(0, |it| it as u8 + 1)
}

impl Rows {
    /// Appends a record by its entry and its row.
    pub(super) fn push(&mut self, entry: Entry, source: u32, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { end, source, ..entry });
    }

    /// Forgets everything, and keeps its memory for as much again.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
    }

    /// Bytes it takes up, roughly.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// The row of the entry with this number, separators and all.
    pub(super) fn row(&self, number: usize) -> &[u8] {
        let end_of = |it: usize| self.entries.get(it).map_or(0, |it| it.end as usize);
        let start = number.checked_sub(1).map_or(0, end_of);
        self.bytes.get(start..end_of(number)).unwrap_or_default()
    }

    /// The number of the entry in whose row a byte is.
    pub(super) fn entry_at(&self, byte: usize) -> usize {
        self.entries.partition_point(|it| it.end as usize <= byte)
    }

    /// The bounds; nothing if there are no entries.
    pub(super) fn bounds(&self) -> Option<Bounds> {
        let first = self.entries.first()?;
        let mut bounds = Bounds {
            positions: (first.position, first.position),
            times: (first.at_us, first.at_us),
            severities: 0,
        };
        for entry in &self.entries {
            bounds.positions.1 = bounds.positions.1.max(entry.position);
            bounds.times.0 = bounds.times.0.min(entry.at_us);
            bounds.times.1 = bounds.times.1.max(entry.at_us);
            bounds.severities |= severity_bit(entry.severity);
        }
        Some(bounds)
    }

    /// The filter of all words and traces.
    pub(super) fn bloom(&self, words: &mut WordSet) -> Vec<u8> {
        words.clear();
        token::words(&self.bytes, &mut |hash, _| words.insert(hash));
        for entry in self.entries.iter().filter(|it| it.trace != 0) {
            words.insert(token::trace_word(entry.trace));
        }
        words.bloom()
    }
}
