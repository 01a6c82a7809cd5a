//! What is asked of the store, and what it answers.

use std::fmt;
use std::str::FromStr;

use super::{Filter, Record, Severity};

/// Records of one answer, at most.
pub const LIMIT_MAX: usize = 5_000;
/// Bytes of rows that a search reads unless it is told otherwise: some seconds at worst.
pub const SCAN_BYTES: u64 = 4 << 30;

/// Which records are wanted.
#[derive(Clone, Debug)]
pub struct Query {
    /// Of this application; of all if it is absent.
    pub application: Option<String>,
    /// Of these services; of all if it is empty.
    pub services: Vec<String>,
    /// Of this instance.
    pub instance: Option<String>,
    /// At least this grave. Records that do not say are not.
    pub severity: Option<Severity>,
    /// With this in them.
    pub filter: Filter,
    /// Of this trace. A short id means all traces whose low half it is.
    pub trace: Option<u128>,
    /// From this moment, in microseconds since 1970.
    pub from_us: u64,
    /// To before this one.
    pub to_us: u64,
    /// In this order.
    pub order: Order,
    /// As many, up to [`LIMIT_MAX`].
    pub limit: usize,
    /// What comes behind this, from an answer to the same query.
    pub cursor: Option<Cursor>,
    /// Bytes of rows that may be read for it: the answer says how far it came.
    pub scan_bytes: u64,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            application: None,
            services: Vec::new(),
            instance: None,
            severity: None,
            filter: Filter::default(),
            trace: None,
            from_us: 0,
            to_us: u64::MAX,
            order: Order::Newest,
            limit: 100,
            cursor: None,
            scan_bytes: SCAN_BYTES,
        }
    }
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The latest moment.
    Newest,
    /// The earliest moment.
    Oldest,
    /// What came to the store first: what is said late is not missed.
    Arrival,
}

/// How far a search came, in its order: the next goes on behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub(super) u64, pub(super) u64);

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}-{:x}", self.0, self.1)
    }
}

/// It is no cursor of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cursor of an answer; leave it out to begin at the beginning")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (first, second) = text.split_once('-').ok_or(NoCursor)?;
        let number = |it| u64::from_str_radix(it, 16).map_err(|_invalid| NoCursor);
        Ok(Self(number(first)?, number(second)?))
    }
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its number in the store.
    pub position: u64,
    /// What was said.
    pub record: Record,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What was found, in the order asked for.
    pub hits: Vec<Hit>,
    /// Where to go on; absent if there is nothing more.
    pub cursor: Option<Cursor>,
    /// Bytes of rows that were read.
    pub scanned_bytes: u64,
    /// Blocks that could not be read: what is in them was not found.
    pub damaged_blocks: u64,
}

/// What came since a position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// In the order it came.
    pub hits: Vec<Hit>,
    /// Where to go on.
    pub position: u64,
}
