//! One timer a connection, moved only when it must ring earlier.
//!
//! A request's deadline is later than that of the request before it on the same connection. A timer
//! that is left where it was rings too early, finds that nothing is due yet, and moves on: once in a
//! while in place of once a request.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use host::Clock;
use model::Instant;
use tokio::time::Sleep;

/// A moment to be waited for, which may be moved.
#[derive(Debug)]
pub(crate) struct Deadline {
    clock: Clock,
    wanted: Instant,
    armed: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    /// A deadline at `at`.
    pub(crate) fn new(clock: Clock, at: Instant) -> Self {
        Self { clock, wanted: at, armed: at, sleep: Box::pin(sleep_until(clock, at)) }
    }

    /// Moves it to `at`.
    pub(crate) fn set(&mut self, at: Instant) {
        self.wanted = at;
        if at < self.armed {
            self.arm();
        }
    }

    fn arm(&mut self) {
        self.armed = self.wanted;
        let at = sleep_until(self.clock, self.wanted).deadline();
        self.sleep.as_mut().reset(at);
    }

    /// Ready when it has passed.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(context).is_ready() {
            if self.wanted <= self.clock.now() {
                return Poll::Ready(());
            }
            self.arm();
        }
        Poll::Pending
    }

    /// Waits until it has passed.
    pub(crate) async fn passed(&mut self) {
        std::future::poll_fn(|context| self.poll(context)).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the moment is one that decision code gave")]
fn sleep_until(clock: Clock, at: Instant) -> Sleep {
    tokio::time::sleep(at.since(clock.now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_moved_deadline_rings_when_it_should() {
        let clock = Clock::start();
        let soon = |millis| clock.now().after(Duration::from_millis(millis));
        let mut deadline = Deadline::new(clock, soon(60_000));
        let (first, second) = (soon(5), soon(15));
        deadline.set(first);
        deadline.set(second);
        deadline.passed().await;
        assert!(second <= clock.now());
        // It stays passed until it is moved.
        deadline.passed().await;
    }
}
