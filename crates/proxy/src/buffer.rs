//! Memory for bytes that pass through, lent for as long as something is there to pass.
//!
//! An idle connection has no buffer: it waits until its socket is readable, and only then takes one. So
//! memory follows the requests in flight, not the connections that are open.

use std::cell::RefCell;
use std::ops::Range;

/// Bytes of a usual buffer: the largest head fits, where no larger ones are allowed.
pub(crate) const SMALL_BYTES: usize = 16 << 10;
/// Bytes of a buffer for long bodies: fewer system calls, and what a socket holds by default. The largest head that can be allowed
/// leaves a quarter of it for a body.
pub(crate) const LARGE_BYTES: usize = 64 << 10;
/// Buffers of each size that are kept for the next request.
const KEPT_MAX: usize = 256;

/// A run of memory with the bytes that are in it, from the beginning.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    memory: Box<[u8]>,
    length: usize,
}

impl Buffer {
    /// What is in it.
    pub(crate) fn filled(&self) -> &[u8] {
        self.memory.get(..self.length).unwrap_or_default()
    }

    /// Where more can be put.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.length..).unwrap_or_default()
    }

    /// Whether nothing more can be put in.
    pub(crate) const fn is_full(&self) -> bool {
        self.length == self.memory.len()
    }

    /// Bytes that are in it.
    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    /// Bytes it can hold.
    pub(crate) const fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// Says that `count` bytes were put where there was room.
    pub(crate) fn fill(&mut self, count: usize) {
        self.length = (self.length + count).min(self.memory.len());
    }

    /// Forgets everything behind the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Forgets the first `count` bytes; the others move to the beginning.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.length);
        if count < self.length {
            self.memory.copy_within(count..self.length, 0);
        }
        self.length -= count;
    }

    /// Takes a part out; what is behind it moves up.
    pub(crate) fn cut(&mut self, part: Range<usize>) {
        let (start, end) = (part.start.min(self.length), part.end.min(self.length));
        if start < end {
            self.memory.copy_within(end..self.length, start);
            self.length -= end - start;
        }
    }

    /// Puts `bytes` in, as far as there is room.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let room = self.room();
        let count = bytes.len().min(room.len());
        if let (Some(room), Some(bytes)) = (room.get_mut(..count), bytes.get(..count)) {
            room.copy_from_slice(bytes);
        }
        self.fill(count);
    }
}

/// The buffers of one worker that are not in use.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<Box<[u8]>>>,
    large: RefCell<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// An empty buffer of [`SMALL_BYTES`].
    pub(crate) fn small(&self) -> Buffer {
        let kept = self.small.borrow_mut().pop();
        Buffer { memory: kept.unwrap_or_else(|| vec![0; SMALL_BYTES].into()), length: 0 }
    }

    /// An empty buffer of [`LARGE_BYTES`].
    pub(crate) fn large(&self) -> Buffer {
        let kept = self.large.borrow_mut().pop();
        Buffer { memory: kept.unwrap_or_else(|| vec![0; LARGE_BYTES].into()), length: 0 }
    }

    /// Moves what is in a small buffer to a large one: more of a long body goes at a time, and the longest
    /// head leaves room for some.
    pub(crate) fn enlarge(&self, buffer: &mut Buffer) {
        if buffer.capacity() < LARGE_BYTES {
            let mut large = self.large();
            large.put(buffer.filled());
            self.give(std::mem::replace(buffer, large));
        }
    }

    /// Takes a buffer back.
    pub(crate) fn give(&self, buffer: Buffer) {
        let kept = match buffer.memory.len() {
            SMALL_BYTES => &self.small,
            LARGE_BYTES => &self.large,
            _ => return,
        };
        let mut kept = kept.borrow_mut();
        if kept.len() < KEPT_MAX {
            kept.push(buffer.memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_in_and_out() {
        let buffers = Buffers::default();
        let mut buffer = buffers.small();
        buffer.put(b"hello new world");
        buffer.cut(6..10);
        buffer.cut(11..99);
        assert_eq!(buffer.filled(), b"hello world");
        buffer.consume(6);
        assert_eq!(buffer.filled(), b"world");
        buffer.put(&[b'x'; SMALL_BYTES]);
        assert!(buffer.is_full());
        buffer.truncate(6);
        assert_eq!(buffer.filled(), b"worldx");
        buffers.enlarge(&mut buffer);
        assert_eq!((buffer.filled(), buffer.capacity()), (b"worldx".as_slice(), LARGE_BYTES));
        buffers.give(buffer);
        assert!(buffers.small().filled().is_empty());
    }
}
