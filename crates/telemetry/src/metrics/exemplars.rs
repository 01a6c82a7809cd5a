//! From a bucket of a histogram to a trace that fell into it.
//!
//! The latest are kept in memory, in a ring: an exemplar is worth something while its trace is looked at, and
//! traces are kept on disk by themselves.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use promql::{Labels, Matcher};

/// Exemplars kept.
const EXEMPLARS_MAX: usize = 16_384;

/// One value of a series that stands for others, and where to find out more about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The series.
    pub series: Labels,
    /// What tells where: `trace_id`, as a rule.
    pub labels: Labels,
    /// The value.
    pub value: f64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// The latest exemplars.
#[derive(Debug, Default)]
pub struct Exemplars(Mutex<VecDeque<Exemplar>>);

impl Exemplars {
    /// Remembers one; the oldest is forgotten for it.
    pub fn push(&self, exemplar: Exemplar) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == EXEMPLARS_MAX {
            kept.pop_front();
        }
        kept.push_back(exemplar);
    }

    /// Those of series that fit all of `matchers`, between two times, both among them.
    pub fn find(&self, matchers: &[Matcher], (from_ms, to_ms): (i64, i64)) -> Vec<Exemplar> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |it: &&Exemplar| {
            from_ms <= it.at_ms
                && it.at_ms <= to_ms
                && matchers.iter().all(|matcher| matcher.fits(it.series.get(&matcher.name)))
        };
        kept.iter().filter(fits).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept() {
        let exemplars = Exemplars::default();
        for number in 0..20_000_i64 {
            let series = Labels::of([("le", if number % 2 == 0 { "1" } else { "2" })]);
            let labels = Labels::of([("trace_id", "t")]);
            exemplars.push(Exemplar { series, labels, value: 0.5, at_ms: number });
        }
        let found = exemplars.find(&[Matcher::equal("le", "2")], (0, 3_620));
        let times: Vec<_> = found.iter().map(|it| it.at_ms).collect();
        assert_eq!(times, [3_617, 3_619]);
    }
}
