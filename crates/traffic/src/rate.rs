//! How many requests may come: token buckets, one for all or one for each client.
//!
//! A bucket is one number: the moment at which it will be full again. Source: the generic cell rate
//! algorithm (ITU-T I.371), which is the token bucket seen from the other side; it needs no refill.

use alloc::boxed::Box;
use alloc::vec;
use core::time::Duration;

use model::Instant;
use model::route::RateLimit;

use crate::number::mix;

/// Clients that are told apart at once. With more, buckets nearest to full are forgotten first, at a
/// cost of 16 bytes each; most are full, and a full one is like none.
pub const KEYS_MAX: usize = SETS * WAYS;
const SETS: usize = 1_024;
/// Buckets looked at for one key: as many as fit two cache lines.
const WAYS: usize = 8;
/// Nanoseconds between tokens at a thousandth of a request a second.
const SLOWEST_NS: u64 = 1_000_000_000_000;

/// How fast a bucket fills and how much it holds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Time for one token, rounded up so that the rate is never exceeded.
    period_ns: u64,
    /// Time for all but one.
    tolerance_ns: u64,
}

impl Rate {
    /// A burst of 0 is taken as 1: nothing would ever pass otherwise.
    fn new(limit: &RateLimit) -> Self {
        let period_ns = match limit.per_second_thousandths {
            0 => u64::MAX,
            thousandths => SLOWEST_NS.div_ceil(thousandths),
        };
        let spare = u64::from(limit.burst.max(1) - 1);
        Self { period_ns, tolerance_ns: period_ns.saturating_mul(spare) }
    }

    /// Takes a token from the bucket that is full at `full_at`; if it is empty, the time until it is not.
    fn take(self, now: Instant, full_at: &mut u64) -> Result<(), Duration> {
        let full = (*full_at).max(now.as_nanos());
        let debt = full - now.as_nanos();
        if self.tolerance_ns < debt {
            return Err(Duration::from_nanos(debt - self.tolerance_ns));
        }
        *full_at = full.saturating_add(self.period_ns);
        Ok(())
    }
}

/// One bucket for all.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    full_at: u64,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(limit: &RateLimit) -> Self {
        Self { rate: Rate::new(limit), full_at: 0 }
    }

    /// Whether a request may pass; if not, when one may.
    pub fn allow(&mut self, now: Instant) -> Result<(), Duration> {
        self.rate.take(now, &mut self.full_at)
    }
}

/// A bucket for each of up to [`KEYS_MAX`] clients.
#[derive(Clone, Debug)]
pub struct KeyedBuckets {
    rate: Rate,
    /// Empty until the first request: most routes never see one.
    buckets: Box<[Keyed]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Keyed {
    key: u64,
    full_at: u64,
}

impl KeyedBuckets {
    /// Full buckets.
    pub fn new(limit: &RateLimit) -> Self {
        Self { rate: Rate::new(limit), buckets: Box::default() }
    }

    /// Whether a request of the client with this hash may pass; if not, when one may.
    pub fn allow(&mut self, now: Instant, key: u64) -> Result<(), Duration> {
        if self.buckets.is_empty() {
            self.buckets = vec![Keyed::default(); KEYS_MAX].into_boxed_slice();
        }
        let set = usize::try_from(mix(key) % SETS as u64).unwrap_or(0);
        let ways = self.buckets.get_mut(set * WAYS..(set + 1) * WAYS).unwrap_or_default();
        // A place that was never used has the lowest moment of all, and so is taken first.
        let found = ways.iter().position(|it| it.key == key && 0 < it.full_at);
        let place = found.or_else(|| {
            let fullest = ways.iter().enumerate().min_by_key(|(_, it)| it.full_at);
            fullest.map(|(place, _)| place)
        });
        let Some(keyed) = place.and_then(|it| ways.get_mut(it)) else { return Ok(()) };
        if found.is_none() {
            *keyed = Keyed { key, full_at: 0 };
        }
        self.rate.take(now, &mut keyed.full_at)
    }
}

/// The rate limit of a route.
#[derive(Clone, Debug)]
pub enum RateLimiter {
    /// All clients share one bucket.
    Shared(TokenBucket),
    /// Each has its own.
    Keyed(KeyedBuckets),
}

impl RateLimiter {
    /// Full buckets.
    pub fn new(limit: &RateLimit) -> Self {
        match limit.key {
            Some(_) => Self::Keyed(KeyedBuckets::new(limit)),
            None => Self::Shared(TokenBucket::new(limit)),
        }
    }

