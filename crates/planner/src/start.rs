//! When a start may be tried again.

use std::time::Duration;

use model::Timestamp;
use model::restart::Restart;
use world::{Ended, Side, Slot};

/// An instance that was ready for less than this has shown nothing: a service without a health check is ready as soon as
/// it listens, and may end at its first request.
const SERVED_MIN: Duration = Duration::from_secs(1);
/// How many times as long as its pause an instance has served. Whatever ends it, its slot then serves for nine tenths of
/// the time, and a start that costs a second of processor is tried at most once in two seconds.
const SERVED_PER_PAUSE: u32 = 10;

/// How long the next start in `slot` must still wait after the failures before it.
pub(crate) fn backoff(side: &Side<'_>, slot: &Slot, now: Timestamp) -> Duration {
    let (Some(end), Some(release)) = (&slot.last_end, side.release()) else {
        return Duration::ZERO;
    };
    if slot.failures == 0 {
        return Duration::ZERO;
    }
    end.at.remaining(pause(&release.service.restart, slot.failures, end), now)
}

/// The pause after `failures` in a row, the last of which was `end`. An instance that has served is away for a small
/// part of that time at most: the pauses are there to spare the machine starts that come to nothing, and its start
/// came to something.
fn pause(restart: &Restart, failures: u32, end: &Ended) -> Duration {
    let pause = restart.pause(failures);
    if end.served < SERVED_MIN {
        return pause;
    }
    pause.min((end.served / SERVED_PER_PAUSE).max(restart.backoff))
}
