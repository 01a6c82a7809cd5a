//! The socket in the data folder, which stays there.
//!
//! Somebody who tidies up may remove it. Nobody could reach the control process then, and its lock would keep another
//! from being started, so the socket is looked for once a second and made anew.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::serve::Listener;
use host::socket::{self, FileId};
use tokio::net::{UnixListener, UnixStream, unix};
use tokio::time::{Interval, MissedTickBehavior};

/// How often it is looked for.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(1);

/// A Unix socket that is made anew when it is removed.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: UnixListener,
    /// Which file it was when it was made.
    file: Option<FileId>,
    looks: Interval,
}

impl Socket {
    /// Listens at `path`. Whoever listened there before must be gone.
    pub fn at(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::from_std(socket::listen(path)?)?;
        let mut looks = tokio::time::interval(LOOKED_FOR_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { path: path.to_owned(), listener, file: FileId::at(path), looks })
    }

    /// Makes it anew if it is not there, or if something else is.
    fn look(&mut self) {
        if FileId::at(&self.path) == self.file {
            return;
        }
        let made = socket::listen(&self.path).and_then(UnixListener::from_std);
        match made {
            Ok(listener) => {
                self.listener = listener;
                self.file = FileId::at(&self.path);
                tracing::warn!(path = %self.path.display(), "the socket was removed, and is made again");
            }
            Err(error) => {
                // Each look would say so; whoever looks for the reason finds it at this level.
                tracing::debug!(%error, "the socket that was removed cannot be made again");
            }
        }
    }
}

impl Listener for Socket {
    type Io = UnixStream;
    type Addr = unix::SocketAddr;

    async fn accept(&mut self) -> (UnixStream, unix::SocketAddr) {
        loop {
            tokio::select! {
                accepted = Listener::accept(&mut self.listener) => return accepted,
                _ = self.looks.tick() => self.look(),
            }
        }
    }

    fn local_addr(&self) -> io::Result<unix::SocketAddr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn issue_12_a_socket_that_was_removed_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.sock");
        let mut socket = Socket::at(&path).unwrap();
        for in_its_place in [None, Some("a file")] {
            std::fs::remove_file(&path).unwrap();
            if let Some(text) = in_its_place {
                std::fs::write(&path, text).unwrap();
            }
            socket.looks.reset_immediately();
            let connecting = async {
                loop {
                    if let Ok(stream) = UnixStream::connect(&path).await {
                        return stream;
                    }
                    tokio::task::yield_now().await;
                }
            };
            let (_, _stream) = tokio::join!(socket.accept(), connecting);
        }
    }
}
