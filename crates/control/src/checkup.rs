//! What a series of health checks says: counting, apart from trying.

use std::time::Duration;

use model::Instant;
use model::health::{Check, Health};
use runtime::probe::Tried;

/// The first pause between two tries of an instance that is starting. Each is half as long again, so
/// that a service that needs 20 ms is seen after 30, and one that needs a minute costs little.
const STARTING_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two tries of an instance that is starting.
const STARTING_PAUSE_MAX: Duration = Duration::from_secs(1);

/// What follows from a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has become ready.
    Ready,
    /// It is no longer ready.
    Unready(String),
    /// It must be replaced.
    NotLive(String),
}

/// Which checks an instance has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Whether it can take requests.
    Readiness,
    /// Whether it must be replaced.
    Liveness,
}

/// The state of one check of one instance.
#[derive(Clone, Debug)]
pub(crate) struct Checkup {
    kind: Kind,
    check: Check,
    /// Failures in a row of liveness that make a verdict, where one try serves both checks.
    liveness_retries: Option<u32>,
    ready: bool,
    has_succeeded: bool,
    failures: u32,
    pause: Duration,
    started_at: Instant,
}

impl Checkup {
    /// The checkups of an instance that was started at `started_at`. Where readiness and liveness are the
    /// same question, one series of tries answers both.
    pub(crate) fn of(health: &Health, started_at: Instant, ready: Readiness) -> Vec<Self> {
        let ready = ready == Readiness::Ready;
        let new = |kind, check: &Check| Self {
            kind,
            check: check.clone(),
            liveness_retries: None,
            ready,
            has_succeeded: ready,
            failures: 0,
            pause: STARTING_PAUSE,
            started_at,
        };
        let mut checkups = Vec::new();
        match (&health.readiness, &health.liveness) {
            (Some(readiness), Some(liveness)) if same_question(readiness, liveness) => {
                let mut both = new(Kind::Readiness, readiness);
                both.liveness_retries = Some(liveness.retries);
                checkups.push(both);
            }
            (readiness, liveness) => {
                checkups.extend(readiness.as_ref().map(|it| new(Kind::Readiness, it)));
                checkups.extend(liveness.as_ref().map(|it| new(Kind::Liveness, it)));
            }
        }
        checkups
    }

    /// Which question it asks.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The check to be tried.
    pub(crate) const fn check(&self) -> &Check {
        &self.check
    }

    /// The pause before the next try.
    pub(crate) fn next_pause(&mut self) -> Duration {
        if self.has_succeeded {
            return self.check.interval;
        }
        let pause = self.pause.min(self.check.interval);
        self.pause = (self.pause * 3 / 2).min(STARTING_PAUSE_MAX);
        pause
    }

    /// Takes in the result of a try that ended at `now`. A try that could not be made counts for nothing.
    pub(crate) fn on_result(&mut self, now: Instant, result: Tried) -> Vec<Verdict> {
        let complaint = match result {
            Tried::Unknown(_) => return Vec::new(),
            Tried::Healthy => {
                self.failures = 0;
                self.has_succeeded = true;
                let became_ready = self.kind == Kind::Readiness && !self.ready;
                self.ready |= became_ready;
                return if became_ready { vec![Verdict::Ready] } else { Vec::new() };
            }
            Tried::Unhealthy(complaint) => complaint,
        };
        let starting = !self.has_succeeded && now.since(self.started_at) < self.check.start_period;
        if starting {
            return Vec::new();
        }
        self.failures = self.failures.saturating_add(1);
        let mut verdicts = Vec::new();
        let enough = self.check.retries.max(1) <= self.failures;
        match self.kind {
            Kind::Readiness => {
                let never_ready = !self.has_succeeded && self.check.retries.max(1) == self.failures;
                if (enough && self.ready) || never_ready {
                    self.ready = false;
                    verdicts.push(Verdict::Unready(complaint.clone()));
                }
                if self.liveness_retries.is_some_and(|it| it.max(1) == self.failures) {
                    verdicts.push(Verdict::NotLive(complaint));
                }
            }
            Kind::Liveness => {
                if self.check.retries.max(1) == self.failures {
                    verdicts.push(Verdict::NotLive(complaint));
                }
            }
        }
        verdicts
    }
}

/// Whether an instance was ready when its checkups began: it was if control has come back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    NotYet,
}

