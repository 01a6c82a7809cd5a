//! Whether what happens can be written down, and what cannot.
//!
//! A full, read-only or broken disk stops nothing that runs. What must be written waits, what can do without is
//! dropped and counted, and people are told here, since a journal that cannot be written cannot tell them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::unrecorded::UnrecordedEnd;
use model::{ApplicationName, InstanceId, Timestamp};
use world::{Event, World};

/// Instances named in one sentence, at most.
const NAMED_MAX: usize = 5;

type Key = (ApplicationName, InstanceId);

/// What cannot be recorded now, shared by all who find out and all who tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Since when nothing can be appended to the journal, and why.
    journal: Option<(Timestamp, String)>,
    /// What is wrong with the disk.
    disk: Option<String>,
    /// Instances whose lines are lost.
    losing: Vec<Key>,
    /// What waits for the disk, and why.
    waiting: BTreeMap<Key, String>,
    /// Ends of instances that could not be recorded yet.
    ends: Vec<UnrecordedEnd>,
}

impl Recording {
    /// The journal refused something; true if it did not before.
    pub(crate) fn journal_fails(&self, now: Timestamp, reason: &str) -> bool {
        let mut state = self.state();
        let is_new = state.journal.is_none();
        let since = state.journal.take().map_or(now, |it| it.0);
        state.journal = Some((since, reason.to_owned()));
        is_new
    }

    /// These facts could not be recorded, and are kept until they can.
    pub(crate) fn keeps(&self, facts: Vec<Event>) -> Vec<Event> {
        let end = |it: &Event| match it {
            Event::InstanceExited { application, instance, exit } => Some(UnrecordedEnd {
                application: application.clone(),
                instance: instance.clone(),
                exit: Some(exit.clone()),
            }),
            _ => None,
        };
        self.state().ends = facts.iter().filter_map(end).collect();
        facts
    }

    /// Ends of instances that could not be recorded yet.
    pub(crate) fn ends(&self) -> Vec<UnrecordedEnd> {
        self.state().ends.clone()
    }

    /// The journal took something; says since when it had not, if so.
    pub(crate) fn journal_works(&self) -> Option<Timestamp> {
        let mut state = self.state();
        state.ends.clear();
        state.journal.take().map(|it| it.0)
    }

    /// Something about an instance cannot be done until the disk allows it; true if that is news.
    pub(crate) fn waits(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
        reason: String,
    ) -> bool {
        let key = (application.clone(), instance.clone());
        self.state().waiting.insert(key, reason).is_none()
    }

    /// Nothing about an instance waits any more.
    pub(crate) fn goes_on(&self, application: &ApplicationName, instance: &InstanceId) {
        self.state().waiting.remove(&(application.clone(), instance.clone()));
    }

    /// What is wrong, in sentences; nothing if all is well.
    pub(crate) fn problems(&self) -> Vec<String> {
        let state = self.state();
        let mut problems = Vec::new();
        if let Some((since, reason)) = &state.journal {
            problems.push(format!(
                "nothing can be recorded since {since}, so what runs goes on and what ends waits: {reason}"
            ));
        }
        problems.extend(state.disk.clone());
        if !state.losing.is_empty() {
            let names = names(state.losing.iter());
            problems.push(format!("lines of {names} are lost; the log says how many"));
        }
        if let Some(reason) = state.waiting.values().next() {
            let names = names(state.waiting.keys());
            problems.push(format!("waiting for the disk: {names} ({reason})"));
        }
        problems
    }

    /// What a look at the disk and at every instance has found.
    pub(crate) fn looked(&self, world: &World, disk: Option<String>, losing: Vec<Key>) {
        let mut state = self.state();
        (state.disk, state.losing) = (disk, losing);
        state.waiting.retain(|(name, id), _| world.instance(name, id).is_some());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn names<'a>(keys: impl ExactSizeIterator<Item = &'a Key>) -> String {
    let surplus = keys.len().saturating_sub(NAMED_MAX);
    let mut names: Vec<String> =
        keys.take(NAMED_MAX).map(|(name, id)| format!("{name}/{id}")).collect();
    if 0 < surplus {
        names.push(format!("{surplus} more"));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_until_it_is_right_again() {
        let recording = Recording::default();
        assert_eq!(recording.problems(), [""; 0]);
        assert!(recording.journal_fails(Timestamp::from_millis(1), "the disk is full"));
        assert!(!recording.journal_fails(Timestamp::from_millis(2), "it still is"));
        let (name, id) = ("shop".parse().unwrap(), "cart.7".parse().unwrap());
        assert!(recording.waits(&name, &id, "no room".to_owned()));
        let world = World::default();
        recording.looked(&world, Some("read-only".to_owned()), vec![(name.clone(), id.clone())]);
        let said = recording.problems();
        assert_eq!(said.len(), 3, "an instance that nobody knows waits for nothing: {said:?}");
        assert!(said[0].ends_with("it still is") && said[0].contains("00:00:00.001Z"), "{said:?}");
        assert!(said[2].contains("shop/cart.7"), "{said:?}");
        recording.looked(&world, None, Vec::new());
        assert_eq!(recording.journal_works(), Some(Timestamp::from_millis(1)));
        assert_eq!(recording.problems(), [""; 0]);
    }
}
