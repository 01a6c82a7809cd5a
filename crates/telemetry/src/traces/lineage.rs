//! Which span is part of which, whatever was reported.
//!
//! Reports are late, lost, doubled and wrong. A server's span may have the id of its client's (Zipkin), a parent may
//! be missing, and hostile ones go round in circles. Every span has one parent here or none, and there are no
//! circles, so that whoever walks may do so without looking.

use crate::traces::encoded::Encoded;
use crate::traces::span::{Kind, Span};

/// What of a span says where it belongs, and whom it called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) kind: Kind,
    pub(super) shared: bool,
    pub(super) service: &'a str,
    pub(super) remote: &'a str,
    pub(super) duration_us: u64,
    pub(super) is_error: bool,
}

/// The part of a span.
pub(super) fn of_span(span: &Span) -> Part<'_> {
    Part {
        id: span.id,
        parent: span.parent,
        kind: span.kind,
        shared: span.shared,
        service: &span.service,
        remote: &span.remote,
        duration_us: span.duration_us,
        is_error: span.is_error,
    }
}

/// The part of a span that was encoded.
pub(super) const fn of_encoded<'a>(span: &Encoded<'a>) -> Part<'a> {
    Part {
        id: span.id,
        parent: span.parent,
        kind: span.kind,
        shared: span.shared,
        service: span.service,
        remote: span.remote,
        duration_us: span.duration_us,
        is_error: span.is_error,
    }
}

/// The place of each span's parent; none for those that are the root of something.
pub(super) fn parents(parts: &[Part<'_>]) -> Vec<Option<usize>> {
    let mut places: Vec<_> = parts.iter().enumerate().map(|(at, it)| (it.id, at)).collect();
    places.sort_unstable();
    let mut parents: Vec<_> =
        parts.iter().enumerate().map(|(at, part)| parent(at, part, parts, &places)).collect();
    break_circles(&mut parents);
    parents
}

fn parent(
    at: usize,
    part: &Part<'_>,
    parts: &[Part<'_>],
    places: &[(u64, usize)],
) -> Option<usize> {
    if part.shared || matches!(part.kind, Kind::Server) {
        let mut twins = with_id(part.id, parts, places);
        let client =
            twins.find(|(place, it)| *place != at && matches!(it.kind, Kind::Client) && !it.shared);
        if let Some((place, _)) = client {
            return Some(place);
        }
    }
    // Where client and server have one id, what is below belongs to the one in the same service, or else to the
    // server, who came later.
    let candidates = || with_id(part.parent.unwrap_or(0), parts, places).filter(|it| it.0 != at);
    let same = candidates().find(|(_, it)| it.service == part.service);
    let server = || candidates().find(|(_, it)| matches!(it.kind, Kind::Server));
    same.or_else(server).or_else(|| candidates().next()).map(|it| it.0)
}

fn with_id<'a>(
    id: u64,
    parts: &'a [Part<'a>],
    places: &'a [(u64, usize)],
) -> impl Iterator<Item = (usize, &'a Part<'a>)> {
    let first = places.partition_point(|it| it.0 < id);
    let same = places.get(first..).unwrap_or_default().iter().take_while(move |it| it.0 == id);
    same.filter_map(|(_, place)| Some((*place, parts.get(*place)?)))
}

/// Whoever walks upwards comes to an end: a span that would close a circle is a root.
fn break_circles(parents: &mut [Option<usize>]) {
    // The walk in which a span was first met; 0 for none.
    let mut walks = vec![0_usize; parents.len()];
    for start in 0..parents.len() {
        let mut at = start;
        while let Some(walk) = walks.get_mut(at).filter(|it| **it == 0) {
            *walk = start + 1;
            let Some(next) = parents.get(at).copied().flatten() else { break };
            if walks.get(next) == Some(&(start + 1)) {
                if let Some(parent) = parents.get_mut(at) {
                    *parent = None;
                }
                break;
            }
            at = next;
        }
    }
}

/// The places of the spans below each, from the places of the parents.
pub(super) fn children(parents: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); parents.len()];
    for (at, parent) in parents.iter().enumerate() {
        if let Some(below) = parent.and_then(|it| children.get_mut(it)) {
            below.push(at);
        }
    }
    children
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::testing::{any_span, span};
    use proptest::prelude::*;

    fn check(spans: &[Span], expected: &[Option<usize>]) {
        assert_eq!(parents(&spans.iter().map(of_span).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn everyone_has_one_parent() {
        let under = |parent, id, service| Span { parent: Some(parent), ..span(1, id, service, "") };
        check(&[span(1, 1, "a", ""), under(1, 2, "b"), under(9, 3, "c")], &[None, Some(0), None]);
        // Zipkin's client and server of one id, and what is below either.
        let client = Span { kind: Kind::Client, ..span(1, 1, "a", "") };
        let server = Span { shared: true, ..span(1, 1, "b", "") };
        check(
            &[client, server, under(1, 2, "b"), under(1, 3, "a"), under(1, 4, "c")],
            &[None, Some(0), Some(1), Some(0), Some(1)],
        );
        // Circles of one and of two.
        check(&[under(1, 1, "a")], &[None]);
        check(&[under(2, 1, "a"), under(1, 2, "a"), under(1, 3, "a")], &[Some(1), None, Some(0)]);
    }

    proptest! {
        #[test]
        fn walks_end(spans in prop::collection::vec(any_span(), 0..20)) {
            let parents = parents(&spans.iter().map(of_span).collect::<Vec<_>>());
            for start in 0..spans.len() {
                let walk = std::iter::successors(Some(start), |at| parents[*at]);
                prop_assert!(walk.take(spans.len() + 1).count() <= spans.len());
            }
        }
    }
}
