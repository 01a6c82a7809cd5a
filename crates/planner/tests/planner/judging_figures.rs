//! The judge's statistics against the figures that theory and others' simulations give.

use model::Rng;
use planner::judge::evidence::{self, Block, RATIOS};
use world::rollout::Verdict;

use crate::judges;
use crate::requests::{Base, Scenario, Tail};

/// Bad requests until an e-process of the whole says so, `runs` times, in order; at most `most` each.
fn until(
    (pi, ratio): (f64, f64),
    runs: u32,
    most: u64,
    says: impl Fn(&Block) -> bool,
) -> Vec<Option<u64>> {
    let q = pi * ratio / (1.0 - pi + pi * ratio);
    let run = |number: u32| {
        let mut rng = Rng::new(1).child(&format!("{pi} {ratio} {number}"));
        let mut block = Block { pi, old: 0, new: 0 };
        (1..=most).find(|_| {
            if rng.happens(q) {
                block.new += 1;
            } else {
                block.old += 1;
            }
            says(&block)
        })
    };
    let mut found: Vec<Option<u64>> = (0..runs).map(run).collect();
    found.sort_unstable_by_key(|it| it.unwrap_or(u64::MAX));
    found
}

/// The median and the 90th percentile of the bad requests it takes to find a ratio, at an alpha of 1 %.
#[track_caller]
fn check_detection(pi: f64, ratio: f64, expected: (f64, f64)) {
    let limit = libm::log(100.0);
    let found = until((pi, ratio), 1_000, 20_000, |it| limit <= evidence::against(&[*it], 1.0));
    let at = |place: usize| found[place].unwrap() as f64;
    // A median of 1000 runs is within some per cent; the tail within a few more.
    let near = |found: f64, expected: f64, by: f64| (found / expected - 1.0).abs() <= by;
    assert!(near(at(500), expected.0, 0.1) || (at(500) - expected.0).abs() <= 1.0, "{}", at(500));
    assert!(near(at(900), expected.1, 0.15) || (at(900) - expected.1).abs() <= 1.0, "{}", at(900));
}

#[test]
fn differences_are_found_as_soon_as_published() {
    check_detection(0.05, 1.5, (1_072.0, 2_171.0));
    check_detection(0.05, 2.0, (299.0, 644.0));
    check_detection(0.05, 3.0, (94.0, 206.0));
    check_detection(0.05, 10.0, (13.0, 28.0));
    check_detection(0.5, 1.5, (259.0, 526.0));
    check_detection(0.5, 2.0, (89.0, 179.0));
    check_detection(0.5, 3.0, (36.0, 74.0));
    check_detection(0.5, 10.0, (13.0, 21.0));
}

/// The share of runs in which a release that is as good is called worse, though it is looked at after each of
/// 3000 bad requests, is at most alpha and three standard errors.
#[track_caller]
fn check_false_alarms(pi: f64) {
    let limit = libm::log(100.0);
    let runs = 1_000;
    let found = until((pi, 1.0), runs, 3_000, |it| limit <= evidence::against(&[*it], 1.0));
    let share = found.iter().flatten().count() as f64 / f64::from(runs);
    assert!(share <= 0.01 + 3.0 * (0.01 * 0.99 / f64::from(runs)).sqrt(), "{share}");
}

#[test]
fn however_often_it_is_looked_at_false_alarms_are_few() {
    check_false_alarms(0.05);
    check_false_alarms(0.5);
}

/// The median of bad requests until twice as many are ruled out where releases are alike, and how often that is
/// said where it is not so, at a beta of 5 %.
#[track_caller]
fn check_promotion(pi: f64, median: f64) {
    let limit = libm::log(20.0);
    let says = |it: &Block| limit <= evidence::favour(&[*it], 2.0);
    let found = until((pi, 1.0), 1_000, 20_000, says);
    let at = found[500].unwrap() as f64;
    assert!((at / median - 1.0).abs() <= 0.12, "{at}");
    let wrong = until((pi, 2.0), 1_000, 2_000, says).iter().flatten().count() as f64 / 1e3;
    assert!(wrong <= 0.05 + 3.0 * (0.05_f64 * 0.95 / 1e3).sqrt(), "{wrong}");
}

#[test]
fn good_releases_pass_as_soon_as_published() {
    check_promotion(0.05, 161.0);
    check_promotion(0.5, 40.0);
}

/// The formula as it is written, without logarithms.
fn directly(pi: f64, old: i32, new: i32, tolerated: f64) -> f64 {
    let pi = pi * tolerated / (1.0 - pi + pi * tolerated);
    let of = |ratio: f64| {
        let ratio = ratio / tolerated;
        ratio.powi(new) / (1.0 - pi + pi * ratio).powi(old + new)
    };
    let ratios: Vec<f64> = RATIOS.into_iter().filter(|it| tolerated < *it).collect();
    ratios.iter().map(|it| of(*it)).sum::<f64>() / ratios.len() as f64
}

