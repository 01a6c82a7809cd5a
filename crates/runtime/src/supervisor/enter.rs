//! From the supervisor's child to the instance: a tie to the supervisor's life, the control group, and
//! then the instance's program in place of this one. (The process group is made by the supervisor when
//! it spawns the child, so that there is no moment in which a signal to the group finds nobody.)
//!
//! Its standard input is a pipe from the supervisor. While it is open at that end the supervisor lives;
//! when it is closed at this end the program runs, or will not.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use crate::cgroup::Cgroup;
use crate::folder::InstanceFolder;
use crate::launch::LaunchSpec;

/// Becomes the program of the instance whose folder is at `path`. Returns only if that failed; the
/// reason is in the folder then.
pub fn enter(path: &Path) -> io::Error {
    let folder = InstanceFolder::new(path.to_owned());
    let spec = match folder.spec() {
        Ok(spec) => spec,
        Err(error) => return error,
    };
    // Closed by the system when the program takes our place, and not before.
    let tie = match rustix::io::fcntl_dupfd_cloexec(io::stdin(), 0) {
        Ok(tie) => tie,
        Err(error) => return error.into(),
    };
    let error = become_instance(&spec, &tie);
    let reason = describe(&spec, &error);
    match folder.write_refusal(&reason) {
        Ok(()) => io::Error::new(error.kind(), reason),
        Err(error) => error,
    }
}

fn become_instance(spec: &LaunchSpec, tie: &OwnedFd) -> io::Error {
    if let Err(error) = separate(spec, tie) {
        return error;
    }
    Command::new(program(spec))
        .args(&spec.arguments)
        .env_clear()
        .envs(&spec.environment)
        .current_dir(&spec.working_folder)
        .stdin(Stdio::null())
        .exec()
}

fn separate(spec: &LaunchSpec, tie: &OwnedFd) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before it could be tied to us.
    if is_closed(tie)? {
        return Err(io::Error::other("its supervisor is gone"));
    }
    Cgroup::join(&spec.cgroup)
}

/// Whether the other end of a pipe is closed.
fn is_closed(pipe: &OwnedFd) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&now))?;
    let [fd] = fds;
    Ok(fd.revents().contains(PollFlags::HUP))
}

/// A program that is a path is meant from the working folder; a bare name is looked for there first,
/// as people expect of `command: orders` beside `artifact: ./orders`, and then in `PATH`.
fn program(spec: &LaunchSpec) -> PathBuf {
    let program = Path::new(&spec.program);
    if program.is_absolute() {
        return program.to_owned();
    }
    let beside = spec.working_folder.join(program);
    if spec.program.contains('/') || beside.is_file() {
        return beside;
    }
    let path = spec.environment.get("PATH").map_or("", String::as_str);
    std::env::split_paths(OsStr::new(path))
        .map(|it| it.join(program))
        .find(|it| it.is_file())
        .unwrap_or_else(|| program.to_owned())
}

fn describe(spec: &LaunchSpec, error: &io::Error) -> String {
    let program = &spec.program;
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("the program `{program}` was not found, in the artifact or in PATH")
        }
        io::ErrorKind::PermissionDenied => {
            format!("the program `{program}` may not be run; make it executable (chmod +x)")
        }
        _ => format!("the program `{program}` could not be run: {error}"),
    }
}
