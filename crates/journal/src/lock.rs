//! One owner per data folder.
//!
//! The owner holds an exclusive `flock` on the file `lock` and writes its process number into it
//! for the message the second one prints. The kernel releases the lock when the process ends,
//! however it ends, so a stale lock cannot exist; the file itself stays. Refuses to wait.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

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
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let pid = match file.read_to_string(&mut text) {
                    Ok(_) => text.trim().parse().ok(),
                    Err(_) => None,
                };
                return Err(LockError::Owned { folder: folder.to_path_buf(), pid });
            }
            Err(error) => return Err(failed(error.into())),
        }
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
}
