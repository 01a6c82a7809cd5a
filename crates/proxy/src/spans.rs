//! Spans of requests, kept until they are fetched; and which traces are sampled.
//!
//! A request that is refused before it crosses an edge has a span, too: its client was told an id, and an operator who is told
//! it finds out why. Anybody can send what is refused, so these have a bound of their own and push out nothing else.

use std::cell::{Cell, RefCell};

use model::Rng;
use telemetry::Span;

use crate::limits::{REFUSED_SPANS_MAX, SAMPLE_ONE_IN, SPANS_MAX, TRACES_SAMPLED};

/// The latest spans of one worker.
#[derive(Debug)]
pub(crate) struct Spans {
    kept: RefCell<Vec<Span>>,
    /// How many of these are of requests that were refused.
    refused: Cell<usize>,
    dropped: Cell<u64>,
    /// Traces that may still begin and be sampled until the next fetch.
    budget: Cell<u32>,
}

impl Default for Spans {
    fn default() -> Self {
        let budget = Cell::new(TRACES_SAMPLED);
        Self {
            kept: RefCell::default(),
            refused: Cell::default(),
            dropped: Cell::default(),
            budget,
        }
    }
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

    /// Keeps the span of a request that crosses no edge, if there is room for one of those.
    pub(crate) fn keep_refused(&self, span: impl FnOnce() -> Span) {
        if self.refused.get() < REFUSED_SPANS_MAX {
            self.refused.set(self.refused.get() + 1);
            self.keep(span);
        } else {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// Whether a trace that begins now is sampled: all are, up to a number between two fetches, and few of the others.
    pub(crate) fn sample(&self, rng: &mut Rng) -> Sampled {
        match self.budget.get().checked_sub(1) {
            Some(left) => {
                self.budget.set(left);
                Sampled::Yes
            }
            None if rng.below(SAMPLE_ONE_IN) == 0 => Sampled::Yes,
            None => Sampled::No,
        }
    }

    /// Hands out what was kept, and how many were not.
    pub(crate) fn take(&self) -> (Vec<Span>, u64) {
        self.budget.set(TRACES_SAMPLED);
        self.refused.set(0);
        (self.kept.take(), self.dropped.take())
    }
}

/// Whether a trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sampled {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_traces_are_all_sampled_and_few_of_the_others() {
        let (spans, mut rng) = (Spans::default(), Rng::new(7));
        let mut sampled =
            |count: u32| (0..count).filter(|_| spans.sample(&mut rng) == Sampled::Yes).count();
        assert_eq!(sampled(TRACES_SAMPLED), 100);
        let others = sampled(10_000);
        assert!((60..140).contains(&others), "{others}");
        drop(spans.take());
        assert_eq!(sampled(TRACES_SAMPLED), 100);
    }
}
