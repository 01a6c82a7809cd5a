//! Gets the entries out of a damaged journal without asking SQLite.
//!
//! SQLite finds a row through the pages above it; when one of those is gone so is everything below.
//! Here every leaf page of the main file, and every page committed to the write-ahead log, is read
//! on its own, and each row whose checksum holds is an entry: entries never change, so any intact
//! copy will do, also one from an outdated page. What the journal's own format adds to that:
//!
//! - the table never fits one page (see [`crate::schema`]), so SQLite appends without moving rows,
//!   and a row stays before the byte it was before when it was written;
//! - a row says which entry it follows, so a hole shows.
//!
//! Kept is every entry from which a state can be reached: those that follow, one by one, the empty
//! journal or an intact snapshot. Entries behind a hole with no snapshot are *stranded*: folding
//! them would give a world that never was, so they are kept apart, as history alone. Refuses to
//! change the damaged files.

pub(crate) mod cells;
pub(crate) mod header;
pub(crate) mod pages;
pub(crate) mod wal;

use std::collections::BTreeSet;
use std::io;

use crate::high_water::Marks;
use crate::schema::Founding;
use cells::{Row, leaf_cells};
use pages::{PAGE_BYTES, Page, Pages, Source};

/// Everything that could be read.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    /// Intact entries in order, each once.
    entries: Vec<Located>,
    /// What the file said about itself, if that survived.
    pub(crate) founding: Option<Founding>,
}

/// Where one intact entry lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located {
    index: u64,
    follows: u64,
    place: Place,
}

/// A cell of a page, and the image in which its overflow pages were intact.
#[derive(Clone, Copy, Debug)]
struct Place {
    page: u32,
    cell: u16,
    leaf: Source,
    overflow: Source,
}

/// What a repaired journal will hold.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Entries that can be folded, in order.
    pub(crate) kept: Vec<Located>,
    /// Intact entries that no state reaches, in order.
    pub(crate) stranded: Vec<Located>,
    /// What the new journal says about itself.
    pub(crate) founding: Founding,
    /// Index ranges, both ends included, that were lost now.
    pub(crate) dropped: Vec<(u64, u64)>,
    /// How many of those lost now are stranded.
    pub(crate) unreachable: u64,
}

impl Salvage {
    /// Reads all pages there are.
    pub(crate) fn read(pages: &Pages) -> io::Result<Self> {
        let mut salvage = Self::default();
        for page in 2..=pages.main_pages() {
            salvage.read_leaf(pages, page, Source::Main)?;
        }
        for page in pages.logged() {
            salvage.read_leaf(pages, page, Source::Log)?;
        }
        salvage.entries.sort_unstable_by_key(|entry| entry.index);
        salvage.entries.dedup_by_key(|entry| entry.index);
        Ok(salvage)
    }

    /// Whether anything shows that the file is a journal.
    pub(crate) fn is_journal(&self) -> bool {
        self.founding.is_some() || !self.entries.is_empty()
    }

    fn read_leaf(&mut self, pages: &Pages, number: u32, leaf: Source) -> io::Result<()> {
        let Some(page) = pages.read(number, leaf)? else { return Ok(()) };
        for cell in 0..leaf_cells(&page) {
            // The log is newer; but when it was cut, the main file may hold the better copy.
            for overflow in [Source::Log, Source::Main] {
                let place = Place { page: number, cell, leaf, overflow };
                let Some(row) = Row::read(pages, &page, cell, overflow)? else { continue };
                let Some(record) = row.record() else { continue };
                if row.rowid == 0 {
                    let found = Founding::decode(&record.entry);
                    self.founding = self.founding.max(found);
                } else {
                    let (index, follows) = (record.entry.index.0, record.follows);
                    self.entries.push(Located { index, follows, place });
                }
                break;
            }
        }
        Ok(())
    }

    /// Decides what to keep, given the intact snapshots and the high-water marks.
    pub(crate) fn plan(self, snapshots: &BTreeSet<u64>, marks: Marks) -> Plan {
        let mut before = self.founding.unwrap_or_default();
        before.retained = before.retained.max(marks.retained);
        let newest_seen = self.entries.last().map_or(0, |entry| entry.index);
        let mut kept: Vec<Located> = Vec::with_capacity(self.entries.len());
        let mut stranded = Vec::new();
        for entry in self.entries {
            let reached = kept.last().map_or(0, |last| last.index);
            let is_start = |index: u64| {
                (index == 0 && before.retained == 0)
                    || (index >= before.retained && snapshots.contains(&index))
            };
            let continues = !kept.is_empty() && entry.follows == reached;
            if entry.index <= before.retained {
                // Deleted by retention; the page was not yet reused.
            } else if continues || (entry.follows >= reached && is_start(entry.follows)) {
                kept.push(entry);
            } else {
                stranded.push(entry);
            }
        }
        let newest_snapshot = snapshots.range(before.retained..).next_back().copied().unwrap_or(0);
        let head = kept.last().map_or(0, |last| last.index).max(newest_snapshot);
        let last = [marks.acknowledged, newest_seen, before.last, head];
        let founding = Founding {
            retained: kept.first().map_or(head, |first| first.follows),
            head,
            last: last.into_iter().max().unwrap_or(head),
        };
        let dropped = dropped(&kept, &before, &founding);
        let is_dropped = |it: &&Located| {
            dropped.iter().any(|(first, last)| (*first..=*last).contains(&it.index))
        };
        let unreachable = stranded.iter().filter(is_dropped).count() as u64;
        Plan { kept, stranded, founding, dropped, unreachable }
    }
}

impl Plan {
    /// The first and last entry that are kept.
    pub(crate) fn ends(&self) -> Option<(u64, u64)> {
        Some((self.kept.first()?.index, self.kept.last()?.index))
    }
}

/// Calls `store` with each of some entries, in their order.
pub(crate) fn for_each<E: From<io::Error>>(
    located: &[Located],
    pages: &Pages,
    mut store: impl FnMut(crate::entry::Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut page: Page = [0; PAGE_BYTES];
    let mut loaded = None;
    for Located { place, .. } in located {
        if loaded != Some((place.page, place.leaf)) {
            page = pages.read(place.page, place.leaf)?.ok_or_else(vanished)?;
            loaded = Some((place.page, place.leaf));
        }
        let row = Row::read(pages, &page, place.cell, place.overflow)?.ok_or_else(vanished)?;
        store(row.record().ok_or_else(vanished)?)?;
    }
    Ok(())
}

fn vanished() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the damaged journal changed while it was read")
}

/// The holes in what is kept, without those that an earlier repair already accounted for.
fn dropped(kept: &[Located], before: &Founding, after: &Founding) -> Vec<(u64, u64)> {
    let mut holes = Vec::new();
    let mut reached = before.retained;
    for entry in kept {
        if entry.follows > reached {
            holes.push((reached + 1, entry.follows));
        }
        reached = entry.index;
    }
    // Numbers that an earlier repair gave up, behind the last entry there was then.
    if reached == before.head {
        reached = reached.max(before.last);
    }
    if after.last > reached {
        holes.push((reached + 1, after.last));
    }
    holes
}
