//! Exponential histograms, as classic buckets at powers of their base.
//!
//! Until the store has native histograms, an exponential one becomes the buckets that everything else here
//! understands. Its boundaries are its own, so that no count is moved across one; neighbours are joined, two
//! and two, as often as it takes to have no more than [`BUCKETS_MAX`] and a base that two exports of one
//! instrument share as a rule ([`SCALE_MAX`]): a boundary that comes and goes is a series that comes and goes.

/// Buckets of one histogram, at most: as many as SDKs keep by default.
pub(super) const BUCKETS_MAX: usize = 160;
/// The finest scale that is kept: boundaries are at most 9 % apart. SDKs begin at 20 and go down as values spread;
/// from here on down they hardly do.
const SCALE_MAX: i64 = 3;
/// Buckets that are read of one side. SDKs may be set to more than 160, but not to this.
pub(super) const READ_MAX: usize = 10_000;

/// A histogram as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Exponential {
    /// The base of the boundaries is 2 to the power of 2 to the power of minus this.
    pub(super) scale: i32,
    /// Values within the threshold around zero.
    pub(super) zero_count: u64,
    /// The threshold.
    pub(super) zero_threshold: f64,
    /// Values above zero.
    pub(super) positive: Buckets,
    /// Values below.
    pub(super) negative: Buckets,
}

/// The buckets of one side.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets {
    /// The number of the first.
    pub(super) offset: i64,
    /// Counts.
    pub(super) counts: Vec<u64>,
}

impl Buckets {
    /// Joins neighbours, two and two, `times` times: the buckets of a scale that is coarser by that.
    fn join(&mut self, times: i64) {
        // From here on all numbers are 0 or -1 anyhow.
        let shift = times.clamp(0, 63);
        let offset = self.offset >> shift;
        let mut counts = Vec::new();
        for (number, count) in (self.offset..).zip(&self.counts) {
            let place = usize::try_from((number >> shift) - offset).unwrap_or(0);
            if counts.len() <= place {
                counts.resize(place + 1, 0);
            }
            if let Some(joined) = counts.get_mut(place) {
                *joined = count.saturating_add(*joined);
            }
        }
        *self = Self { offset, counts };
    }

    /// The number and the count of each, ascending.
    fn numbered(&self) -> Vec<(i64, u64)> {
        (self.offset..).zip(self.counts.iter().copied()).collect()
    }
}

impl Exponential {
    /// Upper bounds, ascending, and the count of values at or below each.
    pub(super) fn classic(mut self) -> Vec<(f64, u64)> {
        // SDKs send a bucket of nothing for the side that has nothing.
        for side in [&mut self.positive, &mut self.negative] {
            if side.counts.iter().all(|it| *it == 0) {
                side.counts.clear();
            }
        }
        let mut scale = i64::from(self.scale);
        loop {
            let buckets = self.positive.counts.len() + self.negative.counts.len();
            let least = i64::from(BUCKETS_MAX < buckets);
            let times = least.max(scale - SCALE_MAX);
            if times == 0 {
                break;
            }
            self.positive.join(times);
            self.negative.join(times);
            scale -= times;
        }
        let mut cumulative = 0_u64;
        let mut bounds: Vec<(f64, u64)> = Vec::new();
        let mut put = |bound: f64, count: u64| {
            cumulative = cumulative.saturating_add(count);
            match bounds.last_mut() {
                // What has no bound is above all of them, and bounds that round to one are one.
                _ if !bound.is_finite() => {}
                Some(last) if bound <= last.0 => last.1 = cumulative,
                _ => bounds.push((bound, cumulative)),
            }
        };
        let negative = self.negative.numbered();
        if let Some((last, _)) = negative.last() {
            // The far edge of the last one: below it there is nothing.
            put(-power(last + 1, scale), 0);
        }
        for (number, count) in negative.into_iter().rev() {
            put(-power(number, scale), count);
        }
        if 0 < self.zero_count {
            put(self.zero_threshold, self.zero_count);
        }
        if !self.positive.counts.is_empty() {
            // The near edge of the first one, without which it would seem to begin at zero.
            put(power(self.positive.offset, scale), 0);
        }
        for (number, count) in self.positive.numbered() {
            put(power(number + 1, scale), count);
        }
        bounds
    }
}

