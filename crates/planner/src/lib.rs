//! Every decision about the fleet: what should run, and what to do about what does not.
//!
//! [`plan`] compares what is wanted with what is, at one moment, and says what to record and what to
//! do. It is level-triggered: it looks at the state alone, never at what it said before, so that it may
//! be asked at any time, any number of times, also by a process that has just been started and knows
//! nothing but the journal. Doing what it says and asking again ends in a state for which it says
//! nothing.
//!
//! It refuses to act, and to remember.

mod application;
mod command;
pub mod judge;
mod partners;
mod place;
mod rollout;
mod service;
mod slot;
mod start;

pub use rollout::{FAILURES_MAX, WATCHED_FOR};

use std::time::Duration;

use model::{ApplicationName, InstanceId, ServiceName, Timestamp};
use world::{Event, World};

/// What should be done now, and when to ask again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Decisions to be recorded, in this order, before anything else is done. When there are any, the
    /// planner wants to be asked again with the state they make.
    pub record: Vec<Event>,
    /// Effects to be brought about. They are idempotent: each is named again until a fact recorded
    /// says that it came about.
    pub effects: Vec<Effect>,
    /// The time after which the same state may call for another plan.
    pub wake_in: Option<Duration>,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Start the process of an instance, if that was not done yet.
    Launch {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
    },
    /// Stop the process of an instance, if it runs.
    Stop {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
    },
    /// Tell whoever wants to know how the last rollout of a service ended.
    Tell {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
    },
}

impl Plan {
    /// Asks to be woken when `delay` has passed, or earlier.
    fn wake_in(&mut self, delay: Duration) {
        self.wake_in = Some(self.wake_in.map_or(delay, |it| it.min(delay)));
    }
}

/// What to do about `world` at `now`.
pub fn plan(world: &World, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    for (name, state) in &world.applications {
        application::plan(name, state, now, &mut plan);
    }
    plan
}
