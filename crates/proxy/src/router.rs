//! Routes from outside: which one a request takes.
//!
//! Routes are tried from the most specific: a host before none, a whole host before `*.`, a longer path
//! before a shorter, more conditions before fewer; then in the order written.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use model::ApplicationName;
use model::route::{HeaderMatch, PathParameters, Route, RouteTarget};
use telemetry::Limit;
use telemetry::report::{Caller, EdgeName};
use traffic::RateLimiter;
use world::routing::route_key;

use crate::crossing::Asked;
use crate::edge::{Beginning, Edge};
use crate::met::Met;
use crate::path::{self, BadPath};

/// All routes of all applications.
#[derive(Debug, Default)]
pub(crate) struct Router {
    entries: Vec<Rc<Entry>>,
    /// Whether any of them ignores parameters of paths.
    ignores_parameters: bool,
}

/// One route, ready to be taken.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) route: Route,
    /// The edge to the service, if the route leads to one.
    pub(crate) edge: Option<Rc<Edge>>,
    pub(crate) limiter: Option<RefCell<RateLimiter>>,
    application: ApplicationName,
}

impl Router {
    /// A router of `routes`. What `before` has learned about a route that stays is kept.
    pub(crate) fn new(
        routes: &BTreeMap<ApplicationName, Arc<[Route]>>,
        before: &Self,
        at: &Beginning<'_>,
    ) -> Self {
        let mut entries: Vec<Rc<Entry>> = Vec::new();
        for (application, routes) in routes {
            for route in routes.iter() {
                let entry = before.entry(application, route, at);
                if let Some(edge) = &entry.edge {
                    edge.set_policy(&route.resilience, at.now);
                }
                entries.push(entry);
            }
        }
        // Stable: the order written decides between equals.
        entries.sort_by_key(|it| std::cmp::Reverse(specificity(&it.route)));
        let ignores = |it: &Rc<Entry>| it.route.path_parameters == PathParameters::Ignore;
        let ignores_parameters = entries.iter().any(ignores);
        Self { entries, ignores_parameters }
    }

    fn entry(&self, application: &ApplicationName, route: &Route, at: &Beginning<'_>) -> Rc<Entry> {
        let same = |it: &&Rc<Entry>| it.application == *application && it.route == *route;
        if let Some(known) = self.entries.iter().find(same) {
            return Rc::clone(known);
        }
        let key = route_key(route);
        let edge = route.service().map(|service| {
            let name = EdgeName {
                application: application.clone(),
                caller: Caller::Route(key.clone()),
                callee: service.clone(),
            };
            // A route that is only treated otherwise is the same edge: its counters only grow.
            self.edges().find(|it| it.name == name).unwrap_or_else(|| {
                let rng = at.rng.child(application.as_str()).child(&key);
                Rc::new(Edge::new(name, &route.resilience, &Beginning { rng: &rng, ..*at }))
            })
        });
        let limiter = route.rate_limit.as_ref().map(|it| RefCell::new(RateLimiter::new(it)));
        Rc::new(Entry { route: route.clone(), edge, limiter, application: application.clone() })
    }

    /// The edges of all routes.
    pub(crate) fn edges(&self) -> impl Iterator<Item = Rc<Edge>> + use<'_> {
        self.entries.iter().filter_map(|it| it.edge.as_ref().map(Rc::clone))
    }

    /// The route a request for `host` takes, the host as the request says it. A path that is none takes no route.
    pub(crate) fn find(
        &self,
        host: &[u8],
        asked: &impl Asked,
    ) -> Result<Option<Rc<Entry>>, BadPath> {
        let host = without_port(host);
        // A name with a dot at its end is the same name (RFC 1034, section 3.1).
        let host = host.strip_suffix(b".").unwrap_or(host);
        // Who asks of the server itself asks whoever has its root.
        let path = if asked.path() == "*" { "/" } else { asked.path() };
        let path = path::matched(path.as_bytes())?;
        let bare = self.ignoring(&path, asked);
        for entry in self.entries.iter().filter(|it| is_host(it.route.host.as_deref(), host)) {
            let route = &entry.route;
            let path = match (route.path_parameters, &bare) {
                (PathParameters::Keep, _) => &*path,
                (PathParameters::Ignore, Ok(bare)) => &**bare,
                (PathParameters::Ignore, Err(bad)) => return Err(*bad),
            };
            let takes = is_below(path, route.path.as_bytes())
                && (route.methods.is_empty()
                    || route.methods.iter().any(|it| it == asked.method()))
                && route.headers.iter().all(|it| has(asked, it));
            if takes {
                return Ok(Some(Rc::clone(entry)));
            }
        }
        Ok(None)
    }

    /// The path as routes see it that ignore its parameters; `path` where no route does.
    fn ignoring<'p>(
        &self,
        path: &'p [u8],
        asked: &'p impl Asked,
    ) -> Result<Cow<'p, [u8]>, BadPath> {
        if self.ignores_parameters && path.contains(&b';') {
            return path::matched_with(asked.path().as_bytes(), PathParameters::Ignore);
        }
        Ok(Cow::Borrowed(path))
    }
}

