//! Who sends from outside, and when.

use behaviour::{CallEnd, Mix};
use model::Rng;
use model::scenario::{Door, Load, LoadPart};

use super::Engine;
use super::events::Kind;
use super::instance::{Phase, float};
use super::measure::nanos;
use super::pool::{Call, JobKind, NONE};
use crate::system::System;

/// One kind of users.
#[derive(Debug)]
pub(super) struct Users {
    mix: Mix,
    rng: Rng,
    rate: Rate,
    /// When the next request is sent; an event of another time is not meant any more.
    next_at: u64,
    /// Requests expected until then.
    left: f64,
    since: u64,
    /// Zones take turns.
    turn: u32,
    /// Users who pause before they try again: how often each has tried.
    pausing: Vec<u32>,
    free: Vec<u32>,
}

/// Requests per second over time.
#[derive(Clone, Debug, Default)]
struct Rate {
    parts: Vec<Part>,
    /// When the last part ends; its last rate goes on.
    end: u64,
    last: f64,
}

/// A time in which the rate changes evenly.
#[derive(Clone, Copy, Debug)]
struct Part {
    begin: u64,
    end: u64,
    /// The rate at its beginning, and how it changes in a second.
    from: f64,
    slope: f64,
}

/// The users of a system.
pub(super) fn users(system: &System, seed: &Rng) -> Vec<Users> {
    let users = system.scenario().users.iter();
    let one = |users: &model::scenario::Users| Users {
        mix: Mix::new(users.requests.iter().map(|it| it.weight)),
        rng: seed.child(&format!("users/{}", users.name)),
        rate: match &users.load {
            Load::Open(parts) => Rate::new(parts),
            Load::Closed { .. } => Rate::default(),
        },
        next_at: u64::MAX,
        left: 0.0,
        since: 0,
        turn: 0,
        pausing: Vec::new(),
        free: Vec::new(),
    };
    users.map(one).collect()
}

