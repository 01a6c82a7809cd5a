//! Taking samples in, within limits.

use std::io;
use std::sync::MutexGuard;

use model::Timestamp;

use super::Point;
use super::head::Pushed;
use super::store::{Live, Store, millis};

/// Labels of one series, at most.
const LABELS_MAX: usize = 64;
/// Bytes of a label's name.
const NAME_BYTES_MAX: usize = 512;
/// Bytes of a label's value.
const VALUE_BYTES_MAX: usize = 2_048;
/// Origins told apart; those that come later share one.
const ORIGINS_MAX: usize = 4_096;

/// Somebody samples come from.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) name: String,
    /// Live series that it brought.
    pub(super) series: usize,
}

impl Origin {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), series: 0 }
    }
}

/// Why a sample was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The origin has as many live series as one may have, or more than are left for all others.
    SeriesOfOrigin,
    /// There are as many live series as there may be.
    Series,
    /// The labels are too many, too long, or none.
    Labels,
    /// It is too far behind the last sample of its series.
    TooOld,
    /// It is too far ahead of the clock.
    TooNew,
    /// The series has another value at this time.
    Duplicate,
}

impl Refusal {
    /// One word, for a label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SeriesOfOrigin => "series_of_origin",
            Self::Series => "series",
            Self::Labels => "labels",
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
            Self::Duplicate => "duplicate",
        }
    }
}

/// What became of what was appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Samples kept, and those that were there already.
    pub accepted: u64,
    /// Samples refused.
    pub refused: u64,
    /// Why, of the last one.
    pub refusal: Option<Refusal>,
}

/// Takes samples of one origin in. What was appended is in the log when it is dropped.
#[derive(Debug)]
pub struct Appender<'a> {
    live: MutexGuard<'a, Live>,
    store: &'a Store,
    origin: u32,
    to_ms: i64,
    appended: Appended,
}

impl<'a> Appender<'a> {
    pub(super) fn new(store: &'a Store, origin: &str, now: Timestamp) -> Self {
        let mut live = store.live();
        let known = live.origins.iter().position(|it| it.name == origin);
        let origin = known.unwrap_or_else(|| {
            if live.origins.len() < ORIGINS_MAX {
                live.origins.push(Origin::new(origin));
            }
            live.origins.len() - 1
        });
        let now_ms = now.as_signed_millis();
        Self {
            live,
            store,
            origin: u32::try_from(origin).unwrap_or(0),
            to_ms: now_ms.saturating_add(millis(store.limits.ahead)),
            appended: Appended::default(),
        }
    }

    /// Changes when series got other numbers.
    pub fn generation(&self) -> u64 {
        self.live.head.generation
    }

    /// The number of the series with these labels, which are sorted here; nothing if it is refused.
    pub fn series(&mut self, labels: &mut Vec<(&str, &str)>) -> Option<u32> {
        labels.retain(|(_, value)| !value.is_empty());
        if !labels.is_sorted_by(|a, b| a.0 < b.0) {
            labels.sort_by_key(|it| it.0);
            labels.dedup_by_key(|it| it.0);
        }
        if let Some(number) = self.live.head.find(labels) {
            return Some(number);
        }
        let is_long = |(name, value): &(&str, &str)| {
            NAME_BYTES_MAX < name.len() || VALUE_BYTES_MAX < value.len()
        };
        let limits = &self.store.limits;
        let of_origin = self.live.origins.get(self.origin as usize).map_or(0, |it| it.series);
        // Who has more than is left gets nothing more of it: so the first that floods gets half of all, the second a
        // quarter, and however many there are, something is left for whoever has little.
        let left = limits.series.saturating_sub(self.live.head.series.len());
        let refusal =
            if labels.is_empty() || LABELS_MAX < labels.len() || labels.iter().any(is_long) {
                Some(Refusal::Labels)
            } else if limits.series <= self.live.head.series.len() {
                Some(Refusal::Series)
            } else if limits.series_of_origin.min(left) <= of_origin {
                Some(Refusal::SeriesOfOrigin)
            } else {
                None
            };
        if let Some(refusal) = refusal {
            self.refuse(refusal);
            return None;
        }
        if let Some(origin) = self.live.origins.get_mut(self.origin as usize) {
            origin.series += 1;
        }
        Some(self.live.head.add(labels, self.origin))
    }

    /// Adds a sample to a series.
    pub fn sample(&mut self, series: u32, at_ms: i64, value: f64) {
        if self.to_ms < at_ms {
            self.refuse(Refusal::TooNew);
            return;
        }
        let late = millis(self.store.limits.late);
        match self.live.head.push(series, at_ms, value, late) {
            Pushed::Kept => self.log(series, at_ms, value),
            Pushed::Repeated => self.appended.accepted += 1,
            Pushed::Duplicate => self.refuse(Refusal::Duplicate),
            Pushed::TooOld => self.refuse(Refusal::TooOld),
        }
    }

    /// Adds a sample with its labels.
    pub fn point(&mut self, point: &Point) {
        let labels = point.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        if let Some(series) = self.series(&mut labels.collect()) {
            self.sample(series, point.at_ms, point.value);
        }
    }

    fn log(&mut self, number: u32, at_ms: i64, value: f64) {
        let live = &mut *self.live;
        let Some(series) = live.head.series.get_mut(number as usize) else { return };
        if series.logged != live.file {
            live.batch.name(number, &series.labels);
            (series.logged, series.logged_value) = (live.file, 0.0);
        }
        live.batch.sample(number, at_ms, series.logged_value, value);
        series.logged_value = value;
        live.appended += 1;
        self.appended.accepted += 1;
    }

    fn refuse(&mut self, refusal: Refusal) {
        *self.live.refused.entry((self.origin, refusal)).or_default() += 1;
        self.appended.refused += 1;
        self.appended.refusal = Some(refusal);
    }

    /// Writes to the log, and says what became of everything.
    pub fn finish(mut self) -> io::Result<Appended> {
        self.live.log()?;
        Ok(self.appended)
    }
}
