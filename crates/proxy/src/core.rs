//! What one worker owns: the routing state made of the table, buffers, counters.
//!
//! A worker is one thread, so nothing here is locked. A new table is taken over between two steps of the
//! worker's tasks: a request that has begun goes on with what it was given, the next one sees the new.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use host::Clock;
use model::{ApplicationName, Index, InstanceId, Instant, Rng};
use telemetry::report::{Caller, EdgeName, Signals};
use tokio::sync::{Notify, mpsc};
use traffic::EndpointId;
use world::routing::{Table, backend_key};

use crate::buffer::Buffers;
use crate::connections::Connections;
use crate::counters::{Extent, by_name};
use crate::deadline::Deadline;
use crate::decisions::DecisionLog;
use crate::edge::{Beginning, Edge};
use crate::front::Front;
use crate::h1::client::Work;
use crate::h2::outgoing::Answers;
use crate::router::Router;
use crate::spans::Spans;
use crate::upstream::Upstream;

/// What requests needed, kept for the next ones.
const WORKS_MAX: usize = 256;

/// A deadline that is used again: one that is armed already rarely has to be moved.
#[derive(Debug)]
pub(crate) struct Lent {
    core: Rc<Core>,
    deadline: Option<Deadline>,
}

impl Lent {
    /// Moves it to `at`.
    pub(crate) fn set(&mut self, at: Instant) {
        if let Some(deadline) = &mut self.deadline {
            deadline.set(at);
        }
    }

    /// Ready when it has passed.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.deadline.as_mut().map_or(Poll::Pending, |it| it.poll(context))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut known = self.core.deadlines.borrow_mut();
        if let Some(deadline) = self.deadline.take().filter(|_| known.len() < WORKS_MAX) {
            known.push(deadline);
        }
    }
}

/// What a worker tells the main thread.
#[derive(Debug)]
pub(crate) enum Told {
    /// It routes by this table.
    Applied(Index),
    /// An instance has no request in flight any more.
    Drained(ApplicationName, InstanceId),
    /// What it measured last: it ends.
    Measured(Signals),
}

/// What one worker owns.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) clock: Clock,
    latest: Cell<Instant>,
    pub(crate) buffers: Buffers,
    pub(crate) rng: RefCell<Rng>,
    pub(crate) spans: Spans,
    pub(crate) front: Front,
    /// Where decisions are logged, if they are.
    decisions: Option<DecisionLog>,
    pub(crate) connections: Rc<Connections>,
    /// Whether the process is ending, and who wants to be told.
    finishing: Cell<bool>,
    pub(crate) finish: Notify,
    /// Answers on their way over HTTP/2.
    pub(crate) answers: Answers,
    /// Connections that have just been answered and are ready for more.
    pub(crate) awake: Rc<Cell<u32>>,
    #[expect(clippy::vec_box, reason = "they are lent as they are, not moved")]
    works: RefCell<Vec<Box<Work>>>,
    deadlines: RefCell<Vec<Deadline>>,
    told: mpsc::UnboundedSender<(usize, Told)>,
    number: usize,
    routing: RefCell<Routing>,
}

/// The routing state.
#[derive(Debug, Default)]
struct Routing {
    table: Arc<Table>,
    upstreams: BTreeMap<(ApplicationName, InstanceId), Rc<Upstream>>,
    /// Instances that are in the table no more and have requests in flight.
    departing: Vec<((ApplicationName, InstanceId), Rc<Upstream>)>,
    /// Those of them somebody waits for.
    draining: Vec<(ApplicationName, InstanceId)>,
    edges: BTreeMap<String, Rc<Edge>>,
    router: Rc<Router>,
    next_endpoint: u32,
}

impl Core {
    pub(crate) fn new(
        clock: Clock,
        rng: Rng,
        number: usize,
        told: mpsc::UnboundedSender<(usize, Told)>,
        front: Front,
    ) -> Self {
        Self {
            clock,
            latest: Cell::new(clock.now()),
            buffers: Buffers::default(),
            rng: RefCell::new(rng),
            spans: Spans::default(),
            decisions: front.decisions(number),
            front,
            connections: Rc::default(),
            finishing: Cell::new(false),
            finish: Notify::new(),
            answers: Answers::default(),
            awake: Rc::default(),
            works: RefCell::default(),
            deadlines: RefCell::default(),
            told,
            number,
            routing: RefCell::default(),
        }
    }

    /// What was logged of decisions is written.
    pub(crate) fn flush_decisions(&self) {
        if let Some(log) = &self.decisions {
            log.flush();
        }
    }

    /// Reads the clock. Every task does when it goes on, and what it does until it waits again happens
    /// at that moment: a request would read the clock a dozen times otherwise.
    pub(crate) fn tick(&self) -> Instant {
        let now = self.clock.now();
        self.latest.set(now);
        now
    }

    /// The moment this task went on.
    pub(crate) fn now(&self) -> Instant {
        self.latest.get()
    }

    /// The process is ending: connections are given up after the request they are at.
    pub(crate) fn finish(&self) {
        self.finishing.set(true);
        self.finish.notify_waiters();
    }

