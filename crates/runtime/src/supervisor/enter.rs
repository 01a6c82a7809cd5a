//! From the supervisor's child to the instance: a tie to the supervisor's life, the control group, and
//! then the instance's program in place of this one. (The process group is made by the supervisor when
//! it spawns the child, so that there is no moment in which a signal to the group finds nobody.)
//!
//! Its standard input is a pipe from the supervisor. While it is open at that end the supervisor lives;
//! when it is closed at this end the program runs, or will not.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
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
    Cgroup::join(&spec.cgroup)?;
    match spec.usual {
        Some(usual) => host::limits::give_back(usual.into()),
        None => Ok(()),
    }
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
    if !spec.working_folder.is_dir() {
        return format!(
            "the files of its release are not at {} any more; deploy it again, which makes a release with them",
            spec.working_folder.display()
        );
    }
    match error.kind() {
        io::ErrorKind::NotFound => not_found(spec),
        io::ErrorKind::PermissionDenied => {
            format!("the program `{program}` may not be run; make it executable (chmod +x)")
        }
        // What the kernel takes for no program at all.
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => format!(
            "`{program}` is neither a program for this machine nor a script; a script begins with a \
             line such as `#!/bin/sh`"
        ),
        _ => format!("the program `{program}` could not be run: {error}"),
    }
}

/// What is not there: the program, or what it needs to run. The system says the same of both.
fn not_found(spec: &LaunchSpec) -> String {
    let name = &spec.program;
    let path = program(spec);
    if !path.is_file() {
        let place =
            if name.contains('/') { "in the artifact" } else { "in the artifact or in PATH" };
        return format!("the program `{name}` was not found {place}");
    }
    match interpreter(&path) {
        Some(it) if it.ends_with('\r') => format!(
            "`{name}` begins with `#!{}` and a carriage return, as Windows ends its lines, so its \
             interpreter is not found; write the file with line feeds only",
            it.trim_end()
        ),
        Some(it) => {
            let interpreter = it.split_whitespace().next().unwrap_or_default();
            format!(
                "`{name}` begins with `#!{it}`, and its interpreter `{interpreter}` is not there; \
                 install it, correct the line, or name the interpreter in `command`"
            )
        }
        None => format!(
            "`{name}` needs a loader or an interpreter that is not on this machine; was it built for \
             another system?"
        ),
    }
}

/// What a script's first line says that runs it.
fn interpreter(path: &Path) -> Option<String> {
    /// Linux reads no more of it (`BINPRM_BUF_SIZE`).
    const LINE_BYTES_MAX: u64 = 256;
    let mut line = Vec::new();
    let read = fs::File::open(path).ok()?.take(LINE_BYTES_MAX).read_to_end(&mut line);
    read.ok()?;
    let line = line.split(|it| *it == b'\n').next()?.strip_prefix(b"#!")?;
    Some(String::from_utf8_lossy(line).trim_matches([' ', '\t']).to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use model::service::Limits;

    use super::*;
    use crate::launch::LogLimits;

    fn spec(program: &str, folder: &Path) -> LaunchSpec {
        LaunchSpec {
            application: "shop".parse().unwrap(),
            instance: "a.1".parse().unwrap(),
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: BTreeMap::from([("PATH".to_owned(), "/none".to_owned())]),
            working_folder: folder.to_owned(),
            limits: Limits::default(),
            stop_signal: model::stopping::StopSignal::default(),
            data: None,
            stop_grace_period: Duration::ZERO,
            log: LogLimits::default(),
            cgroup: String::new(),
            usual: None,
        }
    }

    /// What is said of a program with this text that the system did not find something for.
    #[track_caller]
    fn check(text: Option<&str>, program: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            fs::write(folder.path().join("run"), text).unwrap();
        }
        let spec = spec(program, folder.path());
        assert_eq!(describe(&spec, &io::ErrorKind::NotFound.into()), expected);
    }

    /// Issue 12: where the artifacts were removed from the data folder, an interpreter was said to be missing.
    #[test]
    fn issue_12_files_that_were_removed_are_named() {
        let spec = spec("python3", Path::new("/nowhere/releases/1"));
        let said = describe(&spec, &io::ErrorKind::NotFound.into());
        assert!(said.contains("are not at /nowhere/releases/1 any more"), "{said}");
    }

    /// Issue 12: a script without its interpreter was said not to be there itself.
    #[test]
    fn what_is_not_found_is_named() {
        check(
            Some("#!/nowhere/.venv/bin/python3 -u\nprint(1)\n"),
            "./run",
            "`./run` begins with `#!/nowhere/.venv/bin/python3 -u`, and its interpreter \
             `/nowhere/.venv/bin/python3` is not there; install it, correct the line, or name the \
             interpreter in `command`",
        );
        check(
            Some("#!/bin/sh\r\n"),
            "run",
            "`run` begins with `#!/bin/sh` and a carriage return, as Windows ends its lines, so its \
             interpreter is not found; write the file with line feeds only",
        );
        check(
            Some("\u{7f}ELF"),
            "run",
            "`run` needs a loader or an interpreter that is not on this machine; was it built for \
             another system?",
        );
        check(None, "./run", "the program `./run` was not found in the artifact");
        check(None, "run", "the program `run` was not found in the artifact or in PATH");
    }
}
