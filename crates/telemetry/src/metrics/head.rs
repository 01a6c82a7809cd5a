//! The series that get samples now, and their latest samples.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use promql::{Labels, Matcher};
use std::hash::{BuildHasher as _, Hasher as _};

use super::chunk::{OpenChunk, Samples};
use super::postings::{self, Growing};

/// Seeds the hash of labels. It is no secret: what an attacker could make of it is bounded by the limits
/// on series.
const SEED: u64 = 0x7065_6c61_676f;
/// Samples of a series kept out of order, at most.
const LATE_MAX: usize = 1_024;

/// A series and its latest samples.
#[derive(Debug)]
pub(super) struct HeadSeries {
    pub(super) labels: Labels,
    /// Who brought it first.
    pub(super) origin: u32,
    /// The file of the log that says what series this is, zero if none does.
    pub(super) logged: u64,
    /// The last value in that file.
    pub(super) logged_value: f64,
    pub(super) open: OpenChunk,
    /// Samples that came after later ones.
    pub(super) late: Option<Box<Samples>>,
    /// Whether it got a sample since the last flush.
    pub(super) is_fresh: bool,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is kept.
    Kept,
    /// The same sample was there.
    Repeated,
    /// Another value is there at this time.
    Duplicate,
    /// It is too far behind the last.
    TooOld,
}

/// Every series that got samples lately, by number, by labels, and by each label.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Changes when series get other numbers.
    pub(super) generation: u64,
    pub(super) series: Vec<HeadSeries>,
    pub(super) postings: Growing,
    table: HashTable<u32>,
    /// Samples since the last flush.
    pub(super) samples: u64,
    /// The earliest of them.
    pub(super) from_ms: Option<i64>,
    /// The latest of them.
    pub(super) to_ms: Option<i64>,
}

impl Head {
    /// The number of the series with these labels, sorted by name.
    pub(super) fn find(&self, labels: &[(&str, &str)]) -> Option<u32> {
        let is_it = |number: &u32| {
            self.series.get(*number as usize).is_some_and(|it| is_same(&it.labels, labels))
        };
        self.table.find(hash(labels), is_it).copied()
    }

    /// Adds a series that is not there, and returns its number.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], origin: u32) -> u32 {
        let number = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        let kept = self.postings.add(labels);
        self.series.push(HeadSeries {
            labels: kept,
            origin,
            logged: 0,
            logged_value: 0.0,
            open: OpenChunk::default(),
            late: None,
            is_fresh: false,
        });
        let series = &self.series;
        self.table.insert_unique(hash(labels), number, |it| {
            series.get(*it as usize).map_or(0, |it| hash_of(&it.labels))
        });
        number
    }

    /// Gives a series a sample, which may be `late_ms` behind the last one at most.
    pub(super) fn push(&mut self, number: u32, at_ms: i64, value: f64, late_ms: i64) -> Pushed {
        let Some(series) = self.series.get_mut(number as usize) else { return Pushed::TooOld };
        let open = &mut series.open;
        if open.len() == 0 || open.last_ms < at_ms {
            open.push(at_ms, value);
        } else if open.last_ms == at_ms {
            let is_same = open.last.to_bits() == value.to_bits();
            return if is_same { Pushed::Repeated } else { Pushed::Duplicate };
        } else {
            let late = series.late.get_or_insert_default();
            if late_ms < open.last_ms - at_ms || LATE_MAX <= late.len() {
                return Pushed::TooOld;
            }
            late.push(at_ms, value);
        }
        series.is_fresh = true;
        self.samples += 1;
        self.from_ms = Some(self.from_ms.map_or(at_ms, |it| it.min(at_ms)));
        self.to_ms = self.to_ms.max(Some(at_ms));
        Pushed::Kept
    }

    /// The series that fit all matchers.
    pub(super) fn fitting(&self, matchers: &[Matcher]) -> impl Iterator<Item = &HeadSeries> {
        let found = postings::fitting(&self.postings, matchers);
        found.into_iter().filter_map(|it| self.series.get(it as usize))
    }

    /// Takes all samples out; the series stay, with nothing.
    pub(super) fn take(&mut self) -> Vec<Taken> {
        self.samples = 0;
        (self.from_ms, self.to_ms) = (None, None);
        let with_samples = self.series.iter_mut().filter(|it| it.open.len() != 0);
        with_samples
            .map(|it| Taken {
                labels: it.labels.clone(),
                open: std::mem::take(&mut it.open),
                late: it.late.take(),
            })
            .collect()
    }

    /// Forgets series without a sample since this was called last, if they are worth the work; the
    /// others get other numbers then.
    pub(super) fn forget_silent(&mut self) {
        let fresh = self.series.iter().filter(|it| it.is_fresh).count();
        if self.series.len() <= fresh + fresh / 4 {
            self.series.iter_mut().for_each(|it| it.is_fresh = false);
            return;
        }
        let old = std::mem::take(self);
        self.generation = old.generation + 1;
        self.samples = old.samples;
        (self.from_ms, self.to_ms) = (old.from_ms, old.to_ms);
        for series in old.series.into_iter().filter(|it| it.is_fresh || it.open.len() != 0) {
            let labels: Vec<(&str, &str)> =
                series.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            let number = self.add(&labels, series.origin);
            if let Some(new) = self.series.get_mut(number as usize) {
                new.open = series.open;
                new.late = series.late;
            }
        }
    }

    /// Bytes that samples and series take, about.
    pub(super) fn bytes(&self) -> usize {
        let of = |it: &HeadSeries| {
            let late = it.late.as_ref().map_or(0, |it| it.len() * 16);
            it.open.bytes() + late + size_of::<HeadSeries>() + it.labels.len() * 40
        };
        self.series.iter().map(of).sum()
    }
}

