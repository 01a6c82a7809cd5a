//! The spans of a trace as a tree, repaired, in the order people read it.
//!
//! Machines disagree about the time. A server that seems to begin before its client sent the request is moved, with
//! what is below it in the same service, so that the time its client waited longer lies half before and half after
//! it, as Zipkin does (`zipkin2.internal`, clock skew correction). A span whose parent is missing stands below the
//! only root if there is one. It refuses to change what was reported: the spans stay as they are.

use crate::traces::lineage;
use crate::traces::span::{Kind, Span};

/// A span's place in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The place of the span among those the tree was made of.
    pub span: usize,
    /// The place in the tree of what it is part of.
    pub parent: Option<usize>,
    /// How many there are above it.
    pub depth: usize,
    /// When it began, corrected.
    pub start_us: u64,
    /// How long it took, as reported.
    pub duration_us: u64,
    /// Whether its parent was never reported.
    pub is_orphan: bool,
}

impl Node {
    /// When it ended, corrected.
    pub const fn end_us(&self) -> u64 {
        self.start_us.saturating_add(self.duration_us)
    }
}

/// The tree of a trace's spans: parents before their children, children by when they began.
pub fn tree(spans: &[Span]) -> Vec<Node> {
    let parts: Vec<_> = spans.iter().map(lineage::of_span).collect();
    let mut parents = lineage::parents(&parts);
    let orphan = |at: usize, parents: &[Option<usize>]| {
        parents.get(at) == Some(&None) && spans.get(at).is_some_and(|it| it.parent.is_some())
    };
    let orphans: Vec<_> = (0..spans.len()).map(|at| orphan(at, &parents)).collect();
    let is_orphan = |at: usize| orphans.get(at).copied().unwrap_or_default();
    let roots: Vec<_> =
        (0..spans.len()).filter(|at| parents.get(*at) == Some(&None) && !is_orphan(*at)).collect();
    if let [root] = *roots {
        for (at, parent) in parents.iter_mut().enumerate() {
            if parent.is_none() && at != root {
                *parent = Some(root);
            }
        }
    }
    let mut children = lineage::children(&parents);
    let begin = |at: &usize| spans.get(*at).map_or(0, |it| it.start_us);
    for below in &mut children {
        below.sort_by_key(begin);
    }
    let mut open: Vec<_> = (0..spans.len()).filter(|at| parents.get(*at) == Some(&None)).collect();
    open.sort_by_key(begin);
    let mut open: Vec<Open> = open.into_iter().rev().map(Open::root).collect();
    let mut nodes: Vec<Node> = Vec::with_capacity(spans.len());
    while let Some(next) = open.pop() {
        let Some(span) = spans.get(next.span) else { continue };
        let parent = next.parent.and_then(|it| nodes.get(it));
        let parent = parent.and_then(|it| Some((it, spans.get(it.span)?)));
        let early_us = parent.map_or(0, |(node, above)| skew(next.early_us, span, node, above));
        let depth = next.parent.and_then(|it| nodes.get(it)).map_or(0, |it| it.depth + 1);
        let below = children.get(next.span).into_iter().flatten().rev();
        let place = nodes.len();
        open.extend(below.map(|it| Open { span: *it, parent: Some(place), early_us }));
        nodes.push(Node {
            span: next.span,
            parent: next.parent,
            depth,
            start_us: span.start_us.saturating_add(early_us),
            duration_us: span.duration_us,
            is_orphan: is_orphan(next.span),
        });
    }
    nodes
}

/// A span that is still to be placed.
struct Open {
    span: usize,
    parent: Option<usize>,
    /// How far the clock of what is above it is behind.
    early_us: u64,
}

impl Open {
    const fn root(span: usize) -> Self {
        Self { span, parent: None, early_us: 0 }
    }
}

/// How far a span's clock is behind, whose parent stands in the tree already.
fn skew(early_us: u64, span: &Span, node: &Node, parent: &Span) -> u64 {
    if span.service == parent.service {
        return early_us;
    }
    let call = matches!((parent.kind, span.kind), (Kind::Client, Kind::Server));
    if !call || span.start_us == 0 || node.start_us <= span.start_us {
        return 0;
    }
    let latency = node.duration_us.saturating_sub(span.duration_us) / 2;
    (node.start_us - span.start_us).saturating_add(latency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::testing::{any_span, span};
    use proptest::prelude::*;

    fn timed(id: u64, parent: u64, kind: Kind, service: &str, times: (u64, u64)) -> Span {
        Span {
            parent: (parent != 0).then_some(parent),
            kind,
            start_us: times.0,
            duration_us: times.1,
            ..span(1, id, service, "")
        }
    }

    /// Each node as its span, its depth, its corrected beginning, and whether it is an orphan.
    fn check(spans: &[Span], expected: &[(usize, usize, u64, bool)]) {
        let nodes = tree(spans);
        let found: Vec<_> =
            nodes.iter().map(|it| (it.span, it.depth, it.start_us, it.is_orphan)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_servers_clock_is_set_to_its_clients() {
        check(
            &[
                timed(1, 0, Kind::Client, "web", (1000, 100)),
                timed(2, 1, Kind::Server, "cart", (900, 60)),
                timed(3, 2, Kind::Internal, "cart", (910, 10)),
                timed(4, 2, Kind::Client, "cart", (930, 20)),
                timed(5, 4, Kind::Server, "stock", (1055, 10)),
            ],
            // The server is moved by 120, what it does as well; the other server was right all the time.
            &[
                (0, 0, 1000, false),
                (1, 1, 1020, false),
                (2, 2, 1030, false),
                (3, 2, 1050, false),
                (4, 3, 1055, false),
            ],
        );
        // A server that took longer than its client waited begins with it.
        let late = timed(2, 1, Kind::Server, "cart", (900, 160));
        check(
            &[timed(1, 0, Kind::Client, "web", (1000, 100)), late],
            &[(0, 0, 1000, false), (1, 1, 1000, false)],
        );
    }

    #[test]
    fn what_has_no_parent_stands_below_the_only_root() {
        let orphan = timed(3, 9, Kind::Server, "b", (5, 1));
        let root = timed(1, 0, Kind::Server, "a", (7, 9));
        let child = timed(2, 1, Kind::Internal, "a", (8, 1));
        check(
            &[orphan.clone(), root.clone(), child.clone()],
            &[(1, 0, 7, false), (0, 1, 5, true), (2, 1, 8, false)],
        );
        let other = timed(4, 0, Kind::Server, "c", (6, 1));
        check(
            &[orphan, root, child, other],
            &[(0, 0, 5, true), (3, 0, 6, false), (1, 0, 7, false), (2, 1, 8, false)],
        );
        check(&[], &[]);
    }

    proptest! {
        #[test]
        fn every_span_has_a_place_after_its_parent(spans in prop::collection::vec(any_span(), 0..20)) {
            let nodes = tree(&spans);
            let mut seen: Vec<_> = nodes.iter().map(|it| it.span).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..spans.len()).collect::<Vec<_>>());
            for (place, node) in nodes.iter().enumerate() {
                let above = node.parent.map(|it| nodes[it].depth + 1);
                prop_assert_eq!(node.depth, above.unwrap_or(0));
                prop_assert!(node.parent.is_none_or(|it| it < place));
                prop_assert!(spans[node.span].start_us <= node.start_us);
            }
        }
    }
}
