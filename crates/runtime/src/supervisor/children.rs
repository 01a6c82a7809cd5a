//! Who is below a supervisor: its instance, and whatever that left behind, since orphans of a
//! subreaper come to it.

use std::collections::BTreeSet;

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
    pub(super) fn reap(&mut self) -> bool {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if u32::try_from(pid.as_raw_nonzero().get()) == Ok(self.leader) {
                        self.leader_exit = exit(status);
                    }
                }
                Ok(None) => return false,
                Err(rustix::io::Errno::INTR) => {}
                // There is no other reason than that there are none (wait(2)).
                Err(_) => return true,
            }
        }
    }
}

fn exit(status: WaitStatus) -> Option<Exit> {
    status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(Exit::Signal))
}

/// Sends a signal to everything below this process, but to the process `spared`, if any. Where nobody is spared
/// the group of `leader` is told at once, so that no process is missed that is just being forked.
pub(super) fn signal_all(leader: u32, spared: Option<u32>, signal: Signal) {
    let in_group = |pid: u32| {
        let group = to_pid(pid).and_then(|it| rustix::process::getpgid(Some(it)).ok());
        group.is_some() && group == to_pid(leader)
    };
    let told = descendants(std::process::id()).into_iter().filter(|it| Some(*it) != spared);
    let (group, others): (Vec<u32>, Vec<u32>) = told.partition(|it| in_group(*it));
    // The leader's number is the group's while that has a member, and may be anybody's when it has none.
    let is_told =
        spared.is_none() && !group.is_empty() && process::signal_group(leader, signal).is_ok();
    let one_by_one = if is_told { others } else { [group, others].concat() };
    for pid in one_by_one {
        signal_one(pid, signal);
    }
}

/// Every process below `pid`.
fn descendants(pid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut left = vec![pid];
    while let Some(parent) = left.pop() {
        for child in process::children(parent) {
            if found.len() < FAMILY_MAX && found.insert(child) {
                left.push(child);
            }
        }
    }
    found
}

/// Sends a signal to a child of ours that was not waited for yet, or to a process below it.
pub(super) fn signal_one(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        // It may have ended, or have become another user's (a set-user-id bit), whom we cannot tell.
        let _told: rustix::io::Result<()> = rustix::process::kill_process(pid, signal);
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}
