//! How many extra requests an edge may send: a share of its requests, and a few beside.
//!
//! Retries answer chance failures; when everything fails, they multiply the load exactly when there is
//! least to spare. A bucket that only requests fill bounds them to a share. Source: Finagle's
//! `RetryBudget`, whose deposits expire after ten seconds; here they fade away at the same pace, which
//! needs one number in place of a ring.

use model::Instant;
use model::units::Share;

use crate::number::millionths;

/// Retries an edge without traffic may make: with none, a service called once a minute would never
/// try again. Finagle reserves 10 a second for ten seconds; fewer do for one edge on one core.
pub const RETRIES_MIN: u32 = 10;
/// Retries a second that come back to an edge below [`RETRIES_MIN`].
pub const RETRIES_PER_SECOND_MIN: u32 = 1;
/// One retry, in the units of the balance.
const ONE: u64 = 1_000_000;
const RESERVE: u64 = RETRIES_MIN as u64 * ONE;
const TRICKLE: u64 = RETRIES_PER_SECOND_MIN as u64 * ONE;
/// A tenth of what is above the reserve fades each second: deposits live for about ten seconds.
const FADE: u64 = 10;
/// Seconds after which nothing is left to fade: .9^120 of any balance an edge can have is below one.
const FADES_MAX: u64 = 120;
const SECOND: u64 = 1_000_000_000;

/// A bucket that requests fill and retries empty. A share of zero allows none at all.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    deposit: u64,
    balance: u64,
    second: u64,
}

impl Budget {
    pub(crate) fn new(share: Share) -> Self {
        let deposit = millionths(share);
        Self { deposit, balance: if deposit == 0 { 0 } else { RESERVE }, second: 0 }
    }

    /// Another share from now on; what was earned stays.
    pub(crate) fn set_share(&mut self, share: Share) {
        let deposit = millionths(share);
        match (self.deposit, deposit) {
            (_, 0) => self.balance = 0,
            (0, _) => self.balance = RESERVE,
            _ => {}
        }
        self.deposit = deposit;
    }

    /// A request was made.
    pub(crate) fn deposit(&mut self, now: Instant) {
        self.pass(now);
        self.balance = self.balance.saturating_add(self.deposit);
    }

    /// Whether an extra request may be made.
    pub(crate) const fn allows(&self) -> bool {
        ONE <= self.balance
    }

    /// Takes one extra request, if there is one.
    pub(crate) fn withdraw(&mut self, now: Instant) -> bool {
        self.pass(now);
        let allowed = self.allows();
        if allowed {
            self.balance -= ONE;
        }
        allowed
    }

    /// Time goes by in whole seconds, so that the usual request costs one comparison.
    fn pass(&mut self, now: Instant) {
        let second = now.as_nanos() / SECOND;
        if second <= self.second || self.deposit == 0 {
            return;
        }
        for _ in 0..(second - self.second).min(FADES_MAX) {
            let above = self.balance.saturating_sub(RESERVE);
            self.balance = if 0 < above {
                self.balance - above / FADE
            } else {
                (self.balance + TRICKLE).min(RESERVE)
            };
        }
        self.second = second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * SECOND)
    }

    fn withdrawals(budget: &mut Budget, now: Instant) -> u32 {
        let mut count = 0;
        while budget.withdraw(now) {
            count += 1;
        }
        count
    }

    #[test]
    fn a_fifth_of_the_requests_and_a_few_beside() {
        let mut budget = Budget::new(Share::from_percent(20));
        assert_eq!(withdrawals(&mut budget, at(0)), RETRIES_MIN);
        for _ in 0..100 {
            budget.deposit(at(0));
        }
        assert_eq!(withdrawals(&mut budget, at(0)), 20);
        // Three quiet seconds give three retries back, a long time no more than the reserve.
        assert_eq!(withdrawals(&mut budget, at(3)), 3);
        assert_eq!(withdrawals(&mut budget, at(1_000)), RETRIES_MIN);
    }

    #[test]
    fn what_was_earned_fades() {
        let mut budget = Budget::new(Share::ALL);
        for _ in 0..1_000 {
            budget.deposit(at(0));
        }
        // 10 in reserve, and 1000 * .9^10 = 348.7.
        assert_eq!(withdrawals(&mut budget, at(10)), 358);
    }

    #[test]
    fn no_share_is_no_retry() {
        let mut budget = Budget::new(Share::ZERO);
        budget.deposit(at(0));
        assert_eq!(withdrawals(&mut budget, at(100)), 0);
        budget.set_share(Share::ALL);
        assert_eq!(withdrawals(&mut budget, at(100)), RETRIES_MIN);
    }

    proptest! {
        #[test]
        fn never_more_than_the_share_and_the_minimum(percent in 0_u32..=100, steps in prop::collection::vec((0_u64..3, any::<bool>()), 1..300)) {
            let mut budget = Budget::new(Share::from_percent(percent));
            let (mut second, mut requests, mut retries) = (0, 0_u64, 0_u64);
            for (pause, is_request) in steps {
                second += pause;
                if is_request {
                    budget.deposit(at(second));
                    requests += 1;
                } else {
                    retries += u64::from(budget.withdraw(at(second)));
                }
                let minimum = u64::from(RETRIES_MIN) + second * u64::from(RETRIES_PER_SECOND_MIN);
                prop_assert!(retries * 100 <= u64::from(percent) * requests + minimum * 100);
            }
        }
    }
}
