//! Three ways to judge the same traffic: Pelago's, and what two others do, written from their descriptions.

use model::Timestamp;
use planner::judge;
use serde_json::json;
use world::Rollout;
use world::rollout::{Counts, OBSERVATIONS_MAX, Observation, Stage, Verdict};

use crate::requests::{Scenario, Second, Traffic};

/// Minutes of each step, where a rule does not say itself when it knows enough.
const STEP_MINUTES: usize = 10;
/// Minutes without which Mann and Whitney's test cannot tell anything at 98 %.
const MINUTES_MIN: usize = 5;
/// The part of a difference that Kayenta tolerates.
const TOLERANCE: f64 = 0.25;
/// The quantile of a 98 % interval.
const Z_98: f64 = 2.326;

/// What came of a rollout.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Course {
    pub(crate) verdict: Option<Verdict>,
    pub(crate) seconds: u64,
    /// Requests the new release got until then.
    pub(crate) requests: u64,
    /// Those of them that failed.
    pub(crate) errors: u64,
}

impl Course {
    const fn saw(&mut self, second: &Second) {
        self.seconds += 1;
        self.requests += second.new.requests;
        self.errors += second.new.errors;
    }
}

/// A rollout that takes the traffic of its first step, of a policy without surprises.
fn rollout(scenario: &Scenario) -> Rollout {
    let steps: Vec<_> =
        scenario.weights.iter().map(|it| json!({"weight": format!("{it}%")})).collect();
    let none = Counts::default();
    let rollout = json!({
        "id": 7, "kind": "deploy", "from": 11, "to": 12, "group": 1, "by": null, "together": [],
        "update": {
            "strategy": "canary", "steps": steps, "keep_old": "1h",
            "auto_promote": true, "auto_revert": true, "analysis": {
                "alpha": "1%", "max_ratio": 1.25, "max_duration": "30m", "warm_up": "0s",
                "on_inconclusive": "hold",
            },
        },
        "started_at": 0, "stage": {"taking": {"step": 0, "epoch": 9}}, "stage_since": 0,
        "paused_since": null, "promote_asked": false, "judged": null,
        "thresholds": {"latency_us": none.slow.map(|_| 1_000), "requests": 5_000},
        "counted": {"epoch": 9, "source": 1, "old": none, "new": none},
        "observations": [], "failures": 0, "last_failure": null, "outcome": null, "told": false,
    });
    serde_json::from_value(rollout).unwrap_or_else(|error| panic!("{error}"))
}

/// Pelago's judge, asked every second for two minutes of a step, and every fifth second after them.
pub(crate) fn pelago(scenario: &Scenario, seed: u64) -> Course {
    let mut traffic = Traffic::new(scenario, seed);
    let mut rollout = rollout(scenario);
    let mut course = Course::default();
    for (step, percent) in (0..).zip(scenario.weights) {
        let since = Timestamp::from_millis(traffic.now() * 1_000);
        (rollout.stage, rollout.stage_since) = (Stage::Taking { step, epoch: rollout.id }, since);
        let verdict = loop {
            let second = traffic.second(*percent);
            course.saw(&second);
            let now = Timestamp::from_millis(traffic.now() * 1_000);
            push(&mut rollout, &second, (now, step, *percent));
            let waited = now.since(since).as_secs();
            if 120 < waited && !waited.is_multiple_of(5) {
                continue;
            }
            if judge::guardrail(&rollout).is_some() {
                break Verdict::Fail;
            }
            if let Some(verdict) = judge::assess(&rollout, now).verdict {
                break verdict;
            }
        };
        course.verdict = Some(verdict);
        if verdict != Verdict::Pass {
            break;
        }
    }
    course
}

/// Takes in a second. When there are more than are kept, neighbours are put together, as the world does.
fn push(rollout: &mut Rollout, second: &Second, (at, step, percent): (Timestamp, u32, u32)) {
    let observation = second.observed(at, step, percent);
    if rollout.observations.len() < OBSERVATIONS_MAX {
        rollout.observations.push(observation);
        return;
    }
    let kept = std::mem::take(&mut rollout.observations);
    for pair in kept.chunks(2) {
        match pair {
            [one, other] if one.step == other.step => {
                let (old, new) = (one.old.plus(&other.old), one.new.plus(&other.new));
                rollout.observations.push(Observation { old, new, ..*other });
            }
            _ => rollout.observations.extend(pair),
        }
    }
    rollout.observations.push(observation);
}

