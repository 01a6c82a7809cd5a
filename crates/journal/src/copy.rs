//! The journal of a folder that can only be read, elsewhere.
//!
//! SQLite needs to write beside a file in WAL mode to read it whole, and what was damaged is repaired in place. So the
//! files are copied to where both can be done. What earlier repairs set aside is left: nobody reads it.

use std::fs;
use std::io;
use std::path::Path;

use crate::layout::Layout;
use crate::open::{Failure, OpenError, failed};

/// Copies the journal in `from` into the folder `to`, in the place of what is there.
pub fn copy(from: &Path, to: &Path) -> Result<(), OpenError> {
    try_copy(from, to).map_err(|error| failed(to, Failure::Io(error)))
}

fn try_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_dir_all(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (source, copy) = (Layout::new(from), Layout::new(to));
    fs::create_dir_all(copy.snapshots())?;
    for (file, copied) in [
        (source.journal(), copy.journal()),
        (source.wal(), copy.wal()),
        (source.rebuilt(), copy.rebuilt()),
        (source.suspect(), copy.suspect()),
    ] {
        match fs::copy(file, copied) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // A second witness: one that cannot be read says nothing.
    if let Ok(Some(mark)) = host::files::read_if_there(&source.high_water()) {
        fs::write(copy.high_water(), mark)?;
    }
    let snapshots = match fs::read_dir(source.snapshots()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    for snapshot in snapshots {
        let snapshot = snapshot?;
        fs::copy(snapshot.path(), copy.snapshots().join(snapshot.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::{Index, Timestamp};

    use crate::{Journal, NewEntry, Options};

    fn append(journal: &Journal, body: u8) {
        let entry = NewEntry {
            at: Timestamp::EPOCH,
            kind: "test".into(),
            body: vec![body],
            sets_clock: false,
        };
        journal.append_blocking(vec![entry]).unwrap();
    }

    #[test]
    fn issue_12_a_journal_that_was_not_closed_is_whole_in_its_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let journal = Journal::open(&from, Options::default(), Timestamp::EPOCH).unwrap().journal;
        append(&journal, 1);
        journal.save_snapshot(Index(1), Timestamp::EPOCH, b"one").unwrap();
        // Only in the log yet.
        append(&journal, 2);
        for _ in 0..2 {
            super::copy(&from, &to).unwrap();
            let opened = Journal::open(&to, Options::default(), Timestamp::EPOCH).unwrap();
            assert!(opened.damage.is_none(), "{:?}", opened.damage);
            let bodies: Vec<Vec<u8>> = opened
                .journal
                .read(Index::ZERO, 9)
                .unwrap()
                .into_iter()
                .map(|it| it.body)
                .collect();
            assert_eq!(bodies, [vec![1], vec![2]]);
            let snapshot = opened.journal.snapshot_at_or_before(None).unwrap().unwrap();
            assert_eq!(snapshot.body, b"one");
            append(&opened.journal, 3);
        }
        assert_eq!(journal.bounds().last, Index(2));
    }
}
