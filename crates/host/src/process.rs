//! Processes of this machine, told apart also when their numbers are used again.
//!
//! Whether one runs has three answers, not two: where this process may open no more files, it cannot look,
//! and what it cannot see has not ended.

use std::fs;
use std::io;
use std::time::Duration;

use model::instance::ProcessId;
use rustix::process::{Pid, Signal};

/// This boot of the machine: process start times of another boot mean nothing.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// This process.
pub fn this() -> io::Result<ProcessId> {
    let pid = std::process::id();
    let missing = || io::Error::other("this process is not in /proc; is it mounted?");
    identify(pid)?.ok_or_else(missing)
}

/// Whether a process runs, as far as that can be told.
#[derive(Debug)]
pub enum Life {
    /// It runs.
    Alive,
    /// It has ended; its number may be another's by now.
    Ended,
    /// It could not be looked at.
    Unknown(io::Error),
}

impl Life {
    /// Whether it surely runs.
    pub const fn is_alive(&self) -> bool {
        matches!(self, Self::Alive)
    }

    /// Whether it has surely ended.
    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }
}

/// The process that has number `pid` now, unless it has ended (a zombie has).
pub fn identify(pid: u32) -> io::Result<Option<ProcessId>> {
    let found = stat(pid)?.filter(|(state, _)| !matches!(state, 'Z' | 'X'));
    Ok(found.map(|(_, started_ticks)| ProcessId { pid, started_ticks }))
}

/// A child of this process, which keeps its number until it is waited for: also one that has ended.
pub fn identify_child(pid: u32) -> io::Result<Option<ProcessId>> {
    Ok(stat(pid)?.map(|(_, started_ticks)| ProcessId { pid, started_ticks }))
}

/// Whether this very process still runs.
pub fn life(process: ProcessId) -> Life {
    match identify(process.pid) {
        Ok(found) if found == Some(process) => Life::Alive,
        Ok(_) => Life::Ended,
        Err(error) => Life::Unknown(error),
    }
}

/// Sends a signal to this very process; to nobody if it has ended.
pub fn signal(process: ProcessId, signal: Signal) -> io::Result<()> {
    match life(process) {
        Life::Alive => {}
        Life::Ended => return Ok(()),
        Life::Unknown(error) => return Err(error),
    }
    let Some(pid) = to_pid(process.pid) else { return Ok(()) };
    // The descriptor is held to the process found, whatever becomes of its number after.
    let descriptor = match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match life(process) {
        Life::Alive => {}
        Life::Ended => return Ok(()),
        Life::Unknown(error) => return Err(error),
    }
    match rustix::process::pidfd_send_signal(&descriptor, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Asks this very process to end.
pub fn terminate(process: ProcessId) -> io::Result<()> {
    signal(process, Signal::TERM)
}

/// Ends this very process, which does not get to say anything about it.
pub fn kill(process: ProcessId) -> io::Result<()> {
    signal(process, Signal::KILL)
}

/// Sends a signal to the process group led by `leader`, if it has members left.
pub fn signal_group(leader: u32, signal: Signal) -> io::Result<()> {
    // To kill(2) group 1 is every process there is.
    let Some(pid) = to_pid(leader).filter(|it| !it.is_init()) else { return Ok(()) };
    match rustix::process::kill_process_group(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a process ignores a signal, so that it need not be waited for to act on it.
pub fn ignores(process: ProcessId, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap_or_default();
    let mask = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok()).unwrap_or(0);
    // Signal 1 is the lowest bit (proc(5)).
    let place = signal.as_raw() - 1;
    life(process).is_alive() && mask >> place & 1 == 1
}

/// Leaves the terminal: this process gets a session of its own, which no terminal's end can reach.
pub fn leave_terminal() -> io::Result<()> {
    match rustix::process::setsid() {
        // Refused, it leads a process group already, and so cannot have a new session; a group of its
        // own is what keeps a terminal's Ctrl-C away.
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The file a process runs: its device and its number there. Of a program that was replaced since, it is the old one.
pub fn program(pid: u32) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((found.dev(), found.ino()))
}

/// Resident memory of a process in bytes, or nothing if it has ended.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// What a process and its descendants use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time since they were started, that of children they have waited for among it.
    pub cpu: Duration,
    /// Resident memory; what several of them share counts for each.
    pub resident_bytes: u64,
    /// How many processes they are.
    pub processes: u32,
}

/// Processes looked at for one of them, at most.
const FAMILY_MAX: usize = 1_024;

/// What a process and its descendants use; nothing if it has ended or cannot be looked at.
pub fn usage(process: ProcessId) -> Option<Usage> {
    if !life(process).is_alive() {
        return None;
    }
    let mut usage = Usage::default();
    let mut family = vec![process.pid];
    let mut place = 0;
    while let Some(pid) = family.get(place).copied() {
        place += 1;
        // One that ends while it is looked at uses nothing any more.
        let Some(ticks) = cpu_ticks(pid) else { continue };
        usage.cpu += duration(ticks);
        usage.resident_bytes += resident_bytes(pid).unwrap_or(0);
        usage.processes += 1;
        if family.len() < FAMILY_MAX {
            family.extend(children(pid));
        }
    }
    Some(usage)
}

/// Children of a process, whichever of its threads made them; none of one that has just ended.
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let list = |task: fs::DirEntry| fs::read_to_string(task.path().join("children"));
    let pids = |list: String| -> Vec<u32> {
        list.split_ascii_whitespace().filter_map(|it| it.parse().ok()).collect()
    };
    tasks.flatten().filter_map(|it| list(it).ok()).flat_map(pids).collect()
}

/// Every process whose command line ends with these words.
pub fn with_last_words(words: &[&str]) -> io::Result<Vec<ProcessId>> {
    let ending = within(words);
    with_line(|line| line.ends_with(&ending))
}

/// Every process whose command line begins with a program, whichever, and these words.
pub fn with_first_words(words: &[&str]) -> io::Result<Vec<ProcessId>> {
    let beginning = within(words);
    with_line(|line| {
        let program = line.iter().position(|it| *it == 0).unwrap_or(line.len());
        line.get(program..).is_some_and(|it| it.starts_with(&beginning))
    })
}

/// Words as they stand in a command line, between others.
fn within(words: &[&str]) -> Vec<u8> {
    let mut within: Vec<u8> = words.iter().flat_map(|it| [b"\0", it.as_bytes()].concat()).collect();
    within.push(0);
    within
}

fn with_line(is_meant: impl Fn(&[u8]) -> bool) -> io::Result<Vec<ProcessId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|it| it.parse().ok());
        let Some(pid) = pid else { continue };
        let Some(process) = identify(pid)? else { continue };
        // It may have ended meanwhile.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if is_meant(&line) && life(process).is_alive() {
            found.push(process);
        }
    }
    Ok(found)
}

