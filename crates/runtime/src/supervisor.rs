//! The process above one instance.
//!
//! `supervise` starts the instance, keeps its output, passes on the wish to stop, reaps what it leaves
//! behind, and writes down how it ended. It is one thread that waits in one `poll`: forty of them must
//! cost nothing to speak of. `enter` is the short life between the supervisor and the instance's own
//! program, in the process that becomes the instance.
//!
//! A supervisor refuses to start an instance twice: it needs the folder's lock, and a folder without
//! traces of an earlier start.

mod children;
mod ending;
mod enter;
mod output;
mod recorder;
mod signals;

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use host::{Clock, process};
use model::Instant;
use model::instance::{Exit, ProcessId};
use model::stopping::StopSignal;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use crate::cgroup::Cgroup;
use crate::folder::{InstanceFolder, InstanceLock, Status};
use crate::launch::LaunchSpec;
use children::Children;
use ending::Ending;
use output::Output;
use recorder::{Now, Recorder};
use signals::Signals;

pub use enter::enter;

/// Time for which output is still read when the instance has ended and something it left behind holds
/// its pipes open.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Time an instance's process may take until its program runs. After that it counts as started, however
/// slow the disk its program is on.
const ENTER_MAX: Duration = Duration::from_secs(10);

/// How often a lock that somebody has is tried again: another supervisor will soon have written down that it
/// started the instance, and whoever only looked has let go of it long before.
const LOCK_TRIES: u32 = 200;
/// Time between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Time between two tries to write down how an instance has ended.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long the supervisor looks away when the machine does not let it wait for anything.
const BLIND_PAUSE: Duration = Duration::from_millis(100);

/// What a supervisor says when it has started its instance.
pub(crate) const STARTED: &str = "started";
/// What it says before the reason, when the start could not be written down and was taken back.
pub(crate) const UNRECORDED: &str = "unrecorded: ";

/// Why a supervisor could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The instance's folder could not be read or written.
    #[error("the instance folder {folder} is not usable")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The start could not be written down, and was taken back.
    #[error("the start could not be written down")]
    Unrecorded(#[source] io::Error),
    /// Another instance has the data that is for one at a time.
    #[error("its data is in use by another instance; only one may have it at a time")]
    DataInUse,
    /// The machine refused something the supervisor needs.
    #[error("the instance cannot be supervised")]
    Machine(#[from] io::Error),
}

/// Runs the instance whose folder is at `path` until it has ended. `program` is this binary.
pub fn supervise(path: &Path, program: &Path) -> Result<(), SuperviseError> {
    let folder = InstanceFolder::new(path.to_owned());
    let unusable = |source| SuperviseError::Folder { folder: path.to_owned(), source };
    let Some(_lock) = take_lock(&folder).map_err(unusable)? else { return Ok(()) };
    if folder.has_begun() || folder.is_forbidden() {
        return Ok(());
    }
    let spec = folder.spec().map_err(unusable)?;
    let data = InstanceFolder::take_data(&spec).map_err(unusable)?;
    let started = match &data {
        Some(_data) => Supervisor::start(&folder, &spec, program),
        None => Err(SuperviseError::DataInUse),
    };
    let exit = match started {
        Ok(supervisor) => supervisor.run(),
        Err(error @ SuperviseError::Unrecorded(_)) => {
            say(&format!("{UNRECORDED}{}", model::chain(&error)));
            return Err(error);
        }
        Err(error) => Exit::NotStarted(model::chain(&error)),
    };
    // What cannot be read cannot have been written either.
    let exit = folder.refusal().ok().flatten().map_or(exit, Exit::NotStarted);
    // Left behind, it only takes room.
    drop(folder.tidy());
    while let Err(error) = folder.write_exit(&exit) {
        if !folder.path().is_dir() {
            return Err(unusable(error));
        }
        // Nobody may take it for lost, or begin the next, before it is known how this one ended.
        pause(RETRY_AFTER);
    }
    Ok(())
}

/// Tells whoever launched us; nobody may be there any more, which is no matter.
fn say(line: &str) {
    let mut stdout = io::stdout();
    drop(stdout.write_all(format!("{line}\n").as_bytes()));
    drop(stdout.flush());
}

fn pause(duration: Duration) {
    // Interrupted, it is only shorter.
    let _slept: rustix::io::Result<usize> = rustix::event::poll(&mut [], Some(&timespec(duration)));
}

/// Takes the folder's lock, or nothing if another supervisor has it.
fn take_lock(folder: &InstanceFolder) -> io::Result<Option<InstanceLock>> {
    for _ in 0..LOCK_TRIES {
        if let Some(lock) = folder.lock()? {
            return Ok(Some(lock));
        }
        if folder.has_begun() {
            return Ok(None);
        }
        pause(LOCK_PAUSE);
    }
    Ok(None)
}

struct Supervisor<'a> {
    folder: &'a InstanceFolder,
    spec: &'a LaunchSpec,
    clock: Clock,
    signals: Signals,
    cgroup: Option<Cgroup>,
    /// The instance's first process.
    process: ProcessId,
    ending: Ending,
    stdout: Output<ChildStdout>,
    stderr: Output<ChildStderr>,
    recorder: Recorder<'a>,
}

