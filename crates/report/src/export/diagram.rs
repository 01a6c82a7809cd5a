//! The graph for drawing tools: what `pelago graph` writes of a running application, of a simulated one.

use std::collections::BTreeMap;

use api::figures::FiguresView;
use api::graph::{GraphView, LinkView, OriginView};
use api::simulation::{EdgeReport, Report};

use super::architecture::Architecture;

/// Who calls from outside, in reports.
const OUTSIDE: &str = "outside";
/// What requests of users are called where no route leads to a service.
const USERS: &str = "users";

/// In Graphviz' DOT language; with a report, edges say what crossed them.
pub fn dot(architecture: &Architecture<'_>) -> String {
    view(architecture).dot()
}

/// As a Mermaid flowchart.
pub fn mermaid(architecture: &Architecture<'_>) -> String {
    view(architecture).mermaid()
}

fn view(architecture: &Architecture<'_>) -> GraphView {
    let mut graph = GraphView::declared(architecture.application);
    if let Some(report) = architecture.report {
        seen(&mut graph, report);
    }
    graph
}

/// Adds what was seen: instances that were ready, and what crossed each edge. What came from outside is written on the
/// first route to its service.
fn seen(graph: &mut GraphView, report: &Report) {
    graph.connected = true;
    graph.window_s = report.origin.duration_s - report.origin.warm_up_s;
    for node in &mut graph.nodes {
        let found = report.services.iter().find(|it| it.name == node.service);
        node.ready = found.map_or(0, |it| whole(it.instances));
    }
    let mut edges: BTreeMap<(String, String), &EdgeReport> =
        report.edges.iter().map(|it| ((it.caller.clone(), it.callee.clone()), it)).collect();
    for link in &mut graph.links {
        let caller = match &link.from {
            OriginView::Route(_) => OUTSIDE.to_owned(),
            OriginView::Service(service) => service.clone(),
        };
        if let Some(edge) = edges.remove(&(caller, link.to.clone())) {
            link.used = 0.0 < edge.calls.value;
            link.figures = Some(figures(edge));
        }
    }
    let application = report.origin.application.as_str();
    for ((caller, callee), edge) in edges {
        if caller == OUTSIDE && graph.nodes.iter().any(|it| it.service == callee) {
            graph.links.push(LinkView {
                application: application.to_owned(),
                from: OriginView::Route(USERS.to_owned()),
                to: callee,
                used: 0.0 < edge.calls.value,
                figures: Some(figures(edge)),
            });
        }
    }
}

/// Instances, to the next whole one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is rounded, not negative, and no application has more instances than usize holds"
)]
fn whole(instances: f64) -> usize {
    instances.round().max(0.0) as usize
}

fn figures(edge: &EdgeReport) -> FiguresView {
    let known = |value: f64| value.is_finite().then_some(value);
    FiguresView {
        rate: edge.calls.value,
        success: known(1.0 - edge.errors.value),
        p50_ms: known(edge.latency.p50_ms.value),
        p99_ms: known(edge.latency.p99_ms.value),
        retries_per_s: edge.retries.value,
        hedges_per_s: edge.hedges.value,
        ..FiguresView::default()
    }
}
