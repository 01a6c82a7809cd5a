//! Looks for traces in a segment, the newest first.
//!
//! What can rule out the segment is asked first, then the columns, then the filters of blocks; only then are spans
//! read.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use memchr::memmem::Finder;

use crate::traces::borrowed::Borrowed;
use crate::traces::columns::{self, Wanted};
use crate::traces::dictionary::{Dictionary, PAIR_OTHER, PAIRS_MAX};
use crate::traces::sealed::{Sealed, SealedError, Table};
use crate::traces::search::Query;
use crate::traces::span::Span;

/// Blocks one search may read: 2.5 GB of spans, some ten seconds.
const BLOCKS_MAX: u32 = 20_000;
/// Spans of all traces that are found together, at most: a few hundred megabytes.
const SPANS_MAX: usize = 300_000;

/// A trace that was found, or the part of it in one place.
#[derive(Debug)]
pub(in crate::traces) struct Hit {
    pub(in crate::traces) spans: Vec<Span>,
    /// The number of the segment it was found in; none if it is in memory.
    pub(in crate::traces) segment: Option<u64>,
}

/// The newest traces that were found.
#[derive(Debug)]
pub(in crate::traces) struct Hits {
    /// By when they began, then by their id.
    pub(in crate::traces) traces: BTreeMap<(u64, u128), Hit>,
    starts_us: BTreeMap<u128, u64>,
    limit: usize,
    spans: usize,
    blocks_left: u32,
    pub(in crate::traces) is_complete: bool,
}

impl Hits {
    pub(in crate::traces) const fn new(limit: usize) -> Self {
        Self {
            traces: BTreeMap::new(),
            starts_us: BTreeMap::new(),
            limit,
            spans: 0,
            blocks_left: BLOCKS_MAX,
            is_complete: true,
        }
    }

    /// Whether a trace that began then is among the newest so far.
    pub(in crate::traces) fn wants(&self, start_us: u64) -> bool {
        let oldest = self.traces.first_key_value().map_or(0, |it| it.0.0);
        self.limit != 0 && (self.traces.len() < self.limit || oldest < start_us)
    }

    /// Adds a trace, by when it began and its id. Of one that is in several places the latest part counts, until
    /// its parts are put together.
    pub(in crate::traces) fn push(&mut self, place: (u64, u128), hit: Hit) {
        let (start_us, trace) = place;
        if let Some(known) = self.starts_us.get(&trace).copied() {
            if start_us <= known {
                return;
            }
            self.remove((known, trace));
        }
        self.spans += hit.spans.len();
        self.starts_us.insert(trace, start_us);
        self.traces.insert(place, hit);
        while let Some((oldest, _)) = self.traces.first_key_value() {
            let is_large = SPANS_MAX < self.spans && 1 < self.traces.len();
            self.is_complete &= !is_large;
            if !is_large && self.traces.len() <= self.limit {
                break;
            }
            self.remove(*oldest);
        }
    }

    fn remove(&mut self, place: (u64, u128)) {
        self.starts_us.remove(&place.1);
        self.spans -= self.traces.remove(&place).map_or(0, |it| it.spans.len());
    }
}

/// A segment that is read.
#[derive(Debug)]
pub(in crate::traces) struct Reading<'a> {
    pub(in crate::traces) sealed: &'a Sealed,
    pub(in crate::traces) file: File,
}

