//! Files cut at any byte and changed at any bit.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use journal::{Check, Entry, Journal, OpenError, Options, ReadError};
use model::{Index, Timestamp};
use proptest::prelude::*;

use crate::support::{NOW, Step, Written, all, cut, entry, flip, length, open};

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![
        8 => 0_usize..300,
        3 => 1_000_usize..4_500,
        1 => 4_000_usize..40_000,
    ];
    prop_oneof![
        12 => prop::collection::vec(size, 1..12).prop_map(Step::Append),
        4 => Just(Step::Checkpoint),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Retain),
    ]
}

fn journals() -> impl Strategy<Value = Written> {
    prop::collection::vec(step(), 1..40).prop_map(|steps| Written::new(&steps)).no_shrink()
}

impl std::fmt::Debug for Written {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "main {:?} log {:?}", self.main_marks, self.log_marks)
    }
}

/// Opens a damaged copy and holds it against what was written; everything up to `sure` must be
/// there.
fn check(written: &Written, folder: &Path, sure: u64) {
    let opened = open(folder);
    let originals: BTreeMap<Index, &Entry> =
        written.entries.iter().map(|entry| (entry.index, entry)).collect();
    let kept = all(&opened.journal);
    for entry in &kept {
        assert_eq!(Some(&entry), originals.get(&entry.index), "no entry is wrong");
    }
    let kept_until = |limit: u64| kept.iter().filter(|entry| entry.index.0 <= limit).count();
    let sure_entries = originals.range(..=Index(sure)).count();
    assert_eq!(
        kept_until(sure),
        sure_entries,
        "what lay before the cut is there: {:?}",
        opened.damage
    );

    let lost = written.entries.len() - kept.len();
    let reported: u64 = opened
        .damage
        .as_ref()
        .map_or(0, |damage| damage.dropped.iter().map(|hole| hole.last.0 - hole.first.0 + 1).sum());
    assert_eq!(reported, lost as u64, "{:?}", opened.damage);
    let stranded = opened.damage.as_ref().map_or(0, |damage| damage.unreachable);
    let history = opened.journal.history(Index(0), None, 100_000).unwrap();
    assert_eq!(history.len() as u64, kept.len() as u64 + stranded, "{:?}", opened.damage);
    for entry in &history {
        assert_eq!(Some(&entry), originals.get(&entry.index), "no entry is wrong");
    }
    assert_eq!(opened.journal.bounds().last.0, written.last(), "no index is used again");
    let next = opened.journal.append_blocking(vec![entry(0, b"next")]).unwrap();
    assert_eq!(next.first.0, written.last() + 1);
    drop(opened);

    let opened = Journal::open(folder, Options { check: Check::Full, ..Options::default() }, NOW);
    let opened = opened.unwrap();
    assert_eq!(opened.damage, None, "a repaired journal is whole");
    let mut expected = kept;
    expected.extend(next.entries);
    assert_eq!(all(&opened.journal), expected);
}

/// The last entry known to lie before `bytes`.
fn sure(marks: &[(u64, u64)], bytes: u64) -> u64 {
    marks.iter().filter(|(length, _)| *length <= bytes).map(|(_, last)| *last).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_closed_journal_cut_anywhere(mut written in journals(), share in 0.0..1.0_f64) {
        written.close();
        let bytes = part(length(&written.main()), share);
        let copy = written.copy();
        cut(&copy.path().join("journal.sqlite"), bytes);
        check(&written, copy.path(), sure(&written.main_marks, bytes));
    }

    #[test]
    fn an_open_journal_cut_anywhere(written in journals(), share in 0.0..1.0_f64) {
        let bytes = part(length(&written.main()), share);
        let copy = written.copy();
        cut(&copy.path().join("journal.sqlite"), bytes);
        check(&written, copy.path(), sure(&written.main_marks, bytes));
    }

    #[test]
    fn a_log_cut_anywhere(written in journals(), share in 0.0..1.0_f64) {
        let bytes = part(length(&written.log()), share);
        let copy = written.copy();
        let log = copy.path().join("journal.sqlite-wal");
        if log.exists() {
            cut(&log, bytes);
        }
        let in_main = sure(&written.main_marks, u64::MAX);
        check(&written, copy.path(), in_main.max(sure(&written.log_marks, bytes)));
    }

    #[test]
    fn a_bit_changed_anywhere(
        mut written in journals(),
        bit: u64,
        file in prop_oneof![
            4 => Just("journal.sqlite"),
            3 => Just("journal.sqlite-wal"),
            1 => Just("high-water"),
        ],
        closed: bool,
    ) {
        if closed {
            written.close();
        }
        let copy = written.copy();
        let path = copy.path().join(file);
        if length(&path) > 0 {
            flip(&path, bit);
        }
        check_changed(&written, copy.path());
    }
}

