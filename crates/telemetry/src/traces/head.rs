//! The head: traces that are not in a segment yet, in memory.
//!
//! Spans come one by one, and a trace is decided upon when nothing came for some seconds. Until then it is in the head
//! undecided; if it is kept it stays until the next segment is written. It refuses what is over its limits:
//! a flood must not take the machine's memory, and one trace must not take the head.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::Timestamp;

use crate::traces::encoded::{self, Encoded};
use crate::traces::sampling::Reason;

/// Spans of one trace in the head. Longer traces are loops that were never ended.
pub(super) const TRACE_SPANS_MAX: u32 = 20_000;
/// Bytes of one trace in the head: it is one block.
pub(super) const TRACE_BYTES_MAX: usize = 8 << 20;
/// What a trace costs beside its bytes.
const TRACE_OVERHEAD_BYTES: usize = 256;
/// Traces that were not kept and are remembered as such, for spans that come late.
const LEFT_OUT_MAX: usize = 200_000;

/// The low half of a trace's id first: 64-bit ids of Zipkin's have no other.
pub(super) type Key = (u64, u64);

/// The key of a trace.
#[expect(clippy::cast_possible_truncation, reason = "the two halves of an id")]
pub(super) const fn key(trace: u128) -> Key {
    (trace as u64, (trace >> 64) as u64)
}

/// Spans of one trace.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// The spans, encoded one after the other.
    pub(super) bytes: Vec<u8>,
    pub(super) spans: u32,
    /// When its first span came, and the last.
    first: Timestamp,
    last: Timestamp,
    /// When it began, in microseconds since 1970; 0 as long as nobody said.
    pub(super) start_us: u64,
    /// How long its longest span took.
    pub(super) longest_us: u64,
    /// Why it is kept, once that is decided.
    pub(super) kept: Option<Reason>,
}

impl Trace {
    const fn cost(&self) -> usize {
        self.bytes.capacity() + TRACE_OVERHEAD_BYTES
    }

    /// Its spans.
    pub(super) fn spans(&self) -> impl Iterator<Item = Encoded<'_>> {
        encoded::all(&self.bytes)
    }

    /// Notes the times of a span that is in it.
    fn note(&mut self, start_us: u64, longest_us: u64) {
        let times = [self.start_us, start_us].into_iter().filter(|it| *it != 0);
        self.start_us = times.min().unwrap_or(0);
        self.longest_us = self.longest_us.max(longest_us);
    }
}

/// What became of a span that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is in the head; its trace is decided upon later.
    Undecided,
    /// It is in the head, and its trace is kept.
    Kept,
    /// Its trace was not kept.
    LeftOut,
    /// Its trace has too many spans.
    TraceFull,
}

/// Traces that are not in a segment yet.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) traces: BTreeMap<Key, Trace>,
    /// When each undecided trace is looked at next.
    due: BTreeSet<(Timestamp, Key)>,
    left_out: BTreeSet<Key>,
    left_out_order: VecDeque<Key>,
    pub(super) undecided_bytes: usize,
    pub(super) kept_bytes: usize,
}

impl Head {
    /// Adds a span that is encoded in `bytes`; `due` is when its trace is looked at if it is new.
    pub(super) fn add(
        &mut self,
        span: &Encoded<'_>,
        bytes: &[u8],
        now: Timestamp,
        due: Timestamp,
    ) -> Added {
        let key = key(span.trace);
        if !self.traces.contains_key(&key) {
            if self.left_out.contains(&key) && !span.is_error {
                return Added::LeftOut;
            }
            self.traces.insert(key, Trace { first: now, ..Trace::default() });
            self.due.insert((due, key));
            self.undecided_bytes += TRACE_OVERHEAD_BYTES;
        }
        let Some(trace) = self.traces.get_mut(&key) else { return Added::TraceFull };
        if TRACE_SPANS_MAX <= trace.spans || TRACE_BYTES_MAX < trace.bytes.len() + bytes.len() {
            return Added::TraceFull;
        }
        let before = trace.cost();
        trace.bytes.extend_from_slice(bytes);
        trace.spans += 1;
        trace.last = now;
        trace.note(span.start_us, span.duration_us);
        let more = trace.cost() - before;
        if trace.kept.is_some() {
            self.kept_bytes += more;
            Added::Kept
        } else {
            self.undecided_bytes += more;
            Added::Undecided
        }
    }

    /// An undecided trace that has been quiet for long enough, or has been undecided for too long.
    pub(super) fn next_quiet(&mut self, now: Timestamp, waits: &Waits) -> Option<Key> {
        // A time that is further ahead than anything waits is of a clock that was set back since.
        let is_due = |it: &(Timestamp, Key)| it.0 <= now || now.after(waits.longest) < it.0;
        while let Some((at, key)) = self.due.first().copied().filter(is_due) {
            self.due.remove(&(at, key));
            let Some(trace) = self.traces.get(&key).filter(|it| it.kept.is_none()) else {
                continue;
            };
            let quiet_at = trace.last.after(waits.quiet);
            let is_ahead = now.after(waits.longest) < quiet_at;
            if quiet_at <= now || is_ahead || waits.longest <= now.since(trace.first) {
                return Some(key);
            }
            self.due.insert((quiet_at, key));
        }
        None
    }

