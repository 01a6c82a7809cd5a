//! Policies: what is written laid over what is inherited, key by key.

use std::time::Duration;

use model::restart::{Restart, RestartPolicy};
use model::rollout::{Analysis, OnInconclusive, Step, Strategy, Update};
use model::units::Share;

use super::Reader;
use super::defaults::CANARY_STEPS_PERCENT;
use crate::problem::Place;
use crate::spec::{
    AnalysisSpec, CanaryStepSpec, OnInconclusiveSpec, RestartMapSpec, RestartPolicySpec,
    RestartSpec, StrategySpec, UpdateSpec,
};
use crate::yaml::At;

impl Reader<'_> {
    /// A first and a longest pause, each as written and as inherited. A longer first pause alone
    /// lengthens the inherited longest one.
    pub(super) fn pauses(
        &mut self,
        backoff: (Option<Duration>, Duration),
        max_backoff: (Option<Duration>, Duration),
        at: At<'_>,
    ) -> (Duration, Duration) {
        let first = backoff.0.unwrap_or(backoff.1);
        match max_backoff.0 {
            Some(longest) if longest < first => {
                let message = format!(
                    "`max_backoff` is shorter than `backoff`, which is {}; write a longer time",
                    super::defaults::duration(first)
                );
                self.findings.error(at.key("max_backoff").place, message);
                (first, longest)
            }
            Some(longest) => (first, longest),
            None => (first, max_backoff.1.max(first)),
        }
    }

    /// What follows an exit: `spec` over `base`.
    pub(super) fn restart(&mut self, base: &Restart, spec: &RestartSpec, at: At<'_>) -> Restart {
        let map = match spec {
            RestartSpec::Policy(policy) => {
                RestartMapSpec { policy: Some(*policy), ..RestartMapSpec::default() }
            }
            RestartSpec::Map(map) => *map,
        };
        let RestartMapSpec { policy, backoff, max_backoff, crash_loop } = map;
        let (backoff, max_backoff) = self.pauses(
            (backoff.map(|it| it.0), base.backoff),
            (max_backoff.map(|it| it.0), base.max_backoff),
            at,
        );
        let policy = policy.map(|it| match it {
            RestartPolicySpec::Always => RestartPolicy::Always,
            RestartPolicySpec::OnFailure => RestartPolicy::OnFailure,
            RestartPolicySpec::No => RestartPolicy::Never,
        });
        Restart {
            policy: policy.unwrap_or(base.policy),
            backoff,
            max_backoff,
            crash_loop: crash_loop.unwrap_or(base.crash_loop),
        }
    }

    /// How a release takes over: `spec` over `base`. Inherited steps are dropped with the strategy they
    /// belong to.
    pub(super) fn update(&mut self, base: &Update, spec: &UpdateSpec, at: At<'_>) -> Update {
        let UpdateSpec { strategy, steps, keep_old, auto_promote, auto_revert, analysis } = spec;
        let strategy = strategy.map_or(base.strategy, |it| match it {
            StrategySpec::Canary => Strategy::Canary,
            StrategySpec::Bluegreen => Strategy::Bluegreen,
            StrategySpec::Rolling => Strategy::Rolling,
            StrategySpec::Immediate => Strategy::Immediate,
        });
        let steps = match steps {
            Some(steps) => self.steps(steps, strategy, at),
            None if strategy == base.strategy && !base.steps.is_empty() => base.steps.clone(),
            None if strategy == Strategy::Canary => {
                let step = |percent| Step { weight: Share::from_percent(percent) };
                CANARY_STEPS_PERCENT.map(step).to_vec()
            }
            None => Vec::new(),
        };
        Update {
            strategy,
            steps,
            keep_old: keep_old.map_or(base.keep_old, |it| it.0),
            auto_promote: auto_promote.unwrap_or(base.auto_promote),
            auto_revert: auto_revert.unwrap_or(base.auto_revert),
            analysis: match analysis {
                Some(analysis) => self.analysis(&base.analysis, analysis, at.key("analysis")),
                None => base.analysis.clone(),
            },
        }
    }

    fn steps(&mut self, steps: &[CanaryStepSpec], strategy: Strategy, at: At<'_>) -> Vec<Step> {
        let at_steps = at.key("steps");
        if strategy != Strategy::Canary {
            let message = "only a canary has steps; write `strategy: canary` or remove `steps`";
            self.findings.error(at_steps.place, message);
            return Vec::new();
        }
        if steps.is_empty() {
            let message = "a canary has at least one step; add one such as `{weight: 5%}`, or \
                           remove `steps`";
            self.findings.error(at_steps.place, message);
        }
        let mut before = Share::ZERO;
        let mut meant = Vec::new();
        for (index, CanaryStepSpec { weight }) in steps.iter().enumerate() {
            let Some(weight) = weight.map(|it| it.0) else { continue };
            let place = at_steps.item(index).key("weight").place;
            self.step(before, weight, place);
            before = weight;
            meant.push(Step { weight });
        }
        meant
    }

    fn step(&mut self, before: Share, weight: Share, place: Place) {
        let message = if weight == Share::ZERO {
            "a step of 0% sends nothing to judge; write more, or remove it".to_owned()
        } else if weight == Share::ALL {
            "the step to 100% follows by itself; remove it".to_owned()
        } else if weight <= before {
            format!("{weight} is not more than the {before} of the step before; steps ascend")
        } else {
            return;
        };
        self.findings.error(place, message);
    }

    fn analysis(&mut self, base: &Analysis, spec: &AnalysisSpec, at: At<'_>) -> Analysis {
        let AnalysisSpec { alpha, max_ratio, max_duration, on_inconclusive } = spec;
        if alpha.is_some_and(|it| it.0 == Share::ZERO || Share::from_percent(50) < it.0) {
            let message = "`alpha` is above 0% and at most 50%; 1% is usual";
            self.findings.error(at.key("alpha").place, message);
        }
        let max_duration = max_duration
            .and_then(|it| self.positive(it.0, "max_duration", at.key("max_duration").place));
        let on_inconclusive = on_inconclusive.map(|it| match it {
            OnInconclusiveSpec::Hold => OnInconclusive::Hold,
            OnInconclusiveSpec::Promote => OnInconclusive::Promote,
            OnInconclusiveSpec::Revert => OnInconclusive::Revert,
        });
        Analysis {
            alpha: alpha.map_or(base.alpha, |it| it.0),
            max_ratio: max_ratio.unwrap_or(base.max_ratio),
            max_duration: max_duration.unwrap_or(base.max_duration),
            on_inconclusive: on_inconclusive.unwrap_or(base.on_inconclusive),
        }
    }
}
