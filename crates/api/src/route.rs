//! The native API's routes, in one place: what `server` serves and what the OpenAPI text says.

/// An HTTP method the API uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Asks.
    Get,
    /// Changes something.
    Post,
}

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name, unique.
    pub name: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path, with `{parameters}`.
    pub path: &'static str,
    /// What it is for, in a sentence.
    pub summary: &'static str,
    /// Its query parameters: name and meaning.
    pub query: &'static [(&'static str, &'static str)],
    /// The type of its request body, if it has one.
    pub request: Option<&'static str>,
    /// The type of its answer.
    pub response: &'static str,
}

const APPLICATION: (&str, &str) = ("application", "only this application");
const AT: (&str, &str) = ("at", "the state then: `@INDEX`, or a time in RFC 3339");
const AFTER: (&str, &str) =
    ("after", "answer when the index is above this (a long poll, with `wait`)");
const WAIT: (&str, &str) = ("wait", "longest time to wait, such as `30s`; at most `5m`");
const LOG_QUERY: &[(&str, &str)] = &[
    ("target", "services or instances, with commas between"),
    ("since", "only lines from this time on, in RFC 3339"),
    ("tail", "only the last so many lines of each instance"),
    ("cursor", "where the page before ended: its `next`"),
    ("limit", "at most so many lines"),
    WAIT,
];

