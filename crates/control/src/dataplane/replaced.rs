//! What data planes have measured since they were replaced.
//!
//! Each goes on counting from its own start, while its successor counts from zero. What is kept here is what they
//! counted since, summed over all of them, so that it only grows while this control process lives: a metric of its own
//! beside that of the one that serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use telemetry::EdgeSignals;
use telemetry::report::EdgeName;

use super::feeding::InFlight;

/// Edges as a data plane reported them last.
pub(super) type Edges = BTreeMap<EdgeName, Arc<EdgeSignals>>;

/// What they have measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replaced {
    /// What was counted, by edge; nothing of how an edge is.
    sums: Edges,
    /// What each reported last, by its process.
    latest: BTreeMap<u32, Edges>,
}

impl Replaced {
    /// One goes on. `before` is what it had reported when it was replaced; where that is not known, what it reports first
    /// counts for nothing.
    pub(super) fn begin(&mut self, pid: u32, before: Edges) {
        self.latest.insert(pid, before);
    }

    /// It has reported these edges. Those of its first report are all it has.
    pub(super) fn take_in(&mut self, pid: u32, reported: Vec<EdgeSignals>) {
        let latest = self.latest.entry(pid).or_default();
        let is_first = latest.is_empty();
        for now in reported {
            let name = now.edge.clone();
            let now = Arc::new(now);
            let before = latest.insert(name.clone(), Arc::clone(&now));
            if is_first {
                continue;
            }
            let since = match before {
                Some(before) => now.counted_since(&before),
                None => now.counted(),
            };
            let sum = match self.sums.remove(&name) {
                Some(sum) => Arc::unwrap_or_clone(sum).with(&since),
                None => since,
            };
            self.sums.insert(name, Arc::new(sum));
        }
    }

    /// It has ended, and nothing is in flight there any more.
    pub(super) fn end(&mut self, pid: u32) {
        self.latest.remove(&pid);
    }

    /// What they counted, by edge.
    pub(crate) const fn sums(&self) -> &Edges {
        &self.sums
    }

    /// Requests in flight over an edge.
    pub(crate) fn in_flight(&self, name: &EdgeName) -> u32 {
        self.latest.values().filter_map(|it| it.get(name)).map(|it| it.in_flight).sum()
    }

    /// Requests in flight over edges that are limited, by the edge's key.
    pub(super) fn occupied(&self) -> InFlight {
        let mut occupied = BTreeMap::new();
        let edges = self.latest.values().flat_map(BTreeMap::values);
        for edge in edges.filter(|it| it.limit.is_some() && 0 < it.in_flight) {
            *occupied.entry(edge.edge.key()).or_default() += edge.in_flight;
        }
        Arc::new(occupied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::report::Caller;

    fn edge(callee: &str, queued: u64, in_flight: u32) -> EdgeSignals {
        EdgeSignals {
            edge: EdgeName {
                application: "shop".parse().unwrap(),
                caller: Caller::Route("*/".to_owned()),
                callee: callee.parse().unwrap(),
            },
            refused: vec![("shed".to_owned(), queued)],
            queued,
            releases: Vec::new(),
            instances: Vec::new(),
            open: true,
            in_flight,
            limit: (callee != "free").then_some(10),
            trial: None,
        }
    }

    fn edges(all: &[EdgeSignals]) -> Edges {
        all.iter().map(|it| (it.edge.clone(), Arc::new(it.clone()))).collect()
    }

    #[track_caller]
    fn check(replaced: &Replaced, sums: &[(&str, u64)], occupied: &[(&str, u32)]) {
        let found: Vec<_> =
            replaced.sums().values().map(|it| (it.edge.callee.as_str(), it.queued)).collect();
        assert_eq!(found, sums);
        assert!(replaced.sums().values().all(|it| it.refused[0].1 == it.queued && !it.open));
        let occupied: BTreeMap<_, _> =
            occupied.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
        assert_eq!(*replaced.occupied(), occupied);
    }

    #[test]
    fn issue_13_what_was_counted_before_the_replacement_is_not_counted_again() {
        let mut replaced = Replaced::default();
        replaced.begin(7, edges(&[edge("cart", 5, 3)]));
        check(&replaced, &[], &[("shop/*/>cart", 3)]);
        replaced.take_in(7, vec![edge("cart", 6, 2), edge("ads", 4, 1), edge("free", 1, 9)]);
        let occupied = [("shop/*/>ads", 1), ("shop/*/>cart", 2)];
        check(&replaced, &[("ads", 4), ("cart", 1), ("free", 1)], &occupied);
    }

    #[test]
    fn issue_13_sums_outlive_those_who_counted_and_what_is_in_flight_does_not() {
        let mut replaced = Replaced::default();
        // Found by a control process that has not seen it serve.
        replaced.begin(7, Edges::new());
        replaced.take_in(7, vec![edge("cart", 100, 3)]);
        check(&replaced, &[], &[("shop/*/>cart", 3)]);
        replaced.take_in(7, vec![edge("cart", 101, 3)]);
        replaced.begin(8, edges(&[edge("cart", 10, 2)]));
        replaced.take_in(8, vec![edge("cart", 12, 1)]);
        check(&replaced, &[("cart", 3)], &[("shop/*/>cart", 4)]);
        assert_eq!(replaced.in_flight(&edge("cart", 0, 0).edge), 4);
        replaced.end(7);
        replaced.end(8);
        check(&replaced, &[("cart", 3)], &[]);
    }
}
