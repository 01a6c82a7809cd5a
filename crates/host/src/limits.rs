//! What the system lets this process do, and which of its errors say that it let it do no more.
//!
//! Our own processes hold a descriptor for each connection and each instance, so they take as many as they may.
//! Programs started by them get back what was usual before: those that use `select` break beyond 1024
//! descriptors, and those that close every possible one take minutes over a million.

use std::io;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

/// What a process was started with: what programs it starts are to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usual {
    /// The soft limit of open files; unlimited if there is none.
    pub open_files: Option<u64>,
    /// The permissions that new files do not get.
    pub umask: u32,
}

/// Takes every descriptor that the hard limit allows, and keeps new files from everybody else's eyes. To be
/// called before there are threads. Returns what was usual until then.
pub fn prepare() -> Usual {
    let usual = Usual {
        open_files: rustix::process::getrlimit(Resource::Nofile).current,
        umask: rustix::process::umask(Mode::RWXG | Mode::RWXO).as_raw_mode(),
    };
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Refused, it goes on with what it has; what does not fit then is refused by name.
    drop(set_open_files(limit.maximum, limit));
    usual
}

/// Gives this process what was usual before [`prepare`]: for programs that are about to take its place.
pub fn give_back(usual: Usual) -> io::Result<()> {
    rustix::process::umask(Mode::from_raw_mode(usual.umask));
    set_open_files(usual.open_files, rustix::process::getrlimit(Resource::Nofile))
}

/// Files this process may have open at once; nothing if as many as it likes.
pub fn open_files_max() -> Option<u64> {
    rustix::process::getrlimit(Resource::Nofile).current
}

/// Files this process has open.
pub fn open_files() -> io::Result<u64> {
    // The folder itself is open while it is read.
    Ok(std::fs::read_dir("/proc/self/fd")?.count().saturating_sub(1) as u64)
}

/// Whether an error says that this process or the machine has run out of something: descriptors, memory, processes,
/// ports. It says nothing of what was asked about.
pub fn is_shortage(error: &io::Error) -> bool {
    let shortages = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOBUFS,
        Errno::AGAIN,
        Errno::ADDRNOTAVAIL,
    ];
    let number = error.raw_os_error();
    shortages.iter().any(|it| Some(it.raw_os_error()) == number)
}

fn set_open_files(wanted: Option<u64>, now: Rlimit) -> io::Result<()> {
    let current = match (wanted, now.maximum) {
        (Some(wanted), Some(maximum)) => Some(wanted.min(maximum)),
        (Some(wanted), None) => Some(wanted),
        (None, maximum) => maximum,
    };
    let limit = Rlimit { current, maximum: now.maximum };
    Ok(rustix::process::setrlimit(Resource::Nofile, limit)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_run_out_here_is_no_fact_about_others() {
        for (number, expected) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::NOMEM, true),
            (Errno::NOENT, false),
            (Errno::CONNREFUSED, false),
            (Errno::SRCH, false),
        ] {
            let error = io::Error::from_raw_os_error(number.raw_os_error());
            assert_eq!(is_shortage(&error), expected, "{error}");
        }
    }

    #[test]
    fn open_files_are_counted() {
        let before = open_files().unwrap();
        // Other tests of this process may run beside: more is certain only while these are held.
        let held: Vec<_> =
            (0..50).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(50 <= open_files().unwrap());
        drop(held);
        assert!(before > 0);
    }
}