    /// Whether a request may pass; if not, after what time one may. Clients without a key share a bucket.
    pub fn allow(&mut self, now: Instant, key: Option<u64>) -> Result<(), Duration> {
        match self {
            Self::Shared(bucket) => bucket.allow(now),
            Self::Keyed(buckets) => buckets.allow(now, key.unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::edge::RequestKey;
    use proptest::prelude::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn limit(per_second: u64, burst: u32) -> RateLimit {
        RateLimit { per_second_thousandths: per_second * 1_000, burst, key: None }
    }

    fn passes(limiter: &mut RateLimiter, now: Instant, key: Option<u64>) -> u32 {
        (0..1_000).map(|_| u32::from(limiter.allow(now, key).is_ok())).sum()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut limiter = RateLimiter::new(&limit(10, 5));
        assert_eq!(passes(&mut limiter, at(0), None), 5);
        assert_eq!(limiter.allow(at(0), None), Err(Duration::from_millis(100)));
        assert_eq!(limiter.allow(at(60), None), Err(Duration::from_millis(40)));
        assert_eq!(passes(&mut limiter, at(100), None), 1);
        assert_eq!(passes(&mut limiter, at(350), None), 2);
        assert_eq!(passes(&mut limiter, at(60_000), None), 5);
    }

    #[test]
    fn a_rate_of_zero_passes_its_burst() {
        assert_eq!(passes(&mut RateLimiter::new(&limit(0, 1)), at(0), None), 1);
        assert_eq!(passes(&mut RateLimiter::new(&limit(0, 0)), at(5), None), 1);
    }

    #[test]
    fn each_client_has_its_own() {
        let keyed = RateLimit { key: Some(RequestKey::ClientAddress), ..limit(10, 3) };
        let mut limiter = RateLimiter::new(&keyed);
        assert_eq!(passes(&mut limiter, at(0), Some(1)), 3);
        assert_eq!(passes(&mut limiter, at(0), Some(2)), 3);
        assert_eq!(passes(&mut limiter, at(0), None), 3);
        assert_eq!(passes(&mut limiter, at(100), Some(1)), 1);
    }

    #[test]
    fn many_clients_need_bounded_memory_and_who_is_in_debt_is_remembered() {
        let keyed = RateLimit { key: Some(RequestKey::ClientAddress), ..limit(1, 100) };
        let mut buckets = KeyedBuckets::new(&keyed);
        for _ in 0..100 {
            assert_eq!(buckets.allow(at(0), 7), Ok(()));
        }
        for key in 1_000..1_000_000 {
            assert_eq!(buckets.allow(at(0), key), Ok(()));
        }
        assert!(buckets.allow(at(0), 7).is_err());
        assert_eq!(buckets.buckets.len(), KEYS_MAX);
    }

    proptest! {
        #[test]
        fn never_above_rate_and_burst(thousandths in 1_u64..10_000_000, burst in 1_u32..50, pauses in prop::collection::vec(0_u64..50_000_000, 1..300)) {
            let limit = RateLimit { per_second_thousandths: thousandths, burst, key: None };
            let mut bucket = TokenBucket::new(&limit);
            let (mut now, mut passed) = (0, 0_u128);
            for pause in pauses {
                now += pause;
                passed += u128::from(bucket.allow(Instant::from_nanos(now)).is_ok());
                let most = u128::from(now) * u128::from(thousandths) / 1_000_000_000_000;
                prop_assert!(passed <= most + u128::from(burst));
            }
        }

        #[test]
        fn waiting_as_long_as_told_is_enough(thousandths in 1_u64..10_000_000, burst in 1_u32..5) {
            let limit = RateLimit { per_second_thousandths: thousandths, burst, key: None };
            let mut bucket = TokenBucket::new(&limit);
            let mut now = Instant::ZERO;
            for _ in 0..20 {
                if let Err(wait) = bucket.allow(now) {
                    now = now.after(wait);
                    prop_assert_eq!(bucket.allow(now), Ok(()));
                }
            }
        }
    }
}
