//! New instances begin with a small share: caches are cold and code is not compiled yet.

use core::time::Duration;

use crate::number::{float, nanos};

/// The share of its weight an instance begins with: Envoy's `min_weight_percent` default.
const BEGINS_WITH: f64 = 0.1;

/// What part of its weight an instance has that has been ready for `age`: a straight line from a tenth
/// to the whole over `window` (Envoy's slow start with `aggression` 1).
pub(crate) fn factor(age: Duration, window: Duration) -> f64 {
    if window <= age {
        1.0
    } else {
        BEGINS_WITH + (1.0 - BEGINS_WITH) * float(nanos(age)) / float(nanos(window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_a_tenth_to_the_whole() {
        let window = Duration::from_secs(10);
        for (age, expected) in [(0, 0.1), (5, 0.55), (10, 1.0), (99, 1.0)] {
            assert!((factor(Duration::from_secs(age), window) - expected).abs() < 1e-12, "{age}");
        }
        assert!((factor(Duration::ZERO, Duration::ZERO) - 1.0).abs() < 1e-12);
    }
}
