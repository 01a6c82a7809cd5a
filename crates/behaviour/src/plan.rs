//! One request at a synthetic service: its plan, drawn at once, and the plan's execution.
//!
//! Everything random is decided when the request begins, so that what it does never depends on who
//! executes it or how its calls interleave. The order is that of [`Workload`]: the work, then an
//! error of its own or the steps, one after another. A step ends when the last of its calls has; a
//! failed call that is not optional ends the request after its step.

use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use model::workload::{Call, Workload};
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
    steps: Vec<Vec<Template>>,
    callees: Vec<ServiceName>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Template {
    call: PlannedCall,
    probability: f64,
    times: u32,
}

impl Behaviour {
    /// The behaviour that `workload` describes.
    pub fn new(workload: &Workload) -> Result<Self, BehaviourError> {
        let all = || workload.steps.iter().flat_map(|it| &it.parallel);
        let calls: u64 = all().map(|it| u64::from(it.times)).sum();
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
        let mut callees = Vec::new();
        let mut steps = Vec::with_capacity(workload.steps.len());
        for step in &workload.steps {
            steps.push(step.parallel.iter().map(|it| template(it, &mut callees)).collect());
        }
        Ok(Self {
            work: Sampler::new(&workload.work),
            errors: workload.errors.as_fraction(),
            steps,
            callees,
        })
    }

    /// The services it calls, each once, in the order they are first mentioned:
    /// [`PlannedCall::callee`] is a place in this list.
    pub fn callees(&self) -> &[ServiceName] {
        &self.callees
    }

    /// The distribution of its work.
    pub const fn work(&self) -> &Sampler {
        &self.work
    }
}

fn template(call: &Call, callees: &mut Vec<ServiceName>) -> Template {
    let callee = callees.iter().position(|it| *it == call.service).unwrap_or_else(|| {
        callees.push(call.service.clone());
        callees.len() - 1
    });
    Template {
        call: PlannedCall { callee, request_bytes: call.request.0, optional: call.optional },
        probability: call.probability.as_fraction(),
        times: call.times,
    }
}

/// A call that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedCall {
    /// Place of the callee in [`Behaviour::callees`].
    pub callee: usize,
    /// Bytes of the request's body; 0 is a GET.
    pub request_bytes: u64,
    /// Whether a failure is left without consequence for the answer.
    pub optional: bool,
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
    /// For each step the end of its calls in `calls`. Every step has at least one.
    step_ends: Vec<usize>,
}

impl Plan {
    /// The plan of one request.
    pub fn draw(behaviour: &Behaviour, rng: &mut Rng) -> Self {
        let mut plan = Self::default();
        plan.redraw(behaviour, rng);
        plan
    }

    /// Draws again into the same memory.
    pub fn redraw(&mut self, behaviour: &Behaviour, rng: &mut Rng) {
        self.calls.clear();
        self.step_ends.clear();
        self.work = behaviour.work.draw(rng);
        self.errs = rng.happens(behaviour.errors);
        if self.errs {
            return;
        }
        for step in &behaviour.steps {
            let begin = self.calls.len();
            for template in step {
                if rng.happens(template.probability) {
                    self.calls.extend((0..template.times).map(|_| template.call));
                }
            }
            if begin < self.calls.len() {
                self.step_ends.push(self.calls.len());
            }
        }
    }

    /// All its calls, in order.
    pub fn calls(&self) -> &[PlannedCall] {
        &self.calls
    }

    /// The steps that make at least one call, as places in [`Plan::calls`].
    pub fn steps(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let begins = core::iter::once(0).chain(self.step_ends.iter().copied());
        begins.zip(&self.step_ends).map(|(begin, end)| begin..*end)
    }
}

/// How a call ended, as far as its caller cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// With an answer that can be used.
    Answered,
    /// With an error, or not at all.
    Failed,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make these calls of [`Plan::calls`] at once and report the end of each.
    Calls(Range<usize>),
    /// Answer.
    Finish(Outcome),
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the answer.
    Answered,
    /// With an error of its own.
    OwnError,
    /// With an error, because this call of [`Plan::calls`], the first of its step to fail, did.
    CalleeFailed {
        /// Place of the call in [`Plan::calls`].
        call: usize,
    },
}

/// A plan being executed. It is told what ended and says what comes next; the driver waits, calls
/// and answers.
#[derive(Clone, Debug)]
pub struct Execution {
    plan: Plan,
    /// Steps begun.
    begun: usize,
    /// Calls of the step that have not ended.
    outstanding: usize,
    failed: Option<usize>,
}

impl Execution {
    /// Begins with the work: wait for [`Plan::work`], then call [`Execution::on_worked`].
    pub const fn new(plan: Plan) -> Self {
        Self { plan, begun: 0, outstanding: 0, failed: None }
    }

    /// The plan it executes.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan back, for its memory.
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// The work is done.
    pub fn on_worked(&mut self) -> Next {
        if self.plan.errs { Next::Finish(Outcome::OwnError) } else { self.begin_step() }
    }

