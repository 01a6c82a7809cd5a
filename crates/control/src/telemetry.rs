//! What is measured, brought to where it is kept.
//!
//! Tasks have a clock for the stores: every second what came in is forced to the disk, and what instances have said is
//! read on; every five seconds the signals of the data plane, what instances use, and what the platform says of itself
//! become samples. It decides nothing, and nothing waits for it.

mod ageing;
mod collect;
mod lines;
mod names;
mod remote;
pub(crate) mod rules;
mod scrape;
pub(crate) mod spans;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use host::Clock;
use model::{Instant, Timestamp};
use runtime::Processes;
use telemetry::Stores;
use telemetry::metrics::Point;
use telemetry::stores::TickError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use world::World;

use crate::alert::Alarm;
use crate::dataplane::DataPlane;
use crate::inbox::Input;
use crate::ticks;
use ageing::Ageing;
use collect::{Collector, Seen};
use lines::Reader;
use rules::Evaluator;

/// Seconds between two samples of everything the platform measures itself.
const SAMPLE_EVERY: u32 = 5;

/// What the task needs.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) stores: Arc<Stores>,
    pub(crate) clock: Clock,
    pub(crate) data_plane: DataPlane,
    pub(crate) processes: Processes,
    pub(crate) worlds: watch::Receiver<Arc<World>>,
    /// Where it is told what the rules say.
    pub(crate) inbox: mpsc::Sender<Input>,
    /// Where metrics are sent on to, if anywhere.
    pub(crate) remote_write: Option<String>,
}

/// What goes from one second to the next.
#[derive(Debug, Default)]
struct Carried {
    collector: Collector,
    reader: Reader,
    evaluator: Evaluator,
    alarms: Vec<Alarm>,
}

impl Keeper {
    /// Runs until the last world was published, and then forces all to the disk.
    pub(crate) fn start(self) -> JoinHandle<()> {
        let scraper = scrape::Scraper {
            stores: Arc::clone(&self.stores),
            clock: self.clock,
            worlds: self.worlds.clone(),
        };
        let sender = self.remote_write.clone().map(|url| remote::Sender {
            url,
            stores: Arc::clone(&self.stores),
            clock: self.clock,
            file: self.stores.folder().join("metrics-sent"),
            worlds: self.worlds.clone(),
        });
        let sending = async {
            if let Some(sender) = sender {
                sender.run().await;
            }
        };
        let syncing = every_second(self.worlds.clone(), {
            let stores = Arc::clone(&self.stores);
            move || report(stores.sync())
        });
        let keeping = every_second(self.worlds.clone(), {
            let (stores, worlds) = (Arc::clone(&self.stores), self.worlds.clone());
            let ageing = Arc::new(Mutex::new(Ageing::new(self.clock)));
            move || {
                let mut ageing = ageing.lock().unwrap_or_else(PoisonError::into_inner);
                let world = Arc::clone(&worlds.borrow());
                keep(&stores, &world, &mut ageing);
            }
        });
        tokio::spawn(async move {
            // All end with the last world. Each has a task's time of its own: what one takes long for holds up no other.
            tokio::join!(self.run(), scraper.run(), sending, syncing, keeping);
        })
    }

    async fn run(mut self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut carried =
            Carried { reader: Reader::open(self.stores.folder()), ..Carried::default() };
        let mut second = 0_u32;
        while ticks::next(&mut ticks, &mut self.worlds).await {
            let is_due = second.is_multiple_of(SAMPLE_EVERY);
            let seen = is_due.then(|| self.data_plane.read(Seen::of));
            carried = self.tick(carried, seen).await;
            for alarm in carried.alarms.drain(..) {
                // Where the inbox is full, the next evaluation says the same.
                let _told: Result<(), _> = self.inbox.try_send(Input::Alarm(alarm));
            }
            second = second.wrapping_add(1);
        }
        let mut carried = self.tick(carried, None).await;
        if self.stores.has_room() {
            let now = self.clock.timestamp();
            append(&self.stores, &carried.collector.ended(now), now);
        }
    }

    /// Does what is due in a second; everything is sampled if the signals of the data plane are there.
    async fn tick(&self, mut carried: Carried, seen: Option<Seen>) -> Carried {
        let world = Arc::clone(&self.worlds.borrow());
        let (stores, processes) = (Arc::clone(&self.stores), self.processes.clone());
        let (clock, now) = (self.clock, self.clock.timestamp());
        let done = tokio::task::spawn_blocking(move || {
            let has_room = stores.has_room();
            if has_room {
                carried.reader.read(&processes, &world, &stores.logs, now);
            }
            if let Some(seen) = seen
                && has_room
            {
                let points = carried.collector.points(&world, &seen, &stores, now);
                append(&stores, &points, now);
            }
            let stopwatch = || clock.now().since(Instant::from_nanos(0)).as_secs_f64();
            carried.alarms = carried.evaluator.evaluate(&world, &stores, now, &stopwatch);
            // What was read on counts only once it is kept: a process that is killed in between reads it again.
            if stores.logs.sync().is_ok() {
                carried.reader.remember();
            }
            carried
        });
        done.await.unwrap_or_else(|error| {
            tracing::error!(%error, "telemetry cannot be kept");
            Carried { reader: Reader::open(self.stores.folder()), ..Carried::default() }
        })
    }
}

/// Keeps samples of one moment.
fn append(stores: &Stores, points: &[Point], now: Timestamp) {
    let mut appender = stores.metrics.append("pelago", now);
    for point in points {
        appender.point(point);
    }
    if let Err(error) = appender.finish() {
        tracing::warn!(%error, "metrics cannot be kept");
    }
}

/// Does something every second, where it may block, until the last world was published, and once more then.
async fn every_second(
    mut worlds: watch::Receiver<Arc<World>>,
    work: impl Fn() + Clone + Send + 'static,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_last = false;
    while !is_last {
        is_last = !ticks::next(&mut ticks, &mut worlds).await;
        if let Err(error) = tokio::task::spawn_blocking(work.clone()).await {
            tracing::error!(%error, "telemetry cannot be kept");
        }
    }
}

fn keep(stores: &Stores, world: &World, ageing: &mut Ageing) {
    let had_room = stores.has_room();
    let now = ageing.look();
    let (damage, failed) = stores.tick(now, &|window| ageing.ahead(world, now, window));
    for it in damage {
        let file = it.file.display();
        tracing::warn!(%file, reason = it.reason, "damaged telemetry was set aside");
    }
    report(failed);
    if had_room && !stores.has_room() {
        tracing::warn!("the disk is almost full; telemetry is left out until there is room");
    }
}

fn report(failed: Vec<TickError>) {
    for error in failed {
        tracing::warn!(error = %model::chain(&error), "telemetry cannot be kept; it is tried again");
    }
}