    /// The undecided trace that has waited longest.
    pub(super) fn next_undecided(&mut self) -> Option<Key> {
        while let Some((_, key)) = self.due.pop_first() {
            if self.traces.get(&key).is_some_and(|it| it.kept.is_none()) {
                return Some(key);
            }
        }
        None
    }

    /// Notes what was decided about an undecided trace.
    pub(super) fn decide(&mut self, key: Key, kept: Option<Reason>) {
        let Some(trace) = self.traces.get_mut(&key) else { return };
        self.undecided_bytes = self.undecided_bytes.saturating_sub(trace.cost());
        if kept.is_some() {
            trace.kept = kept;
            self.kept_bytes += trace.cost();
            return;
        }
        self.traces.remove(&key);
        if self.left_out.insert(key) {
            self.left_out_order.push_back(key);
        }
        if LEFT_OUT_MAX < self.left_out_order.len()
            && let Some(oldest) = self.left_out_order.pop_front()
        {
            self.left_out.remove(&oldest);
        }
    }

    /// Takes out the traces that are kept.
    pub(super) fn take_kept(&mut self) -> BTreeMap<Key, Trace> {
        let all = std::mem::take(&mut self.traces);
        let (kept, undecided) = all.into_iter().partition(|it| it.1.kept.is_some());
        self.traces = undecided;
        self.kept_bytes = 0;
        kept
    }

    /// Puts back traces that were taken out and could not be written.
    pub(super) fn put_back(&mut self, kept: BTreeMap<Key, Trace>) {
        for (key, mut trace) in kept {
            if let Some(newer) = self.traces.remove(&key) {
                let sum = if newer.kept.is_some() {
                    &mut self.kept_bytes
                } else {
                    &mut self.undecided_bytes
                };
                *sum = sum.saturating_sub(newer.cost());
                trace.bytes.extend_from_slice(&newer.bytes);
                trace.spans += newer.spans;
                trace.note(newer.start_us, newer.longest_us);
            }
            self.kept_bytes += trace.cost();
            self.traces.insert(key, trace);
        }
    }

    /// Bytes it takes in memory, about.
    pub(super) const fn bytes(&self) -> usize {
        self.undecided_bytes + self.kept_bytes
    }
}

/// How long a trace is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// Since its last span.
    pub(super) quiet: std::time::Duration,
    /// Since its first span.
    pub(super) longest: std::time::Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::span::Span;
    use crate::traces::testing::span;
    use std::time::Duration;

    const WAITS: Waits = Waits { quiet: Duration::from_secs(5), longest: Duration::from_mins(1) };

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn add(head: &mut Head, span: &Span, at: u64) -> Added {
        let mut bytes = Vec::new();
        encoded::put(&mut bytes, span);
        let encoded = Encoded::take(&mut bytes.as_slice()).unwrap();
        head.add(&encoded, &bytes, seconds(at), seconds(at).after(WAITS.quiet))
    }

    #[test]
    fn a_trace_is_decided_when_it_is_quiet() {
        let mut head = Head::default();
        assert_eq!(add(&mut head, &span(7, 1, "a", ""), 0), Added::Undecided);
        assert_eq!(add(&mut head, &span(7, 2, "a", ""), 3), Added::Undecided);
        assert_eq!(head.next_quiet(seconds(7), &WAITS), None);
        assert_eq!(head.next_quiet(seconds(8), &WAITS), Some((7, 0)));
        head.decide((7, 0), None);
        assert_eq!(head.bytes(), 0);
        assert_eq!(add(&mut head, &span(7, 3, "a", ""), 9), Added::LeftOut);
        // A late failure is worth a look.
        let failed = Span { is_error: true, ..span(7, 4, "a", "") };
        assert_eq!(add(&mut head, &failed, 9), Added::Undecided);
        head.decide((7, 0), Some(Reason::Error));
        assert_eq!(add(&mut head, &span(7, 5, "a", ""), 9), Added::Kept);
        assert_eq!(head.undecided_bytes, 0);
        let kept = head.take_kept();
        assert_eq!((kept[&(7, 0)].spans, head.bytes()), (2, 0));
    }

    #[test]
    fn a_trace_that_never_ends_is_decided_in_the_end() {
        let mut head = Head::default();
        let quiet: Vec<_> = (0..=60)
            .filter(|at| {
                add(&mut head, &span(7, at + 1, "a", ""), *at);
                head.next_quiet(seconds(*at), &WAITS).is_some()
            })
            .collect();
        assert_eq!(quiet, [60]);
    }

    #[test]
    fn a_clock_that_was_set_back_stops_nothing() {
        let mut head = Head::default();
        add(&mut head, &span(7, 1, "a", ""), 1_000);
        assert_eq!(head.next_quiet(seconds(1_000), &WAITS), None);
        assert_eq!(head.next_quiet(seconds(950), &WAITS), None);
        assert_eq!(head.next_quiet(seconds(10), &WAITS), Some((7, 0)));
    }

    #[test]
    fn what_could_not_be_written_comes_back() {
        let mut head = Head::default();
        add(&mut head, &span(7, 1, "a", ""), 0);
        head.decide((7, 0), Some(Reason::Budget));
        let kept = head.take_kept();
        add(&mut head, &span(7, 2, "a", ""), 1);
        head.put_back(kept);
        assert_eq!(head.traces[&(7, 0)].spans().map(|it| it.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((head.undecided_bytes, head.kept_bytes), (0, head.traces[&(7, 0)].cost()));
    }
}
