//! The statistics of comparing two releases: e-processes, which stay valid however often they are looked at.
//!
//! Each request is given to the new release with probability pi, independently. If requests fail (or are
//! slow: are *bad*) r times as often there, a bad one is the new release's with probability
//! q(r) = pi r / (1 - pi + pi r), whatever the base rate and however it drifts. So the likelihood of whose
//! the bad ones were, under one ratio over that under another, is a martingale that seldom grows; when it has,
//! the ratio below the line is not true (Ville's inequality). Sources: Lindon and Malek, "Anytime-valid inference
//! for multinomial count data" (arXiv 2011.03567); Lindon et al., "Rapid regression detection in software
//! deployments" (arXiv 2205.14762).
//!
//! Everything is in logarithms, by a library that gives the same bits on every machine. It knows nothing of
//! rollouts.

use libm::log;

/// Ratios that are looked for. Any will do; these find small differences late and large ones at once.
pub const RATIOS: [f64; 7] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0];
/// Blocks in which the new release must have had bad requests before they count against it: what
/// happened all at once may have one cause. (At hard failures nobody waits for the fifth second: see the
/// guardrail.)
pub const BLOCKS_MIN: usize = 5;
/// Standard deviations by which bad requests may come more in bursts than chance would have it. At a half, a
/// third of the comparisons of independent requests is judged block by block without need, which makes
/// them a little slower; at two, bursts are seen only after they have done their harm.
const DISPERSION_MAX: f64 = 0.5;
/// How far a share of requests is expected from what was asked for, in the weight of so many requests: a
/// mistake in a balancer is not a matter of fractions of a percent.
const SHARE_PRIOR: f64 = 200.0;

/// How often a bound of an interval is halved in on: to a fifth of a percent, of a range of 1 to 4096.
const HALVINGS: u32 = 12;

/// Bad requests of a while in which the new release's share was `pi`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// The new release's share of requests, above 0 and below 1.
    pub pi: f64,
    /// Those of the old release.
    pub old: u64,
    /// Those of the new one.
    pub new: u64,
}

