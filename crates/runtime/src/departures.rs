//! Waiting for processes to end that are not our children: one thread that polls a descriptor of each.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use host::process;
use model::instance::ProcessId;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};
use tokio::sync::oneshot;

/// A watch over processes. Its thread ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Departures(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    watches: Sender<Watch>,
    wake: Mutex<UnixStream>,
}

struct Watch {
    descriptor: OwnedFd,
    gone: oneshot::Sender<()>,
}

impl Departures {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (watches, new_watches) = channel();
        thread::Builder::new()
            .name("departures".to_owned())
            .stack_size(128 << 10)
            .spawn(move || watch(woken, &new_watches))?;
        Ok(Self(Arc::new(Handle { watches, wake: Mutex::new(wake) })))
    }

    /// Waits until this very process has ended, whoever its parent is.
    pub(crate) async fn gone(&self, process: ProcessId) -> io::Result<()> {
        let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        let descriptor = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // The descriptor may be another process's, which took over the number.
        if !process::is_alive(process) {
            return Ok(());
        }
        let (gone, has_gone) = oneshot::channel();
        let ended = || io::Error::other("the thread that watches processes has ended");
        self.0.watches.send(Watch { descriptor, gone }).map_err(|_| ended())?;
        self.wake()?;
        has_gone.await.map_err(|_| ended())
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

/// Polls until the other end of `woken` is closed.
fn watch(mut woken: UnixStream, new_watches: &Receiver<Watch>) {
    let mut watches: Vec<Watch> = Vec::new();
    loop {
        watches.extend(new_watches.try_iter());
        let mut fds = vec![PollFd::new(&woken, PollFlags::IN)];
        fds.extend(watches.iter().map(|it| PollFd::new(&it.descriptor, PollFlags::IN)));
        if let Err(error) = rustix::event::poll(&mut fds, None)
            && error != rustix::io::Errno::INTR
        {
            tracing::error!(%error, "processes can no longer be watched");
            return;
        }
        let ready: Vec<bool> = fds.iter().map(|it| !it.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        if ready.next() == Some(true) {
            let mut bytes = [0; 256];
            if matches!(woken.read(&mut bytes), Ok(0)) {
                return;
            }
        }
        let (gone, still_there): (Vec<_>, Vec<_>) =
            watches.into_iter().zip(ready).partition(|(_, ready)| *ready);
        for (watch, _) in gone {
            // Whoever asked may no longer want to know.
            let _told: Result<(), ()> = watch.gone.send(());
        }
        watches = still_there.into_iter().map(|(watch, _)| watch).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn departures_are_seen_one_by_one() {
        let departures = Departures::start().unwrap();
        let spawn = || std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (mut first, mut second) = (spawn(), spawn());
        let process = |child: &std::process::Child| process::identify(child.id()).unwrap();
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
}
