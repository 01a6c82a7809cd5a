//! Questions to a store, answered from the head and the segments alike.
//!
//! The head is read under the lock, segments without it. A segment, or a part of one, that turns out damaged is named,
//! and the answer is made of the others.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use crate::segment::Damage;
use crate::traces::borrowed::Borrowed;
use crate::traces::dependencies::{Dependency, Links, MINUTE_US, Sums};
use crate::traces::dictionary::Dictionary;
use crate::traces::encoded::Encoded;
use crate::traces::head::{Key, Trace, key};
use crate::traces::lineage;
use crate::traces::sealed::scan::{Hit, Hits, Reading};
use crate::traces::sealed::{Sealed, SealedError};
use crate::traces::search::{self, Found, LIMIT_MAX, Query, Summary};
use crate::traces::span::Span;
use crate::traces::store::state::{Sealing, State};
use crate::traces::store::{DICTIONARIES_MAX, Store};

/// Spans of one trace in an answer. A trace with more is an id that somebody uses for everything.
const TRACE_SPANS_MAX: usize = 100_000;
/// Names in one answer.
const NAMES_MAX: usize = 10_000;

impl Store {
    /// The spans of a trace, by when they began; none if it is not there. An id of 64 bits finds a trace of 128
    /// whose low half it is, and the other way round, as with Zipkin.
    pub fn trace(&self, trace: u128) -> Vec<Span> {
        let (mut spans, segments) = {
            let inner = self.lock();
            (inner.state.in_memory(trace), inner.state.segments.clone())
        };
        for sealed in segments.iter().filter(|it| it.may_hold(key(trace).0)) {
            self.attempt(sealed, |it| self.read_trace(it, trace, &mut spans));
        }
        in_order(&mut spans);
        spans
    }

    /// The newest traces that are asked for.
    pub fn search(&self, query: &Query) -> Found {
        let mut hits = Hits::new(query.limit.min(LIMIT_MAX));
        let (segments, sealing) = {
            let inner = self.lock();
            scan_head(inner.state.head.traces.values(), query, &mut hits);
            (inner.state.segments.clone(), inner.state.sealing.clone())
        };
        if let Some(sealing) = &sealing {
            scan_head(sealing.traces.values(), query, &mut hits);
        }
        let mut newest_first = segments.clone();
        newest_first.sort_by_key(|it| std::cmp::Reverse(it.times_us().1));
        for sealed in &newest_first {
            let (first_us, last_us) = sealed.times_us();
            if last_us < query.from_us || query.until_us < first_us || !hits.wants(last_us) {
                continue;
            }
            self.attempt(sealed, |it| it.scan(query, || self.dictionary(it), &mut hits));
        }
        self.whole(hits, query, &segments)
    }

    /// Adds to what was found what else there is of the same traces.
    fn whole(&self, hits: Hits, query: &Query, segments: &[Arc<Sealed>]) -> Found {
        let mut found = Found { traces: Vec::new(), is_complete: hits.is_complete };
        let mut seen: BTreeSet<Key> = BTreeSet::new();
        for ((_, trace), Hit { mut spans, segment }) in hits.traces.into_iter().rev() {
            let (low, high) = key(trace);
            let mut known = seen.range((low, 0)..=(low, u64::MAX));
            if known.any(|it| it.1 == high || it.1 == 0 || high == 0) {
                continue;
            }
            seen.insert((low, high));
            spans.extend(self.lock().state.in_memory(trace));
            // What else the same segment has can only be under an id of another length.
            let others = segments.iter().filter(|it| Some(it.number) != segment || high == 0);
            for sealed in others.filter(|it| it.may_hold(low)) {
                self.attempt(sealed, |it| self.read_trace(it, trace, &mut spans));
            }
            in_order(&mut spans);
            if query.wants_start(search::start_us(&spans))
                && let Some(summary) = Summary::of(&spans)
            {
                found.traces.push((summary, spans));
            }
        }
        found.traces.sort_by_key(|it| std::cmp::Reverse(it.0.start_us));
        found
    }

