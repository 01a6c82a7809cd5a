//! Events on their way into the journal.

use model::{Index, Timestamp};
use world::rollout::Stage;
use world::{Event, Phase, Purpose, Recorded, World};

use crate::inbox::{Fact, Heard, News, Sight};

/// Events that are not durable yet, and the world as it will be when they are.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) world: World,
    pub(crate) at: Timestamp,
    pub(crate) events: Vec<Recorded>,
}

impl Draft {
    /// Nothing yet, on top of `world`, at a time that is not before it.
    pub(crate) fn new(world: &World, at: Timestamp) -> Self {
        Self { world: world.clone(), at, events: Vec::new() }
    }

    /// Adds an event, if it fits.
    pub(crate) fn add(&mut self, event: Event) {
        let recorded = Recorded { index: self.world.index.next(), at: self.at, event };
        match self.world.fold(&recorded) {
            Ok(()) => self.events.push(recorded),
            Err(error) => {
                // It has used up its number in the draft; undo that.
                self.world.index = Index(recorded.index.0 - 1);
                tracing::error!(%error, "an event that does not fit was not recorded");
            }
        }
    }
}

/// Whether an event is something that was seen, and will not be seen again.
pub(crate) const fn is_fact(event: &Event) -> bool {
    matches!(
        event,
        Event::InstanceStarted { .. }
            | Event::InstanceReady { .. }
            | Event::InstanceUnready { .. }
            | Event::LivenessFailed { .. }
            | Event::InstanceExited { .. }
            | Event::RolloutTold { .. }
    )
}

/// The event that says what was seen; nothing if it is not news.
pub(crate) fn event_of(sight: Sight, world: &World) -> Option<Event> {
    let Sight { application, instance, fact } = sight;
    let known = world.instance(&application, &instance)?;
    Some(match fact {
        Fact::Started(process) => {
            if known.process == Some(process) {
                return None;
            }
            Event::InstanceStarted { application, instance, process }
        }
        // A release command has an end, and nothing before it to wait for.
        _ if known.purpose == Purpose::ReleaseCommand
            && !matches!(fact, Fact::Exited(_) | Fact::Started(_)) =>
        {
            return None;
        }
        Fact::Ready if known.phase == Phase::Running && !known.ready => {
            Event::InstanceReady { application, instance }
        }
        // What is being stopped need not be well any more.
        Fact::Unready(_) | Fact::NotLive(_) if known.phase != Phase::Running => return None,
        Fact::Unready(reason) if known.ready || known.failing.is_none() => {
            Event::InstanceUnready { application, instance, reason }
        }
        Fact::NotLive(reason) if !known.liveness_failed => {
            Event::LivenessFailed { application, instance, reason }
        }
        Fact::Ready | Fact::Unready(_) | Fact::NotLive(_) => return None,
        Fact::Exited(exit) => Event::InstanceExited { application, instance, exit },
    })
}

/// The event that says what was heard of a rollout; nothing if it is not news.
pub(crate) fn event_of_rollout(heard: Heard, world: &World) -> Option<Event> {
    let Heard { application, service, news } = heard;
    let rollout = world.service(&application, &service)?.rollout.as_deref()?;
    match news {
        News::Counted(counted) => {
            let is_current =
                matches!(rollout.stage, Stage::Taking { epoch, .. } if epoch == counted.epoch);
            (rollout.is_active() && is_current && rollout.counted != counted)
                .then_some(Event::RolloutObserved { application, service, counted })
        }
        News::Baseline(thresholds) => (rollout.is_active() && rollout.thresholds.is_none())
            .then_some(Event::RolloutBaselineFrozen { application, service, thresholds }),
        News::Told(failure) => {
            (!rollout.told).then_some(Event::RolloutTold { application, service, failure })
        }
    }
}
