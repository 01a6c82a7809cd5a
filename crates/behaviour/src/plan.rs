//! One request at a synthetic service: what it does, drawn at once.
//!
//! Everything random is decided when the request begins, so that what it does never depends on who
//! executes it or how its calls interleave. The order is that of [`Workload`]: the work, then an
//! error of its own or the steps, one after another. A call that has a cache becomes two: a lookup in
//! the step that was written, and the call itself in a step right after it, for those that miss.

use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use model::workload::{Call, Contention, WorkTime, Workload};
use model::{Rng, ServiceName};

use crate::work_time::Sampler;

/// Calls one request may make, at most: ten times the widest fan-out in the reference
/// architectures, and few enough to hold in memory for thousands of requests at once.
pub const CALLS_MAX: u64 = 1_024;

/// Bytes a body may have in either direction: synthetic bodies are held in memory whole.
pub const BODY_BYTES_MAX: u64 = 16 << 20;

/// Why a workload cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BehaviourError {
    /// The calls of one request, all of them made, are more than [`CALLS_MAX`].
    #[error("one request may make {0} calls; the limit is {CALLS_MAX}, lower `times`")]
    TooManyCalls(u64),
    /// A request to a callee is larger than [`BODY_BYTES_MAX`].
    #[error("a request of {bytes} bytes to `{callee}` is too large; the limit is {BODY_BYTES_MAX}")]
    RequestTooLarge {
        /// The callee.
        callee: ServiceName,
        /// The size as written.
        bytes: u64,
    },
    /// The answer is larger than [`BODY_BYTES_MAX`].
    #[error("a response of {0} bytes is too large; the limit is {BODY_BYTES_MAX}")]
    ResponseTooLarge(u64),
}

/// A workload with its callees numbered and its distributions ready: what requests are drawn from.
///
/// Within the limits of this module, checked on the way in.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    work: Sampler,
    errors: f64,
    steps: Vec<StepTemplate>,
    callees: Vec<Callee>,
    names: Vec<ServiceName>,
    contention: Option<Contention>,
    patience: Option<Sampler>,
    background: Vec<BackgroundWork>,
}

/// What is known of a callee beside its name.
#[derive(Clone, Debug, PartialEq)]
struct Callee {
    connections: Option<u32>,
    /// What its hit ratio is multiplied by, if it is a cache.
    warmth: f64,
}

