//! spigo's architecture files (`*_arch.json`), as applications of synthetic services.
//!
//! Every service becomes a behaviour by its package (see `package` for the table), with `regions x
//! count` replicas. A dependency on itself, which in spigo means peers, and one on `eureka`, its
//! registry, are what a platform does by itself and are left out, as are regions and zones. Duplicate
//! names, unknown packages and unknown dependencies are refused with the field, as spigo does.

use std::collections::BTreeMap;

use model::units::Share;

use super::draft::{Draft, Fields};
use super::{Import, Imported, name_like, untabbed};
use crate::check::{did_you_mean, listed};
use crate::problem::{Place, Problems};
use crate::yaml::{Node, Value, parse};

mod package;

use package::{Dependency, ENTRY, PACKAGES, Package};

/// The registry every service of spigo may depend on without naming it among the services.
const REGISTRY: &str = "eureka";

/// Makes an application of a spigo architecture.
pub fn spigo(
    name: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Imported, Problems> {
    let mut import = Import::new(name, text, environment);
    let Some(root) = parse(&untabbed(&import.text), &mut import.findings) else {
        return Err(import.problems());
    };
    let Some(Value::List(items)) = root.get("services").map(|it| &it.value) else {
        let message = "a spigo architecture has a list of `services`, and this file has none";
        import.findings.error(root.place, message);
        return Err(import.problems());
    };
    let services = import.services(items);
    let mut drafted = Fields::default();
    let mut routes = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let draft = import.service(index, service, &services);
        drafted.add(service.name, draft, service.place);
        if service.package.name == ENTRY {
            let host = format!("{}.localhost", service.name.replace('_', "-").to_lowercase());
            let mut route = Fields::default();
            route.add("host", Draft::text(host), service.place);
            route.add("service", Draft::text(service.name), service.place);
            routes.push(route.done());
        }
    }
    let mut fields = Fields::default();
    let arch = root.get("arch");
    let written = arch.map(|it| it.raw.as_str()).unwrap_or_default();
    let file = written.rsplit(['/', '\\']).next().unwrap_or_default();
    let bare = file.split('.').next().unwrap_or_default();
    let place = arch.map_or(root.place, |it| it.place);
    fields.add("name", Draft::text(name_like(bare, "architecture")), place);
    fields.add("services", drafted.done(), root.place);
    fields.add("routes", Draft::List(routes), root.place);
    import.rest(&root);
    let mut comments = vec![format!("Made by Pelago from {name}, an architecture of spigo.")];
    comments.extend(root.get("description").map(|it| it.raw.clone()));
    comments.push("Work times are common values for each package; change them freely.".to_owned());
    import.finish(&fields.done(), &comments)
}

/// A service of spigo.
#[derive(Debug)]
struct Service<'a> {
    name: &'a str,
    package: &'static Package,
    instances: u32,
    node: &'a Node,
    place: Place,
}

