//! What the outside sees: routes and flags.

use std::collections::BTreeMap;

use model::edge::Resilience;
use model::route::{Flag, HeaderEdits, Priority, Route, RouteTarget};
use model::units::Share;

use super::Reader;
use super::defaults::ROUTE_PATH;
use crate::problem::Place;
use crate::spec::{FlagSpec, RouteSpec};
use crate::yaml::At;

impl Reader<'_> {
    pub(super) fn routes(&mut self, routes: &[RouteSpec], at: At<'_>) -> Vec<Route> {
        let mut meant = Vec::new();
        let mut seen = BTreeMap::new();
        for (index, spec) in routes.iter().enumerate() {
            let at = at.item(index);
            let RouteSpec { host, path, service, strip_prefix } = spec;
            let host = match host.as_deref() {
                Some(host) => self.host(host, at.key("host").place),
                None => None,
            };
            let path = path.as_deref().unwrap_or(ROUTE_PATH);
            self.route_path(path, at.key("path").place);
            if let Some(line) = seen.insert((host.clone(), path.to_owned()), at.place.line) {
                let message = format!(
                    "this route takes the same requests as the one at line {line}; remove one"
                );
                self.findings.error(at.place, message);
            }
            let service = service.as_deref();
            let service = service.and_then(|it| self.known_service(it, at.key("service").place));
            if let Some(service) = service {
                let strip_prefix = strip_prefix.unwrap_or_default();
                meant.push(Route {
                    host,
                    path: path.to_owned(),
                    methods: Vec::new(),
                    headers: Vec::new(),
                    target: RouteTarget::Service(service),
                    strip_prefix,
                    rewrite: None,
                    resilience: Resilience::default(),
                    request_headers: HeaderEdits::default(),
                    response_headers: HeaderEdits::default(),
                    cors: None,
                    compress: false,
                    rate_limit: None,
                    max_body: None,
                    priority: Priority::default(),
                    error_page: None,
                });
            }
        }
        meant
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
        if !host.split('.').all(label_ok) {
            let message = if host.contains('*') {
                format!("`{host}` cannot have a `*`; leave `host` out to match every host")
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
        } else if let Some(stray) =
            path.chars().find(|it| "*?#".contains(*it) || it.is_whitespace())
        {
            let message = format!(
                "`{path}` contains {stray:?}; a path is taken as a prefix, without patterns or query"
            );
            self.findings.error(place, message);
        }
    }

    pub(super) fn flags(
        &mut self,
        flags: Option<&BTreeMap<String, FlagSpec>>,
        at: At<'_>,
    ) -> BTreeMap<String, Flag> {
        let mut meant = BTreeMap::new();
        for (name, FlagSpec { default, percent, key }) in flags.into_iter().flatten() {
            let ok = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
            if name.is_empty() || !name.chars().all(ok) {
                let message =
                    format!("`{name}` is not a flag's name; use letters, digits, `-`, `_` and `.`");
                self.findings.error(at.named(name), message);
            }
            let percent = percent.map_or(Share::ZERO, |it| it.0);
            if key.as_deref() == Some("") {
                let message = "`key` is empty; write the attribute that tells recipients apart";
                self.findings.error(at.key(name).key("key").place, message);
            }
            if let Some(default) = *default {
                meant.insert(name.clone(), Flag { default, percent, key: key.clone() });
            }
        }
        meant
    }
}
