//! How does it do? A report of one application in one scenario: `pelago sim run`.

use api::simulation::{Report, Traces};

use super::experiment::{Experiment, Job, Stage};
use super::figures::Figures;
use super::origin::{Ran, origin};
use super::report::{credibility, report};
use super::traces::traces;
use super::warm_up::{self, WarmUp};
use super::{Options, QuestionError, REPLICATIONS_MAX, Tell};
use crate::run::Run;
use crate::statistics::{Interval, is_precise};
use crate::system::System;

/// A report, and what is exported beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The report.
    pub report: Report,
    /// Requests of the first replication with all they led to.
    pub traces: Traces,
}

/// Plays a system as often as is asked, and reports.
pub fn run(system: &System, options: &Options, tell: Tell<'_>) -> Result<Answer, QuestionError> {
    Experiment::new(options, tell).run(system)
}

impl Experiment<'_> {
    pub(super) fn run(&self, system: &System) -> Result<Answer, QuestionError> {
        let begin = warm_up::share(system);
        let stage = Stage { span: (0.0, begin), doing: "looking for the end of the warm-up" };
        let warm_up = warm_up::find(self, system, stage)?;
        let stage = Stage { span: (begin, 1.0), doing: "playing" };
        let replications = self.replicate_precisely(system, &warm_up, stage)?;
        Ok(self.answer(system, &replications, &warm_up))
    }

    /// The answer from what was played.
    pub(super) fn answer(
        &self,
        system: &System,
        replications: &[Figures],
        warm_up: &WarmUp,
    ) -> Answer {
        let mut ran = Ran::default();
        ran.add(replications);
        let mut origin = origin(self, &[system], warm_up, &ran);
        origin.replications = u32::try_from(replications.len()).unwrap_or(u32::MAX);
        let assumptions = &self.options.assumptions;
        let credibility = credibility(system, replications, warm_up, assumptions);
        let kept = replications.first().map(|it| it.traces.as_slice()).unwrap_or_default();
        let traces = traces(system, self.options.seed, kept);
        Answer { report: report(system, replications, origin, credibility), traces }
    }

    /// Replications of a system at a load, by number from `first` on.
    pub(super) fn jobs<'s>(
        &self,
        system: &'s System,
        load: f64,
        warm_up: &WarmUp,
        numbers: std::ops::Range<u32>,
    ) -> Vec<Job<'s>> {
        let job = |replication| Job {
            system,
            run: Run {
                seed: self.options.seed,
                replication,
                load,
                warm_up: Some(warm_up.time),
                traces: self.options.traces,
            },
        };
        numbers.map(job).collect()
    }

    /// As many replications as are asked for, and more until they are as precise as is asked for.
    fn replicate_precisely(
        &self,
        system: &System,
        warm_up: &WarmUp,
        stage: Stage<'_>,
    ) -> Result<Vec<Figures>, QuestionError> {
        let mut replications: Vec<Figures> = Vec::new();
        let (mut from, until) = stage.span;
        loop {
            let first = u32::try_from(replications.len()).unwrap_or(REPLICATIONS_MAX);
            let last = first.saturating_add(self.replications()).min(REPLICATIONS_MAX);
            let jobs = self.jobs(system, 1.0, warm_up, first..last);
            // How many more will be needed is not known: half of what is left for each round.
            let to = self.options.precision.map_or(until, |_| f64::midpoint(from, until));
            let round = Stage { span: (from, to), ..stage };
            replications.extend(self.play_all(&jobs, round, Figures::of)?);
            from = to;
            let error = self.options.precision.filter(|_| last < REPLICATIONS_MAX);
            if error.is_none_or(|it| precise(&replications, it)) {
                return Ok(replications);
            }
        }
    }
}

/// Whether goodput and mean latency are as precise as is asked for.
fn precise(replications: &[Figures], error: f64) -> bool {
    let goodput: Vec<f64> = replications.iter().map(|it| it.all.goodput).collect();
    let latency: Vec<f64> = replications.iter().filter_map(|it| it.all.latency.mean).collect();
    [goodput, latency].iter().all(|it| Interval::of(it).is_some_and(|it| is_precise(&it, error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::pretended;
    use crate::run::Go;

    fn answer(options: &Options, system: &System) -> Answer {
        let experiment = Experiment { options, play: &pretended::play, tell: &|_| Go::On };
        experiment.run(system).unwrap()
    }

    #[test]
    fn a_report_says_what_was_run_and_what_came_of_it() {
        let system = pretended::system();
        let Answer { report, .. } = answer(&Options::default(), &system);
        assert_eq!((report.origin.replications, report.origin.warm_up_s), (10, 0.0));
        assert_eq!(report.origin.warm_up_by, "given");
        assert_eq!(report.verdict.summary, "meets every objective; web is busiest, at 50 %");
        assert!((report.verdict.headroom.unwrap() - 2.0).abs() < 0.1);
        let users = &report.users[0];
        let truth = 20.0;
        let mean = &users.latency.mean_ms;
        assert!((mean.value - truth).abs() < 2.0 * mean.half_width.unwrap(), "{mean:?}");
        assert_eq!(report.services[0].name, "web");
        assert_eq!(report.credibility.violations, [""; 0]);
        assert_eq!(report.timeline.offered.len(), pretended::BUCKETS);
    }

    #[test]
    fn threads_change_nothing() {
        let system = pretended::system();
        let text = |threads| {
            let options = Options { threads, ..Options::default() };
            serde_json::to_string(&answer(&options, &system).report).unwrap()
        };
        assert_eq!(text(1), text(2));
        assert_eq!(text(1), text(3));
    }

    #[test]
    fn one_replication_has_no_intervals() {
        let options = Options { replications: 1, ..Options::default() };
        let Answer { report, .. } = answer(&options, &pretended::system());
        let goodput = &report.users[0].goodput;
        assert!(goodput.half_width.is_none() && goodput.refused.is_some());
        assert!(0.0 < goodput.value);
    }

    #[test]
    fn the_warm_up_is_found_and_said() {
        let system = pretended::settling(0.04);
        let Answer { report, .. } = answer(&Options::default(), &system);
        assert_eq!(report.origin.warm_up_by, "mser-5");
        // The transient has a time constant of 4 s, and begins at five times what follows.
        assert!((10.0..50.0).contains(&report.origin.warm_up_s), "{}", report.origin.warm_up_s);
        let Answer { report, .. } = answer(&Options::default(), &pretended::settling(1.0));
        assert!((report.origin.warm_up_s - 50.0).abs() < 1e-12);
        assert!(report.credibility.refusals[0].starts_with("the pilot did not settle"));
    }

    #[test]
    fn precision_asks_for_more() {
        let options = Options { replications: 5, precision: Some(0.002), ..Options::default() };
        let Answer { report, .. } = answer(&options, &pretended::system());
        let users = &report.users[0];
        assert!(5 < report.origin.replications, "{}", report.origin.replications);
        let goodput = &users.goodput;
        assert!(goodput.half_width.unwrap() <= goodput.value * 0.002);
    }
}