/// A page that nobody wrote, half of them taken for a leaf.
fn page() -> impl Strategy<Value = Vec<u8>> {
    let content = prop::collection::vec(any::<u8>(), 4096);
    (content, any::<bool>(), 0_u8..40).prop_map(|(mut page, leaf, cells)| {
        if leaf {
            page[..5].copy_from_slice(&[0x0d, 0, 0, 0, cells]);
        }
        page
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What the fuzz target `journal` does, for those without a nightly compiler.
    #[test]
    fn bytes_overwritten_anywhere(
        mut written in journals(),
        edits in prop::collection::vec(
            (any::<bool>(), any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..64)),
            1..12,
        ),
        closed: bool,
    ) {
        if closed {
            written.close();
        }
        let copy = written.copy();
        for (in_log, at, bytes) in edits {
            let name = if in_log { "journal.sqlite-wal" } else { "journal.sqlite" };
            let path = copy.path().join(name);
            let mut content = fs::read(&path).unwrap_or_default();
            if content.is_empty() {
                continue;
            }
            let at = at.index(content.len());
            content.iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = new);
            fs::write(&path, content).unwrap();
        }
        check_bytes(&written.entries, copy.path());
    }

    #[test]
    fn pages_that_nobody_wrote(
        head in prop_oneof![Just(Vec::new()), Just(b"SQLite format 3\0".to_vec()), page()],
        main in prop::collection::vec(page(), 0..5),
        log in prop::collection::vec(any::<u8>(), 0..9_000),
    ) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal.sqlite"), [head, main.concat()].concat()).unwrap();
        fs::write(folder.path().join("journal.sqlite-wal"), log).unwrap();
        check_bytes(&[], folder.path());
    }
}

/// Bytes that nobody wrote are refused, or come to a whole journal of entries that were written.
fn check_bytes(written: &[Entry], folder: &Path) {
    let full = || Journal::open(folder, Options { check: Check::Full, ..Options::default() }, NOW);
    let opened = match full() {
        Ok(opened) => opened,
        Err(OpenError::NotAJournal { .. } | OpenError::NewerFormat { .. }) => return,
        Err(error) => panic!("{error:?}"),
    };
    let kept = all(&opened.journal);
    assert!(kept.iter().all(|entry| written.contains(entry)), "no entry is wrong");
    drop(opened);
    let opened = full().unwrap();
    assert_eq!(opened.damage, None, "a repaired journal is whole");
    assert_eq!(all(&opened.journal), kept);
}

/// Opens, and reads until what is wrong is found; then opens again.
fn check_changed(written: &Written, folder: &Path) {
    let originals: BTreeMap<Index, &Entry> =
        written.entries.iter().map(|entry| (entry.index, entry)).collect();
    let read_all = |journal: &Journal| -> Result<usize, ReadError> {
        let mut after = Index(journal.bounds().first.0 - 1);
        let mut count = 0;
        loop {
            match journal.read(after, 10) {
                Ok(entries) if entries.is_empty() => return Ok(count),
                Ok(entries) => {
                    for entry in &entries {
                        assert_eq!(Some(&entry), originals.get(&entry.index), "no entry is wrong");
                    }
                    count += entries.len();
                    after = entries.last().unwrap().index;
                }
                Err(ReadError::Gap { snapshot, .. }) => after = snapshot,
                Err(error) => return Err(error),
            }
        }
    };
    let opened = open(folder);
    let mut reported = opened.damage.clone();
    let outcome = read_all(&opened.journal);
    drop(opened);
    let count = match outcome {
        Ok(count) => count,
        Err(error) => {
            assert!(matches!(error, ReadError::Damaged { .. }), "{error:?}");
            let opened = open(folder);
            reported = opened.damage;
            assert!(reported.is_some(), "the note left by the reader leads to a repair");
            read_all(&opened.journal).unwrap()
        }
    };
    if count < written.entries.len() {
        let damage = reported.unwrap();
        assert!(damage.lost_entries(), "{damage}");
        assert!(!damage.to_string().is_empty());
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lengths of test files are exact in f64"
)]
fn part(length: u64, share: f64) -> u64 {
    (length as f64 * share) as u64
}

