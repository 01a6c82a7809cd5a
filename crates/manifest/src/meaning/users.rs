//! Who uses an application, as meant: what they send, and how much of it when.

use std::time::Duration;

use model::application::Application;
use model::profile::Profile;
use model::scenario::{Again, Door, Entry, Load, LoadPart, Users};
use model::workload::WorkTime;

use super::Reader;
use super::defaults::LOAD_PARTS_MAX;
use super::route::priority;
use super::work::work;
use crate::scenario::entry;
use crate::spec::{
    AgainSpec, CurveSpec, DoorSpec, EntrySpec, LoadSpec, LoadText, Rate, UsersSpec, profile,
};
use crate::yaml::At;

/// Parts into which a period is divided: its curve is straight between them, within 1 % of a cosine.
const PERIOD_PARTS: u32 = 24;

/// What users send to, and for how long.
type Against<'a> = (&'a Application, Duration);

impl Reader<'_> {
    pub(super) fn users(
        &mut self,
        specs: &[UsersSpec],
        at: At<'_>,
        against: Against<'_>,
    ) -> Vec<Users> {
        if specs.is_empty() {
            let message = "`users` is empty; add somebody, or remove it for 100 requests a second";
            self.findings.error(at.place, message);
        }
        let mut meant: Vec<Users> = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let Some(users) = self.group(spec, at.item(index), against) else { continue };
            if meant.iter().any(|it| it.name == users.name) {
                let message = format!(
                    "two are called `{}` and could not be told apart; give each a `name`",
                    users.name
                );
                self.findings.error(at.item(index).key("name").place, message);
            }
            meant.push(users);
        }
        meant
    }

    fn group(&mut self, spec: &UsersSpec, at: At<'_>, against: Against<'_>) -> Option<Users> {
        let requests = self.requests(spec, at, against.0);
        let load = match (at.has("load"), at.has("users")) {
            (true, false) => {
                if at.has("think") {
                    let message = "who sends at a `load` does not wait to think; write `users` and \
                                   `think`, or `load`";
                    self.findings.error(at.named("think"), message);
                }
                self.load(spec.load.as_ref()?, at.key("load"), against.1).map(Load::Open)
            }
            (false, true) => {
                let nothing = WorkTime::Fixed { time: Duration::ZERO };
                let think = match &spec.think {
                    Some(think) => work(self.findings, think, at.key("think"))?,
                    None => nothing,
                };
                Some(Load::Closed { users: spec.users?, think })
            }
            _ => {
                let message =
                    "write either `load: 100/s`, or `users: 500` and how long they `think`";
                self.findings.error(at.place, message);
                None
            }
        };
        let again = spec.again.as_ref().map(|it| self.again(it, at.key("again")));
        Some(Users {
            name: spec.name.clone().unwrap_or_else(|| "users".to_owned()),
            load: load?,
            requests,
            door: match spec.door {
                None | Some(DoorSpec::Gateway) => Door::Gateway,
                Some(DoorSpec::Direct) => Door::Direct,
            },
            again: again.flatten(),
        })
    }

    fn again(&mut self, spec: &AgainSpec, at: At<'_>) -> Option<Again> {
        let AgainSpec { attempts, pause } = spec;
        let pause = work(self.findings, pause.as_ref()?, at.key("pause"))?;
        Some(Again { attempts: *attempts, pause })
    }

    fn requests(&mut self, spec: &UsersSpec, at: At<'_>, application: &Application) -> Vec<Entry> {
        match (at.has("to"), at.has("requests")) {
            (true, false) => {
                let to = spec.to.as_deref();
                let service = to.and_then(|it| self.known_service(it, at.key("to").place));
                service.into_iter().map(|it| entry(application, &it)).collect()
            }
            (false, true) => {
                let at = at.key("requests");
                let specs = spec.requests.as_deref();
                if specs.is_some_and(<[EntrySpec]>::is_empty) {
                    self.findings.error(at.place, "`requests` is empty; add one");
                }
                let mut entries = Vec::new();
                for (index, spec) in specs.unwrap_or_default().iter().enumerate() {
                    entries.extend(self.entry(spec, at.item(index), application));
                }
                entries
            }
            (false, false) => {
                let message = "where do they send? write `to: frontend`, or `requests` for several";
                self.findings.error(at.place, message);
                Vec::new()
            }
            (true, true) => {
                let message = "`to` is for one service and `requests` for several; remove one";
                self.findings.error(at.named("to"), message);
                Vec::new()
            }
        }
    }

    fn entry(&mut self, spec: &EntrySpec, at: At<'_>, application: &Application) -> Option<Entry> {
        let place = at.key("service").place;
        let service = self.known_service(spec.service.as_deref()?, place)?;
        let base = entry(application, &service);
        let resilience = match &spec.resilience {
            Some(spec) => Box::new(self.resilience(&base.resilience, spec, at.key("resilience"))),
            None => base.resilience,
        };
        Some(Entry {
            service,
            weight: spec.weight.unwrap_or(base.weight),
            request: spec.request.map_or(base.request, |it| it.0),
            priority: spec.priority.map_or(base.priority, priority),
            resilience,
        })
    }

    fn load(&mut self, spec: &LoadSpec, at: At<'_>, duration: Duration) -> Option<Vec<LoadPart>> {
        let curve = match spec {
            LoadSpec::Text(LoadText(text)) => {
                let profile = profile(text, duration);
                return Some(parts(&self.findings.take(at.place, profile)?));
            }
            LoadSpec::Map(curve) => curve,
        };
        let daily = ["low", "high", "period"].map(|it| at.has(it));
        let bursting = ["base", "burst", "every", "for"].map(|it| at.has(it));
        let parts = match (daily, bursting) {
            ([true, true, true], [false, false, false, false]) => {
                self.daily(curve, at, duration)?
            }
            ([false, false, false], [true, true, true, true]) if !at.has("peak") => {
                self.bursts(curve, at, duration)?
            }
            _ => {
                let message = "write `low`, `high` and `period` (and `peak`) for a load as over a \
                               day, or `base`, `burst`, `every` and `for` for bursts";
                self.findings.error(at.place, message);
                return None;
            }
        };
        if LOAD_PARTS_MAX < parts.len() {
            let message = format!(
                "the load changes more than {LOAD_PARTS_MAX} times; write a longer `period` or \
                 `every`, or a shorter `duration`"
            );
            self.findings.error(at.place, message);
        }
        Some(parts)
    }

    fn daily(&mut self, spec: &CurveSpec, at: At<'_>, duration: Duration) -> Option<Vec<LoadPart>> {
        let (low, high) = (per_second(spec.low?), per_second(spec.high?));
        if high < low {
            self.findings.error(at.key("high").place, "`high` is below `low`; exchange them");
            return None;
        }
        let period = self.positive(spec.period?.0, "period", at.key("period").place)?;
        let peak = spec.peak.map_or(period / 2, |it| it.0);
        let rate = |number: u32| {
            let turn = f64::from(number) / f64::from(PERIOD_PARTS)
                - peak.as_secs_f64() / period.as_secs_f64();
            let height = libm::cos(2.0 * std::f64::consts::PI * turn);
            let rate = low + (high - low) * f64::midpoint(1.0, height);
            // To the thousandth, as rates are written.
            (rate * 1_000.0).round() / 1_000.0
        };
        let lasts = period / PERIOD_PARTS;
        let part = |number: u32| LoadPart { from: rate(number), to: rate(number + 1), lasts };
        Some((0..count(duration, lasts)).map(part).collect())
    }

    fn bursts(
        &mut self,
        spec: &CurveSpec,
        at: At<'_>,
        duration: Duration,
    ) -> Option<Vec<LoadPart>> {
        let (base, burst) = (per_second(spec.base?), per_second(spec.burst?));
        let every = self.positive(spec.every?.0, "every", at.key("every").place)?;
        let lasts = self.positive(spec.lasts?.0, "for", at.key("for").place)?;
        let Some(between) = every.checked_sub(lasts).filter(|it| !it.is_zero()) else {
            let message = "a burst lasts until the next begins; write a shorter `for`";
            self.findings.error(at.key("for").place, message);
            return None;
        };
        let held = |rate, lasts| LoadPart { from: rate, to: rate, lasts };
        let one = [held(base, between), held(burst, lasts)];
        Some((0..count(duration, every)).flat_map(|_| one).collect())
    }
}

/// How often `lasts` fits into `duration`, begun ones counted; one more than is allowed if it is more.
fn count(duration: Duration, lasts: Duration) -> u32 {
    let count = duration.as_nanos().div_ceil(lasts.as_nanos().max(1));
    u32::try_from(count.min(LOAD_PARTS_MAX as u128 + 1)).unwrap_or(u32::MAX)
}

fn parts(profile: &Profile) -> Vec<LoadPart> {
    let part = |it: &model::profile::Segment| LoadPart {
        from: it.from.per_second(),
        to: it.to.per_second(),
        lasts: it.duration,
    };
    profile.segments().iter().map(part).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a rate is at most 10^12 thousandths")]
fn per_second(rate: Rate) -> f64 {
    rate.0 as f64 / 1_000.0
}