impl<'a> Supervisor<'a> {
    fn start(
        folder: &'a InstanceFolder,
        spec: &'a LaunchSpec,
        program: &Path,
    ) -> Result<Self, SuperviseError> {
        let clock = Clock::start();
        let signals = Signals::register()?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(io::Error::from)?;
        let recorder = Recorder::open(folder, spec.log, now(clock));
        let cgroup = Cgroup::create(&spec.cgroup, &spec.limits)?;
        let mut child = Command::new(program)
            .arg("enter")
            .arg(folder.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let leader = child.id();
        let (Some(tie), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("the instance has no pipes").into());
        };
        let status = Status {
            supervisor: process::this()?,
            process: process::identify_child(leader)?
                .ok_or_else(|| io::Error::other("the instance is not in /proc; is it mounted?"))?,
            boot_id: process::boot_id()?,
        };
        if let Err(error) = folder.write_status(&status) {
            // Nobody would ever find it.
            children::signal_all(leader, None, Signal::KILL);
            drop(child.wait());
            return Err(SuperviseError::Unrecorded(error));
        }
        wait_until_entered(&tie);
        if matches!(folder.refusal(), Ok(None)) {
            say(STARTED);
        }
        // Nobody waits for it. Where the disk refuses it, a power cut is the only one who minds.
        drop(folder.sync_status());
        Ok(Self {
            folder,
            spec,
            clock,
            signals,
            cgroup,
            process: status.process,
            ending: Ending::default(),
            stdout: Output::new(stdout, crate::log::Stream::Stdout)?,
            stderr: Output::new(stderr, crate::log::Stream::Stderr)?,
            recorder,
        })
    }

    /// Until the instance has ended and nothing of it is left.
    fn run(mut self) -> Exit {
        let mut children = Children::new(self.process.pid);
        if self.folder.is_forbidden() {
            self.ask_to_stop();
        }
        let mut out_of_memory = false;
        loop {
            self.wait_for_something(self.ending.next_deadline());
            if self.signals.take_stop() {
                self.ask_to_stop();
            }
            let nobody_left = children.reap();
            let has_ended = children.leader_exit().is_some();
            if has_ended && !self.ending.leader_has_ended {
                out_of_memory = self.cgroup.as_ref().is_some_and(Cgroup::has_run_out_of_memory);
                self.ending.leader_has_ended = true;
                self.ending.begin(self.clock.now(), self.spec.stop_grace_period);
            }
            if nobody_left || (has_ended && self.ending.is_over(self.clock.now())) {
                break;
            }
            self.go_on_ending();
        }
        self.kill_all();
        self.drain(&mut children);
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
        match children.leader_exit() {
            // A shell whose program was killed says so by this code (POSIX, 2.8.2).
            Some(Exit::Signal(9) | Exit::Code(137)) if out_of_memory => Exit::OutOfMemory,
            Some(exit) => exit,
            None => Exit::Lost,
        }
    }

