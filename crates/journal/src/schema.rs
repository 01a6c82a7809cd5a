//! The SQLite side of the format: one table, one founding row, and how a new file is made.
//!
//! A file that a repair made has a second table, of the same shape, when entries behind a hole were intact. No state
//! is folded from them; they are history. They are stored once, before the file is used.
//!
//! Two rows come before the first entry. They are too large for one page together, so the table's
//! root is an inner page from the beginning and stays one. From then on SQLite appends by adding
//! leaves at the right and never moves a row that is there: what lay before a byte of the file goes
//! on lying before it, and survives a cut there. (A root that is a leaf is copied to a new page at
//! the end of the file when it fills.)
//!
//! Row 0, the *founding row*, also says what the entries alone cannot: how far retention has
//! deleted, and which indexes were given out but lost. Deleted pages are reused; the file does not
//! shrink. Refuses any page size but 4096.

use std::fs::File;
use std::path::Path;

use model::{Index, Timestamp};
use rusqlite::{CachedStatement, Connection, OpenFlags, params};

use crate::entry::{EntryRef, INDEX_MAX, Record, checksum};
use crate::salvage::header::{FORMAT, application_id};

/// The text SQLite keeps of the table; compared on open.
const TABLE: &str = "CREATE TABLE entry(\
    idx INTEGER PRIMARY KEY, follows INTEGER, at INTEGER NOT NULL, \
    kind TEXT NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL)";

/// The text of the table of entries that no state reaches.
pub(crate) const STRANDED: &str = "CREATE TABLE stranded(\
    idx INTEGER PRIMARY KEY, follows INTEGER, at INTEGER NOT NULL, \
    kind TEXT NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL)";

/// Which tables a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Entries, and nothing else.
    Entries,
    /// Also those that no state reaches, which a repair kept.
    EntriesAndStranded,
}

impl Tables {
    /// The tables that `schema` makes, if they are a journal's.
    pub(crate) fn of(schema: &str) -> Option<Self> {
        if schema == TABLE {
            return Some(Self::Entries);
        }
        let both = schema == format!("{TABLE};{STRANDED}");
        both.then_some(Self::EntriesAndStranded)
    }
}

/// The columns of an entry, in the order [`record_from`] expects.
pub(crate) const COLUMNS: &str = "idx, follows, at, kind, crc, body";

const FOUNDING_KIND: &str = "pelago.journal";
const PADDING_KIND: &str = "pelago.padding";
/// Two of these do not fit a page of 4096 bytes.
const FOUNDING_BODY_BYTES: usize = 3000;

/// What the founding row says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Founding {
    /// Entries up to here were deleted; the state they led to is in a snapshot (or is empty, at 0).
    pub(crate) retained: u64,
    /// The state in which the file was made: the next entry, if the first in the file, follows it.
    pub(crate) head: u64,
    /// The last index given out before the file was made.
    pub(crate) last: u64,
}

impl Founding {
    fn encode(self) -> Vec<u8> {
        let mut body = Vec::with_capacity(FOUNDING_BODY_BYTES);
        for number in [self.retained, self.head, self.last] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.resize(FOUNDING_BODY_BYTES, 0);
        body
    }

    /// Reads the founding row, whose checksum the caller has verified. One with an index that cannot
    /// be is none.
    pub(crate) fn decode(entry: &EntryRef<'_>) -> Option<Self> {
        let mut numbers = entry
            .body
            .chunks_exact(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap_or_default()));
        let mut index = || numbers.next().filter(|it| *it <= INDEX_MAX);
        let founding = Self { retained: index()?, head: index()?, last: index()? };
        (entry.kind == FOUNDING_KIND).then_some(founding)
    }

    /// Stores the founding row, for the first time or again.
    pub(crate) fn store(self, connection: &Connection) -> rusqlite::Result<()> {
        let body = self.encode();
        let entry =
            EntryRef { index: Index::ZERO, at: Timestamp::EPOCH, kind: FOUNDING_KIND, body: &body };
        connection.execute(
            "INSERT INTO entry(idx, follows, at, kind, crc, body) VALUES (0, 0, 0, ?1, ?2, ?3)
             ON CONFLICT(idx) DO UPDATE SET crc = excluded.crc, body = excluded.body",
            params![FOUNDING_KIND, checksum(0, &entry), body],
        )?;
        Ok(())
    }
}