impl Engine<'_> {
    /// Everybody begins.
    pub(super) fn begin_users(&mut self) {
        let system = self.system;
        for (place, users) in system.scenario().users.iter().enumerate() {
            match &users.load {
                Load::Open(_) => {
                    self.users[place].left = self.users[place].rng.exponential();
                    self.arrange_arrival(place);
                }
                Load::Closed { users, .. } => {
                    let count = scaled_count(*users, self.load);
                    (0..count).for_each(|_| self.think(place));
                }
            }
        }
    }

    /// Arranges for the next request of an open load, as rates and faults are now.
    pub(super) fn arrange_arrival(&mut self, place: usize) {
        let factor = self.load * self.faults.load;
        let users = &mut self.users[place];
        users.since = self.now;
        let next_at = users.rate.time_until(self.now, users.left, factor);
        users.next_at = next_at.unwrap_or(u64::MAX);
        if users.next_at != u64::MAX {
            self.events.push(users.next_at, Kind::Arrival, u32::try_from(place).unwrap_or(NONE));
        }
    }

    /// Rates have changed by a factor: what is expected until the next request of each open load is less by what would
    /// have come until now.
    pub(super) fn load_changed(&mut self, before: f64) {
        for place in 0..self.users.len() {
            let users = &mut self.users[place];
            if users.next_at == u64::MAX {
                continue;
            }
            let came = users.rate.expected(users.since, self.now) * self.load * before;
            users.left = (users.left - came).max(0.0);
            self.arrange_arrival(place);
        }
    }

    pub(super) fn arrival(&mut self, of: u32) {
        let place = of as usize;
        if self.users[place].next_at != self.now {
            return;
        }
        self.users[place].left = self.users[place].rng.exponential();
        self.arrange_arrival(place);
        self.request(place, 0);
    }

    /// A user thinks.
    fn think(&mut self, place: usize) {
        let Some(think) = &self.system.users[place].think else { return };
        let time = nanos(think.draw(&mut self.users[place].rng));
        let of = u32::try_from(place).unwrap_or(NONE);
        self.events.push(self.now.saturating_add(time), Kind::Thought, of);
    }

    pub(super) fn thought(&mut self, of: u32) {
        self.request(of as usize, 0);
    }

    /// A user sends a request, having tried so often before.
    pub(super) fn request(&mut self, place: usize, tries: u32) {
        let system = self.system;
        let of = &system.scenario().users[place];
        let users = &mut self.users[place];
        let which = users.mix.draw(&mut users.rng);
        let key = users.rng.next_u64() | 1;
        users.turn = users.turn.wrapping_add(1);
        let turn = users.turn;
        self.measure.offered(place);
        if 0 < tries {
            self.measure.users[place].again += 1;
        }
        let edge = system.users[place].edges[which];
        let entry = &of.requests[which];
        self.measure.edges[edge as usize].calls += 1;
        let span = self.traces.begin(place, self.now);
        let zone = self.open_zone(turn);
        let cell = match of.door {
            Door::Gateway => self.cell(edge, zone, turn / self.zones()),
            Door::Direct => NONE,
        };
        let call = self.calls.add(Call {
            edge,
            cell,
            users: u32::try_from(place).unwrap_or(NONE),
            index: tries,
            zone,
            priority: entry.priority,
            bytes: entry.request.0,
            is_idempotent: entry.request.0 == 0,
            key,
            began: self.now,
            span,
            ..Call::new()
        });
        match of.door {
            Door::Gateway => self.cross(call),
            Door::Direct => self.go_directly(call),
        }
    }

    fn zones(&self) -> u32 {
        u32::try_from(self.system.regions.len()).unwrap_or(1)
    }

    /// Zones take turns, those that are lost left out.
    #[inline]
    fn open_zone(&self, turn: u32) -> u16 {
        let zones = self.zones();
        if zones == 1 {
            return 0;
        }
        let mut order = (0..zones).map(|it| turn.wrapping_add(it) % zones);
        let zone = order.find(|it| !self.faults.is_lost(*it)).unwrap_or(turn % zones);
        u16::try_from(zone).unwrap_or(0)
    }

    /// A request goes to an instance drawn at random, at once.
    fn go_directly(&mut self, call: u32) {
        let edge = self.calls.get(call).edge as usize;
        let callee = self.system.edges()[edge].callee;
        let service = &mut self.services[callee];
        let drawn = match service.ready.as_slice() {
            [] => None,
            [only] => Some(*only),
            all => {
                let place = service.places.below(all.len() as u64);
                usize::try_from(place).ok().and_then(|it| all.get(it)).copied()
            }
        };
        let Some(id) = drawn else {
            self.measure.edges[edge].refused.no_instance += 1;
            return self.attempt_ended(call, 0, traffic::Outcome::ConnectFailure);
        };
        self.measure.edges[edge].attempts += 1;
        self.measure.bucket.attempts += 1;
        debug_assert!(self.instances[id as usize].phase == Phase::Ready, "a ready one was drawn");
        let job = self.jobs.add(JobKind::Request, id);
        let it = *self.calls.get(call);
        let span = self.traces.sent(it.span, it.edge, &self.instances[id as usize], self.now);
        let job_ref = self.jobs.get_mut(job);
        job_ref.call = call;
        job_ref.span = span;
        self.calls.get_mut(call).jobs[0] = job;
        self.reached(job);
    }

    /// A request from outside has ended.
    pub(super) fn request_ended(&mut self, call: &Call, end: CallEnd) {
        let place = call.users as usize;
        self.measure.ended(place, self.now - call.began, end);
        let again = self.system.scenario().users[place].again.as_ref();
        if end == CallEnd::Failed
            && let (Some(again), Some(pause)) = (again, &self.system.users[place].pause)
            && again.attempts.is_none_or(|it| call.index < it)
        {
            let users = &mut self.users[place];
            let time = nanos(pause.draw(&mut users.rng));
            let tries = call.index.saturating_add(1);
            let slot = users.free.pop().unwrap_or_else(|| {
                users.pausing.push(0);
                u32::try_from(users.pausing.len() - 1).unwrap_or(NONE)
            });
            users.pausing[slot as usize] = tries;
            let count = u32::try_from(self.users.len()).unwrap_or(1);
            // One number for the kind of users and the place of the pause.
            let of = slot * count + call.users;
            return self.events.push(self.now.saturating_add(time), Kind::Again, of);
        }
        if self.system.users[place].think.is_some() {
            self.think(place);
        }
    }

    pub(super) fn try_again(&mut self, of: u32) {
        let count = u32::try_from(self.users.len()).unwrap_or(1);
        let (slot, place) = (of / count, (of % count) as usize);
        let users = &mut self.users[place];
        users.free.push(slot);
        let tries = users.pausing[slot as usize];
        self.request(place, tries);
    }
}

