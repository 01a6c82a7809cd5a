//! Files by content hash.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::BakeError;
use super::entries::Mode;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// A folder of objects. The name of one is its hash, with `x` behind it if it is a program.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    pub(super) fn open(folder: PathBuf) -> Result<Self, BakeError> {
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(Self { folder }),
            Err(source) => Err(BakeError::Write { path: folder, source }),
        }
    }

    /// Keeps the content of `source`, if it is not kept yet, and returns its name.
    pub(super) fn keep(&self, source: &Path, mode: Mode) -> Result<String, BakeError> {
        let read = |error| BakeError::Read { path: source.to_owned(), source: error };
        let hash = copy(&mut File::open(source).map_err(read)?, None).map_err(read)?;
        let found = name(&hash, mode);
        if self.is_intact(&found) {
            return Ok(found);
        }
        let draft = self.folder.join(format!("draft-{}", std::process::id()));
        let write = |error| BakeError::Write { path: draft.clone(), source: error };
        // What is kept is named by the hash of the copy: the original may be changing just now.
        let mut original = File::open(source).map_err(read)?;
        let mut file = File::create(&draft).map_err(write)?;
        let hash = copy(&mut original, Some(&mut file)).map_err(write)?;
        let bits = if mode == Mode::Program { 0o555 } else { 0o444 };
        fs::set_permissions(&draft, Permissions::from_mode(bits)).map_err(write)?;
        let name = name(&hash, mode);
        fs::rename(&draft, self.folder.join(&name)).map_err(write)?;
        Ok(name)
    }

    /// Whether an object is there and is what its name says: root could have written into a link to it.
    fn is_intact(&self, name: &str) -> bool {
        let hash = File::open(self.folder.join(name)).and_then(|mut it| copy(&mut it, None));
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

fn name(hash: &str, mode: Mode) -> String {
    if mode == Mode::Program { format!("{hash}x") } else { hash.to_owned() }
}

/// Hashes what it reads, and writes it to `target` if there is one.
fn copy(source: &mut File, mut target: Option<&mut File>) -> io::Result<String> {
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
        if let Some(target) = target.as_deref_mut() {
            target.write_all(part)?;
        }
    }
}
