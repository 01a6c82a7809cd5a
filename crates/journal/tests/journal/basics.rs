//! Appending, reading, time, limits, locking, formats.

use std::fs;
use std::ops::ControlFlow;

use journal::{
    AppendError, Bounds, Journal, NewEntry, OpenError, Options, ReadError, SnapshotError,
};
use model::{Index, Timestamp};

use crate::support::{NOW, all, entry, open};

#[test]
fn what_is_appended_is_read_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).journal;
    assert_eq!(journal.bounds(), Bounds { first: Index(1), last: Index(0) });
    let mut stored = journal.append_blocking(vec![entry(10, b"a")]).unwrap().entries;
    let two = journal.append_blocking(vec![entry(20, b""), entry(20, &[7; 100_000])]).unwrap();
    assert_eq!((two.first, two.last), (Index(2), Index(3)));
    stored.extend(two.entries);
    assert_eq!(all(&journal), stored);
    drop(journal);

    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "no log is left");
    let opened = open(folder.path());
    assert_eq!(opened.damage, None);
    assert_eq!(opened.journal.bounds(), Bounds { first: Index(1), last: Index(3) });
    assert_eq!(all(&opened.journal), stored);
    assert_eq!(opened.journal.read(Index(1), 1).unwrap(), stored[1..2]);
    assert_eq!(opened.journal.read(Index(3), 9).unwrap(), []);
    assert_eq!(opened.journal.append_blocking(vec![entry(0, b"")]).unwrap().first, Index(4));
}

#[test]
fn replay_ends_where_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).journal;
    journal.append_blocking((0..100).map(|at| entry(at, b"body")).collect()).unwrap();
    let check = |after: u64, up_to: Option<u64>, stop: u64, expected: &[u64]| {
        let mut seen = Vec::new();
        let outcome = journal.replay(Index(after), up_to.map(Index), |entry| {
            seen.push(entry.index.0);
            if entry.index.0 == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        outcome.unwrap();
        assert_eq!(seen, expected);
    };
    check(0, Some(3), 0, &[1, 2, 3]);
    check(97, None, 0, &[98, 99, 100]);
    check(10, None, 12, &[11, 12]);
    check(10, Some(10), 0, &[]);
    check(10, Some(5), 0, &[]);
    check(100, None, 0, &[]);
    check(500, None, 0, &[]);
}

/// Entries of a future that turned out wrong keep their places, and are later than all that came after.
#[test]
fn a_clock_that_is_said_to_be_set_back_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).journal;
    let times = [10, 20, 9_000, 9_010, 30, 25, 40, 5, 7, 50];
    let set_back = [Index(5), Index(8)];
    let made = |(place, at): (usize, u64)| NewEntry {
        sets_clock: set_back.contains(&Index(place as u64 + 1)),
        ..entry(at, b"")
    };
    let appended =
        journal.append_blocking(times.into_iter().enumerate().map(made).collect()).unwrap();
    let stored: Vec<u64> = appended.entries.iter().map(|it| it.at.as_millis()).collect();
    assert_eq!(stored, [10, 20, 9_000, 9_010, 30, 30, 40, 5, 7, 50]);
    let check = |journal: &Journal, at: u64, expected: Option<u64>| {
        let found = journal.index_at(Timestamp::from_millis(at), &set_back).unwrap();
        assert_eq!(found.map(|it| it.0), expected, "at {at}");
    };
    let last_at_or_before =
        |at: u64| stored.iter().rposition(|it| *it <= at).map(|it| it as u64 + 1);
    for at in 0..60 {
        check(&journal, at, last_at_or_before(at));
    }
    check(&journal, 9_005, Some(10));
    drop(journal);

    let opened = open(folder.path());
    assert_eq!(opened.damage, None);
    check(&opened.journal, 8, Some(9));
    let next = opened.journal.append_blocking(vec![entry(3, b"")]).unwrap();
    assert_eq!(next.entries[0].at, Timestamp::from_millis(50), "from there on it never goes back");
}

#[test]
fn time_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).journal;
    let appended = journal.append_blocking([50, 20, 60].map(|at| entry(at, b"")).into()).unwrap();
    let times: Vec<u64> = appended.entries.iter().map(|entry| entry.at.as_millis()).collect();
    assert_eq!(times, [50, 50, 60]);
    drop(journal);
    let journal = open(folder.path()).journal;
    journal.append_blocking(vec![entry(1, b""), entry(u64::MAX, b"")]).unwrap();
    assert_eq!(all(&journal)[3].at.as_millis(), 60);
    let index_at =
        |at| journal.index_at(Timestamp::from_millis(at), &[]).unwrap().map(|index| index.0);
    assert_eq!([49, 50, 59, 60, 61].map(index_at), [None, Some(2), Some(2), Some(4), Some(4)]);
    assert_eq!(index_at(u64::MAX), Some(5));
}