/// Small entries, large ones, and several inner pages; cut at and around every page and at odd
/// places.
#[test]
fn every_page_boundary() {
    let mut steps = Vec::new();
    for round in 0..10 {
        steps.push(Step::Append(vec![40 + round; 6]));
        steps.push(Step::Append(vec![2_000, 9_000]));
        steps.push(Step::Checkpoint);
    }
    let mut written = Written::new(&steps);
    written.close();
    let whole = length(&written.main());
    let near =
        (0..=whole / 4096).flat_map(|page| [page * 4096, page * 4096 + 1, page * 4096 + 2048]);
    for bytes in near.filter(|bytes| *bytes <= whole).step_by(2) {
        let copy = written.copy();
        cut(&copy.path().join("journal.sqlite"), bytes);
        check(&written, copy.path(), sure(&written.main_marks, bytes));
    }
}

#[test]
fn every_byte_of_the_header() {
    let mut written = Written::new(&[Step::Append(vec![100; 40]), Step::Append(vec![9_000])]);
    written.close();
    for byte in 0..100 {
        let copy = written.copy();
        flip(&copy.path().join("journal.sqlite"), byte * 8 + byte % 8);
        check_changed(&written, copy.path());
    }
}

#[test]
fn a_missing_journal_is_not_a_new_one() {
    let mut written = Written::new(&[Step::Append(vec![10; 5])]);
    written.close();
    let copy = written.copy();
    fs::remove_file(copy.path().join("journal.sqlite")).unwrap();
    let opened = open(copy.path());
    let text = opened.damage.unwrap().to_string();
    assert!(text.contains("main file is missing"), "{text}");
    assert!(text.contains("lost: entries 1 to 5"), "{text}");
    let appended = opened.journal.append_blocking(vec![entry(1, b"")]).unwrap();
    assert_eq!(appended.first, Index(6));
}

#[test]
fn a_snapshot_bridges_a_hole() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).journal;
    let body = [5; 1_500];
    let entries = journal.append_blocking((0..100).map(|at| entry(at, &body)).collect()).unwrap();
    journal.save_snapshot(Index(60), Timestamp::from_millis(59), b"sixty").unwrap();
    drop(journal);
    flip_body(folder.path(), &body, 29);

    let journal = open(folder.path()).journal;
    // What comes before is there; what comes right after is not.
    let before = journal.read(Index(0), 1_000).unwrap();
    let last = before.last().unwrap().index;
    assert_eq!(before, entries.entries[..before.len()]);
    let error = journal.read(last, 1_000).unwrap_err();
    let ReadError::Damaged { index } = error else { panic!("{error}") };
    assert_eq!(index, last.next());
    drop(journal);
    let opened = open(folder.path());
    let damage = opened.damage.unwrap();
    assert_eq!(damage.dropped.len(), 1, "{damage}");
    assert_eq!((damage.dropped[0].first, damage.dropped[0].last), (index, Index(60)));
    assert_eq!(damage.unreachable, 60 - index.0);
    assert!(damage.set_aside.iter().all(|path| path.exists()));
    let journal = opened.journal;
    assert_eq!(journal.read(Index(0), 1_000).unwrap(), before);
    let error = journal.read(last, 1_000).unwrap_err();
    assert!(matches!(error, ReadError::Gap { snapshot: Index(60), .. }), "{error}");
    let snapshot = journal.snapshot_at_or_before(None).unwrap().unwrap();
    assert_eq!(journal.read(snapshot.index, 1_000).unwrap(), entries.entries[60..]);
}

