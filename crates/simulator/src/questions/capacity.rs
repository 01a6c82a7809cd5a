//! How much does it bear? The largest load that meets the objectives: `pelago sim capacity`.
//!
//! The load is doubled or halved until one load meets the objectives and one misses them, and the two are brought together by
//! halving what lies between. All loads have the same luck (common random numbers), so that what differs between two
//! of them is the load. Each replication has a capacity of its own, between the same loads; from those comes the interval.

use api::simulation::{Capacity, LoadPoint};

use super::estimate::estimate;
use super::experiment::{Experiment, Stage};
use super::figures::{Figures, REFUSALS};
use super::objective::{self, Asked};
use super::origin::{Ran, origin};
use super::report::{credibility, ends, load_point};
use super::station::busiest;
use super::warm_up::{self, WarmUp};
use super::{Options, QuestionError, Tell};
use crate::statistics::number;
use crate::system::System;

/// How a capacity is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CapacityOptions {
    /// How far apart the load that meets and the one that misses may be in the end, as a share of the former.
    pub precision: f64,
    /// The largest load that is tried, as a factor of the scenario's.
    pub factor_max: f64,
}

impl Default for CapacityOptions {
    /// Two percent, which is less than a usual interval; and a thousand times the scenario's load, since what bears that
    /// is asked the wrong question.
    fn default() -> Self {
        Self { precision: 0.02, factor_max: 1_024.0 }
    }
}

/// The smallest load that is tried, as a factor of the scenario's: below it, nothing would be left to measure.
const FACTOR_MIN: f64 = 1.0 / 1_024.0;
/// Loads that are tried between the one that meets and the one that misses, at most: from a factor of 16, twelve halvings
/// leave less than half a percent.
const BISECTIONS_MAX: u32 = 12;
/// How busy the next load is meant to make the bottleneck, while it is far from that.
const BUSY: f64 = 0.6;
/// How many times as large the next load is, at least and at most.
const STEP: (f64, f64) = (2.0, 16.0);
/// Shares of the capacity that belong to its curve, and how near a load that was tried anyway must be to stand for one.
const CURVE: [f64; 4] = [0.25, 0.5, 0.75, 0.9];
const NEAR: f64 = 0.08;

/// Finds the largest load a system bears.
pub fn capacity(
    system: &System,
    search: CapacityOptions,
    options: &Options,
    tell: Tell<'_>,
) -> Result<Capacity, QuestionError> {
    Experiment::new(options, tell).capacity(system, search)
}

/// A load that was tried.
struct Tried {
    factor: f64,
    replications: Vec<Figures>,
    /// Whether the objectives are met, as means over the replications have it.
    meets: bool,
}

/// The search: everything that was tried, by ascending load.
struct Search<'a> {
    experiment: &'a Experiment<'a>,
    system: &'a System,
    warm_up: WarmUp,
    asked: Vec<Asked>,
    tried: Vec<Tried>,
}

impl Experiment<'_> {
    fn capacity(
        &self,
        system: &System,
        options: CapacityOptions,
    ) -> Result<Capacity, QuestionError> {
        let begin = warm_up::share(system) / 2.0;
        let stage = Stage { span: (0.0, begin), doing: "looking for the end of the warm-up" };
        let warm_up = warm_up::find(self, system, stage)?;
        let asked = objective::asked(&system.scenario().objective);
        let mut search = Search { experiment: self, system, warm_up, asked, tried: Vec::new() };
        search.bracket(begin, options)?;
        search.bisect(options)?;
        search.curve()?;
        Ok(search.answer())
    }
}

