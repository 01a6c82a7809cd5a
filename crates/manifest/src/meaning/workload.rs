//! The behaviour of a synthetic service as meant.

use model::name::ServiceName;
use model::units::{Bytes, Share};
use model::workload::{Call, CallStep, WorkTime, Workload};

use super::Reader;
use super::defaults::CALL_TIMES;
use crate::problem::Place;
use crate::spec::{
    CallMapSpec, CallSpec, StepMapSpec, StepSpec, WorkMapSpec, WorkSpec, WorkloadSpec,
};
use crate::yaml::At;

/// A behaviour, and the callees its steps name.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) meant: Workload,
    pub(super) callees: Vec<(ServiceName, Place)>,
}

impl Reader<'_> {
    pub(super) fn workload(&mut self, service: &str, spec: &WorkloadSpec, at: At<'_>) -> Read {
        let WorkloadSpec { work, errors, calls, response, concurrency, startup } = spec;
        let otherwise = Workload::default();
        let mut callees = Vec::new();
        let mut steps = Vec::new();
        let at_calls = at.key("calls");
        for (index, step) in calls.iter().flatten().enumerate() {
            let parallel = self.step_of_calls(service, step, at_calls.item(index), &mut callees);
            if !parallel.is_empty() {
                steps.push(CallStep { parallel });
            }
        }
        let work = work.as_ref().and_then(|it| self.work(it, at.key("work")));
        let meant = Workload {
            work: work.unwrap_or(otherwise.work),
            steps,
            errors: errors.map_or(otherwise.errors, |it| it.0),
            response: response.map_or(otherwise.response, |it| it.0),
            concurrency: *concurrency,
            startup: startup.map_or(otherwise.startup, |it| it.0),
            ..otherwise
        };
        Read { meant, callees }
    }

    fn work(&mut self, spec: &WorkSpec, at: At<'_>) -> Option<WorkTime> {
        let map = match spec {
            WorkSpec::Fixed(time) => return Some(WorkTime::Fixed { time: time.0 }),
            WorkSpec::Map(map) => map,
        };
        let WorkMapSpec { p50, p99, mean, min, max } = map;
        let keys = [at.has("p50"), at.has("p99"), at.has("mean"), at.has("min"), at.has("max")];
        let (low, high, time) = match keys {
            [true, true, false, false, false] => {
                let (p50, p99) = ((*p50)?.0, (*p99)?.0);
                if p50.is_zero() {
                    let message = "a lognormal time is above 0; write a `p50` such as `1ms`";
                    self.findings.error(at.key("p50").place, message);
                }
                (p50, p99, WorkTime::Lognormal { p50, p99 })
            }
            [false, false, true, false, false] => {
                return Some(WorkTime::Exponential { mean: (*mean)?.0 });
            }
            [false, false, false, true, true] => {
                let (min, max) = ((*min)?.0, (*max)?.0);
                (min, max, WorkTime::Uniform { min, max })
            }
            _ => {
                let message = "write `p50` and `p99` (lognormal), `mean` (exponential), or `min` \
                               and `max` (uniform)";
                self.findings.error(at.place, message);
                return None;
            }
        };
        if high < low {
            let (low, high) =
                if keys.starts_with(&[true]) { ("p50", "p99") } else { ("min", "max") };
            let message = format!("`{high}` is below `{low}`; exchange them");
            self.findings.error(at.key(high).place, message);
            return None;
        }
        Some(time)
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
        let StepMapSpec { service: callee, probability, times, request, optional, parallel } = map;
        let message = match (at.has("service"), at.has("parallel")) {
            (true, true) => "a step has `service` or `parallel`; make two steps of it",
            (false, false) => "a step calls something; add `service`, or `parallel` for several",
            (true, false) => {
                let call = CallMapSpec {
                    service: callee.clone(),
                    probability: *probability,
                    times: *times,
                    request: *request,
                    optional: *optional,
                };
                return self.call(service, &call, at, callees).into_iter().collect();
            }
            (false, true) => {
                let single = ["probability", "times", "request", "optional"];
                if let Some(key) = single.into_iter().find(|it| at.has(it)) {
                    let message =
                        format!("`{key}` belongs to one call; write it inside `parallel`");
                    self.findings.error(at.named(key), message);
                }
                return self.parallel(service, parallel.as_deref(), at.key("parallel"), callees);
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
        let CallMapSpec { service: callee, probability, times, request, optional } = spec;
        let call =
            self.named_call(service, callee.as_deref()?, at.key("service").place, callees)?;
        Some(Call {
            probability: probability.map_or(call.probability, |it| it.0),
            times: times.unwrap_or(call.times),
            request: request.map_or(call.request, |it| it.0),
            optional: optional.unwrap_or(call.optional),
            ..call
        })
    }
}
