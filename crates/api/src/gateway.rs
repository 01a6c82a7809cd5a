//! Views of routes: what is found where from outside, and what came.

use model::ApplicationName;
use model::route::{PathParameters, Priority, RateLimit, Route, RouteTarget};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::World;
use world::routing::route_key;

use crate::edge::{key_in_words, policy_in_words, running};
use crate::figures::TrafficView;
use crate::traffic::{Caller, Traffic};

/// Every route of the gateway, of one application or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoutesView {
    /// Whether a data plane reports; without one nothing is routed and there are no figures.
    pub connected: bool,
    /// Seconds the figures are of.
    pub window_s: f64,
    /// Where the gateway listens.
    pub addresses: Vec<String>,
    /// The routes, by application, in the order written.
    pub routes: Vec<RouteView>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteView {
    /// The application.
    pub application: String,
    /// Host to match; `*` is every one.
    pub host: String,
    /// Path prefix to match.
    pub path: String,
    /// Methods to match; every one if empty.
    pub methods: Vec<String>,
    /// Headers to match, as `name` or `name: value`.
    pub headers: Vec<String>,
    /// The service requests go to, if they go to one.
    pub service: Option<String>,
    /// How it is called in spans and in the graph.
    pub key: String,
    /// Where requests go, in words.
    pub target: String,
    /// Where it is found.
    pub urls: Vec<String>,
    /// What else is done, in words, one each.
    pub flags: Vec<String>,
    /// The policy of the edge from outside to the service, in words.
    pub policy: String,
    /// What crossed; absent if nothing ever did.
    pub traffic: Option<TrafficView>,
}

impl RoutesView {
    /// The routes of applications that have not been stopped, of one only if one is named.
    pub fn of(world: &World, traffic: &Traffic, only: Option<&ApplicationName>) -> Self {
        let of_application = |(name, state): (&ApplicationName, &world::ApplicationState)| {
            let routes = state.definition.routes.iter();
            routes.map(|it| view(name, it, traffic)).collect::<Vec<_>>()
        };
        Self {
            connected: traffic.connected,
            window_s: traffic.window.as_secs_f64(),
            addresses: traffic.gateway.clone(),
            routes: running(world, only).flat_map(of_application).collect(),
        }
    }
}

fn view(application: &ApplicationName, route: &Route, traffic: &Traffic) -> RouteView {
    let caller = Caller::Route(route_key(route));
    let crossed = route.service().and_then(|it| traffic.edge(application, &caller, it));
    let header = |it: &model::route::HeaderMatch| match &it.value {
        Some(value) => format!("{}: {value}", it.name),
        None => it.name.clone(),
    };
    RouteView {
        application: application.to_string(),
        host: route.host.clone().unwrap_or_else(|| "*".to_owned()),
        path: route.path.clone(),
        methods: route.methods.clone(),
        headers: route.headers.iter().map(header).collect(),
        service: route.service().map(ToString::to_string),
        key: route_key(route),
        target: target_in_words(&route.target),
        urls: traffic.gateway.iter().map(|it| url(it, route)).collect(),
        flags: flags(route),
        policy: policy_in_words(&route.resilience),
        traffic: crossed.map(|it| TrafficView::of(it, traffic.window)),
    }
}

fn target_in_words(target: &RouteTarget) -> String {
    match target {
        RouteTarget::Service(service) => service.to_string(),
        RouteTarget::Redirect(redirect) => format!("{} to {}", redirect.status, redirect.to),
        RouteTarget::Maintenance(_) => "maintenance page".to_owned(),
    }
}

/// Where a route is found at the gateway's address `at`. A name that stands for many cannot be typed.
fn url(at: &str, route: &Route) -> String {
    let host = route.host.as_deref().filter(|it| !it.starts_with('*'));
    let port = at.rsplit_once(':').map(|(_, port)| port);
    match (host, at.split_once("://"), port) {
        (Some(host), Some((scheme, _)), Some(port)) => {
            format!("{scheme}://{host}:{port}{}", route.path)
        }
        _ => format!("{at}{}", route.path),
    }
}

fn flags(route: &Route) -> Vec<String> {
    let when = |yes: bool, text: &str| yes.then(|| text.to_owned());
    let edits = !route.request_headers.is_empty() || !route.response_headers.is_empty();
    let priority = match route.priority {
        Priority::Sheddable => Some("sheddable"),
        Priority::Low => Some("low priority"),
        Priority::Normal => None,
        Priority::Critical => Some("critical"),
    };
    [
        when(route.strip_prefix, "strips prefix"),
        route.rewrite.as_ref().map(|it| format!("rewrites to {it}")),
        when(route.cors.is_some(), "cors"),
        when(route.compress, "compresses"),
        when(edits, "edits headers"),
        route.rate_limit.as_ref().map(rate_in_words),
        route.max_body.map(|it| format!("bodies up to {it}")),
        priority.map(str::to_owned),
        when(route.error_page.is_some(), "error page"),
        when(route.path_parameters == PathParameters::Ignore, "ignores path parameters"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn rate_in_words(limit: &RateLimit) -> String {
    let (whole, rest) =
        (limit.per_second_thousandths / 1_000, limit.per_second_thousandths % 1_000);
    let fraction = format!(".{rest:03}");
    let fraction = if rest == 0 { "" } else { fraction.trim_end_matches('0') };
    let key = limit.key.as_ref().map(|it| format!(" by {}", key_in_words(it)));
    format!("at most {whole}{fraction}/s{}", key.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(json: &str) -> Route {
        serde_json::from_str(json).unwrap()
    }

    #[track_caller]
    fn check(json: &str, target: &str, urls: &[&str], flags: &[&str]) {
        let gateway = vec!["http://127.0.0.1:8080".to_owned(), "https://127.0.0.1:8443".to_owned()];
        let traffic = Traffic { gateway, ..Traffic::default() };
        let view = view(&"shop".parse().unwrap(), &route(json), &traffic);
        assert_eq!(view.target, target);
        assert_eq!(view.urls, urls);
        assert_eq!(view.flags, flags);
    }

    #[test]
    fn a_route_is_found_by_its_host_at_the_gateways_ports() {
        check(
            r#"{"host": "shop.localhost", "path": "/api", "service": "orders", "strip_prefix": true}"#,
            "orders",
            &["http://shop.localhost:8080/api", "https://shop.localhost:8443/api"],
            &["strips prefix"],
        );
        let anywhere = &["http://127.0.0.1:8080/", "https://127.0.0.1:8443/"];
        check(r#"{"path": "/", "service": "web"}"#, "web", anywhere, &[]);
        check(
            r#"{"host": "*.shop.localhost", "path": "/", "maintenance": "<p>soon</p>"}"#,
            "maintenance page",
            anywhere,
            &[],
        );
    }

    #[test]
    fn what_else_is_done_is_said() {
        check(
            r#"{"path": "/", "redirect": {"to": "https://{host}{path}", "status": 308},
                "rewrite": "/v2", "compress": true, "priority": "critical", "error_page": "<p>",
                "cors": {"origins": ["*"]}, "request_headers": {"remove": ["cookie"]},
                "rate_limit": {"per_second_thousandths": 2500, "burst": 5, "key": "client-address"}}"#,
            "308 to https://{host}{path}",
            &["http://127.0.0.1:8080/", "https://127.0.0.1:8443/"],
            &[
                "rewrites to /v2",
                "cors",
                "compresses",
                "edits headers",
                "at most 2.5/s by client address",
                "critical",
                "error page",
            ],
        );
    }
}