impl Search<'_> {
    /// Tries a load.
    fn attempt(&mut self, factor: f64, span: (f64, f64)) -> Result<bool, QuestionError> {
        let doing = format!("trying {factor:.4} times the load");
        let stage = Stage { span, doing: &doing };
        let numbers = 0..self.experiment.replications();
        let jobs = self.experiment.jobs(self.system, factor, &self.warm_up, numbers);
        let replications = self.experiment.play_all(&jobs, stage, Figures::of)?;
        let meets = self.asked.iter().all(|it| it.ratio(&replications) <= 1.0);
        let place = self.tried.partition_point(|it| it.factor < factor);
        self.tried.insert(place, Tried { factor, replications, meets });
        Ok(meets)
    }

    /// The place of the largest load that meets the objectives below the smallest that does not, and of that one.
    fn ends(&self) -> (Option<usize>, Option<usize>) {
        match self.tried.iter().position(|it| !it.meets) {
            Some(misses) => (misses.checked_sub(1), Some(misses)),
            None => (self.tried.len().checked_sub(1), None),
        }
    }

    /// Doubles or halves the load until one meets and one misses.
    fn bracket(&mut self, begin: f64, options: CapacityOptions) -> Result<(), QuestionError> {
        let (mut from, mut factor) = (begin, 1.0);
        loop {
            let to = from + (BRACKETED - from) / 3.0;
            let meets = self.attempt(factor, (from, to))?;
            from = to;
            let (met, missed) = self.ends();
            if met.is_some() && missed.is_some() {
                return Ok(());
            }
            if meets && options.factor_max <= factor || !meets && factor <= FACTOR_MIN {
                return Ok(());
            }
            factor = if meets {
                (factor * self.step()).min(options.factor_max)
            } else {
                (factor / STEP.0).max(FACTOR_MIN)
            };
        }
    }

    /// How many times as large the next load should be: what is hardly busy is far from its capacity.
    fn step(&self) -> f64 {
        let busy = self.tried.last().and_then(|it| busiest(&it.replications)).map(|it| it.1);
        let step = busy.filter(|it| 0.0 < *it).map_or(STEP.0, |it| BUSY / it);
        step.clamp(STEP.0, STEP.1)
    }

    /// Brings the two ends together.
    fn bisect(&mut self, options: CapacityOptions) -> Result<(), QuestionError> {
        let mut from = BRACKETED;
        for left in (1..=BISECTIONS_MAX).rev() {
            let (Some(met), Some(missed)) = self.ends() else { return Ok(()) };
            let factor = |it: usize| self.tried.get(it).map_or(1.0, |it| it.factor);
            let (low, high) = (factor(met), factor(missed));
            if high <= low * (1.0 + options.precision) {
                return Ok(());
            }
            let needed = libm::log2((high - low) / (low * options.precision)).max(1.0);
            let to = from + (BISECTED - from) / needed.min(f64::from(left));
            self.attempt(f64::midpoint(low, high), (from, to))?;
            from = to;
        }
        Ok(())
    }

    /// Tries loads below the capacity that belong to its curve.
    fn curve(&mut self) -> Result<(), QuestionError> {
        let Some(met) = self.ends().0.and_then(|it| self.tried.get(it)).map(|it| it.factor) else {
            return Ok(());
        };
        let each = (1.0 - BISECTED) / number(CURVE.len());
        let mut from = BISECTED;
        for share in CURVE {
            let near = |it: &Tried| (it.factor / met - share).abs() < NEAR;
            if !self.tried.iter().any(near) {
                self.attempt(share * met, (from, from + each))?;
            }
            from += each;
        }
        Ok(())
    }

    fn answer(&self) -> Capacity {
        let (met, missed) = self.ends();
        let at = |it: Option<usize>| it.and_then(|it| self.tried.get(it));
        let (met, missed) = (at(met), at(missed));
        let offered = |it: &Tried| mean(it, |it| it.all.offered);
        let now = self.tried.iter().find(|it| (it.factor - 1.0).abs() < f64::EPSILON);
        let limited = missed.and_then(|it| self.limiting(it));
        let bottleneck = missed.or(met).and_then(|it| self.bottleneck(it));
        let each = self.of_replications();
        let refusal = (missed.is_none() || met.is_none())
            .then_some("no load was found on one of the two sides of the capacity");
        let capacity = estimate(&each, refusal);
        let headroom = now.map(offered).filter(|it| 0.0 < *it).map(|it| capacity.value / it);
        let headroom = headroom.filter(|_| met.is_some());
        Capacity {
            origin: self.origin(),
            meets: met.map(offered),
            misses: missed.map(offered),
            summary: summary((met, missed), headroom, (bottleneck.as_deref(), limited)),
            capacity,
            bottleneck,
            limited_by: limited.map(|it| it.text.clone()),
            headroom,
            points: self.tried.iter().map(|it| self.point(it)).collect(),
            credibility: self.credibility(),
        }
    }

    fn point(&self, tried: &Tried) -> LoadPoint {
        load_point(self.system, tried.factor, &tried.replications)
    }

    fn origin(&self) -> api::simulation::Origin {
        let mut ran = Ran::default();
        self.tried.iter().for_each(|it| ran.add(&it.replications));
        origin(self.experiment, &[self.system], &self.warm_up, &ran)
    }

    /// That of the largest load that meets the objectives, with what any load has violated.
    fn credibility(&self) -> api::simulation::Credibility {
        let of = |it: &Tried| {
            let assumptions = &self.experiment.options.assumptions;
            credibility(self.system, &it.replications, &self.warm_up, assumptions)
        };
        let met = self.ends().0.or((!self.tried.is_empty()).then_some(0));
        let mut believed = met.and_then(|it| self.tried.get(it)).map(of).unwrap_or_default();
        for it in self.tried.iter().map(of) {
            for violation in it.violations {
                if !believed.violations.contains(&violation) {
                    believed.violations.push(violation);
                }
            }
            believed.little_max_error = believed.little_max_error.max(it.little_max_error);
        }
        believed
    }

    /// The objective that is missed most at a load.
    fn limiting(&self, at: &Tried) -> Option<&Asked> {
        let ratio = |it: &&Asked| it.ratio(&at.replications);
        let worst = self.asked.iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b)))?;
        (1.0 < ratio(&worst)).then_some(worst)
    }

    /// What gives way at a load: the edge that refuses most of what fails, else the busiest service.
    fn bottleneck(&self, at: &Tried) -> Option<String> {
        let failing = mean(at, |it| it.all.offered - it.all.goodput);
        let edges = at.replications.first()?.edges.len();
        let refused = |edge: usize, reason: usize| {
            let of = |it: &Figures| it.edges.get(edge)?.refused.get(reason).copied();
            mean(at, |it| of(it).unwrap_or(0.0))
        };
        let all = (0..edges).flat_map(|edge| (0..REFUSALS.len()).map(move |it| (edge, it)));
        let worst = all
            .map(|(edge, reason)| (refused(edge, reason), edge, reason))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((rate, edge, reason)) = worst.filter(|it| 0.0 < it.0 && failing / 2.0 < it.0) {
            let (caller, callee) = ends(self.system, edge)?;
            let name = REFUSALS.get(reason)?;
            return Some(format!("{caller} -> {callee} ({name}: {rate:.1}/s are refused)"));
        }
        let (place, busy) = busiest(&at.replications)?;
        let name = self.system.services().get(place)?;
        Some(format!("{name} ({:.0} % busy)", busy * 100.0))
    }

    /// The capacity of each replication: where, between the loads that were tried, it first misses an objective.
    fn of_replications(&self) -> Vec<f64> {
        let replications = self.tried.first().map_or(0, |it| it.replications.len());
        (0..replications).filter_map(|it| self.of_replication(it)).collect()
    }

    fn of_replication(&self, number: usize) -> Option<f64> {
        let figures = |it: usize| self.tried.get(it).and_then(|it| it.replications.get(number));
        // A load's own arrivals differ by chance; its capacity is the load, not that.
        let offered = |it: usize| self.tried.get(it).map(|it| mean(it, |it| it.all.offered));
        let misses = |it: &Figures| self.asked.iter().any(|asked| asked.limit < asked.found(it));
        let first = (0..self.tried.len()).find(|it| figures(*it).is_some_and(misses));
        let Some(missed) = first else { return offered(self.tried.len().checked_sub(1)?) };
        let Some(met) = missed.checked_sub(1) else { return offered(missed) };
        let (low, high) = (figures(met)?, figures(missed)?);
        let way = |asked: &Asked| crossing(asked.found(low), asked.found(high), asked.limit);
        let share = self.asked.iter().map(way).fold(1.0, f64::min);
        Some(offered(met)? + share * (offered(missed)? - offered(met)?))
    }
}

