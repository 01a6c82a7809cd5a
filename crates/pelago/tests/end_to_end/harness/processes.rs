//! What really runs, as `/proc` says: independent of what the platform believes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use host::process;
use model::instance::ProcessId;
use rustix::process::Signal;

/// A process that belongs to a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    /// The instance it belongs to: `cart.7`.
    pub(crate) instance: String,
    /// Its process group.
    pub(crate) group: u32,
    pub(crate) role: Role,
}

/// What a process is to its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It watches over it.
    Supervisor,
    /// It is about to become it.
    Entering,
    /// It is it, or a child of it.
    Member,
}

/// Every process whose command line or environment names an instance of the data folder. (An instance is
/// told its temporary folder, which is inside.)
pub(crate) fn of(data: &Path) -> Vec<Process> {
    let instances = format!("{}/instances/", data.display());
    let numbers = fs::read_dir("/proc").unwrap().flatten();
    let numbers = numbers.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter_map(|pid| look(pid, &instances)).collect()
}

fn look(pid: u32, instances: &str) -> Option<Process> {
    let id = identify(pid)?;
    let read = |name: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (command, environment) = (read("cmdline"), read("environ"));
    let words: Vec<&str> = command.split('\0').collect();
    let named = |text: &str| {
        let path = text.strip_prefix(instances)?;
        path.split('/').nth(1).map(str::to_owned)
    };
    let of_word = |number: usize| words.get(number).and_then(|it| named(it));
    let (instance, role) = match words.get(1) {
        Some(&"supervise") => (of_word(2)?, Role::Supervisor),
        Some(&"enter") => (of_word(2)?, Role::Entering),
        _ => {
            let folder = environment.split('\0').find_map(|it| it.strip_prefix("TMPDIR="))?;
            (named(folder)?, Role::Member)
        }
    };
    let stat = read("stat");
    let group = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()?;
    Some(Process { id, instance, group, role })
}

/// The leaders of instances: by instance, the processes that lead a group and have its environment.
pub(crate) fn leaders(data: &Path) -> BTreeMap<String, Vec<u32>> {
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for it in of(data) {
        if it.role == Role::Member && it.group == it.id.pid {
            found.entry(it.instance).or_default().push(it.id.pid);
        }
    }
    found
}

/// Whether a process has a socket that listens on a port of this machine.
pub(crate) fn holds(pid: u32, port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let listeners = table.lines().map(|it| it.split_ascii_whitespace().collect::<Vec<_>>());
    let is_meant =
        |it: &Vec<&str>| it.len() > 9 && it[3] == "0A" && it[1].ends_with(&format!(":{port:04X}"));
    let sockets: Vec<String> =
        listeners.filter(is_meant).map(|it| format!("socket:[{}]", it[9])).collect();
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let mut links = files.filter_map(|it| fs::read_link(it.path()).ok());
    links.any(|it| sockets.iter().any(|socket| it.as_os_str() == socket.as_str()))
}

/// The data planes of a data folder: one, or none, or two while one takes over.
pub(crate) fn data_planes(data: &Path) -> Vec<ProcessId> {
    let socket = data.join("proxy.sock").display().to_string();
    let numbers = fs::read_dir("/proc").unwrap().flatten();
    let numbers = numbers.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        let words: Vec<&str> = command.split('\0').collect();
        words.get(1) == Some(&"proxy") && words.contains(&socket.as_str())
    };
    numbers.filter(is_one).filter_map(identify).collect()
}

/// The process that has this number now, if it runs.
pub(crate) fn identify(pid: u32) -> Option<ProcessId> {
    process::identify(pid).unwrap()
}

/// Whether this very process runs.
pub(crate) fn is_alive(process: ProcessId) -> bool {
    process::life(process).is_alive()
}

/// Kills exactly this process.
pub(crate) fn kill(process: ProcessId) {
    process::signal(process, Signal::KILL).unwrap();
}

/// Kills everything that belongs to a data folder, supervisors first, until nothing is left.
pub(crate) fn kill_all(data: &Path) {
    loop {
        let mut found = of(data);
        if found.is_empty() {
            return;
        }
        found.sort_by_key(|it| it.role != Role::Supervisor);
        for it in found {
            // It may have ended since.
            drop(process::signal(it.id, Signal::KILL));
        }
    }
}

/// The control groups of a data folder that are there now.
pub(crate) fn cgroups(data: &Path) -> Vec<PathBuf> {
    let folder = data.join("instances");
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let hash = blake3::hash(folder.as_os_str().as_encoded_bytes()).to_hex();
    let prefix = format!("{}-", hash.get(..12).unwrap());
    let mut found = Vec::new();
    for place in ["", "memory", "cpu"] {
        let entries = fs::read_dir(Path::new("/sys/fs/cgroup").join(place).join("pelago"));
        let entries = entries.into_iter().flatten().flatten().map(|it| it.path());
        let ours = |it: &PathBuf| {
            it.file_name().and_then(|it| it.to_str()).is_some_and(|it| it.starts_with(&prefix))
        };
        found.extend(entries.filter(ours));
    }
    found
}
