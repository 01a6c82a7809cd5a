//! A report as Prometheus' exposition text, under the names the platform's own metrics have, so that dashboards and rules
//! for the real application read the simulated one.
//!
//! Counters are what a replication counted, on average: rates times the time that was counted. A report has quantiles, not
//! buckets, so durations are a summary.

use api::simulation::{EdgeReport, Estimate, Latencies, Report};

/// What is written of one metric: its name, kind and meaning, and its samples, labels and value each.
struct Metric {
    about: (&'static str, &'static str, &'static str),
    samples: Vec<(String, f64)>,
}

const REQUESTS: (&str, &str, &str) =
    ("pelago_requests_total", "counter", "Requests that ended, by what the caller got.");
const RETRIES: (&str, &str, &str) =
    ("pelago_retries_total", "counter", "Attempts after the first.");
const HEDGES: (&str, &str, &str) =
    ("pelago_hedges_total", "counter", "Second requests sent because the first took long.");
const REFUSED: (&str, &str, &str) = (
    "pelago_refused_requests_total",
    "counter",
    "Requests refused before an instance was chosen, by reason.",
);
const DURATION: (&str, &str, &str) =
    ("pelago_request_duration_seconds", "summary", "Time from a request to the end of its answer.");
const READY: (&str, &str, &str) =
    ("pelago_service_ready_instances", "gauge", "Instances of a service that can take requests.");
const BUSY: (&str, &str, &str) =
    ("pelago_service_busy_ratio", "gauge", "Share of a service's workers that are busy.");
const WAITING: (&str, &str, &str) =
    ("pelago_service_waiting_requests", "gauge", "Requests waiting for a worker.");
const SIMULATION: (&str, &str, &str) =
    ("pelago_simulation_info", "gauge", "What was run: always 1.");

/// The text, of the time that was counted.
pub fn prometheus(report: &Report) -> String {
    let counted_s = (report.origin.duration_s - report.origin.warm_up_s).max(0.0);
    let application = report.origin.application.as_str();
    let mut metrics: Vec<Metric> =
        [REQUESTS, RETRIES, HEDGES, REFUSED, DURATION, READY, BUSY, WAITING, SIMULATION]
            .map(|about| Metric { about, samples: Vec::new() })
            .into();
    let mut add = |about: (&str, &str, &str), suffix: &str, names: &[(&str, &str)], value: f64| {
        let metric = metrics.iter_mut().find(|it| it.about.0 == about.0);
        if let Some(metric) = metric.filter(|_| value.is_finite()) {
            metric
                .samples
                .push((format!("{}{suffix}{}", about.0, labels(application, names)), value));
        }
    };
    for edge in &report.edges {
        for (about, suffix, names, value) in of_edge(edge, counted_s) {
            let mut all = vec![("caller", edge.caller.as_str()), ("callee", edge.callee.as_str())];
            all.extend(names);
            add(about, suffix, &all, value);
        }
    }
    for service in &report.services {
        let names = [("service", service.name.as_str())];
        add(READY, "", &names, service.instances);
        add(WAITING, "", &names, service.waiting.value);
        if let Some(busy) = &service.utilisation {
            add(BUSY, "", &names, busy.value);
        }
    }
    let origin = &report.origin;
    let seed = origin.seed.to_string();
    let names = [
        ("version", origin.version.as_str()),
        ("seed", &seed),
        ("model", &origin.model),
        ("digest", &origin.digest),
    ];
    add(SIMULATION, "", &names, 1.0);
    written(&metrics)
}

type Sample<'a> =
    ((&'static str, &'static str, &'static str), &'static str, Vec<(&'static str, &'a str)>, f64);

/// What crossed an edge: metric, suffix, labels beside its names, value.
fn of_edge(edge: &EdgeReport, counted_s: f64) -> Vec<Sample<'_>> {
    let count = |rate: f64| (rate * counted_s).round().max(0.0);
    let total = count(edge.calls.value);
    let errors = if edge.errors.value.is_nan() { 0.0 } else { edge.errors.value.clamp(0.0, 1.0) };
    let failed = (total * errors).round();
    let mut samples: Vec<Sample<'_>> = vec![
        (REQUESTS, "", vec![("outcome", "ok")], total - failed),
        (REQUESTS, "", vec![("outcome", "failed")], failed),
        (RETRIES, "", Vec::new(), count(edge.retries.value)),
        (HEDGES, "", Vec::new(), count(edge.hedges.value)),
        (DURATION, "_sum", Vec::new(), edge.latency.mean_ms.value / 1e3 * total),
        (DURATION, "_count", Vec::new(), total),
    ];
    for (reason, rate) in &edge.refused {
        samples.push((REFUSED, "", vec![("reason", reason)], count(rate.value)));
    }
    for (quantile, found) in quantiles(&edge.latency) {
        samples.push((DURATION, "", vec![("quantile", quantile)], found.value / 1e3));
    }
    samples
}

const fn quantiles(latency: &Latencies) -> [(&'static str, &Estimate); 4] {
    [
        ("0.5", &latency.p50_ms),
        ("0.9", &latency.p90_ms),
        ("0.99", &latency.p99_ms),
        ("0.999", &latency.p999_ms),
    ]
}

fn labels(application: &str, names: &[(&str, &str)]) -> String {
    let mut text = format!("{{application=\"{}\"", escaped(application));
    for (name, value) in names {
        add!(text, ",{name}=\"{}\"", escaped(value));
    }
    text.push('}');
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn written(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for metric in metrics.iter().filter(|it| !it.samples.is_empty()) {
        let (name, kind, meaning) = metric.about;
        add!(text, "# HELP {name} {meaning}\n# TYPE {name} {kind}\n");
        for (series, value) in &metric.samples {
            add!(text, "{series} {value}\n");
        }
    }
    text
}
