//! Does it recover? A map of loads and triggers: `pelago sim storm`.
//!
//! Each cell plays the same shock at one load for one length of time, and looks at the end: is as much answered well as before? What
//! stays down although the trigger is gone has a metastable failure (Bronson et al., "Metastable failures in distributed
//! systems", 2021): retries, queues or cold caches keep it there, and only less load would free it.
//!
//! The trigger stands in place of the scenario's own faults, and the run is as long as it takes.

use std::time::Duration;

use api::simulation::{Credibility, Storm, StormCell};
use model::scenario::{Fault, FaultKind, When};

use super::estimate::estimate;
use super::experiment::{Experiment, Job, Stage};
use super::figures::{Figures, count};
use super::origin::{Ran, origin};
use super::report::credibility;
use super::warm_up::{self, WarmUp};
use super::{Options, QuestionError, Tell};
use crate::outcome::Bucket;
use crate::statistics::number;
use crate::system::System;

/// What shocks are tried.
#[derive(Clone, Debug, PartialEq)]
pub struct StormOptions {
    /// Loads, as factors of the scenario's.
    pub loads: Vec<f64>,
    /// How long the trigger lasts.
    pub sizes: Vec<Duration>,
    /// What the trigger is.
    pub trigger: FaultKind,
    /// As it is written: `load x3`.
    pub name: String,
    /// Time after the warm-up that says how it was before.
    pub before: Duration,
    /// Time to recover after the trigger.
    pub after: Duration,
}

impl Default for StormOptions {
    /// Three times the load, up to a minute; ten times the usual time limit of a request (a few seconds) tell whether it
    /// is over.
    fn default() -> Self {
        Self {
            loads: vec![0.25, 0.5, 0.75, 1.0, 1.25, 1.5],
            sizes: [1, 5, 10, 30, 60].map(Duration::from_secs).to_vec(),
            trigger: FaultKind::Load(3.0),
            name: "load x3".to_owned(),
            before: Duration::from_secs(30),
            after: Duration::from_mins(2),
        }
    }
}

/// Share of the goodput before that counts as back; and, of what is offered, as its work being done at all.
const BACK: f64 = 0.95;
/// Parts of the time after the trigger of which the last tells whether it is back.
const PARTS: u32 = 4;
/// Standard deviations of counting that are no difference: of some hundred windows that are looked at, none is that far off by chance.
const DEVIATIONS: f64 = 4.0;
/// Windows in the time after the trigger, in each of which goodput is looked at for the time of recovery.
const WINDOWS: u32 = 40;

/// It always comes back.
const STABLE: &str = "stable";
/// It sometimes does not.
const VULNERABLE: &str = "vulnerable";
/// It never does.
const COLLAPSED: &str = "collapsed";
/// It did not do its work even before.
const OVERLOADED: &str = "overloaded";

/// Plays a map of shocks.
pub fn storm(
    system: &System,
    shocks: &StormOptions,
    options: &Options,
    tell: Tell<'_>,
) -> Result<Storm, QuestionError> {
    Experiment::new(options, tell).storm(system, shocks)
}

impl Experiment<'_> {
    fn storm(&self, system: &System, shocks: &StormOptions) -> Result<Storm, QuestionError> {
        let (loads, sizes) = axes(shocks)?;
        let begin = warm_up::share(system) / 4.0;
        let stage = Stage { span: (0.0, begin), doing: "looking for the end of the warm-up" };
        let warm_up = warm_up::find(self, system, stage)?;
        let shocked: Result<Vec<System>, _> =
            sizes.iter().map(|it| shocked(system, shocks, &warm_up, *it)).collect();
        let shocked = shocked?;
        let numbers = 0..self.replications();
        let of = |load: f64, it| self.jobs(it, load, &warm_up, numbers.clone());
        let jobs: Vec<Job<'_>> =
            loads.iter().flat_map(|load| shocked.iter().flat_map(|it| of(*load, it))).collect();
        let stage = Stage { span: (begin, 1.0), doing: "playing every load and trigger" };
        let played = self.play_all(&jobs, stage, Figures::of)?;
        let mut ran = Ran::default();
        ran.add(&played);
        let mut cells = Vec::new();
        let mut each = played.chunks(usize::try_from(numbers.end).unwrap_or(usize::MAX));
        for load in &loads {
            for size in &sizes {
                let here = each.next().unwrap_or_default();
                cells.push(cell((*load, *size), here, shocks, &warm_up));
            }
        }
        let all: Vec<&System> = shocked.iter().collect();
        Ok(Storm {
            origin: origin(self, &all, &warm_up, &ran),
            trigger: shocks.name.clone(),
            summary: summary(&cells, &shocks.name),
            loads,
            sizes_s: sizes.iter().map(Duration::as_secs_f64).collect(),
            cells,
            credibility: self.believed(&shocked, &played, &warm_up),
        })
    }

    fn believed(&self, shocked: &[System], played: &[Figures], warm_up: &WarmUp) -> Credibility {
        let assumptions = &self.options.assumptions;
        let of = |it: &System| credibility(it, played, warm_up, assumptions);
        shocked.first().map(of).unwrap_or_default()
    }
}

