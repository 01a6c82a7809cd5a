//! Routes: what requests they take, and what becomes of these.

use std::collections::BTreeMap;

use model::edge::Resilience;
use model::route::{
    Cors, HeaderMatch, PathParameters, Priority, RateLimit, Redirect, Route, RouteTarget,
};

use super::Reader;
use super::defaults::{REDIRECT_STATUS, ROUTE_PATH};
use crate::check::{is_stray, listed};
use crate::problem::Place;
use crate::spec::{
    ApplicationSpec, CorsSpec, PathParametersSpec, PrioritySpec, RateLimitSpec, RedirectSpec,
    RouteSpec, Scalar,
};
use crate::yaml::At;

/// The statuses a redirect may have: those with a `location` that clients follow.
const REDIRECT_STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
/// Bytes of a page in a manifest. More is a site, which a service should serve.
const PAGE_BYTES_MAX: usize = 64 << 10;

/// What a route takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Match {
    host: Option<String>,
    path: String,
    methods: Vec<String>,
    headers: Vec<(String, Option<String>)>,
}

impl Reader<'_> {
    pub(super) fn routes(
        &mut self,
        routes: &[RouteSpec],
        at: At<'_>,
        base: &Resilience,
    ) -> Vec<Route> {
        let mut meant = Vec::new();
        let mut seen = BTreeMap::new();
        for (index, spec) in routes.iter().enumerate() {
            let at = at.item(index);
            let matched = self.matched(spec, at);
            if let Some(line) = seen.insert(matched.clone(), at.place.line) {
                let message = format!(
                    "this route takes the same requests as the one at line {line}; remove one"
                );
                self.findings.error(at.place, message);
            }
            meant.extend(self.route(spec, at, matched, base));
        }
        meant
    }

    /// Has all routes see parameters of paths as `defaults` say. One that has a parameter itself would take nothing.
    pub(super) fn path_parameters(
        &mut self,
        meant: &mut [Route],
        written: &ApplicationSpec,
        at: At<'_>,
    ) {
        let parameters = written.defaults.as_ref().and_then(|it| it.path_parameters);
        if parameters.unwrap_or_default() == PathParametersSpec::Keep {
            return;
        }
        for route in meant {
            route.path_parameters = PathParameters::Ignore;
        }
        for (index, spec) in written.routes.iter().flatten().enumerate() {
            if spec.path.as_deref().is_some_and(|it| it.contains(';')) {
                let message = "`defaults.path_parameters: ignore` leaves out what begins with `;`, so nothing has this path; \
                               remove it from the path";
                self.findings.error(at.item(index).key("path").place, message);
            }
        }
    }

    fn matched(&mut self, spec: &RouteSpec, at: At<'_>) -> Match {
        let host = spec.host.as_deref().and_then(|it| self.host(it, at.key("host").place));
        let path = spec.path.as_deref().unwrap_or(ROUTE_PATH);
        self.route_path(path, at.key("path").place);
        let methods = self.methods(spec.methods.as_deref(), at.key("methods"));
        let headers_at = at.key("headers");
        let mut headers = Vec::new();
        for (name, value) in spec.headers.iter().flatten() {
            let lower = self.header_name(name, headers_at.named(name));
            let value = value
                .as_ref()
                .and_then(|Scalar(it)| self.header_value(it, headers_at.key(name).place));
            headers.extend(lower.map(|it| (it, value)));
        }
        Match { host, path: path.to_owned(), methods, headers }
    }

    fn route(
        &mut self,
        spec: &RouteSpec,
        at: At<'_>,
        matched: Match,
        base: &Resilience,
    ) -> Option<Route> {
        let target = self.target(spec, at);
        if let Some(rewrite) = spec.rewrite.as_deref() {
            self.route_path(rewrite, at.key("rewrite").place);
        }
        if spec.rewrite.is_some() && spec.strip_prefix == Some(true) {
            let message = "`rewrite` puts something in place of the prefix; remove `strip_prefix`";
            self.findings.error(at.named("strip_prefix"), message);
        }
        let resilience = match &spec.resilience {
            Some(spec) => self.resilience(base, spec, at.key("resilience")),
            None => base.clone(),
        };
        let request_headers =
            self.header_edits(spec.request_headers.as_ref(), at.key("request_headers"));
        let response_headers =
            self.header_edits(spec.response_headers.as_ref(), at.key("response_headers"));
        let cors = spec.cors.as_ref().and_then(|it| self.cors(it, at.key("cors")));
        let rate_limit =
            spec.rate_limit.as_ref().and_then(|it| self.rate_limit(it, at.key("rate_limit")));
        if let Some(page) = spec.error_page.as_deref() {
            self.page(page, at.key("error_page").place);
        }
        let Match { host, path, methods, headers } = matched;
        let headers = headers.into_iter().map(|(name, value)| HeaderMatch { name, value });
        Some(Route {
            host,
            path,
            methods,
            headers: headers.collect(),
            target: target?,
            strip_prefix: spec.strip_prefix.unwrap_or_default(),
            rewrite: spec.rewrite.clone(),
            resilience,
            request_headers,
            response_headers,
            cors,
            compress: spec.compress.unwrap_or_default(),
            rate_limit,
            max_body: spec.max_body.map(|it| it.0),
            priority: spec.priority.map_or_else(Priority::default, priority),
            error_page: spec.error_page.clone(),
            path_parameters: PathParameters::default(),
        })
    }

    /// Exactly one of three; nothing if it is none, or wrong.
    fn target(&mut self, spec: &RouteSpec, at: At<'_>) -> Option<RouteTarget> {
        const TARGETS: [&str; 3] = ["service", "redirect", "maintenance"];
        let written: Vec<&str> = TARGETS.into_iter().filter(|it| at.has(it)).collect();
        match written.as_slice() {
            [_] => {}
            [] => {
                let message = "the route does not say what becomes of requests; add `service`, \
                               `redirect` or `maintenance`";
                self.findings.error(at.place, message);
                return None;
            }
            [_, second, ..] => {
                let message = format!("a route has one of {}; remove the others", listed(&written));
                self.findings.error(at.named(second), message);
                return None;
            }
        }
        if let Some(service) = spec.service.as_deref() {
            let place = at.key("service").place;
            let name = self.known_service(service, place)?;
            if self.tcp.contains(service) {
                let message = format!(
                    "`{service}` speaks TCP, and a route is for HTTP; name it under `calls` of a \
                     service that speaks HTTP"
                );
                self.findings.error(place, message);
            }
            return Some(RouteTarget::Service(name));
        }
        for key in ["strip_prefix", "rewrite", "resilience"].into_iter().filter(|it| at.has(it)) {
            let message = format!("`{key}` is for requests that go to a service; remove it");
            self.findings.error(at.named(key), message);
        }
        if let Some(page) = &spec.maintenance {
            self.page(page, at.key("maintenance").place);
            return Some(RouteTarget::Maintenance(page.clone()));
        }
        self.redirect(spec.redirect.as_ref()?, at.key("redirect")).map(RouteTarget::Redirect)
    }

    fn redirect(&mut self, spec: &RedirectSpec, at: At<'_>) -> Option<Redirect> {
        let status = spec.status.unwrap_or(REDIRECT_STATUS);
        if !REDIRECT_STATUSES.contains(&status) {
            let message = format!(
                "{status} is not the status of a redirect; write 301, 302, 303, 307 or 308"
            );
            self.findings.error(at.key("status").place, message);
        }
        let to = spec.to.clone()?;
        let place = at.key("to").place;
        self.header_value(&to, place)?;
        let is_address = to.starts_with('/') || to.contains("://") || to.starts_with("{path}");
        let named = to.replace("{host}", "").replace("{path}", "");
        if let Some(stray) = named.chars().find(|it| "{}".contains(*it) || it.is_whitespace()) {
            let message = format!(
                "`{to}` contains {stray:?}; an address has no such sign, and only `{{host}}` and \
                 `{{path}}` stand for something"
            );
            self.findings.error(place, message);
        } else if !is_address {
            let message =
                format!("`{to}` is not an address; write for example `https://{to}{{path}}`");
            self.findings.error(place, message);
        }
        Some(Redirect { to, status })
    }

    fn page(&mut self, page: &str, place: Place) {
        if PAGE_BYTES_MAX < page.len() {
            let message = format!(
                "the page has {} bytes, more than {PAGE_BYTES_MAX}; let a service serve it",
                page.len()
            );
            self.findings.error(place, message);
        }
    }

    fn cors(&mut self, spec: &CorsSpec, at: At<'_>) -> Option<Cors> {
        let origins = spec.origins.as_deref()?;
        let origins_at = at.key("origins");
        if origins.is_empty() {
            let message = "`origins` is empty; name one, or remove `cors`";
            self.findings.error(origins_at.place, message);
        }
        for (index, origin) in origins.iter().enumerate() {
            let rest = origin.split_once("://").map(|(_, rest)| rest);
            let is_origin = rest.is_some_and(|it| !it.is_empty() && !it.contains(['/', '*', ' ']));
            if origin != "*" && !is_origin {
                let message = format!(
                    "`{origin}` is not an origin; write scheme, host and port as in \
                     `https://shop.example`, or `*`"
                );
                self.findings.error(origins_at.item(index).place, message);
            }
        }
        let credentials = spec.credentials.unwrap_or_default();
        if credentials && origins.iter().any(|it| it == "*") {
            let message = "browsers send no cookies to where every origin may ask; name the \
                           origins, or remove `credentials`";
            self.findings.error(at.key("credentials").place, message);
        }
        let headers_at = at.key("headers");
        let headers = spec.headers.as_deref().unwrap_or_default().iter().enumerate();
        let headers =
            headers.filter_map(|(index, it)| self.header_name(it, headers_at.item(index).place));
        let headers = headers.collect();
        Some(Cors {
            origins: origins.to_vec(),
            methods: self.methods(spec.methods.as_deref(), at.key("methods")),
            headers,
            credentials,
            max_age: spec.max_age.map(|it| it.0),
        })
    }

    fn rate_limit(&mut self, spec: &RateLimitSpec, at: At<'_>) -> Option<RateLimit> {
        let key = spec.key.as_ref().and_then(|it| self.request_key(it, at.key("key")));
        let per_second_thousandths = spec.rate?.0;
        let in_a_second = per_second_thousandths.div_ceil(1_000);
        let burst = spec.burst.unwrap_or_else(|| u32::try_from(in_a_second).unwrap_or(u32::MAX));
        Some(RateLimit { per_second_thousandths, burst, key })
    }

    fn host(&mut self, host: &str, place: Place) -> Option<String> {
        let host = self.early(host, place)?;
        let bare = host.split_once("://").map_or(host.as_str(), |(_, rest)| rest);
        let bare = bare.split(['/', ':']).next().unwrap_or_default();
        if bare != host {
            let message =
                format!("a host is a name without scheme, port and path; write `host: {bare}`");
            self.findings.error(place, message);
            return None;
        }
        let label_ok = |it: &str| {
            !it.is_empty() && it.chars().all(|it| it.is_ascii_alphanumeric() || "-_".contains(it))
        };
        let name = host.strip_prefix("*.").unwrap_or(&host);
        if !name.split('.').all(label_ok) {
            let message = if host == "*" {
                "leave `host` out to match every host".to_owned()
            } else if host.contains('*') {
                format!(
                    "`{host}` has a `*` where it stands for nothing; it may begin with `*.`, as in \
                     `*.shop.localhost`"
                )
            } else {
                format!("`{host}` is not a host name; write for example `shop.localhost`")
            };
            self.findings.error(place, message);
            return None;
        }
        Some(host.to_ascii_lowercase())
    }

    fn route_path(&mut self, path: &str, place: Place) {
        if !path.starts_with('/') {
            let message = format!("a path begins with `/`; write `/{path}`");
            self.findings.error(place, message);
        } else if let Some(stray) = path.chars().find(|it| "*?#".contains(*it) || is_stray(*it)) {
            let message = format!(
                "`{path}` contains {stray:?}; a path is taken as a prefix, without patterns or query"
            );
            self.findings.error(place, message);
        }
    }
}

pub(super) const fn priority(spec: PrioritySpec) -> Priority {
    match spec {
        PrioritySpec::Sheddable => Priority::Sheddable,
        PrioritySpec::Low => Priority::Low,
        PrioritySpec::Normal => Priority::Normal,
        PrioritySpec::Critical => Priority::Critical,
    }
}
