//! Randomness as a value: a seeded stream that can be split by name.

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

    /// A stream of its own for `key`: draws from it never shift its parent or its siblings.
    pub fn child(&self, key: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.0;
        for byte in key.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(hash)
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number in `[0, 1)`, uniform on multiples of 2^-53.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds exactly")]
    pub const fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with probability `share` (0 never, 1 always).
    pub const fn happens(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// A number in `0..bound`, or 0 when `bound` is 0. Its bias is below `bound` / 2^64.
    ///
    /// Source: Lemire, "Fast random integer generation in an interval" (2019), without rejection.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next_u64() as u128 * bound as u128) >> 64) as u64
    }

    /// A draw from the exponential distribution of mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log1p(-self.unit())
    }

    /// A draw from the standard normal distribution (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(2.0 * self.exponential());
        radius * libm::cos(2.0 * core::f64::consts::PI * self.unit())
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
