//! What instances say, kept in files of bounded number and size.
//!
//! A line is kept in the format of Kubernetes' container runtimes (CRI), which log collectors read:
//! `2026-11-22T06:00:00.123Z stdout F text`, with `P` in place of `F` for a part of a line that was too
//! long. Files are numbered, `log.1`, `log.2`, ..; the highest is written to, the oldest are removed. A
//! place in a log is therefore a file's number and an offset, and stays right when files are put aside.

mod read;
mod write;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use read::{Cursor, Line, Page, read, read_since, tail};
pub use write::Writer;

/// Bytes after which a line without an end is cut: what CRI runtimes use.
pub const LINE_BYTES_MAX: usize = 16 << 10;

/// Where an instance said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Its name in a log file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl FromStr for Stream {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            _ => Err(()),
        }
    }
}

fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("log.{number}"))
}

/// The numbers of the files in `folder`, in order; none if there is no such folder.
fn numbers(folder: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|it| it.strip_prefix("log."));
        numbers.extend(number.and_then(|it| it.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::LogLimits;
    use model::Timestamp;
    use model::units::Bytes;

    const LIMITS: LogLimits = LogLimits { file_bytes: Bytes(400), files: 3 };

    fn write(folder: &Path, lines: std::ops::Range<u64>) {
        let mut writer = Writer::open(folder, LIMITS).unwrap();
        for number in lines {
            let at = Timestamp::from_millis(number);
            writer.line(at, Stream::Stdout, format!("line {number}").as_bytes()).unwrap();
        }
        writer.flush().unwrap();
    }

    fn texts(page: &Page) -> Vec<&str> {
        page.lines.iter().map(|it| it.text.as_str()).collect()
    }

    #[test]
    fn lines_are_read_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path(), LogLimits::default()).unwrap();
        let at = Timestamp::from_millis(1_795_327_200_123);
        writer.line(at, Stream::Stdout, b"hello  world").unwrap();
        writer.part(at, Stream::Stderr, "half \u{fc}".as_bytes()).unwrap();
        writer.line(at, Stream::Stderr, b"bad \xff").unwrap();
        writer.flush().unwrap();
        let text = fs::read_to_string(path(folder.path(), 1));
        assert!(text.is_err(), "bytes are kept as they are");
        let page = read(folder.path(), Cursor::default(), 10).unwrap();
        let line = |stream, text: &str, partial| Line { at, stream, text: text.into(), partial };
        assert_eq!(
            page.lines,
            [
                line(Stream::Stdout, "hello  world", false),
                line(Stream::Stderr, "half \u{fc}", true),
                line(Stream::Stderr, "bad \u{fffd}", false),
            ]
        );
    }

    #[test]
    fn old_files_go_and_a_cursor_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 0..5);
        let first = read(folder.path(), Cursor::default(), 3).unwrap();
        assert_eq!(texts(&first), ["line 0", "line 1", "line 2"]);
        let second = read(folder.path(), first.next, 100).unwrap();
        assert_eq!(texts(&second), ["line 3", "line 4"]);
        assert_eq!(texts(&read(folder.path(), second.next, 100).unwrap()), [""; 0]);
        write(folder.path(), 5..100);
        assert_eq!(numbers(folder.path()).unwrap().len(), 3);
        let later = read(folder.path(), second.next, 1000).unwrap();
        let texts = texts(&later);
        assert_eq!(texts.last(), Some(&"line 99"));
        // 76 lines are gone that nobody has read; they had 3187 bytes.
        assert_eq!((texts.first(), later.missed_bytes), (Some(&"line 81"), 3_197));
        assert_eq!((first.missed_bytes, second.missed_bytes), (0, 0));
        let kept: u64 = numbers(folder.path())
            .unwrap()
            .iter()
            .map(|it| fs::metadata(path(folder.path(), *it)).unwrap().len())
            .sum();
        assert!(kept <= 3 * 400);
    }

    #[test]
    fn the_tail_spans_files() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(tail(folder.path(), 5).unwrap(), Page::default());
        write(folder.path(), 0..40);
        let page = tail(folder.path(), 12).unwrap();
        let wanted: Vec<_> = (28..40).map(|it| format!("line {it}")).collect();
        assert_eq!(texts(&page), wanted);
        // What follows the place before the tail is the tail, and behind it is nothing yet.
        let again = read(folder.path(), page.from, 100).unwrap();
        assert_eq!((&again.lines, &again.ends), (&page.lines, &page.ends));
        assert_eq!(page.ends.last(), Some(&page.next));
        let none = tail(folder.path(), 0).unwrap();
        assert_eq!((none.lines.len(), none.from, none.next), (0, page.next, page.next));
    }

    #[test]
    fn the_tail_of_a_large_file_is_found_from_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path(), LogLimits::default()).unwrap();
        for number in 0..20_000 {
            let text = format!("line {number} {}", "x".repeat(number % 97));
            writer.line(Timestamp::from_millis(1), Stream::Stdout, text.as_bytes()).unwrap();
        }
        writer.flush().unwrap();
        let all = read(folder.path(), Cursor::default(), usize::MAX).unwrap();
        for count in [1, 50, 1_000, 19_999, 20_000, 30_000] {
            let page = tail(folder.path(), count).unwrap();
            let wanted = all.lines.len().saturating_sub(count);
            assert_eq!(page.lines, all.lines[wanted..], "{count}");
            assert_eq!(page.next, all.next);
            assert_eq!(read(folder.path(), page.from, usize::MAX).unwrap().lines, page.lines);
        }
    }

    #[test]
    fn issue_12_what_is_no_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", path(folder.path(), 1)).unwrap();
        assert!(tail(folder.path(), 5).unwrap_err().to_string().contains("is no file"));
        assert!(read(folder.path(), Cursor::default(), 5).is_err());
    }

    #[test]
    fn what_was_written_before_a_time_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 0..12);
        let since = Timestamp::from_millis(9);
        let page = read_since(folder.path(), Cursor::default(), since, 2).unwrap();
        assert_eq!(texts(&page), ["line 9", "line 10"]);
        let page = read_since(folder.path(), page.ends[0], since, 9).unwrap();
        assert_eq!(texts(&page), ["line 10", "line 11"]);
    }

    #[test]
    fn what_a_writer_before_left_unfinished_is_no_part_of_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let head = "1970-01-01T00:00:00.001Z stdout F ";
        fs::write(path(folder.path(), 1), format!("{head}one\n{head}tw")).unwrap();
        write(folder.path(), 3..4);
        let page = read(folder.path(), Cursor::default(), 10).unwrap();
        assert_eq!(texts(&page), ["one", "tw", "line 3"]);
    }

    #[test]
    fn an_unfinished_line_is_left_for_later() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path(), 1), "1970-01-01T00:00:00.001Z stdout F one\n1970-01-01T")
            .unwrap();
        let page = read(folder.path(), Cursor::default(), 10).unwrap();
        assert_eq!(texts(&page), ["one"]);
        fs::write(
            path(folder.path(), 1),
            "1970-01-01T00:00:00.001Z stdout F one\n1970-01-01T00:00:00.002Z stderr F two\nrubbish\n",
        )
        .unwrap();
        let page = read(folder.path(), page.next, 10).unwrap();
        assert_eq!(texts(&page), ["two"]);
    }
}
