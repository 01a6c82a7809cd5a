//! Makes a new journal from what can be read of a damaged one, and puts it in its place.
//!
//! The new file is complete and on disk before the old ones are touched, and the old ones are
//! renamed, not deleted. A crash at any point leaves either the old files, to be repaired again, or
//! the new file under the name `rebuilt`, whose way into place the next open finishes. Beside the
//! damaged files goes the report, for the person who finds them later. Refuses to repair in place.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use model::{Index, Timestamp};
use rusqlite::CachedStatement;

use crate::damage::{Cause, Damage, Dropped};
use crate::entry::Bounds;
use crate::layout::{Layout, remove_if_there, rename_if_there};
use crate::open::{Failure, Folder, OpenError};
use crate::salvage::pages::Pages;
use crate::salvage::{Located, Plan, Salvage, for_each};
use crate::schema::{STRANDED, create, insert, insertion, stranding};

/// Replaces the damaged journal and reports.
pub(crate) fn repair(
    folder: &Folder,
    pages: &Pages,
    causes: Vec<Cause>,
) -> Result<Damage, OpenError> {
    let Folder { layout, snapshots, marks, now } = folder;
    let salvage = Salvage::read(pages).map_err(|error| folder.failed(error))?;
    let plan = salvage.plan(&snapshots.intact()?, marks.unwrap_or_default());
    rebuild(layout, pages, &plan).map_err(|error| folder.failed(error))?;

    let aside = layout.set_aside().map_err(|error| folder.failed(error))?;
    let mut damage = Damage {
        causes,
        kept: kept(plan.ends(), plan.founding.last),
        dropped: plan.dropped.iter().map(|(first, last)| dropped(*first, *last)).collect(),
        unreachable: plan.unreachable,
        end_known: marks.is_some(),
        set_aside: Vec::new(),
    };
    let put_in_place = || -> io::Result<Vec<PathBuf>> {
        write_report(&aside.report, &damage, *now)?;
        fs::rename(layout.building(), layout.rebuilt())?;
        layout.sync_folder()?;
        swap(layout)
    };
    damage.set_aside = put_in_place().map_err(|error| folder.failed(error))?;
    Ok(damage)
}

/// Completes a repair that a crash interrupted; returns the damaged files if there was one.
pub(crate) fn finish_interrupted(layout: &Layout) -> io::Result<Option<Vec<PathBuf>>> {
    if layout.rebuilt().exists() { swap(layout).map(Some) } else { Ok(None) }
}

/// The bounds of what is kept, given its ends and the last index given out.
pub(crate) fn kept(ends: Option<(u64, u64)>, given_out: u64) -> Bounds {
    let (first, last) = ends.unwrap_or((given_out + 1, given_out));
    Bounds { first: Index(first), last: Index(last) }
}

fn dropped(first: u64, last: u64) -> Dropped {
    Dropped { first: Index(first), last: Index(last) }
}

fn rebuild(layout: &Layout, pages: &Pages, plan: &Plan) -> Result<(), Failure> {
    create(&layout.building(), plan.founding, |connection| {
        let store = |rows: &[Located], mut statement: CachedStatement<'_>| {
            for_each(rows, pages, |record| {
                insert(&mut statement, record.follows, &record.entry).map_err(Failure::from)
            })
        };
        store(&plan.kept, insertion(connection)?)?;
        if plan.stranded.is_empty() {
            return Ok(());
        }
        connection.execute_batch(STRANDED)?;
        store(&plan.stranded, stranding(connection)?)
    })
}

/// Reports of repairs whose damaged files are still kept in `folder`, oldest first.
pub fn repairs(folder: &Path) -> io::Result<Vec<String>> {
    Layout::new(folder).reports()?.into_iter().map(fs::read_to_string).collect()
}

fn write_report(path: &Path, damage: &Damage, now: Timestamp) -> io::Result<()> {
    let mut file = File::create(path)?;
    writeln!(file, "{now}: {damage}")?;
    file.sync_all()
}

/// Moves the damaged files aside and the rebuilt one into their place. May be begun again at any
/// point.
fn swap(layout: &Layout) -> io::Result<Vec<PathBuf>> {
    let aside = layout.last_set_aside()?;
    // The log first: beside the new file it would be taken for the new file's.
    rename_if_there(&layout.wal(), &aside.log)?;
    remove_if_there(&layout.shared_memory())?;
    rename_if_there(&layout.journal(), &aside.main)?;
    fs::rename(layout.rebuilt(), layout.journal())?;
    layout.sync_folder()?;
    let files = [aside.main, aside.log];
    Ok(files.into_iter().filter(|path| path.exists()).collect())
}
