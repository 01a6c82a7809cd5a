//! Opens a store, whatever state its files are in.
//!
//! Of segments the footers are read; the log is read whole. A segment that is damaged is set aside and named, and the
//! others are opened. The log before the newest segment may still be there if the process was killed between
//! writing the one and cutting the other: what is in both is taken once.

use std::path::Path;
use std::sync::Mutex;

use model::Timestamp;

use crate::segment;
use crate::traces::store::state::State;
use crate::traces::store::{EXTENSION, Inner, Options, Store, StoreError};
use crate::wal::Wal;

/// The folder of the log within the store's.
const LOG: &str = "log";

impl Store {
    /// Opens the store in a folder, which is made if it is not there.
    pub fn open(folder: &Path, options: Options, now: Timestamp) -> Result<Self, StoreError> {
        let unopened = |source| StoreError::Open { folder: folder.to_owned(), source };
        let log = folder.join(LOG);
        std::fs::create_dir_all(&log).map_err(unopened)?;
        let mut state = State::new(&options);
        for number in segment::numbered(folder, EXTENSION).map_err(unopened)? {
            state.open_segment(folder, number)?;
        }
        // Files of a log that was deleted and begun again have numbers from one on, and are in no segment.
        let highest = segment::numbered(&log, "wal").map_err(unopened)?.last().copied();
        let covered = state.segments.last().map(|it| it.log());
        let covered = covered.filter(|it| highest.is_some_and(|highest| *it <= highest));
        let opened = Wal::open(&log, &mut |file, record| {
            if covered.is_none_or(|it| it <= file) {
                state.take(record, now, &options);
                state.relieve(now, &options);
            }
        });
        let (wal, recovery) = opened.map_err(unopened)?;
        for damage in recovery.damage {
            state.note_damage(damage);
        }
        Ok(Self {
            folder: folder.to_owned(),
            options,
            inner: Mutex::new(Inner { wal, flushed: now, state }),
            flushing: Mutex::new(()),
            dictionaries: Mutex::default(),
        })
    }
}
