//! Reading a log.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LINE_BYTES_MAX, Stream, numbers, path};

/// Bytes a record may have: a line and its head.
const RECORD_BYTES_MAX: u64 = LINE_BYTES_MAX as u64 + 256;

/// A place in a log: the default is its beginning.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Cursor {
    /// The number of the file.
    pub file: u32,
    /// The offset in it, in bytes.
    pub offset: u64,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When it was written.
    pub at: Timestamp,
    /// Where it was written to.
    pub stream: Stream,
    /// The line, without its end; bytes that are no text are replaced.
    pub text: String,
    /// Whether the line goes on in the next.
    pub partial: bool,
}

/// Lines and the place behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The lines.
    pub lines: Vec<Line>,
    /// Where to go on.
    pub next: Cursor,
}

/// At most `limit` lines from `from` on. Lines that are not whole yet are left for the next call; lines
/// that are no log lines are passed over.
pub fn read(folder: &Path, from: Cursor, limit: usize) -> io::Result<Page> {
    let mut page = Page { lines: Vec::new(), next: from };
    for number in numbers(folder)?.into_iter().filter(|it| from.file <= *it) {
        if page.next.file != number {
            page.next = Cursor { file: number, offset: 0 };
        }
        let mut file = match File::open(path(folder, number)) {
            Ok(file) => file,
            // Put aside and removed since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(page.next.offset))?;
        let mut reader = BufReader::new(file);
        let mut record = Vec::new();
        while page.lines.len() < limit {
            record.clear();
            let count = reader.by_ref().take(RECORD_BYTES_MAX).read_until(b'\n', &mut record)?;
            if count == 0 || (record.last() != Some(&b'\n') && (count as u64) < RECORD_BYTES_MAX) {
                break;
            }
            page.next.offset += count as u64;
            page.lines.extend(parse(&record));
        }
    }
    Ok(page)
}

/// The last `count` lines.
pub fn tail(folder: &Path, count: usize) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for number in numbers(folder)?.into_iter().rev() {
        let page = read_one(folder, number)?;
        let missing = count - lines.len();
        let from = page.len().saturating_sub(missing);
        lines.splice(0..0, page.into_iter().skip(from));
        if lines.len() == count {
            break;
        }
    }
    Ok(lines)
}

fn read_one(folder: &Path, number: u32) -> io::Result<Vec<Line>> {
    let from = Cursor { file: number, offset: 0 };
    let last = numbers(folder)?.last().copied() == Some(number);
    if last {
        return Ok(read(folder, from, usize::MAX)?.lines);
    }
    let text = std::fs::read(path(folder, number))?;
    Ok(text.split_inclusive(|it| *it == b'\n').filter_map(parse).collect())
}

/// The place behind the last line there is now.
pub fn end(folder: &Path) -> io::Result<Cursor> {
    match numbers(folder)?.last() {
        Some(number) => {
            let offset = std::fs::metadata(path(folder, *number))?.len();
            Ok(Cursor { file: *number, offset })
        }
        None => Ok(Cursor::default()),
    }
}

fn parse(record: &[u8]) -> Option<Line> {
    let mut fields = record.strip_suffix(b"\n").unwrap_or(record).splitn(4, |it| *it == b' ');
    let at = Timestamp::parse(std::str::from_utf8(fields.next()?).ok()?)?;
    let stream = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let partial = match fields.next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    let text = String::from_utf8_lossy(fields.next()?).into_owned();
    Some(Line { at, stream, text, partial })
}
