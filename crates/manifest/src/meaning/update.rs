//! How a release takes over: what is written laid over what is inherited, key by key.

use model::rollout::{Analysis, OnInconclusive, Step, Strategy, Update};
use model::units::Share;

use super::Reader;
use super::monitoring::is_address;
use crate::problem::Place;
use crate::spec::{AnalysisSpec, CanaryStepSpec, OnInconclusiveSpec, StrategySpec, UpdateSpec};
use crate::yaml::At;

impl Reader<'_> {
    /// How a release takes over: `spec` over `base`. Inherited steps are dropped with the strategy they
    /// belong to.
    pub(super) fn update(&mut self, base: &Update, spec: &UpdateSpec, at: At<'_>) -> Update {
        let UpdateSpec { strategy, steps, keep_old, auto_promote, auto_revert, analysis, webhook } =
            spec;
        let strategy = strategy.map_or(base.strategy, |it| match it {
            StrategySpec::Canary => Strategy::Canary,
            StrategySpec::Bluegreen => Strategy::Bluegreen,
            StrategySpec::Rolling => Strategy::Rolling,
            StrategySpec::Immediate => Strategy::Immediate,
            StrategySpec::Recreate => Strategy::Recreate,
        });
        let steps = match steps {
            Some(steps) => self.steps(steps, strategy, at),
            None if strategy == base.strategy && !base.steps.is_empty() => base.steps.clone(),
            None if strategy == Strategy::Canary => Step::usual(),
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
            webhook: match webhook {
                Some(text) => self.webhook(text, at.key("webhook").place),
                None => base.webhook.clone(),
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
        for (index, CanaryStepSpec { weight, min_duration, min_requests }) in
            steps.iter().enumerate()
        {
            let Some(weight) = weight.map(|it| it.0) else { continue };
            let place = at_steps.item(index).key("weight").place;
            self.step(before, weight, place);
            before = weight;
            meant.push(Step {
                weight,
                min_duration: min_duration.map_or_else(Default::default, |it| it.0),
                min_requests: min_requests.unwrap_or_default(),
            });
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
        let mut risk = |share: Option<crate::spec::Share>, key: &str, usual| {
            if share.is_some_and(|it| it.0 == Share::ZERO || Share::from_percent(50) < it.0) {
                let message = format!("`{key}` is above 0% and at most 50%; {usual} is usual");
                self.findings.error(at.key(key).place, message);
            }
        };
        risk(spec.alpha, "alpha", "1%");
        risk(spec.beta, "beta", "5%");
        risk(spec.tolerated_errors, "tolerated_errors", "0.5%");
        let max_ratio = spec.max_ratio.unwrap_or(base.max_ratio);
        // A greater ratio that is allowed moves the one to be ruled out, unless that is written, too.
        let pass_ratio = spec.pass_ratio.unwrap_or_else(|| base.pass_ratio.max(max_ratio * 1.6));
        if pass_ratio <= max_ratio {
            let message = format!(
                "`pass_ratio` is {pass_ratio}, which is not above `max_ratio`, {max_ratio}: a release \
                 could be allowed and ruled out at once; write a greater one"
            );
            self.findings.error(at.key("pass_ratio").place, message);
        }
        let max_duration = spec.max_duration;
        let max_duration = max_duration
            .and_then(|it| self.positive(it.0, "max_duration", at.key("max_duration").place));
        let on_inconclusive = spec.on_inconclusive.map(|it| match it {
            OnInconclusiveSpec::Hold => OnInconclusive::Hold,
            OnInconclusiveSpec::Promote => OnInconclusive::Promote,
            OnInconclusiveSpec::Revert => OnInconclusive::Revert,
        });
        Analysis {
            alpha: spec.alpha.map_or(base.alpha, |it| it.0),
            beta: spec.beta.map_or(base.beta, |it| it.0),
            max_ratio,
            pass_ratio,
            tolerated_errors: spec.tolerated_errors.map_or(base.tolerated_errors, |it| it.0),
            warm_up: spec.warm_up.map_or(base.warm_up, |it| it.0),
            max_duration: max_duration.unwrap_or(base.max_duration),
            on_inconclusive: on_inconclusive.unwrap_or(base.on_inconclusive),
        }
    }

    /// An address with what is known of it put in.
    fn webhook(&mut self, text: &str, place: Place) -> Option<String> {
        let filled = self.filled_now(text);
        let url = self.findings.take(place, filled)?;
        if is_address(&url) {
            return Some(url);
        }
        let message =
            format!("{url:?} is no address to post to; write one that begins with `https://`");
        self.findings.error(place, message);
        None
    }
}
