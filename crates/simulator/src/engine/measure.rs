//! Counting: levels over time, and what goes into an outcome.

use std::collections::BTreeSet;
use std::time::Duration;

use behaviour::CallEnd;

use crate::histogram::Histogram;
use crate::outcome::{
    Bucket, EdgeOutcome, Incident, IncidentKind, Outcome, Refusals, ServiceOutcome, UsersOutcome,
};
use crate::system::System;

/// Parts of a timeline, at most: more than a screen is wide.
const BUCKETS_MAX: u64 = 600;
/// A part is not shorter: a fifth of a second has too little in it.
const BUCKET_MIN: Duration = Duration::from_millis(200);
/// Incidents that are kept: what nobody would read to its end.
const INCIDENTS_MAX: usize = 10_000;

/// A number that goes up and down, and its integral over time, exactly.
///
/// The integral up to `t` is `count * t` plus the time of every step down, less that of every step up: one addition a step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    pub(super) count: u64,
    sum: i128,
}

impl Level {
    pub(super) fn up(&mut self, now: u64) {
        self.count += 1;
        self.sum -= i128::from(now);
    }

    pub(super) fn down(&mut self, now: u64) {
        self.count = self.count.saturating_sub(1);
        self.sum += i128::from(now);
    }

    /// As if it had been zero until now.
    pub(super) fn restart(&mut self, now: u64) {
        self.sum = -(i128::from(self.count) * i128::from(now));
    }

    /// The integral until now, in nanoseconds.
    pub(super) fn area(&self, now: u64) -> i128 {
        self.sum + i128::from(self.count) * i128::from(now)
    }

    /// The mean over a time that ends now.
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    pub(super) fn mean(&self, now: u64, since: u64) -> f64 {
        self.area(now) as f64 / now.saturating_sub(since).max(1) as f64
    }
}

/// What is counted at one service.
#[derive(Clone, Debug, Default)]
pub(super) struct Station {
    pub(super) counts: ServiceOutcome,
    pub(super) present: Level,
    pub(super) waiting: Level,
    pub(super) busy: Level,
    pub(super) working: Level,
    pub(super) instances: Level,
    /// Time at the station of all that left it, whichever way, in nanoseconds.
    pub(super) left: u128,
}

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Measure {
    pub(super) users: Vec<UsersOutcome>,
    pub(super) stations: Vec<Station>,
    pub(super) edges: Vec<EdgeOutcome>,
    pub(super) bucket: Bucket,
    bucket_latency: Histogram,
    pub(super) bucket_nanos: u64,
    timeline: Vec<Bucket>,
    incidents: Vec<Incident>,
    pub(super) since: u64,
    pub(super) violations: Vec<String>,
    in_flight: Vec<u64>,
}

impl Measure {
    pub(super) fn new(system: &System) -> Self {
        let duration = system.scenario().duration;
        let parts = u32::try_from(BUCKETS_MAX).unwrap_or(u32::MAX);
        let bucket = duration.div_f64(f64::from(parts)).max(BUCKET_MIN);
        // Round lengths read better: as many are left out as are too much.
        let bucket = round_up(bucket);
        Self {
            users: vec![UsersOutcome::default(); system.users.len()],
            stations: vec![Station::default(); system.parts.len()],
            edges: vec![EdgeOutcome::default(); system.links.len()],
            bucket: Bucket::default(),
            bucket_latency: Histogram::default(),
            bucket_nanos: nanos(bucket),
            timeline: Vec::new(),
            incidents: Vec::new(),
            since: 0,
            violations: Vec::new(),
            in_flight: vec![0; system.users.len()],
        }
    }

    /// The warm-up is over: counting begins.
    pub(super) fn restart(&mut self, now: u64) {
        self.since = now;
        for (users, in_flight) in self.users.iter_mut().zip(&self.in_flight) {
            *users = UsersOutcome { in_flight_before: *in_flight, ..UsersOutcome::default() };
        }
        for station in &mut self.stations {
            station.counts = ServiceOutcome::default();
            station.left = 0;
            for level in [
                &mut station.present,
                &mut station.waiting,
                &mut station.busy,
                &mut station.working,
                &mut station.instances,
            ] {
                level.restart(now);
            }
        }
        self.edges.fill(EdgeOutcome::default());
    }

    pub(super) fn offered(&mut self, users: usize) {
        self.users[users].offered += 1;
        self.in_flight[users] += 1;
        self.bucket.offered += 1;
    }

    pub(super) fn ended(&mut self, users: usize, latency: u64, end: CallEnd) {
        self.in_flight[users] = self.in_flight[users].saturating_sub(1);
        let of = &mut self.users[users];
        if end == CallEnd::Answered {
            of.succeeded += 1;
            of.latency.record_nanos(latency);
            self.bucket.succeeded += 1;
            self.bucket_latency.record_nanos(latency);
        } else {
            of.failed += 1;
            of.failed_latency.record_nanos(latency);
            self.bucket.failed += 1;
        }
    }

    pub(super) fn incident(&mut self, now: u64, kind: IncidentKind, what: String) {
        if self.incidents.len() < INCIDENTS_MAX {
            self.incidents.push(Incident { at: Duration::from_nanos(now), kind, what });
        }
    }

