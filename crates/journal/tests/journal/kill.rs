//! A process that is killed has lost nothing that it was told is safe.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::support::{all, entry, open};

const FOLDER: &str = "PELAGO_JOURNAL_KILL_TEST";

/// In the child: appends for ever and says what is safe. In an ordinary run it has nothing to do.
#[test]
fn child_appends_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let journal = open(folder.as_ref()).journal;
    let mut output = std::io::stdout();
    for round in 0_usize.. {
        let sizes = (0..=round % 7).map(|at| (round * 131 + at * 977) % 9_000);
        let entries = sizes.map(|size| entry(1, &size.to_le_bytes().repeat(size / 8 + 1)));
        let appended = journal.append_blocking(entries.collect()).unwrap();
        writeln!(output, "safe {} {}", appended.first, appended.last).unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut safe = 0;
    for lines in [1, 17, 3, 150, 2, 60, 0, 400, 9, 33] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_appends_until_killed", "--nocapture"])
            .env(OsStr::new(FOLDER), folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut seen = 0;
        for line in output.lines() {
            let line = line.unwrap();
            // The test harness writes its own line before the first of ours.
            let Some((_, numbers)) = line.split_once("safe ") else { continue };
            safe = numbers.split_once(' ').unwrap().1.parse().unwrap();
            seen += 1;
            if seen == lines + 1 {
                // SIGKILL; lines already in the pipe are read to the end.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();

        let opened = open(folder.path());
        assert!(!opened.damage.is_some_and(|damage| damage.lost_entries()));
        let entries = all(&opened.journal);
        assert!(entries.len() as u64 >= safe, "{} of {safe}", entries.len());
        for (position, found) in entries.iter().enumerate() {
            assert_eq!(found.index.0, position as u64 + 1);
            let size = usize::from_le_bytes(found.body[..8].try_into().unwrap());
            assert_eq!(found.body.len(), (size / 8 + 1) * 8);
        }
        safe = entries.len() as u64;
    }
}