#[test]
fn evidence_is_what_the_formula_says() {
    for (pi, old, new) in [(0.05, 0, 0), (0.05, 3, 1), (0.25, 10, 9), (0.5, 1, 20), (0.5, 30, 2)] {
        for tolerated in [1.0, 1.25, 2.0] {
            let block = Block { pi, old, new };
            let found = libm::exp(evidence::against(&[block], tolerated));
            let exact = directly(pi, old as i32, new as i32, tolerated);
            assert!((found / exact - 1.0).abs() < 1e-12, "{block:?} {tolerated}: {found} {exact}");
        }
    }
    let block = Block { pi: 0.05, old: 90, new: 3 };
    let exact = (1.0_f64 - 0.05 + 0.05 * 2.0).powi(93) * 2.0_f64.powi(-3);
    assert!((libm::exp(evidence::favour(&[block], 2.0)) / exact - 1.0).abs() < 1e-12);
}

#[test]
fn evidence_of_steps_multiplies() {
    let steps = [Block { pi: 0.05, old: 30, new: 4 }, Block { pi: 0.5, old: 10, new: 14 }];
    let each: f64 = steps.iter().map(|it| evidence::likelihood(&[*it], 3.0, 1.0)).sum();
    assert!((evidence::likelihood(&steps, 3.0, 1.0) - each).abs() < 1e-12);
    assert!(evidence::against(&[Block { pi: 0.05, old: 1, new: 1 }], 20.0).abs() < 1e-12);
}

#[test]
fn few_failures_rule_out_more_than_is_tolerated() {
    let enough = libm::log(20.0);
    let needed = (1..1_000).find(|it| enough <= evidence::below(*it, 0, 0.005)).unwrap();
    assert_eq!(needed, 627);
    // Where as many fail as are tolerated, it is seldom said.
    let wrong = (0..1_000).filter(|number| {
        let mut rng = Rng::new(2).child(&number.to_string());
        let mut bad = 0;
        (1..=4_000).any(|count| {
            bad += u64::from(rng.happens(0.005));
            count % 10 == 0 && enough <= evidence::below(count, bad, 0.005)
        })
    });
    assert!(wrong.count() <= 70);
}

#[test]
fn shares_that_are_as_asked_for_are_seldom_called_wrong() {
    let limit = libm::log(1_000.0);
    let alarms = |actual: f64, runs: u32| {
        let run = |number: &u32| {
            let mut rng = Rng::new(3).child(&format!("{actual} {number}"));
            let mut block = Block { pi: 0.05, old: 0, new: 0 };
            (1..=4_000).any(|count| {
                if rng.happens(actual) {
                    block.new += 1;
                } else {
                    block.old += 1;
                }
                count % 20 == 0 && limit <= evidence::misshared(&[block])
            })
        };
        (0..runs).filter(run).count()
    };
    assert!(alarms(0.05, 1_000) <= 4, "a thousandth, and three standard errors");
    assert_eq!(alarms(0.1, 100), 100);
}

#[test]
fn intervals_hold_the_truth_at_every_look() {
    let mut missed = 0;
    for number in 0..300 {
        let mut rng = Rng::new(4).child(&format!("{number}"));
        let (pi, ratio) = (0.25, 2.0);
        let q = pi * ratio / (1.0 - pi + pi * ratio);
        let mut block = Block { pi, old: 0, new: 0 };
        let mut holds = true;
        for count in 1..=1_000 {
            if rng.happens(q) {
                block.new += 1;
            } else {
                block.old += 1;
            }
            if count % 25 == 0 {
                let (low, high) = evidence::interval(&[block], 0.025);
                holds &= low <= ratio && high.is_none_or(|it| ratio <= it);
            }
        }
        missed += u32::from(!holds);
        let (low, high) = evidence::interval(&[block], 0.025);
        assert!(low < 2.9 && 1.2 < high.unwrap() && low < high.unwrap(), "{low} {high:?}");
    }
    // 5 % and three standard errors.
    assert!(missed <= 26, "{missed}");
}

/// A rollout in blocks: in each, as many bad requests as `bad` says, each burst going to one release as a
/// whole.
fn bursts(number: u32, bad: impl Fn(&mut Rng) -> Vec<u64>, ratio: f64) -> Vec<Block> {
    let mut rng = Rng::new(5).child(&format!("{number} {ratio}"));
    let pi = 0.25;
    let q = pi * ratio / (1.0 - pi + pi * ratio);
    let mut blocks = Vec::new();
    for _ in 0..400 {
        let mut block = Block { pi, old: 0, new: 0 };
        for size in bad(&mut rng) {
            if rng.happens(q) {
                block.new += size;
            } else {
                block.old += size;
            }
        }
        blocks.push(block);
    }
    blocks
}