/// Every route.
pub const ROUTES: &[Route] = &[
    Route {
        name: "health",
        method: Method::Get,
        path: "/health",
        summary: "Whether the control process answers.",
        query: &[],
        request: None,
        response: "Health",
    },
    Route {
        name: "openapi",
        method: Method::Get,
        path: "/openapi.json",
        summary: "This document.",
        query: &[],
        request: None,
        response: "OpenApi",
    },
    Route {
        name: "status",
        method: Method::Get,
        path: "/v1/status",
        summary: "The state now, in the past, or as soon as it has changed. The ETag is its index.",
        query: &[APPLICATION, AT, AFTER, WAIT],
        request: None,
        response: "StatusView",
    },
    Route {
        name: "events",
        method: Method::Get,
        path: "/v1/events",
        summary: "What happened, oldest first.",
        query: &[
            AFTER,
            WAIT,
            ("limit", "at most so many events"),
            APPLICATION,
            ("service", "only this service"),
            ("latest", "`true`: the newest events when there are more than `limit`"),
        ],
        request: None,
        response: "EventView[]",
    },
    Route {
        name: "event_stream",
        method: Method::Get,
        path: "/v1/events/stream",
        summary: "What happens, as server-sent events; each one's id is its index.",
        query: &[AFTER, APPLICATION],
        request: None,
        response: "EventStream",
    },
    Route {
        name: "apply",
        method: Method::Post,
        path: "/v1/applications",
        summary: "Makes an application run as described.",
        query: &[],
        request: Some("Apply"),
        response: "Accepted",
    },
    Route {
        name: "plan",
        method: Method::Post,
        path: "/v1/plan",
        summary: "What applying a description would change.",
        query: &[],
        request: Some("Apply"),
        response: "PlanView",
    },
    Route {
        name: "stop",
        method: Method::Post,
        path: "/v1/applications/{application}/stop",
        summary: "Makes an application stop.",
        query: &[],
        request: None,
        response: "Accepted",
    },
    Route {
        name: "restart_all",
        method: Method::Post,
        path: "/v1/applications/{application}/restart",
        summary: "Replaces every instance of an application.",
        query: &[],
        request: None,
        response: "Accepted",
    },
    Route {
        name: "restart",
        method: Method::Post,
        path: "/v1/applications/{application}/services/{service}/restart",
        summary: "Replaces every instance of a service.",
        query: &[],
        request: None,
        response: "Accepted",
    },
    Route {
        name: "scale",
        method: Method::Post,
        path: "/v1/applications/{application}/services/{service}/scale",
        summary: "Changes the number of a service's instances.",
        query: &[],
        request: Some("Scale"),
        response: "Accepted",
    },
    Route {
        name: "releases",
        method: Method::Get,
        path: "/v1/applications/{application}/releases",
        summary: "The releases that are remembered, the newest of each service first.",
        query: &[("service", "only this service")],
        request: None,
        response: "ReleaseEntry[]",
    },
    Route {
        name: "diff",
        method: Method::Get,
        path: "/v1/applications/{application}/services/{service}/diff",
        summary: "How two releases of a service differ.",
        query: &[("from", "the first, such as `r11`"), ("to", "the second")],
        request: None,
        response: "DiffView",
    },
    Route {
        name: "set_traffic",
        method: Method::Post,
        path: "/v1/applications/{application}/services/{service}/traffic",
        summary: "Shares requests to a service among its releases, until somebody says otherwise.",
        query: &[],
        request: Some("SetTraffic"),
        response: "Accepted",
    },
    Route {
        name: "rollouts",
        method: Method::Get,
        path: "/v1/rollouts",
        summary: "Rollouts in progress, and the last one of every other service that had one.",
        query: &[APPLICATION, ("service", "only this service")],
        request: None,
        response: "RolloutView[]",
    },
    Route {
        name: "steer",
        method: Method::Post,
        path: "/v1/applications/{application}/services/{service}/rollout",
        summary: "Pauses, resumes, promotes or aborts a rollout.",
        query: &[],
        request: Some("Steer"),
        response: "Accepted",
    },
    Route {
        name: "roll_back",
        method: Method::Post,
        path: "/v1/applications/{application}/services/{service}/rollback",
        summary: "Gives all traffic to an earlier release again.",
        query: &[],
        request: Some("Rollback"),
        response: "Accepted",
    },
    Route {
        name: "logs",
        method: Method::Get,
        path: "/v1/applications/{application}/logs",
        summary: "What instances said.",
        query: LOG_QUERY,
        request: None,
        response: "LogPage",
    },
    Route {
        name: "exec",
        method: Method::Get,
        path: "/v1/applications/{application}/instances/{instance}/exec",
        summary: "What a command needs to run beside an instance.",
        query: &[],
        request: None,
        response: "ExecView",
    },
    Route {
        name: "edges",
        method: Method::Get,
        path: "/v1/edges",
        summary: "Every declared call: where the callee is found, by which policy, and what crossed in \
                  the last seconds.",
        query: &[APPLICATION],
        request: None,
        response: "EdgesView",
    },
    Route {
        name: "routes",
        method: Method::Get,
        path: "/v1/routes",
        summary: "Every route of the gateway, and what came by it in the last seconds.",
        query: &[APPLICATION],
        request: None,
        response: "RoutesView",
    },
    Route {
        name: "graph",
        method: Method::Get,
        path: "/v1/graph",
        summary: "The architecture as declared, with what of it was seen in use.",
        query: &[APPLICATION, ("format", "`json` (the default), `text`, `dot` or `mermaid`")],
        request: None,
        response: "GraphView",
    },
    Route {
        name: "spans",
        method: Method::Get,
        path: "/v1/spans",
        summary: "The latest sampled calls, newest first.",
        query: &[
            APPLICATION,
            ("service", "only calls of this service and to it"),
            ("errors", "`true`: only calls that failed"),
            ("limit", "at most so many spans"),
        ],
        request: None,
        response: "SpanView[]",
    },
    Route {
        name: "doctor",
        method: Method::Get,
        path: "/v1/doctor",
        summary: "What is right and wrong with the machine and the platform on it.",
        query: &[],
        request: None,
        response: "Finding[]",
    },
    Route {
        name: "shut_down",
        method: Method::Post,
        path: "/v1/shutdown",
        summary: "Ends the control process; instances go on.",
        query: &[],
        request: None,
        response: "Health",
    },
];
