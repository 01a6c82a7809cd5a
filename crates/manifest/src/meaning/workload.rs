//! The behaviour of a synthetic service as meant.

use model::name::ServiceName;
use model::units::{Bytes, Share};
use model::workload::{
    Background, Cache, Call, CallStep, Contention, Discipline, Replication, Workload,
};

use super::Reader;
use super::defaults::CALL_TIMES;
use super::work::work;
use crate::problem::Place;
use crate::spec::{
    BackgroundSpec, CacheSpec, CallMapSpec, CallSpec, DisciplineSpec, ReplicationSpec, StepSpec,
    WorkSpec, WorkloadSpec,
};
use crate::yaml::At;

/// A behaviour, and the callees its steps name.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) meant: Workload,
    pub(super) callees: Vec<(ServiceName, Place)>,
}

impl Reader<'_> {
    /// The behaviour that `spec` describes over `base`, key by key.
    pub(super) fn workload(
        &mut self,
        service: &str,
        (base, spec): (&Workload, &WorkloadSpec),
        at: At<'_>,
    ) -> Read {
        let mut callees = Vec::new();
        let steps = match &spec.calls {
            Some(steps) => self.call_steps(service, steps, at.key("calls"), &mut callees),
            None => base.steps.clone(),
        };
        let mut time = |spec: &Option<WorkSpec>, key| {
            spec.as_ref().and_then(|it| work(self.findings, it, at.key(key)))
        };
        let (own, patience) = (time(&spec.work, "work"), time(&spec.patience, "patience"));
        let replication = spec.replication.and_then(|it| self.copies(it, at.key("replication")));
        let background = match &spec.background {
            Some(background) => self.background(background, at.key("background")),
            None => base.background.clone(),
        };
        let meant = Workload {
            work: own.unwrap_or_else(|| base.work.clone()),
            steps,
            errors: spec.errors.map_or(base.errors, |it| it.0),
            response: spec.response.map_or(base.response, |it| it.0),
            concurrency: spec.concurrency.or(base.concurrency),
            queue: spec.queue.or(base.queue),
            patience: patience.or_else(|| base.patience.clone()),
            discipline: match spec.discipline {
                None => base.discipline,
                Some(DisciplineSpec::Fifo) => Discipline::Fifo,
                Some(DisciplineSpec::ProcessorSharing) => Discipline::ProcessorSharing,
            },
            contention: contention(base.contention, spec),
            replication: replication.or(base.replication),
            background,
            startup: spec.startup.map_or(base.startup, |it| it.0),
        };
        self.waits_for_something(&meant, at);
        Read { meant, callees }
    }

    fn call_steps(
        &mut self,
        service: &str,
        steps: &[StepSpec],
        at: At<'_>,
        callees: &mut Vec<(ServiceName, Place)>,
    ) -> Vec<CallStep> {
        let mut meant = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let parallel = self.step_of_calls(service, step, at.item(index), callees);
            if !parallel.is_empty() {
                meant.push(CallStep { parallel });
            }
        }
        meant
    }

    /// Where everything is worked on at once, nothing waits.
    fn waits_for_something(&mut self, meant: &Workload, at: At<'_>) {
        if meant.concurrency.is_some() || at.has("concurrency") {
            return;
        }
        if let Some(key) = ["queue", "patience"].into_iter().find(|it| at.has(it)) {
            let message = format!(
                "`{key}` means nothing where everything is worked on at once; add `concurrency`, such \
                 as `concurrency: 8`"
            );
            self.findings.warn(at.named(key), message);
        }
    }

    fn copies(&mut self, spec: ReplicationSpec, at: At<'_>) -> Option<Replication> {
        let ReplicationSpec { factor, read, write } = spec;
        let factor = factor?;
        let most = factor / 2 + 1;
        let mut asked = |written: Option<u32>, key| {
            if written.is_some_and(|it| factor < it) {
                let message = format!(
                    "`{key}` waits for more copies than there are; write at most the `factor`, {factor}"
                );
                self.findings.error(at.key(key).place, message);
            }
            written.unwrap_or(most)
        };
        let (read, write) = (asked(read, "read"), asked(write, "write"));
        Some(Replication { factor, read, write })
    }

    fn background(&mut self, specs: &[BackgroundSpec], at: At<'_>) -> Vec<Background> {
        let mut meant = Vec::new();
        for (index, BackgroundSpec { every, work: time }) in specs.iter().enumerate() {
            let at = at.item(index);
            let every = every.and_then(|it| self.positive(it.0, "every", at.key("every").place));
            let time = time.as_ref().and_then(|it| work(self.findings, it, at.key("work")));
            if let (Some(every), Some(work)) = (every, time) {
                meant.push(Background { every, work });
            }
        }
        meant
    }

    fn step_of_calls(
        &mut self,
        service: &str,
        spec: &StepSpec,
        at: At<'_>,
        callees: &mut Vec<(ServiceName, Place)>,
    ) -> Vec<Call> {
        let map = match spec {
            StepSpec::Name(name) => {
                return self.named_call(service, name, at.place, callees).into_iter().collect();
            }
            StepSpec::Map(map) => map,
        };
        let message = match (at.has("service"), at.has("parallel")) {
            (true, true) => "a step has `service` or `parallel`; make two steps of it",
            (false, false) => "a step calls something; add `service`, or `parallel` for several",
            (true, false) => {
                let call = CallMapSpec {
                    service: map.service.clone(),
                    probability: map.probability,
                    times: map.times,
                    request: map.request,
                    optional: map.optional,
                    cache: map.cache.clone(),
                    connections: map.connections,
                };
                return self.call(service, &call, at, callees).into_iter().collect();
            }
            (false, true) => {
                let single =
                    ["probability", "times", "request", "optional", "cache", "connections"];
                if let Some(key) = single.into_iter().find(|it| at.has(it)) {
                    let message =
                        format!("`{key}` belongs to one call; write it inside `parallel`");
                    self.findings.error(at.named(key), message);
                }
                return self.parallel(
                    service,
                    map.parallel.as_deref(),
                    at.key("parallel"),
                    callees,
                );
            }
        };
        self.findings.error(at.place, message);
        Vec::new()
    }

    fn parallel(
        &mut self,
        service: &str,
        calls: Option<&[CallSpec]>,
        at: At<'_>,
        callees: &mut Vec<(ServiceName, Place)>,
    ) -> Vec<Call> {
        if calls.is_some_and(<[CallSpec]>::is_empty) {
            self.findings.error(at.place, "`parallel` is empty; add calls or remove it");
        }
        let mut meant = Vec::new();
        for (index, call) in calls.unwrap_or_default().iter().enumerate() {
            let at = at.item(index);
            meant.extend(match call {
                CallSpec::Name(name) => self.named_call(service, name, at.place, callees),
                CallSpec::Map(map) => self.call(service, map, at, callees),
            });
        }
        meant
    }

    fn named_call(
        &mut self,
        service: &str,
        name: &str,
        place: Place,
        callees: &mut Vec<(ServiceName, Place)>,
    ) -> Option<Call> {
        let callee = self.callee(service, name, place)?;
        callees.push((callee.clone(), place));
        Some(Call {
            service: callee,
            probability: Share::ALL,
            times: CALL_TIMES,
            request: Bytes::default(),
            optional: false,
            cache: None,
            connections: None,
        })
    }

    fn call(
        &mut self,
        service: &str,
        spec: &CallMapSpec,
        at: At<'_>,
        callees: &mut Vec<(ServiceName, Place)>,
    ) -> Option<Call> {
        let place = at.key("service").place;
        let call = self.named_call(service, spec.service.as_deref()?, place, callees)?;
        let cache = match &spec.cache {
            Some(cache) => self.cache((service, &call.service), cache, at.key("cache"), callees),
            None => None,
        };
        Some(Call {
            probability: spec.probability.map_or(call.probability, |it| it.0),
            times: spec.times.unwrap_or(call.times),
            request: spec.request.map_or(call.request, |it| it.0),
            optional: spec.optional.unwrap_or(call.optional),
            connections: spec.connections,
            cache,
            ..call
        })
    }

    fn cache(
        &mut self,
        (service, store): (&str, &ServiceName),
        spec: &CacheSpec,
        at: At<'_>,
        callees: &mut Vec<(ServiceName, Place)>,
    ) -> Option<Cache> {
        let CacheSpec { service: cache, hit_ratio } = spec;
        let place = at.key("service").place;
        let cache = self.callee(service, cache.as_deref()?, place)?;
        if cache == *store {
            let message = format!("`{cache}` would be its own cache; name another service");
            self.findings.error(place, message);
            return None;
        }
        callees.push((cache.clone(), place));
        Some(Cache { service: cache, hit_ratio: (*hit_ratio)?.0 })
    }
}

/// What slows down is written in two keys and meant as one.
fn contention(base: Option<Contention>, spec: &WorkloadSpec) -> Option<Contention> {
    let inherited = base.unwrap_or(Contention { contention: 0.0, coherency: 0.0 });
    let share = |it: Option<Share>, inherited| it.map_or(inherited, Share::as_fraction);
    let contention = share(spec.contention.map(|it| it.0), inherited.contention);
    let coherency = share(spec.coherency.map(|it| it.0), inherited.coherency);
    (0.0 < contention + coherency).then_some(Contention { contention, coherency })
}
