//! When a request at a synthetic service is worked on, and for how long.
//!
//! First come, first served by so many workers, each of which has one request until it is answered; or
//! all at once on so many processors. What an instance does by itself, `background`, takes its turn like a
//! request. Whoever waits may lose patience or leave; nobody behind them waits for that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use behaviour::sharing::Job;
use behaviour::{Admission, Arrival, Behaviour, Sharing};
use model::workload::{Discipline, QUEUE_DEFAULT, Workload};
use model::{Instant, Rng};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use crate::alarm::Alarm;
use crate::clock::Clock;

/// Where requests take their turns.
pub(crate) struct Turns {
    behaviour: Arc<Behaviour>,
    clock: Clock,
    alarm: Alarm,
    queue_max: usize,
    admission: Mutex<Admission<oneshot::Sender<Permit>>>,
    sharing: Option<Shared>,
}

/// Processors that are shared.
struct Shared {
    jobs: Mutex<Sharing<oneshot::Sender<()>>>,
    /// Rings when the next end may have become another.
    changed: Notify,
}

/// Why a request does not get its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoTurn {
    /// Too many are there.
    #[error("{0} requests wait already, as many as may (`queue`)")]
    QueueFull(usize),
    /// It has waited as long as it would.
    #[error("it waited for {0:?} and left (`patience`)")]
    LeftWaiting(Duration),
}

impl Turns {
    pub(crate) fn new(
        workload: &Workload,
        behaviour: Arc<Behaviour>,
        clock: Clock,
        alarm: Alarm,
    ) -> Self {
        let queue_max = workload.queue.unwrap_or(QUEUE_DEFAULT);
        let shares = workload.discipline == Discipline::ProcessorSharing;
        // Whoever shares processors does not wait for one: a queue is a bound on how many do.
        let (limit, waiting_max) = match (shares, workload.concurrency, workload.queue) {
            (false, workers, _) => (workers, queue_max),
            (true, Some(processors), Some(queue)) => (Some(processors.saturating_add(queue)), 0),
            (true, ..) => (None, 0),
        };
        let in_memory = |it: u32| usize::try_from(it).unwrap_or(usize::MAX);
        let sharing = shares.then(|| Shared {
            jobs: Mutex::new(Sharing::new(workload.concurrency.unwrap_or(1))),
            changed: Notify::new(),
        });
        Self {
            behaviour,
            clock,
            alarm,
            queue_max: in_memory(queue_max),
            admission: Mutex::new(Admission::new(limit, in_memory(waiting_max))),
            sharing,
        }
    }

    fn admission(&self) -> MutexGuard<'_, Admission<oneshot::Sender<Permit>>> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn, but not longer than `patience`.
    pub(crate) async fn take(
        self: &Arc<Self>,
        patience: Option<Duration>,
    ) -> Result<Permit, NoTurn> {
        let mut waiting = None;
        let now = (self.clock)();
        let arrival = self.admission().on_arrival(now, || {
            let (ticket, turn) = oneshot::channel();
            waiting = Some(turn);
            ticket
        });
        let turn = match (arrival, waiting) {
            (Arrival::Admitted, _) => return Ok(Permit(Some(Arc::clone(self)))),
            (Arrival::Queued, Some(turn)) => turn,
            _ => return Err(NoTurn::QueueFull(self.queue_max)),
        };
        let mut waiting = Waiting { turns: self, turn: Some(turn) };
        let turn = async {
            match waiting.turn.as_mut() {
                Some(turn) => turn.await.ok(),
                None => None,
            }
        };
        let permit = match patience {
            None => turn.await,
            Some(patience) => tokio::select! {
                permit = turn => permit,
                () = self.alarm.wait_until(now.after(patience)) => {
                    return Err(NoTurn::LeftWaiting(patience));
                }
            },
        };
        waiting.turn = None;
        permit.ok_or(NoTurn::QueueFull(self.queue_max))
    }

