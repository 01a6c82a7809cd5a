//! Control groups, version 1 and 2: limits for an instance, and a way to kill all of it.
//!
//! A machine may have neither, or not let us use them; then an instance runs without limits and is
//! killed by its process group and its supervisor's children alone. `pelago doctor` says which it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::service::Limits;
use rustix::process::{Pid, Signal};

/// Where the kernel shows its control groups.
const ROOT: &str = "/sys/fs/cgroup";
/// Our own part of each hierarchy.
const FOLDER: &str = "pelago";
/// The period of the processor quota: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
/// The version 1 hierarchies we use.
const CONTROLLERS_V1: [&str; 2] = ["memory", "cpu"];

/// What this machine allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The unified hierarchy.
    V2,
    /// One hierarchy per controller.
    V1,
    /// None that we may write to.
    None,
}

/// Finds out what this machine allows.
pub fn support() -> Support {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() {
        return if make(&root.join(FOLDER)).is_ok() { Support::V2 } else { Support::None };
    }
    let all = CONTROLLERS_V1.iter().all(|it| make(&root.join(it).join(FOLDER)).is_ok());
    if all { Support::V1 } else { Support::None }
}

/// The control group of one instance.
#[derive(Debug)]
pub struct Cgroup {
    support: Support,
    folders: Vec<PathBuf>,
}

fn folders(support: Support, name: &str) -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    match support {
        Support::V2 => vec![root.join(FOLDER).join(name)],
        Support::V1 => {
            CONTROLLERS_V1.iter().map(|it| root.join(it).join(FOLDER).join(name)).collect()
        }
        Support::None => Vec::new(),
    }
}

/// Makes a folder we may write to, if it is not there already; another user may have made it.
fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(rustix::fs::access(folder, rustix::fs::Access::WRITE_OK)?),
    }
}

impl Cgroup {
    /// Makes the group `name` with these limits, or nothing where the machine does not allow any.
    pub fn create(name: &str, limits: &Limits) -> io::Result<Option<Self>> {
        let support = support();
        if support == Support::None {
            return Ok(None);
        }
        if support == Support::V2 {
            for folder in [Path::new(ROOT).to_owned(), Path::new(ROOT).join(FOLDER)] {
                // Where a controller may not be passed on, the limit below fails and says so.
                drop(fs::write(folder.join("cgroup.subtree_control"), "+memory +cpu"));
            }
        }
        let group = Self { support, folders: folders(support, name) };
        for folder in &group.folders {
            make(folder)?;
        }
        group.limit(limits)?;
        Ok(Some(group))
    }

    fn limit(&self, limits: &Limits) -> io::Result<()> {
        let memory = limits.memory.map(|it| it.0.to_string());
        let quota = limits.cpus.map(|it| u64::from(it.as_thousandths()) * CPU_PERIOD_US / 1_000);
        match (self.support, self.folders.as_slice()) {
            (Support::V2, [folder]) => {
                if let Some(memory) = memory {
                    fs::write(folder.join("memory.max"), memory)?;
                    // Swapped out is not limited; a kernel without swap has no such file.
                    drop(fs::write(folder.join("memory.swap.max"), "0"));
                }
                if let Some(quota) = quota {
                    fs::write(folder.join("cpu.max"), format!("{quota} {CPU_PERIOD_US}"))?;
                }
            }
            (Support::V1, [memory_folder, cpu_folder]) => {
                if let Some(memory) = memory {
                    fs::write(memory_folder.join("memory.limit_in_bytes"), &memory)?;
                    drop(fs::write(memory_folder.join("memory.memsw.limit_in_bytes"), &memory));
                }
                if let Some(quota) = quota {
                    let period = CPU_PERIOD_US.to_string();
                    fs::write(cpu_folder.join("cpu.cfs_period_us"), period)?;
                    fs::write(cpu_folder.join("cpu.cfs_quota_us"), quota.to_string())?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts this process into the group `name`, if there is one.
    pub fn join(name: &str) -> io::Result<()> {
        for folder in folders(support(), name) {
            if folder.is_dir() {
                fs::write(folder.join("cgroup.procs"), std::process::id().to_string())?;
            }
        }
        Ok(())
    }

    /// Kills every process in it.
    pub fn kill(&self) {
        for folder in &self.folders {
            if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
                continue;
            }
            let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            for pid in members.lines().filter_map(|it| it.parse().ok()).filter_map(Pid::from_raw) {
                // It may have ended by itself since the list was read.
                let _ended: rustix::io::Result<()> =
                    rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Whether the kernel killed something in it for want of memory.
    pub fn has_run_out_of_memory(&self) -> bool {
        let Some(folder) = self.folders.first() else { return false };
        let file = match self.support {
            Support::V2 => "memory.events",
            Support::V1 | Support::None => "memory.oom_control",
        };
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        let kills = text.lines().find_map(|it| it.strip_prefix("oom_kill "));
        kills.is_some_and(|it| it.trim() != "0")
    }

    /// Removes it. One that still has members stays: for [`end`], or for [`sweep`].
    pub fn remove(&self) {
        for folder in &self.folders {
            drop(fs::remove_dir(folder));
        }
    }
}

/// Kills what is in the group `name` and removes it; false while something in it is still dying.
pub fn end(name: &str) -> bool {
    let support = support();
    let group = Cgroup { support, folders: folders(support, name) };
    if group.folders.iter().any(|it| it.is_dir()) {
        group.kill();
        group.remove();
    }
    !group.folders.iter().any(|it| it.is_dir())
}

/// Kills and removes every group whose name begins with `prefix` and is not in `known`: what a supervisor
/// that was killed left behind.
pub fn sweep(prefix: &str, known: &dyn Fn(&str) -> bool) {
    let support = support();
    let Some(first) = folders(support, "").into_iter().next() else { return };
    let Ok(entries) = fs::read_dir(first) else { return };
    for name in entries.flatten().filter_map(|it| it.file_name().into_string().ok()) {
        if name.starts_with(prefix) && !known(&name) {
            let group = Cgroup { support, folders: folders(support, &name) };
            group.kill();
            group.remove();
        }
    }
}
