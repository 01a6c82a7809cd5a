//! One owner per data folder.
//!
//! The owner holds an exclusive `flock` on the file `lock` and writes its process number into it
//! for the message the second one prints. The kernel releases the lock when the process ends,
//! however it ends, so a stale lock cannot exist for long; the file itself stays. It refuses to wait for
//! an owner that lives.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::event::Timespec;
use rustix::fs::{FlockOperation, flock};

/// The right to use a data folder, held until dropped.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
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

/// The process that has the lock, as it wrote down.
fn owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

impl FolderLock {
    /// Takes the folder, which must exist, or says who has it.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { folder: folder.to_path_buf(), source };
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(folder.join("lock"))
            .map_err(failed)?;
        let mut tries_left = TRIES;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(failed(error.into()));
            }
            let pid = owner(&mut file);
            let is_gone = pid.is_some_and(|it| host::process::identify(it).is_none());
            if !is_gone || tries_left == 0 {
                return Err(LockError::Owned { folder: folder.to_path_buf(), pid });
            }
            tries_left -= 1;
            rustix::event::poll(&mut [], Some(&PAUSE)).map_err(|it| failed(it.into()))?;
        }
        file.rewind().map_err(failed)?;
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for FolderLock {
    /// Closing is not enough: a child that is just being started has the file open until it runs
    /// its program.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "the data folder could not be unlocked");
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
    fn an_owner_that_is_gone_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        std::fs::write(&path, format!("{}\n", child.id())).unwrap();
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
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        holder.join().unwrap();
        drop(lock);
    }
}
