//! spigo's architecture files (`*_arch.json`), as applications of synthetic services.
//!
//! Every service becomes a behaviour by its package (see `package` for the table), with `regions x
//! count` replicas. Regions, zones and the `victim` become a scenario beside it, since they are what the architecture is put
//! through. A dependency on itself, which in spigo means peers, and one on `eureka`, its registry, say how a store keeps its
//! copies; else they are what a platform does by itself and are left out. Duplicate names, unknown packages and unknown
//! dependencies are refused with the field, as spigo does.

use std::collections::BTreeMap;

use model::units::Share;

use super::draft::{Draft, Fields};
use super::{Import, Imported, name_like, untabbed};
use crate::check::{did_you_mean, listed};
use crate::problem::{Place, Problems};
use crate::yaml::{Node, Value, parse};

mod package;
mod scenario;

use package::{Dependency, ENTRY, Made, PACKAGES, Package, ZONES};
use scenario::REGIONS;

/// The registry every service of spigo may depend on without naming it among the services.
const REGISTRY: &str = "eureka";

/// How large an architecture becomes, beside what its file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Regions every service that is in one shall be in; as many as it says if absent.
    pub regions: Option<u32>,
    /// Instances as a percentage of those it says.
    pub scale_percent: u32,
}

impl Default for Growth {
    fn default() -> Self {
        Self { regions: None, scale_percent: 100 }
    }
}

/// Makes an application of a spigo architecture.
pub fn spigo(
    name: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Imported, Problems> {
    spigo_grown(name, text, environment, Growth::default())
}

/// Makes an application of a spigo architecture, in more regions or with more instances than it says.
pub fn spigo_grown(
    name: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
    growth: Growth,
) -> Result<Imported, Problems> {
    let mut import = Import::new(name, text, &crate::Beside::alone(environment));
    let Some(root) = parse(&untabbed(&import.text), &mut import.findings) else {
        return Err(import.problems());
    };
    let Some(Value::List(items)) = root.get("services").map(|it| &it.value) else {
        let message = "a spigo architecture has a list of `services`, and this file has none";
        import.findings.error(root.place, message);
        return Err(import.problems());
    };
    let services = import.services(items, growth);
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
    let regions = services.iter().map(|it| it.regions).max().unwrap_or(1);
    import.rest(&root);
    let victim = import.victim(&root, &services);
    let doors = services.iter().filter(|it| it.package.name == ENTRY).map(|it| it.name);
    let scenario = scenario::text(name, (regions, victim), doors);
    let mut comments = vec![format!("Made by Pelago from {name}, an architecture of spigo.")];
    comments.extend(root.get("description").map(|it| it.raw.clone()));
    comments.push("Work times are common values for each package; change them freely.".to_owned());
    let imported = import.finish(&fields.done(), &comments)?;
    Ok(Imported { scenario: Some(scenario), ..imported })
}

/// A service of spigo.
#[derive(Debug)]
struct Service<'a> {
    name: &'a str,
    package: &'static Package,
    instances: u32,
    regions: u32,
    node: &'a Node,
    place: Place,
}

