//! The calendar's time as the journal may have it: never going back, and never standing still.

use std::time::Duration;

use host::Clock;
use model::{Instant, Timestamp};

/// The time of the next event.
///
/// Events must not go back in time, and waits are measured between their times. When the machine's clock is
/// set back, to hold on to the last time until the clock has caught up would stall every wait for so
/// long; so time then goes on by the monotonic clock from where it was.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    clock: Clock,
    last: Timestamp,
    read_at: Instant,
}

impl Calendar {
    /// A calendar that begins no earlier than `last`, the time of the last event there is.
    pub(crate) fn new(clock: Clock, last: Timestamp) -> Self {
        Self { clock, last, read_at: clock.now() }
    }

    /// Now.
    pub(crate) fn now(&mut self) -> Timestamp {
        let (now, wall) = (self.clock.now(), self.clock.timestamp());
        self.advance(now, wall)
    }

    fn advance(&mut self, now: Instant, wall: Timestamp) -> Timestamp {
        let elapsed = now.since(self.read_at);
        // Parts of a millisecond are kept for the next time.
        let whole = Duration::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        self.last = self.last.after(whole).max(wall);
        self.read_at = self.read_at.after(whole);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_goes_on_from_where_it_was() {
        let mut calendar = Calendar::new(Clock::start(), Timestamp::from_millis(10_000));
        calendar.read_at = Instant::ZERO;
        let mut read = |nanos, wall| {
            calendar.advance(Instant::from_nanos(nanos), Timestamp::from_millis(wall)).as_millis()
        };
        assert_eq!(read(0, 10_000), 10_000);
        assert_eq!(read(1_000_000_000, 11_000), 11_000);
        assert_eq!(read(2_000_000_000, 500), 12_000);
        assert_eq!(read(2_000_600_000, 501), 12_000);
        assert_eq!(read(2_001_200_000, 501), 12_001);
        assert_eq!(read(3_000_000_000, 90_000), 90_000);
    }
}
