//! Queues that have formulas.

use model::scenario::Load;

use crate::given::{
    check, exponential, failures, latency, open, persistent, quantile, replications, scenario,
    station, users,
};

const M: &str = "work: {mean: 1s}";

/// Mean time in system and its 99th percentile of an M/M/c queue.
#[track_caller]
fn check_mmc(servers: u32, load: f64, (mean, p99): (f64, f64), requests: u64) {
    let application = station(&format!("{M}, concurrency: {servers}, queue: 100000"), 1);
    let rate = f64::from(servers) * load;
    let seconds = (requests as f64 / rate) as u64;
    let outcomes = replications(&application, &scenario(users(open(rate)), seconds), 10);
    check(&outcomes, latency, mean, 0.02);
    check(&outcomes, quantile(0.99), p99, 0.03);
    check(&outcomes, |it| it.services[0].busy_mean / f64::from(servers), load, 0.01);
    // Little's law, of what was measured by other means.
    check(&outcomes, |it| it.services[0].present_mean / latency(it), rate, 0.01);
}

#[test]
fn m_m_c() {
    check_mmc(1, 0.8, (5.0, 23.026), 200_000);
    check_mmc(2, 0.8, (2.7778, 11.937), 200_000);
    check_mmc(10, 0.8, (1.20459, 4.946), 200_000);
    check_mmc(10, 0.9, (1.66873, 6.250), 200_000);
    check_mmc(100, 0.9, (1.02169, 4.629), 200_000);
}

/// The share that is lost where nobody waits does not depend on the distribution of work.
#[test]
fn erlang_b() {
    for (offered, servers, lost) in
        [(5.0, 5, 0.284_867_82), (8.0, 10, 0.121_661_06), (90.0, 100, 0.026_957_38)]
    {
        for work in ["{mean: 1s}", "1s", "{mean: 1s, variation: 4}"] {
            let behaviour = format!("work: {work}, concurrency: {servers}, queue: 0");
            let application = station(&behaviour, 1);
            let seconds = (200_000.0 / offered) as u64;
            let outcomes = replications(&application, &scenario(users(open(offered)), seconds), 10);
            check(&outcomes, failures, lost, 0.03);
        }
    }
}

/// The share that has to wait.
#[test]
fn erlang_c() {
    for (offered, servers, waits) in
        [(4.0, 5, 0.554_112_55), (8.0, 10, 0.409_180_15), (90.0, 100, 0.216_940_48)]
    {
        let application = station(&format!("{M}, concurrency: {servers}, queue: 100000"), 1);
        let seconds = (600_000.0 / offered) as u64;
        let outcomes = replications(&application, &scenario(users(open(offered)), seconds), 10);
        let waited = |it: &simulator::Outcome| {
            let waited = &it.services[0].waited;
            let at_once: u64 = waited.buckets().filter(|it| it.0.is_zero()).map(|it| it.1).sum();
            1.0 - at_once as f64 / waited.count() as f64
        };
        check(&outcomes, waited, waits, 0.02);
    }
}

/// The mean wait grows with the variation of work: `rho (1 + c2) / (2 (1 - rho))`.
#[test]
fn m_g_1() {
    for (work, wait, requests) in [
        ("1s", 2.0, 200_000),
        ("{mean: 1s}", 4.0, 200_000),
        ("{mean: 1s, variation: 4}", 10.0, 400_000),
        ("{mean: 1s, variation: 16}", 34.0, 2_000_000),
        // Of shape 1/4 the variation is 4 too.
        ("{mean: 1s, shape: 0.25}", 10.0, 400_000),
    ] {
        let application = station(&format!("work: {work}, concurrency: 1, queue: 100000"), 1);
        let outcomes =
            replications(&application, &scenario(users(open(0.8)), requests * 5 / 4), 10);
        check(&outcomes, |it| it.services[0].waited.mean().as_secs_f64(), wait, 0.04);
    }
}

/// Shared processors make the mean the same for every distribution: `x / (1 - rho)`.
#[test]
fn processor_sharing() {
    for work in ["1s", "{mean: 1s}", "{mean: 1s, variation: 4}"] {
        let behaviour = format!("work: {work}, concurrency: 1, discipline: processor-sharing");
        let application = station(&behaviour, 1);
        let outcomes = replications(&application, &scenario(users(open(0.8)), 250_000), 10);
        check(&outcomes, latency, 5.0, 0.03);
    }
}

#[test]
fn a_queue_that_is_full_turns_away() {
    for (load, lost) in [(0.8, 0.023_492_86), (0.9, 0.050_813_73), (1.2, 0.192_586_5)] {
        let application = station(&format!("{M}, concurrency: 1, queue: 9"), 1);
        let outcomes = replications(&application, &scenario(users(open(load)), 100_000), 10);
        check(&outcomes, failures, lost, 0.03);
    }
}

/// Erlang-A: with patience as long as work, as many are there as without a limit on workers.
#[test]
fn impatience() {
    let behaviour = format!("{M}, concurrency: 10, queue: 100000, patience: {{mean: 1s}}");
    let outcomes = replications(&station(&behaviour, 1), &scenario(users(open(10.0)), 20_000), 10);
    check(&outcomes, failures, 0.125_110, 0.02);
    check(&outcomes, |it| it.services[0].present_mean, 10.0, 0.01);
}

/// Users who were turned away and try again: those in orbit, on average, `rho (l + rho t) / ((1 - rho) t)`.
#[test]
fn retrials() {
    let application = station(&format!("{M}, concurrency: 1, queue: 0"), 1);
    let users = persistent(open(0.8), exponential(1.0));
    let outcomes = replications(&application, &scenario(users, 200_000), 10);
    // By Little's law: tries again per second, each after a second.
    check(&outcomes, |it| it.users[0].again as f64 / it.counted.as_secs_f64(), 6.4, 0.03);
}

#[test]
fn closed_users_and_one_server() {
    let application = station(&format!("{M}, concurrency: 1, queue: 100"), 1);
    let load = Load::Closed { users: 50, think: exponential(49.0) };
    let outcomes = replications(&application, &scenario(users(load), 200_000), 10);
    check(&outcomes, |it| it.users[0].succeeded as f64 / it.counted.as_secs_f64(), 0.906_078, 0.01);
    check(&outcomes, latency, 6.182_88, 0.03);
}
