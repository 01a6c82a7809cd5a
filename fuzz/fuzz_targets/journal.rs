//! Whatever lies in the place of a journal's files, opening them ends: with a refusal, or with a whole journal
//! whose entries stand in those bytes.
//!
//! Half of the input is laid over each file of a genuine journal by exclusive or, so that the fuzzer begins
//! behind the checksums: an empty input is that journal, and any bytes can be had from it.
//! It wants long inputs: `-- -len_control=0 -max_len=80000`, and a seed of as many zeroes.
#![no_main]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::LazyLock;

use journal::{Check, Entry, Journal, NewEntry, OpenError, Options, ReadError};
use libfuzzer_sys::fuzz_target;
use model::{Index, Timestamp};

const FILES: [&str; 2] = ["journal.sqlite", "journal.sqlite-wal"];

/// The bytes of a body that are sure to lie in one piece.
const TOGETHER_BYTES: usize = 100;

/// Main file and log of a journal that was not closed.
static GENUINE: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let journal =
        Journal::open(folder.path(), Options::default(), Timestamp::EPOCH).unwrap().journal;
    for (round, bytes) in [40, 6_000, 300].into_iter().enumerate() {
        let entry = NewEntry {
            at: Timestamp::from_millis(round as u64),
            kind: format!("test.{round}").into(),
            body: vec![b'a' + round as u8; bytes],
            sets_clock: false,
        };
        journal.append_blocking(vec![entry]).unwrap();
        if round == 0 {
            journal.checkpoint().unwrap();
        }
    }
    FILES.map(|file| fs::read(folder.path().join(file)).unwrap())
});

fuzz_target!(|input: &[u8]| {
    let (for_main, for_log) = input.split_at(input.len() / 2);
    let files = [over(&GENUINE[0], for_main), over(&GENUINE[1], for_log)];
    let folder = tempfile::tempdir().unwrap();
    for (file, bytes) in FILES.iter().zip(&files) {
        fs::write(folder.path().join(file), bytes).unwrap();
    }
    let Some(journal) = open(folder.path()) else { return };
    let entries = all(&journal);
    for entry in &entries {
        let stands = |bytes: &[u8]| files.iter().any(|file| contains(file, bytes));
        let start = &entry.body[..entry.body.len().min(TOGETHER_BYTES)];
        assert!(stands(entry.kind.as_bytes()) && stands(start), "invented: {entry:?}");
    }
    drop(journal);
    assert_eq!(all(&open(folder.path()).expect("it was whole")), entries);
});

fn over(genuine: &[u8], input: &[u8]) -> Vec<u8> {
    let length = genuine.len().max(input.len());
    let at = |bytes: &[u8], at: usize| bytes.get(at).copied().unwrap_or(0);
    (0..length).map(|it| at(genuine, it) ^ at(input, it)).collect()
}

fn open(folder: &Path) -> Option<Journal> {
    let options = Options { check: Check::Full, ..Options::default() };
    match Journal::open(folder, options, Timestamp::EPOCH) {
        Ok(opened) => Some(opened.journal),
        Err(OpenError::NotAJournal { .. } | OpenError::NewerFormat { .. }) => None,
        Err(error) => panic!("{error:?}"),
    }
}

fn all(journal: &Journal) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut after = Index(journal.bounds().first.0 - 1);
    loop {
        let outcome = journal.replay(after, None, |entry| {
            entries.push(entry.to_entry());
            ControlFlow::Continue(())
        });
        match outcome {
            Ok(()) => return entries,
            Err(ReadError::Gap { snapshot, .. }) => after = snapshot,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|it| it == part)
}