    /// Begins a graceful stop: the first process is told, and tells the rest as it sees fit.
    fn ask_to_stop(&mut self) {
        if self.ending.begin(self.clock.now(), self.spec.stop_grace_period) {
            let signal = stop_signal(self.spec.stop_signal);
            if process::ignores(self.process, signal) {
                self.ending.rest_is_due_now(self.clock.now());
            }
            // It is our child and was not waited for, so its number is its own.
            children::signal_one(self.process.pid, signal);
        }
    }

    /// Tells the rest when the first process has ended or does nothing, and kills all when grace is over.
    fn go_on_ending(&mut self) {
        let now = self.clock.now();
        if self.ending.take_rest(now) {
            let leader = self.process.pid;
            let spared = (!self.ending.leader_has_ended).then_some(leader);
            children::signal_all(leader, spared, stop_signal(self.spec.stop_signal));
        }
        if self.ending.take_kill(now) {
            self.kill_all();
        }
    }

    /// Kills every process below this one, and what the control group has beside them.
    fn kill_all(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        children::signal_all(self.process.pid, None, Signal::KILL);
    }

    /// Reads what is still in the pipes and reaps what is still there, for a bounded time.
    fn drain(&mut self, children: &mut Children) {
        let until = self.clock.now().after(DRAIN_MAX);
        while self.clock.now() < until {
            let nobody_left = children.reap();
            let nothing_to_read = self.stdout.is_closed() && self.stderr.is_closed();
            if nobody_left && nothing_to_read {
                break;
            }
            self.kill_all();
            self.wait_for_something(Some(until));
        }
        let now = now(self.clock);
        self.stdout.finish(&mut self.recorder, now);
        self.stderr.finish(&mut self.recorder, now);
    }

    /// Waits for output, a signal or `until`, and takes in the output.
    fn wait_for_something(&mut self, until: Option<Instant>) {
        let until = [until, self.recorder.next_deadline()].into_iter().flatten().min();
        let (out, err) = {
            let mut fds = vec![PollFd::new(self.signals.descriptor(), PollFlags::IN)];
            fds.extend(
                self.stdout.open().map(|it| PollFd::from_borrowed_fd(it.as_fd(), PollFlags::IN)),
            );
            fds.extend(
                self.stderr.open().map(|it| PollFd::from_borrowed_fd(it.as_fd(), PollFlags::IN)),
            );
            let timeout = until.map(|it| timespec(it.since(self.clock.now())));
            match rustix::event::poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // The kernel has no memory for it now. An instance does not end by that.
                Err(_) => std::thread::park_timeout(BLIND_PAUSE),
            }
            let ready: Vec<bool> = fds.iter().map(|it| !it.revents().is_empty()).collect();
            let mut ready = ready.into_iter().skip(1);
            let mut of = |open: bool| open && ready.next().unwrap_or(false);
            let out = of(self.stdout.open().is_some());
            (out, of(self.stderr.open().is_some()))
        };
        self.signals.drain();
        let now = now(self.clock);
        if out {
            self.stdout.take_in(&mut self.recorder, now);
        }
        if err {
            self.stderr.take_in(&mut self.recorder, now);
        }
        self.recorder.retry(now);
    }
}

const fn stop_signal(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Hup => Signal::HUP,
        StopSignal::Usr1 => Signal::USR1,
        StopSignal::Usr2 => Signal::USR2,
        StopSignal::Winch => Signal::WINCH,
    }
}

fn now(clock: Clock) -> Now {
    Now { instant: clock.now(), timestamp: clock.timestamp() }
}

/// Waits until the child is the instance's program, or has given up. It holds the other end of `tie`
/// until then.
fn wait_until_entered(tie: &ChildStdin) {
    // Nothing is asked for: that the other end is closed is always told.
    let mut fds = [PollFd::new(tie, PollFlags::empty())];
    loop {
        match rustix::event::poll(&mut fds, Some(&timespec(ENTER_MAX))) {
            Err(rustix::io::Errno::INTR) => {}
            // However it is, it was started.
            Ok(_) | Err(_) => return,
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        // One more: to wake a nanosecond late, not a moment early and again and again.
        tv_nsec: i64::from(duration.subsec_nanos().saturating_add(1).min(999_999_999)),
    }
}