fn specificity(route: &Route) -> (u8, usize, usize, usize) {
    let host = match route.host.as_deref() {
        None => (0, 0),
        Some(host) if host.starts_with("*.") => (1, host.len()),
        Some(host) => (2, host.len()),
    };
    let conditions = route.headers.len() + usize::from(!route.methods.is_empty());
    (host.0, host.1, route.path.trim_end_matches('/').len(), conditions)
}

fn has(asked: &impl Asked, wanted: &HeaderMatch) -> bool {
    let found = asked.header(&wanted.name);
    found.is_some_and(|it| wanted.value.as_deref().is_none_or(|value| it == value.as_bytes()))
}

fn is_host(wanted: Option<&str>, host: &[u8]) -> bool {
    let Some(wanted) = wanted else { return true };
    match wanted.strip_prefix('*') {
        // At least one character stands before the dot.
        Some(suffix) => {
            let start = host.len().saturating_sub(suffix.len());
            0 < start
                && host.get(start..).is_some_and(|it| it.eq_ignore_ascii_case(suffix.as_bytes()))
        }
        None => host.eq_ignore_ascii_case(wanted.as_bytes()),
    }
}

/// Whether `path` is `prefix`, or a path below it: `/api` takes `/api` and `/api/x`, not `/apis`.
fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    let bare = prefix.strip_suffix(b"/").unwrap_or(prefix);
    path.strip_prefix(bare).is_some_and(|rest| match rest.first() {
        Some(b'/') => true,
        None => !prefix.ends_with(b"/") || bare.is_empty(),
        Some(_) => false,
    })
}

/// A host without its port; the colons of an IPv6 address are inside brackets. What is no number is no port.
pub(crate) fn without_port(host: &[u8]) -> &[u8] {
    let end = host.iter().rposition(|it| matches!(it, b':' | b']'));
    match end.and_then(|it| host.split_at_checked(it)) {
        Some((name, [b':', port @ ..])) if port.iter().all(u8::is_ascii_digit) => name,
        _ => host,
    }
}

/// The path and query that are passed on. A prefix is taken off as it was matched: of a path that is spelled in another way
/// where it counts, its one spelling is passed on.
pub(crate) fn rewritten(route: &Route, target: &str) -> Option<String> {
    let replacement = match (&route.rewrite, route.strip_prefix) {
        (Some(rewrite), _) => rewrite.as_str(),
        (None, true) => "",
        (None, false) => return None,
    };
    if target == "*" {
        return None;
    }
    let bare = route.path.strip_suffix('/').unwrap_or(&route.path);
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let as_written = path.strip_prefix(bare).filter(|rest| {
        let is_below = rest.is_empty() || rest.starts_with('/');
        is_below && !path::has_dots(rest.as_bytes(), route.path_parameters)
    });
    let rest = if let Some(rest) = as_written {
        format!("{rest}{query}")
    } else {
        let path = path::matched_with(path.as_bytes(), route.path_parameters).ok()?;
        let rest = str::from_utf8(&path).ok()?.strip_prefix(bare)?.to_owned();
        rest + query
    };
    let replacement = replacement.strip_suffix('/').unwrap_or(replacement);
    let slash = if rest.starts_with('/') { "" } else { "/" };
    // `/api?x` becomes `/?x`, and `/new?x` with a rewrite to `/new`.
    let slash = if replacement.is_empty() {
        slash
    } else if rest.is_empty() || rest.starts_with('?') {
        ""
    } else {
        slash
    };
    Some(format!("{replacement}{slash}{rest}"))
}

