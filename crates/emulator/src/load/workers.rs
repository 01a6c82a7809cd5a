//! The connections of a load: each a worker that takes the request that has waited longest, sends it
//! and reports what became of it.
//!
//! A worker that is done is the first to be woken again, so that a load uses as few connections as it
//! needs; a new one starts only when more requests wait than workers do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use model::Instant;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::recorder::{Ending, Phase, Recorder};
use super::report::{Error, Report, Second, Span};
use crate::clock::Clock;
use crate::connection::{Connection, ExchangeError};

/// Requests that may wait for a connection, at most: about 30 MiB. They are given up after the
/// timeout, so that only a load of 100 000 per second with a timeout of 10 s gets near it.
const WAITING_MAX: usize = 1_000_000;

/// A request to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// When it was meant to be sent.
    pub(crate) intended: Instant,
    /// When it was handed to the connections.
    pub(crate) handed: Instant,
    pub(crate) target: usize,
    pub(crate) phase: Phase,
}

/// A target ready to be sent.
pub(crate) struct Prepared {
    /// Its place among the addresses.
    pub(crate) address: usize,
    pub(crate) request: Request<Bytes>,
}

/// What workers are made of.
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) targets: Vec<Prepared>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) connections_max: usize,
    pub(crate) timeout: Duration,
    pub(crate) recorder: Recorder,
}

/// All workers of a load. They end when it is dropped.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    tasks_max: usize,
}

struct Shared {
    clock: Clock,
    targets: Vec<Prepared>,
    addresses: Vec<SocketAddr>,
    timeout: Duration,
    state: Mutex<State>,
    recorder: Mutex<Recorder>,
    job_waits: Notify,
    all_done: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Workers that wait for a job.
    idle: usize,
    /// Jobs that have not ended.
    unfinished: usize,
}

impl Workers {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { clock, targets, addresses, connections_max, timeout, recorder } = settings;
        let shared = Shared {
            clock,
            targets,
            addresses,
            timeout,
            state: Mutex::default(),
            recorder: Mutex::new(recorder),
            job_waits: Notify::new(),
            all_done: Notify::new(),
        };
        Self { shared: Arc::new(shared), tasks: JoinSet::new(), tasks_max: connections_max }
    }

    /// Sends `job` as soon as a connection is free.
    pub(crate) fn send(&mut self, job: Job) {
        let lateness = job.handed.since(job.intended);
        self.shared.recorder().on_due(lateness, job.phase);
        let mut state = self.shared.state();
        state.unfinished += 1;
        if WAITING_MAX <= state.waiting.len() {
            drop(state);
            self.shared.end(job, Ending::Failed(Error::NoConnection));
            return;
        }
        state.waiting.push_back(job);
        let wanted = state.idle < state.waiting.len();
        drop(state);
        if wanted && self.tasks.len() < self.tasks_max {
            self.tasks.spawn(work(Arc::clone(&self.shared)));
        } else {
            self.shared.job_waits.notify_last();
        }
    }

    /// Waits until every job has ended.
    pub(crate) async fn idle(&self) {
        // A permit left by an earlier quiet moment may wake it too early; none can be missed.
        while 0 < self.shared.state().unfinished {
            self.shared.all_done.notified().await;
        }
    }

    pub(crate) fn end_second(&self, number: u32, busy_percent: u8) -> Second {
        let in_flight = self.shared.state().unfinished;
        self.shared.recorder().end_second(number, in_flight, busy_percent)
    }

    /// Ends all workers and reports. Jobs that have not ended are abandoned.
    pub(crate) fn finish(self, span: Span) -> Report {
        drop(self.tasks);
        let unfinished = self.shared.state().unfinished;
        self.shared.recorder().report(span, unfinished)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> Job {
        loop {
            {
                let mut state = self.state();
                if let Some(job) = state.waiting.pop_front() {
                    return job;
                }
                state.idle += 1;
            }
            self.job_waits.notified().await;
            self.state().idle -= 1;
        }
    }

    fn end(&self, job: Job, ending: Ending) {
        let latency = (self.clock)().since(job.intended);
        if job.phase == Phase::Measured {
            self.recorder().on_end(latency, ending);
        }
        let mut state = self.state();
        state.unfinished -= 1;
        if state.unfinished == 0 {
            self.all_done.notify_one();
        }
    }
}

async fn work(shared: Arc<Shared>) {
    let mut connections: Vec<Option<Connection>> = Vec::new();
    connections.resize_with(shared.addresses.len(), || None);
    loop {
        let job = shared.next().await;
        let target = shared.targets.get(job.target);
        let place = target.map(|it| (it, connections.get_mut(it.address)));
        if let Some((target, Some(connection))) = place {
            let ending = send(&shared, job, target, connection).await;
            shared.end(job, ending);
        }
    }
}

async fn send(
    shared: &Shared,
    job: Job,
    target: &Prepared,
    connection: &mut Option<Connection>,
) -> Ending {
    let now = (shared.clock)();
    if job.phase == Phase::Measured {
        shared.recorder().on_taken(now.since(job.handed));
    }
    let left = shared.timeout.saturating_sub(now.since(job.intended));
    if left.is_zero() {
        return Ending::Failed(Error::NoConnection);
    }
    let exchange = exchange(shared, target, connection);
    match tokio::time::timeout(left, exchange).await {
        Ok(Ok(Exchanged { status, bytes, began })) => {
            let service_time = (shared.clock)().since(began);
            Ending::Answered { status: status.as_u16(), bytes, service_time }
        }
        Ok(Err(error)) => {
            *connection = None;
            Ending::Failed(match error {
                ExchangeError::Connect { .. } => Error::Connect,
                ExchangeError::Closed | ExchangeError::Unsent(_) => Error::Reset,
                ExchangeError::Protocol(_) => Error::Protocol,
            })
        }
        Err(_) => {
            *connection = None;
            Ending::Failed(Error::Timeout)
        }
    }
}

struct Exchanged {
    status: StatusCode,
    bytes: u64,
    began: Instant,
}

/// Sends on the connection, opened before if need be; once more on a new one if it had closed before
/// anything was sent.
async fn exchange(
    shared: &Shared,
    target: &Prepared,
    connection: &mut Option<Connection>,
) -> Result<Exchanged, ExchangeError> {
    let address = shared.addresses.get(target.address).ok_or(ExchangeError::Closed)?;
    let mut request = target.request.clone().map(Full::new);
    if let Some(open) = connection.take_if(|it| !it.is_open()) {
        drop(open);
    }
    let mut reused = connection.is_some();
    loop {
        let open = if let Some(open) = connection {
            open
        } else {
            let opened = Connection::open(*address).await?;
            shared.recorder().on_connected();
            connection.insert(opened)
        };
        let began = (shared.clock)();
        let mut bytes = 0;
        match open.exchange(request, |piece| bytes += piece.len() as u64).await {
            Ok(status) => return Ok(Exchanged { status, bytes, began }),
            Err(ExchangeError::Unsent(unsent)) if reused => {
                request = *unsent;
                reused = false;
                *connection = None;
            }
            Err(error) => return Err(error),
        }
    }
}
