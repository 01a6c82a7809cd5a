//! The same questions of the same series, here and in Debian's Prometheus on the same machine in the same minute.
//! `cargo bench -p promql --bench against_prometheus`
//!
//! Ours are evaluated over series in memory, and so without reading chunks; Prometheus answers over HTTP. So what it
//! takes is also given as it counts it itself, without the queue and without writing JSON.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]
#![expect(clippy::panic, reason = "a benchmark may stop at the first surprise")]

use std::time::Instant;

use promql::eval::{Context, range};
use promql::parse::parse;

#[path = "fleet.rs"]
mod fleet;
#[path = "../tests/promql/peer.rs"]
mod peer;

/// Each question is asked so often; the median counts.
const ROUNDS: usize = 7;

fn main() {
    let memory = fleet::memory();
    let prometheus = peer::Prometheus::start();
    prometheus.write(&memory);
    println!(
        "{:<76}{:>10}{:>12}{:>12}{:>8}",
        "10k series, 1 h, 15 s", "ours", "Prometheus", "over HTTP", "times"
    );
    for question in fleet::QUESTIONS {
        let expr = parse(question).unwrap();
        let steps = fleet::steps();
        let ours = median(|| {
            let begun = Instant::now();
            drop(range(&expr, steps, &Context::new(&memory)).unwrap());
            begun.elapsed().as_secs_f64()
        });
        let [start, end, step] =
            [steps.start_ms, steps.end_ms, steps.step_ms].map(|it| format!("{}", it / 1000));
        let form = [
            ("query", *question),
            ("start", &start),
            ("end", &end),
            ("step", &step),
            ("stats", "all"),
        ];
        let mut over_http = Vec::new();
        let theirs = median(|| {
            let begun = Instant::now();
            let answer = prometheus.ask("/api/v1/query_range", &form);
            over_http.push(begun.elapsed().as_secs_f64());
            let timings = &answer["data"]["stats"]["timings"];
            ["queryPreparationTime", "innerEvalTime"]
                .iter()
                .filter_map(|it| timings[it].as_f64())
                .sum()
        });
        over_http.sort_by(f64::total_cmp);
        println!(
            "{question:<76}{:>7.0} ms{:>9.0} ms{:>9.0} ms{:>8.1}",
            ours * 1e3,
            theirs * 1e3,
            over_http[ROUNDS / 2] * 1e3,
            theirs / ours
        );
    }
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..ROUNDS).map(|_| measure()).collect();
    all.sort_by(f64::total_cmp);
    all[ROUNDS / 2]
}
