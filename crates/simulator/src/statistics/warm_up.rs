//! The end of the warm-up, found from the run itself: MSER-5.
//!
//! Source: White, "An effective truncation heuristic for bias reduction in simulation output" (1997), and White,
//! Cobb and Spratt, "A comparison of five steady-state truncation heuristics for simulation" (WSC 2000): of batches of
//! five observations, leave out so many that the standard error of the mean of the rest is least.

use super::number;

/// Observations to a batch.
pub const BATCH: usize = 5;

/// Batches below which nothing can be said.
const BATCHES_MIN: usize = 10;

/// How many observations at the beginning should be left out. None if the run does not tell: it is too short, or the best cut is at
/// the end of what is searched (the first half), as it is where nothing settles.
pub fn mser5(series: &[f64]) -> Option<usize> {
    let means = series.as_chunks::<BATCH>().0.iter().map(|it| it.iter().sum::<f64>() / 5.0);
    let means: Vec<f64> = means.collect();
    if means.len() < BATCHES_MIN {
        return None;
    }
    let last = means.len() / 2;
    let (mut best, mut least) = (0, f64::INFINITY);
    for (cut, value) in standard_errors(&means).into_iter().enumerate().take(last + 1) {
        if value < least {
            (best, least) = (cut, value);
        }
    }
    (best < last).then_some(best * BATCH)
}

/// For each number of batches left out: the squared standard error of the mean of the rest.
fn standard_errors(means: &[f64]) -> Vec<f64> {
    // From the end, by Welford's method: sums of squares of large numbers would lose what is looked for.
    let (mut mean, mut squares) = (0.0, 0.0);
    let mut errors: Vec<f64> = Vec::with_capacity(means.len());
    for (at, value) in means.iter().rev().enumerate() {
        let count = number(at + 1);
        let off = value - mean;
        mean += off / count;
        squares += off * (value - mean);
        errors.push(squares / (count * count));
    }
    errors.reverse();
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Rng;
    use proptest::prelude::*;

    /// A first-order autoregressive series (coefficient .8, noise of deviation 1) around a mean that has decayed from
    /// `start` by the factor `decay` at each step.
    fn series(seed: u64, start: f64, decay: f64) -> Vec<f64> {
        let mut rng = Rng::new(seed);
        let (mut value, mut offset) = (0.0, start);
        let step = |_| {
            value = 0.8 * value + rng.normal();
            offset *= decay;
            100.0 + value + offset
        };
        (0..1_000).map(step).collect()
    }

    #[test]
    fn a_transient_is_left_out_and_little_more() {
        for seed in 0..20 {
            // It has shrunk to the noise's deviation (1.67) after 72 steps.
            let cut = mser5(&series(seed, 60.0, 0.95)).unwrap();
            assert!((40..=180).contains(&cut), "{seed}: {cut}");
        }
    }

    #[test]
    fn what_is_settled_from_the_beginning_is_mostly_kept() {
        let cuts: Vec<usize> =
            (0..40).map(|it| mser5(&series(it, 0.0, 0.0)).unwrap_or(500)).collect();
        let kept = cuts.iter().filter(|it| **it <= 100).count();
        assert!(30 <= kept, "{cuts:?}");
    }

    #[test]
    fn what_never_settles_is_refused() {
        let ramp: Vec<f64> = (0..1_000).map(f64::from).collect();
        assert_eq!(mser5(&ramp), None);
        // A walk that hardly comes back has, for most luck, no cut in its first half.
        let refused = (0..20).filter(|it| mser5(&series(*it, 60.0, 0.999)).is_none()).count();
        assert!(10 <= refused, "{refused} of 20");
        assert_eq!(mser5(&[1.0; 49]), None);
        assert_eq!(mser5(&[1.0; 50]), Some(0));
    }

    #[test]
    fn a_step_is_cut_where_it_is() {
        let step = |at: i32| if at < 100 { 7.0 } else { 3.0 };
        let series: Vec<f64> = (0..500).map(step).collect();
        assert_eq!(mser5(&series), Some(100));
    }

    proptest! {
        #[test]
        fn standard_errors_are_what_they_are_defined_as(
            means in prop::collection::vec(-1e3_f64..1e3, 10..40),
        ) {
            for (cut, found) in standard_errors(&means).into_iter().enumerate() {
                let rest = &means[cut..];
                let count = number(rest.len());
                let mean = rest.iter().sum::<f64>() / count;
                let squares: f64 = rest.iter().map(|it| (it - mean) * (it - mean)).sum();
                prop_assert!((found - squares / (count * count)).abs() < 1e-6);
            }
        }
    }
}
