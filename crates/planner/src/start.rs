//! When a start may be tried again.

use std::time::Duration;

use model::Timestamp;
use world::{Side, Slot};

/// How long the next start in `slot` must still wait after the failures before it.
pub(crate) fn backoff(side: &Side<'_>, slot: &Slot, now: Timestamp) -> Duration {
    let (Some(end), Some(release)) = (&slot.last_end, side.release()) else {
        return Duration::ZERO;
    };
    if slot.failures == 0 {
        return Duration::ZERO;
    }
    end.at.remaining(release.service.restart.pause(slot.failures), now)
}
