//! Which is better? Two variants with the same users and the same luck: `pelago sim compare`.
//!
//! Both are played with the same seed, and each random stream belongs to a service and a purpose: where the variants do
//! the same, the same happens. Differences are taken replication by replication, so that what both had in common
//! cancels out, and small differences show with few replications (common random numbers, paired t).

use api::simulation::{Comparison, Difference, Estimate};

use super::estimate::{difference, estimate_of_some};
use super::experiment::{Experiment, Stage};
use super::figures::Figures;
use super::report::ends;
use super::sojourn::{Shown, too_few};
use super::station::refusals;
use super::warm_up::{self, WarmUp};
use super::{Options, QuestionError, Tell};
use crate::system::System;

/// Plays two systems side by side. Their warm-up is the longer of both.
pub fn compare(
    (a, b): (&System, &System),
    options: &Options,
    tell: Tell<'_>,
) -> Result<Comparison, QuestionError> {
    Experiment::new(options, tell).compare(a, b)
}

impl Experiment<'_> {
    fn compare(&self, a: &System, b: &System) -> Result<Comparison, QuestionError> {
        let (begin_a, begin_b) = (warm_up::share(a), warm_up::share(b));
        let begin = f64::midpoint(begin_a, begin_b);
        let looking =
            |from, to| Stage { span: (from, to), doing: "looking for the end of the warm-up" };
        let of_a = warm_up::find(self, a, looking(0.0, begin / 2.0))?;
        let of_b = warm_up::find(self, b, looking(begin / 2.0, begin))?;
        let warm_up = if of_a.time < of_b.time { of_b } else { of_a };
        let middle = f64::midpoint(begin, 1.0);
        let playing = |doing, from, to| Stage { span: (from, to), doing };
        let of_a = self.replicate(a, &warm_up, playing("playing the first", begin, middle))?;
        let of_b = self.replicate(b, &warm_up, playing("playing the second", middle, 1.0))?;
        let differences = differences((a, &of_a), (b, &of_b));
        Ok(Comparison {
            a: self.answer(a, &of_a, &warm_up).report,
            b: self.answer(b, &of_b, &warm_up).report,
            summary: summary(&differences),
            differences,
        })
    }

    fn replicate(
        &self,
        system: &System,
        warm_up: &WarmUp,
        stage: Stage<'_>,
    ) -> Result<Vec<Figures>, QuestionError> {
        let jobs = self.jobs(system, 1.0, warm_up, 0..self.replications());
        self.play_all(&jobs, stage, Figures::of)
    }
}

/// A figure of both variants, in the making.
struct Figure<'a> {
    what: String,
    unit: &'a str,
    more_is_better: Option<bool>,
    /// Why it has no interval, if so.
    refusal: Option<String>,
}

impl Figure<'_> {
    fn of(self, a: &[Option<f64>], b: &[Option<f64>]) -> Difference {
        let refusal = self.refusal.as_deref();
        let difference = difference(a, b, refusal);
        let differs = |it: &Estimate| it.half_width.is_some_and(|half| half < it.value.abs());
        Difference {
            what: self.what,
            unit: self.unit.to_owned(),
            a: estimate_of_some(a, refusal),
            b: estimate_of_some(b, refusal),
            differs: differs(&difference),
            difference,
            more_is_better: self.more_is_better,
        }
    }
}

type Played<'a> = (&'a System, &'a [Figures]);

fn differences(
    (a, of_a): (&System, &[Figures]),
    (b, of_b): (&System, &[Figures]),
) -> Vec<Difference> {
    let refusal = refusals(a, of_a).whole.or(refusals(b, of_b).whole);
    let mut all = Vec::new();
    let mut add = |figure: Figure<'_>, of: &dyn Fn(&Figures) -> Option<f64>| {
        let values = |it: &[Figures]| it.iter().map(of).collect::<Vec<_>>();
        all.push(figure.of(&values(of_a), &values(of_b)));
    };
    let figure = |what: &str, unit, more_is_better, refusal| Figure {
        what: what.to_owned(),
        unit,
        more_is_better: Some(more_is_better),
        refusal,
    };
    add(figure("goodput", "/s", true, None), &|it| Some(it.all.goodput));
    add(figure("success", "", true, None), &|it| it.all.success);
    add(figure("mean", "ms", false, refusal.clone()), &|it| it.all.latency.mean);
    let quantiles = [("p50", Shown::P50), ("p99", Shown::P99), ("p99.9", Shown::P999)];
    for (name, shown) in quantiles {
        let sojourns: Vec<_> = of_a.iter().chain(of_b).map(|it| it.all.latency).collect();
        let refusal = refusal.clone().or_else(|| too_few(&sojourns, shown.share()));
        add(figure(name, "ms", false, refusal), &|it| it.all.latency.quantile(shown));
    }
    all.extend(of_edges((a, of_a), (b, of_b)));
    all.extend(of_services((a, of_a), (b, of_b)));
    all
}

