//! Files that are whole or not there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::limits::is_shortage;

/// Writes `bytes` to `path` such that a reader finds the old content or the new, never a part: to a
/// file beside it, then renamed. It is for its owner's eyes alone. It outlives this process; it is not forced to the disk.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole_with_mode(path, bytes, 0o600)
}

/// As [`write_whole`], with the permissions given.
pub fn write_whole_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_beside(path, bytes, mode, |_| Ok(()))
}

fn write_beside(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let mut beside = OsString::from(path);
    beside.push(format!(".{}.tmp", std::process::id()));
    let written = write(&beside, bytes, mode).and_then(|file| finish(&file));
    let written = written.and_then(|()| match fs::rename(&beside, path) {
        // An empty folder in its place is in nobody's way.
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            fs::remove_dir(path).and_then(|()| fs::rename(&beside, path))
        }
        renamed => renamed,
    });
    if written.is_err() {
        // What matters is why it failed. A full disk, above all, must not be left fuller.
        drop(fs::remove_file(&beside));
    }
    written
}

/// As [`write_whole`], and forced to the disk: after a power cut it is there, whole.
pub fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_beside(path, bytes, mode, File::sync_all)?;
    sync_folder_of(path)
}

/// Forces a file that was written to the disk, and the name it got.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_folder_of(path)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |it| File::open(it)?.sync_all())
}

/// What must be at a path of ours, if anything is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with an end.
    File,
    /// A folder.
    Folder,
}

/// Moves what is at `path` out of the way if it is of another kind than ours is, and says where it is now. A pipe would have its
/// reader wait for good, a device have no end, and a folder be no file.
pub fn set_aside_unless(path: &Path, kind: Kind) -> io::Result<Option<PathBuf>> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_ours = match kind {
        Kind::File => found.is_file(),
        Kind::Folder => found.is_dir(),
    };
    if is_ours { Ok(None) } else { set_aside(path).map(Some) }
}

/// Renames what is at `path` to its [`name_aside`], and says where it is now.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = name_aside(path);
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Where what is damaged at `path` may be put: the same name with `.damaged` behind it, or with a number if that is there.
pub fn name_aside(path: &Path) -> PathBuf {
    let with = |end: &str| {
        let mut name = OsString::from(path);
        name.push(end);
        PathBuf::from(name)
    };
    let numbered = (2_u32..).map(|it| with(&format!(".damaged.{it}")));
    let mut names = std::iter::once(with(".damaged")).chain(numbered);
    let is_free = |it: &PathBuf| fs::symlink_metadata(it).is_err();
    names.find(is_free).unwrap_or_else(|| with(".damaged"))
}

/// Bytes that a file read whole may have: those of ours have a few hundred.
const READ_BYTES_MAX: u64 = 16 << 20;

/// The content of a file, nothing if it is not there. What is no file (a folder, a pipe that nobody writes to, a device
/// without an end, a circle of links) or is longer than any of ours is damaged, which is
/// [`io::ErrorKind::InvalidData`]: whoever put it there keeps nobody waiting.
pub fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let no_file = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    // A pipe is opened at once like this, and not when somebody writes to it.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) => {
            return match rustix::io::Errno::from_io_error(&error) {
                Some(rustix::io::Errno::NOENT) => Ok(None),
                Some(rustix::io::Errno::LOOP) => Err(no_file("it is a circle of links")),
                Some(rustix::io::Errno::NXIO) => Err(no_file("it is no file")),
                _ => Err(error),
            };
        }
    };
    if !file.metadata()?.is_file() {
        return Err(no_file("it is no file"));
    }
    let mut bytes = Vec::new();
    file.take(READ_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > READ_BYTES_MAX {
        return Err(no_file("it is longer than 16 MiB"));
    }
    Ok(Some(bytes))
}

/// Bytes that this user may still write to the file system of `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    space(path).map(|it| it.free_bytes)
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Bytes that it has in all.
    pub total_bytes: u64,
    /// Whether it may only be read.
    pub is_read_only: bool,
}

