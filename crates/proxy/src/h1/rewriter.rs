//! The body of an answer, written anew: in chunks where the instance had none, or compressed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::write::{self, Told};
use crate::gateway::Coding;

/// Writes a body anew.
pub(super) struct Rewriter {
    told: Told,
    is_ended: bool,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// Lines of fields behind the body.
    trailers: Vec<u8>,
}

/// As nginx's `gzip_comp_level`: more costs much and saves little.
const GZIP_LEVEL: u32 = 1;

impl Rewriter {
    pub(super) fn new(told: Told, coding: Coding) -> Self {
        let compress = coding == Coding::Gzip;
        let gzip = compress.then(|| GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL)));
        Self { told, is_ended: false, gzip, trailers: Vec::new() }
    }

    pub(super) fn data(&mut self, out: &mut Vec<u8>, data: &[u8]) {
        // A flush of nothing is an empty block, and a chunk.
        if data.is_empty() {
            return;
        }
        match &mut self.gzip {
            None => self.told.chunk(out, data),
            Some(gzip) => {
                // Writing to memory cannot fail. Each piece is flushed: it may be an event somebody
                // waits for.
                drop(gzip.write_all(data).and_then(|()| gzip.flush()));
                self.told.chunk(out, gzip.get_ref());
                gzip.get_mut().clear();
            }
        }
    }

    /// Whether the end of the body is that of the connection.
    pub(super) fn ends_by_close(&self) -> bool {
        self.told == Told::Close
    }

    /// Takes in the line of a field behind the body. Without chunks there is no place for it.
    pub(super) fn trailer(&mut self, line: &[u8]) {
        self.trailers.extend_from_slice(line);
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(gzip) = self.gzip.take() {
            self.told.chunk(out, &gzip.finish().unwrap_or_default());
        }
        if self.told == Told::Chunked && !std::mem::replace(&mut self.is_ended, true) {
            out.extend_from_slice(b"0\r\n");
            out.extend_from_slice(&self.trailers);
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl Told {
    /// Writes data as the client was told that it comes.
    fn chunk(self, out: &mut Vec<u8>, data: &[u8]) {
        if self != Self::Chunked {
            out.extend_from_slice(data);
        } else if !data.is_empty() {
            write::put(out, format_args!("{:x}\r\n", data.len()));
            out.extend_from_slice(data);
            out.extend_from_slice(b"\r\n");
        }
    }
}
