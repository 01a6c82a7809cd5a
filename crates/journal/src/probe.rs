//! A look at the journal through SQLite that writes nothing.
//!
//! Finds both ends, verifies them, and holds them against the high-water mark and the snapshots.
//! Its connection must not move the log into the main file on closing: when the log was cut, the
//! main file may have newer pages. Says what is wrong as a [`Cause`]; refuses to decide what
//! follows from it.

use model::{Index, Timestamp};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::damage::Cause;
use crate::entry::{INDEX_MAX, Record};
use crate::open::{Check, Folder, OpenError};
use crate::read::Range;
use crate::schema::{COLUMNS, Founding, Tables, connect, means_damage, record_from};

/// What a whole journal holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) founding: Founding,
    /// The first entry that retention has not deleted.
    pub(crate) first: Option<u64>,
    /// The last entry.
    pub(crate) last: Option<u64>,
    /// Its time.
    pub(crate) last_at: Timestamp,
    pub(crate) tables: Tables,
}

/// Wrong, or not to be read.
enum Trouble {
    Wrong(Cause),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        if means_damage(&error) {
            Self::Wrong(Cause::Structure { detail: error.to_string() })
        } else {
            Self::Sqlite(error)
        }
    }
}

/// Looks; `Ok(Err(_))` is a journal that needs repair.
pub(crate) fn probe(folder: &Folder, check: Check) -> Result<Result<Found, Cause>, OpenError> {
    let look = || -> Result<(Connection, Found), Trouble> {
        let connection = connect(&folder.layout.journal())?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "query_only", true)?;
        let found = ends(&connection)?;
        Ok((connection, found))
    };
    let outcome = look();
    let (connection, found) = match outcome {
        Ok(looked) => looked,
        Err(Trouble::Wrong(cause)) => return Ok(Err(cause)),
        Err(Trouble::Sqlite(error)) => return Err(folder.failed(error)),
    };
    if let Some(cause) = against_witnesses(folder, &found)? {
        return Ok(Err(cause));
    }
    let checked = match check {
        Check::Quick => Ok(()),
        Check::Full => all(folder, &connection, &found)?,
    };
    match checked {
        Ok(()) => Ok(Ok(found)),
        Err(Trouble::Wrong(cause)) => Ok(Err(cause)),
        Err(Trouble::Sqlite(error)) => Err(folder.failed(error)),
    }
}

/// The founding row and the first and last entry.
fn ends(connection: &Connection) -> Result<Found, Trouble> {
    let schema: String =
        connection
            .query_row("SELECT group_concat(sql, ';') FROM sqlite_schema", [], |row| row.get(0))?;
    let Some(tables) = Tables::of(&schema) else {
        return Err(Trouble::Wrong(Cause::Structure { detail: format!("its table is {schema}") }));
    };
    let founding = one(connection, "idx = 0", 0, |record| Founding::decode(&record.entry))?;
    let Some(Some(founding)) = founding else {
        return Err(Trouble::Wrong(Cause::Entry { index: Index::ZERO }));
    };
    let follows = |record: &Record<'_>| (record.entry.index.0, record.follows);
    let first = one(connection, "idx > ?1 ORDER BY idx LIMIT 1", founding.retained, follows)?;
    if let Some((index, follows)) = first
        && (follows > founding.retained || index <= founding.retained)
    {
        return Err(Trouble::Wrong(Cause::Entry { index: Index(founding.retained).next() }));
    }
    let dated = |record: &Record<'_>| (record.entry.index.0, record.entry.at);
    let last = one(connection, "idx > ?1 ORDER BY idx DESC LIMIT 1", founding.retained, dated)?;
    Ok(Found {
        founding,
        first: first.map(|(index, _)| index),
        last: last.map(|(index, _)| index),
        last_at: last.map_or(Timestamp::EPOCH, |(_, at)| at),
        tables,
    })
}

/// One intact entry, if there is one.
fn one<T>(
    connection: &Connection,
    which: &str,
    parameter: u64,
    take: impl FnOnce(&Record<'_>) -> T,
) -> Result<Option<T>, Trouble> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM entry WHERE ?1 = ?1 AND {which}"))?;
    let mut rows = statement.query([parameter.cast_signed()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let record = record_from(row)?;
    if !record.is_intact() {
        return Err(Trouble::Wrong(Cause::Entry { index: record.entry.index }));
    }
    Ok(Some(take(&record)))
}

/// Whether the journal reaches as far as was acknowledged, and its beginning can be folded.
fn against_witnesses(folder: &Folder, found: &Found) -> Result<Option<Cause>, OpenError> {
    let Found { founding, last, .. } = *found;
    let end = last.unwrap_or(0).max(founding.last);
    let newest = folder.snapshots.list()?.last().copied().unwrap_or(0);
    let beyond = if newest > end && folder.snapshots.is_intact(newest)? { newest } else { 0 };
    let acknowledged = folder.marks.unwrap_or_default().acknowledged.max(beyond);
    if acknowledged > end {
        let (last, acknowledged) = (Index(end), Index(acknowledged));
        return Ok(Some(Cause::EndMissing { last, acknowledged }));
    }
    let needed = if founding.head > last.unwrap_or(0) { founding.head } else { founding.retained };
    if needed > 0 {
        let newest = folder.snapshots.newest(None)?.map_or(0, |snapshot| snapshot.index.0);
        if newest < needed {
            return Ok(Some(Cause::NoSnapshot));
        }
    }
    Ok(None)
}

/// Every page, every entry, and every link between them.
fn all(
    folder: &Folder,
    connection: &Connection,
    found: &Found,
) -> Result<Result<(), Trouble>, OpenError> {
    let verdict = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match verdict {
        Ok(verdict) if verdict == "ok" => {}
        Ok(detail) => return Ok(Err(Trouble::Wrong(Cause::Structure { detail }))),
        Err(error) => return Ok(Err(error.into())),
    }
    let last = found.last.unwrap_or(0);
    let mut reached = found.founding.retained;
    loop {
        let range = Range { reached, up_to: INDEX_MAX, last };
        let broken = match range.visit(connection, |_| std::ops::ControlFlow::Continue(())) {
            Ok(Ok(())) => return Ok(Ok(())),
            Ok(Err(broken)) => broken,
            Err(error) => return Ok(Err(error.into())),
        };
        match broken.follows {
            Some(follows) if follows > broken.reached && folder.snapshots.is_intact(follows)? => {
                reached = follows;
            }
            _ => {
                let index = Index(broken.reached).next();
                return Ok(Err(Trouble::Wrong(Cause::Entry { index })));
            }
        }
    }
}