/// Whether a process leads its process group.
pub fn leads_group(pid: u32) -> bool {
    let group = to_pid(pid).and_then(|it| rustix::process::getpgid(Some(it)).ok());
    group.is_some() && group == to_pid(pid)
}

/// Processor time of a process, its threads among it; of its children only those it has waited for.
pub fn cpu(process: ProcessId) -> Option<Duration> {
    if life(process).is_alive() { cpu_ticks(process.pid).map(duration) } else { None }
}

fn duration(ticks: u64) -> Duration {
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100).max(1);
    Duration::from_secs(ticks) / per_second
}

/// User and system time, of the process and of children it has waited for: fields 14 to 17.
fn cpu_ticks(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = text.rsplit_once(')')?;
    let fields = after_name.split_ascii_whitespace().skip(11).take(4);
    Some(fields.filter_map(|it| it.parse::<u64>().ok()).sum())
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// State and start time, or nothing if there is no such process.
fn stat(pid: u32) -> io::Result<Option<(char, u64)>> {
    let text = match fs::read(format!("/proc/{pid}/stat")) {
        // A name that is no UTF-8 is no reason not to find the process.
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if is_no_process(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let strange = || io::Error::other(format!("/proc/{pid}/stat is not understood"));
    state_and_start(&text).map(Some).ok_or_else(strange)
}

/// Whether an error says that there is no such process: no file, or one whose process ended while it was read.
fn is_no_process(error: &io::Error) -> bool {
    let ended = rustix::io::Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ended)
}

/// The command name in parentheses may hold anything, so count from its end.
fn state_and_start(text: &str) -> Option<(char, u64)> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // Field 22 of the line; `state` was field 3.
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_another_with_its_number_is_not() {
        let this = this().unwrap();
        assert!(life(this).is_alive());
        assert!(life(ProcessId { started_ticks: this.started_ticks + 1, ..this }).has_ended());
        assert!(resident_bytes(this.pid).unwrap() > 0);
    }

    #[test]
    fn a_program_is_told_from_another() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let this = program(std::process::id());
        assert!(this.is_some() && this == program(std::process::id()));
        while program(child.id()) == this {
            std::thread::yield_now();
        }
        assert!(program(child.id()).is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(program(child.id()), None);
    }

    #[test]
    fn a_family_is_counted_together() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60 & read end"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let process = identify(child.id()).unwrap().unwrap();
        while usage(process).unwrap().processes != 3 {
            std::thread::yield_now();
        }
        assert!(resident_bytes(process.pid).unwrap() < usage(process).unwrap().resident_bytes);
        for pid in children(child.id()) {
            terminate(identify(pid).unwrap().unwrap()).unwrap();
        }
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(usage(process), None);
        assert!(Duration::ZERO < usage(this().unwrap()).unwrap().cpu || cpu_ticks(1).is_some());
    }

    #[test]
    fn a_child_that_has_ended_is_known_to_its_parent() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let known = identify_child(child.id()).unwrap().unwrap();
        while identify(child.id()).unwrap().is_some() {
            std::thread::yield_now();
        }
        assert_eq!(identify_child(child.id()).unwrap(), Some(known));
        child.wait().unwrap();
        assert_eq!(identify_child(child.id()).unwrap(), None);
    }

    #[test]
    fn what_ignores_a_signal_is_known() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "trap '' TERM; trap : HUP; echo; read end"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 1];
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let process = identify(child.id()).unwrap().unwrap();
        assert!(ignores(process, Signal::TERM));
        assert!(!ignores(process, Signal::HUP), "it acts on this one");
        assert!(!ignores(process, Signal::INT));
        assert!(!ignores(ProcessId { started_ticks: 0, ..process }, Signal::TERM));
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn signals_reach_only_the_process_meant() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = identify(child.id()).unwrap().unwrap();
        let other = ProcessId { started_ticks: process.started_ticks + 1, ..process };
        signal(other, Signal::KILL).unwrap();
        assert!(life(process).is_alive());
        signal(process, Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
        assert!(!life(process).is_alive());
        signal(process, Signal::KILL).unwrap();
    }
}