/// A step as written. Calls with a cache stand apart, so that their lookups stand side by side.
#[derive(Clone, Debug, PartialEq)]
struct StepTemplate {
    cached: Vec<(Template, Lookup)>,
    plain: Vec<Template>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Template {
    call: PlannedCall,
    probability: f64,
    times: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Lookup {
    /// Place of the cache among the callees.
    cache: usize,
    hit_ratio: f64,
}

/// Work an instance does by itself, ready to draw from.
#[derive(Clone, Debug, PartialEq)]
pub struct BackgroundWork {
    /// Time from the end of one to the beginning of the next.
    pub pause: Sampler,
    /// How long it takes.
    pub work: Sampler,
}

impl Behaviour {
    /// The behaviour that `workload` describes.
    pub fn new(workload: &Workload) -> Result<Self, BehaviourError> {
        let all = || workload.steps.iter().flat_map(|it| &it.parallel);
        let lookups = |it: &Call| u64::from(it.cache.is_some());
        let calls: u64 = all().map(|it| u64::from(it.times) * (1 + lookups(it))).sum();
        if CALLS_MAX < calls {
            return Err(BehaviourError::TooManyCalls(calls));
        }
        if let Some(call) = all().find(|it| BODY_BYTES_MAX < it.request.0) {
            let (callee, bytes) = (call.service.clone(), call.request.0);
            return Err(BehaviourError::RequestTooLarge { callee, bytes });
        }
        if BODY_BYTES_MAX < workload.response.0 {
            return Err(BehaviourError::ResponseTooLarge(workload.response.0));
        }
        let background = workload.background.iter().map(|it| BackgroundWork {
            pause: Sampler::new(&WorkTime::Exponential { mean: it.every }),
            work: Sampler::new(&it.work),
        });
        let mut behaviour = Self {
            work: Sampler::new(&workload.work),
            errors: workload.errors.as_fraction(),
            steps: Vec::with_capacity(workload.steps.len()),
            callees: Vec::new(),
            names: Vec::new(),
            contention: workload.contention,
            patience: workload.patience.as_ref().map(Sampler::new),
            background: background.collect(),
        };
        for step in &workload.steps {
            let step = behaviour.step(&step.parallel);
            behaviour.steps.push(step);
        }
        Ok(behaviour)
    }

    #[inline]
    fn step(&mut self, calls: &[Call]) -> StepTemplate {
        let mut step = StepTemplate { cached: Vec::new(), plain: Vec::new() };
        for call in calls {
            let callee = self.callee(&call.service);
            if let (Some(limit), Some(known)) = (call.connections, self.callees.get_mut(callee)) {
                known.connections = Some(known.connections.map_or(limit, |it| it.min(limit)));
            }
            let role = if call.cache.is_some() { Role::OnMiss } else { Role::Call };
            let request_bytes = call.request.0;
            let planned = PlannedCall { callee, request_bytes, optional: call.optional, role };
            let probability = call.probability.as_fraction();
            let template = Template { call: planned, probability, times: call.times };
            match &call.cache {
                Some(cache) => {
                    let hit_ratio = cache.hit_ratio.as_fraction();
                    let lookup = Lookup { cache: self.callee(&cache.service), hit_ratio };
                    step.cached.push((template, lookup));
                }
                None => step.plain.push(template),
            }
        }
        step
    }

    /// The place of a callee, which it gets when it is first mentioned.
    fn callee(&mut self, name: &ServiceName) -> usize {
        self.names.iter().position(|it| it == name).unwrap_or_else(|| {
            self.names.push(name.clone());
            self.callees.push(Callee { connections: None, warmth: 1.0 });
            self.names.len() - 1
        })
    }

    /// The services it calls, caches among them, each once, in the order they are first mentioned:
    /// [`PlannedCall::callee`] is a place in this list.
    pub fn callees(&self) -> &[ServiceName] {
        &self.names
    }

    /// The distribution of its work.
    pub const fn work(&self) -> &Sampler {
        &self.work
    }

    /// Connections one instance has to a callee, for which its calls wait; no limit if absent. The
    /// lowest that one of its calls names.
    #[inline]
    pub fn connections(&self, callee: usize) -> Option<u32> {
        self.callees.get(callee)?.connections
    }

    /// How long a request waits for its turn before it leaves; for ever if absent.
    pub const fn patience(&self) -> Option<&Sampler> {
        self.patience.as_ref()
    }

    /// What every instance does by itself.
    pub fn background(&self) -> &[BackgroundWork] {
        &self.background
    }

    /// How many times as long work takes that begins when `working` requests, itself among them, are
    /// worked on.
    #[inline]
    pub fn slowdown(&self, working: u32) -> f64 {
        let n = f64::from(working.max(1));
        self.contention
            .map_or(1.0, |it| 1.0 + it.contention * (n - 1.0) + it.coherency * n * (n - 1.0))
    }

    /// From the next plan on, lookups in this callee find `warmth` times what they usually do: 0 is
    /// a cache that forgot everything.
    pub fn set_warmth(&mut self, cache: usize, warmth: f64) {
        if let Some(callee) = self.callees.get_mut(cache) {
            callee.warmth = warmth;
        }
    }
}

/// A call that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedCall {
    /// Place of the callee in [`Behaviour::callees`].
    pub callee: usize,
    /// Bytes of the request's body; 0 is a GET.
    pub request_bytes: u64,
    /// Whether a failure is left without consequence for the answer.
    pub optional: bool,
    /// What it is there for.
    pub role: Role,
}

/// What a call is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Itself.
    Call,
    /// To look into a cache.
    Lookup {
        /// Whether the answer is there. A lookup that failed did not find it.
        hit: bool,
    },
    /// To get what a lookup did not find; not made if it did.
    OnMiss,
}

/// What one request does, every draw made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Time it works before anything else.
    pub work: Duration,
    /// Whether it ends with an error of its own after the work.
    pub errs: bool,
    /// The calls of all steps, in order.
    calls: Vec<PlannedCall>,
    /// Every step has at least one call.
    steps: Vec<PlannedStep>,
    /// Calls of the step being drawn that wait for their lookups; kept for its memory.
    on_miss: Vec<PlannedCall>,
}