impl Import<'_> {
    fn services<'b>(&mut self, items: &'b [Node], growth: Growth) -> Vec<Service<'b>> {
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
            let Some(known) = package::find(&package.raw, &name.raw) else {
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
            let regions = self.regions(node, index, growth);
            services.push(Service {
                name: &name.raw,
                package: known,
                instances: instances(known, count, regions, growth),
                regions: regions.max(1),
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

    /// The regions a service is in; 0 is one node for all of them.
    fn regions(&mut self, node: &Node, index: usize, growth: Growth) -> u32 {
        let written = self.number(node, index, "regions");
        let regions = if written == 0 { 0 } else { growth.regions.unwrap_or(written) };
        let most = u32::try_from(REGIONS.len()).unwrap_or(u32::MAX);
        if most < regions {
            let message = format!(
                "services[{index}].regions: {regions} are more than spigo knows; write at most {most}"
            );
            let place = node.entry("regions").map_or(node.place, |it| it.place);
            self.findings.error(place, message);
        }
        regions.min(most)
    }

    fn service(&mut self, index: usize, service: &Service<'_>, all: &[Service<'_>]) -> Draft {
        let dependencies = self.dependencies(index, service, all);
        let mut behaviour = Fields::default();
        let mut work = Fields::default();
        let (p50, p99) = service.package.work;
        work.add("p50", Draft::text(p50), service.place);
        work.add("p99", Draft::text(p99), service.place);
        behaviour.add("work", work.done(), service.place);
        if 0 < service.package.concurrency {
            let concurrency = Draft::plain(service.package.concurrency);
            behaviour.add("concurrency", concurrency, service.place);
        }
        let calls = package::calls(service.package, &dependencies);
        let calls = calls.iter().map(|it| call(it, service.place));
        behaviour.add("calls", Draft::List(calls.collect()), service.place);
        behaviour.add("replication", copies(service), service.place);
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
                if !service.package.keeps_copies() {
                    let why = "a dependency on itself means peers, which exchange nothing here";
                    self.leave_out(item.place, key, why);
                }
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
                if !service.package.keeps_copies() {
                    self.leave_out(item.place, key, "the registry is part of Pelago");
                }
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
        if 1 < found.len() && !service.package.has_tiers() {
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
                "arch" | "description" | "services" | "version" | "args" | "date" | "victim" => {
                    continue;
                }
                _ => "it is not known to spigo either",
            };
            self.leave_out(entry.place, entry.key.as_str(), why);
        }
        let place = root.entry("services").map_or(root.place, |it| it.place);
        let why = "zones, regions, users and the victim are in a scenario; `pelago import --scenario FILE` \
                   writes it";
        self.leave_out(place, "zones", why);
    }

    /// The service of which an instance dies at half time.
    fn victim<'b>(&mut self, root: &'b Node, services: &[Service<'_>]) -> Option<&'b str> {
        let victim = root.get("victim").filter(|it| !it.raw.is_empty())?;
        if services.iter().any(|it| it.name == victim.raw) {
            return Some(&victim.raw);
        }
        let why = "there is no such service, so that nothing would be killed";
        self.leave_out(victim.place, "victim", why);
        None
    }
}

/// Instances of a service: `count` in each region, grown; one node in each region if there is no count, one for all if there
/// are no regions.
fn instances(package: &Package, count: u32, regions: u32, growth: Growth) -> u32 {
    let in_region = match count {
        0 => package.uncounted(),
        count => (u64::from(count) * u64::from(growth.scale_percent))
            .div_ceil(100)
            .try_into()
            .unwrap_or(u32::MAX),
    };
    in_region.max(1).saturating_mul(regions.max(1))
}

fn call(made: &Made, place: Place) -> Draft {
    let Made { service, share, cache, puts } = made;
    if *share == Share::ALL && cache.is_none() && !puts {
        return Draft::text(service);
    }
    let mut call = Fields::default();
    call.add("service", Draft::text(service), place);
    if *share != Share::ALL {
        call.add("probability", Draft::text(share.to_string()), place);
    }
    if *puts {
        call.add("request", Draft::text("1KiB"), place);
    }
    if let Some((cache, hit_ratio)) = cache {
        let mut fields = Fields::default();
        fields.add("service", Draft::text(cache), place);
        fields.add("hit_ratio", Draft::text(hit_ratio.to_string()), place);
        call.add("cache", fields.done(), place);
    }
    call.done()
}

/// A copy in each zone, of each region that is known of; nothing to say where there would be one.
fn copies(service: &Service<'_>) -> Draft {
    let mut fields = Fields::default();
    let names = service.node.get("dependencies").map(Node::items).unwrap_or_default();
    let has = |name: &str| names.iter().any(|it| it.raw == name);
    let regions = if has(REGISTRY) { service.regions } else { 1 };
    let factor = (ZONES * regions).min(service.instances);
    if service.package.keeps_copies() && has(service.name) && 1 < factor {
        for (key, copies) in [("factor", factor), ("read", 1), ("write", 1)] {
            fields.add(key, Draft::plain(copies), service.place);
        }
    }
    fields.done()
}