    /// Who called whom in traces that began within a time (microseconds since 1970), to the minute.
    pub fn dependencies(&self, from_us: u64, until_us: u64) -> Vec<Dependency> {
        let mut sums = Sums::default();
        let segments = {
            let inner = self.lock();
            sums.add(&inner.state.links, from_us, until_us);
            sums.add(&inner.state.undecided_links(), from_us, until_us);
            if let Some(sealing) = &inner.state.sealing {
                sums.add(&sealing.links, from_us, until_us);
            }
            inner.state.segments.clone()
        };
        for sealed in segments {
            let (first, last) = sealed.minutes();
            if until_us / MINUTE_US < first || last < from_us / MINUTE_US {
                continue;
            }
            self.attempt(&sealed, |it| {
                sums.add(&it.sealed.links(&it.file)?, from_us, until_us);
                Ok(())
            });
        }
        sums.list()
    }

    /// All services, by name.
    pub fn services(&self) -> Vec<String> {
        let inner = self.lock();
        let known = inner.state.catalog.services();
        inner.state.names(known, |span, names| {
            names.insert(span.service.to_owned());
        })
    }

    /// The operations of a service, by name.
    pub fn operations(&self, service: &str) -> Vec<String> {
        let inner = self.lock();
        inner.state.names(inner.state.catalog.operations(service), |span, names| {
            if span.service.eq_ignore_ascii_case(service) {
                names.insert(span.operation.to_owned());
            }
        })
    }

    /// The services a service has called, by name.
    pub fn remote_services(&self, service: &str) -> Vec<String> {
        let inner = self.lock();
        inner.state.names(inner.state.catalog.remotes(service), |span, names| {
            if span.service.eq_ignore_ascii_case(service) {
                names.insert(span.remote.to_owned());
            }
        })
    }

    /// The keys of tags, by name.
    pub fn tag_keys(&self) -> Vec<String> {
        let inner = self.lock();
        inner.state.names(inner.state.catalog.tag_keys(), |span, names| {
            names.extend(span.tags().map(|it| it.0.to_owned()));
        })
    }

    /// The values of a tag, by name; of one with very many, some.
    pub fn tag_values(&self, key: &str) -> Vec<String> {
        let inner = self.lock();
        inner.state.names(inner.state.catalog.tag_values(key), |span, names| {
            names.extend(span.tags().filter(|it| it.0 == key).map(|it| it.1.to_owned()));
        })
    }

    fn read_trace(
        &self,
        reading: &Reading<'_>,
        trace: u128,
        spans: &mut Vec<Span>,
    ) -> Result<(), SealedError> {
        let (sealed, file) = (reading.sealed, &reading.file);
        let places = sealed.find(file, key(trace).0)?;
        let Some(first) = places.first() else { return Ok(()) };
        let dictionary = self.dictionary(reading)?;
        let mut last = sealed.block_of(*first).map(|it| it.0).unwrap_or_default();
        let mut block = sealed.block(file, last)?;
        for (number, place) in places.into_iter().filter_map(|it| sealed.block_of(it)) {
            if number != last {
                block = sealed.block(file, number)?;
                last = number;
            }
            let read = block.trace(place, &dictionary);
            let read = read.ok_or_else(|| sealed.damaged("a trace"))?;
            if read.first().is_some_and(|it| is_same(it.trace, trace)) {
                let room = TRACE_SPANS_MAX.saturating_sub(spans.len());
                spans.extend(read.iter().take(room).map(Borrowed::to_span));
            }
        }
        Ok(())
    }

