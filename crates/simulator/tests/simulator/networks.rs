//! Stations that call each other, and instances that are chosen.

use std::time::Duration;

use model::edge::{Balance, BalancePolicy, Resilience, Retry};

use crate::given::{
    check, latency, open, patient, replications, scenario, station, through, users,
};

/// A policy that does nothing but balance.
fn balanced(policy: BalancePolicy) -> Resilience {
    Resilience {
        timeout: Duration::from_hours(1_000),
        retry: Retry { attempts: 0, ..Retry::default() },
        balance: Balance { policy, ..Balance::default() },
        ..Resilience::default()
    }
}

/// Three M/M/1 queues one after the other: the sum of their times.
#[test]
fn tandem() {
    // A request holds no worker while it waits for its callee where processors are shared, and the mean is the same.
    let part = |name: &str, mean: &str, calls: &str| {
        format!(
            "  {name}: {{behaviour: {{work: {{mean: {mean}}}, concurrency: 1, discipline: processor-sharing, calls: [{calls}]}}}}\n"
        )
    };
    let application = patient(
        &(part("s", "1s", "b") + &part("b", "800ms", "c") + &part("c", "500ms", "")),
        "100h",
    );
    let outcomes = replications(&application, &scenario(users(open(0.8)), 250_000), 10);
    check(&outcomes, latency, 8.055_56, 0.02);
}

/// A request that makes two calls at once ends with the later one: 7 exactly for two queues at 0.8, and Nelson and Tantawi's
/// approximation for more.
#[test]
fn fork_join() {
    for (branches, expected, within) in [(2, 7.0, 0.0), (8, 11.030, 0.03)] {
        let names: Vec<String> = (0..branches).map(|it| format!("b{it}")).collect();
        let mut text =
            format!("  s: {{behaviour: {{calls: [{{parallel: [{}]}}]}}}}\n", names.join(", "));
        let leaf = "{behaviour: {work: {mean: 1s}, concurrency: 1, queue: 100000}}";
        text.extend(names.iter().map(|name| format!("  {name}: {leaf}\n")));
        let outcomes =
            replications(&patient(&text, "100h"), &scenario(users(open(0.8)), 150_000), 10);
        let mean = outcomes.iter().map(latency).sum::<f64>() / 10.0;
        if within == 0.0 {
            check(&outcomes, latency, expected, 0.02);
        } else {
            assert!((mean / expected - 1.0).abs() < within, "{mean} is not near {expected}");
        }
    }
}

/// The universal scalability law: closed users who do not think, as many as give the most.
#[test]
fn universal_scalability() {
    let throughput = |users: u32| {
        let behaviour = "work: {mean: 1s}, contention: 5%, coherency: 0.02%";
        let load = model::scenario::Load::Closed {
            users,
            think: model::workload::WorkTime::Fixed { time: Duration::ZERO },
        };
        let scenario = scenario(crate::given::users(load), 2_000);
        let outcome = &replications(&station(behaviour, 1), &scenario, 1)[0];
        outcome.users[0].succeeded as f64 / outcome.counted.as_secs_f64()
    };
    for n in [10_u32, 69, 200] {
        let x = f64::from(n);
        let law = x / (1.0 + 0.05 * (x - 1.0) + 0.0002 * x * (x - 1.0));
        let found = throughput(n);
        assert!((found / law - 1.0).abs() < 0.02, "{n}: {found} is not {law}");
    }
    // The best number is sqrt((1 - contention) / coherency), 68.9.
    let [less, best, more] = [40, 69, 110].map(throughput);
    assert!(less < best && more < best, "{less} {best} {more}");
}

/// The shorter of two queues: mean field values of Mitzenmacher (2001), with the balancer that runs in production, told apart by
/// what is in flight. Five hundred servers are near enough to infinitely many: the difference is of the order of their
/// reciprocal.
#[test]
fn power_of_two_choices() {
    for (load, expected) in [(0.5, 1.2657), (0.8, 1.9474), (0.9, 2.6141), (0.95, 3.3830)] {
        let application = station("work: {mean: 1s}, concurrency: 1, queue: 100000", 500);
        let users = through(open(500.0 * load), balanced(BalancePolicy::LeastLoaded));
        let outcomes = replications(&application, &scenario(users, 2_000), 5);
        let mean = outcomes.iter().map(latency).sum::<f64>() / 5.0;
        assert!((mean / expected - 1.0).abs() < 0.02, "{load}: {mean} is not {expected}");
    }
}

/// One choice at random is what it was: every server an M/M/1 queue.
#[test]
fn one_choice() {
    let application = station("work: {mean: 1s}, concurrency: 1, queue: 100000", 50);
    let outcomes = replications(&application, &scenario(users(open(40.0)), 5_000), 10);
    check(&outcomes, latency, 5.0, 0.02);
}

/// Each read of a replicated store keeps as many workers busy as copies must answer, and none beside them.
#[test]
fn replicated_store() {
    let store = "work: {mean: 1s}, concurrency: 1, replication: {factor: 3, read: 2, write: 2}";
    let scenario = scenario(users(open(0.6)), 50_000);
    let outcomes = replications(&station(store, 3), &scenario, 10);
    check(&outcomes, |it| it.services[0].busy_mean, 1.2, 0.01);
}
