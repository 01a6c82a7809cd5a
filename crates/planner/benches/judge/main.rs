//! The judge beside two others on the same traffic: how often each is wrong, and what it costs to find out.
//!
//! `cargo bench -p planner`. Thousands of rollouts in virtual time for each scenario.
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
#![expect(clippy::cast_possible_truncation, reason = "counts of minutes, and places in lists")]
#![expect(clippy::cast_sign_loss, reason = "what is not negative")]
#![expect(clippy::indexing_slicing, reason = "a benchmark may stop at the first surprise")]
#![expect(clippy::panic, reason = "a benchmark may stop at the first surprise")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod figures;
mod judges;
mod requests;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use planner::judge;
use world::rollout::Verdict;

use judges::Course;
use requests::{Base, Scenario, Tail};

/// Rollouts of each scenario.
const RUNS: u64 = 2_000;
/// Assessments that are timed.
const TIMED: u32 = 2_000;

/// A service with a hundred requests a second, of which one in two hundred fails.
const USUAL: Scenario = Scenario {
    name: "equal",
    rate: 100,
    errors: 0.005,
    ratio: 1.0,
    base: Base::Steady,
    tail: Tail::Alike,
    weights: &[25],
};

const SCENARIOS: &[Scenario] = &[
    USUAL,
    Scenario { name: "equal, the base rate drifts", base: Base::Drifting, ..USUAL },
    Scenario { name: "equal, weights 5, 25, 50 %", weights: &[5, 25, 50], ..USUAL },
    Scenario {
        name: "equal, errors in bursts",
        base: Base::Bursts,
        weights: &[5, 25, 50],
        ..USUAL
    },
    Scenario { name: "equal, 2 requests/s", rate: 2, ..USUAL },
    Scenario { name: "errors 1.5 times", ratio: 1.5, ..USUAL },
    Scenario { name: "errors 2 times", ratio: 2.0, ..USUAL },
    Scenario { name: "errors 3 times", ratio: 3.0, ..USUAL },
    Scenario { name: "errors 10 times", ratio: 10.0, ..USUAL },
    Scenario { name: "errors 10 times, in bursts", ratio: 10.0, base: Base::Bursts, ..USUAL },
    Scenario { name: "errors 10 times, 2 requests/s", rate: 2, ratio: 10.0, ..USUAL },
    Scenario { name: "slowest tenth 40 % slower", tail: Tail::Longer, ..USUAL },
];

/// A way to judge.
type Judge = fn(&Scenario, u64) -> Course;

fn main() {
    figures::print();
    println!("| scenario | judge | rejected | passed | inconclusive | requests | errors | time |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let judges: [(&str, Judge); 3] = [
        ("Pelago", judges::pelago),
        ("Kayenta's", judges::kayenta),
        ("99 % a minute", judges::fixed),
    ];
    for scenario in SCENARIOS {
        for (name, judge) in judges {
            let courses = on_all_cores(RUNS, |seed| judge(scenario, seed));
            report(scenario.name, name, &courses);
        }
    }
    time();
}

/// What comes of each of so many runs, on all cores.
fn on_all_cores<T: Send>(runs: u64, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut results = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if runs <= number {
                return results;
            }
            results.push(run(number));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let join = |it: std::thread::ScopedJoinHandle<'_, Vec<T>>| {
            it.join().unwrap_or_else(|_| panic!("a run came to no end"))
        };
        threads.into_iter().flat_map(join).collect()
    })
}

/// One row: how rollouts ended, and medians of what they took.
fn report(scenario: &str, judge: &str, courses: &[Course]) {
    let share = |verdict: Verdict| {
        let count = courses.iter().filter(|it| it.verdict == Some(verdict)).count();
        format!("{:.1} %", count as f64 / courses.len() as f64 * 100.0)
    };
    let (fail, pass) = (share(Verdict::Fail), share(Verdict::Pass));
    let inconclusive = share(Verdict::Inconclusive);
    let requests = median(courses, |it| it.requests);
    let errors = median(courses, |it| it.errors);
    let minutes = median(courses, |it| it.seconds) as f64 / 60.0;
    println!(
        "| {scenario} | {judge} | {fail} | {pass} | {inconclusive} | {requests} | {errors} | {minutes:.1} min |"
    );
}

fn median(courses: &[Course], of: fn(&Course) -> u64) -> u64 {
    let mut figures: Vec<u64> = courses.iter().map(of).collect();
    figures.sort_unstable();
    figures[figures.len() / 2]
}

/// What one assessment takes, with as many observations as are kept.
fn time() {
    for scenario in [SCENARIOS[2], SCENARIOS[3], Scenario { ratio: 3.0, ..SCENARIOS[3] }] {
        let (rollout, now) = judges::full(&scenario);
        let before = Instant::now();
        for _ in 0..TIMED {
            black_box(judge::guardrail(black_box(&rollout)));
            black_box(judge::assess(black_box(&rollout), now));
        }
        let each = before.elapsed() / TIMED;
        let name = scenario.name;
        println!("\n{} observations, {name}: {each:?}", rollout.observations.len());
    }
}
