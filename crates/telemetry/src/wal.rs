//! The write-ahead log of a store: records that come before what is made of them is on disk.
//!
//! A record is its length and its CRC-32C, each four bytes, little end first, then its bytes. Records go
//! to numbered files, of which the last grows. What a store has put into segments it cuts off: whole files, oldest
//! first. A record is the system's as soon as the log was flushed, which outlives this process; the disk's
//! when it was synchronised, which outlives the machine.
//!
//! When it is opened, the whole log is read once. A file's first bad record ends that file: a torn end, as a
//! killed process leaves it, is cut off; other damage is set aside under a name of its own, and reading goes
//! on with the next file. It refuses to know what a record means.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use host::files::{self, Kind};

use crate::segment::{self, Damage};

/// Bytes collected before they are given to the system.
const BUFFER_BYTES: usize = 256 << 10;
/// Bytes of one record, at most. A longer length is damage.
pub const RECORD_BYTES_MAX: usize = 64 << 20;
/// Bytes before a record: its length and its checksum.
const HEAD_BYTES: usize = 8;
const EXTENSION: &str = "wal";

/// A log that can be appended to.
#[derive(Debug)]
pub struct Wal {
    folder: PathBuf,
    number: u64,
    file: File,
    /// Records not given to the system yet.
    buffer: Vec<u8>,
    /// The files before the one that grows, and their sizes.
    earlier: Vec<(u64, u64)>,
    /// Bytes of the file that grows, those in the buffer among them.
    bytes: u64,
    /// Whether whoever asked for the file last was given all there is in it.
    is_handed_out: bool,
}

/// What was found when a log was opened.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Records read.
    pub records: u64,
    /// Bytes of a torn end that were cut off.
    pub torn_bytes: u64,
    /// What was damaged.
    pub damage: Vec<Damage>,
}

impl Wal {
    /// Opens the log in `folder`, which is made if it is not there, and hands every record in it to `visit`
    /// with the number of its file.
    pub fn open(folder: &Path, visit: &mut dyn FnMut(u64, &[u8])) -> io::Result<(Self, Recovery)> {
        files::set_aside_unless(folder, Kind::Folder)?;
        fs::create_dir_all(folder)?;
        let mut recovery = Recovery::default();
        let mut earlier = Vec::new();
        let files = segment::numbered(folder, EXTENSION)?;
        let next = files.last().map_or(1, |it| it + 1);
        for number in files {
            let path = segment::path(folder, number, EXTENSION);
            if let Some(file) = files::set_aside_unless(&path, Kind::File)? {
                let reason = "it is no file".to_owned();
                recovery.damage.push(Damage { file, bytes: 0, reason });
                continue;
            }
            let whole = replay(&path, &mut |record| visit(number, record), &mut recovery)?;
            if whole == 0 {
                fs::remove_file(&path)?;
            } else {
                earlier.push((number, whole));
            }
        }
        let file = create(folder, next)?;
        let wal = Self {
            folder: folder.to_owned(),
            number: next,
            file,
            buffer: Vec::new(),
            earlier,
            bytes: 0,
            is_handed_out: true,
        };
        Ok((wal, recovery))
    }

    /// Appends a record. It is on its way to the system when enough have come or [`Wal::flush`] is called.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len()).ok().filter(|it| *it as usize <= RECORD_BYTES_MAX);
        let Some(length) = length else {
            let message = format!("a record of {} bytes is too long", record.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(&crc32c::crc32c(record).to_le_bytes());
        self.buffer.extend_from_slice(record);
        self.bytes += (HEAD_BYTES + record.len()) as u64;
        self.is_handed_out = false;
        if BUFFER_BYTES <= self.buffer.len() { self.flush() } else { Ok(()) }
    }

    /// Gives every record to the system. After an error, as of a full disk, what was not taken is forgotten:
    /// the file is cut to its last whole record, so that what comes later can be read.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer);
        let pending = self.buffer.len() as u64;
        self.buffer.clear();
        if written.is_err() {
            self.bytes -= pending;
            self.file.set_len(self.bytes)?;
        }
        written
    }

    /// Flushes, and returns the file, to be synchronised where nobody waits for it; nothing if no record has come since
    /// the file was returned last.
    pub fn flushed(&mut self) -> io::Result<Option<File>> {
        self.flush()?;
        if self.is_handed_out {
            return Ok(None);
        }
        let file = self.file.try_clone()?;
        self.is_handed_out = true;
        Ok(Some(file))
    }

    /// Begins another file, and returns its number: everything before it can be cut off once it is kept
    /// elsewhere.
    pub fn rotate(&mut self) -> io::Result<u64> {
        self.flush()?;
        if self.bytes == 0 {
            return Ok(self.number);
        }
        self.file.sync_data()?;
        self.is_handed_out = true;
        let next = create(&self.folder, self.number + 1)?;
        self.earlier.push((self.number, self.bytes));
        self.number += 1;
        self.file = next;
        self.bytes = 0;
        Ok(self.number)
    }

    /// Deletes the files below `number`.
    pub fn cut(&mut self, number: u64) -> io::Result<()> {
        while let Some((oldest, _)) = self.earlier.first().copied().filter(|it| it.0 < number) {
            fs::remove_file(segment::path(&self.folder, oldest, EXTENSION))?;
            self.earlier.remove(0);
        }
        Ok(())
    }

    /// The number of the file that grows.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.earlier.iter().map(|it| it.1).sum::<u64>() + self.bytes
    }
}

/// Whoever drops the log has no more to say; what it said is not lost with it.
impl Drop for Wal {
    fn drop(&mut self) {
        // There is nobody left to tell; the records are as lost as those of a process that was killed.
        drop(self.flush());
    }
}

