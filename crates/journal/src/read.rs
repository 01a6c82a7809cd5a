//! Reading entries back, each checked against its checksum and against the one it follows.
//!
//! Readers have connections of their own and see what was committed when they began; they never
//! wait for the writer nor it for them. Whatever fails a check is an error that names the entry,
//! and leaves a note so that the next open looks at everything and repairs it. Refuses to skip, but
//! for [`Reader::history`]: an entry is returned in its place or not at all.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use model::{Index, Timestamp};
use rusqlite::{Connection, params};

use crate::entry::{Bounds, Entry, EntryRef, INDEX_MAX};
use crate::high_water::Marks;
use crate::layout::Layout;
use crate::schema::{COLUMNS, Tables, connect, means_damage, record_from};
use crate::snapshot::Snapshots;

/// Idle connections kept for the next reader: what a console and a replay use at once.
const IDLE_CONNECTIONS: usize = 4;

/// Why entries could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// An entry is missing or changed.
    #[error("entry {index} of the journal is damaged; restart pelago to repair the journal")]
    Damaged {
        /// The first entry that cannot be trusted.
        index: Index,
    },
    /// Retention deleted the entries asked for.
    #[error(
        "entries after {after} were asked for, but the journal begins at {first}; start from a \
         snapshot"
    )]
    Forgotten {
        /// After which entry was to be read.
        after: Index,
        /// The first there is.
        first: Index,
    },
    /// Entries were lost in an earlier damage; a snapshot has the state behind them.
    #[error(
        "the entries after {after} and up to {snapshot} were lost; go on from the snapshot at \
         {snapshot}"
    )]
    Gap {
        /// The last entry before the hole.
        after: Index,
        /// The snapshot behind it.
        snapshot: Index,
    },
    /// The file could not be read.
    #[error("cannot read the journal in {}; check the folder and its disk", folder.display())]
    Disk {
        /// The data folder.
        folder: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// Where the journal stands; changed by the writer only, after it is durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Entries up to here are deleted or about to be.
    pub(crate) retained: u64,
    /// The first entry there is after those, if any.
    pub(crate) first_entry: Option<u64>,
    /// The last entry there is, if any.
    pub(crate) last_entry: Option<u64>,
    /// The last index given out.
    pub(crate) last: u64,
}

impl Position {
    pub(crate) fn bounds(&self) -> Bounds {
        let first = self.first_entry.unwrap_or(self.last + 1);
        Bounds { first: Index(first), last: Index(self.last) }
    }

    pub(crate) fn marks(&self) -> Marks {
        Marks { acknowledged: self.last, retained: self.retained }
    }
}

/// Connections for readers, and what their results are held against.
#[derive(Debug)]
pub(crate) struct Reader {
    layout: Layout,
    position: Mutex<Position>,
    idle: Mutex<Vec<Connection>>,
    tables: Tables,
}

impl Reader {
    pub(crate) fn new(layout: Layout, position: Position, tables: Tables) -> Self {
        let (position, idle) = (Mutex::new(position), Mutex::new(Vec::new()));
        Self { layout, position, idle, tables }
    }

    pub(crate) fn position(&self) -> Position {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn move_to(&self, position: Position) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }

    /// Calls `visit` with the entries after `after`, up to and including `up_to`, until it breaks.
    pub(crate) fn replay(
        &self,
        after: Index,
        up_to: Option<Index>,
        snapshots: &Snapshots,
        visit: impl FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let position = self.position();
        if after.0 < position.retained {
            let first = position.bounds().first;
            return Err(ReadError::Forgotten { after, first });
        }
        let up_to = up_to.map_or(u64::MAX, |index| index.0).min(INDEX_MAX);
        let range = Range { reached: after.0, up_to, last: position.last_entry.unwrap_or(0) };
        let outcome = self.with_connection(|connection| range.visit(connection, visit))?;
        match outcome {
            Ok(()) => Ok(()),
            Err(Break { reached, follows }) => Err(self.explain(reached, follows, snapshots)),
        }
    }

