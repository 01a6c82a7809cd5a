//! An edge on one worker: its decisions, its instances, its counters, and who waits.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use model::edge::Resilience;
use model::service::Protocol;
use model::{Index, Instant, ReleaseNumber, Rng};
use telemetry::Limit;
use telemetry::report::EdgeName;
use traffic::{EndpointId, EndpointSpec, Refusal, Split, Ticket};
use world::routing::{Backend, RequestMatch};

use crate::answer::Answer;
use crate::bounds::{Extent, Kind, Patience, UploadBounds};
use crate::counters::Counters;
use crate::decisions::DecisionLog;
use crate::h1::request::Side;
use crate::limits::TUNNEL_TIME;
use crate::met::Met;
use crate::router::Entry as Route;
use crate::upstream::Upstream;

/// An edge on one worker.
pub(crate) struct Edge {
    pub(crate) name: EdgeName,
    pub(crate) decide: RefCell<traffic::Logged>,
    pub(crate) counters: RefCell<Counters>,
    /// Requests that wait for a place, by ticket.
    pub(crate) waiting: RefCell<BTreeMap<Ticket, Waker>>,
    upstreams: RefCell<Vec<(EndpointId, Rc<Upstream>)>>,
    policy: RefCell<Arc<Resilience>>,
    backend: RefCell<Option<Arc<Backend>>>,
    /// The release of the callee that is preferred, if one is.
    prefers: Cell<Option<ReleaseNumber>>,
    /// Whether every release that has a share has an instance, too: otherwise its share falls to the others,
    /// and it is not by the shares that requests come to them.
    is_shared: Cell<bool>,
    /// Requests in flight in a data plane that was replaced, as far as they take places here.
    elsewhere: Cell<u32>,
    gone: Cell<bool>,
}

