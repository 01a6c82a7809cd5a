//! Randomness as a value: a seeded stream that can be split by name.

mod ziggurat;

use ziggurat::{EXPONENTIAL_TAIL, EXPONENTIAL_X, NORMAL_TAIL, NORMAL_X};

/// A deterministic stream of random numbers.
///
/// Source: `SplitMix64`, in Steele, Lea and Flood, "Fast splittable pseudorandom number generators"
/// (OOPSLA 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A stream from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// What it will draw next follows from this number: [`Rng::new`] makes the same stream of it.
    pub const fn state(&self) -> u64 {
        self.0
    }

    /// A stream of its own for `key`: draws from it never shift its parent or its siblings.
    pub fn child(&self, key: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.0;
        for byte in key.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(hash)
    }

    /// The next number.
    #[inline]
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number in `[0, 1)`, uniform on multiples of 2^-53.
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds exactly")]
    pub const fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with probability `share` (0 never, 1 always).
    #[inline]
    pub const fn happens(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// A number in `0..bound`, or 0 when `bound` is 0. Its bias is below `bound` / 2^64.
    ///
    /// Source: Lemire, "Fast random integer generation in an interval" (2019), without rejection.
    #[inline]
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next_u64() as u128 * bound as u128) >> 64) as u64
    }

    /// A draw from the exponential distribution of mean 1.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        loop {
            let (layer, unit) = self.layer();
            let x = unit * EXPONENTIAL_X[layer];
            if x < EXPONENTIAL_X[layer + 1] {
                return x;
            }
            if let Some(x) = self.exponential_edge(layer, x) {
                return x;
            }
        }
    }

    /// What is at the edge of a layer, or in the tail: which is an exponential again.
    #[cold]
    fn exponential_edge(&mut self, layer: usize, x: f64) -> Option<f64> {
        if layer == 0 {
            return Some(EXPONENTIAL_TAIL - libm::log(1.0 - self.unit()));
        }
        let density = |x: f64| libm::exp(-x);
        let (low, high) = (density(EXPONENTIAL_X[layer]), density(EXPONENTIAL_X[layer + 1]));
        (low + (high - low) * self.unit() < density(x)).then_some(x)
    }

    /// A draw from the standard normal distribution.
    #[inline]
    pub fn normal(&mut self) -> f64 {
        loop {
            let (layer, unit) = self.layer();
            let x = (2.0 * unit - 1.0) * NORMAL_X[layer];
            if x.abs() < NORMAL_X[layer + 1] {
                return x;
            }
            if let Some(x) = self.normal_edge(layer, x) {
                return x;
            }
        }
    }

    /// What is at the edge of a layer, or in the tail. Source: Marsaglia, "Generating a variable from the tail of the normal
    /// distribution" (1964).
    #[cold]
    fn normal_edge(&mut self, layer: usize, x: f64) -> Option<f64> {
        if layer == 0 {
            let beyond = self.exponential() / NORMAL_TAIL;
            let accepted = beyond * beyond < 2.0 * self.exponential();
            return accepted.then_some((NORMAL_TAIL + beyond).copysign(x));
        }
        let density = |x: f64| libm::exp(-x * x / 2.0);
        let (low, high) = (density(NORMAL_X[layer]), density(NORMAL_X[layer + 1]));
        (low + (high - low) * self.unit() < density(x)).then_some(x)
    }

    /// One of 256 layers, and a number in `[0, 1)` that does not depend on which.
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds exactly")]
    const fn layer(&mut self) -> (usize, f64) {
        let bits = self.next_u64();
        ((bits & 0xff) as usize, (bits >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_splitmix64_values() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn children_do_not_disturb_their_parent() {
        let mut parent = Rng::new(7);
        let mut twin = parent.clone();
        let mut child = parent.child("balance/cart");
        let _: u64 = child.next_u64();
        assert_eq!(parent.next_u64(), twin.next_u64());
        assert_ne!(parent.child("a").next_u64(), parent.child("b").next_u64());
    }

    /// All layers of a density have one area; the lowest has the tail's with it.
    #[track_caller]
    fn check_layers(x: &[f64; 257], tail: f64, density: impl Fn(f64) -> f64) {
        assert!((x[1] - tail).abs() < 1e-14 && x[256].to_bits() == 0);
        let area = x[0] * density(tail);
        for (layer, ends) in x.windows(2).enumerate().skip(1) {
            let found = ends[0] * (density(ends[1]) - density(ends[0]));
            assert!((found / area - 1.0).abs() < 1e-9, "layer {layer}: {found} is not {area}");
        }
    }

    #[test]
    fn layers_are_of_one_area() {
        check_layers(&EXPONENTIAL_X, EXPONENTIAL_TAIL, |x| libm::exp(-x));
        // The tail of the exponential is as large as its density there.
        let density = libm::exp(-EXPONENTIAL_TAIL);
        assert!(
            (EXPONENTIAL_X[0] * density / (EXPONENTIAL_TAIL * density + density) - 1.0).abs()
                < 1e-9
        );
        check_layers(&NORMAL_X, NORMAL_TAIL, |x| libm::exp(-x * x / 2.0));
    }

    /// Shares beyond points, within five standard errors.
    #[test]
    fn tails() {
        let mut rng = Rng::new(5);
        let count = 2_000_000;
        let (mut exponential, mut normal) = ([0_u32; 3], [0_u32; 3]);
        for _ in 0..count {
            let (e, n) = (rng.exponential(), rng.normal());
            for (at, point) in [1.0, 7.0, 8.0].into_iter().enumerate() {
                exponential[at] += u32::from(point < e);
            }
            for (at, point) in [-1.0, 3.0, 3.7].into_iter().enumerate() {
                normal[at] += u32::from(point < n);
            }
        }
        let check = |found: u32, share: f64| {
            let expected = share * f64::from(count);
            let error = libm::sqrt(expected * (1.0 - share));
            assert!((f64::from(found) - expected).abs() < 5.0 * error, "{found} is not {expected}");
        };
        for (found, point) in exponential.into_iter().zip([1.0, 7.0, 8.0]) {
            check(found, libm::exp(-point));
        }
        for (found, point) in normal.into_iter().zip([-1.0, 3.0, 3.7]) {
            check(found, 0.5 * libm::erfc(point / core::f64::consts::SQRT_2));
        }
    }

    #[test]
    fn moments() {
        let mut rng = Rng::new(42);
        let n = 100_000;
        let (mut uniform, mut exponential, mut normal, mut square) = (0.0, 0.0, 0.0, 0.0);
        for _ in 0..n {
            uniform += rng.unit();
            exponential += rng.exponential();
            let z = rng.normal();
            normal += z;
            square += z * z;
        }
        let n = f64::from(n);
        // Five standard errors each.
        assert!((uniform / n - 0.5).abs() < 0.005);
        assert!((exponential / n - 1.0).abs() < 0.016);
        assert!((normal / n).abs() < 0.016);
        assert!((square / n - 1.0).abs() < 0.023);
    }
}