impl Import<'_> {
    fn services<'b>(&mut self, items: &'b [Node]) -> Vec<Service<'b>> {
        let mut services: Vec<Service<'b>> = Vec::new();
        let mut seen: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (index, node) in items.iter().enumerate() {
            let (Some(name), Some(package)) =
                (self.required(node, index, "name"), self.required(node, index, "package"))
            else {
                continue;
            };
            let line = name.place.line;
            if let Some((first, line)) = seen.insert(&name.raw, (index, line)) {
                let message = format!(
                    "services[{index}].name: `{}` is the name of services[{first}] at line {line} \
                     already; rename one",
                    name.raw
                );
                self.findings.error(name.place, message);
                continue;
            }
            let Some(known) = package::find(&package.raw) else {
                let names = PACKAGES.map(|it| it.name);
                let remedy = match did_you_mean(&package.raw, names) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("there is {}", listed(&names)),
                };
                let message = format!(
                    "services[{index}].package: `{}` is not a package; {remedy}",
                    package.raw
                );
                self.findings.error(package.place, message);
                self.refused.insert(name.raw.clone());
                continue;
            };
            let count = self.number(node, index, "count");
            let regions = self.number(node, index, "regions");
            let instances = count.saturating_mul(regions).max(1);
            if 1 < regions {
                let why = "there is one region; its instances are among the replicas";
                self.leave_out(name.place, format!("services.{}.regions", name.raw), why);
            }
            services.push(Service {
                name: &name.raw,
                package: known,
                instances,
                node,
                place: name.place,
            });
        }
        services
    }

    fn required<'b>(&mut self, node: &'b Node, index: usize, key: &str) -> Option<&'b Node> {
        let found = node.get(key).filter(|it| it.value == Value::Text);
        if found.is_none() {
            let message = format!("services[{index}].{key}: a text is missing here");
            self.findings.error(node.place, message);
        }
        found
    }

    fn number(&mut self, node: &Node, index: usize, key: &str) -> u32 {
        match node.get(key).map(|it| (it, &it.value)) {
            None | Some((_, Value::Null)) => 0,
            Some((_, Value::Integer(it))) if u32::try_from(*it).is_ok() => {
                u32::try_from(*it).unwrap_or_default()
            }
            Some((found, _)) => {
                let message = format!("services[{index}].{key}: a whole number is meant");
                self.findings.error(found.place, message);
                0
            }
        }
    }

    fn service(&mut self, index: usize, service: &Service<'_>, all: &[Service<'_>]) -> Draft {
        let dependencies = self.dependencies(index, service, all);
        let mut behaviour = Fields::default();
        let mut work = Fields::default();
        let (p50, p99) = service.package.work;
        work.add("p50", Draft::text(p50), service.place);
        work.add("p99", Draft::text(p99), service.place);
        behaviour.add("work", work.done(), service.place);
        let calls = package::calls(service.package, &dependencies);
        let call = |(name, probability): (String, Share)| {
            if probability == Share::ALL {
                return Draft::text(name);
            }
            let mut call = Fields::default();
            call.add("service", Draft::text(name), service.place);
            call.add("probability", Draft::text(probability.to_string()), service.place);
            call.done()
        };
        behaviour.add("calls", Draft::List(calls.into_iter().map(call).collect()), service.place);
        let mut fields = Fields::default();
        fields.add("behaviour", behaviour.done(), service.place);
        if service.instances != 1 {
            fields.add("replicas", Draft::plain(service.instances), service.place);
        }
        for entry in service.node.entries() {
            let why = match entry.key.as_str() {
                "name" | "package" | "count" | "regions" | "dependencies" => continue,
                "machine" | "instance" | "container" | "process" => {
                    "where it ran in spigo; here that is decided for you"
                }
                "useCustomGuesstimate" | "guesstimateType" | "guesstimateValue" => {
                    "write the time it takes under `behaviour: {work: ..}`"
                }
                _ => "it is not known to spigo either",
            };
            self.leave_out(entry.place, format!("services.{}.{}", service.name, entry.key), why);
        }
        fields.done()
    }

    fn dependencies(
        &mut self,
        index: usize,
        service: &Service<'_>,
        all: &[Service<'_>],
    ) -> Vec<Dependency> {
        let mut found: Vec<Dependency> = Vec::new();
        let items = service.node.get("dependencies").map(Node::items).unwrap_or_default();
        for (at, item) in items.iter().enumerate() {
            let key = format!("services.{}.dependencies[{at}]", service.name);
            let named = all.iter().find(|it| it.name == item.raw);
            if item.raw == service.name {
                let why = "a dependency on itself means peers, which exchange nothing here";
                self.leave_out(item.place, key, why);
            } else if let Some(named) = named {
                if found.iter().any(|it| it.service == named.name) {
                    self.leave_out(item.place, key, "it is named twice");
                    continue;
                }
                found.push(Dependency {
                    service: named.name.to_owned(),
                    package: named.package,
                    instances: named.instances,
                });
            } else if item.raw == REGISTRY {
                self.leave_out(item.place, key, "the registry is part of Pelago");
            } else if !self.refused.contains(&item.raw) {
                let names = all.iter().map(|it| it.name);
                let remedy = match did_you_mean(&item.raw, names) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "add it, or remove it here".to_owned(),
                };
                let message = format!(
                    "services[{index}].dependencies[{at}]: there is no service `{}`; {remedy}",
                    item.raw
                );
                self.findings.error(item.place, message);
            }
        }
        if 1 < found.len() {
            let why = "spigo takes one of them for each request; here each is drawn by itself with \
                       its share, which is the same on average";
            let place = service.node.entry("dependencies").map_or(service.place, |it| it.place);
            self.leave_out(place, format!("services.{}.dependencies", service.name), why);
        }
        found
    }

    /// What is said about the whole.
    fn rest(&mut self, root: &Node) {
        for entry in root.entries() {
            let why = match entry.key.as_str() {
                "arch" | "description" | "services" | "version" | "args" | "date" => continue,
                "victim" if entry.node.raw.is_empty() => continue,
                "victim" => "spigo kills an instance of it at half time; here that is yours to do",
                _ => "it is not known to spigo either",
            };
            self.leave_out(entry.place, entry.key.as_str(), why);
        }
        let place = root.entry("services").map_or(root.place, |it| it.place);
        let why = "spigo spreads instances over zones A, B and C; here they share one machine";
        self.leave_out(place, "zones", why);
    }
}
