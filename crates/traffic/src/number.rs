//! Conversions between whole numbers and fractions, each lossy cast in one place and with its reason.

use core::time::Duration;

use model::units::Share;

/// A share in millionths: whole numbers add up without rounding.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is between 0 and 1"
)]
pub(crate) fn millionths(share: Share) -> u64 {
    libm::round(share.as_fraction() * 1e6) as u64
}

/// `share` of `count`, rounded down.
pub(crate) fn share_of(share: Share, count: usize) -> usize {
    let whole = millionths(share).saturating_mul(count as u64) / 1_000_000;
    usize::try_from(whole).unwrap_or(count)
}

/// The nearest f64. Counts and nanoseconds stay far below 2^53, where it is exact.
#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds stay below 2^53")]
pub(crate) const fn float(value: u64) -> f64 {
    value as f64
}

/// The whole number below; 0 for what is negative or not a number, the largest for what is too big.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is what is meant"
)]
pub(crate) const fn whole(value: f64) -> u64 {
    value as u64
}

/// As [`whole`], for numbers of requests.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is what is meant"
)]
pub(crate) const fn whole_u32(value: f64) -> u32 {
    value as u32
}

/// Nanoseconds, or the largest number there is.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Spreads the bits of `value`: the finalizer of `SplitMix64`, as in [`model::Rng`].
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number in `(0, 1]` made of all bits of `hash`: never 0, so that its logarithm is finite.
pub(crate) const fn unit(hash: u64) -> f64 {
    (float(hash >> 11) + 1.0) / float(1 << 53)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact() {
        assert_eq!(millionths(Share::from_percent(20)), 200_000);
        assert_eq!(millionths(Share::ALL), 1_000_000);
        assert_eq!(share_of(Share::from_percent(50), 5), 2);
        assert_eq!(share_of(Share::ALL, 7), 7);
    }

    #[test]
    fn units_are_never_zero() {
        assert!(0.0 < unit(0));
        assert!(unit(u64::MAX) <= 1.0);
    }
}
