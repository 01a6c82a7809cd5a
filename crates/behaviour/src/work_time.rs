//! Work times: draws from the distributions of [`WorkTime`], with their parameters worked out once.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use model::Rng;
use model::workload::WorkTime;

/// The 99th percentile of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874_040_841;

/// A distribution of work time, ready to draw from.
///
/// Times are nanoseconds as `f64`: exact up to 104 days, far beyond any request.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampler(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Fixed {
        time: Duration,
    },
    Exponential {
        mean: f64,
    },
    Lognormal {
        median: f64,
        sigma: f64,
    },
    Uniform {
        min: f64,
        span: f64,
    },
    /// With probability `first` of mean `means.0`, else of mean `means.1`.
    Hyperexponential {
        first: f64,
        means: (f64, f64),
    },
    Gamma {
        shape: f64,
        scale: f64,
    },
    /// The density falls as `x^-(tail + 1)` from `min` on; `rest` is `1 - (min / max)^tail`.
    Pareto {
        min: f64,
        max: f64,
        tail: f64,
        rest: f64,
    },
    /// Ascending, at least one.
    Empirical {
        quantiles: Box<[f64]>,
    },
}

impl Sampler {
    /// The sampler of `work`.
    ///
    /// A lognormal median below 1 ns is taken as 1 ns, since the logarithm of 0 does not exist;
    /// upper bounds below lower ones are taken as equal to them.
    pub fn new(work: &WorkTime) -> Self {
        Self(match *work {
            WorkTime::Hyperexponential { mean, variation } => {
                let spread = libm::sqrt((variation - 1.0).max(0.0) / (variation + 1.0));
                let first = f64::midpoint(1.0, spread);
                let of = |share: f64| nanos(mean) / (2.0 * share.max(f64::MIN_POSITIVE));
                Kind::Hyperexponential { first, means: (of(first), of(1.0 - first)) }
            }
            WorkTime::Gamma { mean, shape } => {
                let shape = shape.max(SHAPE_MIN);
                Kind::Gamma { shape, scale: nanos(mean) / shape }
            }
            WorkTime::Pareto { min, max, tail } => {
                let min = nanos(min).max(1.0);
                let max = nanos(max).max(min);
                let tail = tail.max(SHAPE_MIN);
                Kind::Pareto { min, max, tail, rest: 1.0 - libm::pow(min / max, tail) }
            }
            WorkTime::Empirical { ref quantiles } => {
                let mut quantiles: Vec<f64> = quantiles.iter().map(|it| nanos(it.0)).collect();
                quantiles.sort_unstable_by(f64::total_cmp);
                if quantiles.is_empty() {
                    quantiles.push(0.0);
                }
                Kind::Empirical { quantiles: quantiles.into() }
            }
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
    #[inline]
    pub fn draw(&self, rng: &mut Rng) -> Duration {
        if let Kind::Fixed { time } = self.0 {
            return time;
        }
        from_nanos(self.draw_nanos(rng))
    }

    #[inline]
    fn draw_nanos(&self, rng: &mut Rng) -> f64 {
        match &self.0 {
            Kind::Fixed { time } => nanos(*time),
            Kind::Exponential { mean } => mean * rng.exponential(),
            Kind::Lognormal { median, sigma } => median * libm::exp(sigma * rng.normal()),
            Kind::Uniform { min, span } => min + span * rng.unit(),
            Kind::Hyperexponential { first, means } => {
                let mean = if rng.happens(*first) { means.0 } else { means.1 };
                mean * rng.exponential()
            }
            Kind::Gamma { shape, scale } => scale * gamma(*shape, rng),
            Kind::Pareto { min, tail, rest, max } => {
                let beyond = 1.0 - rng.unit() * rest;
                (min * libm::pow(beyond, -1.0 / tail)).min(*max)
            }
            Kind::Empirical { quantiles } => interpolated(quantiles, rng.unit()),
        }
    }

    /// The mean of the distribution: with the rate of arrivals, how busy an instance is.
    pub fn mean(&self) -> Duration {
        from_nanos(match &self.0 {
            Kind::Fixed { time } => return *time,
            Kind::Exponential { mean } => *mean,
            Kind::Lognormal { median, sigma } => median * libm::exp(sigma * sigma / 2.0),
            Kind::Uniform { min, span } => min + span / 2.0,
            Kind::Hyperexponential { first, means } => first * means.0 + (1.0 - first) * means.1,
            Kind::Gamma { shape, scale } => shape * scale,
            Kind::Pareto { min, max, tail, rest } => pareto_mean(*min, *max, (*tail, *rest)),
            Kind::Empirical { quantiles } => {
                let ends = quantiles.first().zip(quantiles.last()).map_or(0.0, |(a, b)| a + b);
                let sum: f64 = quantiles.iter().sum();
                match quantiles.len() {
                    0 | 1 => sum,
                    n => (sum - ends / 2.0) / (count(n) - 1.0),
                }
            }
        })
    }
}

/// Below this a shape or a tail index means nothing.
const SHAPE_MIN: f64 = 0.01;

/// A draw from the gamma distribution of scale 1.
///
/// Source: Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); a shape below 1 is
/// raised by one and the draw scaled back, as they say in section 6.
fn gamma(shape: f64, rng: &mut Rng) -> f64 {
    if shape < 1.0 {
        let scaled = gamma(shape + 1.0, rng);
        return scaled * libm::pow(1.0 - rng.unit(), 1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    loop {
        let normal = rng.normal();
        let root = 1.0 + c * normal;
        if root <= 0.0 {
            continue;
        }
        let cube = root * root * root;
        let bound = 0.5 * normal * normal + d - d * cube + d * libm::log(cube);
        if libm::log(1.0 - rng.unit()) < bound {
            return d * cube;
        }
    }
}

/// The mean of a Pareto distribution between two bounds.
fn pareto_mean(min: f64, max: f64, (tail, rest): (f64, f64)) -> f64 {
    let power = libm::pow(min, tail) / rest.max(f64::MIN_POSITIVE);
    if max <= min {
        min
    } else if (tail - 1.0).abs() < 1e-9 {
        power * libm::log(max / min)
    } else {
        let between = libm::pow(min, 1.0 - tail) - libm::pow(max, 1.0 - tail);
        power * tail / (tail - 1.0) * between
    }
}

/// The value at `share` between the quantiles on both sides of it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is below 1, so that its place is in the list"
)]
fn interpolated(quantiles: &[f64], share: f64) -> f64 {
    let place = share * (count(quantiles.len()) - 1.0);
    let below = libm::floor(place);
    let at = |it: f64| quantiles.get(it as usize).or(quantiles.last()).copied().unwrap_or(0.0);
    at(below) + (at(below + 1.0) - at(below)) * (place - below)
}

#[expect(clippy::cast_precision_loss, reason = "no list has 2^53 values")]
const fn count(len: usize) -> f64 {
    len as f64
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
    // Times are not negative, and half a nanosecond more, cut off, is rounded.
    Duration::from_nanos((nanos + 0.5) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use model::workload::QuantileTime;

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
    fn hyperexponential_has_its_variation() {
        // Balanced means of c2 = 4: p = (1 + sqrt(3/5)) / 2; quantiles by bisection of the mixture.
        let work = WorkTime::Hyperexponential { mean: ms(10), variation: 4.0 };
        check(&work, &[(5_000, 4.5149), (9_000, 19.575), (9_900, 107.459)], 0.04);
    }

    #[test]
    fn gamma_of_shape_one_is_exponential_and_of_four_is_erlang() {
        let work = WorkTime::Gamma { mean: ms(10), shape: 1.0 };
        check(&work, &[(5_000, 6.931), (9_900, 46.05)], 0.03);
        let work = WorkTime::Gamma { mean: ms(40), shape: 4.0 };
        check(&work, &[(5_000, 36.72), (9_900, 100.5)], 0.03);
        // Chi-squared of one degree of freedom is gamma of shape 1/2: median .4549, p99 6.635.
        let work = WorkTime::Gamma { mean: ms(10), shape: 0.5 };
        check(&work, &[(5_000, 4.549), (9_900, 66.35)], 0.03);
    }

    #[test]
    fn pareto_stays_between_its_bounds() {
        let work = WorkTime::Pareto { min: ms(1), max: ms(1_000), tail: 1.5 };
        let at = |p: f64| libm::pow(1.0 - p * (1.0 - libm::pow(1_000.0, -1.5)), -1.0 / 1.5);
        check(&work, &[(0, 1.0), (5_000, at(0.5)), (9_900, at(0.99))], 0.04);
    }

    #[test]
    fn empirical_is_interpolated() {
        let quantiles = vec![QuantileTime(ms(30)), QuantileTime(ms(10)), QuantileTime(ms(20))];
        let work = WorkTime::Empirical { quantiles };
        check(&work, &[(0, 10.0), (2_500, 15.0), (5_000, 20.0), (7_500, 25.0)], 0.01);
        let work = WorkTime::Empirical { quantiles: vec![QuantileTime(ms(7))] };
        check(&work, &[(0, 7.0), (9_999, 7.0)], 1e-9);
    }

    #[test]
    fn degenerate_parameters_do_not_break() {
        for work in [
            WorkTime::Hyperexponential { mean: ms(1), variation: 0.0 },
            WorkTime::Hyperexponential { mean: ms(1), variation: 1e300 },
            WorkTime::Gamma { mean: ms(1), shape: 0.0 },
            WorkTime::Pareto { min: ms(9), max: ms(1), tail: 0.0 },
            WorkTime::Empirical { quantiles: Vec::new() },
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
