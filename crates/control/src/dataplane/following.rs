//! How soon the data plane follows: the time from events being recorded until every worker routes by them.
//!
//! It is always measured, because it is a promise. Of events that are recorded while a table is on its way,
//! the data plane names only the last; what it does not name is not counted.

use std::collections::VecDeque;
use std::time::Duration;

use model::{Index, Instant};

/// Recorded indexes that may wait for the data plane. Most change nothing in the table, and it does not
/// name them.
const RECORDED_MAX: usize = 256;
/// Delays remembered: enough for a 99th percentile.
const DELAYS_MAX: usize = 1_024;

/// Delays of the data plane behind the journal.
#[derive(Clone, Debug, Default)]
pub struct Following {
    recorded: VecDeque<(Index, Instant)>,
    delays: VecDeque<Duration>,
}

impl Following {
    /// Events up to `index` were recorded.
    pub(super) fn recorded(&mut self, index: Index, now: Instant) {
        if self.recorded.len() == RECORDED_MAX {
            self.recorded.pop_front();
        }
        self.recorded.push_back((index, now));
    }

    /// Every worker routes by the table of `index`.
    pub(super) fn applied(&mut self, index: Index, now: Instant) {
        while let Some((earlier, at)) = self.recorded.pop_front_if(|it| it.0 <= index) {
            if earlier == index {
                if self.delays.len() == DELAYS_MAX {
                    self.delays.pop_front();
                }
                self.delays.push_back(now.since(at));
            }
        }
    }

    /// Nobody follows any more: what is still to be followed was no delay of theirs.
    pub(super) fn interrupted(&mut self) {
        self.recorded.clear();
    }

    /// The delay that so many percent of those remembered do not exceed; nothing if there is none.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut delays: Vec<Duration> = self.delays.iter().copied().collect();
        delays.sort_unstable();
        let rank = (delays.len() * percent).div_ceil(100);
        delays.get(rank.saturating_sub(1)).copied()
    }

    /// Delays remembered.
    pub fn count(&self) -> usize {
        self.delays.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_nanos(micros * 1_000)
    }

    #[track_caller]
    fn check(following: &Following, expected: &[u64]) {
        let micros: Vec<u128> = following.delays.iter().map(Duration::as_micros).collect();
        assert_eq!(micros, expected.iter().copied().map(u128::from).collect::<Vec<_>>());
    }

    #[test]
    fn the_index_that_is_named_counts() {
        let mut following = Following::default();
        assert_eq!((following.percentile(50), following.count()), (None, 0));
        following.recorded(Index(3), at(100));
        following.recorded(Index(5), at(200));
        following.recorded(Index(8), at(300));
        following.applied(Index(5), at(450));
        check(&following, &[250]);
        following.applied(Index(7), at(460));
        following.applied(Index(8), at(500));
        following.applied(Index(8), at(900));
        check(&following, &[250, 200]);
    }

    #[test]
    fn what_is_recorded_while_nobody_follows_is_no_delay() {
        let mut following = Following::default();
        following.recorded(Index(1), at(0));
        following.interrupted();
        following.applied(Index(1), at(5_000_000));
        check(&following, &[]);
    }

    #[test]
    fn percentiles_are_of_the_latest() {
        let mut following = Following::default();
        for index in 0..2_000 {
            following.recorded(Index(index), at(0));
            following.applied(Index(index), at(index));
        }
        assert_eq!(following.count(), DELAYS_MAX);
        let micros = |percent| following.percentile(percent).map(|it| it.as_micros());
        assert_eq!(
            [0, 50, 99, 100].map(micros),
            [Some(976), Some(1_487), Some(1_989), Some(1_999)]
        );
    }

    #[test]
    fn indexes_that_nobody_names_do_not_pile_up() {
        let mut following = Following::default();
        for index in 0..10_000 {
            following.recorded(Index(index), at(index));
        }
        assert_eq!(following.recorded.len(), RECORDED_MAX);
    }
}
