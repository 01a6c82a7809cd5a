//! The statistics alone, against the figures that others' simulations give for them.

use model::Rng;
use planner::judge::evidence::{self, Block};

/// Runs of each figure.
const RUNS: usize = 4_000;
/// Bad requests after which a false alarm is no longer waited for.
const MOST: u64 = 50_000;
/// Shares of the new release, how many times as often its requests are bad, and the median and the 90th percentile
/// of bad requests until that is found at an alpha of 1 %, as an independent simulation gave them.
const FOUND: [(f64, f64, u64, u64); 8] = [
    (0.05, 1.5, 1_072, 2_171),
    (0.05, 2.0, 299, 644),
    (0.05, 3.0, 94, 206),
    (0.05, 10.0, 13, 28),
    (0.5, 1.5, 259, 526),
    (0.5, 2.0, 89, 179),
    (0.5, 3.0, 36, 74),
    (0.5, 10.0, 13, 21),
];

/// Bad requests until `says`, in order, as many as it ever said it for.
fn until(pi: f64, ratio: f64, says: fn(&Block) -> bool) -> Vec<u64> {
    let q = pi * ratio / (1.0 - pi + pi * ratio);
    let run = |number: u64| {
        let mut rng = Rng::new(number).child(&format!("{pi} {ratio}"));
        let mut block = Block { pi, old: 0, new: 0 };
        (1..=MOST).find(|_| {
            if rng.happens(q) {
                block.new += 1;
            } else {
                block.old += 1;
            }
            says(&block)
        })
    };
    let mut found = crate::on_all_cores(RUNS as u64, run);
    found.retain(Option::is_some);
    let mut found: Vec<u64> = found.into_iter().flatten().collect();
    found.sort_unstable();
    found
}

fn rejects(block: &Block) -> bool {
    libm::log(100.0) <= evidence::against(&[*block], 1.0)
}

fn passes(block: &Block) -> bool {
    libm::log(20.0) <= evidence::favour(&[*block], 2.0)
}

/// Prints how soon differences are found, and how often some are that do not exist.
pub(crate) fn print() {
    println!("| share | ratio | bad requests until found: median, 90th percentile | expected |");
    println!("| --- | --- | --- | --- |");
    for (pi, ratio, median, tail) in FOUND {
        let found = until(pi, ratio, rejects);
        let (half, most) = (found[RUNS / 2], found[RUNS * 9 / 10]);
        println!("| {pi} | {ratio} | {half}, {most} | {median}, {tail} |");
    }
    for pi in [0.05, 0.5] {
        let share = |found: Vec<u64>| found.len() as f64 / RUNS as f64 * 100.0;
        let alarms = share(until(pi, 1.0, rejects));
        let wrong = share(until(pi, 2.0, passes));
        let right = until(pi, 1.0, passes);
        println!("\nshare {pi}, {RUNS} runs of {MOST} bad requests: {alarms:.2} % false alarms;");
        println!(
            "passed at ratio 1 after {} (median), at ratio 2 in {wrong:.1} %",
            right[RUNS / 2]
        );
    }
    println!();
}
