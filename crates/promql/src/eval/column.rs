//! A column: the values of one series at every moment of a grid.
//!
//! Where there is none stands the staleness marker, a signalling not-a-number that no arithmetic makes and no
//! selector lets through. So a column is as small as its values, and copying it copies what is missing too.

use std::collections::BTreeMap;

use super::EvalError;
use crate::labels::Labels;
use crate::source::{STALE, is_stale};

/// No value at this moment.
pub(super) const ABSENT: f64 = STALE;

/// Whether there is no value.
pub(super) const fn is_absent(value: f64) -> bool {
    is_stale(value)
}

/// One series at every moment.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) labels: Labels,
    pub(super) values: Vec<f64>,
}

impl Track {
    /// Whether it has no value at all.
    pub(super) fn is_blank(&self) -> bool {
        self.values.iter().all(|it| is_absent(*it))
    }

    /// Computes every value that is there.
    pub(super) fn map(mut self, compute: impl Fn(f64) -> f64) -> Self {
        for value in &mut self.values {
            if !is_absent(*value) {
                *value = compute(*value);
            }
        }
        self
    }
}

/// Series by their labels, where different ones may come to have the same.
#[derive(Debug, Default)]
pub(super) struct Merged {
    places: BTreeMap<Labels, usize>,
    tracks: Vec<Track>,
}

impl Merged {
    /// Adds a series; where another has the same labels, the two must not have values at the same moment.
    pub(super) fn add(&mut self, track: Track) -> Result<(), EvalError> {
        self.add_or(track, |_| same_labels())
    }

    /// The same, with an error of one's own.
    pub(super) fn add_or(
        &mut self,
        track: Track,
        error: impl FnOnce(&Labels) -> EvalError,
    ) -> Result<(), EvalError> {
        let known = self.places.get(&track.labels).and_then(|place| self.tracks.get_mut(*place));
        let Some(known) = known else {
            self.places.insert(track.labels.clone(), self.tracks.len());
            self.tracks.push(track);
            return Ok(());
        };
        for (into, from) in known.values.iter_mut().zip(&track.values) {
            if is_absent(*from) {
                continue;
            }
            if !is_absent(*into) {
                return Err(error(&known.labels));
            }
            *into = *from;
        }
        Ok(())
    }

    /// Adds a series whose labels no other may have.
    pub(super) fn add_distinct(&mut self, track: Track) -> Result<(), EvalError> {
        if self.places.contains_key(&track.labels) {
            return Err(same_labels());
        }
        self.add(track)
    }

    pub(super) fn into_tracks(self) -> Vec<Track> {
        self.tracks
    }
}

fn same_labels() -> EvalError {
    EvalError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}
