//! A look, once a second, at how recording goes.
//!
//! It sees to the reserve of a disk that fills, finds out whose lines are lost, and raises the alert while something
//! cannot be recorded. Every five seconds it has the journal's log moved into its main file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use host::files::{self, Space};
use host::reserve::{self, Reserve, Tended};
use journal::Journal;
use model::{ApplicationName, Index};
use runtime::Processes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use world::alert::Alert;
use world::{Desired, World};

use crate::alert::{self, Alarm, Source};
use crate::inbox::Input;
use crate::parts::Parts;
use crate::recording::Recording;
use crate::ticks;

/// Looks between which the journal's log grows. Somebody who copies or tidies the data folder may lose the log, and a small
/// installation would not fill it, which moves it by itself, for weeks.
const CHECKPOINT_EVERY: u32 = 5;

/// Looks every second at how recording goes.
#[derive(Clone, Debug)]
pub(crate) struct Lookout {
    folder: PathBuf,
    recording: Recording,
    processes: Processes,
    worlds: watch::Receiver<Arc<World>>,
    inbox: mpsc::Sender<Input>,
    journal: Journal,
}

impl Lookout {
    pub(crate) fn of(parts: &Parts, worlds: watch::Receiver<Arc<World>>, folder: PathBuf) -> Self {
        Self {
            folder,
            recording: parts.recording.clone(),
            processes: parts.processes.clone(),
            worlds,
            inbox: parts.inbox.clone(),
            journal: parts.storage.journal.clone(),
        }
    }

    /// Until the last world was published.
    pub(crate) fn start(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut looks = 0;
            let mut kept = Index::ZERO;
            while ticks::next(&mut ticks, &mut self.worlds).await {
                let me = self.clone();
                looks = (looks + 1) % CHECKPOINT_EVERY;
                let last = self.journal.bounds().last;
                let keeps = looks == 0 && kept < last;
                if keeps {
                    kept = last;
                }
                let looking = move || {
                    me.look();
                    if keeps {
                        me.checkpoint();
                    }
                };
                if let Err(error) = tokio::task::spawn_blocking(looking).await {
                    tracing::error!(%error, "recording cannot be watched");
                }
            }
        })
    }

    fn look(&self) {
        let world = Arc::clone(&self.worlds.borrow());
        let disk = files::space(&self.folder).map_or_else(
            |error| Some(format!("the disk of the data folder cannot be examined: {error}")),
            |space| self.tend(space),
        );
        let running = world.instances().map(|(name, id, _)| (name.clone(), id));
        let losing = self.processes.losing_lines(running);
        self.recording.looked(&world, disk, losing);
        for alarm in alarms(&self.recording.problems(), &world) {
            // Where the inbox is full, the next look says the same.
            let _told: Result<(), _> = self.inbox.try_send(Input::Alarm(alarm));
        }
    }

    fn checkpoint(&self) {
        if let Err(error) = self.journal.checkpoint() {
            // It is whole all the same, in two files.
            tracing::debug!(error = %model::chain(&error), "the journal's log stays beside it");
        }
    }

    /// Sees to the reserve, and says what is wrong with the disk.
    fn tend(&self, space: Space) -> Option<String> {
        match Reserve::of(&self.folder).tend(space) {
            Ok(Tended::GivenUp) => tracing::warn!("the disk is full; the reserve is given up"),
            Ok(Tended::Kept) => tracing::info!("room for a full disk is kept in reserve"),
            Ok(Tended::Same) => {}
            Err(error) => tracing::debug!(%error, "the reserve cannot be seen to"),
        }
        if space.is_read_only {
            return Some(
                "the disk of the data folder is read-only; `dmesg` may say why".to_owned(),
            );
        }
        (space.free_bytes < reserve::floor_bytes(space)).then(|| {
            let free = space.free_bytes >> 10;
            format!(
                "the disk of the data folder has only {free} KiB left, so lines of instances are \
                 dropped; make room"
            )
        })
    }
}

/// What every application's alert should be told, where it is not as it is recorded.
fn alarms(problems: &[String], world: &World) -> Vec<Alarm> {
    let summary = problems.join("; ");
    let alert = Alert {
        name: alert::RECORDING_FAILS.to_owned(),
        labels: BTreeMap::from([("severity".to_owned(), "critical".to_owned())]),
        annotations: BTreeMap::from([("summary".to_owned(), summary)]),
    };
    let firing: BTreeSet<&ApplicationName> = world
        .applications
        .iter()
        .filter(|(_, it)| it.alert(&alert.name, &alert.labels).is_some())
        .map(|(name, _)| name)
        .collect();
    let alarm = |name: &ApplicationName, firing: Vec<Alert>| Alarm {
        application: name.clone(),
        source: Source::Platform,
        firing,
        pending: Vec::new(),
    };
    let mut alarms = Vec::new();
    for (name, state) in &world.applications {
        let should_fire = !problems.is_empty() && state.desired != Desired::Stopped;
        if should_fire != firing.contains(name) {
            let firing = if should_fire { vec![alert.clone()] } else { Vec::new() };
            alarms.push(alarm(name, firing));
        }
    }
    alarms
}
