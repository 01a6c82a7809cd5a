//! What is in an artifact.

use std::collections::BTreeMap;
use std::fs::{self, FileType};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use super::ignored::{Ignored, Patterns, Verdict};
use super::{ARTIFACT_BYTES_MAX, BakeError, ENTRIES_MAX, LeftOut, Made, venv};

/// Folders within folders: what package managers make has twenty.
const FOLDERS_MAX: usize = 256;
/// Links that are followed to see where one leads, as Linux does (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;
/// Names of what was left out that are kept to be shown.
const LEFT_OUT_SHOWN: usize = 20;

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
    /// A file that is kept other than it is: with these bytes.
    Script(Mode, Vec<u8>),
    Link(String),
}

/// What was found in an artifact.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is kept, by path, so that equal artifacts give equal lists.
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) left_out: LeftOut,
}

/// Everything in the artifact.
pub(super) fn list(artifact: &Path, made: Made) -> Result<Found, BakeError> {
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
        let entry = file(&root, &name)?;
        let entries = BTreeMap::from([(entry.path.clone(), entry)]);
        return Ok(Found { entries, ..Found::default() });
    }
    if !root.is_dir() {
        return Err(BakeError::Special(artifact.to_owned()));
    }
    let docker = Patterns::of(&root, made)?;
    let mut walk = Walk { artifact, root: &root, bytes: 0, found: Found::default() };
    walk.folder(Path::new(""), Ignored::new(&docker), 0)?;
    Ok(walk.found)
}

/// A walk through an artifact.
struct Walk<'a> {
    /// As it was named.
    artifact: &'a Path,
    root: &'a Path,
    bytes: u64,
    found: Found,
}

impl Walk<'_> {
    /// Takes what is in a folder of the artifact.
    fn folder(
        &mut self,
        folder: &Path,
        mut ignored: Ignored<'_>,
        depth: usize,
    ) -> Result<(), BakeError> {
        let source = self.root.join(folder);
        if FOLDERS_MAX < depth {
            return Err(BakeError::TooDeep(source));
        }
        ignored.enter(&source)?;
        let read = |error| BakeError::Read { path: source.clone(), source: error };
        for found in fs::read_dir(&source).map_err(read)? {
            let found = found.map_err(read)?;
            if found.file_name() == ".git" {
                continue;
            }
            let kind = found.file_type().map_err(read)?;
            let path = folder.join(found.file_name());
            let (verdict, below) = ignored.verdict(&found.path(), &text(&path)?, kind);
            if let Verdict::LeftOut(by) = verdict {
                if kind.is_dir() && ignored.may_keep_below(by) {
                    let before = (self.found.entries.len(), self.found.left_out.clone());
                    self.folder(&path, below, depth + 1)?;
                    // One line says more than one for everything below it.
                    if self.found.entries.len() != before.0 {
                        continue;
                    }
                    self.found.left_out = before.1;
                }
                self.found.left_out.add(&path, kind, by);
                continue;
            }
            self.take(&found.path(), &path, kind)?;
            if kind.is_dir() {
                self.folder(&path, below, depth + 1)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, source: &Path, path: &Path, kind: FileType) -> Result<(), BakeError> {
        let entry = if kind.is_file() {
            let metadata = source.symlink_metadata();
            let metadata = metadata
                .map_err(|error| BakeError::Read { path: source.to_owned(), source: error })?;
            self.bytes = self.bytes.saturating_add(metadata.len());
            file(source, path)?
        } else {
            other(self.root, path, kind)?
        };
        // What is kept in a folder that is left out brings the folder along.
        for above in path.ancestors().skip(1).filter(|it| !it.as_os_str().is_empty()) {
            let folder =
                Entry { path: text(above)?, source: self.root.join(above), kind: Kind::Folder };
            self.found.entries.entry(folder.path.clone()).or_insert(folder);
        }
        self.found.entries.insert(entry.path.clone(), entry);
        if ENTRIES_MAX < self.found.entries.len() {
            return Err(BakeError::TooManyEntries(self.artifact.to_owned()));
        }
        if ARTIFACT_BYTES_MAX < self.bytes {
            return Err(BakeError::TooLarge(self.artifact.to_owned()));
        }
        Ok(())
    }
}

impl LeftOut {
    fn add(&mut self, path: &Path, kind: FileType, by: &'static str) {
        self.count += 1;
        if self.shown.len() < LEFT_OUT_SHOWN {
            let slash = if kind.is_dir() { "/" } else { "" };
            self.shown.insert(format!("{}{slash}", path.display()), by);
        }
    }
}

fn file(source: &Path, path: &Path) -> Result<Entry, BakeError> {
    let metadata = source
        .metadata()
        .map_err(|error| BakeError::Read { path: source.to_owned(), source: error })?;
    let executable = metadata.permissions().mode() & 0o100 != 0;
    let mode = if executable { Mode::Program } else { Mode::Plain };
    let kind = match venv::relocated(source, path, &metadata) {
        Some(script) => Kind::Script(mode, script),
        None => Kind::File(mode),
    };
    Ok(Entry { path: text(path)?, source: source.to_owned(), kind })
}

fn other(root: &Path, path: &Path, kind: FileType) -> Result<Entry, BakeError> {
    let source = &root.join(path);
    let entry = |kind| Ok(Entry { path: text(path)?, source: source.clone(), kind });
    if kind.is_dir() {
        return entry(Kind::Folder);
    }
    if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
        return Err(BakeError::Special(source.to_owned()));
    }
    let target = fs::read_link(source)
        .map_err(|error| BakeError::Read { path: source.to_owned(), source: error })?;
    if !target.is_absolute() && leaves(root, path, &target) {
        return Err(BakeError::LinkOutside(source.to_owned()));
    }
    entry(Kind::Link(text(&target)?))
}

/// Whether a relative link at `path` leads out of the artifact, by itself or through other links. An absolute one, to
/// an interpreter for example, means the same from everywhere, and a circle leads nowhere.
fn leaves(root: &Path, path: &Path, target: &Path) -> bool {
    let mut place: PathBuf = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let mut left: Vec<PathBuf> = parts(target);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == Path::new("..") {
            if !place.pop() {
                return true;
            }
            continue;
        }
        let next = place.join(&part);
        let Ok(target) = fs::read_link(root.join(&next)) else {
            place = next;
            continue;
        };
        links += 1;
        if target.is_absolute() || LINKS_MAX < links {
            return false;
        }
        left.extend(parts(&target));
    }
    false
}

/// The parts of a path, the first one last.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter(|it| *it != Component::CurDir);
    parts.map(|it| PathBuf::from(it.as_os_str())).rev().collect()
}

fn text(path: &Path) -> Result<String, BakeError> {
    path.to_str().map(str::to_owned).ok_or_else(|| BakeError::Name(path.to_owned()))
}
