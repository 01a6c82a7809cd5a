//! Ten thousand counters, and ten thousand buckets of a thousand histograms, scraped every fifteen seconds for an hour and
//! five minutes; and the questions that dashboards ask of them.

use promql::Labels;
use promql::eval::Steps;
use promql::memory::Memory;

pub(crate) const QUESTIONS: &[&str] = &[
    "sum by (job) (rate(calls_total[5m]))",
    "rate(calls_total[5m])",
    "calls_total",
    "sum(calls_total)",
    "max_over_time(calls_total[5m])",
    "histogram_quantile(0.95, rate(latency_seconds_bucket[5m]))",
    "histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket[5m])))",
    "topk(5, rate(calls_total[5m]))",
    "calls_total / on (instance) calls_total",
];

const STEP_MS: i64 = 15_000;
const SCRAPES: i64 = 260;

/// Counters of 10 jobs, and histograms of 10 buckets; ten thousand series of each.
pub(crate) fn memory() -> Memory {
    let mut memory = Memory::default();
    let mut random = 1_u64;
    for series in 0..10_000_u32 {
        let job = format!("job-{}", series % 10);
        let instance = format!("10.0.{}.{}:9090", series / 250, series % 250);
        let counter =
            Labels::of([("__name__", "calls_total"), ("job", &job), ("instance", &instance)]);
        let group = format!("{}", series / 10);
        let bound = ["0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"];
        let bound = bound[usize::try_from(series % 10).unwrap()];
        let bucket = Labels::of([
            ("__name__", "latency_seconds_bucket"),
            ("instance", &group),
            ("le", bound),
            ("job", "shop"),
        ]);
        let mut total = 0.0;
        for scrape in 0..SCRAPES {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            total += f64::from(u16::try_from(random >> 56).unwrap());
            let time_ms = scrape * STEP_MS + i64::from(series % 97) * 100;
            memory.append(&counter, time_ms, total);
            memory.append(&bucket, time_ms, total * f64::from(1 + series % 10));
        }
    }
    memory
}

/// The last hour, a step a scrape.
pub(crate) const fn steps() -> Steps {
    Steps { start_ms: 300_000, end_ms: 3_900_000, step_ms: STEP_MS }
}
