//! What is under way: jobs (requests at instances, or on their way there and back) and calls (what a caller waits
//! for, over one attempt or several).
//!
//! Both live in pools whose places are used again, so that nothing is allocated for a usual request. What every
//! event looks at is kept apart from what only decisions need.

use behaviour::Execution;
use behaviour::sharing::Job as Share;
use model::route::Priority;
use traffic::{Outcome, Pick, Ticket};

/// No place in a pool.
pub(super) const NONE: u32 = u32::MAX;
/// Attempts of one call at once: one, and a hedge.
pub(super) const AT_ONCE: usize = 2;

/// How far a job is. Some wait for an event of theirs, and keep their place until it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The place is free.
    Free,
    /// On its way to the instance, by an event; or lost on the way, without one.
    Sent,
    Lost,
    /// Waiting for a worker.
    Queued,
    /// Being worked on: of a worker of its own, by an event.
    Working,
    /// Being worked on, by processors that are shared.
    Sharing,
    /// Waiting for its calls, or for copies.
    Calling,
    /// Its answer is on its way, by an event.
    Answering,
    /// Nobody wants it any more, and its event is still to come.
    Dead,
}

/// One request at an instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) stage: Stage,
    pub(super) kind: JobKind,
    /// Which attempt of its call it is.
    pub(super) attempt: u8,
    /// What it came to.
    pub(super) outcome: Outcome,
    pub(super) instance: u32,
    /// Who waits for it; nobody if the caller has left.
    pub(super) call: u32,
    /// Tells it from earlier ones in the same place.
    pub(super) serial: u32,
    /// The first of its calls that are under way.
    pub(super) first_call: u32,
    pub(super) arrived: u64,
    /// When its caller stops waiting.
    pub(super) deadline: u64,
    /// When it leaves the queue.
    pub(super) reneges_at: u64,
    /// Where it is recorded, if it is: trace and span.
    pub(super) span: (u32, u32),
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobKind {
    /// A request.
    Request,
    /// A request at a replicated store, which asks the owners of copies: answers still needed, and still to come.
    Coordinating { needed: u16, left: u16 },
    /// One copy's part of such a request: the job that coordinates, and its serial number.
    Copy { coordinator: u32, serial: u32 },
    /// Work of the instance's own; which.
    Background(u32),
}

/// Jobs.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub(super) all: Vec<Job>,
    pub(super) executions: Vec<Execution>,
    /// Their places among those who share an instance's processors.
    pub(super) shares: Vec<Option<Share>>,
    free: Vec<u32>,
    serial: u32,
}

impl Jobs {
    /// A job for an instance, without anything else to it.
    pub(super) fn add(&mut self, kind: JobKind, instance: u32) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        let job = Job {
            stage: Stage::Sent,
            kind,
            attempt: 0,
            outcome: Outcome::Ok,
            instance,
            call: NONE,
            serial: self.serial,
            first_call: NONE,
            arrived: 0,
            deadline: u64::MAX,
            reneges_at: u64::MAX,
            span: (NONE, NONE),
        };
        if let Some(place) = self.free.pop() {
            self.all[place as usize] = job;
            return place;
        }
        self.all.push(job);
        self.executions.push(Execution::default());
        self.shares.push(None);
        u32::try_from(self.all.len() - 1).unwrap_or(NONE)
    }

    pub(super) fn remove(&mut self, job: u32) {
        self.all[job as usize].stage = Stage::Free;
        self.free.push(job);
    }

    pub(super) fn get(&self, job: u32) -> &Job {
        &self.all[job as usize]
    }

    pub(super) fn get_mut(&mut self, job: u32) -> &mut Job {
        &mut self.all[job as usize]
    }

    /// Whether a place still holds the job with a serial number.
    pub(super) fn is(&self, job: u32, serial: u32) -> bool {
        let it = self.get(job);
        it.serial == serial && !matches!(it.stage, Stage::Free | Stage::Dead)
    }
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) edge: u32,
    /// Tells it from earlier ones in the same place.
    pub(super) serial: u32,
    /// Where on the edge it is decided; nowhere if it goes directly to an instance.
    pub(super) cell: u32,
    /// The job it is made for; none if it comes from outside.
    pub(super) parent: u32,
    /// The kind of users it comes from, if it does.
    pub(super) users: u32,
    /// Its place in the parent's plan; how often the user has tried already.
    pub(super) index: u32,
    /// The other calls of its parent.
    pub(super) previous: u32,
    pub(super) next: u32,
    pub(super) stage: CallStage,
    pub(super) priority: Priority,
    pub(super) is_idempotent: bool,
    /// Whether its parent's instance gave it one of its connections.
    pub(super) has_connection: bool,
    pub(super) zone: u16,
    /// Tells users' requests apart, as a cookie would.
    pub(super) key: u64,
    pub(super) bytes: u64,
    pub(super) began: u64,
    /// When something of it is due, or never.
    pub(super) times_out_at: u64,
    pub(super) due_at: u64,
    pub(super) hedges_at: u64,
    /// The jobs of its attempts.
    pub(super) jobs: [u32; AT_ONCE],
    /// Where it is recorded, if it is: the trace, and the parent's span.
    pub(super) span: (u32, u32),
}

impl Call {
    /// A call of nobody to nowhere.
    pub(super) const fn new() -> Self {
        Self {
            edge: 0,
            serial: 0,
            cell: NONE,
            parent: NONE,
            users: NONE,
            index: 0,
            previous: NONE,
            next: NONE,
            stage: CallStage::Trying,
            priority: Priority::Normal,
            is_idempotent: true,
            has_connection: false,
            zone: 0,
            key: 0,
            bytes: 0,
            began: 0,
            times_out_at: u64::MAX,
            due_at: u64::MAX,
            hedges_at: u64::MAX,
            jobs: [NONE; AT_ONCE],
            span: (NONE, NONE),
        }
    }
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallStage {
    Free,
    /// Waiting for a connection.
    Connecting,
    /// Waiting for a place on its edge.
    Waiting,
    /// An attempt is under way.
    Trying,
    /// Between two attempts.
    Pausing,
}

/// Calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) all: Vec<Call>,
    /// What their edges know of them.
    pub(super) traffic: Vec<Option<traffic::Call>>,
    pub(super) picks: Vec<[Option<Pick>; AT_ONCE]>,
    pub(super) tickets: Vec<Option<Ticket>>,
    free: Vec<u32>,
    serial: u32,
}

impl Calls {
    #[inline]
    pub(super) fn add(&mut self, mut call: Call) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        call.serial = self.serial;
        if let Some(place) = self.free.pop() {
            self.all[place as usize] = call;
            return place;
        }
        self.grow(call)
    }

    #[cold]
    fn grow(&mut self, call: Call) -> u32 {
        self.all.push(call);
        self.traffic.push(None);
        self.picks.push([None, None]);
        self.tickets.push(None);
        u32::try_from(self.all.len() - 1).unwrap_or(NONE)
    }

    pub(super) fn remove(&mut self, call: u32) {
        let it = &mut self.all[call as usize];
        it.stage = CallStage::Free;
        it.times_out_at = u64::MAX;
        it.due_at = u64::MAX;
        it.hedges_at = u64::MAX;
        self.free.push(call);
    }

    pub(super) fn get(&self, call: u32) -> &Call {
        &self.all[call as usize]
    }

    pub(super) fn get_mut(&mut self, call: u32) -> &mut Call {
        &mut self.all[call as usize]
    }
}
