//! Requests in virtual time: what two releases make of a service's traffic, second by second, as the data plane
//! would count it.

use model::units::Share;
use model::{Rng, Timestamp};
use world::rollout::{Counts, Observation};

/// Shares of requests with an answer later than 1.25 times the old release's median, its 95th and its 99th
/// percentile, and one and a half and three times that. Latencies are log-normal, with sigma 0.6.
const PLAIN: [f64; 5] = [0.355, 0.021_9, 0.003_49, 0.000_37, 0.000_003];
/// The same where the slowest tenth takes 1.4 times as long, and nothing else does.
const LONG_TAIL: [f64; 5] = [0.355, 0.072_7, 0.016_3, 0.002_45, 0.000_036];
/// Shares later than 1.25 times the old release's 95th percentile, of either.
const PLAIN_LATE: f64 = 0.021_9;
const LONG_TAIL_LATE: f64 = 0.072_7;
/// Instances of the service, each with the same part of the traffic.
const INSTANCES: u64 = 20;
/// How long a failing instance fails for.
const STALL_SECONDS: u64 = 1;

/// Whose a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    Old,
    New,
}

/// How bad requests come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// Each by itself, always alike.
    Steady,
    /// Each by itself, from a tenth to twice as often and back, every five minutes.
    Drifting,
    /// All requests to one instance for a second, and then none.
    Bursts,
}

/// How slow the new release is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// As the old one.
    Alike,
    /// Its slowest tenth takes 40 % longer.
    Longer,
}

/// A service, its traffic, and a new release of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Requests a second.
    pub(crate) rate: u64,
    /// The share of the old release's requests that fails.
    pub(crate) errors: f64,
    /// How many times as often the new one's do.
    pub(crate) ratio: f64,
    pub(crate) base: Base,
    pub(crate) tail: Tail,
    /// The new release's share in each step, in percent.
    pub(crate) weights: &'static [u32],
}

/// A second of a [`Scenario`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Second {
    pub(crate) old: Counts,
    pub(crate) new: Counts,
    /// Requests of the new release later than 1.25 times the old one's p95.
    pub(crate) late: u64,
}

/// The traffic of a scenario.
#[derive(Debug)]
pub(crate) struct Traffic<'a> {
    scenario: &'a Scenario,
    rng: Rng,
    second: u64,
    /// Until when each instance fails.
    stalled: [u64; INSTANCES as usize],
}

impl<'a> Traffic<'a> {
    pub(crate) fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let rng = Rng::new(seed).child(scenario.name);
        Self { scenario, rng, second: 0, stalled: [0; INSTANCES as usize] }
    }

    /// Seconds that have passed.
    pub(crate) const fn now(&self) -> u64 {
        self.second
    }

    /// The next second, in which the new release has `percent` of the traffic.
    pub(crate) fn second(&mut self, percent: u32) -> Second {
        self.second += 1;
        let of_new = INSTANCES * u64::from(percent) / 100;
        if self.scenario.base == Base::Bursts {
            self.stall(of_new);
        }
        let mut second = Second::default();
        for _ in 0..self.scenario.rate {
            let instance = self.rng.below(INSTANCES);
            let release = if instance < of_new { Release::New } else { Release::Old };
            let is_error = self.fails(instance, release);
            let is_new = release == Release::New;
            let is_long = is_new && self.scenario.tail == Tail::Longer;
            let (shares, late) =
                if is_long { (LONG_TAIL, LONG_TAIL_LATE) } else { (PLAIN, PLAIN_LATE) };
            let drawn = self.rng.unit();
            let counts = if is_new { &mut second.new } else { &mut second.old };
            counts.requests += 1;
            counts.errors += u64::from(is_error);
            counts.harmed += u64::from(is_error);
            for (slow, share) in counts.slow.iter_mut().zip(shares) {
                *slow += u64::from(drawn < share);
            }
            second.late += u64::from(is_new && drawn < late);
        }
        second
    }

    /// Some instances begin to fail: the first `of_new` are the new release's.
    fn stall(&mut self, of_new: u64) {
        for instance in 0..INSTANCES {
            let release = if instance < of_new { Release::New } else { Release::Old };
            let rate = self.rate(release) / STALL_SECONDS as f64;
            if self.rng.happens(rate) {
                self.stalled[instance as usize] = self.second + STALL_SECONDS;
            }
        }
    }

    fn fails(&mut self, instance: u64, release: Release) -> bool {
        match self.scenario.base {
            Base::Bursts => self.second < self.stalled[instance as usize],
            Base::Steady | Base::Drifting => {
                let rate = self.rate(release);
                self.rng.happens(rate)
            }
        }
    }

    /// The share of a release's requests that fails now.
    fn rate(&self, release: Release) -> f64 {
        let phase = (self.second % 300) as f64 / 300.0;
        let drift = match self.scenario.base {
            Base::Drifting => 0.1 + 1.9 * (1.0 - (2.0 * phase - 1.0).abs()),
            Base::Steady | Base::Bursts => 1.0,
        };
        let ratio = if release == Release::New { self.scenario.ratio } else { 1.0 };
        self.scenario.errors * drift * ratio
    }
}

impl Second {
    /// As it is recorded: in a step, with a share of traffic.
    pub(crate) fn observed(&self, at: Timestamp, step: u32, percent: u32) -> Observation {
        Observation {
            at,
            step,
            weight: Some(Share::from_percent(percent)),
            is_warm_up: false,
            has_thresholds: true,
            old: self.old,
            new: self.new,
        }
    }
}
