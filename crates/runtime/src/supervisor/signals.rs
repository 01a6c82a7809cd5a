//! Signals as something to poll.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

/// The signals a supervisor acts on: SIGTERM to stop its instance, SIGCHLD to look who ended.
#[derive(Debug)]
pub(super) struct Signals {
    wake: UnixStream,
    stop: Arc<AtomicBool>,
}

impl Signals {
    /// From now on no signal is missed. SIGINT and SIGHUP, meant for whoever sits at the terminal that
    /// once started us, are taken and left without effect.
    pub(super) fn register() -> io::Result<Self> {
        let (wake, wake_end) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGTERM, Arc::clone(&stop))?;
        signal_hook::low_level::pipe::register(SIGTERM, wake_end.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGCHLD, wake_end)?;
        for ignored in [SIGINT, SIGHUP] {
            signal_hook::flag::register(ignored, Arc::new(AtomicBool::new(false)))?;
        }
        Ok(Self { wake, stop })
    }

    /// Readable when a signal has come.
    pub(super) const fn descriptor(&self) -> &UnixStream {
        &self.wake
    }

    /// Takes note of signals that have come.
    pub(super) fn drain(&mut self) {
        let mut bytes = [0; 64];
        loop {
            match self.wake.read(&mut bytes) {
                Ok(count) if 0 < count => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nothing more has come.
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Whether SIGTERM has come since the last time this was asked.
    pub(super) fn take_stop(&self) -> bool {
        self.stop.swap(false, Ordering::SeqCst)
    }
}
