//! Which release a request goes to: a share of them each, and the same one for the same key.
//!
//! Keys choose by weighted rendezvous: each release draws a number from the key, stretched by its share,
//! and the highest wins. While one release's share grows at the expense of others', keys only ever move
//! to it: a user who has seen the new release does not fall back to the old one. Source: Schindelhauer
//! and Schomaker, "Weighted distributed hash tables" (SPAA 2005), the logarithmic method.

use alloc::vec::Vec;

use model::units::Share;
use model::{ReleaseNumber, Rng};
use serde::{Deserialize, Serialize};

use crate::number::{mix, unit};

/// How requests are shared among releases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Each release's share; a release that is not named gets nothing. If empty, releases share by
    /// their instances' number.
    pub shares: Vec<(ReleaseNumber, Share)>,
}

/// A release that can be chosen: where it is found, and its share of the whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portion {
    pub(crate) release: ReleaseNumber,
    pub(crate) group: usize,
    pub(crate) share: f64,
}

/// Chooses one of `portions`, whose shares need not add up to 1: those of releases without an instance
/// fall to the others.
pub(crate) fn choose(portions: &[Portion], key: Option<u64>, rng: &mut Rng) -> Option<usize> {
    match (portions, key) {
        ([], _) => None,
        ([only], _) => Some(only.group),
        (_, Some(key)) => by_key(portions, key),
        (_, None) => by_chance(portions, rng.unit()),
    }
}

fn by_key(portions: &[Portion], key: u64) -> Option<usize> {
    let score = |it: &Portion| {
        let drawn = unit(mix(key ^ mix(u64::from(it.release.0))));
        // The logarithm of a number in (0, 1] is not above 0; nearer to 0 is better.
        libm::log(drawn) / it.share
    };
    let scored = portions.iter().map(|it| (it.group, score(it)));
    scored.reduce(|best, it| if best.1 < it.1 { it } else { best }).map(|it| it.0)
}

fn by_chance(portions: &[Portion], drawn: f64) -> Option<usize> {
    let whole: f64 = portions.iter().map(|it| it.share).sum();
    let mut left = drawn * whole;
    for portion in portions {
        left -= portion.share;
        if left < 0.0 {
            return Some(portion.group);
        }
    }
    // Rounding may leave a trace behind the last.
    portions.last().map(|it| it.group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use model::Rng;
    use proptest::prelude::*;

    fn portions(shares: &[f64]) -> Vec<Portion> {
        let numbered = (1..).zip(shares).enumerate();
        let portion = |(group, (number, share)): (usize, (u32, &f64))| Portion {
            release: ReleaseNumber(number),
            group,
            share: *share,
        };
        numbered.map(portion).collect()
    }

    #[track_caller]
    fn check(shares: &[f64], key: impl Fn(u64) -> Option<u64>) {
        let portions = portions(shares);
        let mut rng = Rng::new(1);
        let n = 100_000;
        let mut counts = vec![0.0; shares.len()];
        for number in 0..n {
            counts[choose(&portions, key(number), &mut rng).unwrap()] += 1.0;
        }
        let whole: f64 = shares.iter().sum();
        for (count, share) in counts.iter().zip(shares) {
            let expected = share / whole;
            // Five standard errors.
            let error = 5.0 * libm::sqrt(expected * (1.0 - expected) / 1e5);
            assert!((count / 1e5 - expected).abs() <= error, "{counts:?}");
        }
    }

    #[test]
    fn shares_are_kept_by_chance_and_by_key() {
        for shares in [&[1.0][..], &[0.95, 0.05], &[0.5, 0.25, 0.25], &[0.05, 0.2]] {
            check(shares, |_| None);
            check(shares, Some);
        }
    }

    #[test]
    fn nothing_to_choose_from() {
        assert_eq!(choose(&[], Some(1), &mut Rng::new(1)), None);
    }

    proptest! {
        #[test]
        fn a_key_that_has_come_to_the_growing_release_stays(key: u64, before in 1_u32..100, more in 0_u32..100, third in 1_u32..100) {
            let at = |share: u32| {
                let share = f64::from(share) / 200.0;
                let third = f64::from(third) / 100.0;
                portions(&[(1.0 - share) * third, (1.0 - share) * (1.0 - third) + 1e-9, share])
            };
            let (before, after) = (at(before), at(before + more));
            let chosen = (by_key(&before, key), by_key(&after, key));
            prop_assert!(chosen.0 == chosen.1 || chosen.1 == Some(2), "{:?}", chosen);
        }
    }
}
