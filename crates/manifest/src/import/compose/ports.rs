//! Ports of a service of a Compose file: the one that requests come to, further ones, and what leads there from outside.
//!
//! Only HTTP has routes, so that a port that is known to speak something else gets none; which ports those are is told
//! by their numbers, which people seldom change inside of a container.

use model::service::PORTS_MAX;

use super::super::draft::{Draft, Fields};
use super::Compose;
use super::service::{Runs, replicas};
use crate::problem::Place;
use crate::yaml::{Node, Value};

/// Ports of what does not speak HTTP: SSH, SMTP, DNS, LDAP, IMAP, brokers, databases, caches.
const TCP: [u16; 36] = [
    21, 22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 1025, 1433, 1521, 1883, 2181, 2888, 3306,
    3888, 4222, 5432, 5433, 5672, 6379, 6432, 7687, 8883, 9042, 9092, 9093, 9094, 11211, 26257,
    27017, 29092, 33060,
];

/// A port as it is written, for each of a range.
#[derive(Clone, Debug)]
struct Written {
    inner: u16,
    /// What it is published as; a container's port alone is published somewhere.
    outer: Option<String>,
    is_published: bool,
    place: Place,
}

impl Written {
    fn speaks_http(&self) -> bool {
        !TCP.contains(&self.inner)
    }
}

impl Compose<'_> {
    pub(super) fn ports(&mut self, name: &str, node: &Node, runs: Runs, fields: &mut Fields) {
        let path = format!("services.{name}.ports");
        let mut all = Vec::new();
        for key in ["ports", "expose"] {
            if let Some(list) = node.get(key) {
                all.extend(self.ports_of(list, &path, key));
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|it| seen.insert(it.inner));
        let published = |it: &&Written| it.is_published;
        let first = all
            .iter()
            .filter(published)
            .find(|it| it.speaks_http())
            .or_else(|| all.iter().find(published))
            .or_else(|| all.first())
            .cloned();
        let Some(first) = first else { return };
        let others: Vec<_> = all.into_iter().filter(|it| it.inner != first.inner).collect();
        let Written { inner, place, .. } = first;
        let is_alone = replicas(node).is_none_or(|it| self.text(it) == "1");
        if runs == Runs::Process && !(self.ports.insert(inner) && is_alone) {
            let why = format!("port {inner} cannot be taken twice; listen on `${{PORT}}`");
            self.import.leave_out(place, path.as_str(), why);
        } else if !fields.has("port") {
            fields.add("port", Draft::plain(inner), place);
        }
        self.further(&others, (node, runs, &path), fields);
        if !first.speaks_http() {
            fields.add("protocol", Draft::text("tcp"), place);
        }
        if first.is_published {
            self.outside(name, &first, &path);
        }
    }

    fn further(
        &mut self,
        others: &[Written],
        (node, runs, path): (&Node, Runs, &str),
        fields: &mut Fields,
    ) {
        let mut further = Fields::default();
        for it in others {
            let inner = it.inner;
            let is_taken =
                runs == Runs::Process && (replicas(node).is_some() || !self.ports.insert(inner));
            if is_taken || PORTS_MAX <= further.0.len() {
                let why = format!("{inner} is one port too many; listen on one of `ports` instead");
                self.import.leave_out(it.place, path, why);
                continue;
            }
            if it.is_published {
                let outer = it.outer.as_deref().unwrap_or("a free port");
                let why = format!(
                    "{inner} is a further port of the service, and only its first is reached from \
                     outside; nothing listens at {outer}"
                );
                self.import.leave_out(it.place, path, why);
            }
            further.add(&format!("p{inner}"), Draft::plain(inner), it.place);
        }
        let place = others.first().map_or(node.place, |it| it.place);
        fields.add("ports", further.done(), place);
    }

    /// What leads to a published port here, in place of a port of the machine.
    fn outside(&mut self, name: &str, port: &Written, path: &str) {
        let Some(service) = self.names.get(name).cloned() else { return };
        let outer = port.outer.clone().unwrap_or_else(|| "a free port".to_owned());
        if !port.speaks_http() {
            let why = format!(
                "{} speaks no HTTP, and routes are for HTTP: services that call it are told where it is, \
                 and nothing listens at {outer}",
                port.inner
            );
            self.import.leave_out(port.place, path, why);
            return;
        }
        let host = format!("{}.localhost", service.replace('_', "-").to_lowercase());
        let why = format!("the outside reaches it as `{host}` through a route, not at {outer}");
        self.import.leave_out(port.place, path, why);
        let mut route = Fields::default();
        route.add("host", Draft::text(host), port.place);
        route.add("service", Draft::text(service), port.place);
        self.routes.push(route.done());
    }

    /// The ports of a list, those of a range each by itself.
    fn ports_of(&mut self, node: &Node, path: &str, key: &str) -> Vec<Written> {
        let is_published = key == "ports";
        let mut all = Vec::new();
        if matches!(node.value, Value::Map(_)) {
            let message = "ports are a list; write for example `[\"8080:80\"]`";
            self.import.findings.error(node.place, message);
        }
        for item in node.items() {
            let place = item.place;
            let (inner, outer, protocol) = if let Some(target) = item.get("target") {
                let host = item.get("host_ip").map(|it| self.text(it) + ":").unwrap_or_default();
                let outer = item.get("published").map(|it| host + &self.text(it));
                let protocol = item.get("protocol").map(|it| self.text(it)).unwrap_or_default();
                (self.text(target), outer, protocol)
            } else {
                let text = self.text(item);
                let (text, protocol) = text.split_once('/').unwrap_or((&text, ""));
                let (outer, inner) = match text.rsplit_once(':') {
                    Some((outer, inner)) => (Some(outer.to_owned()), inner.to_owned()),
                    None => (None, text.to_owned()),
                };
                (inner, outer, protocol.to_owned())
            };
            let Some(range) = range(&inner) else {
                let message = format!("`{inner}` is not a port; write for example `8080:80`");
                self.import.findings.error(place, message);
                continue;
            };
            let published = outer.as_deref().map(|it| it.rsplit(':').next().unwrap_or(it));
            if let Some(wrong) = published.filter(|it| !it.is_empty() && self::range(it).is_none())
            {
                let message = format!("`{wrong}` is not a port; write for example `8080:80`");
                self.import.findings.error(place, message);
                continue;
            }
            if !["", "tcp"].contains(&protocol.as_str()) {
                let why =
                    format!("{inner} is {protocol}, which does not cross the mesh; only TCP does");
                self.import.leave_out(place, path, why);
                continue;
            }
            for port in range {
                all.push(Written { inner: port, outer: outer.clone(), is_published, place });
            }
        }
        all
    }
}

/// One port or several, `8000-8002`; nothing if it is neither.
fn range(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
    (first != 0 && first <= last).then_some(first..=last)
}