    /// A bucket of the timeline is full, and this is how things are.
    pub(super) fn close_bucket(&mut self, levels: &Levels) {
        let mut bucket = std::mem::take(&mut self.bucket);
        let latency = std::mem::take(&mut self.bucket_latency);
        bucket.latency_sum =
            Duration::from_nanos(u64::try_from(latency.sum_nanos()).unwrap_or(u64::MAX));
        bucket.p50 = latency.quantile(0.5).unwrap_or_default();
        bucket.p99 = latency.quantile(0.99).unwrap_or_default();
        bucket.waiting =
            levels.waiting + self.stations.iter().map(|it| it.waiting.count).sum::<u64>();
        bucket.present = self.stations.iter().map(|it| it.present.count).sum();
        bucket.ready = count32(self.stations.iter().map(|it| it.instances.count).sum());
        bucket.ejected = count32(levels.ejected.len() as u64);
        bucket.open = levels.open;
        self.timeline.push(bucket);
    }

    /// The outcome of a run that ends now. `present` is when each job at a station came, those that are still there.
    pub(super) fn outcome(mut self, now: u64, present: &[Vec<u64>]) -> Outcome {
        self.check(now, present);
        for (users, in_flight) in self.users.iter_mut().zip(&self.in_flight) {
            users.in_flight_after = *in_flight;
        }
        let since = self.since;
        let services = self.stations.into_iter().map(|it| it.outcome(now, since)).collect();
        Outcome {
            replication: 0,
            counted: Duration::from_nanos(now - since),
            events: 0,
            users: self.users,
            services,
            edges: self.edges,
            timeline: self.timeline,
            bucket: Duration::from_nanos(self.bucket_nanos),
            incidents: self.incidents,
            traces: Vec::new(),
            violations: self.violations,
            digest: 0,
        }
    }

    /// Conservation and Little's law, exactly: what came has left or is there, and the time it spent is the area under
    /// the number present.
    fn check(&mut self, now: u64, present: &[Vec<u64>]) {
        for (place, (users, in_flight)) in self.users.iter().zip(&self.in_flight).enumerate() {
            let came = users.in_flight_before + users.offered;
            let went = users.succeeded + users.failed + in_flight;
            if came != went {
                let problem =
                    format!("users {place}: {came} requests came, {went} are accounted for");
                self.violations.push(problem);
            }
        }
        for (place, (station, here)) in self.stations.iter().zip(present).enumerate() {
            let still: u128 = here.iter().map(|it| u128::from(now - (*it).max(self.since))).sum();
            let spent = station.left + still;
            let area = station.present.area(now);
            if i128::try_from(spent) != Ok(area) || here.len() as u64 != station.present.count {
                let problem = format!(
                    "service {place}: {} are present and {} were found; {spent} ns were spent there, and the area is \
                     {area} ns",
                    station.present.count,
                    here.len(),
                );
                self.violations.push(problem);
            }
        }
    }
}

impl Station {
    /// A job leaves, whichever way.
    pub(super) fn leave(&mut self, now: u64, arrived: u64, since: u64) {
        self.present.down(now);
        self.left += u128::from(now - arrived.max(since));
    }

    fn outcome(self, now: u64, since: u64) -> ServiceOutcome {
        let mean = |level: Level| level.mean(now, since);
        ServiceOutcome {
            present_mean: mean(self.present),
            waiting_mean: mean(self.waiting),
            busy_mean: mean(self.busy),
            working_mean: mean(self.working),
            instances_mean: mean(self.instances),
            ..self.counts
        }
    }
}

/// How things are that are not counted all the time.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// Calls that wait for a place on their edge.
    pub(super) waiting: u64,
    /// Instances left alone.
    pub(super) ejected: BTreeSet<u32>,
    /// Edges that are open.
    pub(super) open: u32,
}

impl Refusals {
    pub(super) fn count(&mut self, refusal: traffic::Refusal) {
        let of = match refusal {
            traffic::Refusal::NoInstance => &mut self.no_instance,
            traffic::Refusal::CircuitOpen { .. } => &mut self.circuit_open,
            traffic::Refusal::Overloaded => &mut self.overloaded,
            traffic::Refusal::QueueTimeout => &mut self.queue_timeout,
            traffic::Refusal::Shed(_) => &mut self.shed,
            traffic::Refusal::DeadlinePassed => &mut self.deadline_passed,
        };
        *of += 1;
    }
}

/// One, two or five times a power of ten of milliseconds, at least as long.
fn round_up(time: Duration) -> Duration {
    let mut unit = Duration::from_millis(1);
    loop {
        for times in [1, 2, 5] {
            if time <= unit * times {
                return unit * times;
            }
        }
        unit *= 10;
    }
}

/// Whole nanoseconds; what does not fit is the longest there is.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn count32(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_integrated_exactly() {
        let mut level = Level::default();
        level.up(10);
        level.up(20);
        level.down(50);
        assert_eq!(level.area(100), 10 + 2 * 30 + 50);
        level.restart(100);
        assert_eq!(level.area(130), 30);
        assert!((level.mean(130, 100) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn buckets_are_round() {
        let rounded = |millis| round_up(Duration::from_millis(millis)).as_millis();
        assert_eq!([200, 201, 1_000, 6_000].map(rounded), [200, 500, 1_000, 10_000]);
    }
}
