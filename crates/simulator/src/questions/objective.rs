//! What is asked of an application, and whether it does it, as far as the figures tell.

use api::simulation::{Estimate, ObjectiveResult};
use model::scenario::Objective;
use model::units::{DurationText, Share};

use super::estimate::estimate_of_some;
use super::figures::Figures;
use super::sojourn::{milliseconds, too_few};
use crate::statistics::number;

/// Where no interval can be given, a figure must be so many times better than what is asked, or worse, to tell anything.
const CLEARLY: f64 = 2.0;

/// One thing that is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    /// As it is written in answers.
    pub(super) text: String,
    what: What,
    /// The most of what should be little: a share of failures, or milliseconds.
    pub(super) limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Success,
    /// The latency objective at this place, and its quantile.
    Latency(usize, f64),
}

/// Everything that is asked, in the order it is reported.
pub(super) fn asked(objective: &Objective) -> Vec<Asked> {
    let success = Asked {
        text: format!("success {}", objective.success),
        what: What::Success,
        limit: 1.0 - objective.success.as_fraction(),
    };
    let latency = objective.latency.iter().enumerate().map(|(place, it)| Asked {
        text: format!("{} within {}", quantile_name(it.quantile), DurationText(it.within)),
        what: What::Latency(place, it.quantile.as_fraction()),
        limit: milliseconds(it.within),
    });
    std::iter::once(success).chain(latency).collect()
}

/// `p99`, `p99.9`.
fn quantile_name(quantile: Share) -> String {
    format!("p{}", quantile.to_string().trim_end_matches('%'))
}

impl Asked {
    /// What one replication has of what should be little. Where nothing was answered well, latency is as bad as can be.
    pub(super) fn found(&self, figures: &Figures) -> f64 {
        match self.what {
            What::Success => 1.0 - figures.all.success.unwrap_or(1.0),
            What::Latency(place, _) => {
                let latency = figures.asked.get(place).copied().flatten();
                latency.unwrap_or(if 0.0 < figures.all.offered { f64::INFINITY } else { 0.0 })
            }
        }
    }

    /// The mean over replications of what should be little, over what it may be at most: above 1, it is missed.
    pub(super) fn ratio(&self, replications: &[Figures]) -> f64 {
        let sum: f64 = replications.iter().map(|it| self.found(it)).sum();
        let mean = sum / number(replications.len()).max(1.0);
        if 0.0 < mean { mean / self.limit } else { 0.0 }
    }

    /// The result as it is reported. `refusal` says why latencies have no interval, if so.
    fn result(&self, replications: &[Figures], refusal: Option<&str>) -> ObjectiveResult {
        let (found, asked) = match self.what {
            What::Success => {
                let values: Vec<_> = replications.iter().map(|it| it.all.success).collect();
                (estimate_of_some(&values, None), 1.0 - self.limit)
            }
            What::Latency(place, quantile) => {
                let of = |it: &Figures| it.asked.get(place).copied().flatten();
                let values: Vec<_> = replications.iter().map(of).collect();
                let sojourns: Vec<_> = replications.iter().map(|it| it.all.latency).collect();
                let few = too_few(&sojourns, quantile);
                (estimate_of_some(&values, refusal.or(few.as_deref())), self.limit)
            }
        };
        let state = self.state(&found, replications).to_owned();
        ObjectiveResult { objective: self.text.clone(), found, asked, state }
    }

    fn state(&self, found: &Estimate, replications: &[Figures]) -> &'static str {
        if replications.iter().any(|it| self.found(it).is_infinite()) {
            return MISSED;
        }
        let little = if self.what == What::Success { 1.0 - found.value } else { found.value };
        let (best, worst) = match found.half_width {
            Some(half) => (little - half, little + half),
            None => (little / CLEARLY, little * CLEARLY),
        };
        // What was computed as 1 - 0.999 is not exactly 0.001.
        let limit = self.limit * (1.0 + 1e-9);
        match (worst <= limit, limit < best) {
            (true, _) => MET,
            (_, true) => MISSED,
            _ => UNDECIDED,
        }
    }
}

/// It is met, as far as the interval tells.
pub(super) const MET: &str = "met";
/// It is missed.
pub(super) const MISSED: &str = "missed";
/// The interval, or its lack, leaves it open.
pub(super) const UNDECIDED: &str = "undecided";

/// What came of each objective.
pub(super) fn results(
    asked: &[Asked],
    replications: &[Figures],
    refusal: Option<&str>,
) -> Vec<ObjectiveResult> {
    asked.iter().map(|it| it.result(replications, refusal)).collect()
}

/// What came of all objectives together.
pub(super) fn together(results: &[ObjectiveResult]) -> &'static str {
    if results.iter().any(|it| it.state == MISSED) {
        MISSED
    } else if results.iter().all(|it| it.state == MET) {
        MET
    } else {
        UNDECIDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::pretended;

    #[test]
    fn objectives_are_met_missed_or_undecided() {
        let check = |load, within_ms, expected: [&str; 2]| {
            let (system, figures) = pretended::figures(load, 10);
            let mut objective = system.scenario().objective.clone();
            objective.latency[0].within = std::time::Duration::from_millis(within_ms);
            let results = results(&asked(&objective), &figures, None);
            let states: Vec<&str> = results.iter().map(|it| it.state.as_str()).collect();
            assert_eq!(states, expected, "{results:?}");
        };
        // An M/M/1 of mean work 10 ms at half load: p99 is 92 ms.
        check(0.5, 200, [MET, MET]);
        check(0.5, 50, [MET, MISSED]);
        check(0.5, 92, [MET, UNDECIDED]);
    }

    #[test]
    fn without_an_interval_a_figure_must_be_clear() {
        let (system, figures) = pretended::figures(0.5, 1);
        let mut objective = system.scenario().objective.clone();
        let mut state = |within_ms| {
            objective.latency[0].within = std::time::Duration::from_millis(within_ms);
            results(&asked(&objective), &figures, None)[1].state.clone()
        };
        assert_eq!(state(400), MET);
        assert_eq!(state(120), UNDECIDED);
        assert_eq!(state(30), MISSED);
    }

    #[test]
    fn names() {
        let texts: Vec<String> =
            asked(&Objective::default()).into_iter().map(|it| it.text).collect();
        assert_eq!(texts, ["success 99.9%", "p99 within 1s"]);
        assert_eq!(quantile_name(Share::from_millionths(999_000)), "p99.9");
    }
}
