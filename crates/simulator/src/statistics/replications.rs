//! What independent replications say together: a mean and half of its interval.

use super::number;
use super::student::{CONFIDENCE, t_quantile};

/// A mean and half of the 95 % interval around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Half of the interval's width, by Student's t; none with fewer than two values.
    pub half_width: Option<f64>,
}

impl Interval {
    /// Of independent values, one for each replication; none if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = number(values.len());
        let mean = values.iter().sum::<f64>() / count;
        let Some(degrees) = u32::try_from(values.len() - 1).ok().filter(|it| *it != 0) else {
            return Some(Self { mean, half_width: None });
        };
        let squares: f64 = values.iter().map(|it| (it - mean) * (it - mean)).sum();
        let error = libm::sqrt(squares / (count - 1.0) / count);
        let half_width = t_quantile(f64::midpoint(CONFIDENCE, 1.0), degrees) * error;
        Some(Self { mean, half_width: Some(half_width) })
    }

    /// Whether a value lies outside of it; none knows without an interval.
    pub fn excludes(&self, value: f64) -> Option<bool> {
        self.half_width.map(|it| it < (value - self.mean).abs())
    }
}

/// The second less the first, replication by replication: what is common to both (the same luck) cancels out. None if
/// they are not of equal number, or none.
pub fn paired(first: &[f64], second: &[f64]) -> Option<Interval> {
    if first.len() != second.len() {
        return None;
    }
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| b - a).collect();
    Interval::of(&differences)
}

/// Whether an interval is so narrow that the mean's relative error is at most `error`, so that no more replications are
/// needed.
///
/// Source: Law, "Simulation modeling and analysis", 9.4.1: the half width over the mean that was found may be
/// `error / (1 + error)`, since it is divided by what was found and not by what is true.
pub fn is_precise(interval: &Interval, error: f64) -> bool {
    let most = error / (1.0 + error) * interval.mean.abs();
    interval.half_width.is_some_and(|it| it <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Rng;
    use proptest::prelude::*;

    #[test]
    fn a_mean_and_its_interval() {
        // Law, "Simulation modeling and analysis", example 4.27: mean 1.34, variance .17, and t of 95 % with 9 degrees.
        let values = [1.20, 1.50, 1.68, 1.89, 0.95, 1.49, 1.58, 1.55, 0.50, 1.09];
        let found = Interval::of(&values).unwrap();
        assert!((found.mean - 1.343).abs() < 1e-9);
        assert!((found.half_width.unwrap() - 2.262_157_163 * 0.129_427).abs() < 1e-5);
        let small = Interval::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((small.half_width.unwrap() - 2.776_445_105 * 0.5_f64.sqrt()).abs() < 1e-8);
        assert_eq!(found.excludes(1.7), Some(true));
        assert_eq!(found.excludes(1.2), Some(false));
        assert_eq!(Interval::of(&[]), None);
        assert_eq!(Interval::of(&[3.0]), Some(Interval { mean: 3.0, half_width: None }));
    }

    #[test]
    fn what_is_common_cancels_out() {
        let found = paired(&[10.0, 50.0, 90.0], &[11.0, 51.0, 91.0]).unwrap();
        assert_eq!(found, Interval { mean: 1.0, half_width: Some(0.0) });
        assert_eq!(paired(&[1.0], &[]), None);
    }

    #[test]
    fn when_to_stop() {
        let of = |half| Interval { mean: 105.0, half_width: Some(half) };
        assert!(is_precise(&of(5.0), 0.05) && !is_precise(&of(5.1), 0.05));
        assert!(!is_precise(&Interval { mean: 1.0, half_width: None }, 0.5));
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_say() {
        let rng = Rng::new(7);
        let (mut covered, trials) = (0, 4_000);
        for trial in 0..trials {
            let mut rng = rng.child(&trial.to_string());
            let values: Vec<f64> = (0..10).map(|_| 20.0 + 3.0 * rng.normal()).collect();
            covered += u32::from(Interval::of(&values).unwrap().excludes(20.0) == Some(false));
        }
        // 95 % of 4000 are 3800; four standard deviations are 55.
        assert!((3_745..3_855).contains(&covered), "{covered}");
    }

    proptest! {
        #[test]
        fn shifting_and_scaling_carry_over(
            values in prop::collection::vec(-1e3_f64..1e3, 2..30),
            scale in 0.1_f64..10.0,
        ) {
            let plain = Interval::of(&values).unwrap();
            let moved: Vec<f64> = values.iter().map(|it| it * scale + 5.0).collect();
            let moved = Interval::of(&moved).unwrap();
            prop_assert!((moved.mean - (plain.mean * scale + 5.0)).abs() < 1e-6);
            prop_assert!((moved.half_width.unwrap() - plain.half_width.unwrap() * scale).abs() < 1e-6);
        }
    }
}
