//! Files by content hash.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::BakeError;
use super::entries::Mode;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Begins the name of an object that is not whole yet.
const DRAFT: &str = "draft-";

/// Drafts of this process, so that two bakes at once never write to one file.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// A name that no other draft has.
pub(super) fn draft_name() -> String {
    format!("{}-{}", std::process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed))
}

/// Whether an object of this name is not whole.
pub(super) fn is_draft(name: &str) -> bool {
    name.starts_with(DRAFT)
}

/// A folder of objects. The name of one is its hash, with `x` behind it if it is a program.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    /// Objects that were not there before.
    added: Vec<String>,
    /// Bytes that may be taken on the disk of a folder.
    pub(super) spare_bytes: fn(&Path) -> io::Result<u64>,
}

fn spare_bytes(folder: &Path) -> io::Result<u64> {
    host::files::space(folder).map(host::reserve::spare_bytes)
}

impl Store {
    pub(super) fn open(folder: PathBuf) -> Result<Self, BakeError> {
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(Self { folder, added: Vec::new(), spare_bytes }),
            Err(source) => Err(BakeError::Write { path: folder, source }),
        }
    }

    /// Keeps the content of `source`, if it is not kept yet; nothing if there is more of it than `room`.
    pub(super) fn keep(
        &mut self,
        source: &Path,
        mode: Mode,
        room: u64,
    ) -> Result<Option<Object>, BakeError> {
        let read = |error| BakeError::Read { path: source.to_owned(), source: error };
        let limit = room.saturating_add(1);
        let mut original = open(source).map_err(read)?.take(limit);
        let hash = copy(&mut original, &mut |_| Ok(())).map_err(read)?;
        let bytes = limit - original.limit();
        if room < bytes {
            return Ok(None);
        }
        let found = name(&hash, mode);
        if self.is_intact(&found) {
            return Ok(Some(Object { name: found, bytes }));
        }
        // What is kept is named by the hash of the copy: the original may be changing just now.
        let mut original = open(source).map_err(read)?.take(limit);
        let name = self.add(source, &mut original, (mode, bytes))?;
        let bytes = limit - original.limit();
        Ok((bytes <= room).then_some(Object { name, bytes }))
    }

    /// Keeps bytes in place of what is in `source`.
    pub(super) fn keep_bytes(
        &mut self,
        source: &Path,
        mut bytes: &[u8],
        mode: Mode,
    ) -> Result<String, BakeError> {
        let found = name(&blake3::hash(bytes).to_hex(), mode);
        if self.is_intact(&found) {
            return Ok(found);
        }
        let length = bytes.len() as u64;
        self.add(source, &mut bytes, (mode, length))
    }

    /// Adds an object of about so many bytes, if there is room for it.
    fn add(
        &mut self,
        source: &Path,
        original: &mut impl Read,
        (mode, bytes): (Mode, u64),
    ) -> Result<String, BakeError> {
        let write = |error| BakeError::Write { path: self.folder.clone(), source: error };
        let spare_bytes = (self.spare_bytes)(&self.folder).map_err(write)?;
        if spare_bytes < bytes {
            return Err(self.no_room(source, spare_bytes));
        }
        let draft = self.folder.join(format!("{DRAFT}{}", draft_name()));
        let kept = self.write(source, original, (mode, &draft));
        if kept.is_err() {
            // A full disk, above all, must not be left fuller.
            drop(fs::remove_file(&draft));
        }
        let name = kept?;
        self.added.push(name.clone());
        Ok(name)
    }

    fn write(
        &self,
        source: &Path,
        original: &mut impl Read,
        (mode, draft): (Mode, &Path),
    ) -> Result<String, BakeError> {
        let write = |error| BakeError::Write { path: draft.to_owned(), source: error };
        let mut file = File::create(draft).map_err(write)?;
        let mut full = None;
        let copied = copy(original, &mut |part| {
            // It may be growing as well, and others take room at the same time.
            let spare_bytes = (self.spare_bytes)(&self.folder)?;
            if spare_bytes < part.len() as u64 {
                full = Some(spare_bytes);
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.write_all(part)
        });
        let hash = copied.map_err(|error| match full {
            Some(spare_bytes) => self.no_room(source, spare_bytes),
            None => write(error),
        })?;
        let bits = if mode == Mode::Program { 0o500 } else { 0o400 };
        fs::set_permissions(draft, Permissions::from_mode(bits)).map_err(write)?;
        let name = name(&hash, mode);
        fs::rename(draft, self.folder.join(&name)).map_err(write)?;
        Ok(name)
    }

    fn no_room(&self, source: &Path, spare_bytes: u64) -> BakeError {
        BakeError::NoRoom { path: source.to_owned(), folder: self.folder.clone(), spare_bytes }
    }

    /// Removes the objects that were added and that no release has.
    pub(super) fn take_back(&mut self) {
        for name in self.added.drain(..) {
            let path = self.folder.join(name);
            if path.metadata().is_ok_and(|it| it.nlink() < 2) {
                // The next sweep tries it again.
                drop(fs::remove_file(path));
            }
        }
    }

    /// Whether an object is there and is what its name says: root could have written into a link to it.
    fn is_intact(&self, name: &str) -> bool {
        let object = File::open(self.folder.join(name));
        let hash = object.and_then(|mut it| copy(&mut it, &mut |_| Ok(())));
        hash.is_ok_and(|it| name.trim_end_matches('x') == it.as_str())
    }

    /// Puts an object at `path`: a clone where the file system can, else a link, else a copy.
    pub(super) fn place(&self, name: &str, path: &Path) -> io::Result<()> {
        let object = self.folder.join(name);
        let source = File::open(&object)?;
        let target = File::create(path)?;
        if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
            return fs::set_permissions(path, source.metadata()?.permissions());
        }
        fs::remove_file(path)?;
        fs::hard_link(&object, path).or_else(|_| fs::copy(&object, path).map(drop))
    }

    /// Removes every object that no release links to. (Where releases are clones that is all of them: a
    /// clone needs no original.)
    pub(super) fn sweep(&self) -> Result<(), BakeError> {
        let write = |source| BakeError::Write { path: self.folder.clone(), source };
        for entry in fs::read_dir(&self.folder).map_err(write)? {
            let entry = entry.map_err(write)?;
            if entry.metadata().map_err(write)?.nlink() < 2 {
                fs::remove_file(entry.path()).map_err(write)?;
            }
        }
        Ok(())
    }
}

/// A file that is kept.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) bytes: u64,
}

/// Opens a file to be read. What is none by now is not waited for: a pipe without a writer, a device.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

fn name(hash: &str, mode: Mode) -> String {
    if mode == Mode::Program { format!("{hash}x") } else { hash.to_owned() }
}

/// Hashes what it reads, and hands it on.
fn copy(
    source: &mut impl Read,
    target: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = match source.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finalize().to_hex().to_string()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let part = chunk.get(..count).unwrap_or_default();
        hasher.update(part);
        target(part)?;
    }
}