/// The base of a scale to the power of `number`.
#[expect(clippy::cast_precision_loss, reason = "numbers of buckets are below 2^33")]
fn power(number: i64, scale: i64) -> f64 {
    if number == 0 {
        // Whatever the base is, even if it is more than can be said.
        return 1.0;
    }
    (number as f64 * (-scale as f64).exp2()).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buckets(offset: i64, counts: &[u64]) -> Buckets {
        Buckets { offset, counts: counts.to_vec() }
    }

    #[test]
    fn boundaries_are_powers_of_the_base() {
        let histogram = Exponential {
            scale: 0,
            zero_count: 1,
            zero_threshold: 0.25,
            positive: buckets(0, &[2, 0, 3]),
            negative: buckets(1, &[4, 5]),
        };
        assert_eq!(
            histogram.classic(),
            [
                (-8.0, 0),
                (-4.0, 5),
                (-2.0, 9),
                (0.25, 10),
                (1.0, 10),
                (2.0, 12),
                (4.0, 12),
                (8.0, 15)
            ]
        );
        let fine =
            Exponential { scale: 4, positive: buckets(-3, &[1, 2, 4]), ..Default::default() };
        assert_eq!(
            fine.classic(),
            [(2_f64.powf(-0.25), 0), (2_f64.powf(-0.125), 1), (1.0, 7)],
            "joined, since the scale is finer than what is kept"
        );
        let empty = Exponential { negative: buckets(7, &[0, 0]), ..Default::default() };
        assert_eq!(empty.classic(), []);
        let wide = Exponential { positive: buckets(1_022, &[1, 1, 1]), ..Default::default() };
        let top = 2_f64.powi(1_023);
        assert_eq!(wide.classic(), [(top / 2.0, 0), (top, 1)], "the rest is above all numbers");
    }

    proptest! {
        #[test]
        fn any_histogram_has_few_buckets_and_loses_no_count(
            scale: i32,
            zero_count in 0_u64..3,
            zero_threshold in 0.0..1e-9,
            positive in (any::<i32>(), prop::collection::vec(0_u64..9, 0..400)),
            negative in (any::<i32>(), prop::collection::vec(0_u64..9, 0..400)),
        ) {
            let histogram = Exponential {
                scale,
                zero_count,
                zero_threshold,
                positive: buckets(i64::from(positive.0), &positive.1),
                negative: buckets(i64::from(negative.0), &negative.1),
            };
            let classic = histogram.classic();
            prop_assert!(classic.len() <= BUCKETS_MAX + 3);
            prop_assert!(classic.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
            let count = zero_count + positive.1.iter().sum::<u64>() + negative.1.iter().sum::<u64>();
            prop_assert!(classic.last().map_or(0, |it| it.1) <= count);
        }

        /// With the numbers that occur, every value is at or below the last bound.
        #[test]
        fn joining_keeps_every_count_on_its_side(
            scale in -1_i32..8, offset in -300_i64..300, counts in prop::collection::vec(0_u64..9, 1..600),
        ) {
            let histogram = Exponential { scale, positive: buckets(offset, &counts), ..Default::default() };
            let classic = histogram.classic();
            prop_assert!(classic.len() <= BUCKETS_MAX + 1);
            // Each bound is one of the original ones, and has the count of those.
            for (bound, cumulative) in classic {
                let before = counts.iter().zip(offset + 1..).take_while(|(_, number)| power(*number, scale.into()) <= bound * (1.0 + 1e-12));
                prop_assert_eq!(cumulative, before.map(|it| it.0).sum::<u64>());
            }
        }
    }
}
