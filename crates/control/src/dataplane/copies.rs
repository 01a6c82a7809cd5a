//! Copies of the data plane's listening sockets, kept here so that they outlive its process.
//!
//! While a data plane that has died is started again, whoever connects waits in the kernel's queue and is not refused. The
//! sockets are opaque here: the messages they came in are handed on as they are. It refuses to accept from them.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use host::descriptors;
use serde::Deserialize;

/// Time a data plane has to hand its sockets out.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages of one hand-over, at most: a hundred sockets each.
const PARTS_MAX: usize = 1_000;

/// What a data plane asks to be told (`proxy::feed`): that copies are wanted.
const LEND: &[u8] = br#""lend""#;

/// The copies there are; none before a data plane has lent any.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    parts: Arc<Mutex<Vec<Sockets>>>,
}

/// One message of a hand-over, with what came with it.
#[derive(Debug)]
struct Sockets {
    message: Vec<u8>,
    sockets: Vec<OwnedFd>,
}

/// All this needs to know of a message.
#[derive(Deserialize)]
struct Part {
    is_last: bool,
}

impl Copies {
    /// Whether there is nothing to inherit.
    pub(super) fn is_empty(&self) -> bool {
        self.parts().iter().all(|it| it.sockets.is_empty())
    }

    /// Lets go of all.
    pub(super) fn clear(&self) {
        self.parts().clear();
    }

    /// Asks the data plane at `socket` for copies, in place of those before. Blocks.
    pub(super) fn borrow(&self, socket: &Path) -> io::Result<()> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // It says who it is before it is asked anything.
        skip(&mut stream)?;
        let length = u32::try_from(LEND.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_le_bytes()[..], LEND].concat())?;
        let mut parts = Vec::new();
        while parts.len() < PARTS_MAX {
            let (message, sockets) = descriptors::receive(&stream)?;
            let part: Part = serde_json::from_slice(&message)?;
            parts.push(Sockets { message, sockets });
            if part.is_last {
                *self.parts() = parts;
                return Ok(());
            }
        }
        Err(io::Error::other("it has more sockets than there can be"))
    }

    /// Hands copies of the copies to a data plane that has just been started. Blocks.
    pub(super) fn bequeath(&self, to: &UnixStream) -> io::Result<()> {
        let mut duplicates = Vec::new();
        for part in self.parts().iter() {
            let sockets: io::Result<Vec<OwnedFd>> =
                part.sockets.iter().map(|it| it.as_fd().try_clone_to_owned()).collect();
            duplicates.push(Sockets { message: part.message.clone(), sockets: sockets? });
        }
        for part in &duplicates {
            let sockets: Vec<BorrowedFd<'_>> = part.sockets.iter().map(|it| it.as_fd()).collect();
            descriptors::send(to, &part.message, &sockets)?;
        }
        Ok(())
    }

    // A thread that panicked in between leaves nothing half done.
    fn parts(&self) -> std::sync::MutexGuard<'_, Vec<Sockets>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads past one message.
fn skip(stream: &mut UnixStream) -> io::Result<()> {
    let mut length = [0; size_of::<u32>()];
    stream.read_exact(&mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    let skipped = io::copy(&mut stream.take(length), &mut io::sink())?;
    if skipped == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
