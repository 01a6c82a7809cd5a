//! Asking the store: samples, series, labels.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use promql::{Labels, Matcher, Selection, Series, Source, SourceError};

use super::block::{self, Block, trim};
use super::chunk::Samples;
use super::head::{self, Taken};
use super::store::Store;

/// Series that fit one question, at most.
const SERIES_MAX: usize = 500_000;

/// How many series and values the labels have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelStatistics {
    /// Live series by metric, most first.
    pub series_by_metric: Vec<(String, usize)>,
    /// Values by label, most first.
    pub values_by_label: Vec<(String, usize)>,
}

impl Source for Store {
    fn select(
        &self,
        selection: &Selection<'_>,
        visit: &mut dyn FnMut(Series<'_>) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let range = (selection.from_ms, selection.to_ms);
        let mut found = self.recent(selection.matchers, range);
        let blocks = self.overlapping(range);
        let mut samples = Samples::default();
        // Where one block has all there is, nothing needs to be put together.
        if let ([block], true) = (blocks.as_slice(), found.is_empty()) {
            let read = block.select(selection.matchers, range, &mut |labels, samples| {
                visit(Series { labels: &labels, times: &samples.times, values: &samples.values })
            });
            return read.map_err(|error| unreadable(block, &error));
        }
        if SERIES_MAX <= found.len() {
            let message = format!("more than {SERIES_MAX} series fit; ask for fewer");
            return Err(SourceError::Limit(message));
        }
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut found = found.into_iter().peekable();
        let ahead = blocks.iter().map(|it| Ahead::of(it, selection));
        let mut ahead = ahead.collect::<Result<Vec<_>, _>>()?;
        // All have their series in the same order, so that only one of them is in memory at a time.
        loop {
            let in_blocks = ahead.iter().filter_map(|it| it.labels.as_ref());
            let least = in_blocks.chain(found.peek().map(|it| &it.labels)).min().cloned();
            let Some(labels) = least else { return Ok(()) };
            samples.clear();
            for it in ahead.iter_mut().filter(|it| it.labels.as_ref() == Some(&labels)) {
                add(&mut samples, &it.samples);
                it.advance()?;
            }
            while let Some(part) = found.next_if(|it| it.labels == labels) {
                let mut more = Samples::default();
                head::read(&part.open, part.late.as_deref(), &mut more);
                trim(&mut more, range.0, range.1);
                add(&mut samples, &more);
            }
            let series = Series { labels: &labels, times: &samples.times, values: &samples.values };
            if !samples.is_empty() && visit(series).is_break() {
                return Ok(());
            }
        }
    }
}

/// A block, and the series of it that comes next.
struct Ahead<'a> {
    block: &'a Block,
    reader: block::Reader<'a>,
    labels: Option<Labels>,
    samples: Samples,
}

impl<'a> Ahead<'a> {
    fn of(block: &'a Block, selection: &Selection<'_>) -> Result<Self, SourceError> {
        let reader = block.reader(selection.matchers, (selection.from_ms, selection.to_ms));
        let reader = reader.map_err(|error| unreadable(block, &error))?;
        let mut ahead = Self { block, reader, labels: None, samples: Samples::default() };
        ahead.advance()?;
        Ok(ahead)
    }

    fn advance(&mut self) -> Result<(), SourceError> {
        let next = self.reader.next(&mut self.samples);
        self.labels = next.map_err(|error| unreadable(self.block, &error))?;
        Ok(())
    }
}

/// Adds samples that are later, as a rule.
fn add(into: &mut Samples, more: &Samples) {
    if into.times.last() < more.times.first() {
        into.times.extend_from_slice(&more.times);
        into.values.extend_from_slice(&more.values);
    } else {
        head::merge(into, more);
    }
}

fn unreadable(block: &Block, error: &io::Error) -> SourceError {
    SourceError::Unreadable(format!("{}: {error}", block.path.display()))
}

impl Store {
    fn overlapping(&self, (from_ms, to_ms): (i64, i64)) -> Vec<Arc<Block>> {
        let mut blocks = self.blocks();
        blocks.retain(|it| it.from_ms <= to_ms && from_ms <= it.to_ms);
        blocks.sort_by_key(|it| (it.from_ms, it.number));
        blocks
    }

