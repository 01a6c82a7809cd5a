//! The one number that orders everything that happened.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A position in the journal: the number of events that came before and including it.
///
/// Monotonic, never reused, never going back, also over a restart. It is the `ETag` of the API and
/// the position of every long-poll. [`Index::ZERO`] is the empty world.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Index(pub u64);

impl Index {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// The index of the event after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}
