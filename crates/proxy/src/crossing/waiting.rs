//! A request that waits for a place below the limit of its edge.

use std::future::poll_fn;
use std::task::{Context, Poll};

use model::Instant;
use traffic::{Begin, Call, Refusal, Ticket};

use crate::core::Core;
use crate::deadline::Deadline;
use crate::edge::Edge;

/// A request that waits for a place.
pub(super) struct Waiting<'a> {
    core: &'a Core,
    edge: &'a Edge,
    ticket: Option<Ticket>,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(core: &'a Core, edge: &'a Edge, ticket: Ticket) -> Self {
        edge.counters.borrow_mut().queued();
        Self { core, edge, ticket: Some(ticket) }
    }

    pub(super) async fn wait(mut self, until: Instant) -> Result<Call, Refusal> {
        let Some(ticket) = self.ticket else { return Err(Refusal::QueueTimeout) };
        let mut deadline = Deadline::new(self.core.clock, until);
        let mut is_first = true;
        poll_fn(|context: &mut Context<'_>| {
            let mut waiting = self.edge.waiting.borrow_mut();
            // Whoever calls it takes its waker out.
            let called = !is_first && !waiting.contains_key(&ticket);
            is_first = false;
            if called || deadline.poll(context).is_ready() {
                waiting.remove(&ticket);
                return Poll::Ready(());
            }
            waiting.insert(ticket, context.waker().clone());
            Poll::Pending
        })
        .await;
        self.ticket = None;
        let now = self.core.tick();
        let admitted = self.edge.decide.borrow_mut().admitted(now, ticket);
        match admitted {
            Begin::Go(call) => Ok(call),
            Begin::Refuse(refusal) => {
                // Perhaps it had a place, and does not use it.
                self.edge.call_waiting(now);
                Err(refusal)
            }
            // It is asked after its time was up or its turn had come; there is no third case.
            Begin::Wait(..) => Err(Refusal::QueueTimeout),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.edge.waiting.borrow_mut().remove(&ticket);
            let now = self.core.now();
            self.edge.decide.borrow_mut().abandon(now, ticket);
            self.edge.call_waiting(now);
        }
    }
}
