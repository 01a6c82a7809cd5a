//! A plan being executed: told what ended, it says what comes next.
//!
//! A step ends when the last of its calls has; a failed call that is not optional ends the request after
//! its step. Whether a call behind a cache is made is known only when its lookup has ended, since one that
//! failed found nothing: that is how a dead cache overloads the store behind it.

use core::ops::Range;

use model::Rng;

use crate::plan::{Behaviour, Plan};

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
#[derive(Clone, Debug, Default)]
pub struct Execution {
    plan: Plan,
    /// Steps begun.
    begun: usize,
    /// Place behind the last call of the steps begun.
    behind: usize,
    /// Calls of the step that have not ended.
    outstanding: usize,
    failed: Option<usize>,
}

impl Execution {
    /// Begins with the work: wait for [`Plan::work`], then call [`Execution::on_worked`].
    pub const fn new(plan: Plan) -> Self {
        Self { plan, begun: 0, behind: 0, outstanding: 0, failed: None }
    }

    /// Begins another request, in the same memory.
    #[inline]
    pub fn restart(&mut self, behaviour: &Behaviour, rng: &mut Rng) {
        self.plan.redraw(behaviour, rng);
        self.begun = 0;
        self.behind = 0;
        self.outstanding = 0;
        self.failed = None;
    }

    /// The plan it executes.
    #[inline]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan back, for its memory.
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// The work is done.
    #[inline]
    pub fn on_worked(&mut self) -> Next {
        if self.plan.errs { Next::Finish(Outcome::OwnError) } else { self.begin_step() }
    }

    /// A call ended. Nothing comes next until the last call of its step has.
    #[inline]
    pub fn on_call_ended(&mut self, call: usize, end: CallEnd) -> Option<Next> {
        if end == CallEnd::Failed {
            if self.plan.calls().get(call).is_some_and(|it| !it.optional) {
                self.failed.get_or_insert(call);
            }
            self.plan.missed(call);
        }
        self.outstanding = self.outstanding.saturating_sub(1);
        match (self.outstanding, self.failed) {
            (0, Some(call)) => Some(Next::Finish(Outcome::CalleeFailed { call })),
            (0, None) => Some(self.begin_step()),
            _ => None,
        }
    }

    #[inline]
    fn begin_step(&mut self) -> Next {
        while let Some(step) = self.plan.step(self.begun) {
            let begin = self.behind;
            self.begun += 1;
            self.behind = step.end;
            let end = match step.lookups {
                Some(lookups) => self.plan.gather_misses(begin..step.end, lookups),
                None => step.end,
            };
            if begin < end {
                self.outstanding = end - begin;
                return Next::Calls(begin..end);
            }
        }
        Next::Finish(Outcome::Answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{cached, call, workload};
    use alloc::string::String;
    use alloc::vec::Vec;
    use alloc::{format, vec};
    use model::units::Share;
    use model::workload::{Call, Workload};
    use proptest::prelude::{prop, prop_assert_eq, proptest};

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
    fn what_a_lookup_finds_is_not_called_for() {
        let step = |hit| vec![call("ad", 100, 1), cached("db", 2, hit)];
        let all_hit = vec![step(100), vec![call("tax", 100, 1)]];
        check(all_hit.clone(), "", "5ms [cache cache ad] [tax] Answered");
        check(vec![step(0)], "", "5ms [cache cache ad] [db db] Answered");
        check(vec![step(0)], "db", "5ms [cache cache ad] [db db] failed:db");
        // A lookup that fails is no failure of the request, but its call is made.
        check(all_hit, "cache", "5ms [cache cache ad] [db db] [tax] Answered");
    }

    #[test]
    fn of_several_lookups_only_those_that_miss_are_called_for() {
        let steps = vec![vec![cached("a", 1, 0), cached("b", 1, 100), cached("c", 1, 0)]];
        check(steps, "", "5ms [cache cache cache] [a c] Answered");
        let steps = vec![vec![cached("a", 1, 100), cached("b", 1, 100), cached("c", 1, 0)]];
        check(steps, "", "5ms [cache cache cache] [c] Answered");
    }

    #[test]
    fn its_memory_is_used_again() {
        let behaviour = Behaviour::new(&workload(vec![vec![cached("db", 3, 50)]])).unwrap();
        let mut again = Execution::default();
        let (mut one, mut other) = (Rng::new(5), Rng::new(5));
        for _ in 0..50 {
            again.restart(&behaviour, &mut one);
            let mut fresh = Execution::new(Plan::draw(&behaviour, &mut other));
            assert_eq!(again.plan().calls(), fresh.plan().calls());
            assert_eq!(again.on_worked(), fresh.on_worked());
            assert_eq!(again.on_call_ended(0, CallEnd::Failed), None);
        }
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
