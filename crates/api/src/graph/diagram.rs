//! The graph in the languages of drawing tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{GraphView, LinkView, OriginView, in_words};

/// Graphviz: an application is a cluster, a route an oval, a link that was never used dashed.
pub(super) fn dot(graph: &GraphView) -> String {
    let mut text = "digraph pelago {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for (at, application) in graph.applications().into_iter().enumerate() {
        let title = quoted(application);
        // Writing to a string cannot fail, here and below.
        _ = writeln!(text, "  subgraph cluster_{at} {{\n    label={title};");
        for node in graph.nodes.iter().filter(|it| it.application == application) {
            let id = quoted(&format!("{application}/{}", node.service));
            let label = quoted(&format!("{}\n{}/{}", node.service, node.ready, node.wanted));
            let colour = if node.ready == 0 { ", color=red" } else { "" };
            _ = writeln!(text, "    {id} [label={label}{colour}];");
        }
        text.push_str("  }\n");
    }
    for route in routes(graph) {
        _ = writeln!(text, "  {} [label={}, shape=oval];", quoted(&route), quoted(&route));
    }
    for link in &graph.links {
        let from = match &link.from {
            OriginView::Route(route) => quoted(route),
            OriginView::Service(service) => quoted(&format!("{}/{service}", link.application)),
        };
        let to = quoted(&format!("{}/{}", link.application, link.to));
        let label = quoted(&in_words(link, graph));
        let style = if is_idle(link, graph) { ", style=dashed" } else { "" };
        _ = writeln!(text, "  {from} -> {to} [label={label}{style}];");
    }
    text.push_str("}\n");
    text
}

/// Mermaid: the same, with ids of its own, as not every name is one there.
pub(super) fn mermaid(graph: &GraphView) -> String {
    let mut text = "flowchart LR\n".to_owned();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for (at, application) in graph.applications().into_iter().enumerate() {
        _ = writeln!(text, "  subgraph a{at}[\"{}\"]", entities(application));
        for node in graph.nodes.iter().filter(|it| it.application == application) {
            let id = format!("s{}", ids.len());
            let (name, ready, wanted) = (entities(&node.service), node.ready, node.wanted);
            _ = writeln!(text, "    {id}[\"{name} {ready}/{wanted}\"]");
            ids.insert(format!("{application}/{}", node.service), id);
        }
        text.push_str("  end\n");
    }
    for route in routes(graph) {
        let id = format!("r{}", ids.len());
        _ = writeln!(text, "  {id}([\"{}\"])", entities(&route));
        ids.insert(route, id);
    }
    for link in &graph.links {
        let from = match &link.from {
            OriginView::Route(route) => ids.get(route),
            OriginView::Service(service) => ids.get(&format!("{}/{service}", link.application)),
        };
        let to = ids.get(&format!("{}/{}", link.application, link.to));
        let (Some(from), Some(to)) = (from, to) else { continue };
        let arrow = if is_idle(link, graph) { "-.->" } else { "-->" };
        let label = match in_words(link, graph).as_str() {
            "" => String::new(),
            words => format!("|\"{}\"|", entities(words)),
        };
        _ = writeln!(text, "  {from} {arrow}{label} {to}");
    }
    text
}

/// Whether it is known that a link was never used.
const fn is_idle(link: &LinkView, graph: &GraphView) -> bool {
    graph.connected && !link.used
}

/// The routes, in the order of their first link.
fn routes(graph: &GraphView) -> Vec<String> {
    let mut routes: Vec<String> = Vec::new();
    for link in &graph.links {
        if let OriginView::Route(route) = &link.from
            && !routes.contains(route)
        {
            routes.push(route.clone());
        }
    }
    routes
}

/// A DOT string.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// Text between Mermaid's quotes.
fn entities(text: &str) -> String {
    text.replace('"', "#quot;")
}