    /// Whether the process is ending.
    pub(crate) fn is_finishing(&self) -> bool {
        self.finishing.get()
    }

    /// What a request needs while it is worked on.
    pub(crate) fn work(&self) -> Box<Work> {
        let mut work = self.works.borrow_mut().pop().unwrap_or_default();
        work.head.limits = self.front.heads;
        work
    }

    /// Takes it back.
    pub(crate) fn give_work(&self, work: Box<Work>) {
        let mut works = self.works.borrow_mut();
        if works.len() < WORKS_MAX {
            works.push(work);
        }
    }

    /// A deadline at `at`, which goes back when it is dropped.
    pub(crate) fn deadline(self: &Rc<Self>, at: Instant) -> Lent {
        let known = self.deadlines.borrow_mut().pop();
        let deadline = match known {
            Some(mut known) => {
                known.set(at);
                known
            }
            None => Deadline::new(self.clock, at),
        };
        Lent { core: Rc::clone(self), deadline: Some(deadline) }
    }

    /// The edge with this key in the table.
    pub(crate) fn edge(&self, key: &str) -> Option<Rc<Edge>> {
        self.routing.borrow().edges.get(key).map(Rc::clone)
    }

    /// The routes from outside.
    pub(crate) fn router(&self) -> Rc<Router> {
        Rc::clone(&self.routing.borrow().router)
    }

    /// Takes over a table.
    pub(crate) fn apply(&self, table: &Arc<Table>) {
        let now = self.clock.now();
        let mut routing = self.routing.borrow_mut();
        let before = std::mem::replace(&mut routing.table, Arc::clone(table));
        routing.meet(table);
        let rng = self.rng.borrow().child("edges");
        let change = Change { table, before: &before, rng: &rng, core: self, now };
        routing.edges(&change);
        routing.routes(&change);
        routing.part(table);
        drop(routing);
        self.tell(Told::Applied(table.index));
        self.look_for_drained();
    }

    /// Data planes that were replaced have these requests in flight, by edge. Each of `workers` limits its own, so each
    /// counts its part of them.
    pub(crate) fn count_elsewhere(&self, in_flight: &BTreeMap<String, u32>, workers: usize) {
        let now = self.clock.now();
        let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        let number = u32::try_from(self.number).unwrap_or(u32::MAX);
        let routing = self.routing.borrow();
        for edge in routing.edges.values().map(Rc::clone).chain(routing.router.edges()) {
            let all = in_flight.get(&edge.name.key()).copied().unwrap_or(0);
            let rest = u32::from(number < all % workers);
            edge.set_elsewhere(all / workers + rest, now);
        }
    }

    /// Tells when an instance has no request in flight.
    pub(crate) fn drain(&self, application: ApplicationName, instance: InstanceId) {
        let key = (application, instance);
        let mut routing = self.routing.borrow_mut();
        if !routing.draining.contains(&key) {
            routing.draining.push(key);
        }
        drop(routing);
        self.look_for_drained();
    }

    /// A request to an instance has ended.
    pub(crate) fn released(&self, upstream: &Upstream) {
        if upstream.in_flight() == 0 && !self.routing.borrow().draining.is_empty() {
            self.look_for_drained();
        }
    }

    fn look_for_drained(&self) {
        let mut routing = self.routing.borrow_mut();
        let Routing { draining, departing, upstreams, .. } = &mut *routing;
        let mut drained = Vec::new();
        draining.retain(|key| {
            let known = departing.iter().filter(|(it, _)| it == key).map(|(_, it)| it);
            let is_busy = known.chain(upstreams.get(key)).any(|it| 0 < it.in_flight());
            if !is_busy {
                drained.push(key.clone());
            }
            is_busy
        });
        drop(routing);
        for (application, instance) in drained {
            self.tell(Told::Drained(application, instance));
        }
    }

    /// Tells what was measured since the last time: nobody can ask for it any more.
    pub(crate) fn tell_last(&self) {
        self.tell(Told::Measured(self.signals(Extent::Changed)));
    }

    fn tell(&self, told: Told) {
        // Nobody listens when the process is about to end.
        drop(self.told.send((self.number, told)));
    }

    /// What was measured since the last time, or all of it.
    pub(crate) fn signals(&self, extent: Extent) -> Signals {
        let now = self.clock.now();
        let routing = self.routing.borrow();
        let edges = routing.edges.values().map(Rc::clone).chain(routing.router.edges());
        let edges = by_name(edges, extent, now);
        let (spans, spans_dropped) = self.spans.take();
        let upstreams =
            routing.upstreams.values().chain(routing.departing.iter().map(|(_, it)| it));
        Signals {
            at: self.clock.timestamp(),
            edges,
            spans,
            spans_dropped,
            client_connections: self.connections.count(),
            upstream_connections: upstreams.map(|it| it.connections()).sum(),
        }
    }

    /// Closes connections nobody has used for long, and ends answers that nobody takes.
    pub(crate) fn tidy(&self) {
        let now = self.tick();
        self.answers.look(now);
        let routing = self.routing.borrow();
        routing.upstreams.values().for_each(|it| it.tidy(now));
    }

