//! From the supervisor's child to the instance: a tie to the supervisor's life, the control group, and
//! then the instance's program in place of this one. (The process group is made by the supervisor when
//! it spawns the child, so that there is no moment in which a signal to the group finds nobody.)

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let error = become_instance(&spec);
    let reason = describe(&spec, &error);
    match folder.write_refusal(&reason) {
        Ok(()) => io::Error::new(error.kind(), reason),
        Err(error) => error,
    }
}

fn become_instance(spec: &LaunchSpec) -> io::Error {
    if let Err(error) = separate(spec) {
        return error;
    }
    Command::new(program(spec))
        .args(&spec.arguments)
        .env_clear()
        .envs(&spec.environment)
        .current_dir(&spec.working_folder)
        .exec()
}

fn separate(spec: &LaunchSpec) -> io::Result<()> {
    let supervisor = rustix::process::getppid();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != supervisor {
        return Err(io::Error::other("its supervisor is gone"));
    }
    Cgroup::join(&spec.cgroup)
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
