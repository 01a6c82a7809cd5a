//! Who is below a supervisor: its instance, and whatever that left behind, since orphans of a
//! subreaper come to it.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use host::process;
use model::instance::Exit;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

/// Processes looked at below one supervisor: more than the kernel gives one user by default (32768).
const FAMILY_MAX: usize = 65_536;

/// The children of this process, one of which leads the instance.
#[derive(Debug)]
pub(super) struct Children {
    leader: u32,
    leader_exit: Option<Exit>,
}

impl Children {
    pub(super) const fn new(leader: u32) -> Self {
        Self { leader, leader_exit: None }
    }

    /// How the leader ended, if it has.
    pub(super) fn leader_exit(&self) -> Option<Exit> {
        self.leader_exit.clone()
    }

    /// Takes note of every child that has ended; true when none is left.
    pub(super) fn reap(&mut self) -> io::Result<bool> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if u32::try_from(pid.as_raw_nonzero().get()) == Ok(self.leader) {
                        self.leader_exit = exit(status);
                    }
                }
                Ok(None) => return Ok(false),
                Err(rustix::io::Errno::CHILD) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn exit(status: WaitStatus) -> Option<Exit> {
    status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(Exit::Signal))
}

/// Sends a signal to everything below this process, but to the process `spared`, if any. Where nobody is spared
/// the group of `leader` is told at once, so that no process is missed that is just being forked.
pub(super) fn signal_all(leader: u32, spared: Option<u32>, signal: Signal) -> io::Result<()> {
    let in_group = |pid: u32| {
        let group = to_pid(pid).and_then(|it| rustix::process::getpgid(Some(it)).ok());
        group.is_some() && group == to_pid(leader)
    };
    let told = descendants(std::process::id()).into_iter().filter(|it| Some(*it) != spared);
    let (group, others): (Vec<u32>, Vec<u32>) = told.partition(|it| in_group(*it));
    // The leader's number is the group's while that has a member, and may be anybody's when it has none.
    if spared.is_none() && !group.is_empty() {
        process::signal_group(leader, signal)?;
    } else {
        group.into_iter().try_for_each(|it| signal_one(it, signal))?;
    }
    others.into_iter().try_for_each(|it| signal_one(it, signal))
}

/// Every process below `pid`.
fn descendants(pid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut left = vec![pid];
    while let Some(parent) = left.pop() {
        for child in children(parent) {
            if found.len() < FAMILY_MAX && found.insert(child) {
                left.push(child);
            }
        }
    }
    found
}

/// Children of a process, whichever of its threads made them; none of one that has just ended.
fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let list = |task: fs::DirEntry| fs::read_to_string(task.path().join("children"));
    let lists = tasks.flatten().filter_map(|it| list(it).ok());
    let pids = |list: String| -> Vec<u32> {
        list.split_ascii_whitespace().filter_map(|it| it.parse().ok()).collect()
    };
    lists.flat_map(pids).collect()
}

fn signal_one(pid: u32, signal: Signal) -> io::Result<()> {
    let Some(pid) = to_pid(pid) else { return Ok(()) };
    match rustix::process::kill_process(pid, signal) {
        // It may have become another user's (a program with a set-user-id bit): it is not ours to tell.
        Ok(()) | Err(rustix::io::Errno::SRCH | rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}
