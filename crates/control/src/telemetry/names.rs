//! The names of the platform's own metrics, and what stands in their labels. `docs/metrics.md` says what each means.

use telemetry::report::Caller;

pub(super) const REQUESTS: &str = "pelago_requests_total";
pub(super) const FIRST_ATTEMPTS: &str = "pelago_first_attempts_total";
pub(super) const RETRIES: &str = "pelago_retries_total";
pub(super) const HEDGES: &str = "pelago_hedges_total";
pub(super) const REFUSED: &str = "pelago_refused_requests_total";
pub(super) const QUEUED: &str = "pelago_queued_requests_total";
pub(super) const BODY_BYTES: &str = "pelago_body_bytes_total";
pub(super) const DURATION: &str = "pelago_request_duration_seconds";
pub(super) const IN_FLIGHT: &str = "pelago_requests_in_flight";
pub(super) const LIMIT: &str = "pelago_requests_limit";
pub(super) const EDGE_OPEN: &str = "pelago_edge_open";
pub(super) const EJECTED: &str = "pelago_instance_ejected";
pub(super) const CLIENT_CONNECTIONS: &str = "pelago_client_connections";
pub(super) const UPSTREAM_CONNECTIONS: &str = "pelago_upstream_connections";
pub(super) const SPANS_DROPPED: &str = "pelago_spans_dropped_total";
pub(super) const DATA_PLANE_UP: &str = "pelago_data_plane_up";

pub(super) const INSTANCE_READY: &str = "pelago_instance_ready";
pub(super) const INSTANCE_CPU: &str = "pelago_instance_cpu_seconds_total";
pub(super) const INSTANCE_MEMORY: &str = "pelago_instance_resident_bytes";
pub(super) const INSTANCE_PROCESSES: &str = "pelago_instance_processes";
pub(super) const INSTANCES_WANTED: &str = "pelago_service_wanted_instances";
pub(super) const INSTANCES_READY: &str = "pelago_service_ready_instances";
pub(super) const INSTANCES_CREATED: &str = "pelago_service_instances_created_total";
pub(super) const FAILED_STARTS: &str = "pelago_service_failed_starts";

pub(super) const INDEX: &str = "pelago_index";
pub(super) const PROCESS_CPU: &str = "pelago_process_cpu_seconds_total";
pub(super) const PROCESS_MEMORY: &str = "pelago_process_resident_bytes";

pub(super) const STORE_SERIES: &str = "pelago_metrics_series";
pub(super) const STORE_SAMPLES: &str = "pelago_metrics_samples_total";
pub(super) const STORE_BYTES: &str = "pelago_store_bytes";
pub(super) const STORE_REFUSED: &str = "pelago_metrics_refused_total";
pub(super) const SPANS: &str = "pelago_spans_total";
pub(super) const LOG_RECORDS: &str = "pelago_log_records_total";

/// What is said of each: its kind and its meaning.
pub(super) const ABOUT: &[(&str, &str, &str)] = &[
    (REQUESTS, "counter", "Requests that ended, by what the caller got."),
    (FIRST_ATTEMPTS, "counter", "First attempts that ended, by what they came to."),
    (RETRIES, "counter", "Attempts after the first."),
    (HEDGES, "counter", "Second requests sent because the first took long."),
    (REFUSED, "counter", "Requests refused before an instance was chosen, by reason."),
    (QUEUED, "counter", "Requests that waited for a place below the limit."),
    (BODY_BYTES, "counter", "Bytes of bodies, in towards instances and out towards callers."),
    (DURATION, "histogram", "Time from a request to the end of its answer."),
    (IN_FLIGHT, "gauge", "Requests in flight over an edge."),
    (LIMIT, "gauge", "The limit on requests in flight that is in force."),
    (EDGE_OPEN, "gauge", "1 while an edge's own circuit breaker is open."),
    (EJECTED, "gauge", "1 while an instance is left alone by an edge because it failed."),
    (CLIENT_CONNECTIONS, "gauge", "Connections from clients that are open."),
    (UPSTREAM_CONNECTIONS, "gauge", "Connections to instances that are open."),
    (SPANS_DROPPED, "counter", "Spans the data plane had no room for."),
    (DATA_PLANE_UP, "gauge", "1 while the data plane is connected."),
    (INSTANCE_READY, "gauge", "1 while an instance can take requests."),
    (INSTANCE_CPU, "counter", "Processor time of an instance's processes."),
    (INSTANCE_MEMORY, "gauge", "Resident memory of an instance's processes."),
    (INSTANCE_PROCESSES, "gauge", "Processes of an instance."),
    (INSTANCES_WANTED, "gauge", "Instances wanted of a service."),
    (INSTANCES_READY, "gauge", "Instances of a service that can take requests."),
    (
        INSTANCES_CREATED,
        "counter",
        "Instances of a service that were ever created, restarts among them.",
    ),
    (FAILED_STARTS, "gauge", "Failed starts in a row, summed over a service's slots."),
    (INDEX, "gauge", "The index of the world."),
    (PROCESS_CPU, "counter", "Processor time of the platform's own processes."),
    (PROCESS_MEMORY, "gauge", "Resident memory of the platform's own processes."),
    (STORE_SERIES, "gauge", "Live series in the store of metrics."),
    (STORE_SAMPLES, "counter", "Samples taken in since the control process started."),
    (STORE_BYTES, "gauge", "Bytes on disk, by signal."),
    (SPANS, "counter", "Spans that came: taken or refused; and those left out by sampling later."),
    (LOG_RECORDS, "counter", "Records that were said, by what became of them."),
    (STORE_REFUSED, "counter", "Samples refused, by where they came from and why."),
];

/// Upper bounds of the buckets of durations: in seconds as labels have it, and in microseconds. From what a call on one
/// machine takes to what nobody waits for.
pub(super) const BOUNDS: [(&str, u64); 17] = [
    ("0.0001", 100),
    ("0.00025", 250),
    ("0.0005", 500),
    ("0.001", 1_000),
    ("0.0025", 2_500),
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.05", 50_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("1", 1_000_000),
    ("2.5", 2_500_000),
    ("5", 5_000_000),
    ("10", 10_000_000),
    ("30", 30_000_000),
];

/// The least bound that a duration of so many microseconds is not above.
pub(super) fn bound_of(duration_us: u64) -> &'static str {
    BOUNDS.iter().find(|it| duration_us <= it.1).map_or("+Inf", |it| it.0)
}

/// Who calls, as a label has it: a service's name, or `route:` and the route.
pub(super) fn caller(caller: &Caller) -> String {
    match caller {
        Caller::Service(service) => service.to_string(),
        Caller::Route(route) => format!("route:{route}"),
    }
}
