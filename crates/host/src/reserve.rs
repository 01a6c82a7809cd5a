//! Room that is kept for the day the disk is full.
//!
//! A file of a fixed size lies in a folder. When the disk fills it is given up, so that what must be written
//! can be: that something was started, has ended, should stop. Whoever can do without writing stops
//! before, at [`floor_bytes`], so that it does not take what was given up for others.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::files::{self, Space};

/// Bytes kept: a start and an end of an instance take some forty kilobytes with what the journal
/// says of them, so hundreds of both.
const RESERVE_BYTES: u64 = 8 << 20;
/// The share of a small file system that is kept: one part of so many.
const SHARE: u64 = 20;
/// The name of the file.
const NAME: &str = "reserve";

/// Bytes that are kept on a file system.
pub const fn reserve_bytes(space: Space) -> u64 {
    let share = space.total_bytes / SHARE;
    if share < RESERVE_BYTES { share } else { RESERVE_BYTES }
}

/// Free bytes below which only what must be written is: twice what is given up.
pub const fn floor_bytes(space: Space) -> u64 {
    2 * reserve_bytes(space)
}

/// Free bytes below which the reserve is given up: an eighth of it, so that what must be written fits meanwhile.
const fn alarm_bytes(space: Space) -> u64 {
    reserve_bytes(space) / 8
}

/// Free bytes from which on it is kept again. What is given up must not look like new room.
const fn restore_bytes(space: Space) -> u64 {
    4 * reserve_bytes(space)
}

/// Bytes that something large may take which is better not there than in the way of what must be written: an artifact,
/// say. It leaves enough for the reserve to be kept.
pub const fn spare_bytes(space: Space) -> u64 {
    space.free_bytes.saturating_sub(restore_bytes(space))
}

/// What became of the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tended {
    /// Nothing.
    Same,
    /// It was given up.
    GivenUp,
    /// It is kept again.
    Kept,
}

/// The reserve of one folder.
#[derive(Clone, Debug)]
pub struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// The reserve in `folder`.
    pub fn of(folder: &Path) -> Self {
        Self { path: folder.join(NAME) }
    }

    /// Keeps it where there is room, and gives it up where there is none.
    pub fn tend(&self, space: Space) -> io::Result<Tended> {
        let is_kept = self.path.exists();
        if space.is_read_only {
            return Ok(Tended::Same);
        }
        if is_kept && space.free_bytes < alarm_bytes(space) {
            return self.give_up();
        }
        if !is_kept && restore_bytes(space) <= space.free_bytes {
            return self.keep(reserve_bytes(space)).map(|()| Tended::Kept);
        }
        Ok(Tended::Same)
    }

    /// Gives it up now, if it is there.
    pub fn give_up(&self) -> io::Result<Tended> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(Tended::GivenUp),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Tended::Same),
            Err(error) => Err(error),
        }
    }

    fn keep(&self, bytes: u64) -> io::Result<()> {
        let file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        let kept = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes);
        if let Err(error) = kept {
            // Without it the disk is as it was; a part of it must not stay.
            drop(fs::remove_file(&self.path));
            return Err(error.into());
        }
        Ok(())
    }
}

/// How full the file system of `folder` is, and whether what can do without writing should.
pub fn is_low(folder: &Path) -> io::Result<Option<Space>> {
    let space = files::space(folder)?;
    Ok((space.free_bytes < floor_bytes(space)).then_some(space))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(free_bytes: u64) -> Space {
        Space { free_bytes, total_bytes: 100 << 30, is_read_only: false }
    }

    #[test]
    fn the_reserve_is_given_up_when_the_disk_fills_and_kept_again_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(folder.path());
        let path = folder.path().join(NAME);
        assert_eq!(reserve.tend(space(1 << 30)).unwrap(), Tended::Kept);
        assert_eq!(fs::metadata(&path).unwrap().len(), RESERVE_BYTES);
        assert_eq!(reserve.tend(space(10 << 20)).unwrap(), Tended::Same);
        let read_only = Space { is_read_only: true, ..space(0) };
        assert_eq!(reserve.tend(read_only).unwrap(), Tended::Same);
        assert_eq!(reserve.tend(space(0)).unwrap(), Tended::GivenUp);
        assert!(!path.exists());
        // The room is its own.
        assert_eq!(reserve.tend(space(RESERVE_BYTES)).unwrap(), Tended::Same);
        assert_eq!(reserve.tend(space(0)).unwrap(), Tended::Same);
        assert_eq!(reserve.tend(space(1 << 30)).unwrap(), Tended::Kept);
        assert_eq!(reserve.give_up().unwrap(), Tended::GivenUp);
    }

    #[test]
    fn what_is_given_up_is_left_alone_by_those_who_can_do_without() {
        for total_bytes in [1 << 20, 40 << 20, 1 << 40] {
            let space = Space { total_bytes, ..space(0) };
            assert!(alarm_bytes(space) < reserve_bytes(space));
            assert!(reserve_bytes(space) + alarm_bytes(space) < floor_bytes(space));
            assert!(floor_bytes(space) < restore_bytes(space));
            assert_eq!(spare_bytes(Space { free_bytes: floor_bytes(space), ..space }), 0);
        }
    }
}