/// The samples of a series, on their way into a block.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) labels: Labels,
    pub(super) open: OpenChunk,
    pub(super) late: Option<Box<Samples>>,
}

/// Puts the samples of one series in order into `out`, which is empty.
pub(super) fn read(open: &OpenChunk, late: Option<&Samples>, out: &mut Samples) {
    open.read(out);
    if let Some(late) = late {
        merge(out, late);
    }
}

/// Puts other samples of the same series among `into`; of two at one time the first stays.
pub(super) fn merge(into: &mut Samples, other: &Samples) {
    let mine = into.times.iter().copied().zip(into.values.iter().copied());
    let theirs = other.times.iter().copied().zip(other.values.iter().copied());
    let mut all: Vec<(i64, f64)> = mine.chain(theirs).collect();
    // Stable, so that those that were there first come first.
    all.sort_by_key(|it| it.0);
    all.dedup_by_key(|it| it.0);
    (into.times, into.values) = all.into_iter().unzip();
}

fn is_same(kept: &Labels, labels: &[(&str, &str)]) -> bool {
    let same = |(kept, given): (&promql::labels::Label, &(&str, &str))| {
        *kept.0 == *given.0 && *kept.1 == *given.1
    };
    kept.len() == labels.len() && kept.iter().zip(labels).all(same)
}

fn hash(labels: &[(&str, &str)]) -> u64 {
    hash_all(labels.iter().copied())
}

fn hash_of(labels: &Labels) -> u64 {
    hash_all(labels.iter().map(|(name, value)| (&**name, &**value)))
}

fn hash_all<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hasher = FixedState::with_seed(SEED).build_hasher();
    for (name, value) in labels {
        hasher.write(name.as_bytes());
        hasher.write_u8(0xff);
        hasher.write(value.as_bytes());
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_again_and_forgotten_when_silent() {
        let mut head = Head::default();
        let labels: Vec<String> = (0..100).map(|it| it.to_string()).collect();
        for value in &labels {
            assert_eq!(head.find(&[("a", value)]), None);
            let number = head.add(&[("a", value)], 0);
            assert_eq!(head.push(number, 1, 1.0, 0), Pushed::Kept);
        }
        assert_eq!(head.find(&[("a", "42")]), Some(42));
        assert_eq!(head.take().len(), 100);
        head.forget_silent();
        assert_eq!((head.series.len(), head.generation), (100, 0));
        for number in 50..100 {
            head.push(number, 2, 1.0, 0);
        }
        head.forget_silent();
        assert_eq!((head.series.len(), head.generation), (50, 1));
        assert_eq!(head.find(&[("a", "42")]), None);
        let number = head.find(&[("a", "77")]).unwrap();
        assert_eq!(head.series[number as usize].open.last_ms, 2);
        assert_eq!(head.fitting(&[Matcher::equal("a", "77")]).count(), 1);
    }

    #[test]
    fn samples_out_of_order_are_put_in_order() {
        let mut head = Head::default();
        let number = head.add(&[("a", "1")], 0);
        let mut check = |at_ms, value, expected| {
            assert_eq!(head.push(number, at_ms, value, 50), expected, "{at_ms}");
        };
        check(100, 1.0, Pushed::Kept);
        check(200, 2.0, Pushed::Kept);
        check(200, 2.0, Pushed::Repeated);
        check(200, 3.0, Pushed::Duplicate);
        check(160, 1.6, Pushed::Kept);
        check(150, 1.5, Pushed::Kept);
        check(149, 1.4, Pushed::TooOld);
        let taken = head.take().remove(0);
        let mut samples = Samples::default();
        read(&taken.open, taken.late.as_deref(), &mut samples);
        assert_eq!(samples.times, [100, 150, 160, 200]);
        assert_eq!(samples.values, [1.0, 1.5, 1.6, 2.0]);
    }
}