/// Loads and lengths, ascending, each once.
fn axes(shocks: &StormOptions) -> Result<(Vec<f64>, Vec<Duration>), QuestionError> {
    let mut loads: Vec<f64> = shocks.loads.iter().copied().filter(|it| 0.0 < *it).collect();
    let mut sizes = shocks.sizes.clone();
    if loads.is_empty() {
        return Err(QuestionError::Nothing("load"));
    }
    if sizes.is_empty() {
        return Err(QuestionError::Nothing("length of the trigger"));
    }
    loads.sort_by(f64::total_cmp);
    loads.dedup_by(|a, b| a.total_cmp(b).is_eq());
    sizes.sort();
    sizes.dedup();
    Ok((loads, sizes))
}

/// When the trigger begins.
fn begins(shocks: &StormOptions, warm_up: &WarmUp) -> Duration {
    warm_up.time + shocks.before
}

/// The system with the trigger in its scenario, and time enough to see what follows.
fn shocked(
    system: &System,
    shocks: &StormOptions,
    warm_up: &WarmUp,
    size: Duration,
) -> Result<System, QuestionError> {
    let mut scenario = system.scenario().clone();
    let when = When::At(begins(shocks, warm_up));
    // What else the scenario has go wrong would be mistaken for it.
    scenario.faults = vec![Fault { when, lasts: Some(size), what: shocks.trigger.clone() }];
    scenario.duration = begins(shocks, warm_up) + size + shocks.after;
    Ok(System::new(system.application(), &scenario)?)
}

fn cell(
    (load, size): (f64, Duration),
    replications: &[Figures],
    shocks: &StormOptions,
    warm_up: &WarmUp,
) -> StormCell {
    let begins = begins(shocks, warm_up);
    let courses = replications.iter().map(|it| Course::of(it, begins, size, shocks));
    let courses: Vec<Course> = courses.collect();
    let back: Vec<f64> = courses.iter().filter_map(|it| it.recovery_s).collect();
    let recovered = u32::try_from(back.len()).unwrap_or(u32::MAX);
    let all = u32::try_from(courses.len()).unwrap_or(u32::MAX);
    let share = |of: fn(&Course) -> f64| {
        courses.iter().map(of).sum::<f64>() / number(courses.len()).max(1.0)
    };
    let state = if share(|it| it.done_before) < BACK {
        OVERLOADED
    } else if recovered == all {
        STABLE
    } else if recovered == 0 {
        COLLAPSED
    } else {
        VULNERABLE
    };
    StormCell {
        load,
        size_s: size.as_secs_f64(),
        state: state.to_owned(),
        recovered,
        replications: all,
        recovery_s: (!back.is_empty()).then(|| estimate(&back, None)),
        goodput_after: share(|it| it.after),
    }
}

/// What came of one shock.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Course {
    /// Share of what was offered before that was answered well.
    done_before: f64,
    /// Goodput at the end as a share of that before.
    after: f64,
    /// From the trigger's end until goodput was back; none if it is not.
    recovery_s: Option<f64>,
}

impl Course {
    fn of(figures: &Figures, begins: Duration, size: Duration, shocks: &StormOptions) -> Self {
        let timeline = Counted { timeline: &figures.timeline, bucket: figures.bucket };
        let ended = begins + size;
        let end = ended + shocks.after;
        let (before, offered) = timeline.between(begins.saturating_sub(shocks.before), begins);
        let (after, _) = timeline.between(end.saturating_sub(shocks.after / PARTS), end);
        let ratio = |a: f64, b: f64| if 0.0 < b { a / b } else { 0.0 };
        let is_back = after.is_back(before);
        Self {
            done_before: ratio(before.count, offered.count),
            after: ratio(after.rate(), before.rate()),
            recovery_s: is_back.then(|| timeline.recovery(before, ended, shocks.after)),
        }
    }
}

/// A timeline to count in.
#[derive(Clone, Copy, Debug)]
struct Counted<'a> {
    timeline: &'a [Bucket],
    bucket: Duration,
}

/// So many in so many seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    count: f64,
    seconds: f64,
}

impl Count {
    fn rate(self) -> f64 {
        self.count / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// Whether this is as much as before, less what counting may be off by chance.
    fn is_back(self, before: Self) -> bool {
        let expected = BACK * before.rate() * self.seconds;
        let relative = self.seconds / before.seconds.max(f64::MIN_POSITIVE);
        let deviation = libm::sqrt(expected * (1.0 + BACK * relative));
        expected - DEVIATIONS * deviation <= self.count && (0.0 < self.count || expected <= 0.0)
    }
}

impl Counted<'_> {
    /// Goodput, and what was offered, in the buckets that lie wholly between two times.
    fn between(self, from: Duration, until: Duration) -> (Count, Count) {
        let (mut good, mut offered) = (Count::default(), Count::default());
        let mut at = Duration::ZERO;
        for it in self.timeline {
            let end = at + self.bucket;
            if from <= at && end <= until {
                good.count += count(it.succeeded);
                offered.count += count(it.offered);
                good.seconds += self.bucket.as_secs_f64();
            }
            at = end;
        }
        offered.seconds = good.seconds;
        (good, offered)
    }