#[test]
fn concurrent_appends_are_all_stored_each_in_one_piece() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).journal;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..50_u8)
            .map(|task| {
                let journal = journal.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        let entries = vec![entry(0, &[task]), entry(0, &[task]), entry(0, &[task])];
                        let appended = journal.append(entries).await.unwrap();
                        assert_eq!(appended.last.0, appended.first.0 + 2);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let entries = all(&journal);
    assert_eq!(entries.len(), 1_500);
    assert!(entries.chunks(3).all(|three| three.iter().all(|one| one.body == three[0].body)));
}

#[test]
fn a_queued_append_outlives_the_handle() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).journal;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let append = journal.append(vec![entry(1, b"late")]);
    drop(journal);
    assert_eq!(runtime.block_on(append).unwrap().last, Index(1));
    assert_eq!(open(folder.path()).journal.bounds().last, Index(1));
}

#[test]
fn a_refused_append_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).journal;
    let error = journal.append_blocking(Vec::new()).unwrap_err();
    assert!(matches!(error, AppendError::Empty));
    let large = vec![entry(1, b"fine"), entry(1, &vec![0; journal::MAX_BODY_BYTES + 1])];
    let error = journal.append_blocking(large).unwrap_err();
    assert!(matches!(error, AppendError::BodyTooLarge { .. }));
    assert!(journal.bounds().is_empty());
    let largest = entry(1, &vec![1; journal::MAX_BODY_BYTES]);
    let stored = journal.append_blocking(vec![largest]).unwrap().entries;
    assert_eq!(all(&journal), stored);
}

#[test]
fn snapshots_are_found_by_index() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).journal;
    journal.append_blocking((0..9).map(|at| entry(at, b"")).collect()).unwrap();
    assert_eq!(journal.snapshot_at_or_before(None).unwrap(), None);
    let large = vec![3; 3 << 20];
    journal.save_snapshot(Index(4), Timestamp::from_millis(4), &large).unwrap();
    journal.save_snapshot(Index(8), Timestamp::from_millis(8), b"eight").unwrap();
    let error = journal.save_snapshot(Index(10), Timestamp::EPOCH, b"").unwrap_err();
    assert!(matches!(error, SnapshotError::BeyondEnd { .. }));
    let found = |limit| journal.snapshot_at_or_before(limit).unwrap().map(|found| found.body);
    assert_eq!(found(None), Some(b"eight".to_vec()));
    assert_eq!(found(Some(Index(7))), Some(large));
    assert_eq!(found(Some(Index(3))), None);
}

#[test]
fn one_owner_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).journal;
    let error = Journal::open(folder.path(), Options::default(), NOW).unwrap_err();
    assert!(
        matches!(&error, OpenError::Owned { pid: Some(pid), .. } if *pid == std::process::id())
    );
    let text = error.to_string();
    assert!(text.starts_with("another pelago (process "), "{text}");
    drop(journal);
    open(folder.path());
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let refused = || Journal::open(folder.path(), Options::default(), NOW).unwrap_err();

    fs::write(&path, "name: shop\n".repeat(1_000)).unwrap();
    assert!(matches!(refused(), OpenError::NotAJournal { .. }));
    fs::remove_file(&path).unwrap();

    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE a(b); INSERT INTO a VALUES (1)").unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    assert!(matches!(refused(), OpenError::NotAJournal { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::remove_file(&path).unwrap();

    drop(open(folder.path()));
    let mut later = fs::read(&path).unwrap();
    (later[63], later[71]) = (2, 2);
    fs::write(&path, &later).unwrap();
    assert!(matches!(refused(), OpenError::NewerFormat { found: 2, supported: 1, .. }));
    assert_eq!(fs::read(&path).unwrap(), later);
}

#[test]
fn reading_before_the_beginning_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let retention = journal::Retention {
        max_age: std::time::Duration::from_millis(0),
        floor_entries: 2,
        ..journal::Retention::default()
    };
    let options = Options { retention, ..Options::default() };
    let journal = Journal::open(folder.path(), options, NOW).unwrap().journal;
    journal.append_blocking((0..9).map(|at| entry(at, b"")).collect()).unwrap();
    journal.save_snapshot(Index(5), Timestamp::from_millis(4), b"five").unwrap();
    journal.retain(NOW, &[]).unwrap();
    assert_eq!(journal.bounds(), Bounds { first: Index(6), last: Index(9) });
    let error = journal.read(Index(4), 1).unwrap_err();
    assert!(matches!(error, ReadError::Forgotten { after: Index(4), first: Index(6) }));
    assert_eq!(journal.read(Index(5), 1).unwrap()[0].index, Index(6));
    assert_eq!(journal.index_at(Timestamp::from_millis(3), &[]).unwrap(), None);
}