/// Changes one bit in the n-th of the bodies that are `body`, in the order of the file.
fn flip_body(folder: &Path, body: &[u8], nth: usize) {
    let path = folder.join("journal.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    let found = bytes.windows(body.len()).enumerate().filter(|(_, window)| *window == body);
    let at = found.map(|(at, _)| at).nth(nth).unwrap();
    bytes[at + body.len() / 2] ^= 1;
    fs::write(&path, bytes).unwrap();
}

fn history(journal: &Journal) -> Vec<u64> {
    journal.history(Index(0), None, 1_000).unwrap().iter().map(|it| it.index.0).collect()
}

/// Opens twice: who reads a damaged entry has it repaired by the next.
fn reopen(folder: &Path) -> Journal {
    drop(open(folder).journal.read(Index(0), 1_000));
    open(folder).journal
}

#[test]
fn issue_12_a_changed_entry_loses_only_itself_in_history() {
    let folder = tempfile::tempdir().unwrap();
    let body = |index: u64| [index.to_le_bytes(); 200].concat();
    let journal = open(folder.path()).journal;
    let bodies = (1..=100).map(|it| entry(it, &body(it)));
    let mut written = journal.append_blocking(bodies.collect()).unwrap().entries;
    drop(journal);
    let without = |lost: &[u64], last: u64| -> Vec<u64> {
        (1..=last).filter(|it| !lost.contains(it)).collect()
    };

    flip_body(folder.path(), &body(30), 0);
    let journal = open(folder.path()).journal;
    assert_eq!(history(&journal), without(&[30], 100), "before anything is repaired");
    drop(journal);
    let journal = open(folder.path()).journal;
    assert_eq!(journal.read(Index(0), 1_000).unwrap(), written[..29], "no state goes further");
    assert_eq!(history(&journal), without(&[30], 100));
    written.extend(journal.append_blocking(vec![entry(101, &body(101))]).unwrap().entries);
    assert_eq!(written[100].index, Index(101));
    drop(journal);

    // What is behind a hole is as safe as the rest, and one more loss loses no more than itself.
    flip_body(folder.path(), &body(80), 0);
    let journal = reopen(folder.path());
    assert_eq!(history(&journal), without(&[30, 80], 101));
    assert_eq!(all(&journal).last(), written.last());
    let between = journal.history(Index(50), Some(Index(60)), 5).unwrap();
    assert_eq!(between, written[50..55], "each as it was written");
    drop(journal);

    flip_body(folder.path(), &body(1), 0);
    let journal = reopen(folder.path());
    assert_eq!(history(&journal), without(&[1, 30, 80], 101), "nothing can be folded any more");

    // What is too old goes.
    journal.append_blocking(vec![entry(102, b""), entry(103, b"")]).unwrap();
    journal.save_snapshot(Index(102), Timestamp::from_millis(102), b"state").unwrap();
    drop(journal);
    let retention = journal::Retention { max_bytes: 0, floor_entries: 0, ..Default::default() };
    let options = Options { retention, check: Check::Full, ..Options::default() };
    let opened = Journal::open(folder.path(), options, NOW).unwrap();
    assert_eq!(opened.damage, None);
    opened.journal.retain(NOW, &[]).unwrap();
    assert_eq!(history(&opened.journal), [103]);
}

#[test]
fn an_interrupted_repair_is_finished() {
    let mut written = Written::new(&[Step::Append(vec![10; 50]), Step::Checkpoint]);
    written.close();
    let copy = written.copy();
    // As after a crash between the moment the rebuilt file was complete and its taking the old
    // one's place.
    fs::copy(written.main(), copy.path().join("journal.sqlite.rebuilt")).unwrap();
    fs::write(copy.path().join("journal.sqlite.damaged-1.txt"), "report").unwrap();
    cut(&copy.path().join("journal.sqlite"), 5_000);
    let opened = open(copy.path());
    let damage = opened.damage.unwrap();
    assert!(damage.to_string().contains("an earlier repair was interrupted"), "{damage}");
    assert_eq!(damage.set_aside, [copy.path().join("journal.sqlite.damaged-1")]);
    assert_eq!(all(&opened.journal), written.entries);
}
