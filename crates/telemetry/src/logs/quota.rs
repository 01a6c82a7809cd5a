//! How much each service may say, and what it could not.
//!
//! A service has a bucket of bytes of its own that fills at a steady rate. One that says more is refused the
//! rest, and nobody else is: whoever floods has an empty bucket, and the others' are full. What was refused is
//! counted, by service and by reason, and shown.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use model::Timestamp;

use super::part::Service;

/// Services that are told apart at once; the store refuses records of more. Many times what an application has.
pub const SERVICES_MAX: usize = 2_000;
/// What a record is taken to cost beside its row.
const RECORD_BYTES: u64 = 32;
/// Milliseconds without a record after which a service's account may be given up for another's.
const IDLE_MS: u64 = 3_600_000;

/// Further ahead of a caller's time than callers that run at once are of each other.
const SET_BACK: Duration = Duration::from_secs(10);

/// Why records were not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The service said more than it may ([`super::Limits::service_bytes_per_second`]).
    Rate,
    /// There are too many services ([`SERVICES_MAX`]), or sources of this one ([`super::SOURCES_MAX`]).
    Sources,
    /// What was kept is not on disk yet, and memory is full ([`super::HEAD_BYTES_MAX`]).
    Memory,
    /// The log cannot be written.
    Disk,
    /// It was gone before it was read: the service said more than is read of one. How much is told about, not
    /// exactly.
    Unread,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Rate => "rate",
            Self::Sources => "sources",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Unread => "unread",
        })
    }
}

/// What a service said since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that were kept.
    pub accepted: u64,
    /// Bytes of them.
    pub accepted_bytes: u64,
    /// Records that were not, by reason.
    pub refused: BTreeMap<Refusal, u64>,
}

/// The bucket and the tally of a service.
#[derive(Debug)]
struct Account {
    /// Thousandths of bytes in the bucket, so that a slow rate fills it too.
    millibytes: u64,
    filled_at: Timestamp,
    tally: Tally,
}

/// All services' accounts.
#[derive(Debug)]
pub(super) struct Accounts {
    bytes_per_second: u64,
    burst_bytes: u64,
    services: BTreeMap<Service, Account>,
    /// Records of services that have no account.
    strangers: u64,
}

impl Accounts {
    /// None yet.
    pub(super) const fn new(bytes_per_second: u64, burst_bytes: u64) -> Self {
        Self { bytes_per_second, burst_bytes, services: BTreeMap::new(), strangers: 0 }
    }

    /// Takes records of one service off its account, of these sizes and in this order; returns how many may be
    /// kept.
    pub(super) fn take(
        &mut self,
        service: &Service,
        sizes: &mut dyn Iterator<Item = u64>,
        now: Timestamp,
    ) -> usize {
        let (rate, burst) = (self.bytes_per_second, self.burst_bytes.saturating_mul(1_000));
        let Some(account) = self.account(service, now) else {
            self.strangers += sizes.count() as u64;
            return 0;
        };
        let passed = u64::try_from(now.since(account.filled_at).as_millis()).unwrap_or(u64::MAX);
        account.millibytes =
            account.millibytes.saturating_add(passed.saturating_mul(rate)).min(burst);
        // Callers may come in another order than they looked at the clock; further ahead is a clock that was set back.
        let is_ahead = SET_BACK < account.filled_at.since(now);
        account.filled_at = if is_ahead { now } else { account.filled_at.max(now) };
        let mut taken = 0;
        for size in sizes {
            let cost = size.saturating_add(RECORD_BYTES).saturating_mul(1_000);
            if let Some(left) = account.millibytes.checked_sub(cost) {
                account.millibytes = left;
                account.tally.accepted += 1;
                account.tally.accepted_bytes += size;
                taken += 1;
            } else {
                // A short one after a long one must not slip through: order is worth more than the last bytes.
                account.millibytes = 0;
                *account.tally.refused.entry(Refusal::Rate).or_default() += 1;
            }
        }
        taken
    }

    fn account(&mut self, service: &Service, now: Timestamp) -> Option<&mut Account> {
        if !self.services.contains_key(service) {
            if SERVICES_MAX <= self.services.len() {
                self.services
                    .retain(|_, it| now.since(it.filled_at).as_millis() < u128::from(IDLE_MS));
            }
            if SERVICES_MAX <= self.services.len() {
                return None;
            }
            let millibytes = self.burst_bytes.saturating_mul(1_000);
            let account = Account { millibytes, filled_at: now, tally: Tally::default() };
            self.services.insert(service.clone(), account);
        }
        self.services.get_mut(service)
    }

    /// Whether a service has an account, or gets one.
    pub(super) fn open(&mut self, service: &Service, now: Timestamp) -> bool {
        self.account(service, now).is_some()
    }

    /// Counts records that were not kept for another reason.
    pub(super) fn refuse(&mut self, service: &Service, count: u64, reason: Refusal) {
        match self.services.get_mut(service) {
            Some(account) => *account.tally.refused.entry(reason).or_default() += count,
            None => self.strangers += count,
        }
    }

    /// Every service's tally, and the records of those that have none.
    pub(super) fn tallies(&self) -> (impl Iterator<Item = (&Service, &Tally)>, u64) {
        (self.services.iter().map(|(service, it)| (service, &it.tally)), self.strangers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Service {
        Service { application: "shop".into(), service: name.into() }
    }

    fn take(accounts: &mut Accounts, name: &str, count: usize, at_ms: u64) -> usize {
        let mut sizes = std::iter::repeat_n(68, count);
        accounts.take(&service(name), &mut sizes, Timestamp::from_millis(at_ms))
    }

    #[test]
    fn who_floods_is_refused_and_nobody_else() {
        let mut accounts = Accounts::new(1_000, 500);
        assert_eq!(take(&mut accounts, "noisy", 100, 10), 5);
        assert_eq!(take(&mut accounts, "quiet", 3, 10), 3);
        assert_eq!(take(&mut accounts, "noisy", 100, 210), 2);
        assert_eq!(
            take(&mut accounts, "noisy", 1, 100),
            0,
            "a clock that was set back fills nothing"
        );
        assert_eq!(take(&mut accounts, "noisy", 100, 60_000), 5, "no more than the burst is saved");
        let (tallies, strangers) = accounts.tallies();
        let tallies: Vec<_> = tallies.map(|(_, it)| it.clone()).collect();
        let refused = BTreeMap::from([(Refusal::Rate, 289)]);
        assert_eq!(tallies[0], Tally { accepted: 12, accepted_bytes: 816, refused });
        assert_eq!((tallies[1].accepted, strangers), (3, 0));
    }

    #[test]
    fn services_are_bounded_and_the_idle_make_room() {
        let mut accounts = Accounts::new(1_000, 500);
        for number in 0..SERVICES_MAX {
            assert_eq!(take(&mut accounts, &number.to_string(), 1, 10), 1);
        }
        assert_eq!(take(&mut accounts, "another", 2, 20), 0);
        assert_eq!(accounts.tallies().1, 2);
        assert_eq!(take(&mut accounts, "another", 2, 20 + IDLE_MS), 2);
    }
}