    fn dictionary(&self, reading: &Reading<'_>) -> Result<Arc<Dictionary>, SealedError> {
        let number = reading.sealed.number;
        let known = || self.dictionaries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, dictionary)) = known().iter().find(|it| it.0 == number) {
            return Ok(Arc::clone(dictionary));
        }
        let dictionary = Arc::new(reading.sealed.dictionary(&reading.file)?);
        let mut known = known();
        known.push_front((number, Arc::clone(&dictionary)));
        known.truncate(DICTIONARIES_MAX);
        Ok(dictionary)
    }

    /// Reads from a segment; if that fails, its damage is named. A segment that was deleted meanwhile is none.
    fn attempt(
        &self,
        sealed: &Arc<Sealed>,
        read: impl FnOnce(&Reading<'_>) -> Result<(), SealedError>,
    ) {
        let done = sealed.file().and_then(|file| read(&Reading { sealed, file }));
        let Err(error) = done else { return };
        let mut inner = self.lock();
        if inner.state.segments.iter().any(|it| Arc::ptr_eq(it, sealed)) {
            let (file, bytes) = (sealed.path.clone(), sealed.bytes);
            inner.state.note_damage(Damage { file, bytes, reason: model::chain(&error) });
        }
    }
}

impl State {
    /// The traces in memory whose id has a low half.
    fn with_low(&self, low: u64) -> impl Iterator<Item = (&Key, &Trace)> {
        let sealing =
            self.sealing.as_deref().map(|it: &Sealing| it.traces.range((low, 0)..=(low, u64::MAX)));
        self.head.traces.range((low, 0)..=(low, u64::MAX)).chain(sealing.into_iter().flatten())
    }

    fn in_memory(&self, trace: u128) -> Vec<Span> {
        let spans = self.with_low(key(trace).0).flat_map(|it| it.1.spans());
        spans.filter(|it| is_same(it.trace, trace)).map(|it| it.borrowed().to_span()).collect()
    }

    /// Names that are known, with those of spans in memory.
    fn names<'a>(
        &self,
        known: impl Iterator<Item = &'a str>,
        each: impl Fn(&Encoded<'_>, &mut BTreeSet<String>),
    ) -> Vec<String> {
        let mut names: BTreeSet<_> = known.map(str::to_owned).collect();
        let sealing = self.sealing.iter().flat_map(|it| it.traces.values());
        for span in self.head.traces.values().chain(sealing).flat_map(Trace::spans) {
            if NAMES_MAX <= names.len() {
                break;
            }
            each(&span, &mut names);
        }
        names.remove("");
        names.into_iter().collect()
    }

    fn undecided_links(&self) -> Links {
        let mut links = Links::default();
        for trace in self.head.traces.values().filter(|it| it.kept.is_none()) {
            let spans: Vec<_> = trace.spans().collect();
            let parts: Vec<_> = spans.iter().map(lineage::of_encoded).collect();
            links.count(&parts, trace.start_us);
        }
        links
    }
}

/// Whether two ids are of the same trace: equal, or one of 64 bits that is the low half of the other.
const fn is_same(one: u128, other: u128) -> bool {
    let ((low, high), (other_low, other_high)) = (key(one), key(other));
    low == other_low && (high == other_high || high == 0 || other_high == 0)
}

/// Spans by when they began, each once: what is in two places is one span.
fn in_order(spans: &mut Vec<Span>) {
    spans.sort_by(|one, other| (one.start_us, one).cmp(&(other.start_us, other)));
    spans.dedup();
}

fn scan_head<'a>(traces: impl Iterator<Item = &'a Trace>, query: &Query, hits: &mut Hits) {
    for trace in traces {
        let start_us = trace.start_us;
        let is_fast = query.duration_least_us.is_some_and(|it| trace.longest_us < it);
        if is_fast || !query.wants_start(start_us) || !hits.wants(start_us) {
            continue;
        }
        let likely = |it: &Encoded<'_>| {
            query.wants_pair(it.service, it.operation)
                && query.wants_duration(it.duration_us)
                && (!query.errors_only || it.is_error)
        };
        if trace.spans().any(|it| likely(&it) && query.matches(&it.borrowed())) {
            let spans: Vec<_> = trace.spans().map(|it| it.borrowed().to_span()).collect();
            let id = spans.first().map_or(0, |it| it.trace);
            hits.push((start_us, id), Hit { spans, segment: None });
        }
    }
}
