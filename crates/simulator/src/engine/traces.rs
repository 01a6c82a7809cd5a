//! Some requests, with all they led to: one in each of as many equal parts of the run as are wanted.

use std::time::Duration;

use traffic::Outcome;

use super::instance::Instance;
use super::measure::nanos;
use super::pool::NONE;
use crate::outcome::{Span, Trace};

/// Spans of one trace, at most: ten times the calls one request may make.
const SPANS_MAX: usize = 10_240;

#[derive(Debug)]
pub(super) struct Traces {
    all: Vec<Trace>,
    max: usize,
    /// Time from one to the next.
    every: u64,
    next_at: u64,
}

impl Traces {
    pub(super) fn new(max: usize, duration: Duration) -> Self {
        let parts = u64::try_from(max.max(1)).unwrap_or(u64::MAX);
        Self { all: Vec::new(), max, every: nanos(duration) / parts, next_at: 0 }
    }

    /// A request from outside begins: where it is recorded, if it is.
    pub(super) fn begin(&mut self, users: usize, now: u64) -> (u32, u32) {
        if now < self.next_at || self.max <= self.all.len() {
            return (NONE, NONE);
        }
        self.next_at = now - now % self.every.max(1) + self.every;
        self.all.push(Trace { users, spans: Vec::new() });
        (u32::try_from(self.all.len() - 1).unwrap_or(NONE), NONE)
    }

    /// An attempt is sent, for a span of a trace.
    pub(super) fn sent(
        &mut self,
        (trace, parent): (u32, u32),
        edge: u32,
        instance: &Instance,
        now: u64,
    ) -> (u32, u32) {
        if trace == NONE {
            return (NONE, NONE);
        }
        let spans = &mut self.all[trace as usize].spans;
        if SPANS_MAX <= spans.len() {
            return (NONE, NONE);
        }
        let at = Duration::from_nanos(now);
        spans.push(Span {
            parent: (parent != NONE).then_some(parent as usize),
            edge: edge as usize,
            service: instance.service as usize,
            instance: instance.number,
            zone: usize::from(instance.zone),
            sent: at,
            arrived: at,
            began: at,
            answered: at,
            ended: at,
            outcome: String::new(),
        });
        (trace, u32::try_from(spans.len() - 1).unwrap_or(NONE))
    }

    fn change(&mut self, (trace, span): (u32, u32), change: impl FnOnce(&mut Span)) {
        if trace != NONE
            && let Some(span) =
                self.all.get_mut(trace as usize).and_then(|it| it.spans.get_mut(span as usize))
            // What happens after its caller has left is not part of it.
            && span.outcome.is_empty()
        {
            change(span);
        }
    }

    pub(super) fn arrived(&mut self, span: (u32, u32), now: u64) {
        let at = Duration::from_nanos(now);
        self.change(span, |it| (it.arrived, it.began, it.answered) = (at, at, at));
    }

    pub(super) fn began(&mut self, span: (u32, u32), now: u64) {
        let at = Duration::from_nanos(now);
        self.change(span, |it| (it.began, it.answered) = (at, at));
    }

    pub(super) fn answered(&mut self, span: (u32, u32), now: u64) {
        self.change(span, |it| it.answered = Duration::from_nanos(now));
    }

    pub(super) fn ended(&mut self, span: (u32, u32), now: u64, outcome: Outcome) {
        self.change(span, |it| {
            it.ended = Duration::from_nanos(now);
            outcome.word().clone_into(&mut it.outcome);
        });
    }

    /// Those whose request has ended.
    pub(super) fn done(mut self) -> Vec<Trace> {
        self.all.retain(|it| it.spans.first().is_some_and(|it| !it.outcome.is_empty()));
        for trace in &mut self.all {
            for span in &mut trace.spans {
                if span.outcome.is_empty() {
                    Outcome::Cancelled.word().clone_into(&mut span.outcome);
                    span.ended = span.answered;
                }
            }
        }
        self.all
    }
}
