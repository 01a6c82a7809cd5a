//! Whether an attempt that failed is made again, and after what pause.
//!
//! The pause is drawn from zero to a bound that doubles each time ("full jitter"): of all the ways to
//! spread retries it needs the fewest calls. Source: Brooker, "Exponential backoff and jitter" (AWS
//! Architecture Blog, 2015).

use core::time::Duration;

use model::Rng;
use model::edge::{Retry, RetryCondition};

use crate::number::nanos;
use crate::outcome::{Outcome, RetryReason};

/// Conditions as bits: the policy's list is asked on every failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions(u8);

impl Conditions {
    pub(crate) fn new(conditions: &[RetryCondition]) -> Self {
        Self(conditions.iter().fold(0, |bits, it| bits | bit(*it)))
    }

    /// Why `outcome` is tried again, if it is.
    pub(crate) const fn reason(self, outcome: Outcome) -> Option<RetryReason> {
        use RetryCondition as Condition;
        let (reason, conditions) = match outcome {
            Outcome::ConnectFailure => {
                (RetryReason::ConnectFailure, bit(Condition::ConnectFailure))
            }
            Outcome::Reset => (RetryReason::Reset, bit(Condition::Reset)),
            // A connection that was gone before anything was sent is as good as none.
            Outcome::ResetUnsent => {
                (RetryReason::Reset, bit(Condition::Reset) | bit(Condition::ConnectFailure))
            }
            Outcome::AttemptTimeout => {
                (RetryReason::AttemptTimeout, bit(Condition::AttemptTimeout))
            }
            Outcome::GatewayError => (
                RetryReason::GatewayError,
                bit(Condition::GatewayError) | bit(Condition::ServerError),
            ),
            Outcome::ServerError => (RetryReason::ServerError, bit(Condition::ServerError)),
            Outcome::TooManyRequests => {
                (RetryReason::TooManyRequests, bit(Condition::TooManyRequests))
            }
            Outcome::Ok | Outcome::ClientError | Outcome::Timeout | Outcome::Cancelled => {
                return None;
            }
        };
        if self.0 & conditions == 0 { None } else { Some(reason) }
    }
}

const fn bit(condition: RetryCondition) -> u8 {
    1 << condition as u8
}

/// The pause before the retry after `retries` others.
pub(crate) fn pause(policy: &Retry, retries: u8, rng: &mut Rng) -> Duration {
    let doubled = 1_u32.checked_shl(u32::from(retries)).unwrap_or(u32::MAX);
    let bound = policy.backoff.saturating_mul(doubled).min(policy.max_backoff);
    Duration::from_nanos(rng.below(nanos(bound).saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_conditions() {
        let conditions = Conditions::new(&RetryCondition::usual());
        for (outcome, expected) in [
            (Outcome::Ok, None),
            (Outcome::ClientError, None),
            (Outcome::TooManyRequests, None),
            (Outcome::ServerError, None),
            (Outcome::GatewayError, Some(RetryReason::GatewayError)),
            (Outcome::ConnectFailure, Some(RetryReason::ConnectFailure)),
            (Outcome::Reset, Some(RetryReason::Reset)),
            (Outcome::ResetUnsent, Some(RetryReason::Reset)),
            (Outcome::AttemptTimeout, Some(RetryReason::AttemptTimeout)),
            (Outcome::Timeout, None),
            (Outcome::Cancelled, None),
        ] {
            assert_eq!(conditions.reason(outcome), expected, "{outcome}");
        }
        let all_errors = Conditions::new(&[RetryCondition::ServerError]);
        assert_eq!(all_errors.reason(Outcome::GatewayError), Some(RetryReason::GatewayError));
        assert_eq!(Conditions::new(&[]).reason(Outcome::Reset), None);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_drawn_evenly() {
        let policy = Retry {
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(90),
            ..Retry::default()
        };
        let mut rng = Rng::new(1);
        for (retries, bound_ms) in [(0, 25), (1, 50), (2, 90), (3, 90), (40, 90), (255, 90)] {
            let bound = Duration::from_millis(bound_ms);
            let n = 10_000;
            let mut sum = Duration::ZERO;
            for _ in 0..n {
                let drawn = pause(&policy, retries, &mut rng);
                assert!(drawn <= bound);
                sum += drawn;
            }
            let mean = sum.as_secs_f64() / f64::from(n) / bound.as_secs_f64();
            // Five standard errors of a uniform mean: 5 / sqrt(12 n).
            assert!((mean - 0.5).abs() < 0.0145, "{retries}: {mean}");
        }
    }
}
