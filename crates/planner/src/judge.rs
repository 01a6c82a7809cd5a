//! The judge: whether a new release is worse than the old one, from what the data plane counted.
//!
//! Two metrics are compared, each by an e-process (see [`evidence`]), so that it may be looked at after every
//! second and a release that is as good as the old one is rejected with a probability of at most `alpha`,
//! however long the rollout takes. Evidence against a release is of the whole rollout; evidence for it must be
//! earned anew in each step. The release that is compared with is the whole fleet of the old one, not a
//! fresh twin of the new one's size.
//!
//! - *Errors*: first attempts the release is to blame for. They pass when "`pass_ratio` times as often or more" is
//!   ruled out, or, where there is next to nothing to compare, when failing more than `tolerated_errors`
//!   is. (So do slow ones: where all is quicker than when the thresholds were read, few are left to
//!   compare.)
//! - *Latency*: first attempts slower than what is allowed over the old release's median, its 95th and its 99th
//!   percentile, and one and a half and three times that, frozen before. What is allowed is `max_ratio` times as
//!   long, and a millisecond at least: where all take about as long as each other, a shift of a few
//!   percent, which a cold instance with little to do makes by itself, would move nearly all of them over a
//!   median. All thresholds count against a release, as the mean of their e-processes, which holds however they
//!   depend on each other. Only the one of the 95th percentile counts for it: a shift of the median is
//!   found with a fraction of the requests that the 95th needs to pass, and the 99th would take five times
//!   as many.
//!
//! `alpha` is split over the two. What makes requests depend on each other only ever takes evidence away, so the
//! bound holds for independent ones all the more. It refuses to act: what follows from a verdict is decided elsewhere.

pub mod evidence;
mod forecast;
mod words;

use model::Timestamp;
use model::rollout::{Analysis, THRESHOLDS};
use model::units::Share;
use world::rollout::{Counts, Observation, Rollout, Stage, Thresholds, Verdict};

use evidence::{Block, float};
pub use forecast::{Forecast, Load, WORSE, forecast};

/// Requests to a new release that are enough to see that it does not work at all.
pub const GUARDED_REQUESTS: u64 = 20;
/// The part of them that fails where it does not work at all.
pub const GUARDED_SHARE: f64 = 0.5;
/// Observations of which so many failed that it takes: one bad second of the only instance has often passed by the
/// next. Without this, 3 % of releases as good as the old one were rejected where errors come in bursts.
pub const GUARDED_OBSERVATIONS: u32 = 3;
/// The part of the old release's requests that is slower than the threshold that counts for the new one: the 95th
/// percentile.
const SLOW_SHARE: f64 = 0.05;
/// A difference of latency that is never held against a release, in microseconds: a cold instance, with less to do
/// than those beside it, wakes up so much later.
const ALLOWED_US: u64 = 1_000;
/// Probability of calling shares of requests wrong that are right.
const SHARE_ALPHA: f64 = 0.001;
/// How far they may be off, as a ratio of odds, either way: so much is like failing so much more often, and the usual
/// tolerance bears it. (Requests that are still in flight are missing, and more of a slower release.)
const SHARE_OFF_MAX: f64 = 1.25;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Requests that fail.
    Errors,
    /// Requests that are slow: slower than the threshold with this place in the rollout's.
    Latency(usize),
}

/// The comparison of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Which.
    pub metric: Metric,
    /// The old release's requests, and the bad ones among them.
    pub old: (u64, u64),
    /// The new release's.
    pub new: (u64, u64),
    /// How many times as often requests are bad, if that can be estimated.
    pub ratio: Option<f64>,
    /// At least so many times, at every look.
    pub at_least: f64,
    /// At most so many times, at every look, if anything is known.
    pub at_most: Option<f64>,
    /// Evidence against the release, as a part of what rejects it: logarithms.
    pub against: f64,
    /// Evidence for the release in this step, as a part of what passes it.
    pub favour: f64,
}

