//! Values of replications as a figure that says how sure it is, or why it cannot.

use api::simulation::Estimate;

use crate::statistics::{Interval, paired};

/// Why there is no interval: there is no second replication.
const ONE: &str = "a single replication has no interval; use at least two, better ten";
/// Why there is no figure.
pub(super) const NONE: &str = "there was nothing to measure in at least one replication";

/// A figure from one value of each replication. `refusal` says why the run cannot give an interval, if so.
pub(super) fn estimate(values: &[f64], refusal: Option<&str>) -> Estimate {
    match Interval::of(values) {
        Some(interval) => of_interval(&interval, refusal),
        None => refused(NONE),
    }
}

/// A figure from values of which some replications may have none.
pub(super) fn estimate_of_some(values: &[Option<f64>], refusal: Option<&str>) -> Estimate {
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    let refusal = if known.len() < values.len() { Some(NONE) } else { refusal };
    estimate(&known, refusal)
}

/// The second less the first; only where every replication has both.
pub(super) fn difference(
    first: &[Option<f64>],
    second: &[Option<f64>],
    refusal: Option<&str>,
) -> Estimate {
    let known = |values: &[Option<f64>]| values.iter().copied().collect::<Option<Vec<f64>>>();
    let interval = known(first).zip(known(second)).and_then(|(a, b)| paired(&a, &b));
    interval.map_or_else(|| refused(NONE), |it| of_interval(&it, refusal))
}

/// A figure that is known, not estimated from several replications.
fn of_interval(interval: &Interval, refusal: Option<&str>) -> Estimate {
    let refusal = refusal.or_else(|| interval.half_width.is_none().then_some(ONE));
    let half_width = if refusal.is_none() { interval.half_width } else { None };
    Estimate { value: interval.mean, half_width, refused: refusal.map(str::to_owned) }
}

fn refused(why: &str) -> Estimate {
    Estimate { value: 0.0, half_width: None, refused: Some(why.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_an_interval_or_a_reason() {
        let two = estimate(&[1.0, 3.0], None);
        assert_eq!((two.value, two.refused), (2.0, None));
        assert!((two.half_width.unwrap() - 12.706_204_736).abs() < 1e-6);
        assert_eq!(estimate(&[4.0], None).refused.as_deref(), Some(ONE));
        assert_eq!(estimate(&[], None), refused(NONE));
        let short = estimate(&[1.0, 3.0], Some("too short"));
        assert_eq!((short.value, short.half_width), (2.0, None));
        assert!((estimate_of_some(&[Some(4.0), None, Some(6.0)], None).value - 5.0).abs() < 1e-12);
        assert_eq!(estimate_of_some(&[Some(4.0), None], None).refused.as_deref(), Some(NONE));
        let paired = difference(&[Some(1.0), Some(9.0)], &[Some(2.0), Some(10.0)], None);
        assert_eq!((paired.value, paired.half_width), (1.0, Some(0.0)));
        assert_eq!(difference(&[None], &[Some(1.0)], None), refused(NONE));
    }
}
