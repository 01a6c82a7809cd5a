//! How an instance comes to its end: decisions about time, apart from signals.
//!
//! The first process is told, and nobody else: it knows best how its children are to end, and one that is
//! told twice may take the second time for haste. When it has ended, by our word or by itself, whatever
//! outlives it is told and has what is left of the grace period. A first process that neither ends nor
//! passes the word on, like a shell that waits for its program before it heeds its trap, must not cost
//! its children their time: the rest is told a while before grace is over.

use std::time::Duration;

use model::Instant;

/// What the rest of an instance gets of the grace period when the first process does not end: enough to
/// finish a request and flush, late enough for a process that still ends its children by itself. At most
/// half of the period.
const LAST_CALL: Duration = Duration::from_secs(5);

/// An instance's way to its end, once that has begun.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// Whether the first process has ended.
    pub(super) leader_has_ended: bool,
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    /// When the rest is told although the first process has not ended; nothing once it was.
    rest_at: Option<Instant>,
    /// When everything is killed.
    kill_at: Instant,
    killed: bool,
}

impl Ending {
    /// Begins, if it has not begun.
    pub(super) fn begin(&mut self, now: Instant, grace: Duration) -> bool {
        if self.begun.is_some() {
            return false;
        }
        let rest_at = Some(now.after(grace.saturating_sub(LAST_CALL.min(grace / 2))));
        self.begun = Some(Begun { rest_at, kill_at: now.after(grace), killed: false });
        true
    }

    /// The first process is known to do nothing about it.
    pub(super) fn rest_is_due_now(&mut self, now: Instant) {
        if let Some(begun) = &mut self.begun {
            begun.rest_at = Some(now);
        }
    }

    /// Whether the rest must be told now; true once.
    pub(super) fn take_rest(&mut self, now: Instant) -> bool {
        let is_due = |at: &mut Instant| self.leader_has_ended || *at <= now;
        let Some(begun) = &mut self.begun else { return false };
        begun.rest_at.take_if(is_due).is_some()
    }

    /// Whether everything must be killed now; true once.
    pub(super) fn take_kill(&mut self, now: Instant) -> bool {
        let Some(begun) = self.begun.as_mut().filter(|it| it.kill_at <= now) else { return false };
        !std::mem::replace(&mut begun.killed, true)
    }

    /// Whether the grace period is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.begun.as_ref().is_some_and(|it| it.kill_at <= now)
    }

    /// When there is something to do next, whatever happens meanwhile.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let begun = self.begun.as_ref().filter(|it| !it.killed)?;
        Some(begun.rest_at.map_or(begun.kill_at, |it| it.min(begun.kill_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_rest_is_told_when_the_first_process_has_ended() {
        let mut ending = Ending::default();
        assert!(!ending.take_rest(at(0)));
        assert!(ending.begin(at(0), Duration::from_secs(20)));
        assert!(!ending.begin(at(1), Duration::from_secs(20)), "grace does not begin anew");
        assert!(!ending.take_rest(at(100)));
        ending.leader_has_ended = true;
        assert!(ending.take_rest(at(200)));
        assert!(!ending.take_rest(at(300)), "nobody is told twice");
        assert_eq!(ending.next_deadline(), Some(at(20_000)));
        assert!(!ending.take_kill(at(19_999)));
        assert!(ending.take_kill(at(20_000)));
        assert!(!ending.take_kill(at(20_001)));
        assert!(ending.is_over(at(20_001)));
        assert_eq!(ending.next_deadline(), None);
    }

    #[test]
    fn a_first_process_that_does_nothing_does_not_cost_the_rest_its_time() {
        #[track_caller]
        fn check(grace_ms: u64, rest_ms: u64) {
            let mut ending = Ending::default();
            ending.begin(at(0), Duration::from_millis(grace_ms));
            assert_eq!(ending.next_deadline(), Some(at(rest_ms)));
            assert!(!ending.take_rest(at(rest_ms - 1)));
            assert!(ending.take_rest(at(rest_ms)));
            assert_eq!(ending.next_deadline(), Some(at(grace_ms)));
        }
        check(20_000, 15_000);
        check(10_000, 5_000);
        check(300, 150);
        let mut ending = Ending::default();
        ending.begin(at(0), Duration::from_secs(20));
        ending.rest_is_due_now(at(0));
        assert!(ending.take_rest(at(0)));
    }
}
