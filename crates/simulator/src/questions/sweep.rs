//! What does a number change? Values of a parameter, and what comes of each: `pelago sim sweep`.

use api::simulation::{Credibility, LoadPoint, Sweep};

use super::experiment::{Experiment, Job, Stage};
use super::figures::Figures;
use super::objective::MET;
use super::origin::{Ran, origin};
use super::report::{credibility, load_point};
use super::warm_up::{self, WarmUp};
use super::{Options, QuestionError, Tell};
use crate::system::System;

/// Plays one system for each value of a parameter, all with the same luck.
pub fn sweep(
    parameter: &str,
    values: &[(String, System)],
    options: &Options,
    tell: Tell<'_>,
) -> Result<Sweep, QuestionError> {
    Experiment::new(options, tell).sweep(parameter, values)
}

impl Experiment<'_> {
    fn sweep(&self, parameter: &str, values: &[(String, System)]) -> Result<Sweep, QuestionError> {
        let Some((_, first)) = values.first() else { return Err(QuestionError::Nothing("value")) };
        let begin = warm_up::share(first);
        let warm_up = self.longest_warm_up(values, begin)?;
        let jobs = |it| self.jobs(it, 1.0, &warm_up, 0..self.replications());
        let jobs: Vec<Job<'_>> = values.iter().flat_map(|it| jobs(&it.1)).collect();
        let stage = Stage { span: (begin, 1.0), doing: "playing every value" };
        let mut played = self.play_all(&jobs, stage, Figures::of)?;
        let mut ran = Ran::default();
        ran.add(&played);
        let (mut points, mut believed) = (Vec::new(), Credibility::default());
        for (value, system) in values {
            let rest = played.split_off(played.len().min(each(self)));
            let here = std::mem::replace(&mut played, rest);
            let assumptions = &self.options.assumptions;
            let found = credibility(system, &here, &warm_up, assumptions);
            merge(&mut believed, found, value);
            points.push((value.clone(), load_point(system, 1.0, &here)));
        }
        let systems: Vec<&System> = values.iter().map(|it| &it.1).collect();
        Ok(Sweep {
            origin: origin(self, &systems, &warm_up, &ran),
            parameter: parameter.to_owned(),
            summary: summary(parameter, &points),
            points,
            credibility: believed,
        })
    }

    /// The longest warm-up that any of the systems needs.
    fn longest_warm_up(
        &self,
        values: &[(String, System)],
        end: f64,
    ) -> Result<WarmUp, QuestionError> {
        let mut longest = WarmUp::default();
        let each = end / crate::statistics::number(values.len());
        let mut from = 0.0;
        for (_, system) in values {
            let span = (from, from + each);
            let stage = Stage { span, doing: "looking for the end of the warm-up" };
            let found = warm_up::find(self, system, stage)?;
            if longest.time <= found.time {
                longest = found;
            }
            from += each;
        }
        Ok(longest)
    }
}

/// Replications of one value.
fn each(experiment: &Experiment<'_>) -> usize {
    usize::try_from(experiment.replications()).unwrap_or(usize::MAX)
}

/// What holds for all values once, and what one of them has with its name.
fn merge(all: &mut Credibility, of_value: Credibility, value: &str) {
    for it in of_value.assumptions {
        if !all.assumptions.contains(&it) {
            all.assumptions.push(it);
        }
    }
    let named = |it: String| format!("{value}: {it}");
    all.violations.extend(of_value.violations.into_iter().map(named));
    all.refusals.extend(of_value.refusals.into_iter().map(named));
    all.little_max_error = all.little_max_error.max(of_value.little_max_error);
}

/// Which values meet the objectives, and which has the best tail.
fn summary(parameter: &str, points: &[(String, LoadPoint)]) -> String {
    let names = |of: &dyn Fn(&LoadPoint) -> bool| -> Vec<&str> {
        points.iter().filter(|it| of(&it.1)).map(|it| it.0.as_str()).collect()
    };
    let met = names(&|it| it.state == MET);
    let quickest = points.iter().filter(|it| 0.0 < it.1.goodput.value);
    let quickest =
        quickest.min_by(|a, b| a.1.latency.p99_ms.value.total_cmp(&b.1.latency.p99_ms.value));
    let quickest = quickest.map(|(value, point)| {
        format!("; p99 is least at {value}, with {:.3} ms", point.latency.p99_ms.value)
    });
    let quickest = quickest.unwrap_or_default();
    match (met.len(), points.len()) {
        (0, _) => format!("with no value of {parameter} is every objective met{quickest}"),
        (some, all) if some == all => {
            format!("with every value of {parameter} is every objective met{quickest}")
        }
        _ => format!("with {parameter} {} is every objective met{quickest}", met.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::pretended;
    use crate::run::Go;

    fn ask(values: &[(String, System)]) -> Result<Sweep, QuestionError> {
        let options = Options { threads: 2, ..Options::default() };
        let experiment =
            Experiment { options: &options, play: &pretended::play, tell: &|_| Go::On };
        experiment.sweep("services.web.replicas", values)
    }

    #[test]
    fn every_value_has_its_point() {
        let value = |it: u32| (it.to_string(), pretended::with_replicas(it));
        let found = ask(&[value(1), value(2), value(4)]).unwrap();
        let means: Vec<f64> =
            found.points.iter().map(|it| it.1.latency.mean_ms.value.round()).collect();
        assert_eq!(means, [20.0, 7.0, 3.0]);
        let start =
            "with every value of services.web.replicas is every objective met; p99 is least at 4";
        assert!(found.summary.starts_with(start), "{}", found.summary);
        assert_eq!(found.origin.replications, 10);
    }

    #[test]
    fn nothing_to_try_is_an_error() {
        assert_eq!(ask(&[]), Err(QuestionError::Nothing("value")));
    }
}
