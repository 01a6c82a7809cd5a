//! Spans for tests.

use proptest::prelude::*;

use crate::traces::span::{Kind, Link, Span};

/// A server's span without anything special about it.
pub(crate) fn span(trace: u128, id: u64, service: &str, operation: &str) -> Span {
    Span {
        trace,
        id,
        kind: Kind::Server,
        service: service.to_owned(),
        operation: operation.to_owned(),
        start_us: 1_700_000_000_000_000,
        duration_us: 1_000,
        ..Span::default()
    }
}

/// Spans of few traces with few names, so that something is equal to something.
pub(crate) fn any_span() -> impl Strategy<Value = Span> {
    let ids = (1_u128..6, 1_u64..9, prop::option::of(1_u64..9));
    let names = ("[abc]?", "[xyz]{0,2}", "[abc]?", prop::sample::select(Kind::ALL.to_vec()));
    let times = (0_u64..5_000_000, prop_oneof![0_u64..9_000, any::<u64>().prop_map(|it| it >> 20)]);
    let tags = prop::collection::vec(("[a-d.]{1,3}", "[0-9é]{0,3}"), 0..4);
    let events = prop::collection::vec((0_u64..5_000_000, "[a-z]{0,4}"), 0..3);
    let links = prop::collection::vec((any::<u128>(), any::<u64>()), 0..2);
    let flags = (any::<bool>(), any::<bool>());
    (ids, names, times, (tags, events, links), flags).prop_map(
        |(ids, names, times, more, flags)| Span {
            trace: ids.0 | u128::from(ids.1 & 1) << 64,
            id: ids.1,
            parent: ids.2,
            kind: names.3,
            service: names.0,
            operation: names.1,
            remote: names.2,
            start_us: 1_700_000_000_000_000 + times.0,
            duration_us: times.1,
            tags: more.0,
            events: more.1,
            links: more.2.into_iter().map(|(trace, id)| Link { trace, id }).collect(),
            is_error: flags.0,
            shared: flags.1,
        },
    )
}