/// A step of a plan. It begins where the one before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlannedStep {
    /// Place behind its last call.
    pub(crate) end: usize,
    /// The place of its first call's lookup, that of the second beside it, and so on; a step
    /// without them is made whole.
    pub(crate) lookups: Option<usize>,
}

impl Plan {
    /// The plan of one request.
    pub fn draw(behaviour: &Behaviour, rng: &mut Rng) -> Self {
        let mut plan = Self::default();
        plan.redraw(behaviour, rng);
        plan
    }

    /// Draws again into the same memory.
    ///
    /// Draws as often whatever the hit ratios are, so that two plans from equal streams differ by
    /// nothing but what was found.
    #[inline]
    pub fn redraw(&mut self, behaviour: &Behaviour, rng: &mut Rng) {
        self.calls.clear();
        self.steps.clear();
        self.work = behaviour.work.draw(rng);
        self.errs = rng.happens(behaviour.errors);
        if self.errs {
            return;
        }
        for step in &behaviour.steps {
            let begin = self.calls.len();
            self.on_miss.clear();
            for (template, lookup) in &step.cached {
                self.look_up(*template, *lookup, behaviour, rng);
            }
            for template in &step.plain {
                if rng.happens(template.probability) {
                    self.calls.extend((0..template.times).map(|_| template.call));
                }
            }
            if begin < self.calls.len() {
                self.steps.push(PlannedStep { end: self.calls.len(), lookups: None });
            }
            if !self.on_miss.is_empty() {
                self.calls.extend_from_slice(&self.on_miss);
                self.steps.push(PlannedStep { end: self.calls.len(), lookups: Some(begin) });
            }
        }
    }

    fn look_up(
        &mut self,
        template: Template,
        Lookup { cache, hit_ratio }: Lookup,
        behaviour: &Behaviour,
        rng: &mut Rng,
    ) {
        if !rng.happens(template.probability) {
            return;
        }
        let warmth = behaviour.callees.get(cache).map_or(1.0, |it| it.warmth);
        for _ in 0..template.times {
            let role = Role::Lookup { hit: rng.happens(hit_ratio * warmth) };
            let call = PlannedCall { callee: cache, request_bytes: 0, optional: true, role };
            self.calls.push(call);
            self.on_miss.push(template.call);
        }
    }

    /// All its calls, in order, those among them that are only made when a lookup misses.
    #[inline]
    pub fn calls(&self) -> &[PlannedCall] {
        &self.calls
    }

    /// The steps, as places in [`Plan::calls`].
    pub fn steps(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let begins = core::iter::once(0).chain(self.steps.iter().map(|it| it.end));
        begins.zip(&self.steps).map(|(begin, step)| begin..step.end)
    }

    pub(crate) fn step(&self, number: usize) -> Option<PlannedStep> {
        self.steps.get(number).copied()
    }

    /// A lookup did not find anything after all.
    pub(crate) fn missed(&mut self, call: usize) {
        if let Some(PlannedCall { role: Role::Lookup { hit }, .. }) = self.calls.get_mut(call) {
            *hit = false;
        }
    }

