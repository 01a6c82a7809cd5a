//! What the machine's clock is ahead of the time that has passed, for what is let go by its age.

use std::time::Duration;

use host::Clock;
use model::{Index, Timestamp};
use world::{ClockStep, World};

use crate::calendar::Calendar;

/// The clock, and when it was set.
///
/// The world has the steps that are recorded, also those of earlier processes. Between a step and its record all that is
/// kept would be let go, so this one sees them for itself.
#[derive(Debug)]
pub(super) struct Ageing {
    calendar: Calendar,
    steps: Vec<ClockStep>,
}

/// Steps of this process that are remembered. A clock that is set more often has the oldest recorded.
const STEPS_MAX: usize = 100;

impl Ageing {
    pub(super) fn new(clock: Clock) -> Self {
        Self { calendar: Calendar::new(clock, Timestamp::EPOCH), steps: Vec::new() }
    }

    /// What the clock says, after a look whether it was set. If it is set right then, it says so at the next look.
    pub(super) fn look(&mut self) -> Timestamp {
        let Some(by_ms) = self.calendar.step() else { return self.calendar.now() };
        self.calendar.follow(by_ms);
        let at = self.calendar.now();
        if self.steps.len() >= STEPS_MAX {
            self.steps.remove(0);
        }
        self.steps.push(ClockStep { index: Index::ZERO, at, by_ms });
        at
    }

    /// How much further than time has passed in the last `window` the clock went on in it.
    pub(super) fn ahead(&self, world: &World, now: Timestamp, window: Duration) -> Duration {
        world.ahead(now, window).max(world::ahead(&self.steps, now, window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue_12_a_step_counts_before_it_is_recorded_and_once() {
        let year = Duration::from_hours(365 * 24);
        let year_ms = i64::try_from(year.as_millis()).unwrap();
        let mut ageing = Ageing::new(Clock::start());
        let now = ageing.look();
        let mut world = World::default();
        assert_eq!(ageing.ahead(&world, now, year), Duration::ZERO);

        // The clock is a year ahead of where time has brought the calendar.
        ageing.calendar.follow(-year_ms);
        let now = ageing.look();
        let is_about_a_year = |it: Duration| it.abs_diff(year) < Duration::from_mins(1);
        assert!(is_about_a_year(ageing.ahead(&world, now, 2 * year)));
        world.clock_steps.push(ClockStep { index: Index(1), at: now, by_ms: year_ms });
        assert!(is_about_a_year(ageing.ahead(&world, now, 2 * year)), "not twice");
        assert_eq!(ageing.ahead(&world, now.after(2 * year), 2 * year), Duration::ZERO);

        // Set right again.
        ageing.calendar.follow(year_ms);
        let now = ageing.look();
        world.clock_steps.push(ClockStep { index: Index(2), at: now, by_ms: -year_ms });
        assert!(ageing.ahead(&world, now, 2 * year) < Duration::from_mins(1));
    }
}
