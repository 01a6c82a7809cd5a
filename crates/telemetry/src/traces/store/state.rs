//! What a store has in its hands: the head, what is being written, and what is known of the segments.
//!
//! Nothing here waits and nothing writes, so that it may be done under the store's lock.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::Timestamp;

use crate::segment::{self, Damage};
use crate::traces::catalog::Catalog;
use crate::traces::dependencies::Links;
use crate::traces::dictionary::Dictionary;
use crate::traces::encoded::Encoded;
use crate::traces::head::{Added, Head, Key, Trace};
use crate::traces::lineage;
use crate::traces::sampling::{Reason, Sampler};
use crate::traces::sealed::{Sealed, SealedError};
use crate::traces::store::{Appended, EXTENSION, Options, StoreError};

/// Services whose refused spans are counted apart; all others are counted together.
const SERVICES_MAX: usize = 1_000;
/// Damages that are remembered.
const DAMAGE_MAX: usize = 100;
/// Segments that are asked whether spans of a trace were kept before: those of the last minutes.
const LATE_SEGMENTS: usize = 8;

/// What is being written to a segment.
#[derive(Debug, Default)]
pub(super) struct Sealing {
    pub(super) traces: BTreeMap<Key, Trace>,
    pub(super) links: Links,
}

/// What a store has in its hands.
#[derive(Debug)]
pub(super) struct State {
    pub(super) head: Head,
    pub(super) sealing: Option<Arc<Sealing>>,
    pub(super) segments: Vec<Arc<Sealed>>,
    pub(super) catalog: Catalog,
    pub(super) sampler: Sampler,
    pub(super) links: Links,
    pub(super) appended: Appended,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) deleted_spans: u64,
    pub(super) damage: Vec<Damage>,
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            head: Head::default(),
            sealing: None,
            segments: Vec::new(),
            catalog: Catalog::default(),
            sampler: Sampler::new(options.rates, options.slow_us),
            links: Links::default(),
            appended: Appended::default(),
            refused: BTreeMap::new(),
            deleted_spans: 0,
            damage: Vec::new(),
        }
    }

    /// Adds encoded spans to the head; what became of them, and those that were taken, for the log.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
        options: &Options,
    ) -> (Appended, Vec<u8>) {
        let mut appended = Appended::default();
        let mut record = Vec::with_capacity(bytes.len());
        let due = now.after(options.quiet);
        let mut rest = bytes;
        loop {
            let before = rest;
            let Some(span) = Encoded::take(&mut rest) else { break };
            let own = before.get(..before.len() - rest.len()).unwrap_or_default();
            let added = if options.head_bytes_max <= self.head.bytes() {
                Added::TraceFull
            } else {
                self.head.add(&span, own, now, due)
            };
            match added {
                Added::LeftOut => {
                    appended.left_out += 1;
                    self.sampler.count_left_out(&span, now);
                }
                Added::TraceFull => {
                    appended.refused += 1;
                    self.count_refused(span.service);
                }
                Added::Kept | Added::Undecided => {
                    appended.accepted += 1;
                    record.extend_from_slice(own);
                    if added == Added::Kept {
                        self.sampler.count_kept(Reason::Late, 1);
                    }
                }
            }
        }
        (appended, record)
    }

    fn count_refused(&mut self, service: &str) {
        let apart = self.refused.contains_key(service) || self.refused.len() < SERVICES_MAX;
        let service = if apart { service } else { "" };
        *self.refused.entry(service.to_owned()).or_default() += 1;
    }

    /// Decides upon the traces that have waited longest while more is undecided than half the head may hold.
    pub(super) fn relieve(&mut self, now: Timestamp, options: &Options) {
        while options.head_bytes_max / 2 < self.head.undecided_bytes {
            let Some(key) = self.head.next_undecided() else { break };
            self.decide(key, now);
        }
    }

    /// Decides upon a trace.
    pub(super) fn decide(&mut self, key: Key, now: Timestamp) {
        let Some(trace) = self.head.traces.get(&key) else { return };
        let spans: Vec<_> = trace.spans().collect();
        let parts: Vec<_> = spans.iter().map(lineage::of_encoded).collect();
        self.links.count(&parts, trace.start_us);
        let sealing = self.sealing.as_ref().is_some_and(|it| it.traces.contains_key(&key));
        let mut latest = self.segments.iter().rev().take(LATE_SEGMENTS);
        let earlier = sealing || latest.any(|it| it.holds(key.0));
        let kept = self.sampler.decide(&spans, earlier.then_some(Reason::Late), now);
        self.head.decide(key, kept);
    }

    /// Takes what goes into a segment.
    pub(super) fn begin_segment(&mut self) -> Arc<Sealing> {
        let refused = self.links.refused;
        let links = std::mem::take(&mut self.links);
        self.links.refused = refused;
        let sealing = Arc::new(Sealing { traces: self.head.take_kept(), links });
        self.sealing = Some(Arc::clone(&sealing));
        sealing
    }

    /// Takes back what could not be written.
    pub(super) fn put_back(&mut self, sealing: Arc<Sealing>) {
        self.links.append(&sealing.links);
        let sealing = Arc::try_unwrap(sealing);
        self.head.put_back(sealing.map_or_else(|it| it.traces.clone(), |it| it.traces));
    }

    /// Opens the segment with a number, or sets it aside if it is damaged.
    pub(super) fn open_segment(&mut self, folder: &Path, number: u64) -> Result<(), StoreError> {
        let path = segment::path(folder, number, EXTENSION);
        match Sealed::open(&path, number) {
            Ok((sealed, dictionary)) => self.push_segment(sealed, &dictionary),
            Err(error) if is_damage(&error) => {
                let damage = segment::set_aside(&path, error.to_string());
                let unopened = |source| StoreError::Open { folder: folder.to_owned(), source };
                self.note_damage(damage.map_err(unopened)?);
            }
            // A file that may be whole must not be set aside because too many are open.
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Adds a segment, the newest.
    pub(super) fn push_segment(&mut self, sealed: Sealed, dictionary: &Dictionary) {
        let names = self.catalog.add(dictionary, sealed.number);
        self.segments.push(Arc::new(sealed.with_names(names, dictionary)));
    }

    /// Forgets the oldest segment, and what was in no other.
    pub(super) fn forget_oldest(&mut self) {
        if self.segments.is_empty() {
            return;
        }
        self.deleted_spans += self.segments.remove(0).spans();
        self.catalog.forget(self.segments.first().map_or(u64::MAX, |it| it.number));
    }

    /// Remembers a damage, once.
    pub(super) fn note_damage(&mut self, damage: Damage) {
        if self.damage.len() < DAMAGE_MAX && !self.damage.contains(&damage) {
            self.damage.push(damage);
        }
    }
}

/// Whether a segment is not what was written, or the disk cannot read it any more.
fn is_damage(error: &SealedError) -> bool {
    /// The number of `EIO`, by which the system says so.
    const INPUT_OUTPUT_ERROR: i32 = 5;
    match error {
        SealedError::Damaged { .. } => true,
        SealedError::Read { source, .. } => source.raw_os_error() == Some(INPUT_OUTPUT_ERROR),
    }
}
