//! How long a verdict takes.
//!
//! Evidence grows, on average, by the relative entropy of what is true to what is to be ruled out, with every bad
//! request. So the requests a verdict takes can be said beforehand, about.

use std::time::Duration;

use model::Timestamp;
use model::rollout::{Analysis, Step};
use world::rollout::Rollout;

use super::evidence::RATIOS;
use super::evidence::float;
use super::{Comparison, InStep, share};

/// The requests that are expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests to the service a second.
    pub per_second: f64,
    /// The share of them that fails.
    pub errors: f64,
    /// Whether latencies are compared.
    pub has_latency: bool,
}

/// What a rollout takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Time of each step until it passes, if the releases are alike; nothing where no request comes.
    pub steps: Option<Vec<Duration>>,
    /// Time in each step until a release that fails [`WORSE`] times as often as is allowed is rejected; nothing where
    /// no request fails, so that there is nothing to compare, or where it takes longer than a step may.
    pub rejections: Vec<Option<Duration>>,
}

/// How much worse than allowed a release is whose rejection is forecast.
pub const WORSE: f64 = 2.0;

/// How long the steps of a rollout take at a load, if the new release is as good as the old one.
pub fn forecast(analysis: &Analysis, steps: &[Step], load: Load) -> Forecast {
    if load.per_second <= 0.0 {
        return Forecast { steps: None, rejections: vec![None; steps.len()] };
    }
    let of = |step: &Step| {
        let pi = step.weight.as_fraction();
        let errors = errors_take(analysis, pi, load.errors);
        let latency = if load.has_latency { latency_takes(analysis, pi) } else { 0.0 };
        let least = float(step.min_requests) / pi;
        let seconds = errors.max(latency).max(least) / load.per_second;
        let judged = analysis.warm_up.saturating_add(duration(seconds));
        judged.max(step.min_duration).min(analysis.max_duration)
    };
    let rejected = |step: &Step| {
        let seconds = rejection_takes(analysis, step.weight.as_fraction(), load) / load.per_second;
        let after = analysis.warm_up.saturating_add(duration(seconds));
        (after < analysis.max_duration).then_some(after)
    };
    Forecast {
        steps: Some(steps.iter().map(of).collect()),
        rejections: steps.iter().map(rejected).collect(),
    }
}

/// Requests to the service until a release that fails [`WORSE`] times as often as is allowed is rejected, by the
/// ratio looked for that says most: its part of the mean is all that counts.
fn rejection_takes(analysis: &Analysis, pi: f64, load: Load) -> f64 {
    let (allowed, worse) = (analysis.max_ratio, analysis.max_ratio * WORSE);
    let of_new = |ratio: f64| pi * ratio / (1.0 - pi + pi * ratio);
    let (q, p) = (of_new(worse), of_new(allowed));
    let looked_for = || RATIOS.iter().filter(|it| allowed < **it);
    let says = |ratio: &f64| {
        let r = of_new(*ratio);
        q * libm::log(r / p) + (1.0 - q) * libm::log((1.0 - r) / (1.0 - p))
    };
    let most = looked_for().map(says).fold(0.0, f64::max);
    let metrics = if load.has_latency { 2.0 } else { 1.0 };
    let parts = metrics * float(looked_for().count() as u64);
    let needed = libm::log(parts / analysis.alpha.as_fraction());
    needed / (most * load.errors * (1.0 - pi + pi * worse)).max(f64::MIN_POSITIVE)
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// What must be gathered.
fn enough(analysis: &Analysis) -> f64 {
    libm::log(1.0 / analysis.beta.as_fraction())
}

/// How much one bad request says on average that a ratio of `pass_ratio` is not so.
fn says(analysis: &Analysis, pi: f64) -> f64 {
    let ratio = analysis.pass_ratio;
    let q = pi * ratio / (1.0 - pi + pi * ratio);
    pi * libm::log(pi / q) + (1.0 - pi) * libm::log((1.0 - pi) / (1.0 - q))
}

/// Requests to the service until errors have passed: by comparison, or by being few, whichever is sooner.
fn errors_take(analysis: &Analysis, pi: f64, errors: f64) -> f64 {
    let compared = enough(analysis) / (says(analysis, pi) * errors).max(f64::MIN_POSITIVE);
    let tolerated = analysis.tolerated_errors.as_fraction();
    let each = grows_below(errors, tolerated);
    let few = if 0.0 < each { (enough(analysis) + 0.23) / (each * pi) } else { f64::INFINITY };
    compared.min(few)
}

/// How much one request to the new release says on average that it fails less than `tolerated`, where it fails by
/// `errors`.
fn grows_below(errors: f64, tolerated: f64) -> f64 {
    let good = |part: f64| libm::log((1.0 - part * tolerated) / (1.0 - tolerated));
    let with = |part: f64| (1.0 - errors) * good(part) + errors * libm::log(part);
    if errors == 0.0 { good(0.0) } else { with(0.25).max(with(0.5)) }
}

/// Requests to the service until the 95th percentile has passed: one in twenty is slower.
fn latency_takes(analysis: &Analysis, pi: f64) -> f64 {
    enough(analysis) / (says(analysis, pi) * 0.05)
}

/// Seconds until the stage a rollout is in passes at the rate that requests came in it, if the releases are alike.
pub(super) fn remaining(
    rollout: &Rollout,
    (errors, latency): (&Comparison, Option<&Comparison>),
    here: &InStep,
    now: Timestamp,
) -> Option<f64> {
    let (analysis, step) = (&rollout.update.analysis, rollout.policy(rollout.step())?);
    let waited = now.since(rollout.stage_since);
    let judged = waited.saturating_sub(analysis.warm_up).as_secs_f64();
    let requests = here.old.requests + here.new.requests;
    if judged <= 0.0 || requests == 0 {
        return None;
    }
    let rate = float(requests) / judged;
    let pi = step.weight.as_fraction();
    let failing = share(here.old.errors + here.new.errors, requests);
    let lacks = |it: &Comparison| (1.0 - it.favour.max(0.0)).clamp(0.0, 1.0);
    let for_errors = lacks(errors) * errors_take(analysis, pi, failing) / rate;
    let for_latency = latency.map_or(0.0, |it| lacks(it) * latency_takes(analysis, pi) / rate);
    let lacking = step.min_requests.saturating_sub(here.new.requests);
    let for_requests = float(lacking) / (pi * rate);
    let for_time = step.min_duration.saturating_sub(waited).as_secs_f64();
    let longest = for_errors.max(for_latency).max(for_requests).max(for_time);
    longest.is_finite().then_some(longest.max(1.0))
}
