//! Descriptors that travel over a Unix socket, each message with its length before it.
//!
//! Both ends wait in `poll`, whether or not the socket blocks: whoever must not wait does this in a thread of its own. It
//! refuses to know what the descriptors are.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors in one message; the kernel takes 253 (`SCM_MAX_FD`).
pub const DESCRIPTORS_MAX: usize = 100;
/// Bytes of one message: a hundred names of a few hundred bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Time the other end has for the next part of a message.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// Bytes of the length before a message.
const PREFIX: usize = size_of::<u32>();

/// Sends a message with descriptors, at most [`DESCRIPTORS_MAX`].
pub fn send(to: impl AsFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    let bytes = [&length.to_le_bytes()[..], message].concat();
    let mut sent = 0;
    while sent < bytes.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        // They travel with the first byte.
        if sent == 0 && !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let rest = IoSlice::new(bytes.get(sent..).unwrap_or_default());
        match sendmsg(&to, &[rest], &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(count) => sent += count,
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {
                wait(&to, PollFlags::OUT)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Receives a message and its descriptors.
pub fn receive(from: impl AsFd) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
    let mut wanted = PREFIX;
    while bytes.len() < wanted {
        wait(&from, PollFlags::IN)?;
        let mut part = vec![0; wanted - bytes.len()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut room = [IoSliceMut::new(&mut part)];
        let read = match recvmsg(&from, &mut room, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(read) => read,
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        if read.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(part.get(..read.bytes).unwrap_or_default());
        if bytes.len() == PREFIX && wanted == PREFIX {
            let mut length = [0; PREFIX];
            length.copy_from_slice(&bytes);
            wanted += u32::from_le_bytes(length) as usize;
            if MESSAGE_BYTES_MAX < wanted {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
    bytes.drain(..PREFIX);
    Ok((bytes, descriptors))
}

fn wait(on: impl AsFd, until: PollFlags) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(on.as_fd(), until)];
    match rustix::event::poll(&mut fds, Some(&PATIENCE)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_sent_is_received_with_its_descriptors() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut mine, theirs) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        send(&here, b"one", &[theirs.as_fd()]).unwrap();
        send(&here, b"none", &[]).unwrap();
        let (message, descriptors) = receive(&there).unwrap();
        assert_eq!((message.as_slice(), descriptors.len()), (&b"one"[..], 1));
        let mut received = UnixStream::from(descriptors.into_iter().next().unwrap());
        mine.write_all(b"x").unwrap();
        let mut byte = [0];
        received.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
        assert_eq!(receive(&there).unwrap().0, b"none");
        drop(here);
        assert_eq!(receive(&there).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert_eq!(receive(&there).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
