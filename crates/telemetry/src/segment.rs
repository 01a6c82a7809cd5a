//! Files of a store that never change: written whole, read in parts, deleted whole.
//!
//! A file is there with all it should hold or not at all: it is written under another name, forced to the
//! disk, renamed, and the folder is forced to the disk too. What turns out damaged is set aside under
//! a name that is never read again, for whoever wants to look at it. It refuses to know what is inside.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use host::files;

/// Something that could not be read and was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it is now.
    pub file: PathBuf,
    /// How much of it there is.
    pub bytes: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// The path of the file with a number: `00000007.wal`.
pub fn path(folder: &Path, number: u64, extension: &str) -> PathBuf {
    folder.join(format!("{number:08}.{extension}"))
}

/// The numbers of the files with an extension, ascending. Files under other names are left alone; those
/// that were being written when a process was killed are deleted.
pub fn numbered(folder: &Path, extension: &str) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|it| it.to_str());
        match path.extension().and_then(|it| it.to_str()) {
            Some("tmp") => fs::remove_file(&path)?,
            Some(it) if it == extension => found.extend(stem.and_then(|it| it.parse::<u64>().ok())),
            _ => {}
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Writes a file that is there for good when this returns.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // What matters is why it failed. A full disk, above all, must not be left fuller.
        drop(fs::remove_file(&beside));
        return written;
    }
    sync_folder_of(path)
}

/// Forces the names in the folder of `path` to the disk.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Renames a damaged file, and says where it is now.
pub fn set_aside(path: &Path, reason: String) -> io::Result<Damage> {
    let aside = files::set_aside(path)?;
    let bytes = fs::metadata(&aside)?.len();
    Ok(Damage { file: aside, bytes, reason })
}

/// Writes bytes of a damaged file beside it, and says where they are.
pub(crate) fn set_aside_bytes(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let aside = files::name_aside(path);
    fs::write(&aside, bytes)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = |number| path(folder.path(), number, "block");
        write(&place(12), b"twelve").unwrap();
        write(&place(3), b"three").unwrap();
        fs::write(place(4).with_extension("tmp"), b"half").unwrap();
        fs::write(folder.path().join("README"), b"").unwrap();
        assert_eq!(numbered(folder.path(), "block").unwrap(), [3, 12]);
        assert!(!place(4).with_extension("tmp").exists());
    }

    #[test]
    fn what_is_set_aside_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let place = path(folder.path(), 1, "block");
        for (content, name) in [("a", "00000001.block.damaged"), ("b", "00000001.block.damaged.2")]
        {
            write(&place, content.as_bytes()).unwrap();
            let damage = set_aside(&place, "why".to_owned()).unwrap();
            assert_eq!((damage.file, damage.bytes), (folder.path().join(name), 1));
        }
        assert_eq!(numbered(folder.path(), "block").unwrap(), [0; 0]);
    }
}