/// A connection as every user of the journal wants it.
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

/// Makes a journal at `path` with what `fill` stores in it, and syncs it.
pub(crate) fn create<E: From<rusqlite::Error> + From<std::io::Error>>(
    path: &Path,
    founding: Founding,
    fill: impl FnOnce(&Connection) -> Result<(), E>,
) -> Result<(), E> {
    let connection = Connection::open(path)?;
    // Nobody sees the file before it is complete, so nothing needs to be undone in it.
    connection.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA auto_vacuum = NONE; PRAGMA encoding = 'UTF-8';
         PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;",
    )?;
    connection.execute_batch(TABLE)?;
    connection.execute(
        "INSERT INTO entry(idx, follows, at, kind, crc, body) VALUES (-1, 0, 0, ?1, 0, ?2)",
        params![PADDING_KIND, vec![0_u8; FOUNDING_BODY_BYTES]],
    )?;
    founding.store(&connection)?;
    fill(&connection)?;
    connection.execute_batch("COMMIT")?;
    connection.pragma_update(None, "application_id", application_id())?;
    connection.pragma_update(None, "user_version", i32::from(FORMAT))?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL;")?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(path)?.sync_all()?;
    Ok(())
}

/// The statement that stores an entry.
pub(crate) fn insertion(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    connection.prepare_cached(
        "INSERT INTO entry(idx, follows, at, kind, crc, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
}

/// The statement that stores an entry that no state reaches.
pub(crate) fn stranding(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    connection.prepare_cached(
        "INSERT INTO stranded(idx, follows, at, kind, crc, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
}

/// Stores one entry.
pub(crate) fn insert(
    statement: &mut CachedStatement<'_>,
    follows: u64,
    entry: &EntryRef<'_>,
) -> rusqlite::Result<()> {
    let skipped = (follows.checked_add(1) != Some(entry.index.0)).then_some(follows);
    statement.execute(params![
        entry.index.0.cast_signed(),
        skipped.map(u64::cast_signed),
        entry.at.as_millis().cast_signed(),
        entry.kind,
        checksum(follows, entry),
        entry.body,
    ])?;
    Ok(())
}

/// A row with the columns [`COLUMNS`], its checksum not yet verified.
pub(crate) fn record_from<'a>(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Record<'a>> {
    let index = row.get::<_, i64>(0)?.cast_unsigned();
    let follows = row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned);
    let entry = EntryRef {
        index: Index(index),
        at: Timestamp::from_millis(row.get::<_, i64>(2)?.cast_unsigned()),
        kind: row.get_ref(3)?.as_str()?,
        body: row.get_ref(5)?.as_blob()?,
    };
    let follows = follows.unwrap_or_else(|| index.wrapping_sub(1));
    Ok(Record { entry, follows, crc: row.get(4)? })
}

/// Whether an error of SQLite means that the file's content is wrong, not that it cannot be
/// reached.
pub(crate) fn means_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::SchemaChanged
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ConstraintViolation
                | ErrorCode::Unknown
        ),
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::QueryReturnedNoRows
        | rusqlite::Error::InvalidColumnName(_)
        | rusqlite::Error::InvalidColumnType(..) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_cannot_be_is_not_believed() {
        for (last, believed) in [(7, true), (INDEX_MAX, true), (INDEX_MAX + 1, false)] {
            let body = Founding { retained: 3, head: 5, last }.encode();
            let (index, at) = (Index::ZERO, Timestamp::EPOCH);
            let entry = EntryRef { index, at, kind: FOUNDING_KIND, body: &body };
            assert_eq!(Founding::decode(&entry).is_some(), believed, "{last}");
        }
    }
}
