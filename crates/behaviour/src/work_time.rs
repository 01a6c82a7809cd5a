//! Work times: draws from the distributions of [`WorkTime`], with their parameters worked out once.

use core::time::Duration;

use model::Rng;
use model::workload::WorkTime;

/// The 99th percentile of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874_040_841;

/// A distribution of work time, ready to draw from.
///
/// Times are nanoseconds as `f64`: exact up to 104 days, far beyond any request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler(Kind);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Fixed { time: Duration },
    Exponential { mean: f64 },
    Lognormal { median: f64, sigma: f64 },
    Uniform { min: f64, span: f64 },
}

impl Sampler {
    /// The sampler of `work`.
    ///
    /// A lognormal median below 1 ns is taken as 1 ns, since the logarithm of 0 does not exist;
    /// upper bounds below lower ones are taken as equal to them.
    pub fn new(work: &WorkTime) -> Self {
        Self(match *work {
            WorkTime::Fixed { time } => Kind::Fixed { time },
            WorkTime::Exponential { mean } => Kind::Exponential { mean: nanos(mean) },
            WorkTime::Lognormal { p50, p99 } => {
                let median = nanos(p50).max(1.0);
                let sigma = libm::log(nanos(p99).max(median) / median) / NORMAL_P99;
                Kind::Lognormal { median, sigma }
            }
            WorkTime::Uniform { min, max } => {
                Kind::Uniform { min: nanos(min), span: nanos(max.saturating_sub(min)) }
            }
        })
    }

    /// One work time.
    pub fn draw(&self, rng: &mut Rng) -> Duration {
        match self.0 {
            Kind::Fixed { time } => time,
            Kind::Exponential { mean } => from_nanos(mean * rng.exponential()),
            Kind::Lognormal { median, sigma } => {
                from_nanos(median * libm::exp(sigma * rng.normal()))
            }
            Kind::Uniform { min, span } => from_nanos(min + span * rng.unit()),
        }
    }

    /// The mean of the distribution: with the rate of arrivals, how busy an instance is.
    pub fn mean(&self) -> Duration {
        match self.0 {
            Kind::Fixed { time } => time,
            Kind::Exponential { mean } => from_nanos(mean),
            Kind::Lognormal { median, sigma } => {
                from_nanos(median * libm::exp(sigma * sigma / 2.0))
            }
            Kind::Uniform { min, span } => from_nanos(min + span / 2.0),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
pub(crate) fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// Rounds to whole nanoseconds; what does not fit is the longest time that does.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from f64 saturates, which is what is meant"
)]
pub(crate) fn from_nanos(nanos: f64) -> Duration {
    Duration::from_nanos(libm::round(nanos) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const DRAWS: usize = 200_000;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Draws many times and compares percentiles (in hundredths of a percent) and the mean with
    /// what they must be. The tolerance is relative.
    #[track_caller]
    #[expect(clippy::cast_precision_loss, reason = "a test's count")]
    fn check(work: &WorkTime, percentiles: &[(usize, f64)], tolerance: f64) {
        let sampler = Sampler::new(work);
        let mut rng = Rng::new(20_260_101);
        let mut times: Vec<f64> =
            (0..DRAWS).map(|_| sampler.draw(&mut rng).as_secs_f64() * 1e3).collect();
        let mean = times.iter().sum::<f64>() / DRAWS as f64;
        let expected = sampler.mean().as_secs_f64() * 1e3;
        assert!((mean / expected - 1.0).abs() < tolerance, "mean {mean} is not {expected}");
        times.sort_by(f64::total_cmp);
        for (basis_points, expected) in percentiles {
            let found = times[DRAWS * basis_points / 10_000];
            let error = (found / expected - 1.0).abs();
            assert!(error < tolerance, "p{basis_points}: {found} is not {expected}");
        }
    }

    #[test]
    fn fixed_is_always_the_same() {
        check(&WorkTime::Fixed { time: ms(5) }, &[(0, 5.0), (9_999, 5.0)], 1e-9);
    }

    #[test]
    fn exponential_percentiles_are_logarithms() {
        let work = WorkTime::Exponential { mean: ms(10) };
        let at = |p: f64| -10.0 * libm::log(1.0 - p);
        check(&work, &[(1_000, at(0.1)), (5_000, at(0.5)), (9_900, at(0.99))], 0.03);
    }

    #[test]
    fn lognormal_hits_both_percentiles() {
        let work = WorkTime::Lognormal { p50: ms(40), p99: ms(900) };
        // p90 follows from the other two: 40 exp(1.2816 sigma).
        let sigma = libm::log(900.0 / 40.0) / NORMAL_P99;
        let p90 = 40.0 * libm::exp(1.281_551_565_5 * sigma);
        check(&work, &[(5_000, 40.0), (9_000, p90), (9_900, 900.0)], 0.03);
    }

    #[test]
    fn uniform_stays_between_its_bounds() {
        let work = WorkTime::Uniform { min: ms(10), max: ms(30) };
        check(&work, &[(0, 10.0), (2_500, 15.0), (5_000, 20.0), (9_999, 30.0)], 0.01);
    }

    #[test]
    fn degenerate_parameters_do_not_break() {
        for work in [
            WorkTime::Lognormal { p50: Duration::ZERO, p99: Duration::ZERO },
            WorkTime::Lognormal { p50: ms(9), p99: ms(1) },
            WorkTime::Uniform { min: ms(9), max: ms(1) },
            WorkTime::Exponential { mean: Duration::ZERO },
            WorkTime::Exponential { mean: Duration::MAX },
        ] {
            let time = Sampler::new(&work).draw(&mut Rng::new(1));
            assert!(time <= Duration::from_nanos(u64::MAX), "{work:?}: {time:?}");
        }
    }
}
