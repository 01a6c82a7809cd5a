//! The graph as lines for a terminal.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{GraphView, LinkView, NodeView, OriginView, in_words};

/// An outline from the routes on. What a service calls is drawn where it is first met; an arrow up says
/// that it stands above.
pub(super) fn draw(graph: &GraphView) -> String {
    let mut text = String::new();
    for application in graph.applications() {
        let mut outline = Outline { graph, application, met: BTreeSet::new(), lines: Vec::new() };
        outline.draw();
        text.extend(outline.lines.iter().flat_map(|it| [it.trim_end(), "\n"]));
    }
    text
}

struct Outline<'a> {
    graph: &'a GraphView,
    application: &'a str,
    /// Services whose calls have been drawn.
    met: BTreeSet<&'a str>,
    lines: Vec<String>,
}

impl<'a> Outline<'a> {
    fn draw(&mut self) {
        self.lines.push(self.application.to_owned());
        let mut routes: Vec<&'a str> = Vec::new();
        for link in self.links() {
            if let OriginView::Route(route) = &link.from
                && !routes.contains(&route.as_str())
            {
                routes.push(route);
            }
        }
        for route in routes {
            self.lines.push(route.to_owned());
            self.calls(&OriginView::Route(route.to_owned()), "");
        }
        self.unreached();
    }

    fn links(&self) -> impl Iterator<Item = &'a LinkView> + use<'a> {
        let application = self.application;
        self.graph.links.iter().filter(move |it| it.application == application)
    }

    /// Services that no route leads to: first those nobody calls, then what is left of circles.
    fn unreached(&mut self) {
        let unreached = self.nodes().filter(|it| !it.reachable);
        let unreached: Vec<&'a NodeView> = unreached.collect();
        if unreached.is_empty() {
            return;
        }
        self.lines.push("not reached from outside".to_owned());
        let is_called = |node: &&NodeView| self.links().any(|it| it.to == node.service);
        let (called, first): (Vec<_>, Vec<_>) = unreached.into_iter().partition(is_called);
        for node in first.into_iter().chain(called) {
            if !self.met.contains(node.service.as_str()) {
                self.lines.push(format!("   {}", count(node)));
                self.below(&node.service, "   ");
            }
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &'a NodeView> + use<'a> {
        let application = self.application;
        self.graph.nodes.iter().filter(move |it| it.application == application)
    }

    /// Draws what `service` calls, once.
    fn below(&mut self, service: &'a str, indent: &str) {
        if self.met.insert(service) {
            self.calls(&OriginView::Service(service.to_owned()), indent);
        }
    }

    fn calls(&mut self, from: &OriginView, indent: &str) {
        let links: Vec<&'a LinkView> = self.links().filter(|it| it.from == *from).collect();
        let last = links.len().saturating_sub(1);
        for (at, link) in links.into_iter().enumerate() {
            let (branch, further) =
                if at == last { ("└─", "   ") } else { ("├─", "│  ") };
            let node = self.nodes().find(|it| it.service == link.to);
            let name = node.map_or_else(|| link.to.clone(), count);
            let mut line = format!("{indent}{branch} {name}");
            let words = in_words(link, self.graph);
            if !words.is_empty() {
                // Writing to a string cannot fail.
                _ = write!(line, "  {words}");
            }
            let above = self.met.contains(link.to.as_str()) && self.has_calls(&link.to);
            if above {
                line.push_str("  ↑");
            }
            self.lines.push(line);
            self.below(&link.to, &format!("{indent}{further}"));
        }
    }

    fn has_calls(&self, service: &str) -> bool {
        self.links().any(|it| matches!(&it.from, OriginView::Service(from) if from == service))
    }
}

fn count(node: &NodeView) -> String {
    format!("{} {}/{}", node.service, node.ready, node.wanted)
}
