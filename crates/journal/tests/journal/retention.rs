//! What retention deletes, and what it must not.

use std::time::Duration;

use journal::{Bounds, Journal, Options, Retention};
use model::{Index, Timestamp};

use crate::support::{NOW, entry, open};

const UNLIMITED: Retention =
    Retention { max_bytes: u64::MAX, max_age: Duration::MAX, floor_entries: 0, snapshots: 100 };

/// A thousand entries, one a second, with snapshots at these; what is the first kept?
fn check(retention: Retention, snapshots: &[u64], now_s: u64, first: u64) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { retention, ..Options::default() };
    let journal = Journal::open(folder.path(), options, NOW).unwrap().journal;
    journal.append_blocking((1..=1_000).map(|at| entry(at * 1_000, &[1; 300])).collect()).unwrap();
    for index in snapshots {
        let at = Timestamp::from_millis(index * 1_000);
        journal.save_snapshot(Index(*index), at, b"state").unwrap();
    }
    let retained = journal.retain(Timestamp::from_millis(now_s * 1_000), &[]).unwrap();
    assert_eq!(retained.bounds, Bounds { first: Index(first), last: Index(1_000) });
    assert_eq!(retained.deleted_entries as u64, first - 1);
    let again = journal.retain(Timestamp::from_millis(now_s * 1_000), &[]).unwrap();
    assert_eq!((again.deleted_entries, again.deleted_snapshots), (0, 0));
    drop(journal);

    let opened = open(folder.path());
    assert_eq!(opened.damage, None);
    assert_eq!(opened.journal.bounds(), retained.bounds);
    let appended = opened.journal.append_blocking(vec![entry(0, b"")]).unwrap();
    assert_eq!(appended.first, Index(1_001));
    assert_eq!(appended.entries[0].at.as_millis(), 1_000_000);
    let read = opened.journal.read(Index(first - 1), 5_000).unwrap();
    assert_eq!(read.len() as u64, 1_002 - first);
    let snapshots = (1..=1_000).filter(|index| {
        let found = opened.journal.snapshot_at_or_before(Some(Index(*index))).unwrap();
        found.is_some_and(|found| found.index.0 == *index)
    });
    snapshots.collect()
}

#[test]
fn only_what_a_snapshot_covers_is_deleted() {
    let age = Retention { max_age: Duration::from_secs(100), ..UNLIMITED };
    check(age, &[], 5_000, 1);
    assert_eq!(check(age, &[300, 600], 5_000, 601), [600]);
    assert_eq!(check(age, &[300, 600], 650, 301), [300, 600]);
    // Entry 600 is exactly a hundred seconds old at 700: not too old.
    assert_eq!(check(age, &[300, 600], 700, 301), [300, 600]);
    assert_eq!(check(age, &[300, 600], 701, 601), [600]);
    // The last entry stays, so that the next cannot be earlier.
    assert_eq!(check(age, &[300, 1_000], 5_000, 301), [300, 1_000]);
}

#[test]
fn size_is_brought_under_the_limit_and_no_further() {
    let size = Retention { max_bytes: 200_000, ..UNLIMITED };
    let snapshots: Vec<u64> = (1..=9).map(|hundred| hundred * 100).collect();
    assert_eq!(check(size, &snapshots, 1_001, 501)[0], 500);
}

#[test]
fn the_newest_entries_stay() {
    let floor = Retention { max_bytes: 0, floor_entries: 450, ..UNLIMITED };
    check(floor, &[100, 500, 600], 9_999, 501);
    check(Retention { floor_entries: u64::MAX, ..floor }, &[100, 500], 9_999, 1);
}

#[test]
fn snapshots_are_thinned_but_the_base_stays() {
    let few = Retention { max_age: Duration::from_secs(100), snapshots: 2, ..UNLIMITED };
    assert_eq!(check(few, &[100, 200, 300, 400, 500], 350, 201), [200, 400, 500]);
}