    /// Copies of what fits and is in no block yet.
    fn recent(&self, matchers: &[Matcher], (from_ms, to_ms): (i64, i64)) -> Vec<Taken> {
        let mut found = Vec::new();
        let leaving = {
            let live = self.live();
            let is_within = |first: i64, last: i64| first <= to_ms && from_ms <= last;
            if live.head.from_ms.is_some_and(|it| it <= to_ms) {
                for series in live.head.fitting(matchers) {
                    let open = &series.open;
                    let late = series.late.as_ref();
                    if open.len() != 0 && (late.is_some() || is_within(open.first_ms, open.last_ms))
                    {
                        let late = late.cloned();
                        let labels = series.labels.clone();
                        found.push(Taken { labels, open: open.clone(), late });
                    }
                }
            }
            live.leaving()
        };
        for series in leaving.iter().flat_map(|it| it.iter()) {
            let fits = |it: &Matcher| it.fits(series.labels.get(&it.name));
            if matchers.iter().all(fits) {
                found.push(series.clone());
            }
        }
        found
    }

    /// The labels of every series that fits all of `matchers` and may have samples in the time, unless nobody waits for
    /// them any more.
    pub fn series(
        &self,
        matchers: &[Matcher],
        range: (i64, i64),
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<BTreeSet<Labels>, SourceError> {
        let mut found: BTreeSet<Labels> = {
            let live = self.live();
            // A live series may have had all its samples put into a block a moment ago.
            live.head
                .fitting(matchers)
                .filter(|it| it.open.len() != 0)
                .map(|it| it.labels.clone())
                .collect()
        };
        found.extend(self.recent(matchers, range).into_iter().map(|it| it.labels));
        for block in self.overlapping(range) {
            let broken = |error: io::Error| unreadable(&block, &error);
            let index = block.index().map_err(broken)?;
            for number in super::postings::fitting(&index, matchers) {
                if !is_wanted() {
                    return Err(SourceError::Canceled);
                }
                let entry = index.entry(number);
                let entry = entry.map_err(|it| SourceError::Unreadable(it.to_string()))?;
                found.insert(entry.labels);
                if SERIES_MAX <= found.len() {
                    let message = format!("more than {SERIES_MAX} series fit; ask for fewer");
                    return Err(SourceError::Limit(message));
                }
            }
        }
        Ok(found)
    }

    /// The names of labels in the time.
    pub fn label_names(&self, range: (i64, i64)) -> Result<BTreeSet<String>, SourceError> {
        let mut found = BTreeSet::new();
        self.each_label(range, &mut |name, _| {
            if !found.contains(name) {
                found.insert(name.to_owned());
            }
        })?;
        Ok(found)
    }

    /// The values of a label in the time.
    pub fn label_values(
        &self,
        label: &str,
        range: (i64, i64),
    ) -> Result<BTreeSet<String>, SourceError> {
        let mut found = BTreeSet::new();
        self.each_label(range, &mut |name, value| {
            if name == label && !found.contains(value) {
                found.insert(value.to_owned());
            }
        })?;
        Ok(found)
    }

    fn each_label(
        &self,
        range: (i64, i64),
        visit: &mut dyn FnMut(&str, &str),
    ) -> Result<(), SourceError> {
        for (name, values) in self.live().head.postings.names() {
            values.for_each(|(value, _)| visit(name, value));
        }
        for block in self.overlapping(range) {
            let index = block.index().map_err(|error| unreadable(&block, &error))?;
            for (name, values) in index.names() {
                values.for_each(|value| visit(name, value));
            }
        }
        Ok(())
    }

    /// Which metrics and labels have the most, `limit` of each.
    pub fn label_statistics(&self, limit: usize) -> LabelStatistics {
        let live = self.live();
        let mut statistics = LabelStatistics::default();
        for (name, values) in live.head.postings.names() {
            let values: Vec<_> = values.collect();
            statistics.values_by_label.push((name.to_owned(), values.len()));
            if name == promql::labels::NAME {
                let counts = values.into_iter().map(|(value, count)| (value.to_owned(), count));
                statistics.series_by_metric = counts.collect();
            }
        }
        for list in [&mut statistics.series_by_metric, &mut statistics.values_by_label] {
            list.sort_by_key(|it| std::cmp::Reverse(it.1));
            list.truncate(limit);
        }
        statistics
    }
}
