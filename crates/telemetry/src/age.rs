//! How old something is by a clock that may have been set.
//!
//! What is kept for a time is let go by the machine's clock, since files outlive processes. A clock that is wrong by a
//! year would let go of everything at once; so whoever knows by how much the clock was set says so.

use std::time::Duration;

/// Says, for a time before now, how much further than time has passed in it the clock went on, by being set.
pub type Ahead<'a> = &'a dyn Fn(Duration) -> Duration;

/// Of a clock that was not set.
pub(crate) fn in_step(_window: Duration) -> Duration {
    Duration::ZERO
}

/// The age from which on something goes, by a clock that is ahead.
pub(crate) fn with_ahead(age: Duration, ahead: Ahead<'_>) -> Duration {
    age.saturating_add(ahead(age))
}
