//! Finds the first records, in some order, that fit a query.
//!
//! Blocks are visited in the order of the best record each may have; when enough records are found that are all
//! better than that, none of the blocks left matters. A block is ruled out by its service, its bounds and
//! its filter of words before anything of it is read, and by its columns before its text is.

use std::collections::BinaryHeap;
use std::sync::Arc;

use super::block::{self, Meta};
use super::filter::same_trace;
use super::part::{Part, Service};
use super::query::{Cursor, Hit, LIMIT_MAX, Order, Page, Query};
use super::rows::{Bounds, Entry, Rows, severity_bit};
use super::token::{self, Need};
use super::{Record, Severity, Source, row};

/// The best records so far.
pub(super) struct Search<'q> {
    query: &'q Query,
    needs: Vec<Need>,
    severities: u8,
    limit: usize,
    /// The worst on top.
    best: BinaryHeap<Found>,
    page: Page,
}

struct Found {
    key: Cursor,
    hit: Hit,
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Found {}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Found {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// A record's place in an order: what comes first is less.
const fn key(order: Order, at_us: u64, position: u64) -> Cursor {
    match order {
        Order::Newest => Cursor(u64::MAX - at_us, u64::MAX - position),
        Order::Oldest => Cursor(at_us, position),
        Order::Arrival => Cursor(position, 0),
    }
}

/// A place before which nothing within the bounds is.
const fn least(order: Order, bounds: &Bounds) -> Cursor {
    match order {
        Order::Newest => Cursor(u64::MAX - bounds.times.1, 0),
        Order::Oldest => Cursor(bounds.times.0, 0),
        Order::Arrival => Cursor(bounds.positions.0, 0),
    }
}

/// A place behind which nothing within the bounds is.
const fn most(order: Order, bounds: &Bounds) -> Cursor {
    match order {
        Order::Newest => Cursor(u64::MAX - bounds.times.0, u64::MAX),
        Order::Oldest => Cursor(bounds.times.1, u64::MAX),
        Order::Arrival => Cursor(bounds.positions.1, 0),
    }
}

/// The place just before another, if there is one.
fn before(cursor: Cursor) -> Option<Cursor> {
    match cursor.1.checked_sub(1) {
        Some(second) => Some(Cursor(cursor.0, second)),
        None => Some(Cursor(cursor.0.checked_sub(1)?, u64::MAX)),
    }
}

impl<'q> Search<'q> {
    /// A search that found nothing yet.
    pub(super) fn new(query: &'q Query) -> Self {
        let mut needs = query.filter.needs().to_vec();
        needs.extend(query.trace.map(|it| Need::of(token::trace_word(it))));
        let severities = match query.severity {
            None => u8::MAX,
            Some(least) => Severity::ALL
                .into_iter()
                .filter(|it| least <= *it)
                .fold(0, |bits, it| bits | severity_bit(Some(it))),
        };
        Self {
            query,
            needs,
            severities,
            limit: query.limit.clamp(1, LIMIT_MAX),
            best: BinaryHeap::new(),
            page: Page::default(),
        }
    }

    /// Looks through a block that grows.
    pub(super) fn rows(&mut self, rows: &Rows, sources: &[Arc<Source>]) {
        let first = rows.entries.first().and_then(|it| sources.get(it.source as usize));
        let Some(source) = first else { return };
        if self.wants(&Service::of(source)) {
            let candidates = self.candidates(rows, sources);
            self.page.scanned_bytes += rows.bytes.len() as u64;
            self.take(rows, &candidates, sources);
        }
    }

    /// Looks through sealed blocks, and says what was found.
    pub(super) fn parts(mut self, parts: &[Arc<Part>]) -> Page {
        let mut blocks = Vec::new();
        for part in parts {
            let wanted: Vec<bool> = part.services.iter().map(|it| self.wants(it)).collect();
            for (number, meta) in part.metas.iter().enumerate() {
                let is_wanted = wanted.get(meta.service as usize).copied().unwrap_or(false);
                if is_wanted && self.may_fit(meta) {
                    blocks.push((least(self.query.order, &meta.bounds), part, number));
                }
            }
        }
        blocks.sort_by_key(|it| it.0);
        for (least, part, number) in blocks {
            if self.worst().is_some_and(|it| it < least) {
                break;
            }
            let is_enough = self.query.scan_bytes <= self.page.scanned_bytes;
            // Whoever goes on behind what was seen must come further each time.
            if is_enough && before(least).is_some_and(|it| self.query.cursor < Some(it)) {
                return self.finish(before(least));
            }
            if self.block(part, number).is_none() {
                self.page.damaged_blocks += 1;
            }
        }
        self.finish(None)
    }

    /// The worst of the records found, if there are enough.
    fn worst(&self) -> Option<Cursor> {
        if self.best.len() < self.limit { None } else { self.best.peek().map(|it| it.key) }
    }

    fn wants(&self, service: &Service) -> bool {
        let query = self.query;
        query.application.as_ref().is_none_or(|it| *it == service.application)
            && (query.services.is_empty() || query.services.contains(&service.service))
    }

    fn may_fit(&self, meta: &Meta) -> bool {
        let bounds = &meta.bounds;
        self.query.from_us <= bounds.times.1
            && bounds.times.0 < self.query.to_us
            && bounds.severities & self.severities != 0
            && self.query.cursor.is_none_or(|it| it < most(self.query.order, bounds))
    }

    /// Reads as much of a block as is needed. Nothing if it is damaged.
    fn block(&mut self, part: &Part, number: usize) -> Option<()> {
        let meta = part.metas.get(number)?;
        if !part.may_meet(number, &self.needs).ok()? {
            return Some(());
        }
        let mut rows = block::read_columns(meta, &part.columns(number).ok()?)?;
        let candidates = self.candidates(&rows, &part.sources);
        if candidates.is_empty() {
            return Some(());
        }
        block::read_text(&mut rows, meta, &part.text(number).ok()?)?;
        self.page.scanned_bytes += u64::from(meta.raw_bytes);
        self.take(&rows, &candidates, &part.sources);
        Some(())
    }

    /// The numbers of entries that fit as far as their columns say.
    fn candidates(&self, rows: &Rows, sources: &[Arc<Source>]) -> Vec<usize> {
        let instance = self.query.instance.as_deref();
        let is_of_instance: Vec<bool> = match instance {
            Some(instance) => sources.iter().map(|it| it.instance == instance).collect(),
            None => Vec::new(),
        };
        let worst = self.worst();
        let fits = |entry: &Entry| {
            let key = self.key(entry);
            (self.query.from_us..self.query.to_us).contains(&entry.at_us)
                && severity_bit(entry.severity) & self.severities != 0
                && worst.is_none_or(|it| key < it)
                && self.query.cursor.is_none_or(|it| it < key)
                && (instance.is_none()
                    || is_of_instance.get(entry.source as usize).copied().unwrap_or(false))
                // What the text says is not known yet.
                && (entry.ids_in_text || self.is_of_trace(entry))
        };
        let entries = rows.entries.iter().enumerate();
        entries.filter(|(_, it)| fits(it)).map(|(number, _)| number).collect()
    }

    fn is_of_trace(&self, entry: &Entry) -> bool {
        self.query.trace.is_none_or(|it| same_trace(it, entry.trace))
    }

    const fn key(&self, entry: &Entry) -> Cursor {
        key(self.query.order, entry.at_us, entry.position)
    }

    /// Keeps the best of the candidates that fit.
    fn take(&mut self, rows: &Rows, candidates: &[usize], sources: &[Arc<Source>]) {
        let source = |number: u32| sources.get(number as usize).map(AsRef::as_ref);
        let mut found = self.query.filter.matches(rows, candidates, &source);
        if self.query.order == Order::Newest {
            // So that most that follow are worse than what was found, and are not read.
            found.reverse();
        }
        for number in found {
            let Some(entry) = rows.entries.get(number) else { continue };
            let key = self.key(entry);
            if !self.is_of_trace(entry) || self.worst().is_some_and(|it| it <= key) {
                continue;
            }
            let Some(source) = sources.get(entry.source as usize) else { continue };
            let record = record(entry, rows.row(number), source);
            self.best.push(Found { key, hit: Hit { position: entry.position, record } });
            if self.limit < self.best.len() {
                self.best.pop();
            }
        }
    }

    /// The answer: everything up to `seen`, or everything.
    fn finish(mut self, seen: Option<Cursor>) -> Page {
        let is_full = self.limit <= self.best.len();
        let found = self.best.into_sorted_vec();
        let last = found.last().map(|it| it.key);
        self.page.cursor = match seen {
            // What was not read yet may have something better.
            Some(seen) if last.is_none_or(|it| seen < it) || !is_full => Some(seen),
            _ => last.filter(|_| is_full),
        };
        let certain = found.into_iter().filter(|it| seen.is_none_or(|seen| it.key <= seen));
        self.page.hits = certain.map(|it| it.hit).collect();
        self.page
    }
}

fn record(entry: &Entry, row: &[u8], source: &Arc<Source>) -> Record {
    let field = |(key, value)| (row::string(key), row::string(value));
    Record {
        at_us: entry.at_us,
        source: Arc::clone(source),
        severity: entry.severity,
        text: row::string(row::text(row).0),
        fields: row::fields(row).map(field).collect(),
        trace: Some(entry.trace).filter(|it| *it != 0),
        span: Some(entry.span).filter(|it| *it != 0),
    }
}