    /// A call ended. Nothing comes next until the last call of its step has.
    pub fn on_call_ended(&mut self, call: usize, end: CallEnd) -> Option<Next> {
        let optional = self.plan.calls.get(call).is_none_or(|it| it.optional);
        if end == CallEnd::Failed && !optional {
            self.failed.get_or_insert(call);
        }
        self.outstanding = self.outstanding.saturating_sub(1);
        match (self.outstanding, self.failed) {
            (0, Some(call)) => Some(Next::Finish(Outcome::CalleeFailed { call })),
            (0, None) => Some(self.begin_step()),
            _ => None,
        }
    }

    fn begin_step(&mut self) -> Next {
        let Some(calls) = self.plan.steps().nth(self.begun) else {
            return Next::Finish(Outcome::Answered);
        };
        self.begun += 1;
        self.outstanding = calls.len();
        Next::Calls(calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString as _};
    use alloc::{format, vec};
    use model::units::{Bytes, Share};
    use model::workload::{CallStep, WorkTime};
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    fn call(service: &str, percent: u32, times: u32) -> Call {
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

    fn workload(steps: Vec<Vec<Call>>) -> Workload {
        Workload {
            work: WorkTime::Fixed { time: Duration::from_millis(5) },
            steps: steps.into_iter().map(|parallel| CallStep { parallel }).collect(),
            ..Workload::default()
        }
    }

    /// Executes one request whose calls to `failing` fail, as one line of what happened.
    fn trail(workload: &Workload, failing: &str) -> String {
        let behaviour = Behaviour::new(workload).unwrap();
        let mut execution = Execution::new(Plan::draw(&behaviour, &mut Rng::new(1)));
        let mut trail = format!("{:?}", execution.plan().work);
        let mut next = execution.on_worked();
        loop {
            let calls = match next {
                Next::Finish(Outcome::CalleeFailed { call }) => {
                    let callee = execution.plan().calls()[call].callee;
                    return format!("{trail} failed:{}", behaviour.callees()[callee]);
                }
                Next::Finish(outcome) => return format!("{trail} {outcome:?}"),
                Next::Calls(calls) => calls,
            };
            let names: Vec<&str> = execution.plan().calls()[calls.clone()]
                .iter()
                .map(|it| behaviour.callees()[it.callee].as_str())
                .collect();
            trail = format!("{trail} [{}]", names.join(" "));
            let mut following = None;
            for (call, name) in calls.zip(names) {
                assert_eq!(following, None, "a step ended before its last call");
                let end = if name == failing { CallEnd::Failed } else { CallEnd::Answered };
                following = execution.on_call_ended(call, end);
            }
            next = following.expect("a step ended and nothing came next");
        }
    }

    #[track_caller]
    fn check(steps: Vec<Vec<Call>>, failing: &str, expected: &str) {
        assert_eq!(trail(&workload(steps), failing), expected);
    }

    #[test]
    fn steps_run_in_order_and_end_with_their_last_call() {
        check(vec![], "", "5ms Answered");
        check(
            vec![vec![call("cart", 100, 1), call("ad", 100, 2)], vec![call("cart", 100, 1)]],
            "",
            "5ms [cart ad ad] [cart] Answered",
        );
        check(vec![vec![call("cart", 0, 1)], vec![call("db", 100, 1)]], "", "5ms [db] Answered");
    }

    #[test]
    fn a_failed_call_ends_the_request_after_its_step_unless_optional() {
        let steps = || {
            vec![
                vec![call("cart", 100, 1), call("ad", 100, 1), call("tax", 100, 1)],
                vec![call("db", 100, 1)],
            ]
        };
        check(steps(), "ad", "5ms [cart ad tax] [db] Answered");
        check(steps(), "cart", "5ms [cart ad tax] failed:cart");
        check(steps(), "db", "5ms [cart ad tax] [db] failed:db");
    }

    #[test]
    fn an_error_of_its_own_makes_no_calls() {
        let steps = vec![vec![call("cart", 100, 1)]];
        let workload = Workload { errors: Share::ALL, ..workload(steps) };
        assert_eq!(trail(&workload, ""), "5ms OwnError");
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

    proptest! {
        #[test]
        fn every_planned_call_is_made_once(seed: u64, shape in prop::collection::vec(prop::collection::vec((0_u32..=100, 1_u32..4), 1..4), 0..5)) {
            let steps = shape
                .into_iter()
                .map(|step| step.into_iter().map(|(percent, times)| call("db", percent, times)).collect())
                .collect();
            let behaviour = Behaviour::new(&workload(steps)).unwrap();
            let plan = Plan::draw(&behaviour, &mut Rng::new(seed));
            let mut execution = Execution::new(plan.clone());
            let mut made = Vec::new();
            let mut next = Some(execution.on_worked());
            while let Some(Next::Calls(calls)) = &next {
                for call in calls.clone() {
                    made.push(call);
                    next = execution.on_call_ended(call, CallEnd::Answered);
                }
            }
            prop_assert_eq!(next, Some(Next::Finish(Outcome::Answered)));
            prop_assert_eq!(made, (0..plan.calls().len()).collect::<Vec<_>>());
        }
    }
}