    /// A point on this process's clock for one on the calendar.
    fn instant_of(&self, at: model::Timestamp, now: Instant) -> Instant {
        let age = self.clock.timestamp().since(at);
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        Instant::from_nanos(now.as_nanos().saturating_sub(age))
    }
}

/// One table in place of another.
#[derive(Clone, Copy)]
struct Change<'a> {
    table: &'a Table,
    before: &'a Table,
    rng: &'a Rng,
    core: &'a Core,
    now: Instant,
}

impl Change<'_> {
    /// What edges begin with that are new.
    fn beginning(&self) -> Beginning<'_> {
        Beginning { now: self.now, rng: self.rng, log: self.core.decisions.as_ref() }
    }
}

impl Routing {
    /// Meets instances that are new.
    fn meet(&mut self, table: &Table) {
        for backend in table.backends.values() {
            for endpoint in &backend.endpoints {
                let key = (backend.application.clone(), endpoint.instance.clone());
                match self.upstreams.get(&key) {
                    Some(known) if known.is(endpoint) => continue,
                    Some(known) => {
                        known.leave();
                        self.departing.push((key.clone(), Rc::clone(known)));
                    }
                    None => {}
                }
                let id = EndpointId(self.next_endpoint);
                self.next_endpoint += 1;
                let upstream = Rc::new(Upstream::new(id, endpoint));
                self.upstreams.insert(key, upstream);
            }
        }
    }

    /// Parts from instances that are there no more.
    fn part(&mut self, table: &Table) {
        let endpoints = table.backends.values().flat_map(|backend| {
            backend.endpoints.iter().map(|it| (&backend.application, &it.instance))
        });
        let present: std::collections::BTreeSet<_> = endpoints.collect();
        let Self { upstreams, departing, .. } = self;
        upstreams.retain(|key, upstream| {
            let stays = present.contains(&(&key.0, &key.1));
            if !stays {
                upstream.leave();
                departing.push((key.clone(), Rc::clone(upstream)));
            }
            stays
        });
        departing.retain(|(_, it)| 0 < it.in_flight());
    }

    fn edges(&mut self, change: &Change<'_>) {
        let Change { table, rng, .. } = change;
        for (key, edge) in &table.edges {
            let known = self.edges.get(key).map(Rc::clone);
            let backend = backend_key(&edge.application, &edge.callee);
            let is_new = known.is_none();
            let current = known.unwrap_or_else(|| {
                let name = EdgeName {
                    application: edge.application.clone(),
                    caller: Caller::Service(edge.caller.clone()),
                    callee: edge.callee.clone(),
                };
                let rng = rng.child(key);
                Rc::new(Edge::new(
                    name,
                    &edge.policy,
                    &Beginning { rng: &rng, ..change.beginning() },
                ))
            });
            current.set_policy(&edge.policy, change.now);
            current.set_preference(edge.prefers);
            if is_new || change.is_different(&backend) {
                self.connect(&current, &backend, change);
            }
            self.edges.insert(key.clone(), current);
        }
        self.edges.retain(|key, edge| {
            let stays = table.edges.contains_key(key);
            if !stays {
                edge.leave();
            }
            stays
        });
    }

    fn routes(&mut self, change: &Change<'_>) {
        let is_new = change.table.routes != change.before.routes;
        if is_new {
            self.router =
                Rc::new(Router::new(&change.table.routes, &self.router, &change.beginning()));
        }
        for edge in self.router.edges() {
            let backend = backend_key(&edge.name.application, &edge.name.callee);
            if is_new || change.is_different(&backend) {
                self.connect(&edge, &backend, change);
            }
        }
    }

    /// Gives an edge its callee.
    fn connect(&self, edge: &Edge, backend: &str, change: &Change<'_>) {
        let Change { core, now, .. } = *change;
        let backend = change.table.backends.get(backend);
        let endpoints = backend.map(|it| it.endpoints.as_slice()).unwrap_or_default();
        let application = &edge.name.application;
        let found: Vec<(Rc<Upstream>, Instant)> = endpoints
            .iter()
            .filter_map(|it| {
                let key = (application.clone(), it.instance.clone());
                let ready_at = core.instant_of(it.ready_at, now);
                Some((Rc::clone(self.upstreams.get(&key)?), ready_at))
            })
            .collect();
        let upstreams: Vec<Rc<Upstream>> = found.iter().map(|(it, _)| Rc::clone(it)).collect();
        let ready_at = |place: usize| found.get(place).map_or(now, |(_, at)| *at);
        edge.set_backend(backend, &upstreams, &ready_at, now);
    }
}

impl Change<'_> {
    /// Whether a service is not what it was.
    fn is_different(&self, backend: &str) -> bool {
        match (self.table.backends.get(backend), self.before.backends.get(backend)) {
            (Some(now), Some(then)) => !Arc::ptr_eq(now, then) && now != then,
            (None, None) => false,
            _ => true,
        }
    }
}
