//! No room: the append fails whole, and works again when there is room.

use journal::{AppendError, Journal, Options, Retention};

use crate::support::{NOW, all, entry, open};

#[test]
fn a_full_journal_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let retention = Retention { max_bytes: 0, floor_entries: 1, ..Retention::default() };
    let options = Options { retention, max_file_bytes: Some(400_000), ..Options::default() };
    let journal = Journal::open(folder.path(), options, NOW).unwrap().journal;
    let mut stored = Vec::new();
    let error = loop {
        match journal.append_blocking((0..30).map(|at| entry(at, &[9; 700])).collect()) {
            Ok(appended) => stored.extend(appended.entries),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, AppendError::DiskFull { folder: named } if named == folder.path()));
    assert!(stored.len() > 200, "{}", stored.len());
    assert_eq!(journal.bounds().last.0, stored.len() as u64);
    assert_eq!(all(&journal), stored);
    journal.append_blocking(vec![entry(1, &[9; 100_000])]).unwrap_err();

    let last = stored.last().unwrap();
    journal.save_snapshot(last.index, last.at, b"state").unwrap();
    stored.extend(journal.append_blocking(vec![entry(1, b"small")]).unwrap().entries);
    let retained = journal.retain(NOW, &[]).unwrap();
    assert_eq!(retained.deleted_entries, stored.len() - 1);
    for _ in 0..5 {
        let more = (0..30).map(|at| entry(at, &[9; 700])).collect();
        stored.extend(journal.append_blocking(more).unwrap().entries);
    }
    let kept = &stored[retained.deleted_entries..];
    assert_eq!(all(&journal), kept);
    drop(journal);
    let opened = open(folder.path());
    assert_eq!(opened.damage, None);
    assert_eq!(all(&opened.journal), kept);
}
