//! Who is below a supervisor: its instance, and whatever that left behind, since orphans of a
//! subreaper come to it.

use std::fs;
use std::io;

use model::instance::Exit;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

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

/// Kills every child of this process. What it orphans by that comes to this process, for the next call.
pub(super) fn kill_all() -> io::Result<()> {
    for task in fs::read_dir("/proc/self/task")? {
        let list = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        for pid in list.split_ascii_whitespace().filter_map(|it| it.parse().ok()) {
            let Some(pid) = Pid::from_raw(pid) else { continue };
            match rustix::process::kill_process(pid, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