impl Reading<'_> {
    /// Adds the traces that are asked for to what was found; `dictionary` is called for if spans are read.
    pub(in crate::traces) fn scan(
        &self,
        query: &Query,
        dictionary: impl FnOnce() -> Result<Arc<Dictionary>, SealedError>,
        hits: &mut Hits,
    ) -> Result<(), SealedError> {
        let Some(rows) = self.rows(query)? else { return Ok(()) };
        let table = self.sealed.table(&self.file)?;
        let traces = candidates(rows, &table, query);
        let newest = traces.last().and_then(|it| table.starts_us.get(*it as usize));
        if newest.is_none_or(|it| !hits.wants(*it)) {
            return Ok(());
        }
        let dictionary = dictionary()?;
        let mut texts: Vec<_> = query.texts().map(|it| Finder::new(&it).into_owned()).collect();
        texts.retain(|it| !dictionary.may_contain(it));
        let asked = Asked { query, hashes: query.hashes(), texts, dictionary };
        let filters = self.sealed.filters(&self.file, &asked.hashes)?;
        let mut rest = traces.as_slice();
        while let Some(block) = rest.last().and_then(|it| self.sealed.block_of(*it)).map(|it| it.0)
        {
            let in_block = |it: &u32| self.sealed.block_of(*it).is_some_and(|it| it.0 == block);
            let (before, here) = rest.split_at(rest.partition_point(|it| !in_block(it)));
            rest = before;
            let newest = here.last().and_then(|it| table.starts_us.get(*it as usize));
            if newest.is_none_or(|it| !hits.wants(*it)) {
                break;
            }
            if hits.blocks_left == 0 {
                hits.is_complete = false;
                break;
            }
            if filters.may_have(block, &asked.hashes) {
                hits.blocks_left -= 1;
                self.block(block, here, &asked, hits)?;
            }
        }
        Ok(())
    }

    /// The rows worth reading; all of them if nothing is asked that columns know; none if it is not here.
    fn rows(&self, query: &Query) -> Result<Option<Rows>, SealedError> {
        let pairs = &self.sealed.pairs;
        let here = (0_u16..).zip(pairs).filter(|(_, it)| {
            query.wants_pair(&it.service, &it.operation)
                && query.duration_least_us.is_none_or(|least| least <= it.slowest_us)
                && (!query.errors_only || it.has_errors)
        });
        let overflow = (pairs.len() == PAIRS_MAX).then_some(PAIR_OTHER);
        let wanted = Wanted::of(here.map(|it| it.0).chain(overflow));
        if wanted.count == 0 {
            return Ok(None);
        }
        let mut rows = None;
        if query.duration_least_us.is_some() || query.duration_most_us.is_some() {
            let least = columns::duration_code(query.duration_least_us.unwrap_or(0));
            let most = columns::duration_code(query.duration_most_us.unwrap_or(u64::MAX));
            if most < least {
                return Ok(None);
            }
            rows = Some(columns::within(&self.sealed.duration_column(&self.file)?, least, most));
        }
        if query.errors_only && rows.as_ref().is_none_or(|it: &Vec<u32>| !it.is_empty()) {
            let column = self.sealed.error_column(&self.file)?;
            match &mut rows {
                Some(rows) => columns::retain_set(rows, &column),
                None => rows = Some(columns::set(&column)),
            }
        }
        let all = wanted.count == pairs.len() && overflow.is_none();
        if !all && rows.as_ref().is_none_or(|it| !it.is_empty()) {
            let column = self.sealed.pair_column(&self.file)?;
            match &mut rows {
                Some(rows) => columns::retain_wanted(rows, &column, &wanted),
                None => rows = Some(columns::wanted(&column, &wanted)),
            }
        }
        match rows {
            Some(rows) if rows.is_empty() => Ok(None),
            Some(rows) => Ok(Some(Rows::Some(rows))),
            None => Ok(Some(Rows::All)),
        }
    }

    fn block(
        &self,
        block: usize,
        traces: &[u32],
        asked: &Asked<'_>,
        hits: &mut Hits,
    ) -> Result<(), SealedError> {
        let Asked { query, dictionary, .. } = asked;
        let read = self.sealed.block(&self.file, block)?;
        if !asked.texts.iter().all(|it| read.may_contain(it)) {
            return Ok(());
        }
        for trace in traces.iter().rev() {
            let place = self.sealed.block_of(*trace).map_or(usize::MAX, |it| it.1);
            let spans = read.trace(place, dictionary);
            let spans = spans.ok_or_else(|| self.sealed.damaged("a trace"))?;
            let starts = spans.iter().map(|it| it.start_us).filter(|it| *it != 0);
            let start_us = starts.min().unwrap_or(0);
            if !hits.wants(start_us) {
                break;
            }
            if query.wants_start(start_us) && spans.iter().any(|it| query.matches(it)) {
                let id = spans.first().map_or(0, |it| it.trace);
                let spans = spans.iter().map(Borrowed::to_span).collect();
                let segment = Some(self.sealed.number);
                hits.push((start_us, id), Hit { spans, segment });
            }
        }
        Ok(())
    }
}

/// What is asked of a block.
struct Asked<'a> {
    query: &'a Query,
    hashes: Vec<[u64; 2]>,
    /// Texts that no string of the dictionary contains, so that they must stand with the spans.
    texts: Vec<Finder<'static>>,
    dictionary: Arc<Dictionary>,
}

/// Rows worth reading.
enum Rows {
    All,
    Some(Vec<u32>),
}

/// The traces the rows are of that began when they are asked for, ascending.
fn candidates(rows: Rows, table: &Table, query: &Query) -> Vec<u32> {
    let first = table.starts_us.partition_point(|it| *it < query.from_us);
    let end = table.starts_us.partition_point(|it| *it <= query.until_us);
    let place = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    let within = place(first)..place(end);
    match rows {
        Rows::All => within.collect(),
        Rows::Some(rows) => {
            let mut traces: Vec<_> = rows.into_iter().map(|it| table.trace_of(it)).collect();
            traces.dedup();
            traces.retain(|it| within.contains(it));
            traces
        }
    }
}