    /// Works for `time` of one processor alone, and longer beside others.
    pub(crate) async fn work(&self, time: Duration) {
        let now = (self.clock)();
        let Some(sharing) = &self.sharing else {
            let working = self.admission().working();
            let time = time.mul_f64(self.behaviour.slowdown(working));
            return self.alarm.wait_until(now.after(time)).await;
        };
        let (ticket, done) = oneshot::channel();
        let job = {
            let mut jobs = sharing.jobs();
            let job = jobs.on_arrival(now, time, ticket);
            self.keep_pace(&mut jobs, now);
            job
        };
        let mut working = Working { turns: self, sharing, job: Some(job) };
        sharing.changed.notify_one();
        if done.await.is_ok() {
            working.job = None;
        }
    }

    /// Work is as slow as so many make it.
    fn keep_pace(&self, jobs: &mut Sharing<oneshot::Sender<()>>, now: Instant) {
        let working = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        jobs.set_speed(now, 1.0 / self.behaviour.slowdown(working));
    }

    /// Lets those that share processors know when they are done, as long as it is polled.
    pub(crate) async fn keep_sharing(self: Arc<Self>) {
        let Some(sharing) = &self.sharing else { return };
        loop {
            let now = (self.clock)();
            let next = {
                let mut jobs = sharing.jobs();
                while let Some(ticket) = jobs.take_done(now) {
                    // Whoever left has dropped the other end, which is no error.
                    ticket.send(()).ok();
                }
                self.keep_pace(&mut jobs, now);
                jobs.deadline()
            };
            match next {
                None => sharing.changed.notified().await,
                Some(at) => tokio::select! {
                    () = self.alarm.wait_until(at) => {}
                    () = sharing.changed.notified() => {}
                },
            }
        }
    }

    /// What an instance does by itself, until the tasks are dropped.
    pub(crate) fn background(self: &Arc<Self>, rng: &Rng) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for place in 0..self.behaviour.background().len() {
            let rng = rng.child(&format!("background/{place}"));
            tasks.spawn(Arc::clone(self).again_and_again(place, rng));
        }
        tasks
    }

    async fn again_and_again(self: Arc<Self>, place: usize, mut rng: Rng) {
        let Some(background) = self.behaviour.background().get(place) else { return };
        loop {
            let pause = background.pause.draw(&mut rng);
            self.alarm.wait_until((self.clock)().after(pause)).await;
            let time = background.work.draw(&mut rng);
            // Where too many wait already it is left out this time.
            if let Ok(_permit) = self.take(None).await {
                self.work(time).await;
            }
        }
    }

    /// Waits until a moment, whatever others do.
    pub(crate) const fn alarm(&self) -> &Alarm {
        &self.alarm
    }
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, Sharing<oneshot::Sender<()>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to be worked on. When it is dropped, whoever waited longest gets it.
pub(crate) struct Permit(Option<Arc<Turns>>);

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        loop {
            let now = (turns.clock)();
            let next = turns.admission().on_done(now);
            let Some(next) = next else { return };
            let Err(mut unwanted) = next.ticket.send(Self(Some(Arc::clone(&turns)))) else {
                return;
            };
            // Its caller has left while it waited: on to the next, here and not in another `drop`.
            unwanted.0 = None;
        }
    }
}

/// A request that waits. When it is dropped before its turn, its place in the queue is free.
struct Waiting<'a> {
    turns: &'a Arc<Turns>,
    turn: Option<oneshot::Receiver<Permit>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            drop(turn);
            self.turns.admission().forget(oneshot::Sender::is_closed);
        }
    }
}

/// A request that shares processors. When it is dropped before it is done, the others are faster.
struct Working<'a> {
    turns: &'a Turns,
    sharing: &'a Shared,
    job: Option<Job>,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            let now = (self.turns.clock)();
            let mut jobs = self.sharing.jobs();
            jobs.on_left(now, job);
            self.turns.keep_pace(&mut jobs, now);
            drop(jobs);
            self.sharing.changed.notify_one();
        }
    }
}
