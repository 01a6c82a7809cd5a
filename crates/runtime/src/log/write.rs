//! Writing a log.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use model::Timestamp;

use super::{Stream, numbers, path};
use crate::launch::LogLimits;

/// Writes lines to the newest file of a folder, and begins a new one when it is full.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    limits: LogLimits,
    number: u32,
    written_bytes: u64,
    file: BufWriter<File>,
}

impl Writer {
    /// A writer for the log in `folder`, behind what is there already.
    pub fn open(folder: &Path, limits: LogLimits) -> io::Result<Self> {
        let number = numbers(folder)?.last().copied().unwrap_or(1);
        let file = File::options().create(true).append(true).open(path(folder, number))?;
        let written_bytes = file.metadata()?.len();
        let file = BufWriter::new(file);
        Ok(Self { folder: folder.to_owned(), limits, number, written_bytes, file })
    }

    /// Writes a whole line, or the last part of one; `text` has no line end.
    pub fn line(&mut self, at: Timestamp, stream: Stream, text: &[u8]) -> io::Result<()> {
        self.write(at, stream, 'F', text)
    }

    /// Writes a part of a line that goes on.
    pub fn part(&mut self, at: Timestamp, stream: Stream, text: &[u8]) -> io::Result<()> {
        self.write(at, stream, 'P', text)
    }

    /// Hands what was written to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn write(&mut self, at: Timestamp, stream: Stream, tag: char, text: &[u8]) -> io::Result<()> {
        let head = format!("{at} {} {tag} ", stream.as_str());
        let bytes = (head.len() + text.len() + 1) as u64;
        if 0 < self.written_bytes && self.limits.file_bytes.0 < self.written_bytes + bytes {
            self.next_file()?;
        }
        self.file.write_all(head.as_bytes())?;
        self.file.write_all(text)?;
        self.file.write_all(b"\n")?;
        self.written_bytes += bytes;
        Ok(())
    }

    fn next_file(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.number += 1;
        let file =
            File::options().create(true).append(true).open(path(&self.folder, self.number))?;
        self.file = BufWriter::new(file);
        self.written_bytes = 0;
        let numbers = numbers(&self.folder)?;
        let surplus = numbers.len().saturating_sub(self.limits.files.max(1) as usize);
        for number in numbers.into_iter().take(surplus) {
            fs::remove_file(path(&self.folder, number))?;
        }
        Ok(())
    }
}