/// Shares of the work that are over when the two ends are known, and when they are close.
const BRACKETED: f64 = 0.4;
const BISECTED: f64 = 0.85;

/// How far between two values a limit is reached, from 0 to 1; latency grows like a power of what is left, so evenly in its logarithm.
fn crossing(low: f64, high: f64, limit: f64) -> f64 {
    if high <= limit {
        return 1.0;
    }
    if high.is_infinite() || low <= 0.0 || high <= low {
        let way = (limit - low) / (high - low);
        return if way.is_finite() { way.clamp(0.0, 1.0) } else { 0.5 };
    }
    (libm::log(limit / low) / libm::log(high / low)).clamp(0.0, 1.0)
}

fn mean(tried: &Tried, of: impl Fn(&Figures) -> f64) -> f64 {
    tried.replications.iter().map(of).sum::<f64>() / number(tried.replications.len()).max(1.0)
}

fn summary(
    (met, missed): (Option<&Tried>, Option<&Tried>),
    headroom: Option<f64>,
    (bottleneck, limited): (Option<&str>, Option<&Asked>),
) -> String {
    let times = headroom.map(|it| format!(", {it:.2} times the load")).unwrap_or_default();
    let why = bottleneck.map(|it| format!("; {it} gives way")).unwrap_or_default();
    let missing = limited.map(|it| format!(": {} is missed", it.text)).unwrap_or_default();
    let offered = |it: &Tried| mean(it, |it| it.all.offered);
    match (met, missed) {
        (Some(met), Some(_)) => {
            format!("it bears {} requests/s{times}{why}{missing}", rounded(offered(met)))
        }
        (Some(met), None) => format!(
            "it bears {} requests/s{times}, the most that was tried; nothing limits it",
            rounded(offered(met))
        ),
        (None, Some(missed)) => format!(
            "not even {} requests/s, the least that was tried, meet the objectives{missing}",
            rounded(offered(missed))
        ),
        (None, None) => "nothing was tried".to_owned(),
    }
}

