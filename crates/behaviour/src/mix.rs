//! A mix of requests: which of several a synthetic user sends, by weight.

use alloc::vec::Vec;

use model::Rng;

/// Weights to choose by. Never empty of weight: with no weights, or none above 0, the first is
/// always chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Sum of the weights up to and including each.
    sums: Vec<u64>,
}

impl Mix {
    /// The mix of these weights.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let mut sum = 0;
        let sums = weights.into_iter().map(|weight| {
            sum += u64::from(weight);
            sum
        });
        Self { sums: sums.collect() }
    }

    /// The place of the chosen one among the weights. With a single weight nothing is drawn.
    #[inline]
    pub fn draw(&self, rng: &mut Rng) -> usize {
        match *self.sums.as_slice() {
            [] | [_] | [.., 0] => 0,
            [.., total] => {
                let drawn = rng.below(total);
                self.sums.partition_point(|it| *it <= drawn)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_met() {
        let mix = Mix::new([1, 0, 2, 10]);
        let mut rng = Rng::new(3);
        let mut drawn = [0_i32; 4];
        for _ in 0..130_000 {
            drawn[mix.draw(&mut rng)] += 1;
        }
        // Five standard errors: 5 sqrt(n p (1 - p)).
        for (found, expected) in drawn.into_iter().zip([10_000, 0, 20_000, 100_000]) {
            assert!((found - expected).abs() <= 651, "{drawn:?}");
        }
    }

    #[test]
    fn without_weight_it_is_the_first() {
        let mut rng = Rng::new(3);
        for mix in [Mix::new([]), Mix::new([0, 0]), Mix::new([7])] {
            assert_eq!(mix.draw(&mut rng), 0);
        }
    }
}
