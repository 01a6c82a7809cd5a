//! Quantiles of Student's t distribution.
//!
//! The distribution is the regularised incomplete beta function, by its continued fraction (Lentz's method, as in Press
//! et al., "Numerical Recipes", 6.4); the quantile is found by halving, which is slow and cannot fail. It is asked a few
//! hundred times in a report.

/// The confidence all intervals have: the usual 95 %.
pub const CONFIDENCE: f64 = 0.95;

/// Halvings of an interval of 2^12 until it is as narrow as an `f64` near 1 can tell.
const HALVINGS: u32 = 66;
/// Where a quantile is looked for, beyond it: that of 0.9999 with one degree of freedom is 3183.
const QUANTILE_MAX: f64 = 4_096.0;
/// Terms of the continued fraction at most: it converges in fewer than a hundred for what is asked here.
const TERMS_MAX: u32 = 300;
/// Where the continued fraction is exact enough: a few units in the last place.
const CLOSE: f64 = 3e-16;
/// Stands for a divisor of zero in Lentz's method.
const TINY: f64 = 1e-300;

/// The value that a variable of Student's t distribution with so many degrees of freedom (at least 1) does not exceed with
/// `probability`, which lies above 0 and below 1.
pub fn t_quantile(probability: f64, degrees: u32) -> f64 {
    if probability < 0.5 {
        return -t_quantile(1.0 - probability, degrees);
    }
    let (mut low, mut high) = (0.0, QUANTILE_MAX);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if distribution(middle, f64::from(degrees.max(1))) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The probability that the variable is at most `t`, which is not negative.
fn distribution(t: f64, degrees: f64) -> f64 {
    let at = degrees / (degrees + t * t);
    1.0 - 0.5 * incomplete_beta(at, 0.5 * degrees, 0.5)
}

/// The regularised incomplete beta function at `x`.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || 1.0 <= x {
        return x.clamp(0.0, 1.0);
    }
    let logarithm = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b)
        + a * libm::log(x)
        + b * libm::log1p(-x);
    let front = libm::exp(logarithm);
    // The fraction converges quickly on one side of the mean only; the other follows by symmetry.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(x, a, b) / a
    } else {
        1.0 - front * fraction(1.0 - x, b, a) / b
    }
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let nonzero = |it: f64| if it.abs() < TINY { TINY } else { it };
    let mut above = 1.0;
    let mut below = 1.0 / nonzero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = below;
    for term in (1..=TERMS_MAX).map(f64::from) {
        let double = a + 2.0 * term;
        let even = term * (b - term) * x / ((double - 1.0) * double);
        let odd = -(a + term) * (a + b + term) * x / (double * (double + 1.0));
        for coefficient in [even, odd] {
            below = 1.0 / nonzero(1.0 + coefficient * below);
            above = nonzero(1.0 + coefficient / above);
            value *= above * below;
        }
        if (above * below - 1.0).abs() < CLOSE {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_quantiles() {
        // NIST/SEMATECH e-Handbook, 1.3.6.7.2, and for more digits Abramowitz and Stegun, table 26.10.
        let check = |probability, degrees, expected: f64| {
            let found = t_quantile(probability, degrees);
            assert!((found - expected).abs() < 1e-6, "t({probability}, {degrees}) = {found}");
        };
        check(0.975, 1, 12.706_204_736);
        check(0.975, 2, 4.302_652_730);
        check(0.975, 4, 2.776_445_105);
        check(0.975, 9, 2.262_157_163);
        check(0.975, 19, 2.093_024_054);
        check(0.975, 30, 2.042_272_456);
        check(0.975, 120, 1.979_930_405);
        check(0.95, 9, 1.833_112_933);
        check(0.995, 9, 3.249_835_542);
        check(0.025, 9, -2.262_157_163);
        check(0.5, 5, 0.0);
        // Far out it is the normal distribution's.
        assert!((t_quantile(0.975, 10_000_000) - 1.959_964).abs() < 1e-5);
    }
}