/// What is known of the stage a rollout is in.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The verdict, if there is one.
    pub verdict: Option<Verdict>,
    /// Why, or what is waited for, in one sentence.
    pub reason: String,
    /// The comparisons: of errors, and of the latency that speaks most against the release.
    pub comparisons: Vec<Comparison>,
    /// Seconds until a verdict, if the releases are alike and requests come as they do.
    pub expected_s: Option<f64>,
    /// Whether bad requests come in bursts, so that they are judged block by block.
    pub is_bursty: bool,
}

/// The thresholds that follow from the old release's median, 95th and 99th percentile, in microseconds, as they were
/// over so many requests.
pub fn thresholds(analysis: &Analysis, quantiles_us: [u64; 3], requests: u64) -> Thresholds {
    let [p50, p95, p99] = quantiles_us.map(|it| {
        let times = float(it) * analysis.max_ratio;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a latency, and what is cut off is less than a microsecond"
        )]
        let times = times as u64;
        times.max(it.saturating_add(ALLOWED_US))
    });
    let beyond = p99.saturating_mul(3);
    Thresholds { latency_us: [p50, p95, p99, beyond / 2, beyond], requests }
}

/// Why a new release should be rejected at once, if it does not work at all: half of its last requests failed,
/// and not because those of the old one do.
pub fn guardrail(rollout: &Rollout) -> Option<String> {
    let (mut new, mut old, mut met) = (Counts::default(), Counts::default(), 0);
    for it in rollout.observations.iter().rev() {
        new = new.plus(&it.new);
        old = old.plus(&it.old);
        let is_failing = 0 < it.new.errors && it.new.requests <= it.new.errors * 2;
        met += u32::from(is_failing);
        if met < GUARDED_OBSERVATIONS {
            continue;
        }
        let failing = share(new.errors, new.requests);
        // A release that fails like this is never mistaken for one that does because all else fails, too.
        let stands_out =
            old.requests < GUARDED_REQUESTS || share(old.errors, old.requests) < failing / 2.0;
        if GUARDED_REQUESTS <= new.requests && GUARDED_SHARE <= failing && stands_out {
            return Some(words::guardrail(rollout, &new));
        }
    }
    None
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

/// What is known of the stage a rollout is in at `now`. A stage without a comparison has no verdict.
pub fn assess(rollout: &Rollout, now: Timestamp) -> Assessment {
    let none = Assessment {
        verdict: None,
        reason: String::new(),
        comparisons: Vec::new(),
        expected_s: None,
        is_bursty: false,
    };
    let Some(policy) = rollout.policy(rollout.step()) else { return none };
    let Stage::Taking { step, .. } = rollout.stage else { return none };
    let judged = Judged::of(rollout, step);
    let errors = judged.weigh(Metric::Errors);
    let latencies: Vec<Weighed> = if rollout.thresholds.is_some() {
        (0..THRESHOLDS).map(|it| judged.weigh(Metric::Latency(it))).collect()
    } else {
        Vec::new()
    };
    let is_bursty = errors.is_bursty || latencies.iter().any(|it| it.is_bursty);
    let slow = judged.slowness(&latencies);
    let order = |a: &&Weighed, b: &&Weighed| a.against.total_cmp(&b.against);
    let worst = latencies.iter().max_by(order).map(|it| judged.compare(it));
    let is_worst = |it: &Weighed| worst.filter(|worst| worst.metric == it.metric);
    let p95 = latencies.get(1).map(|it| is_worst(it).unwrap_or_else(|| judged.compare(it)));
    let (errors, p95) = (judged.compare(&errors), p95.as_ref());
    let in_step = judged.in_step;
    let waited = now.since(rollout.stage_since);
    let comparisons: Vec<Comparison> = [Some(errors), worst].into_iter().flatten().collect();
    let (verdict, reason, expected_s);
    let expected = forecast::remaining(rollout, (&errors, p95), &in_step, now);
    if 1.0 <= errors.against {
        (verdict, expected_s) = (Some(Verdict::Fail), None);
        reason = words::worse(rollout, &errors);
    } else if let Some(worst) = worst.filter(|_| 1.0 <= slow) {
        (verdict, expected_s) = (Some(Verdict::Fail), None);
        reason = words::worse(rollout, &worst);
    } else if let Some(actual) = judged.misshared() {
        (verdict, expected_s) = (Some(Verdict::Inconclusive), None);
        reason = words::misshared(rollout, actual);
    } else if 1.0 <= errors.favour && p95.is_none_or(|it| 1.0 <= it.favour) {
        let left = policy.min_duration.saturating_sub(waited);
        let lacking = policy.min_requests.saturating_sub(in_step.new.requests);
        let is_over = left.is_zero() && lacking == 0;
        verdict = is_over.then_some(Verdict::Pass);
        expected_s = (!is_over).then_some(expected).flatten();
        reason = words::good(rollout, &errors, p95, (left, lacking));
    } else if rollout.update.analysis.max_duration <= waited {
        (verdict, expected_s) = (Some(Verdict::Inconclusive), None);
        reason = words::undecided(rollout, &in_step, p95);
    } else {
        (verdict, expected_s) = (None, expected);
        reason = words::waits(rollout, &in_step, expected, now);
    }
    Assessment { verdict, reason, comparisons, expected_s, is_bursty }
}

/// The observations of a rollout that are judged.
struct Judged<'a> {
    rollout: &'a Rollout,
    observations: Vec<(f64, &'a Observation)>,
    /// The place of the first of the step it is in.
    step_from: usize,
    /// What both releases did in the step.
    in_step: InStep,
    /// What rejects, and what passes: logarithms of evidence, for each metric.
    limits: Limits,
}

/// Logarithms of evidence that are enough.
#[derive(Clone, Copy)]
struct Limits {
    against: f64,
    favour: f64,
    /// Of each metric.
    alpha: f64,
}

/// What a metric of both releases comes to, and the evidence in it: what is cheap to know.
struct Weighed {
    metric: Metric,
    blocks: Vec<Block>,
    /// Logarithms.
    against: f64,
    favour: f64,
    is_bursty: bool,
}

impl<'a> Judged<'a> {
    fn of(rollout: &'a Rollout, step: u32) -> Self {
        let is_judged = |it: &&Observation| !it.is_warm_up;
        let observations = rollout.observations.iter().filter(is_judged);
        let shared = observations.filter_map(|it| {
            let weight = it.weight.filter(|it| *it != Share::ZERO && *it != Share::ALL)?;
            Some((weight.as_fraction(), it))
        });
        let observations: Vec<_> = shared.collect();
        let step_from = observations.partition_point(|it| it.1.step < step);
        let mut in_step = InStep::default();
        for (_, it) in observations.iter().skip(step_from) {
            in_step.old = in_step.old.plus(&it.old);
            in_step.new = in_step.new.plus(&it.new);
        }
        let analysis = &rollout.update.analysis;
        let metrics = if rollout.thresholds.is_some() { 2.0 } else { 1.0 };
        let alpha = analysis.alpha.as_fraction() / metrics;
        let favour = libm::log(1.0 / analysis.beta.as_fraction());
        let limits = Limits { against: libm::log(1.0 / alpha), favour, alpha };
        Self { rollout, observations, step_from, in_step, limits }
    }

    /// Bad requests of either release, observation by observation, and the place of the first of the step.
    fn blocks(&self, metric: Metric) -> (Vec<Block>, usize) {
        let mut blocks = Vec::with_capacity(self.observations.len());
        let mut step_from = None;
        for (place, (pi, it)) in self.observations.iter().enumerate() {
            if place == self.step_from {
                step_from = Some(blocks.len());
            }
            if metric == Metric::Errors || it.has_thresholds {
                let (old, new) = (bad(metric, &it.old), bad(metric, &it.new));
                blocks.push(Block { pi: *pi, old, new });
            }
        }
        let step_from = step_from.unwrap_or(blocks.len());
        (blocks, step_from)
    }

    fn weigh(&self, metric: Metric) -> Weighed {
        let tolerated = self.rollout.update.analysis.max_ratio;
        let (blocks, step_from) = self.blocks(metric);
        Weighed {
            metric,
            against: evidence::believed_against(&blocks, tolerated, self.limits.against),
            favour: self.favour(metric, blocks.get(step_from..).unwrap_or_default()),
            is_bursty: evidence::is_bursty(&blocks),
            blocks,
        }
    }

    /// Evidence for the new release in the step: that its requests are not bad `pass_ratio` times as often, and that
    /// less of them are than may be at all. The mean of two e-processes is one.
    fn favour(&self, metric: Metric, blocks: &[Block]) -> f64 {
        let analysis = &self.rollout.update.analysis;
        let compared = evidence::favour(&evidence::sums(blocks), analysis.pass_ratio);
        let tolerated = match metric {
            Metric::Errors => analysis.tolerated_errors.as_fraction(),
            Metric::Latency(_) => SLOW_SHARE * analysis.pass_ratio,
        };
        if tolerated <= 0.0 || 1.0 <= tolerated {
            return compared;
        }
        let (mut requests, mut found) = (0, 0);
        for (_, it) in self.observations.iter().skip(self.step_from) {
            if metric == Metric::Errors || it.has_thresholds {
                requests += it.new.requests;
                found += bad(metric, &it.new);
            }
        }
        evidence::log_mean(&[compared, evidence::below(requests, found, tolerated)])
    }

    /// Evidence of all latencies together, as a part of what rejects.
    fn slowness(&self, latencies: &[Weighed]) -> f64 {
        if latencies.is_empty() {
            return 0.0;
        }
        let logs: Vec<f64> = latencies.iter().map(|it| it.against).collect();
        evidence::log_mean(&logs) / self.limits.against
    }

    fn compare(&self, weighed: &Weighed) -> Comparison {
        let metric = weighed.metric;
        let (mut old, mut new) = ((0, 0), (0, 0));
        let is_known = |it: &&(f64, &Observation)| metric == Metric::Errors || it.1.has_thresholds;
        for (_, it) in self.observations.iter().filter(is_known) {
            old = (old.0 + it.old.requests, old.1 + bad(metric, &it.old));
            new = (new.0 + it.new.requests, new.1 + bad(metric, &it.new));
        }
        let (at_least, at_most) = evidence::interval(&weighed.blocks, self.limits.alpha);
        let rates = (share(old.1, old.0), share(new.1, new.0));
        Comparison {
            metric,
            old,
            new,
            ratio: (0.0 < rates.0).then(|| rates.1 / rates.0),
            at_least,
            at_most,
            against: weighed.against / self.limits.against,
            favour: weighed.favour / self.limits.favour,
        }
    }

    /// The share of requests the new release gets in a step, if it is not what was asked for. Where callers keep
    /// to a release, their requests are not independent, and some have more than others.
    fn misshared(&self) -> Option<f64> {
        if self.rollout.is_by_key {
            return None;
        }
        let of = |(pi, it): &(f64, &Observation)| Block {
            pi: *pi,
            old: it.old.requests,
            new: it.new.requests,
        };
        let here = self.observations.iter().skip(self.step_from);
        let sums = evidence::sums(&here.map(of).collect::<Vec<_>>());
        let [Block { pi, old, new }] = *sums.as_slice() else { return None };
        let actual = share(new, old + new);
        let odds = actual / (1.0 - actual) * (1.0 - pi) / pi;
        let is_off = !(1.0 / SHARE_OFF_MAX..=SHARE_OFF_MAX).contains(&odds);
        let is_sure = libm::log(1.0 / SHARE_ALPHA) <= evidence::misshared(&sums);
        (is_off && is_sure).then_some(actual)
    }
}

/// What both releases did in a step, as far as it is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InStep {
    pub(crate) old: Counts,
    pub(crate) new: Counts,
}

fn bad(metric: Metric, counts: &Counts) -> u64 {
    match metric {
        Metric::Errors => counts.errors,
        Metric::Latency(place) => counts.slow.get(place).copied().unwrap_or_default(),
    }
}
