//! The architecture as declared, with what of it was seen in use.

use std::collections::{BTreeMap, BTreeSet};

use model::{Application, ApplicationName, Service, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::routing::route_key;
use world::{ApplicationState, World};

use crate::edge::{declared, running};
use crate::figures::{FiguresView, TrafficView};
use crate::traffic::{Caller, Traffic};

mod diagram;
mod outline;

/// Services, the calls between them, and the routes that lead to them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GraphView {
    /// Whether a data plane reports; without one nothing is known to be used.
    pub connected: bool,
    /// Seconds the figures are of.
    pub window_s: f64,
    /// The services, by application and name.
    pub nodes: Vec<NodeView>,
    /// Routes from outside, in the order written, and declared calls, by caller and callee.
    pub links: Vec<LinkView>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeView {
    /// The application.
    pub application: String,
    /// The service.
    pub service: String,
    /// Instances that can take requests.
    pub ready: usize,
    /// Instances wanted.
    pub wanted: u32,
    /// Whether a route leads to it, at once or by declared calls.
    pub reachable: bool,
}

/// A way to a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkView {
    /// The application.
    pub application: String,
    /// Where it begins.
    pub from: OriginView,
    /// The service it leads to.
    pub to: String,
    /// Whether anything crossed since the data plane started.
    pub used: bool,
    /// What crossed in the window; absent if nothing ever did.
    pub figures: Option<FiguresView>,
}

/// Where a link begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OriginView {
    /// Outside: the route, by its key.
    Route(String),
    /// In a service.
    Service(String),
}

impl GraphView {
    /// The graph of applications that have not been stopped, of one only if one is named.
    pub fn of(world: &World, traffic: &Traffic, only: Option<&ApplicationName>) -> Self {
        let mut graph = Self {
            connected: traffic.connected,
            window_s: traffic.window.as_secs_f64(),
            ..Self::default()
        };
        for (name, state) in running(world, only) {
            let reachable = reachable(state);
            graph.nodes.extend(nodes(name, state, &reachable));
            graph.links.extend(links(name, state, traffic));
        }
        graph
    }

    /// The graph of an application that does not run: what is declared, nothing of which was seen in use.
    pub fn declared(application: &Application) -> Self {
        let name = || application.name.to_string();
        let services = || application.services.iter();
        let calls = services().flat_map(|it| it.1.calls.keys().map(move |callee| (it.0, callee)));
        let calls: Vec<(&ServiceName, &ServiceName)> = calls.collect();
        let reachable = reached(application, calls.iter().copied());
        let node = |(service, of): (&ServiceName, &Service)| NodeView {
            application: name(),
            service: service.to_string(),
            ready: usize::try_from(of.replicas).unwrap_or(usize::MAX),
            wanted: of.replicas,
            reachable: reachable.contains(service),
        };
        let routes = application
            .routes
            .iter()
            .filter_map(|it| Some((OriginView::Route(route_key(it)), it.service()?)));
        let calls = calls.iter().map(|it| (OriginView::Service(it.0.to_string()), it.1));
        let link = |(from, to): (OriginView, &ServiceName)| LinkView {
            application: name(),
            from,
            to: to.to_string(),
            used: false,
            figures: None,
        };
        Self {
            nodes: services().map(node).collect(),
            links: routes.chain(calls).map(link).collect(),
            ..Self::default()
        }
    }

    /// As an outline for a terminal: who calls whom, from the routes on.
    pub fn text(&self) -> String {
        outline::draw(self)
    }

    /// In Graphviz' DOT language.
    pub fn dot(&self) -> String {
        diagram::dot(self)
    }

    /// As a Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        diagram::mermaid(self)
    }

    /// The applications in it, by name.
    fn applications(&self) -> BTreeSet<&str> {
        self.nodes.iter().map(|it| it.application.as_str()).collect()
    }
}

/// Services that a route leads to, at once or by declared calls.
fn reachable(state: &ApplicationState) -> BTreeSet<&ServiceName> {
    reached(&state.definition, declared(state).map(|it| (it.caller, it.callee)))
}

fn reached<'a>(
    application: &'a Application,
    calls: impl IntoIterator<Item = (&'a ServiceName, &'a ServiceName)>,
) -> BTreeSet<&'a ServiceName> {
    let mut callees: BTreeMap<&ServiceName, Vec<&ServiceName>> = BTreeMap::new();
    for (caller, callee) in calls {
        callees.entry(caller).or_default().push(callee);
    }
    let mut found = BTreeSet::new();
    let mut next: Vec<&ServiceName> =
        application.routes.iter().filter_map(|it| it.service()).collect();
    while let Some(service) = next.pop() {
        if found.insert(service) {
            next.extend(callees.get(service).into_iter().flatten().copied());
        }
    }
    found
}

fn nodes(
    application: &ApplicationName,
    state: &ApplicationState,
    reachable: &BTreeSet<&ServiceName>,
) -> Vec<NodeView> {
    let services = state.definition.services.iter();
    services
        .map(|(name, service)| {
            let now = state.services.get(name);
            NodeView {
                application: application.to_string(),
                service: name.to_string(),
                ready: now.map_or(0, |it| it.ready()),
                wanted: now.map_or(service.replicas, |it| it.replicas),
                reachable: reachable.contains(name),
            }
        })
        .collect()
}

fn links(
    application: &ApplicationName,
    state: &ApplicationState,
    traffic: &Traffic,
) -> Vec<LinkView> {
    let mut links = Vec::new();
    let mut link = |from: OriginView, caller: &Caller, callee: &ServiceName| {
        let crossed = traffic.edge(application, caller, callee);
        links.push(LinkView {
            application: application.to_string(),
            from,
            to: callee.to_string(),
            used: crossed.is_some_and(|it| 0 < it.requests_ever),
            figures: crossed.map(|it| TrafficView::of(it, traffic.window).total),
        });
    };
    for route in &state.definition.routes {
        let Some(service) = route.service() else { continue };
        let key = route_key(route);
        link(OriginView::Route(key.clone()), &Caller::Route(key), service);
    }
    for call in declared(state) {
        let caller = Caller::Service(call.caller.clone());
        link(OriginView::Service(call.caller.to_string()), &caller, call.callee);
    }
    links
}

/// What crossed a link, in a few words.
fn in_words(link: &LinkView, graph: &GraphView) -> String {
    if !graph.connected {
        return String::new();
    }
    let Some(figures) = link.figures.filter(|_| link.used) else {
        return "never used".to_owned();
    };
    let mut words = vec![format!("{:.1}/s", figures.rate)];
    words.extend(figures.success.map(|it| format!("{:.1}%", floor_percent(it))));
    words.extend(figures.p99_ms.map(|it| format!("p99 {it:.1}ms")));
    words.join(" ")
}

/// A share in percent to a tenth, rounded down: one error in a million is not 100 %.
fn floor_percent(share: f64) -> f64 {
    (share * 1e3).floor() / 10.0
}
