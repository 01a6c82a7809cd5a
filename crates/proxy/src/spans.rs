//! Spans of requests, kept until they are fetched.

use std::cell::{Cell, RefCell};

use telemetry::Span;

use crate::limits::SPANS_MAX;

/// The latest spans of one worker.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    kept: RefCell<Vec<Span>>,
    dropped: Cell<u64>,
}

impl Spans {
    /// Keeps a span, if there is room.
    pub(crate) fn keep(&self, span: impl FnOnce() -> Span) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() < SPANS_MAX {
            kept.push(span());
        } else {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// Hands out what was kept, and how many were not.
    pub(crate) fn take(&self) -> (Vec<Span>, u64) {
        (self.kept.take(), self.dropped.take())
    }
}
