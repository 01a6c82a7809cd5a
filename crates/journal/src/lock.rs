//! One owner per data folder.
//!
//! The owner holds an exclusive `flock` on the folder itself, which needs nothing to be written: a full or
//! read-only disk keeps nobody from taking charge. It locks the file `lock` as well, where there is one or one can
//! be made, since a Pelago from before the folder was locked looks only at that, and writes its process number into
//! it for the message the second one prints. The kernel releases both when the process ends, however it ends, so
//! a stale lock cannot exist for long; the file itself stays. It refuses to wait for an owner that lives.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::event::Timespec;
use rustix::fs::{FlockOperation, flock};

/// The right to use a data folder, held until dropped.
#[derive(Debug)]
pub struct FolderLock {
    /// The folder, the file in it, or both: at least one.
    held: Vec<File>,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "another pelago ({}) uses the data folder {}; stop it or choose another with --data",
        describe(*pid), folder.display()
    )]
    Owned {
        /// The folder both wanted.
        folder: PathBuf,
        /// Who has it, when it could be read.
        pid: Option<u32>,
    },
    /// The lock file could not be made or locked.
    #[error("cannot lock the data folder {}; check that it is writable", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// How often the lock of an owner that is gone is tried again. A child it was just starting when it was killed
/// has the file open until it runs its program.
const TRIES: u32 = 200;
/// Time between two tries: 5 ms.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

impl FolderLock {
    /// Takes the folder, which must exist, or says who has it.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { folder: folder.to_path_buf(), source };
        let path = folder.join("lock");
        let mut is_ours = false;
        let mut refusal = None;

        // Network file systems may refuse to lock a folder, full and read-only disks to make a file.
        let whole = File::open(folder);
        let file = open(&path);
        for found in [&whole, &file] {
            match found.as_ref().map(|it| lock(it, &path)) {
                Ok(Ok(Taken::Ours)) => is_ours = true,
                Ok(Ok(Taken::Owned(pid))) => {
                    return Err(LockError::Owned { folder: folder.to_path_buf(), pid });
                }
                Ok(Err(error)) => refusal = Some(error),
                Err(error) => refusal = Some(io::Error::new(error.kind(), error.to_string())),
            }
        }
        if !is_ours {
            let reason = refusal.unwrap_or_else(|| io::Error::other("nothing could be locked"));
            return Err(failed(reason));
        }

        if let Ok(file) = &file {
            note_owner(file);
        }
        Ok(Self { held: [whole, file].into_iter().flatten().collect() })
    }
}

/// The file `lock`, made if there is none; read-only where nothing can be written, which is enough to lock it.
fn open(path: &Path) -> io::Result<File> {
    let made = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path);
    made.or_else(|error| File::open(path).map_err(|_| error))
}

/// Whether a lock is ours.
enum Taken {
    Ours,
    /// Somebody has it: who, when it could be read.
    Owned(Option<u32>),
}

fn lock(file: &File, path: &Path) -> io::Result<Taken> {
    let mut tries_left = TRIES;
    while let Err(error) = flock(file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(error.into());
        }
        let pid = owner(path);
        // One that cannot be looked at is there.
        let is_gone = pid.is_some_and(|it| matches!(host::process::identify(it), Ok(None)));
        if !is_gone || tries_left == 0 {
            return Ok(Taken::Owned(pid));
        }
        tries_left -= 1;
        rustix::event::poll(&mut [], Some(&PAUSE))?;
    }
    Ok(Taken::Ours)
}

/// The process that has the lock, as it wrote down.
fn owner(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Writes down who has the lock. Only a message is poorer where that cannot be written.
fn note_owner(mut file: &File) {
    let noted = file
        .rewind()
        .and_then(|()| file.set_len(0))
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = noted {
        tracing::warn!(%error, "who uses the data folder cannot be written down");
    }
}

impl Drop for FolderLock {
    /// Closing is not enough: a child that is just being started has the file open until it runs
    /// its program.
    fn drop(&mut self) {
        for file in &self.held {
            if let Err(error) = flock(file, FlockOperation::Unlock) {
                tracing::warn!(%error, "the data folder could not be unlocked");
            }
        }
    }
}

pub(crate) fn describe(pid: Option<u32>) -> String {
    pid.map_or_else(|| "process unknown".to_owned(), |pid| format!("process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_owner_is_told_about_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::acquire(folder.path()).unwrap();
        let error = FolderLock::acquire(folder.path()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("(process {})", std::process::id())), "{text}");
        assert!(text.contains("--data"), "{text}");
        drop(first);
        FolderLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn what_cannot_be_written_can_be_locked() {
        let folder = tempfile::tempdir().unwrap();
        // Root writes to everything but a folder in the file's place.
        fs::create_dir(folder.path().join("lock")).unwrap();
        let first = FolderLock::acquire(folder.path()).unwrap();
        let error = FolderLock::acquire(folder.path()).unwrap_err();
        assert!(matches!(error, LockError::Owned { pid: None, .. }), "{error:?}");
        drop(first);
        FolderLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn an_owner_that_knows_only_the_file_is_respected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, format!("{}\n", std::process::id())).unwrap();
        let before = File::open(&path).unwrap();
        flock(&before, FlockOperation::NonBlockingLockExclusive).unwrap();
        let error = FolderLock::acquire(folder.path()).unwrap_err();
        assert!(matches!(error, LockError::Owned { pid: Some(_), .. }), "{error:?}");
        drop(before);
        FolderLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn an_owner_that_is_gone_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        fs::write(&path, format!("{}\n", child.id())).unwrap();
        // What a child that was just being started does when its parent is killed.
        let held = File::open(&path).unwrap();
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let holder = std::thread::spawn(move || {
            gone.recv().unwrap();
            drop(held);
        });
        go.send(()).unwrap();
        let lock = FolderLock::acquire(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        holder.join().unwrap();
        drop(lock);
    }
}