    /// Seconds from the trigger's end to the end of the last window in which goodput is not back.
    fn recovery(self, before: Count, ended: Duration, after: Duration) -> f64 {
        let window = (after / WINDOWS).max(self.bucket);
        let mut back_at = Duration::ZERO;
        let mut from = Duration::ZERO;
        while from + window <= after {
            let (good, _) = self.between(ended + from, ended + from + window + self.bucket);
            from += window;
            if 0.0 < good.seconds && !good.is_back(before) {
                back_at = from;
            }
        }
        back_at.as_secs_f64()
    }
}

fn summary(cells: &[StormCell], trigger: &str) -> String {
    let present = |it: &&StormCell| (it.load - 1.0).abs() < 1e-9;
    let worst = |state: &str| cells.iter().filter(present).find(|it| it.state == state);
    let has_present = cells.iter().any(|it| present(&it));
    let least = |state: &str| {
        let all = cells.iter().filter(|it| it.state == state);
        all.min_by(|a, b| a.load.total_cmp(&b.load).then(a.size_s.total_cmp(&b.size_s)))
    };
    if let Some(it) = worst(OVERLOADED) {
        let share = it.goodput_after * 100.0;
        return format!(
            "at the present load it is overloaded before any trigger ({share:.0} % afterwards)"
        );
    }
    let down = worst(COLLAPSED).or_else(|| worst(VULNERABLE));
    if let Some(it) = down {
        return format!(
            "at the present load `{trigger}` for {} s is enough to keep it down ({} of {} came back)",
            it.size_s, it.recovered, it.replications
        );
    }
    let first = least(COLLAPSED).into_iter().chain(least(VULNERABLE));
    let first = first.min_by(|a, b| a.load.total_cmp(&b.load));
    let now = if has_present { "at the present load it recovers from all of them; " } else { "" };
    match first {
        Some(it) => format!(
            "{now}at {} times the load `{trigger}` for {} s keeps it down ({} of {} came back)",
            it.load, it.size_s, it.recovered, it.replications
        ),
        None => format!("{now}no load that was tried is kept down by `{trigger}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::pretended;
    use crate::run::Go;

    fn ask(loads: &[f64], sizes: &[u64]) -> Result<Storm, QuestionError> {
        let shocks = StormOptions {
            loads: loads.to_vec(),
            sizes: sizes.iter().map(|it| Duration::from_secs(*it)).collect(),
            ..StormOptions::default()
        };
        let options = Options { threads: 2, ..Options::default() };
        let experiment =
            Experiment { options: &options, play: &pretended::play, tell: &|_| Go::On };
        experiment.storm(&pretended::system(), &shocks)
    }

    #[test]
    fn a_map_of_what_recovers() {
        let found = ask(&[1.0, 1.6, 2.4], &[20, 4, 10]).unwrap();
        let states: Vec<(f64, f64, &str, u32)> = found
            .cells
            .iter()
            .map(|it| (it.load, it.size_s, it.state.as_str(), it.recovered))
            .collect();
        assert_eq!(
            states,
            [
                (1.0, 4.0, STABLE, 10),
                (1.0, 10.0, STABLE, 10),
                (1.0, 20.0, STABLE, 10),
                (1.6, 4.0, STABLE, 10),
                (1.6, 10.0, VULNERABLE, 5),
                (1.6, 20.0, COLLAPSED, 0),
                (2.4, 4.0, OVERLOADED, 10),
                (2.4, 10.0, OVERLOADED, 5),
                (2.4, 20.0, OVERLOADED, 0),
            ]
        );
        assert_eq!(
            found.summary,
            "at the present load it recovers from all of them; at 1.6 times the load `load x3` for 20 s keeps it \
             down (0 of 10 came back)"
        );
    }

    #[test]
    fn recovery_takes_as_long_as_it_does() {
        let found = ask(&[1.0], &[20]).unwrap();
        // Goodput is down for as long as the trigger lasted.
        let recovery = found.cells[0].recovery_s.clone().unwrap();
        assert!((17.0..24.0).contains(&recovery.value), "{recovery:?}");
        assert!((0.9..1.1).contains(&found.cells[0].goodput_after));
    }

    #[test]
    fn what_must_be_named() {
        assert_eq!(ask(&[], &[1]), Err(QuestionError::Nothing("load")));
        assert_eq!(ask(&[1.0], &[]), Err(QuestionError::Nothing("length of the trigger")));
    }
}
