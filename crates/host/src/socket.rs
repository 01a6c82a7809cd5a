//! Sockets in a folder of ours: for their owner alone, and there as long as whoever listens.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::files;

/// What `sun_path` holds on Linux, less the closing zero (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// Listens at `path`, for this user alone, without ever blocking. What was there belonged to somebody who is gone: whoever
/// calls this knows that.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if PATH_BYTES_MAX < path.as_os_str().len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the socket's path is longer than the {PATH_BYTES_MAX} bytes the system allows; choose a shorter data \
                 folder with --data"
            ),
        ));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            files::set_aside(path)?;
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Where the process `pid` listens that has left `socket` to another: beside it.
pub fn of_predecessor(socket: &Path, pid: u32) -> PathBuf {
    socket.with_extension(format!("{pid}.sock"))
}

/// The sockets there are of processes that have left `socket` to another.
pub fn of_predecessors(socket: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(stem)) = (socket.parent(), socket.file_stem()) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let pid_of = |path: &Path| {
        let number = path.file_stem()?.to_str()?.strip_prefix(stem.to_str()?)?.strip_prefix('.')?;
        number.parse().ok()
    };
    let paths = entries.filter_map(Result::ok).map(|it| it.path());
    paths.filter(|it| pid_of(it).is_some_and(|pid| of_predecessor(socket, pid) == *it)).collect()
}

/// Which file a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Of what is at `path` now, if anything is.
    pub fn at(path: &Path) -> Option<Self> {
        let found = fs::symlink_metadata(path).ok()?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_predecessors_are_found_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("proxy.sock");
        let left = of_predecessor(&socket, 71);
        assert_eq!(left, folder.path().join("proxy.71.sock"));
        for name in [
            "proxy.sock",
            "proxy.71.sock",
            "proxy.x.sock",
            "proxy.72.log",
            "pelago.73.sock",
            "proxy.074.sock",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(of_predecessors(&socket), [left]);
        assert!(of_predecessors(&folder.path().join("none/proxy.sock")).is_empty());
    }

    #[test]
    fn a_socket_takes_the_place_of_what_was_left_and_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.sock");
        assert_eq!(FileId::at(&path), None);
        fs::write(&path, "left by somebody").unwrap();
        let listener = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let first = FileId::at(&path);
        assert_eq!(FileId::at(&path), first);
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        let _second = listen(&path).unwrap();
        assert_ne!(FileId::at(&path), first);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let _third = listen(&path).unwrap();
        assert!(folder.path().join("it.sock.damaged").is_dir());
    }

    #[test]
    fn a_path_that_is_too_long_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let error = listen(&folder.path().join("n".repeat(108))).unwrap_err();
        assert!(error.to_string().contains("107 bytes"), "{error}");
    }
}
