//! Waiting for processes to end that are not our children: one thread that polls a descriptor of each.
//!
//! However many wait for the same process, there is one descriptor of it: with a thousand instances, two would be
//! a thousand more than need be.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use host::process::{self, Life};
use model::instance::ProcessId;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};
use tokio::sync::oneshot;

/// Time after which it is tried again to poll what could not be polled.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// How long to wait when this process has run out of descriptors, before it looks again.
const BREATH: Duration = Duration::from_millis(200);

/// A watch over processes. Its thread ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Departures(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    questions: Sender<Question>,
    wake: Mutex<UnixStream>,
}

type Answer = oneshot::Sender<io::Result<()>>;

/// Somebody wants to know when a process has ended.
struct Question {
    process: ProcessId,
    answer: Answer,
}

/// A process that is watched, and who waits for its end.
struct Watch {
    descriptor: OwnedFd,
    waiting: Vec<Answer>,
}

impl Departures {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (questions, asked) = channel();
        thread::Builder::new()
            .name("departures".to_owned())
            .stack_size(128 << 10)
            .spawn(move || watch(woken, &asked))?;
        Ok(Self(Arc::new(Handle { questions, wake: Mutex::new(wake) })))
    }

    /// Waits until this very process has ended, whoever its parent is.
    pub(crate) async fn gone(&self, process: ProcessId) -> io::Result<()> {
        let (answer, answered) = oneshot::channel();
        let ended = || io::Error::other("the thread that watches processes has ended");
        self.0.questions.send(Question { process, answer }).map_err(|_| ended())?;
        self.wake()?;
        answered.await.map_err(|_| ended())?
    }

    /// Reaps a child when it has ended.
    pub(crate) async fn reap(self, mut child: Child) {
        while matches!(child.try_wait(), Ok(None)) {
            let gone = match process::identify_child(child.id()) {
                Ok(Some(process)) => self.gone(process).await,
                Ok(None) => return,
                Err(error) => Err(error),
            };
            if gone.is_err() {
                breathe().await;
            }
        }
    }

    fn wake(&self) -> io::Result<()> {
        let mut wake = self.0.wake.lock().unwrap_or_else(PoisonError::into_inner);
        match wake.write(&[1]) {
            // Full: it will wake anyway.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result.map(drop),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing tells when there are descriptors again")]
async fn breathe() {
    tokio::time::sleep(BREATH).await;
}

/// Polls until the other end of `woken` is closed.
fn watch(mut woken: UnixStream, asked: &Receiver<Question>) {
    let mut watches: BTreeMap<ProcessId, Watch> = BTreeMap::new();
    loop {
        for question in asked.try_iter() {
            take_in(&mut watches, question);
        }
        let mut fds = vec![PollFd::new(&woken, PollFlags::IN)];
        fds.extend(watches.values().map(|it| PollFd::new(&it.descriptor, PollFlags::IN)));
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // More descriptors than the limit allows, or too little memory: it is tried again.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOMEM) => {
                thread::park_timeout(POLL_PAUSE);
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "processes can no longer be watched");
                return;
            }
        }
        let ready: Vec<bool> = fds.iter().map(|it| !it.revents().is_empty()).collect();
        let (woke, ready) = ready.split_first().unwrap_or((&false, &[]));
        let gone: Vec<ProcessId> =
            watches.keys().zip(ready).filter(|(_, it)| **it).map(|(it, _)| *it).collect();
        if *woke {
            let mut bytes = [0; 256];
            if matches!(woken.read(&mut bytes), Ok(0)) {
                return;
            }
        }
        for process in gone {
            for answer in watches.remove(&process).into_iter().flat_map(|it| it.waiting) {
                tell(answer, Ok(()));
            }
        }
        // Who has given up waiting does not keep a descriptor.
        watches.retain(|_, it| {
            it.waiting.retain(|answer| !answer.is_closed());
            !it.waiting.is_empty()
        });
    }
}

fn take_in(watches: &mut BTreeMap<ProcessId, Watch>, Question { process, answer }: Question) {
    if let Some(watch) = watches.get_mut(&process) {
        watch.waiting.push(answer);
        return;
    }
    match open(process) {
        Ok(Some(descriptor)) => {
            watches.insert(process, Watch { descriptor, waiting: vec![answer] });
        }
        Ok(None) => tell(answer, Ok(())),
        Err(error) => tell(answer, Err(error)),
    }
}

/// A descriptor of this very process, or nothing if it has ended.
fn open(process: ProcessId) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let descriptor = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // The descriptor may be another process's, which took over the number.
    match process::life(process) {
        Life::Alive => Ok(Some(descriptor)),
        Life::Ended => Ok(None),
        Life::Unknown(error) => Err(error),
    }
}

fn tell(answer: Answer, result: io::Result<()>) {
    // Whoever asked may no longer want to know.
    let _told: Result<(), _> = answer.send(result);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn departures_are_seen_one_by_one() {
        let departures = Departures::start().unwrap();
        let spawn = || std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (mut first, mut second) = (spawn(), spawn());
        let process = |child: &Child| process::identify(child.id()).unwrap().unwrap();
        let (first_id, second_id) = (process(&first), process(&second));
        let first_gone = tokio::spawn({
            let departures = departures.clone();
            async move { departures.gone(first_id).await }
        });
        let second_gone = tokio::spawn({
            let departures = departures.clone();
            async move { departures.gone(second_id).await }
        });
        second.kill().unwrap();
        second_gone.await.unwrap().unwrap();
        assert!(!first_gone.is_finished());
        first.kill().unwrap();
        first_gone.await.unwrap().unwrap();
        first.wait().unwrap();
        second.wait().unwrap();
        departures.gone(first_id).await.unwrap();
    }

    #[tokio::test]
    async fn all_who_wait_for_a_process_share_its_descriptor() {
        let departures = Departures::start().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = process::identify(child.id()).unwrap().unwrap();
        let wait = || {
            let departures = departures.clone();
            tokio::spawn(async move { departures.gone(process).await })
        };
        let waiting: Vec<_> = (0..20).map(|_| wait()).collect();
        let of_process = || {
            let wanted = format!("Pid:\t{}\n", child.id());
            let all = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
            all.filter(|it| std::fs::read_to_string(it.path()).is_ok_and(|it| it.contains(&wanted)))
                .count()
        };
        while of_process() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(of_process(), 1);
        child.kill().unwrap();
        for it in waiting {
            it.await.unwrap().unwrap();
        }
        child.wait().unwrap();
    }
}