/// The probability that a bad request is the new release's, where it is bad `ratio` times as often.
fn of_new(pi: f64, ratio: f64) -> f64 {
    pi * ratio / (1.0 - pi + pi * ratio)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

/// Logarithm of the likelihood of `blocks` with the ratio `one` over that with the ratio `other`.
pub fn likelihood(blocks: &[Block], one: f64, other: f64) -> f64 {
    // The odds of q(one) to those of q(other) are as one to the other, so one logarithm a block is enough.
    let odds = log(one / other);
    let of = |it: &Block| {
        let (q, p) = (1.0 - it.pi + it.pi * one, 1.0 - it.pi + it.pi * other);
        float(it.new) * odds - float(it.new + it.old) * log(q / p)
    };
    blocks.iter().map(of).sum()
}

/// Evidence that requests are bad more than `tolerated` times as often, as the logarithm of an e-process: at
/// ln(1/alpha), "no more than `tolerated` times" is wrong but for a probability of alpha.
pub fn against(blocks: &[Block], tolerated: f64) -> f64 {
    let logs: Vec<f64> = RATIOS
        .iter()
        .filter(|it| tolerated < **it)
        .map(|it| likelihood(blocks, *it, tolerated))
        .collect();
    // Where even more is tolerated than is looked for, nothing can be found.
    if logs.is_empty() { 0.0 } else { log_mean(&logs) }
}

/// Evidence that requests are bad less than `ratio` times as often, and rather as often.
pub fn favour(blocks: &[Block], ratio: f64) -> f64 {
    likelihood(blocks, 1.0, ratio)
}

/// Evidence that fewer than a share of `tolerated` of requests are bad: of one release alone, as the mean of
/// three e-processes, for none, a quarter and a half of it.
pub fn below(requests: u64, bad: u64, tolerated: f64) -> f64 {
    let (bad, good) = (float(bad), float(requests.saturating_sub(bad)));
    let of = |share: f64| {
        let spared = if bad == 0.0 { 0.0 } else { bad * log(share) };
        spared + good * log((1.0 - share * tolerated) / (1.0 - tolerated))
    };
    log_sum(&[log(0.8) + of(0.0), log(0.1) + of(0.25), log(0.1) + of(0.5)])
}

/// Evidence against `blocks` of requests, good and bad, having been shared as was asked for.
pub fn misshared(blocks: &[Block]) -> f64 {
    let of = |it: &Block| {
        let (old, new) = (float(it.old), float(it.new));
        let (a, b) = (it.pi * SHARE_PRIOR, (1.0 - it.pi) * SHARE_PRIOR);
        log_beta(a + new, b + old) - log_beta(a, b) - new * log(it.pi) - old * log(1.0 - it.pi)
    };
    blocks.iter().map(of).sum()
}

/// Whether bad requests come in bursts of one release's, so that they are not independent: chi-squared of the
/// blocks around what blocks with the same share come to together.
pub fn is_bursty(blocks: &[Block]) -> bool {
    let mut statistic = 0.0;
    let mut freedom = 0.0;
    for alike in blocks.chunk_by(|one, other| one.pi.total_cmp(&other.pi).is_eq()) {
        let (mut new, mut all, mut squares, mut count) = (0.0, 0.0, 0.0, 0.0);
        for it in alike.iter().filter(|it| 0 < it.old + it.new) {
            let (of_new, of_both) = (float(it.new), float(it.old + it.new));
            new += of_new;
            all += of_both;
            squares += of_new * of_new / of_both;
            count += 1.0;
        }
        // The sum of (of_new - share * of_both)^2 / of_both.
        let around = squares - new * new / all;
        let variance = new / all * (1.0 - new / all);
        if 0.0 < variance {
            statistic += around / variance;
            freedom += count - 1.0;
        }
    }
    if freedom < 1.0 {
        return false;
    }
    // Wilson and Hilferty: the cube root of chi-squared over its degrees is nearly normal.
    let width = 2.0 / (9.0 * freedom);
    let deviation = (libm::cbrt(statistic / freedom) - (1.0 - width)) / width.sqrt();
    DISPERSION_MAX < deviation
}

/// As [`against`], from the share that is the new release's of each block alone: it holds however bad requests
/// come together within a block, and is the same where no block has more than one. A bet on each block, for
/// each ratio the one that is best if bad requests come alone; source: Waudby-Smith and Ramdas,
/// "Estimating means of bounded random variables by betting" (arXiv 2010.09686).
pub fn against_by_block(blocks: &[Block], tolerated: f64) -> f64 {
    let bad = || blocks.iter().filter(|it| 0 < it.old + it.new);
    let of = |ratio: &f64| {
        let won = |it: &Block| {
            let (p, q) = (of_new(it.pi, tolerated), of_new(it.pi, *ratio));
            let share = float(it.new) / float(it.old + it.new);
            libm::log1p((q - p) / (p * (1.0 - p)) * (share - p))
        };
        bad().map(won).sum()
    };
    let ratios = RATIOS.iter().filter(|it| tolerated < **it);
    let logs: Vec<f64> = ratios.map(of).collect();
    if logs.is_empty() { 0.0 } else { log_mean(&logs) }
}

/// [`against`], as far as it may be believed: not before the new release was bad in several blocks, and
/// where bad requests come in bursts no more than the blocks say.
pub fn believed_against(blocks: &[Block], tolerated: f64, limit: f64) -> f64 {
    let whole = against(&sums(blocks), tolerated);
    if whole < limit {
        return whole;
    }
    let met = blocks.iter().filter(|it| 0 < it.new).count();
    if met < BLOCKS_MIN {
        return 0.0;
    }
    if is_bursty(blocks) { whole.min(against_by_block(blocks, tolerated)) } else { whole }
}

/// The ratios that are not ruled out at `alpha` each way: at least, and at most if anything is known. They hold
/// at every look.
pub fn interval(blocks: &[Block], alpha: f64) -> (f64, Option<f64>) {
    const FEWEST: f64 = 1.0 / 64.0;
    const MOST: f64 = 64.0;
    let limit = log(1.0 / alpha);
    let blocks = sums(blocks);
    let beyond = |ratio: f64, step: fn(f64, f64) -> f64| {
        let logs: Vec<f64> =
            RATIOS.iter().map(|it| likelihood(&blocks, step(ratio, *it), ratio)).collect();
        limit <= log_mean(&logs)
    };
    let low = bisect(FEWEST, MOST, |it| beyond(it, |ratio, by| ratio * by));
    let high = bisect(MOST, FEWEST, |it| beyond(it, |ratio, by| ratio / by));
    (low.unwrap_or(0.0), high)
}

/// The last point from `from` towards `to` at which something holds, if it does at `from`; on a scale of
/// ratios.
fn bisect(from: f64, to: f64, holds: impl Fn(f64) -> bool) -> Option<f64> {
    if !holds(from) {
        return None;
    }
    let (mut inside, mut outside) = (log(from), log(to));
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(inside, outside);
        if holds(libm::exp(middle)) { inside = middle } else { outside = middle }
    }
    Some(libm::exp(inside))
}

/// Neighbours with the same share, put together: nothing but their sums counts, where requests are
/// independent.
pub fn sums(blocks: &[Block]) -> Vec<Block> {
    let mut sums: Vec<Block> = Vec::new();
    for block in blocks {
        match sums.last_mut() {
            Some(last) if last.pi.total_cmp(&block.pi).is_eq() => {
                last.old += block.old;
                last.new += block.new;
            }
            _ => sums.push(*block),
        }
    }
    sums
}

/// Logarithm of the mean of numbers whose logarithms these are.
pub fn log_mean(logs: &[f64]) -> f64 {
    log_sum(logs) - log(float(logs.len() as u64))
}

fn log_sum(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + log(logs.iter().map(|it| libm::exp(it - most)).sum::<f64>())
}

fn log_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}