/// How full the file system of `path` is.
pub fn space(path: &Path) -> io::Result<Space> {
    let found = rustix::fs::statvfs(path)?;
    Ok(Space {
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        is_read_only: found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY)
            || rustix::fs::access(path, rustix::fs::Access::WRITE_OK)
                == Err(rustix::io::Errno::ROFS),
    })
}

/// Whether nothing can be written in `folder` because its file system may only be read. One that turned so by itself
/// does not always say it, so a file without a name is made, of which nothing is left.
pub fn is_read_only(folder: &Path) -> bool {
    use rustix::fs::{Mode, OFlags};
    let tried = rustix::fs::open(folder, OFlags::TMPFILE | OFlags::WRONLY, Mode::RUSR);
    tried.is_err_and(|it| it == rustix::io::Errno::ROFS)
}

/// Whether the disk refused, or this process has no descriptors left: what could not be written or read then can be
/// later, and says nothing about what it was to be about.
pub fn may_work_later(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull};
    let by_kind =
        matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem | ResourceBusy);
    let is_broken = rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::IO);
    by_kind || is_broken || is_shortage(error)
}

fn write(path: &OsString, bytes: &[u8], mode: u32) -> io::Result<File> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_write_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status");
        assert_eq!(read_if_there(&path).unwrap(), None);
        write_whole(&path, b"long first").unwrap();
        write_synced(&path, b"second", 0o600).unwrap();
        sync(&path).unwrap();
        assert_eq!(read_if_there(&path).unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_the_disk_refuses_may_work_later() {
        let of = |errno: rustix::io::Errno| io::Error::from(errno);
        for errno in [rustix::io::Errno::NOSPC, rustix::io::Errno::ROFS, rustix::io::Errno::MFILE] {
            assert!(may_work_later(&of(errno)), "{errno}");
        }
        assert!(!may_work_later(&of(rustix::io::Errno::NOENT)));
        assert!(!may_work_later(&io::Error::other("not JSON")));
        let space = space(Path::new("/")).unwrap();
        assert!(space.free_bytes <= space.total_bytes);
    }

    #[test]
    fn a_folder_that_takes_files_is_not_read_only() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_read_only(folder.path()));
        assert!(!is_read_only(&folder.path().join("nothing")));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status");
        fs::create_dir_all(path.join("full")).unwrap();
        assert!(write_whole(&path, b"status").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // One that is empty is in nobody's way.
        fs::remove_dir(path.join("full")).unwrap();
        write_whole(&path, b"status").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"status");
    }

    /// Issue 12: a pipe in place of a file kept the control process from starting, a device took all memory there was.
    #[test]
    fn what_is_no_file_is_damaged_and_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("folder")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("pipe"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("device")).unwrap();
        std::os::unix::fs::symlink(path("circle"), path("circle")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        File::create(path("long")).unwrap().set_len(3 << 30).unwrap();
        for name in ["folder", "pipe", "device", "circle", "socket", "long"] {
            let error = read_if_there(&path(name)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}: {error}");
        }
        assert_eq!(read_if_there(&path("none")).unwrap(), None);
        fs::write(path("file"), "x").unwrap();
        assert_eq!(read_if_there(&path("file")).unwrap().as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn issue_12_what_is_of_another_kind_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it");
        assert_eq!(set_aside_unless(&path, Kind::File).unwrap(), None);
        for expected in ["it.damaged", "it.damaged.2"] {
            fs::create_dir(&path).unwrap();
            assert_eq!(set_aside_unless(&path, Kind::Folder).unwrap(), None);
            let aside = set_aside_unless(&path, Kind::File).unwrap().unwrap();
            assert_eq!(aside, folder.path().join(expected));
        }
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let aside = set_aside_unless(&path, Kind::File).unwrap().unwrap();
        assert_eq!(fs::read_link(aside).unwrap(), Path::new("/dev/zero"));
        fs::write(&path, "ours").unwrap();
        assert_eq!(set_aside_unless(&path, Kind::File).unwrap(), None);
        assert!(set_aside_unless(&path, Kind::Folder).unwrap().is_some());
    }
}