/// When an edge begins, with which luck, and where its decisions are logged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning<'a> {
    pub(crate) now: Instant,
    pub(crate) rng: &'a Rng,
    pub(crate) log: Option<&'a DecisionLog>,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Edge").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Edge {
    pub(crate) fn new(name: EdgeName, policy: &Resilience, at: &Beginning<'_>) -> Self {
        let sink = at.log.map(|it| it.sink(&name));
        let decide = traffic::Logged::new(policy, at.rng.clone(), at.now, sink);
        Self {
            decide: RefCell::new(decide),
            counters: RefCell::new(Counters::default()),
            waiting: RefCell::default(),
            upstreams: RefCell::default(),
            policy: RefCell::new(Arc::new(policy.clone())),
            backend: RefCell::default(),
            prefers: Cell::new(None),
            is_shared: Cell::new(true),
            elsewhere: Cell::new(0),
            gone: Cell::new(false),
            name,
        }
    }

    pub(crate) fn set_policy(&self, policy: &Resilience, now: Instant) {
        if **self.policy.borrow() != *policy {
            self.decide.borrow_mut().set_policy(policy, now);
            *self.policy.borrow_mut() = Arc::new(policy.clone());
            self.call_waiting(now);
        }
    }

    /// So many requests are in flight elsewhere and take places here.
    pub(crate) fn set_elsewhere(&self, in_flight: u32, now: Instant) {
        if self.elsewhere.replace(in_flight) != in_flight {
            self.decide.borrow_mut().set_elsewhere(in_flight, now);
            self.call_waiting(now);
        }
    }

    /// Wakes requests that wait and are to ask again: a place is free for them, or there will be none.
    pub(crate) fn call_waiting(&self, now: Instant) {
        // On the usual path nobody waits.
        while !self.waiting.borrow().is_empty() {
            let Some(ticket) = self.decide.borrow_mut().expired(now) else { return };
            self.call(ticket);
        }
    }

    /// Wakes the one that waits with this ticket.
    pub(crate) fn call(&self, ticket: Ticket) {
        if let Some(waker) = self.waiting.borrow_mut().remove(&ticket) {
            waker.wake();
        }
    }

    /// How long a connection that crosses it may go on when its data plane is replaced.
    pub(crate) fn drain(&self) -> Duration {
        self.policy.borrow().drain
    }

    /// How long a connection whose bytes pass as they come may be silent.
    pub(crate) fn tunnel_idle(&self) -> Duration {
        self.policy.borrow().idle_timeout.unwrap_or(TUNNEL_TIME)
    }

    /// How long the body of an answer may stand still.
    pub(crate) fn patience(&self, extent: Extent) -> Patience {
        Patience::new(&self.policy.borrow(), extent)
    }

    /// The time for a request, and that for one attempt if it has one of its own.
    pub(crate) fn timeouts(&self) -> (Duration, Option<Duration>) {
        let policy = self.policy.borrow();
        (policy.timeout, policy.retry.attempt_timeout)
    }

    /// The limit by which a request is refused, if it is one. `wait` is how long the breaker stays open.
    fn limit_of(&self, refusal: &Refusal, wait: Option<Duration>) -> Option<Limit> {
        let policy = self.policy.borrow();
        let in_flight = || {
            let limit = self.decide.borrow().limit()?;
            let is_found = policy.adaptive_concurrency && policy.max_concurrency != Some(limit);
            Some(if is_found { Met::AdaptiveConcurrency(limit) } else { Met::Concurrency(limit) })
        };
        let met = match refusal {
            Refusal::NoInstance => None,
            Refusal::CircuitOpen { .. } => wait.map(Met::Breaker),
            Refusal::Overloaded | Refusal::Shed(_) => in_flight(),
            Refusal::QueueTimeout => Some(Met::QueueWait(policy.queue.wait)),
            Refusal::DeadlinePassed => Some(Met::CallerTimeout(Duration::ZERO)),
        };
        met.map(|it| it.at(self.name.hop()))
    }

    /// The answer to a request that is refused.
    pub(crate) fn refused(&self, refusal: &Refusal, now: Instant) -> Answer {
        let wait = match refusal {
            Refusal::CircuitOpen { until } => Some(until.since(now)),
            _ => None,
        };
        let answer = Answer::refused(refusal, self.name.callee.as_str(), wait);
        Answer { limit: self.limit_of(refusal, wait).map(Box::new), ..answer }
    }

    /// Whether requests may be repeated whose method does not say so, as those of gRPC.
    pub(crate) fn repeats_calls(&self) -> bool {
        let policy = self.policy.borrow();
        policy.retry.non_idempotent && 0 < policy.retry.attempts
    }

    /// What a request's body is allowed, by its route's own limit if it has one.
    pub(crate) fn upload_bounds(&self, route: Option<&Route>, kind: Kind) -> UploadBounds {
        let side = if route.is_some() { Side::Outside } else { Side::Mesh };
        let route_max = route.and_then(|it| it.route.max_body);
        UploadBounds::new(&self.policy.borrow(), route_max, (side, kind))
    }

    /// What the callee speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.backend.borrow().as_ref().map_or(Protocol::Http, |it| it.protocol)
    }

    /// Takes over the callee as it is now. `upstreams` are its instances, in the order of the backend's
    /// endpoints; `ready_at` gives when each became ready.
    pub(crate) fn set_backend(
        &self,
        backend: Option<&Arc<Backend>>,
        upstreams: &[Rc<Upstream>],
        ready_at: &dyn Fn(usize) -> Instant,
        now: Instant,
    ) {
        let specs: Vec<EndpointSpec> = upstreams
            .iter()
            .enumerate()
            .map(|(place, upstream)| EndpointSpec {
                id: upstream.id,
                release: upstream.release,
                weight: 1,
                zone: 0,
                ready_at: ready_at(place),
            })
            .collect();
        let shares = backend.iter().flat_map(|it| &it.split).map(|it| (it.release, it.weight));
        let split = Split { shares: shares.collect() };
        let has_instance = |it: &(ReleaseNumber, _)| specs.iter().any(|spec| spec.release == it.0);
        self.is_shared.set(split.shares.iter().all(has_instance));
        self.decide.borrow_mut().set_endpoints(&specs, &split, now);
        let mut known: Vec<_> = upstreams.iter().map(|it| (it.id, Rc::clone(it))).collect();
        known.sort_unstable_by_key(|(id, _)| *id);
        *self.upstreams.borrow_mut() = known;
        self.counters.borrow_mut().set_trial(backend.and_then(|it| it.trial.as_ref()));
        *self.backend.borrow_mut() = backend.map(Arc::clone);
    }

    /// The instance a decision named.
    pub(crate) fn upstream(&self, id: EndpointId) -> Option<Rc<Upstream>> {
        let upstreams = self.upstreams.borrow();
        let place = upstreams.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        upstreams.get(place).map(|(_, upstream)| Rc::clone(upstream))
    }

    /// The release that a request goes to whatever the shares: one that what `is_there` is matched with, or the
    /// one that is preferred while it has an instance that is not ejected.
    pub(crate) fn asked_release(
        &self,
        is_there: &dyn Fn(&RequestMatch) -> bool,
    ) -> Option<ReleaseNumber> {
        let backend = self.backend.borrow();
        let backend = backend.as_ref()?;
        let matched = backend.matches.iter().find(|it| is_there(&it.has)).map(|it| it.release);
        let has_one =
            |release: &ReleaseNumber| backend.endpoints.iter().any(|it| it.release == *release);
        if matched.is_some() {
            return matched.filter(has_one);
        }
        self.prefers.get().filter(|it| self.decide.borrow().takes(*it))
    }

    /// The comparison of releases that requests are part of now, unless one of them cannot get its share.
    pub(crate) fn trial(&self) -> Option<Index> {
        self.counters.borrow().trial_epoch().filter(|_| self.is_shared.get())
    }

    /// Has requests go to a release while it has an instance that is not ejected.
    pub(crate) fn set_preference(&self, release: Option<ReleaseNumber>) {
        self.prefers.set(release);
    }

    /// What requests are told apart by, where that matters: the balance's key, or what keeps a caller at
    /// its release.
    pub(crate) fn key(&self) -> Option<model::edge::RequestKey> {
        let own = self.policy.borrow().balance.key.clone();
        own.or_else(|| self.backend.borrow().as_ref().and_then(|it| it.sticky.clone()))
    }

    /// Whether requests are told apart or matched at all: on the usual path nothing is looked up.
    pub(crate) fn is_plain(&self) -> bool {
        let backend = self.backend.borrow();
        self.policy.borrow().balance.key.is_none()
            && self.prefers.get().is_none()
            && backend.as_ref().is_none_or(|it| it.sticky.is_none() && it.matches.is_empty())
    }

    pub(crate) fn leave(&self) {
        self.gone.set(true);
    }

    /// Whether it is declared no more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get()
    }
}
