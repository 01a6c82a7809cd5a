//! Policies as written: of an exit, of a new release.

use model::restart::Restart;
use model::rollout::{Analysis, Step, Update};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Duration, Share};
use crate::meaning::defaults::duration;

/// What follows an exit: a policy, or a mapping.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "restart")]
pub(crate) enum RestartSpec {
    /// Only the policy.
    Policy(RestartPolicySpec),
    /// The policy and its pauses.
    Map(RestartMapSpec),
}

/// Which exits are followed by a new start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "restart-policy")]
pub(crate) enum RestartPolicySpec {
    /// Every exit: a service.
    Always,
    /// An exit with a code other than 0, by a signal, or after failing its liveness check: a job.
    OnFailure,
    /// None: a job that is tried once.
    No,
}

/// What follows an exit.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "restart-mapping")]
pub(crate) struct RestartMapSpec {
    /// Which exits are followed by a new start.
    #[schemars(extend("default" = "always", "examples" = ["on-failure"]))]
    pub(crate) policy: Option<RestartPolicySpec>,
    /// Pause after the first failure; each further one in a row is twice as long.
    #[schemars(extend("default" = duration(Restart::default().backoff), "examples" = ["200ms"]))]
    pub(crate) backoff: Option<Duration>,
    /// The longest pause.
    #[schemars(extend("default" = duration(Restart::default().max_backoff), "examples" = ["30s"]))]
    pub(crate) max_backoff: Option<Duration>,
    /// Failures in a row after which the service is called crash-looping.
    #[schemars(range(min = 1), extend("default" = Restart::default().crash_loop, "examples" = [5]))]
    pub(crate) crash_loop: Option<u32>,
}

/// How a new release takes over. What is left out is inherited from `defaults.update`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "update")]
pub(crate) struct UpdateSpec {
    /// The way it takes over.
    #[schemars(extend("default" = "rolling", "examples" = ["canary"]))]
    pub(crate) strategy: Option<StrategySpec>,
    /// The steps of a canary: ascending shares of traffic, each judged.
    #[schemars(extend("default" = steps(), "examples" = [[{"weight": "5%"}, {"weight": "25%"}]]))]
    pub(crate) steps: Option<Vec<CanaryStepSpec>>,
    /// How long the old release is kept running after a canary, or blue and green, so that going back takes no
    /// time.
    #[schemars(extend("default" = duration(Update::default().keep_old), "examples" = ["72h"]))]
    pub(crate) keep_old: Option<Duration>,
    /// Whether a good verdict moves on by itself.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub(crate) auto_promote: Option<bool>,
    /// Whether a bad verdict goes back by itself.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub(crate) auto_revert: Option<bool>,
    /// What a verdict needs.
    pub(crate) analysis: Option<AnalysisSpec>,
    /// The address that is told how a rollout ended, by a POST of JSON. It may refer to `${env.NAME}`.
    #[schemars(extend("examples" = ["https://hooks.example/deploys"]))]
    pub(crate) webhook: Option<String>,
}

fn steps() -> Vec<serde_json::Value> {
    let step = |it: Step| serde_json::json!({"weight": it.weight.to_string()});
    Step::usual().into_iter().map(step).collect()
}

/// A way for a new release to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "strategy")]
pub(crate) enum StrategySpec {
    /// A growing share of traffic, judged at every step.
    Canary,
    /// All of it at once, from a full set of new instances.
    Bluegreen,
    /// One instance after another.
    Rolling,
    /// All instances at once.
    Immediate,
    /// The old instances end before the new ones start; what a service with data of its own does.
    Recreate,
}

/// One step of a canary.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "step")]
pub(crate) struct CanaryStepSpec {
    /// The new release's share of traffic.
    #[schemars(required, extend("examples" = ["5%"]))]
    pub(crate) weight: Option<Share>,
    /// Time the step takes at least, whatever the judge says.
    #[schemars(extend("default" = "0s", "examples" = ["5m"]))]
    pub(crate) min_duration: Option<Duration>,
    /// Requests the new release must have been judged by in this step, at least.
    #[schemars(extend("default" = 0, "examples" = [500]))]
    pub(crate) min_requests: Option<u64>,
}

/// What the judge of a canary is asked.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "analysis")]
pub(crate) struct AnalysisSpec {
    /// Probability of rejecting a release that is as good as the old one, at most.
    #[schemars(extend("default" = Analysis::default().alpha.to_string(), "examples" = ["1%"]))]
    pub(crate) alpha: Option<Share>,
    /// Probability of passing a step with a release that is worse than `pass_ratio`, at most.
    #[schemars(extend("default" = Analysis::default().beta.to_string(), "examples" = ["5%"]))]
    pub(crate) beta: Option<Share>,
    /// How much worse the new release may be, as a ratio of the rates at which requests fail or are slow: so
    /// much is never held against it.
    #[schemars(range(min = 1), extend("default" = Analysis::default().max_ratio, "examples" = [1.25]))]
    pub(crate) max_ratio: Option<f64>,
    /// The ratio that must be ruled out before a step passes; above `max_ratio`.
    #[schemars(range(min = 1), extend("default" = Analysis::default().pass_ratio, "examples" = [2]))]
    pub(crate) pass_ratio: Option<f64>,
    /// A share of failing requests that is well enough, whatever the old release's. Where there is next to
    /// nothing to compare, a step passes when more than this has been ruled out.
    #[schemars(extend("default" = Analysis::default().tolerated_errors.to_string(), "examples" = ["0.5%"]))]
    pub(crate) tolerated_errors: Option<Share>,
    /// Time after traffic has moved in which nothing is judged: caches fill, connections open.
    #[schemars(extend("default" = duration(Analysis::default().warm_up), "examples" = ["5s"]))]
    pub(crate) warm_up: Option<Duration>,
    /// Time after which an undecided step is inconclusive.
    #[schemars(extend("default" = duration(Analysis::default().max_duration), "examples" = ["30m"]))]
    pub(crate) max_duration: Option<Duration>,
    /// What to do then.
    #[schemars(extend("default" = "hold", "examples" = ["revert"]))]
    pub(crate) on_inconclusive: Option<OnInconclusiveSpec>,
}

/// What to do with a step nobody can judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "on-inconclusive")]
pub(crate) enum OnInconclusiveSpec {
    /// Stay and wait for a person.
    Hold,
    /// Move on.
    Promote,
    /// Go back.
    Revert,
}
