//! An application as nodes and edges between instances, with the names spigo gives them.
//!
//! spigo draws every instance. Pelago's mesh may send a call to any instance of its callee, so every instance of a caller has
//! an edge to each of them, as far as that is not more than anybody can draw.

use api::simulation::Report;
use model::scenario::Network;
use model::{Application, ServiceName, Timestamp};

/// Edges between the instances of two services, at most; beyond, each instance of the caller has one, to the callee's
/// instance of its number. A mesh of 100 to 100 is already a grey square.
const PAIRS_MAX: usize = 10_000;

/// What is exported as a graph.
#[derive(Clone, Copy, Debug)]
pub struct Architecture<'a> {
    /// The services and the calls between them.
    pub application: &'a Application,
    /// Where instances are.
    pub network: &'a Network,
    /// What was seen on its edges, if anything.
    pub report: Option<&'a Report>,
    /// The time that is written where a format wants one.
    pub at: Timestamp,
}

/// An instance, or the way in from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// `arch.region.zone.instance`.
    pub(super) name: String,
    /// The service.
    pub(super) service: String,
    /// What it is in spigo's words.
    pub(super) package: &'static str,
    /// An address, which spigo's readers expect.
    pub(super) address: String,
}

impl Architecture<'_> {
    /// All nodes: the way in first, then instances by service and number.
    pub(super) fn nodes(&self) -> Vec<Node> {
        let arch = &self.application.name;
        let mut nodes = Vec::new();
        if self.application.routes.iter().any(|it| it.service().is_some()) {
            let name = way_in(arch.as_str());
            nodes.push(Node {
                name,
                service: "www".to_owned(),
                package: "denominator",
                address: address(0),
            });
        }
        for (service, of) in &self.application.services {
            // spigo's word for a service that calls others, and for one that keeps things.
            let package = if of.calls.is_empty() { "store" } else { "karyon" };
            for number in 0..of.replicas {
                let name = self.instance(service, number);
                let address = address(nodes.len());
                nodes.push(Node { name, service: service.to_string(), package, address });
            }
        }
        nodes
    }

    /// All edges, from and to: those from outside first.
    pub(super) fn edges(&self) -> Vec<(String, String)> {
        let mut edges = Vec::new();
        let arch = self.application.name.as_str();
        let mut entered: Vec<&ServiceName> =
            self.application.routes.iter().filter_map(|it| it.service()).collect();
        entered.sort();
        entered.dedup();
        for service in entered {
            for number in 0..self.replicas(service) {
                edges.push((way_in(arch), self.instance(service, number)));
            }
        }
        for (caller, of) in &self.application.services {
            for callee in of.calls.keys() {
                self.between(caller, callee, &mut edges);
            }
        }
        edges
    }

    fn between(
        &self,
        caller: &ServiceName,
        callee: &ServiceName,
        edges: &mut Vec<(String, String)>,
    ) {
        let (from, to) = (self.replicas(caller), self.replicas(callee));
        if to == 0 {
            return;
        }
        let is_mesh = u64::from(from) * u64::from(to) <= PAIRS_MAX as u64;
        for number in 0..from {
            let name = self.instance(caller, number);
            if !is_mesh {
                edges.push((name, self.instance(callee, number % to)));
                continue;
            }
            for other in (0..to).filter(|it| caller != callee || *it != number) {
                edges.push((name.clone(), self.instance(callee, other)));
            }
        }
    }

    fn replicas(&self, service: &ServiceName) -> u32 {
        self.application.services.get(service).map_or(0, |it| it.replicas)
    }

    /// `shop.us-east-1.zoneA.cart00`: dots and spaces part names there, so none is in a part.
    fn instance(&self, service: &ServiceName, number: u32) -> String {
        let zones = &self.network.zones;
        let place = usize::try_from(number).unwrap_or(0).checked_rem(zones.len());
        let (region, zone) = place
            .and_then(|it| zones.get(it))
            .map_or(("*", "*"), |it| (it.region.as_str(), it.name.as_str()));
        format!("{}.{}.{}.{service}{number:02}", self.application.name, part(region), part(zone))
    }
}

fn part(text: &str) -> String {
    text.replace(|it: char| it == '.' || it.is_whitespace(), "-")
}

fn way_in(arch: &str) -> String {
    format!("{arch}.*.*.www00")
}

/// An address for a node, by its place. It leads nowhere: nothing of this runs.
fn address(place: usize) -> String {
    let [.., a, b, c] = place.to_be_bytes();
    format!("10.{a}.{b}.{c}")
}
