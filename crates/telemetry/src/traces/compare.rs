//! Two traces side by side: what one did that the other did not, and what took longer.
//!
//! Spans are aligned by their path: the services and operations from the root to them. Spans of one path are
//! counted and their times added, since which of ten queries is which of the other ten nobody knows. It refuses to
//! say which trace is right.

use std::collections::BTreeMap;

use crate::traces::span::Span;
use crate::traces::tree;

/// What one trace did at a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Spans.
    pub count: u64,
    /// Spans that failed.
    pub errors: u64,
    /// The sum of their durations, in microseconds.
    pub total_us: u64,
}

/// A path, and what either trace did there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// How many there are above it.
    pub depth: usize,
    /// The service.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// In the first trace.
    pub first: Side,
    /// In the second.
    pub second: Side,
}

impl Row {
    /// How much longer the second took, in microseconds; negative if it was faster.
    pub const fn difference_us(&self) -> i64 {
        self.second.total_us.cast_signed().wrapping_sub(self.first.total_us.cast_signed())
    }
}

/// A path that is being gathered.
struct Path<'a> {
    depth: usize,
    name: (&'a str, &'a str),
    sides: [Side; 2],
    below: BTreeMap<(&'a str, &'a str), usize>,
    /// The paths below, in the order they were met.
    order: Vec<usize>,
}

impl<'a> Path<'a> {
    const fn new(depth: usize, name: (&'a str, &'a str)) -> Self {
        let side = Side { count: 0, errors: 0, total_us: 0 };
        Self { depth, name, sides: [side; 2], below: BTreeMap::new(), order: Vec::new() }
    }
}

/// Aligns the spans of two traces: paths before those below them, in the order the first trace has them, then the
/// second.
pub fn compare(first: &[Span], second: &[Span]) -> Vec<Row> {
    let mut paths = vec![Path::new(0, ("", ""))];
    for (side, spans) in [first, second].into_iter().enumerate() {
        gather(&mut paths, side, spans);
    }
    let mut rows = Vec::new();
    let mut open = vec![0];
    while let Some(path) = open.pop().and_then(|it| paths.get(it)) {
        open.extend(path.order.iter().rev());
        let [first, second] = path.sides;
        if let Some(depth) = path.depth.checked_sub(1) {
            let (service, operation) = (path.name.0.to_owned(), path.name.1.to_owned());
            rows.push(Row { depth, service, operation, first, second });
        }
    }
    rows
}

fn gather<'a>(paths: &mut Vec<Path<'a>>, side: usize, spans: &'a [Span]) {
    let nodes = tree::tree(spans);
    // The path of each node.
    let mut places: Vec<usize> = Vec::with_capacity(nodes.len());
    for node in &nodes {
        let above = node.parent.and_then(|it| places.get(it)).copied().unwrap_or(0);
        let Some(span) = spans.get(node.span) else { continue };
        let name = (span.service.as_str(), span.operation.as_str());
        let new = paths.len();
        let Some(parent) = paths.get_mut(above) else { continue };
        let place = *parent.below.entry(name).or_insert(new);
        let depth = parent.depth + 1;
        if place == new {
            parent.order.push(new);
            paths.push(Path::new(depth, name));
        }
        if let Some(sum) = paths.get_mut(place).and_then(|it| it.sides.get_mut(side)) {
            sum.count += 1;
            sum.errors += u64::from(span.is_error);
            sum.total_us = sum.total_us.saturating_add(span.duration_us);
        }
        places.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::testing::{any_span, span};
    use proptest::prelude::*;

    fn timed(id: u64, parent: u64, name: (&str, &str), duration_us: u64) -> Span {
        Span { parent: (parent != 0).then_some(parent), duration_us, ..span(1, id, name.0, name.1) }
    }

    #[test]
    fn paths_are_aligned() {
        let first = [
            timed(1, 0, ("web", "/"), 100),
            timed(2, 1, ("cart", "get"), 40),
            timed(3, 2, ("db", "query"), 10),
            timed(4, 2, ("db", "query"), 15),
        ];
        let failed = Span { is_error: true, ..timed(9, 7, ("mail", "send"), 5) };
        let second = [timed(7, 0, ("web", "/"), 80), timed(8, 7, ("cart", "get"), 60), failed];
        let rows = compare(&first, &second);
        let found: Vec<_> = rows
            .iter()
            .map(|it| {
                (it.depth, it.service.as_str(), it.first.count, it.second.count, it.difference_us())
            })
            .collect();
        assert_eq!(
            found,
            [
                (0, "web", 1, 1, -20),
                (1, "cart", 1, 1, 20),
                (2, "db", 2, 0, -25),
                (1, "mail", 0, 1, 5)
            ]
        );
        assert_eq!(rows[3].second, Side { count: 1, errors: 1, total_us: 5 });
    }

    proptest! {
        #[test]
        fn nothing_is_lost(first in prop::collection::vec(any_span(), 0..12), second in prop::collection::vec(any_span(), 0..12)) {
            let rows = compare(&first, &second);
            let count = |side: fn(&Row) -> Side| rows.iter().map(|it| side(it).count).sum::<u64>();
            prop_assert_eq!(count(|it| it.first), first.len() as u64);
            prop_assert_eq!(count(|it| it.second), second.len() as u64);
            let same = compare(&first, &first);
            prop_assert!(same.iter().all(|it| it.first == it.second));
        }
    }
}