    /// Moves the calls of a step whose lookups missed to its beginning, and returns where they end.
    pub(crate) fn gather_misses(&mut self, calls: Range<usize>, lookups: usize) -> usize {
        let mut end = calls.start;
        for (place, lookup) in calls.zip(lookups..) {
            let found = |it: &PlannedCall| it.role == Role::Lookup { hit: true };
            if !self.calls.get(lookup).is_some_and(found) {
                self.calls.swap(end, place);
                end += 1;
            }
        }
        end
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use alloc::vec;
    use model::units::{Bytes, Share};
    use model::workload::{Cache, CallStep};

    pub(crate) fn call(service: &str, percent: u32, times: u32) -> Call {
        Call {
            service: service.parse().unwrap(),
            probability: Share::from_percent(percent),
            times,
            request: Bytes(0),
            optional: service == "ad",
            cache: None,
            connections: None,
        }
    }

    pub(crate) fn workload(steps: Vec<Vec<Call>>) -> Workload {
        Workload {
            work: WorkTime::Fixed { time: Duration::from_millis(5) },
            steps: steps.into_iter().map(|parallel| CallStep { parallel }).collect(),
            ..Workload::default()
        }
    }
    /// A call whose answer is looked for in `cache` first.
    pub(crate) fn cached(service: &str, times: u32, hit_percent: u32) -> Call {
        let hit_ratio = Share::from_percent(hit_percent);
        let cache = Some(Cache { service: "cache".parse().unwrap(), hit_ratio });
        Call { cache, ..call(service, 100, times) }
    }

    #[test]
    fn probabilities_are_met() {
        let workload = Workload {
            errors: Share::from_percent(10),
            ..workload(vec![vec![call("cart", 30, 3), call("db", 70, 1)]])
        };
        let behaviour = Behaviour::new(&workload).unwrap();
        let mut rng = Rng::new(9);
        let mut plan = Plan::default();
        let (mut errors, mut made) = (0, [0; 2]);
        for _ in 0..100_000 {
            plan.redraw(&behaviour, &mut rng);
            errors += u32::from(plan.errs);
            for call in plan.calls() {
                made[call.callee] += 1;
            }
        }
        // Five standard errors: 5 sqrt(n p (1 - p)), times three for three calls at once.
        assert!(errors.abs_diff(10_000) < 475, "{errors}");
        assert!(i32::abs(made[0] - 90_000 * 30 / 100 * 3) < 2_175, "{made:?}");
        assert!(i32::abs(made[1] - 90_000 * 70 / 100) < 725, "{made:?}");
    }

    /// Lookups among 100 000 requests that find something, with the plans' other parts.
    fn hits(hit_percent: u32, warmth: f64) -> (u32, Vec<Duration>) {
        let work = WorkTime::Exponential { mean: Duration::from_millis(1) };
        let steps = vec![vec![cached("db", 1, hit_percent)]];
        let mut behaviour = Behaviour::new(&Workload { work, ..workload(steps) }).unwrap();
        assert_eq!(behaviour.callees(), ["db", "cache"].map(|it| it.parse().unwrap()));
        behaviour.set_warmth(1, warmth);
        let mut rng = Rng::new(3);
        let mut plan = Plan::default();
        let mut found = 0;
        let mut works = Vec::new();
        for _ in 0..100_000 {
            plan.redraw(&behaviour, &mut rng);
            assert_eq!(plan.calls().len(), 2);
            found += u32::from(plan.calls()[0].role == Role::Lookup { hit: true });
            works.push(plan.work);
        }
        (found, works)
    }

    #[test]
    fn a_cold_cache_finds_less_and_shifts_no_other_draw() {
        let (warm, usual) = hits(80, 1.0);
        let (cool, other) = hits(80, 0.25);
        // Five standard errors: 5 sqrt(n p (1 - p)).
        assert!(warm.abs_diff(80_000) < 633, "{warm}");
        assert!(cool.abs_diff(20_000) < 633, "{cool}");
        assert_eq!(hits(80, 0.0).0, 0);
        assert_eq!(hits(100, 1.0).0, 100_000);
        assert_eq!(usual, other);
    }

    #[test]
    fn what_belongs_to_the_instance_is_said() {
        let mut few = call("db", 100, 1);
        few.connections = Some(3);
        let many = Call { connections: Some(9), ..few.clone() };
        let contention = Some(Contention { contention: 0.05, coherency: 0.0002 });
        let workload = workload(vec![vec![many, few], vec![call("ad", 100, 1)]]);
        let behaviour = Behaviour::new(&Workload { contention, ..workload }).unwrap();
        assert_eq!([0, 1, 2].map(|it| behaviour.connections(it)), [Some(3), None, None]);
        // 1 + .05 * 9 + .0002 * 10 * 9.
        assert!((behaviour.slowdown(10) - 1.468).abs() < 1e-12);
        assert!((behaviour.slowdown(1) - 1.0).abs() < 1e-12);
        assert_eq!((behaviour.patience(), behaviour.background().len()), (None, 0));
    }

    #[test]
    fn limits_are_errors_that_name_them() {
        let error = |it: &Workload| Behaviour::new(it).unwrap_err().to_string();
        assert_eq!(
            error(&workload(vec![vec![call("db", 1, 1_000)], vec![call("db", 1, 25)]])),
            "one request may make 1025 calls; the limit is 1024, lower `times`"
        );
        let huge = Workload { response: Bytes(1 << 30), ..Workload::default() };
        assert!(error(&huge).starts_with("a response of 1073741824 bytes is too large"));
        let mut large = call("db", 100, 1);
        large.request = Bytes(1 << 30);
        assert!(error(&workload(vec![vec![large]])).contains("bytes to `db` is too large"));
    }
}
