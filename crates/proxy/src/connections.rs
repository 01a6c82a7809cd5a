//! Connections of clients that are open on one worker: how many, and which are cut when their worker is retired.
//!
//! Nothing of this is on the way of a request: a connection is entered when it is accepted, and looked at only after the
//! worker has stopped accepting.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use model::Instant;
use tokio::task::AbortHandle;

use crate::edge::Edge;

/// The edge that a connection crosses, or has crossed last; none before its first request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crosses(Rc<RefCell<Option<Rc<Edge>>>>);

impl Crosses {
    /// A connection that crosses this edge, as all do that come in at its address.
    pub(crate) fn at(edge: &Rc<Edge>) -> Self {
        Self(Rc::new(RefCell::new(Some(Rc::clone(edge)))))
    }

    /// It crosses this one now.
    pub(crate) fn set(&self, edge: &Rc<Edge>) {
        let mut crosses = self.0.borrow_mut();
        if !crosses.as_ref().is_some_and(|it| Rc::ptr_eq(it, edge)) {
            *crosses = Some(Rc::clone(edge));
        }
    }
}

/// The connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: RefCell<BTreeMap<u64, Open>>,
    count: Cell<u32>,
    entered: Cell<u64>,
}

#[derive(Debug)]
struct Open {
    serving: AbortHandle,
    crosses: Crosses,
}

impl Connections {
    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count.get()
    }

    /// One more, which is open until what is returned is dropped.
    pub(crate) fn enter(self: &Rc<Self>) -> Entered {
        self.count.set(self.count.get() + 1);
        let number = self.entered.get();
        self.entered.set(number + 1);
        Entered { connections: Rc::clone(self), number }
    }

    /// Says which task serves a connection. One that has ended already needs nothing more.
    pub(crate) fn serve(&self, number: u64, serving: AbortHandle, crosses: Crosses) {
        if !serving.is_finished() {
            self.open.borrow_mut().insert(number, Open { serving, crosses });
        }
    }

    /// Cuts those that have gone on for as long as they may since their worker was retired.
    pub(crate) fn cut(&self, now: Instant, retired_at: Instant) {
        for open in self.open.borrow().values() {
            let crosses = open.crosses.0.borrow();
            if crosses.as_ref().is_some_and(|it| it.drain() <= now.since(retired_at)) {
                open.serving.abort();
            }
        }
    }
}

/// A connection that is counted while it is open.
#[derive(Debug)]
pub(crate) struct Entered {
    connections: Rc<Connections>,
    pub(crate) number: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Self { connections, number } = self;
        connections.count.set(connections.count.get().saturating_sub(1));
        connections.open.borrow_mut().remove(number);
    }
}
