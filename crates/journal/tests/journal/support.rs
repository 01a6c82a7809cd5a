//! A journal written step by step, with what is known to be on disk after each.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use journal::{Entry, Journal, NewEntry, Opened, Options};
use model::{Index, Timestamp};
use tempfile::TempDir;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_327_200_000);

pub(crate) fn entry(at: u64, body: &[u8]) -> NewEntry {
    let at = Timestamp::from_millis(at);
    NewEntry { at, sets_clock: false, kind: "test.happened".into(), body: body.to_vec() }
}

pub(crate) fn open(folder: &Path) -> Opened {
    Journal::open(folder, Options::default(), NOW).unwrap()
}

/// All entries, following snapshots over holes.
pub(crate) fn all(journal: &Journal) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut after = Index(journal.bounds().first.0 - 1);
    loop {
        let outcome = journal.replay(after, None, |entry| {
            entries.push(entry.to_entry());
            ControlFlow::Continue(())
        });
        match outcome {
            Ok(()) => return entries,
            Err(journal::ReadError::Gap { snapshot, .. }) => after = snapshot,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a test does to a journal.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// One append of entries with bodies of these sizes.
    Append(Vec<usize>),
    Checkpoint,
    Snapshot,
    /// Delete up to the newest snapshot.
    Retain,
}

/// A journal that was written, and until which byte what lay where.
pub(crate) struct Written {
    pub(crate) folder: TempDir,
    pub(crate) journal: Option<Journal>,
    pub(crate) entries: Vec<Entry>,
    /// Main file length after a checkpoint, and the last entry then.
    pub(crate) main_marks: Vec<(u64, u64)>,
    /// Log length after an append, and the last entry then; since the last checkpoint.
    pub(crate) log_marks: Vec<(u64, u64)>,
}

impl Written {
    pub(crate) fn new(steps: &[Step]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let retention =
            journal::Retention { max_bytes: 0, floor_entries: 0, ..journal::Retention::default() };
        let options = Options { retention, ..Options::default() };
        let opened = Journal::open(folder.path(), options, NOW).unwrap();
        assert_eq!(opened.damage, None);
        let mut written = Self {
            folder,
            journal: Some(opened.journal),
            entries: Vec::new(),
            main_marks: Vec::new(),
            log_marks: Vec::new(),
        };
        for step in steps {
            written.take(step);
        }
        written
    }

    pub(crate) fn last(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.index.0)
    }

    fn take(&mut self, step: &Step) {
        let journal = self.journal.clone().unwrap();
        match step {
            Step::Append(sizes) => {
                let entries = sizes.iter().map(|size| {
                    // Bodies differ by index, so that one entry cannot pass for another.
                    let seed = self.last().wrapping_mul(31).wrapping_add(*size as u64);
                    let body: Vec<u8> =
                        (0..*size as u64).map(|at| (at * 7 + seed).to_le_bytes()[0]).collect();
                    entry(1_000 + self.last() * 10, &body)
                });
                let appended = journal.append_blocking(entries.collect()).unwrap();
                self.entries.extend(appended.entries);
                self.log_marks.push((length(&self.log()), self.last()));
            }
            Step::Checkpoint => {
                journal.checkpoint().unwrap();
                self.mark_main();
            }
            Step::Snapshot => {
                let bounds = journal.bounds();
                if let Some(last) = self.entries.last() {
                    journal.save_snapshot(bounds.last, last.at, b"a state").unwrap();
                }
            }
            Step::Retain => {
                let retained = journal.retain(NOW, &[]).unwrap();
                self.entries.retain(|entry| entry.index >= retained.bounds.first);
                // Rows may have moved; only what is marked from now on is sure of its place.
                self.main_marks.clear();
                self.log_marks.clear();
                journal.checkpoint().unwrap();
                self.mark_main();
            }
        }
    }

    /// Closes the journal: everything is in the main file then.
    pub(crate) fn close(&mut self) {
        self.journal = None;
        self.mark_main();
    }

    /// A copy of the folder as a crash at this moment would leave it.
    pub(crate) fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(self.folder.path(), copy.path());
        copy
    }

    fn mark_main(&mut self) {
        // Cumulative marks: what was in a shorter file goes on being there.
        self.main_marks.push((length(&self.main()), self.last()));
        self.log_marks.clear();
    }

    pub(crate) fn main(&self) -> PathBuf {
        self.folder.path().join("journal.sqlite")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("journal.sqlite-wal")
    }
}

pub(crate) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

pub(crate) fn cut(path: &Path, bytes: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

pub(crate) fn flip(path: &Path, bit: u64) {
    let mut bytes = fs::read(path).unwrap();
    let at = usize::try_from(bit / 8).unwrap() % bytes.len();
    bytes[at] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_folder(&file.path(), &target);
        } else if !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), target).unwrap();
        }
    }
}
