//! Where the sockets of a data folder are while that can only be read.
//!
//! A disk that found an error takes no further file, and a socket is one. The control process then makes its sockets
//! in a folder elsewhere, whose name follows from the user and the data folder, so that every command finds it
//! without being told. It is read from no variable: a shell and a service manager have different ones.
//!
//! It refuses a folder of somebody else, or one that others may use, since anybody may make files in `/tmp`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The API's socket in the data folder or in its substitute.
pub const SOCKET: &str = "pelago.sock";

/// Where such a folder may be. The second is in memory: the first may be on the disk that can only be read.
const ROOTS: [&str; 2] = ["/tmp", "/dev/shm"];

/// Makes the substitute of `data`, or takes the one that is there.
pub fn make(data: &Path) -> io::Result<PathBuf> {
    let mut refusal = io::Error::other("there is no place for it");
    for root in ROOTS {
        let folder = Path::new(root).join(name(data));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => refusal = error,
            _ if is_ours(&folder) => return Ok(folder),
            _ => {
                let text = format!("{} belongs to somebody else; remove it", folder.display());
                refusal = io::Error::other(text);
            }
        }
    }
    Err(refusal)
}

/// The substitute of `data`, if there is one.
pub fn find(data: &Path) -> Option<PathBuf> {
    let folders = ROOTS.map(|root| Path::new(root).join(name(data)));
    folders.into_iter().find(|it| is_ours(it))
}

fn is_ours(folder: &Path) -> bool {
    let found = fs::symlink_metadata(folder);
    found.is_ok_and(|it| {
        it.is_dir() && it.uid() == rustix::process::geteuid().as_raw() && it.mode() & 0o777 == 0o700
    })
}

fn name(data: &Path) -> String {
    let data = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let user = rustix::process::geteuid().as_raw();
    format!("pelago-{user}-{:016x}", fnv(data.as_os_str().as_encoded_bytes()))
}

/// FNV-1a, 64 bits: the same in every version of this program, which the standard library does not promise of its own.
fn fnv(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_same_folder_is_found_by_every_name_of_the_data_folder() {
        // Of the algorithm's reference.
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
        let data = tempfile::tempdir().unwrap();
        assert_eq!(find(data.path()), None);
        let made = make(data.path()).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(make(data.path()).unwrap(), made);
        assert_eq!(find(&data.path().join(".")), Some(made.clone()));
        fs::remove_dir(made).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_use_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let laid = ROOTS.map(|root| Path::new(root).join(name(data.path())));
        for folder in &laid {
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        }
        assert_eq!(find(data.path()), None);
        let refused = make(data.path()).unwrap_err().to_string();
        assert!(refused.contains("belongs to somebody else"), "{refused}");
        for folder in laid {
            fs::remove_dir(folder).unwrap();
        }
    }
}
