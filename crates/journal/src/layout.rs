//! Where the journal keeps what, and the folder operations that make a file change durable.
//!
//! ```text
//! <folder>/lock                        who owns the folder
//! <folder>/journal.sqlite              the entries (beside it -wal and -shm while open)
//! <folder>/high-water                  the last index that was acknowledged
//! <folder>/suspect                     present when a read found damage: check all on next open
//! <folder>/snapshots/<index>.snapshot  one state each
//! <folder>/journal.sqlite.damaged-<n>  what a repair set aside, with -wal and a report in .txt;
//!                                      never deleted by us
//! ```
//!
//! A new journal file is made under another name and renamed when complete, so `journal.sqlite`
//! is never half-made. This file refuses to know what is inside any of them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use host::files::{Kind, set_aside_unless};

const DAMAGED: &str = "journal.sqlite.damaged-";

/// The names inside one folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
}

/// Where the files of one damaged journal go. The log keeps the name SQLite looks for beside the
/// main file.
#[derive(Clone, Debug)]
pub(crate) struct SetAside {
    pub(crate) main: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) report: PathBuf,
}

impl Layout {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join("journal.sqlite")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        beside(&self.journal(), "-wal")
    }

    pub(crate) fn shared_memory(&self) -> PathBuf {
        beside(&self.journal(), "-shm")
    }

    /// Moves out of the way what is no file, or no folder, where one of ours should be: a pipe would keep the start waiting.
    pub(crate) fn set_strangers_aside(&self) -> io::Result<()> {
        for file in [self.journal(), self.wal(), self.shared_memory(), self.suspect()] {
            set_aside_unless(&file, Kind::File)?;
        }
        set_aside_unless(&self.snapshots(), Kind::Folder).map(drop)
    }

    /// A journal being made; worthless until it is renamed.
    pub(crate) fn building(&self) -> PathBuf {
        self.folder.join("journal.sqlite.building")
    }

    /// Removes a journal that was being made when the process ended, with what SQLite kept beside
    /// it.
    pub(crate) fn clear_building(&self) -> io::Result<()> {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            remove_if_there(&beside(&self.building(), suffix))?;
        }
        Ok(())
    }

    /// A repaired journal, complete and synced, that has not yet taken the place of the old one.
    pub(crate) fn rebuilt(&self) -> PathBuf {
        self.folder.join("journal.sqlite.rebuilt")
    }

    pub(crate) fn high_water(&self) -> PathBuf {
        self.folder.join("high-water")
    }

    pub(crate) fn suspect(&self) -> PathBuf {
        self.folder.join("suspect")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.folder.join("snapshots")
    }

    /// Names that no earlier repair used.
    pub(crate) fn set_aside(&self) -> io::Result<SetAside> {
        Ok(self.set_aside_as(self.newest_set_aside()? + 1))
    }

    /// The names of the newest repair.
    pub(crate) fn last_set_aside(&self) -> io::Result<SetAside> {
        Ok(self.set_aside_as(self.newest_set_aside()?.max(1)))
    }

    /// The highest number in use; none is 0.
    fn newest_set_aside(&self) -> io::Result<u32> {
        let mut newest = 0;
        for file in fs::read_dir(&self.folder)? {
            let name = file?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(DAMAGED));
            let digits = number.and_then(|rest| rest.split(['-', '.']).next());
            newest = newest.max(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0));
        }
        Ok(newest)
    }

    /// The reports of repairs that are still here, by the repair's number.
    pub(crate) fn reports(&self) -> io::Result<Vec<PathBuf>> {
        let reports = (1..=self.newest_set_aside()?).map(|it| self.set_aside_as(it).report);
        Ok(reports.filter(|it| it.exists()).collect())
    }

    fn set_aside_as(&self, number: u32) -> SetAside {
        let main = self.folder.join(format!("{DAMAGED}{number}"));
        SetAside { log: beside(&main, "-wal"), report: beside(&main, ".txt"), main }
    }

    /// Makes renames and new files in the folder durable.
    pub(crate) fn sync_folder(&self) -> io::Result<()> {
        sync_folder(&self.folder)
    }

    /// Leaves a note for the next open to check everything.
    pub(crate) fn mark_suspect(&self) {
        if self.suspect().exists() {
            return;
        }
        if let Err(error) = File::create(self.suspect()).and_then(|file| file.sync_all()) {
            tracing::warn!(%error, "could not leave a note that the journal is damaged");
        }
    }
}

/// Makes renames and new files in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file that may not be there.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Renames a file that may not be there; says whether it was.
pub(crate) fn rename_if_there(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