    /// Up to `limit` entries after `after`, up to and including `up_to`, that are intact, whether or not a state
    /// reaches them.
    pub(crate) fn history(
        &self,
        after: Index,
        up_to: Option<Index>,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        let mut select =
            format!("SELECT {COLUMNS} FROM entry WHERE idx > max(?1, ?2) AND idx <= ?3");
        if self.tables == Tables::EntriesAndStranded {
            let stranded =
                format!(" UNION ALL SELECT {COLUMNS} FROM stranded WHERE idx > ?1 AND idx <= ?3");
            select.push_str(&stranded);
        }
        select.push_str(" ORDER BY idx");
        let up_to = up_to.map_or(INDEX_MAX, |it| it.0.min(INDEX_MAX));
        let bounds = [after.0.min(INDEX_MAX), self.position().retained, up_to];
        self.with_connection(|connection| {
            let mut entries = Vec::new();
            let mut statement = connection.prepare_cached(&select)?;
            let mut rows = statement.query(bounds.map(u64::cast_signed))?;
            while entries.len() < limit
                && let Some(row) = rows.next()?
            {
                match record_from(row) {
                    Ok(record) if record.is_intact() => entries.push(record.entry.to_entry()),
                    // The next open repairs it; what is around it can be read until then.
                    _ => self.layout.mark_suspect(),
                }
            }
            Ok(entries)
        })
    }

    /// The last entry at or before a time. Between two of `set_back`, times never go back.
    pub(crate) fn index_at(
        &self,
        at: Timestamp,
        set_back: &[Index],
    ) -> Result<Option<Index>, ReadError> {
        let position = self.position();
        let (Some(first), Some(last)) = (position.first_entry, position.last_entry) else {
            return Ok(None);
        };
        self.with_connection(|connection| {
            let is_inside = |it: &u64| first < *it && *it <= last;
            let inside = set_back.iter().rev().map(|it| it.0).filter(is_inside);
            let mut high = last;
            for low in inside.chain([first]) {
                match last_between(connection, (low, high), at)? {
                    Ok(None) => high = low - 1,
                    found => return Ok(found),
                }
            }
            Ok(Ok(None))
        })?
        .map_err(|index| self.damaged(index))
    }

    /// Whether there is an entry with exactly this index.
    pub(crate) fn has_entry(&self, index: u64) -> Result<bool, ReadError> {
        self.with_connection(|connection| {
            connection
                .prepare_cached("SELECT 1 FROM entry WHERE idx = ?1")?
                .exists([index.cast_signed()])
        })
    }

    /// Bytes of the pages in use.
    pub(crate) fn used_bytes(&self) -> Result<u64, ReadError> {
        self.with_connection(|connection| {
            let count =
                |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let pages = count("page_count")? - count("freelist_count")?;
            Ok((pages * count("page_size")?).cast_unsigned())
        })
    }

    fn with_connection<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => Ok(connection),
            None => connect(&self.layout.journal()),
        };
        let outcome = connection.and_then(|connection| {
            let outcome = read(&connection);
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_CONNECTIONS {
                idle.push(connection);
            }
            outcome
        });
        outcome.map_err(|source| {
            if means_damage(&source) {
                // Not one entry but the way to them; none can be trusted.
                return self.damaged(self.position().bounds().first);
            }
            ReadError::Disk { folder: self.layout.folder().to_path_buf(), source }
        })
    }

    /// Turns a broken chain into what it means.
    fn explain(&self, reached: u64, follows: Option<u64>, snapshots: &Snapshots) -> ReadError {
        let position = self.position();
        let after = Index(reached);
        if reached < position.retained {
            // Retention overtook this reader.
            return ReadError::Forgotten { after, first: position.bounds().first };
        }
        match follows {
            Some(follows) if follows > reached && snapshots.exists(follows) => {
                ReadError::Gap { after, snapshot: Index(follows) }
            }
            _ => self.damaged(after.next()),
        }
    }

    fn damaged(&self, index: Index) -> ReadError {
        self.layout.mark_suspect();
        ReadError::Damaged { index }
    }
}

/// A walk along the entries that knows which one must come next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) reached: u64,
    pub(crate) up_to: u64,
    /// The last entry there must be.
    pub(crate) last: u64,
}

/// The chain does not go on after `reached`: the next entry, if intact, follows another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Break {
    pub(crate) reached: u64,
    pub(crate) follows: Option<u64>,
}

