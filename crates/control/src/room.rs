//! How much this process can look after, given how many files it may have open.
//!
//! Every instance costs two descriptors for as long as it runs, and a few more while it is started or checked. What
//! would not fit is refused when it is asked for, with the limit's name: a control process without descriptors cannot
//! see what becomes of what it runs.

use std::sync::Arc;

use api::{ApiError, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use world::{ApplicationState, Desired, Event, World};

use crate::draft::Draft;

/// Descriptors of the process itself: the journal, the stores, the runtime, the way to the data plane. Some forty are
/// in use.
const OWN: u64 = 64;
/// One of so many descriptors is for checks.
const CHECKS_SHARE: u64 = 16;
/// One of so many is for starts, which need two each: the supervisor's output, and what tells whether it runs.
const LAUNCHES_SHARE: u64 = 32;
/// Descriptors of an instance while it runs: what tells that its supervisor has ended, and its first process.
const PER_INSTANCE: u64 = 2;
/// Of sixteen, so many are for connections: those of `server`, which takes one in sixteen for each of three listeners.
const CONNECTIONS_OF_16: u64 = 3;
/// More need not happen at once, however many descriptors there are: it would only be slower.
const CHECKS_MAX: u64 = 4_096;
/// The same of starts.
const LAUNCHES_MAX: u64 = 256;

/// What there is room for.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    open_files: Option<u64>,
    /// Descriptors of the data plane for an address: its own, and that of each worker.
    per_address: u64,
    checks: Arc<Semaphore>,
    launches: Arc<Semaphore>,
}

impl Room {
    /// The room of a process that may have so many files open, with so many workers in its data plane.
    pub(crate) fn new(open_files: Option<u64>, workers: usize) -> Self {
        let share = |one_in: u64, max: u64| {
            let permits = open_files.map_or(max, |it| (it / one_in).clamp(1, max));
            Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(1)))
        };
        Self {
            open_files,
            per_address: workers as u64 + 1,
            checks: share(CHECKS_SHARE, CHECKS_MAX),
            launches: share(LAUNCHES_SHARE, LAUNCHES_MAX),
        }
    }

    /// Waits until a check may be tried.
    pub(crate) async fn check(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.checks).acquire_owned().await.ok()
    }

    /// Waits until an instance may be started.
    pub(crate) async fn launch(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.launches).acquire_owned().await.ok()
    }

    /// Refuses what is more than there is room for, and more than before.
    pub(crate) fn admit(&self, draft: &Draft, events: &[Event]) -> Result<(), ApiError> {
        let mut after = Draft::new(&draft.world, draft.at);
        for event in events {
            after.add(event.clone());
        }
        self.check_growth(Need::of(&draft.world), Need::of(&after.world))
    }

    fn check_growth(&self, before: Need, after: Need) -> Result<(), ApiError> {
        let Some(open_files) = self.open_files else { return Ok(()) };
        let instances_max = instances_max(open_files);
        let addresses_max = open_files / 2 / self.per_address;
        let refusal = if before.instances < after.instances && instances_max < after.instances {
            format!("{} instances, and there is room for {instances_max}", after.instances)
        } else if before.addresses < after.addresses && addresses_max < after.addresses {
            format!("{} declared calls, and there is room for {addresses_max}", after.addresses)
        } else {
            return Ok(());
        };
        Err(ApiError::new(
            ErrorKind::Invalid,
            format!(
                "that makes {refusal}: this process may have {open_files} files open (hard limit of RLIMIT_NOFILE); \
                 raise it (`ulimit -Hn`, or LimitNOFILE= in systemd), then start `pelago serve` again"
            ),
        ))
    }
}

/// Instances that can be looked after with so many files.
const fn instances_max(open_files: u64) -> u64 {
    let connections = open_files / 16 * CONNECTIONS_OF_16;
    let starts = open_files / LAUNCHES_SHARE * 2;
    let other = OWN + connections + open_files / CHECKS_SHARE + starts;
    open_files.saturating_sub(other) / PER_INSTANCE
}

/// What is wanted, as far as it costs descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    instances: u64,
    addresses: u64,
}

impl Need {
    fn of(world: &World) -> Self {
        let running = world.applications.values().filter(|it| it.desired == Desired::Running);
        let none = Self { instances: 0, addresses: 0 };
        running.fold(none, |sum, it| Self {
            instances: sum.instances + instances(it),
            addresses: sum.addresses + it.edges.values().map(|it| it.len() as u64).sum::<u64>(),
        })
    }
}

fn instances(state: &ApplicationState) -> u64 {
    let present = state.services.values().filter(|it| !it.removed);
    present.map(|it| u64::from(it.replicas)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        open_files: Option<u64>,
        before: (u64, u64),
        after: (u64, u64),
        refused: Option<&str>,
    ) {
        let need = |(instances, addresses)| Need { instances, addresses };
        let found = Room::new(open_files, 2).check_growth(need(before), need(after));
        match (found, refused) {
            (Ok(()), None) => {}
            (Err(error), Some(words)) => {
                assert!(error.message.contains(words), "{}", error.message);
                assert!(error.message.contains("RLIMIT_NOFILE"), "{}", error.message);
            }
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        check(Some(20_000), (0, 0), (1_000, 1_000), None);
        check(None, (0, 0), (100_000, 0), None);
        check(Some(1_024), (0, 0), (321, 0), Some("321 instances, and there is room for 320"));
        check(Some(1_024), (0, 0), (320, 0), None);
        check(Some(1_024), (0, 0), (1, 171), Some("171 declared calls"));
    }

    #[test]
    fn what_is_there_already_may_become_less() {
        check(Some(128), (1_000, 1_000), (999, 1_000), None);
        check(Some(128), (1_000, 1_000), (1_001, 1_000), Some("1001 instances"));
    }
}
