//! What several workers measured, as one.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use telemetry::report::{EdgeName, EdgeSignals, Signals};

/// The latest of every worker about every edge: a worker tells only what has changed, and a sum needs
/// all of them.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    seen: BTreeMap<EdgeName, BTreeMap<usize, EdgeSignals>>,
}

impl Gathered {
    /// Puts together what each worker told, in their order.
    pub(crate) fn together(&mut self, at: Timestamp, of_workers: Vec<Signals>) -> Signals {
        let mut signals = Signals { at, ..Signals::default() };
        let mut changed = BTreeSet::new();
        for (worker, told) in of_workers.into_iter().enumerate() {
            signals.spans.extend(told.spans);
            signals.spans_dropped += told.spans_dropped;
            signals.client_connections += told.client_connections;
            signals.upstream_connections += told.upstream_connections;
            for edge in told.edges {
                changed.insert(edge.edge.clone());
                self.seen.entry(edge.edge.clone()).or_default().insert(worker, edge);
            }
        }
        let sums = changed.iter().filter_map(|name| {
            let mut seen = self.seen.get(name)?.values();
            let first = seen.next()?.clone();
            Some(seen.fold(first, EdgeSignals::with))
        });
        signals.edges = sums.collect();
        signals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::report::Caller;

    fn told(callee: &str, queued: u64) -> Signals {
        let edge = EdgeName {
            application: "shop".parse().unwrap(),
            caller: Caller::Route("*/".to_owned()),
            callee: callee.parse().unwrap(),
        };
        let edge = EdgeSignals {
            edge,
            refused: vec![("shed".to_owned(), queued)],
            queued,
            releases: Vec::new(),
            instances: Vec::new(),
            open: false,
            in_flight: 1,
            limit: Some(10),
            trial: None,
        };
        Signals { edges: vec![edge], client_connections: 2, ..Signals::default() }
    }

    #[test]
    fn a_worker_that_tells_nothing_new_still_counts() {
        let mut gathered = Gathered::default();
        let first = gathered.together(Timestamp::EPOCH, vec![told("cart", 3), told("cart", 4)]);
        let sum = |it: &Signals| (it.edges[0].queued, it.edges[0].refused[0].1, it.edges[0].limit);
        assert_eq!((sum(&first), first.client_connections), ((7, 7, Some(20)), 4));
        let second = vec![Signals::default(), told("cart", 9)];
        let second = gathered.together(Timestamp::EPOCH, second);
        assert_eq!(sum(&second), (12, 12, Some(20)));
        assert!(gathered.together(Timestamp::EPOCH, vec![Signals::default()]).edges.is_empty());
    }
}