impl Range {
    pub(crate) fn visit(
        mut self,
        connection: &Connection,
        mut visit: impl FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<Result<(), Break>> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM entry WHERE idx > ?1 AND idx <= ?2 ORDER BY idx"
        ))?;
        let mut rows = statement
            .query(params![self.reached.min(self.up_to).cast_signed(), self.up_to.cast_signed()])?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return self.finish(connection),
                Err(error) if means_damage(&error) => return Ok(Err(self.broken(None))),
                Err(error) => return Err(error),
            };
            let record = match record_from(row) {
                Ok(record) if record.is_intact() => record,
                _ => return Ok(Err(self.broken(None))),
            };
            if record.follows > self.reached {
                return Ok(Err(self.broken(Some(record.follows))));
            }
            self.reached = record.entry.index.0;
            if visit(record.entry).is_break() {
                return Ok(Ok(()));
            }
        }
    }

    /// Whether the rows ended because there are no more, or because some cannot be found.
    fn finish(self, connection: &Connection) -> rusqlite::Result<Result<(), Break>> {
        if self.reached >= self.last.min(self.up_to) {
            return Ok(Ok(()));
        }
        let mut statement = connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM entry WHERE idx > ?1 ORDER BY idx"))?;
        let mut rows = statement.query([self.up_to.cast_signed()])?;
        // A hole that was accounted for: the entry behind it follows the one before it.
        let accounted = match rows.next()?.map(record_from) {
            Some(Ok(next)) => next.is_intact() && next.follows <= self.reached,
            _ => false,
        };
        Ok(if accounted { Ok(()) } else { Err(self.broken(None)) })
    }

    fn broken(self, follows: Option<u64>) -> Break {
        Break { reached: self.reached, follows }
    }
}

/// The last entry at or before a time among those of a range, which are sorted by time as they are by
/// index; the index of a damaged one as `Err`.
fn last_between(
    connection: &Connection,
    (mut low, end): (u64, u64),
    at: Timestamp,
) -> rusqlite::Result<Result<Option<Index>, Index>> {
    let (mut found, mut high) = (None, end);
    while low <= high {
        let middle = low + (high - low) / 2;
        match at_or_before(connection, middle)? {
            Ok(Some((index, time))) if index >= low => {
                if time <= at {
                    found = Some(Index(index));
                    low = middle + 1;
                } else {
                    high = index - 1;
                }
            }
            // A hole: no entry from `low` to `middle`.
            Ok(_) => low = middle + 1,
            Err(broken) => return Ok(Err(broken)),
        }
    }
    let overlooked = match found {
        Some(Index(found)) if found < end => is_at_or_before(connection, (found, end), at)?,
        _ => false,
    };
    Ok(if overlooked { Err(found.unwrap_or_default().next()) } else { Ok(found) })
}

/// Index and time of the last entry at or before an index; the index of a damaged one as `Err`.
fn at_or_before(
    connection: &Connection,
    index: u64,
) -> rusqlite::Result<Result<Option<(u64, Timestamp)>, Index>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM entry WHERE idx > 0 AND idx <= ?1 ORDER BY idx DESC LIMIT 1"
    ))?;
    let mut rows = statement.query([index.cast_signed()])?;
    let Some(row) = rows.next()? else { return Ok(Ok(None)) };
    match record_from(row) {
        Ok(record) if record.is_intact() => Ok(Ok(Some((record.entry.index.0, record.entry.at)))),
        _ => Ok(Err(Index(index))),
    }
}

/// Whether the entry after an index, up to `end`, is not, as it must be, an intact one after a time.
fn is_at_or_before(
    connection: &Connection,
    (index, end): (u64, u64),
    at: Timestamp,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM entry WHERE idx > ?1 ORDER BY idx LIMIT 1"
    ))?;
    let mut rows = statement.query([index.cast_signed()])?;
    Ok(match rows.next()?.map(record_from) {
        Some(Ok(next)) if next.is_intact() => next.entry.index.0 <= end && next.entry.at <= at,
        _ => true,
    })
}

/// Collects up to `limit` entries.
pub(crate) fn collect(
    entries: &mut Vec<Entry>,
    limit: usize,
) -> impl FnMut(EntryRef<'_>) -> ControlFlow<()> {
    move |entry| {
        entries.push(entry.to_entry());
        if entries.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
