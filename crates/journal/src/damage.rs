//! What was found broken on open, what was kept and what was lost, in words for a person.
//!
//! A report and nothing else: by the time it exists the journal is whole again. Refuses to call a
//! loss small: whatever may have been acknowledged and is gone is named by index.

use std::fmt;
use std::path::PathBuf;

use model::Index;

use crate::entry::Bounds;

/// Holes named one by one in the text of a report; the rest are counted.
const HOLES_SHOWN: usize = 8;

/// The outcome of opening a journal that was not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What was found wrong, in the order it was found.
    pub causes: Vec<Cause>,
    /// The first and last entry that the journal holds now; empty if it has none. Unlike those of
    /// [`crate::Journal::bounds`] they do not count lost indexes.
    pub kept: Bounds,
    /// Entries that are lost, as ranges of indexes. These are not used again. A range may begin in
    /// the middle of what one append stored.
    pub dropped: Vec<Dropped>,
    /// Intact entries among the dropped: they come after a hole that no snapshot bridges, so no
    /// state can be reached through them. [`crate::Journal::history`] still has them.
    pub unreachable: u64,
    /// Whether it is known how far the journal once went. If not, more may be lost than `dropped`
    /// says, and indexes after the last one kept may be given out again.
    pub end_known: bool,
    /// Where the damaged files are now. Nothing deletes them.
    pub set_aside: Vec<PathBuf>,
}

/// A range of lost entries, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The first lost.
    pub first: Index,
    /// The last lost.
    pub last: Index,
}

/// One thing that was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The folder held a journal's other files but not the journal.
    Missing,
    /// The main file is shorter than it says.
    Truncated {
        /// Bytes there are.
        bytes: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// The first page of the main file is not what a journal's is.
    Header,
    /// SQLite could not make sense of the file.
    Structure {
        /// What it said.
        detail: String,
    },
    /// An entry is missing or fails its checksum.
    Entry {
        /// Which.
        index: Index,
    },
    /// The journal ends before the last entry somebody was told is safe.
    EndMissing {
        /// Its last entry.
        last: Index,
        /// The last acknowledged entry.
        acknowledged: Index,
    },
    /// The write-ahead log ended in the middle of a transaction. After a crash this is normal.
    IncompleteTransaction {
        /// Bytes of it.
        bytes: u64,
    },
    /// No intact snapshot has the state that deleted entries led to.
    NoSnapshot,
    /// An earlier repair was interrupted and has been completed.
    RepairInterrupted,
}

impl Damage {
    /// Whether an entry that somebody was told is safe is, or may be, gone.
    pub fn lost_entries(&self) -> bool {
        !self.dropped.is_empty() || !self.end_known
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.set_aside.is_empty() { "cut short" } else { "damaged" };
        write!(formatter, "the journal was {what}: ")?;
        for (position, cause) in self.causes.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{cause}")?;
        }
        if self.kept.is_empty() {
            write!(formatter, ". no entries are kept")?;
        } else {
            write!(formatter, ". kept: entries {} to {}", self.kept.first, self.kept.last)?;
        }
        self.describe_loss(formatter)?;
        for (position, path) in self.set_aside.iter().enumerate() {
            let lead = if position == 0 { ". the damaged files are kept as " } else { " and " };
            write!(formatter, "{lead}{}", path.display())?;
        }
        Ok(())
    }
}

impl Damage {
    fn describe_loss(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, hole) in self.dropped.iter().take(HOLES_SHOWN).enumerate() {
            let lead = if position == 0 { ". lost: entries " } else { ", " };
            write!(formatter, "{lead}{} to {}", hole.first, hole.last)?;
        }
        let more = self.dropped.len().saturating_sub(HOLES_SHOWN);
        if more > 0 {
            write!(formatter, " and {more} more ranges")?;
        }
        if self.unreachable > 0 {
            write!(
                formatter,
                " ({} of these are intact but follow a lost one, with no snapshot between: kept \
                 as history)",
                self.unreachable
            )?;
        }
        match (self.dropped.is_empty(), self.end_known) {
            (true, true) => write!(formatter, ". no acknowledged entry is lost"),
            (_, true) => Ok(()),
            (_, false) => write!(formatter, ". entries after the last one kept may be lost too"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(formatter, "its main file is missing"),
            Self::Truncated { bytes, expected } => write!(
                formatter,
                "its main file has {bytes} bytes of {expected} ({} were cut off)",
                expected.saturating_sub(*bytes)
            ),
            Self::Header => write!(formatter, "the first page of its main file is not readable"),
            Self::Structure { detail } => write!(formatter, "its structure is broken ({detail})"),
            Self::Entry { index } => write!(formatter, "entry {index} is missing or changed"),
            Self::EndMissing { last, acknowledged } => {
                write!(formatter, "it ends at entry {last}, but {acknowledged} was acknowledged")
            }
            Self::IncompleteTransaction { bytes } => {
                write!(formatter, "{bytes} bytes of an incomplete transaction were dropped")
            }
            Self::NoSnapshot => {
                write!(formatter, "no intact snapshot has the state before its first entry")
            }
            Self::RepairInterrupted => write!(formatter, "an earlier repair was interrupted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(damage: &Damage, text: &str) {
        assert_eq!(damage.to_string(), text);
    }

    #[test]
    fn reports_read_like_sentences() {
        let damage = Damage {
            causes: vec![
                Cause::Truncated { bytes: 9_000, expected: 40_960 },
                Cause::EndMissing { last: Index(40), acknowledged: Index(100) },
            ],
            kept: Bounds { first: Index(1), last: Index(40) },
            dropped: vec![Dropped { first: Index(41), last: Index(100) }],
            unreachable: 3,
            end_known: true,
            set_aside: vec![PathBuf::from("/data/journal.sqlite.damaged-1")],
        };
        check(
            &damage,
            "the journal was damaged: its main file has 9000 bytes of 40960 (31960 were cut off); \
             it ends at entry 40, but 100 was acknowledged. kept: entries 1 to 40. lost: entries \
             41 to 100 (3 of these are intact but follow a lost one, with no snapshot between: \
             kept as history). the damaged files are kept as \
             /data/journal.sqlite.damaged-1",
        );
        assert!(damage.lost_entries());
        let crash = Damage {
            causes: vec![Cause::IncompleteTransaction { bytes: 8_240 }],
            dropped: Vec::new(),
            unreachable: 0,
            set_aside: Vec::new(),
            ..damage
        };
        check(
            &crash,
            "the journal was cut short: 8240 bytes of an incomplete transaction were dropped. \
             kept: entries 1 to 40. no acknowledged entry is lost",
        );
        assert!(!crash.lost_entries());
    }
}