/// A minute of a step, as rates: errors and slow requests of either release.
#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    sum: Second,
}

impl Minute {
    fn add(&mut self, second: &Second) {
        self.sum.old = self.sum.old.plus(&second.old);
        self.sum.new = self.sum.new.plus(&second.new);
        self.sum.late += second.late;
    }
}

/// Goes through the steps of a scenario minute by minute; `fails` sees those of the step so far.
fn by_minutes(scenario: &Scenario, seed: u64, fails: impl Fn(&[Minute]) -> bool) -> Course {
    let mut traffic = Traffic::new(scenario, seed);
    let mut course = Course::default();
    for percent in scenario.weights {
        let mut minutes = Vec::new();
        for _ in 0..STEP_MINUTES {
            let mut minute = Minute::default();
            for _ in 0..60 {
                let second = traffic.second(*percent);
                course.saw(&second);
                minute.add(&second);
            }
            minutes.push(minute);
            if fails(&minutes) {
                return Course { verdict: Some(Verdict::Fail), ..course };
            }
        }
    }
    Course { verdict: Some(Verdict::Pass), ..course }
}

/// Kayenta: Mann and Whitney's test on what each minute came to, with a 98 % interval of the difference. A metric
/// fails when the interval is above a quarter of the estimate; two metrics count, errors and slow
/// requests; less than all of them is less than 75 of 100.
pub(crate) fn kayenta(scenario: &Scenario, seed: u64) -> Course {
    by_minutes(scenario, seed, |minutes| {
        let errors = minutes.iter().map(|it| {
            let Second { old, new, .. } = it.sum;
            (rate(old.errors, old.requests), rate(new.errors, new.requests))
        });
        let slow = minutes.iter().map(|it| {
            let Second { old, new, .. } = it.sum;
            (rate(old.slow[1], old.requests), rate(new.slow[1], new.requests))
        });
        is_high(&errors.collect::<Vec<_>>()) || is_high(&slow.collect::<Vec<_>>())
    })
}

/// Whether the second of each pair is more than the first, by Hodges and Lehmann's interval.
fn is_high(pairs: &[(f64, f64)]) -> bool {
    let count = pairs.len();
    if count < MINUTES_MIN {
        return false;
    }
    let of_one = |one: &(f64, f64)| pairs.iter().map(|it| it.1 - one.0).collect::<Vec<_>>();
    let mut differences: Vec<f64> = pairs.iter().flat_map(of_one).collect();
    differences.sort_unstable_by(f64::total_cmp);
    let all = differences.len() as f64;
    let width = Z_98 * (all * (2.0 * count as f64 + 1.0) / 12.0).sqrt();
    let rank = (all / 2.0 - width).max(1.0) as usize - 1;
    let middle = differences.len() / 2;
    let estimate = if differences.len().is_multiple_of(2) {
        f64::midpoint(differences[middle - 1], differences[middle])
    } else {
        differences[middle]
    };
    TOLERANCE * estimate.abs() < differences[rank]
}

/// A fixed threshold, as Argo's and Flagger's guides have it: every minute, at least 99 % of the new release's
/// requests succeed, and 95 % of them take no longer than 1.25 times the old release's p95 did. One minute
/// that does not is one too many; one without a request says nothing.
pub(crate) fn fixed(scenario: &Scenario, seed: u64) -> Course {
    by_minutes(scenario, seed, |minutes| {
        let Some(last) = minutes.last() else { return false };
        let new = last.sum.new;
        0.01 < rate(new.errors, new.requests) || 0.05 < rate(last.sum.late, new.requests)
    })
}

fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A rollout in its last step, with as many observations as are kept: what the judge has most to do with.
pub(crate) fn full(scenario: &Scenario) -> (Rollout, Timestamp) {
    let mut traffic = Traffic::new(scenario, 1);
    let mut rollout = rollout(scenario);
    let each = OBSERVATIONS_MAX / scenario.weights.len();
    for (step, percent) in (0..).zip(scenario.weights) {
        for _ in 0..each {
            let second = traffic.second(*percent);
            let now = Timestamp::from_millis(traffic.now() * 1_000);
            rollout.observations.push(second.observed(now, step, *percent));
        }
        rollout.stage = Stage::Taking { step, epoch: rollout.id };
    }
    let since = (scenario.weights.len() - 1) * each;
    let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
    rollout.stage_since = at(since as u64);
    (rollout, at(traffic.now()))
}
