//! The pages of a journal, from the main file and from its write-ahead log.
//!
//! Reads one page at a time, by number, so that a journal larger than memory can be salvaged. A
//! page that the file ends in the middle of is filled up with zeroes: what is left of it may still
//! hold rows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::header::Header;
use super::wal::Wal;

/// Every journal has this page size.
pub(crate) const PAGE_BYTES: usize = 4096;

pub(crate) type Page = [u8; PAGE_BYTES];

/// Which image of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the main file.
    Main,
    /// In the log if it was committed there, else in the main file.
    Log,
}

/// The two files, either of which may be missing.
#[derive(Debug)]
pub(crate) struct Pages {
    main: Option<File>,
    main_bytes: u64,
    log: Option<File>,
    pub(crate) wal: Wal,
}

impl Pages {
    /// Opens what is there and walks the log.
    pub(crate) fn open(main: &Path, log: &Path) -> io::Result<Self> {
        let main = open_if_there(main)?;
        let log = open_if_there(log)?;
        let main_bytes =
            main.as_ref().map_or(Ok(0), |file| file.metadata().map(|data| data.len()))?;
        let wal = log.as_ref().map_or_else(|| Ok(Wal::default()), Wal::read)?;
        Ok(Self { main, main_bytes, log, wal })
    }

    /// What the newest first page says.
    pub(crate) fn header(&self) -> io::Result<Header> {
        let logged = self.wal.committed.contains_key(&1);
        let bytes = if logged { PAGE_BYTES as u64 } else { self.main_bytes };
        let page = self.read(1, Source::Log)?.unwrap_or([0; PAGE_BYTES]);
        Ok(Header::read(&page, bytes))
    }

    /// Bytes in the main file.
    pub(crate) fn main_bytes(&self) -> u64 {
        self.main_bytes
    }

    /// Pages in the main file, the last perhaps in part.
    pub(crate) fn main_pages(&self) -> u32 {
        u32::try_from(self.main_bytes.div_ceil(PAGE_BYTES as u64)).unwrap_or(u32::MAX)
    }

    /// Images of pages in both files together.
    pub(crate) fn count(&self) -> usize {
        let main = usize::try_from(self.main_pages()).unwrap_or(usize::MAX);
        main.saturating_add(self.wal.committed.len())
    }

    /// The first page of `count` that is whole in neither file.
    pub(crate) fn first_missing(&self, count: u32) -> Option<u32> {
        let whole = u32::try_from(self.main_bytes / PAGE_BYTES as u64).unwrap_or(u32::MAX);
        (whole.saturating_add(1)..=count).find(|page| !self.wal.committed.contains_key(page))
    }

    /// The numbers of the pages in the log.
    pub(crate) fn logged(&self) -> impl Iterator<Item = u32> {
        self.wal.committed.keys().copied()
    }

    /// One page, or nothing if it is in no file.
    pub(crate) fn read(&self, number: u32, source: Source) -> io::Result<Option<Page>> {
        let mut page = [0; PAGE_BYTES];
        if source == Source::Log
            && let (Some(offset), Some(log)) = (self.wal.committed.get(&number), &self.log)
        {
            log.read_exact_at(&mut page, *offset)?;
            return Ok(Some(page));
        }
        let Some(before) = number.checked_sub(1) else { return Ok(None) };
        let offset = u64::from(before) * PAGE_BYTES as u64;
        let Some(main) = self.main.as_ref().filter(|_| offset < self.main_bytes) else {
            return Ok(None);
        };
        let there = usize::try_from(self.main_bytes - offset).unwrap_or(PAGE_BYTES);
        if let Some(part) = page.get_mut(..there.min(PAGE_BYTES)) {
            main.read_exact_at(part, offset)?;
        }
        Ok(Some(page))
    }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
