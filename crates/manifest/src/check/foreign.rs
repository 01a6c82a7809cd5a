//! Keys people know from elsewhere, and what to write here instead.

/// The remedy for `key` in a mapping of kind `owner`, if it is one people bring along.
pub(crate) fn remedy(owner: &str, key: &str) -> Option<&'static str> {
    let table: &[(&str, &str)] = match owner {
        "application" => &TOP,
        "scenario" => &SCENARIO,
        "users" => &USERS,
        "fault" => &FAULT,
        "objective" => &OBJECTIVE,
        "service" => &SERVICE,
        "check" => &CHECK,
        "behaviour" => &BEHAVIOUR,
        "dependency" => &DEPENDENCY,
        "defaults" => &DEFAULTS,
        "resilience" => &RESILIENCE,
        "route" => &ROUTE,
        "circuit-breaker" => &CIRCUIT_BREAKER,
        _ => return None,
    };
    table.iter().find(|(it, _)| *it == key).map(|(_, remedy)| *remedy)
}

const TOP: [(&str, &str); 9] = [
    (
        "apiVersion",
        "if this is a manifest of Kubernetes, it is not read here; write each Deployment as a service",
    ),
    (
        "version",
        "if this is a Compose file, `pelago import` makes a pelago.yaml of it; else remove it",
    ),
    ("volumes", "data that outlives releases is `data` of a service, a folder told in `DATA_DIR`"),
    ("networks", "services reach what they name under `calls`; no networks are needed"),
    ("secrets", "write `environment: {TOKEN: \"${env.TOKEN}\"}` to take one from your shell"),
    ("configs", "write `config`, a mapping of values"),
    ("arch", "this is a spigo architecture; `pelago import` makes a pelago.yaml of it"),
    ("include", "an application is one file; copy the services here"),
    ("environment", "write it below `defaults` for all services, or in one of them"),
];

const SERVICE: [(&str, &str); 26] = [
    ("expose", "write `port: 8080` for the port it listens on"),
    ("env", "write `environment`"),
    ("volumes", "name a resource under `depends_on`; files of a service come from its `artifact`"),
    ("networks", "name the services it calls under `calls`; no networks are needed"),
    ("links", "name the services it calls under `calls`"),
    ("upstreams", "name the services it calls under `calls`"),
    ("entrypoint", "put the program first in `command`"),
    ("args", "put the arguments behind the program in `command`"),
    ("container_name", "instances are named by their service; remove it"),
    ("hostname", "instances are named by their service; remove it"),
    ("scale", "write `replicas`"),
    ("count", "write `replicas`"),
    ("instances", "write `replicas`"),
    ("deploy", "write `replicas`, `limits` and `update` in the service itself"),
    ("mem_limit", "write `limits: {memory: 256MiB}`"),
    ("memory", "write `limits: {memory: 256MiB}`"),
    ("cpus", "write `limits: {cpus: 0.5}`"),
    ("resources", "write `limits` for processors and memory, and `depends_on` for datastores"),
    ("labels", "write `owner` for who looks after it; other labels have no use here"),
    ("working_dir", "a command runs in the copy of its `artifact`; point `artifact` at the folder"),
    ("user", "a process runs as whoever runs Pelago; remove it"),
    ("readiness", "write `healthcheck`"),
    (
        "timeout",
        "write it in `calls`, per callee, or in `defaults: {resilience: {timeout: 800ms}}`",
    ),
    ("retry", "write it in `calls`, per callee, or below `defaults: {resilience: ..}`"),
    ("work", "write it below `behaviour`"),
    ("host", "write a route at the top level: `routes: [{host: shop.localhost, service: web}]`"),
];

const CHECK: [(&str, &str); 6] = [
    ("test", "write `command`, or `path` for a GET"),
    ("http", "write `path: /health`"),
    ("url", "write `path: /health`; host and port are known"),
    ("port", "the instance's own port is asked; remove it"),
    ("disable", "write `healthcheck: none`"),
    ("start_interval", "tries are `interval` apart from the start; remove it"),
];

const BEHAVIOUR: [(&str, &str); 4] = [
    ("latency", "write `work`, the time spent on a request"),
    ("error_rate", "write `errors`, a percentage"),
    ("steps", "write `calls`"),
    ("delay", "write `work`, the time spent on a request"),
];

const DEPENDENCY: [(&str, &str); 2] = [
    ("restart", "it is not restarted with its dependency; remove it"),
    ("required", "a dependency is always required; remove it, or the dependency"),
];

const DEFAULTS: [(&str, &str); 4] = [
    ("timeout", "write it below `resilience`"),
    ("retry", "write it below `resilience`"),
    ("circuit_breaker", "write it below `resilience`"),
    ("replicas", "write it in each service"),
];

const ROUTE: [(&str, &str); 8] = [
    ("hosts", "write a route for each `host`, or `*.` at its beginning for all below it"),
    ("prefix", "write `path`, which is a prefix"),
    ("upstream", "write `service`"),
    ("backend", "write `service`"),
    (
        "to",
        "write `service` for where requests go, or `redirect: {to: ..}` for where clients are sent",
    ),
    ("timeout", "write `resilience: {timeout: 800ms}`"),
    ("retry", "write `resilience: {retry: {attempts: 2}}`"),
    ("tls", "the gateway decrypts for all routes; see `pelago serve --gateway-tls`"),
];

const SCENARIO: [(&str, &str); 8] = [
    ("name", "a scenario is called like its file; remove it"),
    ("load", "write who sends it: `users: [{load: 100/s, to: web}]`"),
    ("rate", "write who sends it: `users: [{load: 100/s, to: web}]`"),
    ("slo", "write `objective: {success: 99.9%, p99: 500ms}`"),
    ("seed", "a seed belongs to a run: `pelago sim run --seed 7`"),
    ("chaos", "write `faults`"),
    ("events", "write `faults`"),
    ("latency", "write `network: {within_zone: 250us, between_zones: 1ms}`"),
];

const USERS: [(&str, &str); 6] = [
    ("rate", "write `load`"),
    ("count", "write `users`"),
    ("target", "write `to`, or `requests` for several"),
    ("service", "write `to`, or `requests` for several"),
    ("retry", "write `again: {attempts: 3, pause: 1s}`"),
    ("weight", "write it in `requests`"),
];

const FAULT: [(&str, &str); 6] = [
    ("duration", "write `for`"),
    ("factor", "write `by` beside `slow`"),
    ("service", "write it behind what happens to it, as in `kill: cart`"),
    ("probability", "write `errors: 5%` beside `flaky`"),
    ("latency", "write `delay: 50ms` for messages, or `slow: cart` and `by: 10` for work"),
    ("zone", "write `lose_zone`"),
];

const OBJECTIVE: [(&str, &str); 3] = [
    ("availability", "write `success`"),
    ("errors", "write `success`, the share that is answered well"),
    ("latency", "write the quantile that is meant, as in `p99: 500ms`"),
];

const CIRCUIT_BREAKER: [(&str, &str); 2] = [
    ("threshold", "write `consecutive_errors`, or `error_rate` for a share"),
    ("errors", "write `consecutive_errors`, or `error_rate` for a share"),
];

const RESILIENCE: [(&str, &str); 6] = [
    ("retries", "write `retry: {attempts: 2}`"),
    ("attempts", "write `retry: {attempts: 2}`"),
    ("deadline", "write `timeout`"),
    ("concurrency", "write `max_concurrency`"),
    ("load_balancing", "write `balance`"),
    ("service", "write the callee as the key: `payments: {timeout: 2s}`"),
];
