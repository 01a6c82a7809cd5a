//! The calendar's time as the journal may have it: never going back unless that is recorded, and never standing still.

use std::time::Duration;

use host::Clock;
use model::{Instant, Timestamp};

/// How far the machine's clock may be from where the time that passed has brought it before that counts as having been
/// set: more than clocks drift between two looks at them, less than people wait for.
const TOLERANCE: Duration = Duration::from_mins(1);

/// The time of the next event.
///
/// Events must not go back in time, and waits are measured between their times. So time goes on by the monotonic
/// clock when the machine's clock is set by more than [`TOLERANCE`], until it is recorded that it was
/// ([`Calendar::step`]). What is set back by less is passed over: events have the later times until the clock has caught up.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    clock: Clock,
    last: Timestamp,
    read_at: Instant,
    /// What the machine's clock said then.
    wall: Timestamp,
}

impl Calendar {
    /// A calendar that goes on from `last`, the time of the last event there is. How long ago that was is not known: the
    /// clock is believed, unless it is behind.
    pub(crate) fn new(clock: Clock, last: Timestamp) -> Self {
        let wall = clock.timestamp();
        Self { clock, last: last.max(wall), read_at: clock.now(), wall }
    }

    /// Now.
    pub(crate) fn now(&mut self) -> Timestamp {
        let (now, wall) = (self.clock.now(), self.clock.timestamp());
        self.advance(now, wall)
    }

    /// By how many milliseconds the machine's clock was set, if it was; less than zero if back.
    pub(crate) fn step(&mut self) -> Option<i64> {
        let now = self.now();
        let by_ms = self.wall.as_signed_millis().saturating_sub(now.as_signed_millis());
        is_set(now, self.wall).then_some(by_ms)
    }

    /// That the machine's clock was set by so much is recorded.
    pub(crate) fn follow(&mut self, by_ms: i64) {
        self.last = self.last.moved(by_ms);
    }

    fn advance(&mut self, now: Instant, wall: Timestamp) -> Timestamp {
        let elapsed = now.since(self.read_at);
        // Parts of a millisecond are kept for the next time.
        let whole = Duration::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        let went_on = self.last.after(whole);
        self.last = if is_set(went_on, wall) { went_on } else { went_on.max(wall) };
        self.read_at = self.read_at.after(whole);
        self.wall = wall;
        self.last
    }
}

fn is_set(went_on: Timestamp, wall: Timestamp) -> bool {
    TOLERANCE < went_on.since(wall) || TOLERANCE < wall.since(went_on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_followed_once_that_is_recorded() {
        let mut calendar = Calendar::new(Clock::start(), Timestamp::EPOCH);
        (calendar.read_at, calendar.last) = (Instant::ZERO, Timestamp::from_millis(100_000));
        let mut check = |nanos, wall, expected: u64, step: i64| {
            let read = calendar.advance(Instant::from_nanos(nanos), Timestamp::from_millis(wall));
            assert_eq!(read.as_millis(), expected, "at {nanos}");
            let set = is_set(read, calendar.wall);
            assert_eq!(set, step != 0, "at {nanos}");
            calendar.follow(step);
        };
        check(0, 100_000, 100_000, 0);
        check(1_000_000_000, 101_000, 101_000, 0);
        // Set back by less than a minute: events go on from where they were.
        check(2_000_000_000, 72_000, 102_000, 0);
        check(2_000_600_000, 72_001, 102_000, 0);
        check(2_001_200_000, 72_001, 102_001, 0);
        check(3_001_200_000, 103_500, 103_500, 0);
        // A year ahead, and right again.
        check(4_001_200_000, 31_536_104_500, 104_500, 31_536_000_000);
        check(5_001_200_000, 31_536_105_500, 31_536_105_500, 0);
        check(6_001_200_000, 106_500, 31_536_106_500, -31_536_000_000);
        check(7_001_200_000, 107_500, 107_500, 0);
    }

    #[test]
    fn what_is_set_while_nobody_looks_is_seen_at_the_start() {
        let clock = Clock::start();
        let ahead = clock.timestamp().after(Duration::from_hours(24));
        let mut calendar = Calendar::new(clock, ahead);
        let by_ms = calendar.step().unwrap();
        assert!((-86_400_000..-86_300_000).contains(&by_ms), "{by_ms}");
        calendar.follow(by_ms);
        assert_eq!(calendar.step(), None);
        assert!(calendar.now() < ahead);
        // However long ago the last event was, the clock was not set since.
        assert_eq!(Calendar::new(clock, Timestamp::EPOCH).step(), None);
    }
}