/// Three digits, or all before the point.
fn rounded(rate: f64) -> String {
    match rate {
        it if it < 1.0 => format!("{it:.3}"),
        it if it < 10.0 => format!("{it:.2}"),
        it if it < 100.0 => format!("{it:.1}"),
        it => format!("{it:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::pretended;
    use crate::run::Go;
    use proptest::prelude::*;
    use std::sync::Mutex;

    fn ask(replicas: u32, threads: usize) -> (Capacity, Vec<f64>) {
        let told = Mutex::new(Vec::new());
        let tell = |it: super::super::Progress<'_>| {
            told.lock().unwrap().push(it.done);
            Go::On
        };
        let options = Options { threads, ..Options::default() };
        let experiment = Experiment { options: &options, play: &pretended::play, tell: &tell };
        let system = pretended::with_replicas(replicas);
        let capacity = experiment.capacity(&system, CapacityOptions::default()).unwrap();
        (capacity, told.into_inner().unwrap())
    }

    #[test]
    fn the_capacity_of_a_queue_is_where_its_tail_says() {
        // p99 of an M/M/1 is 4.605 / (rate - load): a second at 95.4 of 100, and at 395.4 of 400.
        for (replicas, truth) in [(1, 95.4), (4, 395.4)] {
            let (found, told) = ask(replicas, 2);
            let (meets, misses) = (found.meets.unwrap(), found.misses.unwrap());
            assert!(meets <= truth * 1.01 && truth * 0.99 <= misses, "{meets} {misses}");
            assert!(misses <= meets * 1.021, "{meets} {misses}");
            let capacity = &found.capacity;
            let half = capacity.half_width.unwrap();
            assert!((capacity.value - truth).abs() < half.max(truth * 0.01), "{capacity:?}");
            assert_eq!(found.limited_by.as_deref(), Some("p99 within 1s"));
            assert!(found.bottleneck.unwrap().starts_with("web ("));
            let loads: Vec<f64> = found.points.iter().map(|it| it.factor).collect();
            assert!(loads.is_sorted() && 6 <= loads.len(), "{loads:?}");
            assert!(told.is_sorted() && *told.last().unwrap() <= 1.0);
        }
    }

    #[test]
    fn threads_change_nothing() {
        let text = |threads| serde_json::to_string(&ask(1, threads).0).unwrap();
        assert_eq!(text(1), text(2));
    }

    #[test]
    fn in_one_sentence() {
        let summary = ask(1, 1).0.summary;
        let (start, rest) = summary.split_at("it bears 9".len());
        assert_eq!(start, "it bears 9");
        assert!(rest.contains("% busy) gives way: p99 within 1s is missed"), "{summary}");
    }

    proptest! {
        #[test]
        fn a_crossing_lies_between(low in 0.0_f64..10.0, high in 0.0_f64..1e4, limit in 0.1_f64..100.0) {
            let found = crossing(low, high, limit);
            prop_assert!((0.0..=1.0).contains(&found));
        }
    }
}
