//! The critical path of a trace: the work that would have to be faster for the whole to be faster.
//!
//! From the end of the root backwards: the child that ended last before the moment is what was waited for; what is
//! between its end and the moment is the parent's own; then the same for what was before the child began. A child
//! that outlasts its parent counts up to the parent's end, and one that began after it was not waited for.
//! The algorithm is CRISP's (Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice
//! Architectures", USENIX ATC 2022), which Jaeger shows as well. Times are those of the repaired [`tree`].

use crate::traces::span::Span;
use crate::traces::tree::{self, Node};

/// A stretch of time that one span is answerable for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The place of the span among those that were given.
    pub span: usize,
    /// When it begins, in corrected microseconds since 1970.
    pub from_us: u64,
    /// When it ends.
    pub until_us: u64,
}

/// The critical path of the root that began first, in the order of time: stretches that follow each other without
/// gaps from its beginning to its end.
pub fn critical_path(spans: &[Span]) -> Vec<Stretch> {
    let nodes = tree::tree(spans);
    let mut children = vec![Vec::new(); nodes.len()];
    for (place, node) in nodes.iter().enumerate() {
        if let Some(below) = node.parent.and_then(|it| children.get_mut(it)) {
            below.push(place);
        }
    }
    let Some(root) = nodes.first() else { return Vec::new() };
    let mut path = Vec::new();
    // What is still to be walked, the latest on top: a span in a stretch of time.
    let mut open = vec![Work::Span(0, root.start_us, root.end_us())];
    while let Some(work) = open.pop() {
        match work {
            Work::Own(stretch) => path.push(stretch),
            Work::Span(place, from_us, until_us) => {
                let below = children.get(place).map_or(&[][..], Vec::as_slice);
                let Some(node) = nodes.get(place) else { continue };
                open.extend(split(node.span, (from_us, until_us), below, &nodes));
            }
        }
    }
    path.reverse();
    path
}

enum Work {
    /// A stretch of the path.
    Own(Stretch),
    /// A node's time, to be split among it and its children.
    Span(usize, u64, u64),
}

/// Splits a span's time among it and its children, in the order of time.
fn split(
    span: usize,
    (from_us, until_us): (u64, u64),
    below: &[usize],
    nodes: &[Node],
) -> Vec<Work> {
    let mut waited: Vec<(u64, u64, usize)> = below
        .iter()
        .filter_map(|place| {
            nodes
                .get(*place)
                .map(|it| (it.end_us().min(until_us), it.start_us.max(from_us), *place))
        })
        .filter(|(end_us, start_us, _)| start_us < end_us)
        .collect();
    waited.sort_unstable();
    let mut parts = Vec::new();
    let mut moment = until_us;
    let own = |from_us, until_us| {
        (from_us < until_us).then_some(Work::Own(Stretch { span, from_us, until_us }))
    };
    for (end_us, start_us, place) in waited.into_iter().rev() {
        if end_us <= moment {
            parts.extend(own(end_us, moment));
            parts.push(Work::Span(place, start_us, end_us));
            moment = start_us;
        }
    }
    parts.extend(own(from_us, moment));
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::testing::{any_span, span};
    use proptest::prelude::*;

    fn timed(id: u64, parent: u64, start_us: u64, end_us: u64) -> Span {
        Span {
            parent: (parent != 0).then_some(parent),
            start_us,
            duration_us: end_us - start_us,
            ..span(1, id, "a", "")
        }
    }

    fn check(spans: &[Span], expected: &[(usize, u64, u64)]) {
        let path = critical_path(spans);
        let found: Vec<_> = path.iter().map(|it| (it.span, it.from_us, it.until_us)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_ended_last_was_waited_for() {
        // Two at once, of which the longer counts; then one alone, with one of its own.
        check(
            &[
                timed(1, 0, 100, 200),
                timed(2, 1, 110, 130),
                timed(3, 1, 110, 150),
                timed(4, 1, 160, 190),
                timed(5, 4, 165, 170),
            ],
            &[
                (0, 100, 110),
                (2, 110, 150),
                (0, 150, 160),
                (3, 160, 165),
                (4, 165, 170),
                (3, 170, 190),
                (0, 190, 200),
            ],
        );
        // One that outlasts its parent, and one that was not waited for.
        check(
            &[timed(1, 0, 100, 200), timed(2, 1, 150, 290), timed(3, 1, 210, 220)],
            &[(0, 100, 150), (1, 150, 200)],
        );
        check(&[], &[]);
    }

    proptest! {
        #[test]
        fn it_covers_the_root_without_gaps(spans in prop::collection::vec(any_span(), 1..20)) {
            let path = critical_path(&spans);
            let root = tree::tree(&spans)[0];
            let mut moment = root.start_us;
            for stretch in &path {
                prop_assert_eq!(stretch.from_us, moment);
                prop_assert!(stretch.from_us < stretch.until_us);
                moment = stretch.until_us;
            }
            prop_assert_eq!(moment, root.end_us());
        }
    }
}