/// Where a redirect leads.
pub(crate) fn location(to: &str, host: &str, target: &str) -> String {
    to.replace("{host}", host).replace("{path}", target)
}

impl Entry {
    /// The application it is a route of.
    pub(crate) const fn application(&self) -> &ApplicationName {
        &self.application
    }

    /// How many requests a second it takes, as a limit.
    pub(crate) fn rate_limit(&self) -> Option<Limit> {
        let limit = self.route.rate_limit.as_ref()?;
        Some(Met::Rate(limit).at(format!("the route {}", self.label())))
    }

    /// As it is called in signals.
    pub(crate) fn label(&self) -> String {
        route_key(&self.route)
    }

    /// Whether the route leads to a service, elsewhere, or nowhere.
    pub(crate) const fn target(&self) -> &RouteTarget {
        &self.route.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Instant, Rng};

    struct Request<'a>(&'a str, &'a str, &'a [(&'a str, &'a str)]);

    impl Asked for Request<'_> {
        fn header(&self, name: &str) -> Option<&[u8]> {
            self.2.iter().find(|it| it.0 == name).map(|it| it.1.as_bytes())
        }

        fn cookie(&self, _: &str) -> Option<&[u8]> {
            None
        }

        fn method(&self) -> &str {
            self.0
        }

        fn path(&self) -> &str {
            self.1
        }
    }

    fn router(routes: &str) -> Router {
        let routes: Vec<Route> = serde_json::from_str(routes).unwrap();
        let routes = BTreeMap::from([("shop".parse().unwrap(), Arc::from(routes))]);
        Router::new(
            &routes,
            &Router::default(),
            &Beginning { rng: &Rng::new(1), now: Instant::ZERO, log: None },
        )
    }

    #[track_caller]
    fn check(router: &Router, host: &str, request: &Request<'_>, service: Option<&str>) {
        let found = router.find(host.as_bytes(), request).unwrap();
        let found = found.and_then(|it| it.route.service().map(ToString::to_string));
        assert_eq!(found.as_deref(), service, "{host}{}", request.1);
    }

    #[test]
    fn the_most_specific_route_is_taken() {
        let router = router(
            r#"[{"path": "/", "service": "any"},
                {"host": "shop.localhost", "path": "/", "service": "web"},
                {"host": "shop.localhost", "path": "/api", "service": "api"},
                {"host": "shop.localhost", "path": "/api", "methods": ["POST"], "service": "writes"},
                {"host": "shop.localhost", "path": "/api", "headers": [{"name": "x-beta"}], "service": "beta"},
                {"host": "*.localhost", "path": "/", "service": "wild"},
                {"host": "shop.localhost", "path": "/api/orders/", "service": "orders"}]"#,
        );
        let get = |path| Request("GET", path, &[]);
        check(&router, "other", &get("/"), Some("any"));
        check(&router, "SHOP.localhost:8080", &get("/x"), Some("web"));
        check(&router, "shop.localhost", &get("/api"), Some("api"));
        check(&router, "shop.localhost", &get("/api/x"), Some("api"));
        check(&router, "shop.localhost", &get("/apis"), Some("web"));
        check(&router, "shop.localhost", &get("/api/orders/1"), Some("orders"));
        check(&router, "shop.localhost", &get("/api/orders"), Some("api"));
        check(&router, "shop.localhost", &Request("POST", "/api", &[]), Some("writes"));
        check(&router, "shop.localhost", &Request("GET", "/api", &[("x-beta", "1")]), Some("beta"));
        check(&router, "a.b.localhost", &get("/"), Some("wild"));
        check(&router, ".localhost", &get("/"), Some("any"));
        check(&router, "[::1]:8080", &get("/"), Some("any"));
        // Issue 13: another spelling is no way around.
        check(&router, "shop.localhost.", &get("/api"), Some("api"));
        check(&router, "shop.localhost.:8080", &get("/%61pi/"), Some("api"));
        check(&router, "shop.localhost:x", &get("/api"), Some("any"));
        check(&router, "shop.localhost", &get("//x/../api//orders/%31"), Some("orders"));
        assert!(router.find(b"shop.localhost", &get("/api/../../x")).is_err());
    }

    /// Whoever keeps `/admin` for some must keep `/admin;x` for them where a service takes it for the same.
    #[test]
    fn issue_13_a_parameter_is_no_way_around_a_route_that_ignores_it() {
        let routes = |parameters: &str| {
            router(&format!(
                r#"[{{"path": "/", "service": "web", "path_parameters": "{parameters}"}},
                    {{"path": "/public", "service": "web2", "path_parameters": "{parameters}"}},
                    {{"path": "/admin", "service": "admin", "path_parameters": "{parameters}"}}]"#
            ))
        };
        let get = |path| Request("GET", path, &[]);
        let bypasses =
            ["/admin;x", "/admin;x=y/users", "/;/admin", "/public/..;/admin", "/%61dmin;"];
        for path in bypasses {
            check(&routes("ignore"), "a", &get(path), Some("admin"));
        }
        check(&routes("keep"), "a", &get("/admin;x"), Some("web"));
        check(&routes("keep"), "a", &get("/public/..;/admin"), Some("web2"));
        check(&routes("ignore"), "a", &get("/admin%3Bx"), Some("web"));
        check(&routes("ignore"), "a", &get("/public;x"), Some("web2"));
        assert!(routes("ignore").find(b"a", &get("/..;/admin")).is_err());
    }

    #[track_caller]
    fn check_rewritten(route: &str, target: &str, expected: Option<&str>) {
        let route: Route = serde_json::from_str(route).unwrap();
        assert_eq!(rewritten(&route, target).as_deref(), expected, "{target}");
    }

    #[test]
    fn prefixes_are_taken_off_or_replaced() {
        let strip = r#"{"path": "/api", "service": "a", "strip_prefix": true}"#;
        check_rewritten(strip, "/api/x?y", Some("/x?y"));
        check_rewritten(strip, "/api", Some("/"));
        check_rewritten(strip, "/api?y", Some("/?y"));
        let rewrite = r#"{"path": "/api/", "service": "a", "rewrite": "/v2/"}"#;
        // As it was matched, and otherwise as it came.
        check_rewritten(strip, "/api/a%2Fb//c%62?%2e", Some("/a%2Fb//c%62?%2e"));
        check_rewritten(strip, "/%61pi/x?y=%61", Some("/x?y=%61"));
        check_rewritten(strip, "//api/./x", Some("/x"));
        check_rewritten(strip, "/api/b/%2e%2e/../api/x", Some("/x"));
        check_rewritten(rewrite, "/api/x", Some("/v2/x"));
        check_rewritten(rewrite, "/api/", Some("/v2/"));
        check_rewritten(rewrite, "/api?y", Some("/v2?y"));
        check_rewritten(r#"{"path": "/api", "service": "a"}"#, "/api/x", None);
        // Parameters that were ignored stay where the prefix is as it was written, and go with it where it is not.
        let ignore = r#"{"path": "/api", "service": "a", "strip_prefix": true, "path_parameters": "ignore"}"#;
        check_rewritten(ignore, "/api/x;y?z;", Some("/x;y?z;"));
        check_rewritten(ignore, "/api;v=1/x?z;", Some("/x?z;"));
        check_rewritten(ignore, "/api/x/..;/y", Some("/y"));
        check_rewritten(strip, "/api/x/..;/y", Some("/x/..;/y"));
    }

    #[test]
    fn what_a_route_has_learned_outlives_other_changes() {
        let before = router(r#"[{"path": "/", "service": "a"}]"#);
        let routes: Vec<Route> = serde_json::from_str(
            r#"[{"path": "/b", "service": "b"}, {"path": "/", "service": "a"}]"#,
        )
        .unwrap();
        let routes = BTreeMap::from([("shop".parse().unwrap(), Arc::from(routes))]);
        let after = Router::new(
            &routes,
            &before,
            &Beginning { rng: &Rng::new(1), now: Instant::ZERO, log: None },
        );
        let edge = |it: &Router| it.edges().find(|it| it.name.callee.as_str() == "a").unwrap();
        assert!(Rc::ptr_eq(&edge(&before), &edge(&after)));
    }
}