fn create(folder: &Path, number: u64) -> io::Result<File> {
    let path = segment::path(folder, number, EXTENSION);
    File::options().append(true).create(true).open(path)
}

/// Reads a file, and leaves of it what is whole; returns its bytes.
fn replay(path: &Path, visit: &mut dyn FnMut(&[u8]), recovery: &mut Recovery) -> io::Result<u64> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let mut rest = bytes.as_slice();
    let end = loop {
        match next(rest) {
            Next::Record(record, after) => {
                visit(record);
                recovery.records += 1;
                rest = after;
            }
            other => break other,
        }
    };
    let whole = bytes.len() - rest.len();
    match end {
        Next::Record(..) | Next::End => return Ok(whole as u64),
        Next::Torn => recovery.torn_bytes += rest.len() as u64,
        Next::Bad => {
            let reason = "a record does not fit its checksum".to_owned();
            let aside = segment::set_aside_bytes(path, rest)?;
            recovery.damage.push(Damage { file: aside, bytes: rest.len() as u64, reason });
        }
    }
    File::options().write(true).open(path)?.set_len(whole as u64)?;
    Ok(whole as u64)
}

enum Next<'a> {
    Record(&'a [u8], &'a [u8]),
    /// Nothing is left.
    End,
    /// The file ends within a record.
    Torn,
    /// A record that is not what was written.
    Bad,
}

fn next(bytes: &[u8]) -> Next<'_> {
    if bytes.is_empty() {
        return Next::End;
    }
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Next::Torn };
    let Some((sum, rest)) = rest.split_first_chunk::<4>() else { return Next::Torn };
    let length = u32::from_le_bytes(*length) as usize;
    if RECORD_BYTES_MAX < length {
        return Next::Bad;
    }
    let Some((record, rest)) = rest.split_at_checked(length) else { return Next::Torn };
    if crc32c::crc32c(record) == u32::from_le_bytes(*sum) {
        Next::Record(record, rest)
    } else {
        Next::Bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path) -> (Vec<Vec<u8>>, Recovery) {
        let mut found = Vec::new();
        let opened = Wal::open(folder, &mut |_, record| found.push(record.to_owned()));
        (found, opened.unwrap().1)
    }

    fn write(folder: &Path, records: &[&[u8]]) {
        let (mut wal, _) = Wal::open(folder, &mut |_, _| {}).unwrap();
        for record in records {
            wal.append(record).unwrap();
        }
    }

    #[test]
    fn records_come_back_in_order_over_several_files() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[b"one", b""]);
        write(folder.path(), &[&vec![7; 300_000]]);
        let (found, recovery) = read(folder.path());
        assert_eq!(found, [b"one".to_vec(), Vec::new(), vec![7; 300_000]]);
        assert_eq!((recovery.records, recovery.torn_bytes, recovery.damage.len()), (3, 0, 0));
    }

    #[test]
    fn issue_12_what_is_no_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[b"one"]);
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("00000002.wal")).unwrap();
        fs::create_dir(folder.path().join("00000003.wal")).unwrap();
        let (found, recovery) = read(folder.path());
        assert_eq!(found, [b"one".to_vec()]);
        assert_eq!(recovery.damage.len(), 2);
        assert!(folder.path().join("00000002.wal.damaged").is_symlink());
    }

    #[test]
    fn a_file_is_synchronised_once_for_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut wal, _) = Wal::open(folder.path(), &mut |_, _| {}).unwrap();
        let mut is_due = |record: Option<&[u8]>| {
            record.map(|it| wal.append(it)).transpose().unwrap();
            wal.flushed().unwrap().is_some()
        };
        let records = [None, Some(&b"one"[..]), None, Some(b""), None];
        assert_eq!(records.map(&mut is_due), [false, true, false, true, false]);
    }

    #[test]
    fn what_is_cut_off_is_gone_and_what_came_later_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (mut wal, _) = Wal::open(folder.path(), &mut |_, _| {}).unwrap();
        wal.append(b"early").unwrap();
        let later = wal.rotate().unwrap();
        assert_eq!(wal.rotate().unwrap(), later);
        wal.append(b"late").unwrap();
        wal.cut(later).unwrap();
        assert_eq!(wal.bytes(), 12);
        drop(wal);
        assert_eq!(read(folder.path()).0, [b"late"]);
    }

    /// Wherever a file ends, all records that are whole before that are read, and more can be appended.
    #[test]
    fn a_torn_end_costs_what_was_torn() {
        let records: [&[u8]; 3] = [b"first", b"second", b"third"];
        for end in 0..=40 {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &records);
            let path = segment::path(folder.path(), 1, EXTENSION);
            File::options().write(true).open(&path).unwrap().set_len(end).unwrap();
            let whole = [13, 27, 40].iter().filter(|it| **it <= end).count();
            write(folder.path(), &[b"later"]);
            let (found, recovery) = read(folder.path());
            let expected: Vec<&[u8]> =
                records[..whole].iter().copied().chain([&b"later"[..]]).collect();
            assert_eq!(found, expected, "cut at {end}");
            assert_eq!(recovery.damage.len(), 0);
        }
    }

    #[test]
    fn damage_is_set_aside_and_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[b"first", b"second"]);
        write(folder.path(), &[b"third"]);
        let path = segment::path(folder.path(), 1, EXTENSION);
        let mut bytes = fs::read(&path).unwrap();
        bytes[22] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let (found, recovery) = read(folder.path());
        assert_eq!(found, [b"first".to_vec(), b"third".to_vec()]);
        let damage = &recovery.damage[0];
        assert_eq!((damage.bytes, fs::read(&damage.file).unwrap()), (14, bytes[13..].to_vec()));
        let (_, again) = read(folder.path());
        assert_eq!(again.damage.len(), 0);
    }
}