impl Rate {
    fn new(parts: &[LoadPart]) -> Self {
        let mut rate = Self { last: parts.last().map_or(0.0, |it| it.to), ..Self::default() };
        for it in parts {
            let (begin, end) = (rate.end, rate.end + nanos(it.lasts));
            let slope = (it.to - it.from) / it.lasts.as_secs_f64().max(1e-9);
            rate.parts.push(Part { begin, end, from: it.from, slope });
            rate.end = end;
        }
        rate
    }

    /// When so many more requests are expected than have come until `now`, at so many times the rate; never, if it stays
    /// zero.
    #[inline]
    fn time_until(&self, now: u64, requests: f64, factor: f64) -> Option<u64> {
        if self.end <= now {
            return self.time_after(now, requests / factor);
        }
        self.time_within(now, requests / factor)
    }

    fn time_within(&self, now: u64, mut requests: f64) -> Option<u64> {
        for part in self.parts.iter().filter(|it| now < it.end) {
            let from = now.max(part.begin);
            let (rate, time) = (part.at(from), seconds(part.end - from));
            let expected = rate * time + part.slope * time * time / 2.0;
            if requests <= expected {
                let after = whole_nanos(until(rate, part.slope, requests));
                return Some((from + after).min(part.end));
            }
            requests -= expected;
        }
        self.time_after(self.end, requests)
    }

    /// The same where the last rate goes on.
    #[inline]
    fn time_after(&self, now: u64, requests: f64) -> Option<u64> {
        (0.0 < self.last).then(|| now.saturating_add(whole_nanos(requests / self.last)))
    }

    /// Requests expected between two times.
    fn expected(&self, from: u64, to: u64) -> f64 {
        let mut sum = self.last * seconds(to.saturating_sub(from.max(self.end)));
        for part in &self.parts {
            let (first, until) = (from.max(part.begin), to.min(part.end));
            if first < until {
                let time = seconds(until - first);
                sum += part.at(first) * time + part.slope * time * time / 2.0;
            }
        }
        sum
    }
}

impl Part {
    /// The rate at a time in it.
    fn at(&self, now: u64) -> f64 {
        self.from + self.slope * seconds(now - self.begin)
    }
}

/// Time until so many requests are expected of a rate that changes evenly: the root of `rate x + slope x^2 / 2`, in the
/// form that does not cancel.
fn until(rate: f64, slope: f64, requests: f64) -> f64 {
    let root = libm::sqrt((rate * rate + 2.0 * slope * requests).max(0.0));
    let divisor = rate + root;
    if divisor <= 0.0 { 0.0 } else { 2.0 * requests / divisor }
}

fn seconds(nanos: u64) -> f64 {
    float(nanos) * 1e-9
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from f64 saturates, which is what is meant"
)]
fn whole_nanos(seconds: f64) -> u64 {
    (seconds * 1e9 + 0.5) as u64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of users times a factor of load"
)]
fn scaled_count(count: u32, factor: f64) -> u32 {
    libm::round(f64::from(count) * factor) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn part(from: f64, to: f64, secs: u64) -> LoadPart {
        LoadPart { from, to, lasts: Duration::from_secs(secs) }
    }

    #[test]
    fn the_time_of_so_many_requests_is_the_inverse_of_their_number() {
        let rate = Rate::new(&[part(10.0, 30.0, 10), part(0.0, 0.0, 5), part(5.0, 5.0, 1)]);
        // 200 in the ramp, none in the silence, and five a second from then on.
        assert!((rate.expected(0, 16_000_000_000) - 205.0).abs() < 1e-9);
        assert_eq!(rate.time_until(0, 205.0, 1.0), Some(16_000_000_000));
        assert_eq!(rate.time_until(12_000_000_000, 5.0, 1.0), Some(16_000_000_000));
        assert_eq!(rate.time_until(20_000_000_000, 10.0, 1.0), Some(22_000_000_000));
        for requests in [0.5, 50.0, 150.0, 199.0, 201.0, 300.0] {
            let at = rate.time_until(1_000_000_000, requests, 1.0).unwrap();
            assert!((rate.expected(1_000_000_000, at) - requests).abs() < 1e-6, "{requests}");
        }
        assert_eq!(Rate::new(&[part(1.0, 0.0, 2)]).time_until(0, 1.5, 1.0), None);
    }
}