fn same_question(readiness: &Check, liveness: &Check) -> bool {
    Check { retries: 0, ..readiness.clone() } == Check { retries: 0, ..liveness.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::health::Probe;

    fn check(retries: u32) -> Check {
        Check { retries, start_period: Duration::from_secs(2), ..Check::new(Probe::Tcp) }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn down() -> Tried {
        Tried::Unhealthy("down".to_owned())
    }

    fn unknown() -> Tried {
        Tried::Unknown("too many open files".to_owned())
    }

    #[test]
    fn tries_that_could_not_be_made_are_no_verdict() {
        let health = Health { readiness: Some(check(2)), liveness: Some(check(3)) };
        for mut checkup in Checkup::of(&health, Instant::ZERO, Readiness::Ready) {
            for second in 1..100 {
                assert_eq!(checkup.on_result(at(second * 1_000), unknown()), []);
            }
            assert_eq!(checkup.on_result(at(100_000), down()), []);
            assert_eq!(checkup.on_result(at(101_000), unknown()), []);
            let verdicts = checkup.on_result(at(102_000), down());
            assert_eq!(verdicts, [Verdict::Unready("down".into())]);
        }
    }

    #[test]
    fn failures_count_only_after_the_start_period_or_a_success() {
        let health = Health { readiness: Some(check(2)), liveness: None };
        let mut checkup = Checkup::of(&health, Instant::ZERO, Readiness::NotYet).remove(0);
        assert_eq!(checkup.on_result(at(100), down()), []);
        assert_eq!(checkup.on_result(at(200), Tried::Healthy), [Verdict::Ready]);
        assert_eq!(checkup.on_result(at(300), Tried::Healthy), []);
        assert_eq!(checkup.on_result(at(400), down()), []);
        assert_eq!(checkup.on_result(at(500), down()), [Verdict::Unready("down".into())]);
        assert_eq!(checkup.on_result(at(600), down()), []);
        assert_eq!(checkup.on_result(at(700), Tried::Healthy), [Verdict::Ready]);
    }

    #[test]
    fn what_keeps_an_instance_from_starting_is_said_once() {
        let health = Health { readiness: Some(check(2)), liveness: None };
        let mut checkup = Checkup::of(&health, Instant::ZERO, Readiness::NotYet).remove(0);
        assert_eq!(checkup.on_result(at(1_999), down()), []);
        assert_eq!(checkup.on_result(at(2_000), down()), []);
        assert_eq!(checkup.on_result(at(2_100), down()), [Verdict::Unready("down".into())]);
        assert_eq!(checkup.on_result(at(2_200), down()), []);
    }

    #[test]
    fn one_series_of_tries_answers_both_questions() {
        let health = Health { readiness: Some(check(1)), liveness: Some(check(3)) };
        let mut checkups = Checkup::of(&health, Instant::ZERO, Readiness::Ready);
        assert_eq!(checkups.len(), 1);
        let checkup = &mut checkups[0];
        assert_eq!(checkup.on_result(at(1), down()), [Verdict::Unready("down".into())]);
        assert_eq!(checkup.on_result(at(2), down()), []);
        assert_eq!(checkup.on_result(at(3), down()), [Verdict::NotLive("down".into())]);
        assert_eq!(checkup.on_result(at(4), down()), []);
    }

    #[test]
    fn liveness_of_its_own_waits_for_the_start_period() {
        let liveness = Check { probe: Probe::Http("/live".into()), ..check(1) };
        let health = Health { readiness: Some(check(1)), liveness: Some(liveness) };
        let mut checkups = Checkup::of(&health, Instant::ZERO, Readiness::NotYet);
        assert_eq!(checkups.len(), 2);
        assert_eq!(checkups[1].on_result(at(1_999), down()), []);
        assert_eq!(checkups[1].on_result(at(2_000), down()), [Verdict::NotLive("down".into())]);
    }

    #[test]
    fn starting_instances_are_tried_often_at_first() {
        let health = Health { readiness: Some(check(1)), liveness: None };
        let mut checkup = Checkup::of(&health, Instant::ZERO, Readiness::NotYet).remove(0);
        let pauses: Vec<u128> = (0..4).map(|_| checkup.next_pause().as_micros()).collect();
        assert_eq!(pauses, [10_000, 15_000, 22_500, 33_750]);
        for _ in 0..20 {
            checkup.next_pause();
        }
        assert_eq!(checkup.next_pause(), STARTING_PAUSE_MAX);
        checkup.on_result(at(1), Tried::Healthy);
        assert_eq!(checkup.next_pause(), Duration::from_secs(5));
    }
}
