//! One pipe of an instance, cut into lines.

use std::io::{self, Read};
use std::os::fd::AsFd;

use super::recorder::{Now, Recorder, Whole};
use crate::log::{LINE_BYTES_MAX, Stream};

/// Bytes taken from the pipe at once: what a pipe holds on Linux.
const CHUNK_BYTES: usize = 64 << 10;

/// A pipe and the line it has not finished.
#[derive(Debug)]
pub(super) struct Output<R> {
    pipe: Option<R>,
    stream: Stream,
    unfinished: Vec<u8>,
}

impl<R: Read + AsFd> Output<R> {
    pub(super) fn new(pipe: R, stream: Stream) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&pipe)?;
        rustix::fs::fcntl_setfl(&pipe, flags | rustix::fs::OFlags::NONBLOCK)?;
        Ok(Self { pipe: Some(pipe), stream, unfinished: Vec::new() })
    }

    /// The pipe, until its other end was closed.
    pub(super) const fn open(&self) -> Option<&R> {
        self.pipe.as_ref()
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.pipe.is_none()
    }

    /// Reads one chunk and keeps the lines in it.
    pub(super) fn take_in(&mut self, recorder: &mut Recorder<'_>, now: Now) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut chunk = vec![0; CHUNK_BYTES];
        let count = match pipe.read(&mut chunk) {
            Ok(count) if 0 < count => count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                return;
            }
            // A pipe that cannot be read has no more to say than one that was closed.
            Ok(_) | Err(_) => {
                self.pipe = None;
                return;
            }
        };
        let mut rest = chunk.get(..count).unwrap_or_default();
        while let Some(end) = rest.iter().position(|it| *it == b'\n') {
            let (line, after) = rest.split_at(end);
            self.unfinished.extend_from_slice(line);
            recorder.keep(now, self.stream, &self.unfinished, Whole::Line);
            self.unfinished.clear();
            rest = after.get(1..).unwrap_or_default();
        }
        self.unfinished.extend_from_slice(rest);
        while LINE_BYTES_MAX <= self.unfinished.len() {
            let after = self.unfinished.split_off(LINE_BYTES_MAX);
            recorder.keep(now, self.stream, &self.unfinished, Whole::Part);
            self.unfinished = after;
        }
        recorder.flush(now);
    }

    /// Keeps a last line that has no end.
    pub(super) fn finish(&mut self, recorder: &mut Recorder<'_>, now: Now) {
        while self.pipe.is_some() {
            let before = self.unfinished.len();
            self.take_in(recorder, now);
            if self.unfinished.len() == before {
                break;
            }
        }
        if !self.unfinished.is_empty() {
            recorder.keep(now, self.stream, &self.unfinished, Whole::Line);
            self.unfinished.clear();
        }
        recorder.flush(now);
    }
}