/// Now and then twenty at once, of one release.
fn twenty_at_once(rng: &mut Rng) -> Vec<u64> {
    let single = (0..2).filter(|_| rng.happens(0.3)).count();
    let mut bad = vec![1; single];
    bad.extend(rng.happens(0.05).then_some(20));
    bad
}

fn rejects(blocks: &[Block]) -> bool {
    let limit = libm::log(100.0);
    (1..=blocks.len())
        .any(|it| it % 5 == 0 && limit <= evidence::believed_against(&blocks[..it], 1.0, limit))
}

#[test]
fn bursts_are_not_mistaken_for_bad_releases() {
    let runs = 300;
    let wrong = |judged: &dyn Fn(&[Block]) -> bool| {
        (0..runs).filter(|it| judged(&bursts(*it, twenty_at_once, 1.0))).count()
    };
    let naive = |blocks: &[Block]| {
        (1..=blocks.len()).any(|it| {
            it % 5 == 0
                && libm::log(100.0) <= evidence::against(&evidence::sums(&blocks[..it]), 1.0)
        })
    };
    let (naive, careful) = (wrong(&naive), wrong(&|it| rejects(it)));
    // 1 % and three standard errors of 300 runs.
    assert!(careful <= 8, "{careful}");
    assert!(30 <= naive, "without care it is far more: {naive}");
    // What is truly worse is found all the same.
    let found = (0..50).filter(|it| rejects(&bursts(*it, twenty_at_once, 5.0))).count();
    assert!(45 <= found, "{found}");
}

/// As many rollouts of a release that is as good as the old one are rejected as alpha allows, and three standard
/// errors, though they are looked at every other second: one percent for both metrics together.
#[track_caller]
fn check_false_rejections(scenario: &Scenario, runs: u64) {
    let courses = (0..runs).map(|seed| judges::pelago(scenario, seed));
    let wrong = courses.filter(|it| it.verdict == Some(Verdict::Fail)).count() as f64;
    let most = 0.01 + 3.0 * (0.01_f64 * 0.99 / runs as f64).sqrt();
    assert!(wrong / runs as f64 <= most, "{}: {wrong} of {runs}", scenario.name);
}

/// A service of which one in fifty requests fails, so that much is to be compared in a short time.
const USUAL: Scenario = Scenario {
    name: "equal",
    rate: 50,
    errors: 0.02,
    ratio: 1.0,
    base: Base::Steady,
    tail: Tail::Alike,
    weights: &[25],
};

#[test]
fn equal_releases_are_seldom_rejected_while_the_base_rate_drifts() {
    check_false_rejections(&Scenario { base: Base::Drifting, ..USUAL }, 400);
}

#[test]
fn equal_releases_are_seldom_rejected_while_weights_change() {
    check_false_rejections(&Scenario { weights: &[25, 40, 50], ..USUAL }, 200);
}

#[test]
fn equal_releases_are_seldom_rejected_while_errors_come_in_bursts() {
    check_false_rejections(&Scenario { base: Base::Bursts, ..USUAL }, 400);
}

/// Rollouts in which the new release's share changes, and the base rate drifts: bad requests alone, no tolerance,
/// looked at after every second.
#[test]
fn whatever_changes_for_both_is_not_held_against_the_new_one() {
    let (runs, limit) = (3_000, libm::log(100.0));
    let is_rejected = |number: &u32| {
        let mut rng = Rng::new(6).child(&number.to_string());
        let mut sums: Vec<Block> = Vec::new();
        (0..450_u32).any(|second| {
            let pi = [0.05, 0.25, 0.5][second as usize / 150];
            if second % 150 == 0 {
                sums.push(Block { pi, old: 0, new: 0 });
            }
            let last = sums.last_mut().unwrap();
            for _ in 0..=second % 7 {
                if rng.happens(pi) {
                    last.new += 1;
                } else {
                    last.old += 1;
                }
            }
            limit <= evidence::against(&sums, 1.0)
        })
    };
    let wrong = (0..runs).filter(is_rejected).count() as f64 / f64::from(runs);
    assert!(wrong <= 0.01 + 3.0 * (0.01 * 0.99 / f64::from(runs)).sqrt(), "{wrong}");
}

/// With the same numbers of bad requests, their order changes nothing.
#[test]
fn the_order_of_bad_requests_does_not_count() {
    let one = Block { pi: 0.25, old: 1, new: 0 };
    let other = Block { pi: 0.25, old: 0, new: 1 };
    let expected = evidence::against(&[Block { pi: 0.25, old: 3, new: 2 }], 1.25);
    for order in [[one, one, one, other, other], [other, one, other, one, one]] {
        assert!((evidence::against(&order, 1.25) - expected).abs() < 1e-12);
    }
}
