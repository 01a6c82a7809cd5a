//! What is in an artifact.

use std::fs::FileType;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use ignore::WalkBuilder;

use super::{ARTIFACT_BYTES_MAX, BakeError, ENTRIES_MAX};

/// Something in an artifact.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its path in the artifact, with `/`.
    pub(super) path: String,
    /// Where it is now.
    pub(super) source: PathBuf,
    /// What it is.
    pub(super) kind: Kind,
}

/// Whether a file can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Plain,
    Program,
}

#[derive(Debug)]
pub(super) enum Kind {
    Folder,
    File(Mode),
    Link(String),
}

/// Everything in the artifact, by path, so that equal artifacts give equal lists.
pub(super) fn list(artifact: &Path) -> Result<Vec<Entry>, BakeError> {
    let read = |source| BakeError::Read { path: artifact.to_owned(), source };
    let root = match artifact.canonicalize() {
        Ok(root) => root,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(BakeError::Missing(artifact.to_owned()));
        }
        Err(error) => return Err(read(error)),
    };
    if root.is_file() {
        let name = root.file_name().map(PathBuf::from).unwrap_or_default();
        return Ok(vec![file(&root, &name)?]);
    }
    let mut walk = WalkBuilder::new(&root);
    walk.standard_filters(false)
        .add_custom_ignore_filename(".dockerignore")
        .add_custom_ignore_filename(".pelagoignore")
        .filter_entry(|it| it.file_name() != ".git");
    let mut entries = Vec::new();
    let mut bytes = 0_u64;
    for found in walk.build() {
        let found = found?;
        let Ok(path) = found.path().strip_prefix(&root) else { continue };
        let Some(kind) = found.file_type().filter(|_| !path.as_os_str().is_empty()) else {
            continue;
        };
        let entry = if kind.is_file() {
            bytes = bytes.saturating_add(found.metadata()?.len());
            file(found.path(), path)?
        } else {
            other(found.path(), path, kind)?
        };
        entries.push(entry);
        if ENTRIES_MAX < entries.len() {
            return Err(BakeError::TooManyEntries(artifact.to_owned()));
        }
        if ARTIFACT_BYTES_MAX < bytes {
            return Err(BakeError::TooLarge(artifact.to_owned()));
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn file(source: &Path, path: &Path) -> Result<Entry, BakeError> {
    let metadata = source
        .metadata()
        .map_err(|error| BakeError::Read { path: source.to_owned(), source: error })?;
    let executable = metadata.permissions().mode() & 0o100 != 0;
    let kind = Kind::File(if executable { Mode::Program } else { Mode::Plain });
    Ok(Entry { path: text(path)?, source: source.to_owned(), kind })
}

fn other(source: &Path, path: &Path, kind: FileType) -> Result<Entry, BakeError> {
    let entry = |kind| Ok(Entry { path: text(path)?, source: source.to_owned(), kind });
    if kind.is_dir() {
        return entry(Kind::Folder);
    }
    if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
        return Err(BakeError::Special(source.to_owned()));
    }
    let target = std::fs::read_link(source)
        .map_err(|error| BakeError::Read { path: source.to_owned(), source: error })?;
    if leaves(path, &target) {
        return Err(BakeError::LinkOutside(source.to_owned()));
    }
    entry(Kind::Link(text(&target)?))
}

/// Whether a relative link at `path` leads out of the artifact. An absolute one, to an interpreter for
/// example, means the same from everywhere.
fn leaves(path: &Path, target: &Path) -> bool {
    if target.is_absolute() {
        return false;
    }
    let mut depth = path.components().count().saturating_sub(1);
    for component in target.components() {
        match component {
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    false
}

fn text(path: &Path) -> Result<String, BakeError> {
    path.to_str().map(str::to_owned).ok_or_else(|| BakeError::Name(path.to_owned()))
}
