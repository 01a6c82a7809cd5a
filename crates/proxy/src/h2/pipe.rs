//! A request's body on its way from the task that reads it to the one that sends it, both on one worker.
//!
//! It has room for a few parts. Whoever puts them in is told when there is room again, and whoever takes
//! them out can tell a body that has ended from one whose sender went away.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;

use super::upload::Broken;

/// Parts that wait between the two: each is at most what a client's buffer holds.
const PARTS_MAX: usize = 4;

#[derive(Debug, Default)]
struct Shared {
    parts: VecDeque<Bytes>,
    end: Option<Result<(), Broken>>,
    trailers: HeaderMap,
    has_reader: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The end where parts are put in. Dropped before [`Writer::finish`], the body is broken.
#[derive(Debug)]
pub(crate) struct Writer(Rc<RefCell<Shared>>);

/// The end where they come out.
#[derive(Debug)]
pub(crate) struct Reader(Rc<RefCell<Shared>>);

/// Both ends.
pub(crate) fn pipe() -> (Writer, Reader) {
    let shared = Rc::new(RefCell::new(Shared { has_reader: true, ..Shared::default() }));
    (Writer(Rc::clone(&shared)), Reader(shared))
}

impl Writer {
    /// Ready when there is room for a part, or nobody takes any.
    pub(crate) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.0.borrow_mut();
        if shared.has_reader && PARTS_MAX <= shared.parts.len() {
            shared.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Puts a part in; where nobody takes any, it is lost.
    pub(crate) fn put(&self, part: Bytes) {
        let mut shared = self.0.borrow_mut();
        if shared.has_reader && !part.is_empty() {
            shared.parts.push_back(part);
            shared.wake_reader();
        }
    }

    /// Says that this was all, but for what stands behind it.
    pub(crate) fn finish(self, trailers: HeaderMap) {
        let mut shared = self.0.borrow_mut();
        shared.end = Some(Ok(()));
        shared.trailers = trailers;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.end.get_or_insert(Err(Broken::Gone));
        shared.wake_reader();
    }
}

impl Reader {
    /// The next part; nothing at the end.
    pub(crate) fn poll_part(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        let mut shared = self.0.borrow_mut();
        if let Some(part) = shared.parts.pop_front() {
            if let Some(writer) = shared.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(part)));
        }
        match shared.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(broken)) => Poll::Ready(Some(Err(broken))),
            None => {
                shared.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Reader {
    /// What stands behind the body, at its end.
    pub(crate) fn trailers(&self) -> HeaderMap {
        std::mem::take(&mut self.0.borrow_mut().trailers)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.has_reader = false;
        shared.parts.clear();
        if let Some(writer) = shared.writer.take() {
            writer.wake();
        }
    }
}

impl Shared {
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pipe_has_no_room_until_a_part_is_taken() {
        let (writer, mut reader) = pipe();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..PARTS_MAX {
            assert!(writer.poll_room(&mut context).is_ready());
            writer.put(Bytes::from_static(b"x"));
        }
        assert!(writer.poll_room(&mut context).is_pending());
        let part = reader.poll_part(&mut context);
        assert_eq!(part, Poll::Ready(Some(Ok(Bytes::from_static(b"x")))));
        assert!(writer.poll_room(&mut context).is_ready());
        drop(reader);
        writer.put(Bytes::from_static(b"lost"));
        assert!(writer.poll_room(&mut context).is_ready());
    }

    #[test]
    fn an_end_is_told_from_a_loss() {
        let mut context = Context::from_waker(Waker::noop());
        let (writer, mut reader) = pipe();
        assert_eq!(reader.poll_part(&mut context), Poll::Pending);
        writer.finish(HeaderMap::new());
        assert_eq!(reader.poll_part(&mut context), Poll::Ready(None));
        let (writer, mut reader) = pipe();
        drop(writer);
        assert_eq!(reader.poll_part(&mut context), Poll::Ready(Some(Err(Broken::Gone))));
    }
}