/// Attempts per call of the edges that both have.
fn of_edges((a, of_a): Played<'_>, (b, of_b): Played<'_>) -> Vec<Difference> {
    let places = |system: &System| -> Vec<_> {
        (0..system.edges().len()).filter_map(|it| Some((ends(system, it)?, it))).collect()
    };
    let of_second = places(b);
    let shared = places(a).into_iter().filter_map(|(names, in_a)| {
        let in_b = of_second.iter().find(|it| it.0 == names)?.1;
        let values = |figures: &[Figures], place: usize| -> Vec<Option<f64>> {
            figures.iter().map(|it| it.edges.get(place)?.attempts_per_call).collect()
        };
        let (of_a, of_b) = (values(of_a, in_a), values(of_b, in_b));
        // An edge that is never used differs in nothing.
        let is_used = of_a.iter().chain(&of_b).any(Option::is_some);
        let (caller, callee) = names;
        let figure = Figure {
            what: format!("attempts per call {caller} -> {callee}"),
            unit: "",
            more_is_better: None,
            refusal: None,
        };
        is_used.then(|| figure.of(&of_a, &of_b))
    });
    shared.collect()
}

/// Utilisation of the services that both have, and that have a limit in both.
fn of_services((a, of_a): Played<'_>, (b, of_b): Played<'_>) -> Vec<Difference> {
    let shared = a.services().iter().enumerate().filter_map(|(in_a, name)| {
        let in_b = b.services().iter().position(|it| it == name)?;
        let values = |figures: &[Figures], place: usize| -> Vec<Option<f64>> {
            figures.iter().map(|it| it.utilisation(place)).collect()
        };
        let (of_a, of_b) = (values(of_a, in_a), values(of_b, in_b));
        let has_limit = of_a.iter().chain(&of_b).all(Option::is_some);
        let figure = Figure {
            what: format!("utilisation {name}"),
            unit: "",
            more_is_better: None,
            refusal: None,
        };
        has_limit.then(|| figure.of(&of_a, &of_b))
    });
    shared.collect()
}

/// What differs of what users notice, in one sentence.
fn summary(differences: &[Difference]) -> String {
    let noticed = differences.iter().filter(|it| it.differs && it.more_is_better.is_some());
    let said: Vec<String> = noticed.map(said).collect();
    match said.as_slice() {
        [] => "no difference that users would notice can be told from chance".to_owned(),
        said => format!("the second has {}", said.join(", ")),
    }
}

/// `p99 12 % lower (better)`.
fn said(it: &Difference) -> String {
    let is_more = 0.0 < it.difference.value;
    let direction = if is_more { "higher" } else { "lower" };
    let judged = if Some(is_more) == it.more_is_better { "better" } else { "worse" };
    let share = it.difference.value.abs() / it.a.value.abs();
    let much = if share.is_finite() && !it.unit.is_empty() {
        format!("{:.1} % ", share * 100.0)
    } else {
        format!("{:.3} points ", it.difference.value.abs() * 100.0)
    };
    format!("{} {much}{direction} ({judged})", it.what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::pretended;
    use crate::run::Go;

    fn comparison(replicas: [u32; 2]) -> Comparison {
        let options = Options::default();
        let experiment =
            Experiment { options: &options, play: &pretended::play, tell: &|_| Go::On };
        let [a, b] = replicas.map(pretended::with_replicas);
        experiment.compare(&a, &b).unwrap()
    }

    #[test]
    fn the_same_does_not_differ() {
        let found = comparison([1, 1]);
        assert!(found.differences.iter().all(|it| !it.differs && it.difference.value == 0.0));
        assert_eq!(found.summary, "no difference that users would notice can be told from chance");
    }

    #[test]
    fn twice_the_workers_are_quicker_and_idler() {
        let found = comparison([1, 2]);
        let of = |what: &str| found.differences.iter().find(|it| it.what == what).unwrap();
        // 1 / (100 - 50) s becomes 1 / (200 - 50) s.
        let mean = of("mean");
        assert!(mean.differs && mean.more_is_better == Some(false));
        assert!((mean.difference.value + 13.3).abs() < 0.5, "{:?}", mean.difference);
        assert!(!of("goodput").differs);
        assert!((of("utilisation web").difference.value + 0.25).abs() < 0.02);
        // What both had in common cancels out: the difference is surer than its two sides are.
        let half = |it: &Estimate| it.half_width.unwrap();
        assert!(half(&mean.difference) < half(&mean.a));
        assert!(found.summary.contains("mean 66."), "{}", found.summary);
    }
}
