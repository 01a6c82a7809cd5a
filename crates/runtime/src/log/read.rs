//! Reading a log.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LINE_BYTES_MAX, Stream, numbers, path};

/// Bytes a record may have: a line and its head.
const RECORD_BYTES_MAX: u64 = LINE_BYTES_MAX as u64 + 256;

/// Bytes at the end of a file in which its last lines are looked for first: some hundred lines.
const TAIL_BYTES: u64 = 32 << 10;

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

/// Lines and the places around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The place before the first line.
    pub from: Cursor,
    /// The lines.
    pub lines: Vec<Line>,
    /// The place behind each line.
    pub ends: Vec<Cursor>,
    /// Where to go on.
    pub next: Cursor,
    /// Bytes between `from` and the first file that is left, about: more was written than read, and the oldest
    /// files are gone.
    pub missed_bytes: u64,
}

/// At most `limit` lines from `from` on. Lines that are not whole yet are left for the next call; lines
/// that are no log lines are passed over.
pub fn read(folder: &Path, from: Cursor, limit: usize) -> io::Result<Page> {
    read_since(folder, from, Timestamp::EPOCH, limit)
}

/// The same, passing over lines written before `since`.
pub fn read_since(folder: &Path, from: Cursor, since: Timestamp, limit: usize) -> io::Result<Page> {
    let numbers = numbers(folder)?;
    let missed_bytes = missed_bytes(folder, &numbers, from);
    let mut page = Page { from, next: from, missed_bytes, ..Page::default() };
    for number in numbers.into_iter().filter(|it| from.file <= *it) {
        if page.next.file != number {
            page.next = Cursor { file: number, offset: 0 };
        }
        read_file(folder, since, limit, &mut page)?;
        if limit <= page.lines.len() {
            break;
        }
    }
    Ok(page)
}

/// Bytes of the files that are gone since `from`. Files are as long as each other, but for the last and the length of
/// a line.
fn missed_bytes(folder: &Path, numbers: &[u32], from: Cursor) -> u64 {
    let [first, _another, ..] = numbers else { return 0 };
    let gone = first.saturating_sub(from.file.max(1));
    if gone == 0 {
        return 0;
    }
    let bytes = std::fs::metadata(path(folder, *first)).map_or(0, |it| it.len());
    bytes.saturating_mul(gone.into()).saturating_sub(from.offset)
}

/// Reads on in the file where `page` ends.
fn read_file(folder: &Path, since: Timestamp, limit: usize, page: &mut Page) -> io::Result<()> {
    let mut file = match open(&path(folder, page.next.file)) {
        Ok(file) => file,
        // Put aside and removed since the folder was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
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
        if let Some(line) = parse(&record).filter(|it| since <= it.at) {
            page.lines.push(line);
            page.ends.push(page.next);
        }
    }
    Ok(())
}

/// The last `count` lines.
pub fn tail(folder: &Path, count: usize) -> io::Result<Page> {
    let mut tail: Option<Page> = None;
    for number in numbers(folder)?.into_iter().rev() {
        let mut page = last_lines(folder, number, count)?;
        if let Some(later) = tail {
            page.lines.extend(later.lines);
            page.ends.extend(later.ends);
            page.next = later.next;
        }
        let surplus = page.lines.len().saturating_sub(count);
        page.lines.drain(..surplus);
        page.from = page.ends.drain(..surplus).next_back().unwrap_or(page.from);
        let is_full = page.lines.len() == count;
        tail = Some(page);
        if is_full {
            break;
        }
    }
    Ok(tail.unwrap_or_default())
}

/// The last `count` lines of a file or more, all of them if there are fewer. Of a large file only the end is
/// read.
fn last_lines(folder: &Path, number: u32, count: usize) -> io::Result<Page> {
    let bytes = match std::fs::metadata(path(folder, number)) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let mut window = TAIL_BYTES;
    loop {
        let offset = line_start(folder, number, bytes.saturating_sub(window))?;
        let from = Cursor { file: number, offset };
        let mut page = Page { from, next: from, ..Page::default() };
        read_file(folder, Timestamp::EPOCH, usize::MAX, &mut page)?;
        if offset == 0 || count <= page.lines.len() {
            return Ok(page);
        }
        window = window.saturating_mul(4);
    }
}

/// Opens a file of a log. What is none would have its reader wait, or go on, for good.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let message = format!("{} is no file", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// The beginning of the first line that begins at `offset` or later.
fn line_start(folder: &Path, number: u32, offset: u64) -> io::Result<u64> {
    let Some(before) = offset.checked_sub(1) else { return Ok(0) };
    let mut file = open(&path(folder, number))?;
    file.seek(SeekFrom::Start(before))?;
    let mut skipped = Vec::new();
    let count = BufReader::new(file).take(RECORD_BYTES_MAX).read_until(b'\n', &mut skipped)?;
    Ok(before + count as u64)
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
