//! Writing a log.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use model::Timestamp;

use super::{Stream, numbers, path};
use crate::launch::LogLimits;

/// Bytes after which what waits is written: what a pipe holds on Linux.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// Writes lines to the newest file of a folder, and begins a new one when it is full.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    limits: LogLimits,
    number: u32,
    /// Of the file, whole lines all of them.
    written_bytes: u64,
    file: File,
    waiting: Vec<u8>,
    waiting_lines: u64,
}

impl Writer {
    /// A writer for the log in `folder`, behind what is there already.
    pub fn open(folder: &Path, limits: LogLimits) -> io::Result<Self> {
        let number = numbers(folder)?.last().copied().unwrap_or(1);
        let mut file =
            File::options().create(true).read(true).append(true).open(path(folder, number))?;
        let mut written_bytes = file.metadata()?.len();
        if 0 < written_bytes {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                // Whoever wrote it was cut short. What it began is no line; the next one must be.
                file.write_all(b"\n")?;
                written_bytes += 1;
            }
        }
        let (waiting, folder) = (Vec::new(), folder.to_owned());
        Ok(Self { folder, limits, number, written_bytes, file, waiting, waiting_lines: 0 })
    }

    /// Writes a whole line, or the last part of one; `text` has no line end. One that cannot be written now waits
    /// with those before it.
    pub fn line(&mut self, at: Timestamp, stream: Stream, text: &[u8]) -> io::Result<()> {
        self.write(at, stream, 'F', text)
    }

    /// Writes a part of a line that goes on.
    pub fn part(&mut self, at: Timestamp, stream: Stream, text: &[u8]) -> io::Result<()> {
        self.write(at, stream, 'P', text)
    }

    /// Hands what was written to the operating system. What it refuses waits on.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(&self.waiting) {
            // A part of it may be there, and a line that has no end. Where that cannot be taken back, whoever
            // opens the file next mends it.
            drop(self.file.set_len(self.written_bytes));
            return Err(error);
        }
        self.written_bytes += self.waiting.len() as u64;
        self.waiting.clear();
        self.waiting_lines = 0;
        Ok(())
    }

    /// Lines that the operating system does not have yet.
    pub const fn waiting_lines(&self) -> u64 {
        self.waiting_lines
    }

    fn write(&mut self, at: Timestamp, stream: Stream, tag: char, text: &[u8]) -> io::Result<()> {
        let head = format!("{at} {} {tag} ", stream.as_str());
        let bytes = (head.len() + text.len() + 1) as u64;
        let until_now = self.written_bytes + self.waiting.len() as u64;
        let is_full = 0 < until_now && self.limits.file_bytes.0 < until_now + bytes;
        let has_room = if is_full { self.next_file() } else { Ok(()) };
        self.waiting.extend_from_slice(head.as_bytes());
        self.waiting.extend_from_slice(text);
        self.waiting.push(b'\n');
        self.waiting_lines += 1;
        has_room?;
        if WAITING_BYTES_MAX <= self.waiting.len() {
            self.flush()?;
        }
        Ok(())
    }

    fn next_file(&mut self) -> io::Result<()> {
        self.flush()?;
        let next = path(&self.folder, self.number + 1);
        self.file = File::options().create(true).append(true).open(next)?;
        self.number += 1;
        self.written_bytes = 0;
        let numbers = numbers(&self.folder)?;
        let surplus = numbers.len().saturating_sub(self.limits.files.max(1) as usize);
        for number in numbers.into_iter().take(surplus) {
            fs::remove_file(path(&self.folder, number))?;
        }
        Ok(())
    }
}
