//! Waiting to a tenth of a millisecond.
//!
//! The timer wheel of tokio counts whole milliseconds and rounds up: work of 1 ms would take 2, and a
//! load of 1000 requests per second would come in bursts. Here one thread sleeps until the next
//! alarm, which the kernel ends within about 60 us, and wakes the task that waits for it. It costs no
//! processor time between alarms and about 10 us for each.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;

use model::Instant;
use tokio::sync::oneshot;

use crate::clock::Clock;

/// Stack of the thread. It keeps a map and calls the clock.
const STACK_BYTES: usize = 64 << 10;

/// Wakes tasks at moments they choose. Its thread ends when it is dropped.
pub(crate) struct Alarm {
    clock: Clock,
    orders: Sender<Order>,
}

struct Order {
    at: Instant,
    ring: oneshot::Sender<()>,
}

impl Alarm {
    /// Starts its thread.
    pub(crate) fn start(clock: Clock) -> io::Result<Self> {
        let (orders, taken) = channel();
        let thread_clock = Clock::clone(&clock);
        let _detached: thread::JoinHandle<()> = thread::Builder::new()
            .name("alarm".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || ring_all(&thread_clock, &taken))?;
        Ok(Self { clock, orders })
    }

    /// Waits until `at`; not at all if that has passed.
    pub(crate) async fn wait_until(&self, at: Instant) {
        if at <= (self.clock)() {
            return;
        }
        let (ring, rung) = oneshot::channel();
        if self.orders.send(Order { at, ring }).is_ok() {
            // The thread outlives every wait: it ends when `orders` is dropped.
            drop(rung.await);
        }
    }
}

fn ring_all(clock: &Clock, orders: &Receiver<Order>) {
    let mut waiting: BTreeMap<(Instant, u64), oneshot::Sender<()>> = BTreeMap::new();
    for number in 0_u64.. {
        let now = clock();
        while let Some(first) = waiting.first_entry()
            && first.key().0 <= now
        {
            // Whoever no longer waits has dropped the other end, which is no error.
            first.remove().send(()).ok();
        }
        let ordered = match waiting.first_key_value() {
            Some(((at, _), _)) => orders.recv_timeout(at.since(now)),
            None => orders.recv().map_err(RecvTimeoutError::from),
        };
        match ordered {
            Ok(order) => {
                waiting.insert((order.at, number), order.ring);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
